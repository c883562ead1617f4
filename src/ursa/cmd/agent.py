"""`ursa agent`: the node agent of one node."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ursa.arktos.agent.agent import Agent
from ursa.arktos.agent.cri import Kind, Runtime
from ursa.arktos.agent.events import Events
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.images import PULLS_MAX
from ursa.arktos.agent.node import Machine, NodeKeeper
from ursa.arktos.agent.server import NodeServer
from ursa.arktos.agent.starts import Starts, places_of_machine
from ursa.base.clock import WallClock
from ursa.base.config import Config, TlsFiles, load
from ursa.base.quantity import format_bytes, format_millicores
from ursa.client.client import Client
from ursa.client.lister import Lister
from ursa.client.recorder import Recorder
from ursa.cmd.run import run
from ursa.kinds.container import ResourceList
from ursa.kinds.pod import Pod


class RuntimeConfig(Config):
    name: str
    kind: Kind
    endpoint: str
    """Path of the CRI socket."""


class AgentConfig(Config):
    name: str
    ready_file: str
    api_url: str
    tls: TlsFiles
    """The node's identity, as a client and as a server."""
    node: str
    address: str
    """The node's underlay address; the server listens there."""
    port: int
    runtimes: tuple[RuntimeConfig, ...]
    pods_dir: str
    """Volumes, logs and files of the node's pods."""
    cgroup: str
    """The cgroup of all the node's pods."""
    cpu_millicores: int
    memory_bytes: int
    pods_max: int
    starts_dir: str
    """One for all agents of a machine: they share its bound of pod starts at once."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa agent", description=__doc__)
    parser.add_argument("--config", required=True)
    config = load(AgentConfig, parser.parse_args(argv).config)
    run(lambda: serve(config))


async def serve(config: AgentConfig) -> None:
    """Run the agent until cancelled."""
    clock = WallClock()
    _mark_ready(config, ready=False)
    runtimes = [Runtime(r.name, r.kind, r.endpoint) for r in config.runtimes]
    share = share_of(config)
    async with Client(config.api_url, config.tls) as client:
        host = Host(
            node_name=config.node,
            address=config.address,
            pods_dir=Path(config.pods_dir),
            cgroup=config.cgroup,
            allocatable=share,
            memory_bytes=config.memory_bytes,
            client=client,
            events=Events(Recorder(client, "kubelet", clock)),
            pulls=asyncio.Semaphore(PULLS_MAX),
            starts=Starts(Path(config.starts_dir), places_of_machine()),
            clock=clock,
        )
        machine = Machine(config.node, config.address, config.port, share, share)
        keeper = NodeKeeper(client, machine, clock)
        pods = Lister(client, Pod, field_selector=f"spec.nodeName={config.node}")
        agent = Agent(host, runtimes, pods, keeper)
        server = NodeServer(agent, host, config.tls)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.run())
            tasks.create_task(server.run(config.address, config.port))
            await keeper.registered.wait()
            await server.listening.wait()
            _mark_ready(config, ready=True)


def _mark_ready(config: AgentConfig, *, ready: bool) -> None:
    file = Path(config.ready_file)
    if ready:
        file.touch()
    else:
        file.unlink(missing_ok=True)


def share_of(config: AgentConfig) -> ResourceList:
    """Return what the node offers to pods."""
    return {
        "cpu": format_millicores(config.cpu_millicores),
        "memory": format_bytes(config.memory_bytes),
        "pods": str(config.pods_max),
    }
