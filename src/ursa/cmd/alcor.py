"""`ursa alcor`: the network controller."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from ursa.alcor.controller.controller import Controller
from ursa.base.clock import WallClock
from ursa.base.config import Config, TlsFiles, load
from ursa.client.client import Client
from ursa.cmd.run import run


class AlcorConfig(Config):
    name: str
    ready_file: str
    """Made once the controller answers nodes."""
    api_url: str
    tls: TlsFiles
    """Its identity: of a client at the API server, of the server for the nodes."""
    listen: tuple[str, ...]
    """`address:port`, for the nodes' control agents."""


async def alcor(config: AlcorConfig) -> None:
    """Run until cancelled."""
    # Milliseconds of wall time grow from start to start; should the clock step back, a node
    # says in its hello what it holds, and its session goes on from there.
    epoch = int(time.time() * 1000)
    started = asyncio.Event()
    async with Client(config.api_url, config.tls) as client, asyncio.TaskGroup() as tasks:
        controller = Controller(client, WallClock(), epoch)
        server = controller.hub.bind(config.listen, config.tls)
        tasks.create_task(controller.run(started))
        await started.wait()
        tasks.create_task(controller.hub.serve(server, Path(config.ready_file).touch))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa alcor", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file, see AlcorConfig")
    config = load(AlcorConfig, parser.parse_args(argv).config)
    Path(config.ready_file).unlink(missing_ok=True)
    run(lambda: alcor(config))
