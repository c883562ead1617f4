"""Node life cycle: notice a node that has fallen silent, taint it, move its pods elsewhere.

    lease, status ──heartbeat──▶ silent for grace_s? ──▶ Ready Unknown ──▶ taints ──▶ eviction

A heartbeat is a change of the node's lease or of the heartbeat time in its status; how long
it has been silent is measured on this process's own clock, so a node's clock may be wrong.
While every node is silent nothing is evicted: it is likelier that this side is cut off.
Source: Kubernetes, pkg/controller/nodelifecycle and pkg/controller/tainteviction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from ursa.arktos.controllers.conditions import Conditions, condition, with_condition
from ursa.arktos.controllers.runtime import Controller, Result, each, own_key
from ursa.arktos.controllers.taints import NO_EXECUTE, leaves_in_s, taints_of
from ursa.base.clock import Clock
from ursa.base.errors import NotFound
from ursa.client import Client, Key, Lister, Recorder
from ursa.kinds.lease import Lease
from ursa.kinds.node import Node
from ursa.kinds.part import Condition
from ursa.kinds.placement import Taint
from ursa.kinds.pod import Pod

WORKERS = 4
NODE_GRACE_S = 40.0  # Kubernetes' default of --node-monitor-grace-period
EVICTION_S = 300.0  # Kubernetes' default toleration of a lost node
CLOCK_TICK_S = 0.01  # past the end of grace, not at it
PERIOD_S = 5.0  # Kubernetes' default of --node-monitor-period
LEASES = ("system", "kube-node-lease")  # tenant and namespace of the nodes' leases


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may last, in seconds."""

    grace_s: float = NODE_GRACE_S
    eviction_s: float = EVICTION_S
    period_s: float = PERIOD_S


@dataclass(frozen=True, slots=True)
class Plan:
    conditions: Conditions
    taints: tuple[Taint, ...]
    unready: tuple[Pod, ...]  # pods that still say Ready on a node that nobody hears
    evict: tuple[Pod, ...]
    requeue_after_s: float


def plan(
    node: Node,
    pods: Sequence[Pod],
    patience: Patience,
    *,
    silent_s: float,
    alone: bool,
    now_s: float,
) -> Plan:
    """Return what to write. `pods` are the node's; `alone`: every other node is silent too."""
    silent = silent_s > patience.grace_s
    conditions = unknown(node.status.conditions, now_s) if silent else node.status.conditions
    taints = taints_of(node, conditions, evicts=not (silent and alone), now_s=now_s)
    staying = [pod for pod in pods if pod.is_active]
    leaving = {
        pod.metadata.uid: leaves_in_s(pod, taints, unless_told_s=patience.eviction_s, now_s=now_s)
        for pod in staying
    }
    waits = [wait for wait in leaving.values() if wait]
    if not silent:
        waits.append(patience.grace_s - silent_s + CLOCK_TICK_S)
    return Plan(
        conditions=conditions,
        taints=taints,
        unready=tuple(pod for pod in staying if silent and pod.status.ready),
        evict=tuple(pod for pod in staying if leaving[pod.metadata.uid] == 0),
        requeue_after_s=min([patience.period_s, *waits]),
    )


def unknown(conditions: Conditions, now_s: float) -> Conditions:
    """Return the conditions of a node that has stopped reporting: none of its own is known."""
    own = [c.type for c in conditions if c.last_heartbeat_time and c.type != "Ready"]
    for type_ in ("Ready", *own):
        old = condition(conditions, type_)
        if old is None:
            said = "NodeStatusNeverUpdated", "Kubelet never posted node status."
        else:
            said = "NodeStatusUnknown", "Kubelet stopped posting node status."
        if old is None or old.status != "Unknown":
            conditions = with_condition(conditions, type_, "Unknown", *said, now_s=now_s)
    return conditions


