"""`ursa netd`: a node's network daemon: transit daemon, control agent and CNI server.

    Alcor ─ goal states ─▶ control agent ─▶ transit ─▶ BPF maps
    container runtime ─ CNI ─▶ CNI server ─ waits for the port ─▶ interface ─▶ transit: attach

It runs in its node's network namespace. The data plane forwards on without it; a netd that
starts takes over what is pinned and attached.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ursa.alcor.agent.agent import Agent
from ursa.base.config import Config, TlsFiles, load
from ursa.cmd.run import run
from ursa.cni.install import SOCKET, install
from ursa.cni.server import Server
from ursa.mizar.daemon import open_data_plane


class NetdConfig(Config):
    name: str
    ready_file: str
    """Made once pods can be plugged in."""
    node: str
    """As in the client certificate: system:netd:<node>."""
    cluster_id: str
    """6 hexadecimal characters; interfaces are named by it."""
    controller: str
    """`address:port` of Alcor."""
    tls: TlsFiles
    uplink: str
    """The interface on the underlay."""
    underlay_ip: str
    bpffs: str
    """A mounted bpffs of this node alone."""
    objects: str
    """Folder of the compiled BPF programs."""
    cni_bin_dir: str
    cni_conf_dir: str


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa netd", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file, see NetdConfig")
    config = load(NetdConfig, parser.parse_args(argv).config)
    Path(config.ready_file).unlink(missing_ok=True)
    bin_dir = Path(config.cni_bin_dir)
    install(bin_dir, Path(config.cni_conf_dir), f"ursa-{config.cluster_id}")
    run(lambda: serve(config))


async def serve(config: NetdConfig) -> None:
    """Run until cancelled."""
    transit = open_data_plane(
        bpffs=Path(config.bpffs), objects=Path(config.objects), uplink=config.uplink
    )
    agent = Agent(config.node, config.underlay_ip, config.controller, config.tls, transit)
    server = Server(Path(config.cni_bin_dir, SOCKET), config.cluster_id, agent, transit)
    async with asyncio.TaskGroup() as tasks, server.serving():
        tasks.create_task(agent.run())
        tasks.create_task(server.collect_remains())
        await asyncio.to_thread(Path(config.ready_file).touch)
        await asyncio.Event().wait()
