"""`ursa scheduler`: watch pods and nodes, bind the ones to the others."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from ursa.arktos.scheduler.scheduler import Scheduler
from ursa.base.clock import WallClock
from ursa.base.config import Config, TlsFiles, load
from ursa.client import Client, Lister
from ursa.cmd.run import run
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.pod import Pod

log = logging.getLogger(__name__)


class SchedulerConfig(Config):
    name: str
    ready_file: str
    """Made once pods and nodes are known."""
    api_url: str
    tls: TlsFiles


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa scheduler", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file, see SchedulerConfig")
    config = load(SchedulerConfig, parser.parse_args(argv).config)
    Path(config.ready_file).unlink(missing_ok=True)
    run(lambda: serve(config))


async def serve(config: SchedulerConfig) -> None:
    """Run until cancelled."""
    async with Client(config.api_url, config.tls) as client, asyncio.TaskGroup() as tasks:
        pods, nodes = Lister(client, Pod), Lister(client, Node)
        namespaces = Lister(client, Namespace)
        scheduler = Scheduler(client, pods, nodes, namespaces, WallClock())
        for lister in (pods, nodes, namespaces):
            tasks.create_task(lister.run())
        for lister in (nodes, namespaces, pods):
            await lister.synced()
        tasks.create_task(scheduler.run())
        await asyncio.to_thread(Path(config.ready_file).touch)
        log.info("ready", extra={"nodes": len(nodes.list()), "pods": len(pods.list())})
