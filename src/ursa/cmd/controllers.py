"""`ursa controllers`: every controller, on one set of shared caches."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ursa.arktos.controllers.caches import Caches
from ursa.arktos.controllers.deployment import DeploymentReconciler
from ursa.arktos.controllers.discovery import Served, discover
from ursa.arktos.controllers.garbage import Collector
from ursa.arktos.controllers.namespace import NamespaceReconciler
from ursa.arktos.controllers.nodelifecycle import EVICTION_S, NODE_GRACE_S, NodeReconciler, Patience
from ursa.arktos.controllers.podgc import FINISHED_MAX, PodCollector
from ursa.arktos.controllers.podnetwork import PodNetworkReconciler
from ursa.arktos.controllers.replicaset import ReplicaSetReconciler
from ursa.arktos.controllers.runtime import Controller
from ursa.arktos.controllers.service import ServiceReconciler
from ursa.arktos.controllers.tenant import TenantReconciler
from ursa.base.clock import WallClock
from ursa.base.config import Config, ConfigError, TlsFiles, load
from ursa.base.errors import ApiError
from ursa.client import Client, Recorder
from ursa.cmd.run import run
from ursa.kinds.deployment import Deployment
from ursa.kinds.lease import Lease
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.part import Part
from ursa.kinds.pod import Pod
from ursa.kinds.port import Port
from ursa.kinds.replicaset import ReplicaSet
from ursa.kinds.service import Service
from ursa.kinds.serviceaccount import ServiceAccount
from ursa.kinds.tenant import Tenant

log = logging.getLogger(__name__)

COMPONENT = "controller-manager"  # what events say they come from
TYPED: tuple[type[Part], ...] = (
    Deployment,
    Lease,
    Namespace,
    Node,
    Pod,
    Port,
    ReplicaSet,
    Service,
    ServiceAccount,
    Tenant,
)
API_RETRY_S = 0.1  # the API server starts beside this process; it is ready within a second


class _Reconciler(Protocol):
    def controller(self) -> Controller[Any]: ...


class ControllersConfig(Config):
    name: str
    ready_file: str
    """Made once every cache has been filled."""
    api_url: str
    tls: TlsFiles
    ca_file: str
    """PEM of the authority that pods trust the API server by."""
    node_grace_s: float = NODE_GRACE_S
    """How long a node may be silent before it counts as lost."""
    eviction_s: float = EVICTION_S
    """How long pods that say nothing of it stay on a lost node."""
    finished_pods_max: int = FINISHED_MAX
    """Finished pods that are kept; beyond it the oldest go."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa controllers", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file, see ControllersConfig")
    config = load(ControllersConfig, parser.parse_args(argv).config)
    try:
        ca = Path(config.ca_file).read_text()
    except OSError as fault:
        raise ConfigError(f"ca_file {config.ca_file}: {fault.strerror}") from fault
    Path(config.ready_file).unlink(missing_ok=True)
    run(lambda: serve(config, ca))


async def serve(config: ControllersConfig, ca: str) -> None:
    """Run until cancelled."""
    async with Client(config.api_url, config.tls) as client, asyncio.TaskGroup() as tasks:
        kinds = await served_kinds(client)
        caches = Caches(client, TYPED)
        controllers = construct(config, client, caches, kinds, ca)
        tasks.create_task(caches.run())
        await caches.synced()
        for controller in controllers:
            tasks.create_task(controller.run(), name=controller.name)
        await asyncio.to_thread(Path(config.ready_file).touch)


async def served_kinds(client: Client) -> Sequence[Served]:
    """Ask the API server what it serves, as soon as it answers."""
    while True:
        try:
            return await discover(client)
        except ApiError as fault:
            log.info("waiting for the API server", extra={"error": str(fault)})
            await asyncio.sleep(API_RETRY_S)


def construct(
    config: ControllersConfig, client: Client, caches: Caches, kinds: Sequence[Served], ca: str
) -> list[Controller[Any]]:
    clock = WallClock()
    recorder = Recorder(client, COMPONENT, clock)
    patience = Patience(config.node_grace_s, config.eviction_s)
    deployments, sets, pods = caches.of(Deployment), caches.of(ReplicaSet), caches.of(Pod)
    nodes, leases = caches.of(Node), caches.of(Lease)
    ports, services = caches.of(Port), caches.of(Service)
    reconcilers: list[_Reconciler] = [
        TenantReconciler(client, caches, kinds, clock),
        NamespaceReconciler(client, caches, kinds, ca, clock),
        PodNetworkReconciler(client, pods, ports, recorder),
        DeploymentReconciler(client, deployments, sets, pods, recorder, clock),
        ReplicaSetReconciler(client, sets, pods, recorder, clock),
        NodeReconciler(client, nodes, leases, pods, recorder, clock, patience),
        PodCollector(client, pods, nodes, clock, config.finished_pods_max),
        ServiceReconciler(client, services, COMPONENT, clock),
        Collector(client, caches, kinds),
    ]
    return [reconciler.controller() for reconciler in reconcilers]
