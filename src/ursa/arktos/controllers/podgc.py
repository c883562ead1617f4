"""Pod garbage collection: remove pods that nobody else ever will.

Pods of nodes that no longer exist, pods that end on a node that is declared out of service,
pods that end without ever having had a node, and the oldest finished pods beyond a number.
A pod of a node that is merely silent stays: it may be running.
Source: Kubernetes, pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ursa.arktos.controllers.conditions import with_condition
from ursa.arktos.controllers.runtime import Controller, Result, each
from ursa.base.clock import Clock
from ursa.base.errors import NotFound
from ursa.client import Client, Key, Lister
from ursa.kinds.node import Node
from ursa.kinds.pod import FAILED, Pod

PERIOD_S = 20.0
FINISHED_MAX = 12_500  # Kubernetes' default of --terminated-pod-gc-threshold
QUARANTINE_S = 40.0  # a node that is replaced under its own name keeps its pods
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


class Removal(NamedTuple):
    pod: Pod
    why: str


def plan(
    pods: Sequence[Pod], nodes: Mapping[str, Node], vanished: Collection[str], finished_max: int
) -> list[Removal]:
    """Return the pods to remove. `vanished` names nodes that have been missing for long."""
    removals = [
        Removal(pod, why) for pod in pods if (why := reason(pod, nodes, vanished)) is not None
    ]
    removed = {removal.pod.metadata.uid for removal in removals}
    finished = [pod for pod in pods if pod.is_finished and pod.metadata.uid not in removed]
    excess = max(len(finished) - finished_max, 0)
    oldest = sorted(finished, key=_age)[:excess]
    return removals + [Removal(pod, "too many finished pods") for pod in oldest]


def reason(pod: Pod, nodes: Mapping[str, Node], vanished: Collection[str]) -> str | None:
    """Return why nobody else removes `pod`, or None."""
    name, is_ending = pod.spec.node_name, pod.metadata.deletion_timestamp is not None
    if not name:
        never_forced = pod.metadata.deletion_grace_period_seconds != 0
        return "unscheduled and terminating" if is_ending and never_forced else None
    if name in vanished:
        return "node no longer exists"
    node = nodes.get(name)
    if is_ending and node and not node.status.ready and is_out_of_service(node):
        return "node is out of service"
    return None


def is_out_of_service(node: Node) -> bool:
    return any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)


def _age(pod: Pod) -> tuple[str, str]:
    return pod.metadata.creation_timestamp or "", pod.metadata.name


class Absences:
    """How long nodes that pods name have been missing; loop time."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}

    def look(self, named: Iterable[str], nodes: Collection[str], now_s: float) -> set[str]:
        """Return the names that have been missing for QUARANTINE_S at least."""
        missing = {name for name in named if name and name not in nodes}
        self._since_s = {name: self._since_s.get(name, now_s) for name in missing}
        return {name for name, since_s in self._since_s.items() if now_s - since_s >= QUARANTINE_S}


class PodCollector:
    def __init__(
        self,
        client: Client,
        pods: Lister[Pod],
        nodes: Lister[Node],
        clock: Clock,
        finished_max: int = FINISHED_MAX,
    ) -> None:
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._clock = clock
        self._finished_max = finished_max
        self._absences = Absences()

    def controller(self) -> Controller[None]:
        """Return the controller; it has one key, which comes round every PERIOD_S."""
        controller: Controller[None] = Controller("podgc", self.reconcile, workers=1)
        controller.add(None)
        return controller

    async def reconcile(self, _: None) -> Result:
        pods = self._pods.list()
        nodes = {node.metadata.name: node for node in self._nodes.list()}
        now_s = asyncio.get_running_loop().time()
        missing = self._absences.look({pod.spec.node_name for pod in pods}, nodes, now_s)
        vanished = {name for name in missing if await self._is_gone(name)}
        removals = plan(pods, nodes, vanished, self._finished_max)
        await each(self._remove(pod, why) for pod, why in removals)
        return Result(requeue_after_s=PERIOD_S)

    async def _is_gone(self, name: str) -> bool:
        """Ask the server, not a cache: its pods are removed by force."""
        try:
            await self._client.get(Node, Key("", "", name))
        except NotFound:
            return True
        return False

    async def _remove(self, pod: Pod, why: str) -> None:
        """Remove `pod` at once. One that never finished is told to have failed first."""
        message = f"PodGC: {why}"
        try:
            if not pod.is_finished:
                conditions = with_condition(
                    pod.status.conditions,
                    "DisruptionTarget",
                    "True",
                    "DeletionByPodGC",
                    message,
                    now_s=self._clock.now_s(),
                )
                status = {"phase": FAILED, "message": message, "conditions": conditions}
                await self._client.patch(Pod, pod, {"status": status}, subresource="status")
            await self._client.delete(pod, missing_ok=True, grace_period_s=0)
        except NotFound:
            return