class Heartbeats:
    """When each node was last heard of, in loop time."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[object, float]] = {}

    def silent_s(self, name: str, mark: object, now_s: float) -> float:
        """Return the seconds since `mark` last changed; a node seen first counts as heard."""
        last, at_s = self._heard.get(name, (None, now_s))
        if last != mark:
            at_s = now_s
        self._heard[name] = (mark, at_s)
        return now_s - at_s

    def forget(self, name: str) -> None:
        self._heard.pop(name, None)

    def all_silent(self, names: Iterable[str], grace_s: float, now_s: float) -> bool:
        return all(now_s - self._heard.get(name, (None, now_s))[1] > grace_s for name in names)


class NodeReconciler:
    def __init__(
        self,
        client: Client,
        nodes: Lister[Node],
        leases: Lister[Lease],
        pods: Lister[Pod],
        recorder: Recorder,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._leases = leases
        self._pods = pods
        self._recorder = recorder
        self._clock = clock
        self._patience = patience
        self._heartbeats = Heartbeats()

    def controller(self) -> Controller[Key]:
        controller = Controller("nodelifecycle", self.reconcile, workers=WORKERS)
        controller.watch(self._nodes, own_key)
        controller.watch(self._pods, self._tainted)
        return controller

    def _tainted(self, _: Key, pod: Pod) -> Iterable[Key]:
        """Return the pod's node if it throws pods out."""
        key = Key("", "", pod.spec.node_name)
        node = self._nodes.get(key)
        throws = node is not None and any(t.effect == NO_EXECUTE for t in node.spec.taints)
        return (key,) if throws else ()

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        if node is None:
            self._heartbeats.forget(key.name)
            return Result()
        now_s = asyncio.get_running_loop().time()
        others = [n.metadata.name for n in self._nodes.list()]
        step = plan(
            node,
            self._pods_of(node),
            self._patience,
            silent_s=self._heartbeats.silent_s(key.name, self._mark(node), now_s),
            alone=self._heartbeats.all_silent(others, self._patience.grace_s, now_s),
            now_s=self._clock.now_s(),
        )
        await self._carry_out(node, step)
        return Result(step.requeue_after_s)

    def _mark(self, node: Node) -> tuple[object, ...]:
        lease = self._leases.get(Key(*LEASES, node.metadata.name))
        ready = condition(node.status.conditions, "Ready")
        reported = ready.last_heartbeat_time if ready else None
        return lease and lease.spec.renew_time, reported

    def _pods_of(self, node: Node) -> Sequence[Pod]:
        """Return the node's pods if any of them may be concerned: reading all of them is dear."""
        if node.status.ready and not node.spec.taints:
            return ()
        return [pod for pod in self._pods.list() if pod.spec.node_name == node.metadata.name]

    async def _carry_out(self, node: Node, step: Plan) -> None:
        if step.taints != node.spec.taints:
            body = {"metadata": _revision(node), "spec": {"taints": step.taints}}
            node = await self._client.patch(Node, node, body)
        if step.conditions != node.status.conditions:
            await self._client.update_status(node, replace(node.status, conditions=step.conditions))
            await self._recorder.event(
                node,
                "Normal",
                "NodeNotReady",
                f"Node {node.metadata.name} status is now: NodeNotReady",
            )
        await each(self._unready(pod) for pod in step.unready)
        await each(self._evict(pod) for pod in step.evict)

    async def _unready(self, pod: Pod) -> None:
        """Take a pod that nobody hears of out of what counts as ready."""
        conditions = with_condition(
            pod.status.conditions, "Ready", "False", "NodeLost", "", now_s=self._clock.now_s()
        )
        await self._patch_conditions(pod, conditions)

    async def _evict(self, pod: Pod) -> None:
        name = f"{pod.metadata.namespace}/{pod.metadata.name}"
        message = f"Marking for deletion Pod {name}"
        await self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
        conditions = with_condition(
            pod.status.conditions,
            "DisruptionTarget",
            "True",
            "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint",
            now_s=self._clock.now_s(),
        )
        await self._patch_conditions(pod, conditions)
        await self._client.delete(pod, missing_ok=True)

    async def _patch_conditions(self, pod: Pod, conditions: Sequence[Condition]) -> None:
        body = {"metadata": _revision(pod), "status": {"conditions": conditions}}
        try:
            await self._client.patch(Pod, pod, body, subresource="status")
        except NotFound:
            return


def _revision(obj: Node | Pod) -> Mapping[str, str]:
    return {"resourceVersion": obj.metadata.resource_version}
