"""What all pods of this node share: where things lie, and whom to ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ursa.arktos.agent.events import Events
from ursa.arktos.agent.references import Place
from ursa.arktos.agent.starts import Starts
from ursa.base.clock import Clock
from ursa.client.client import Client
from ursa.kinds.container import ResourceList


@dataclass(frozen=True, slots=True)
class Host:
    node_name: str
    address: str
    """The node's underlay address."""
    pods_dir: Path
    cgroup: str
    """The cgroup below which every pod has its own."""
    allocatable: ResourceList
    memory_bytes: int
    """What out-of-memory scores are shares of."""
    client: Client
    events: Events
    pulls: asyncio.Semaphore
    starts: Starts
    clock: Clock

    def pod_dir(self, uid: str) -> Path:
        return self.pods_dir / uid

    def pod_cgroup(self, uid: str) -> str:
        return f"{self.cgroup}/{uid}"

    def place(self, pod_ip: str) -> Place:
        return Place(self.node_name, self.address, pod_ip, self.allocatable)
