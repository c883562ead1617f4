"""`ursa transitd`: Mizar's transit daemon alone, driven over its unix socket.

For who uses the data plane without Alcor; `ursa netd` has it in process.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ursa.base import netns
from ursa.base.config import Config, load
from ursa.cmd.run import run
from ursa.mizar.daemon import open_data_plane, serve

STOP_GRACE_S = 1.0  # calls that are under way may end


class TransitdConfig(Config):
    name: str
    ready_file: str
    bpffs: str
    """A mounted bpffs of this node alone."""
    objects: str
    """What ursa.mizar.loader.build_objects returned."""
    socket: str
    """Unix socket of the RPC, proto/mizar.proto."""
    uplink: str = "eth0"
    netns: str = ""
    """Path of the node's network namespace; empty: the one that the process is in."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa transitd", description=__doc__)
    parser.add_argument("--config", required=True)
    config = load(TransitdConfig, parser.parse_args(argv).config)
    if config.netns:
        netns.enter(config.netns)  # before any thread: threads inherit it
    run(lambda: serve_until_cancelled(config))


async def serve_until_cancelled(config: TransitdConfig) -> None:
    ready = Path(config.ready_file)
    ready.unlink(missing_ok=True)  # noqa: ASYNC240 - before anything waits
    transit = open_data_plane(
        bpffs=Path(config.bpffs), objects=Path(config.objects), uplink=config.uplink
    )
    server = await serve(transit, Path(config.socket))
    try:
        ready.touch()  # noqa: ASYNC240
        await asyncio.Event().wait()
    finally:
        await server.stop(STOP_GRACE_S)
