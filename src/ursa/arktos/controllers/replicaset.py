"""ReplicaSet: keep spec.replicas pods alive.

`plan` decides and is pure; `reconcile` reads, plans, and writes. It is level-triggered:
it looks at what is, never at which event woke it. A plan from a stale cache is harmless,
because a child's name depends only on its owner and its slot.
Source of the semantics: Kubernetes replica_set.go (deletion order, burst, conditions).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from msgspec.structs import replace

from ursa.arktos.controllers.conditions import with_condition, without_condition
from ursa.arktos.controllers.ownership import (
    Claim,
    Orphans,
    carry_out,
    claim,
    owner_key,
    reference_to,
)
from ursa.arktos.controllers.runtime import (
    Controller,
    Result,
    each,
    is_terminating,
    own_key,
    refusal,
)
from ursa.base.clock import Clock, parse_rfc3339
from ursa.base.errors import AlreadyExists, ApiError
from ursa.base.ids import child_name
from ursa.client import Client, Key, Lister, Recorder
from ursa.kinds.part import ObjectMeta
from ursa.kinds.pod import Pod, pod_from
from ursa.kinds.replicaset import ReplicaSet, ReplicaSetStatus

BURST_MAX = 500  # creates or deletes in one pass; bounds the load after an outage
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = ("Pending", "Unknown", "Running")  # in the order in which surplus pods go
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    claim: Claim[Pod]
    create: tuple[str, ...]  # names
    delete: tuple[Pod, ...]
    status: ReplicaSetStatus
    requeue_after_s: float | None  # until the next ready pod counts as available


def plan(rs: ReplicaSet, pods: Sequence[Pod], now_s: float) -> Plan:
    """Return the writes that bring `pods` (controlled or orphaned, any order) to spec.replicas."""
    claimed = claim(rs, rs.spec.selector, pods)
    mine = [*claimed.keep, *claimed.adopt]
    active = [pod for pod in mine if pod.is_active]
    missing = rs.spec.replicas - len(active)
    return Plan(
        claim=claimed,
        create=free_names(rs, pods, min(max(missing, 0), BURST_MAX)),
        delete=surplus(active, min(max(-missing, 0), BURST_MAX), now_s),
        status=status_of(rs, active, now_s),
        requeue_after_s=next_available_s(rs, active, now_s),
    )


def free_names(rs: ReplicaSet, pods: Iterable[Pod], number: int) -> tuple[str, ...]:
    """Return the names of the `number` lowest slots that no pod holds."""
    taken = {pod.metadata.name for pod in pods}
    names: list[str] = []
    for slot in count():
        if len(names) == number:
            return tuple(names)
        name = child_name(rs.metadata.name, rs.metadata.uid, slot)
        if name not in taken:
            taken.add(name)
            names.append(name)
    raise AssertionError("count() has no end")


def surplus(active: Sequence[Pod], number: int, now_s: float) -> tuple[Pod, ...]:
    """Return the `number` pods whose loss costs least."""
    neighbours = Counter(pod.spec.node_name for pod in active)
    ranked = sorted(active, key=lambda pod: deletion_rank(pod, neighbours, now_s))
    return tuple(ranked[:number])


def deletion_rank(
    pod: Pod, neighbours: Counter[str], now_s: float
) -> tuple[bool, int, bool, int, int, float, int, float, str]:
    """Return what surplus pods are sorted by; the lowest goes first.

    Unassigned before assigned, by phase, not ready before ready, cheap before dear, crowded
    before alone on its node, shortly before long ready, often before seldom restarted, young
    before old; by name among equals.
    """
    phase = pod.status.phase
    return (
        pod.spec.node_name != "",
        PHASES.index(phase) if phase in PHASES else 0,
        pod.status.ready,
        deletion_cost(pod),
        -neighbours[pod.spec.node_name],
        -(ready_since_s(pod) or now_s),
        -sum(container.restart_count for container in pod.status.container_statuses),
        -(parse_rfc3339(created) if (created := pod.metadata.creation_timestamp) else now_s),
        pod.metadata.name,
    )


def deletion_cost(pod: Pod) -> int:
    """Return the user's annotation; what is no number counts as absent."""
    try:
        return int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0


def status_of(rs: ReplicaSet, active: Sequence[Pod], now_s: float) -> ReplicaSetStatus:
    """Return the status that `active` pods give; whether writes failed, `told` adds."""
    labels = rs.spec.template.metadata.labels.items()
    return ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(labels <= pod.metadata.labels.items() for pod in active),
        ready_replicas=sum(pod.status.ready for pod in active),
        available_replicas=sum(waits_s(rs, pod, now_s) == 0 for pod in active),
        observed_generation=rs.metadata.generation,
        conditions=rs.status.conditions,
    )


def next_available_s(rs: ReplicaSet, active: Iterable[Pod], now_s: float) -> float | None:
    """Return the seconds until the next ready pod becomes available."""
    return min((wait for pod in active if (wait := waits_s(rs, pod, now_s))), default=None)


def waits_s(rs: ReplicaSet, pod: Pod, now_s: float) -> float | None:
    """Return the seconds until a ready pod counts as available; None while it is not ready."""
    since_s = ready_since_s(pod)
    if since_s is None:
        return None
    if rs.spec.min_ready_seconds == 0:
        return 0
    return max(since_s + rs.spec.min_ready_seconds - now_s, 0)


def ready_since_s(pod: Pod) -> float | None:
    for condition in pod.status.conditions:
        if condition.type == "Ready" and condition.status == "True":
            at = condition.last_transition_time
            return parse_rfc3339(at) if at else 0.0
    return None


def told(step: Plan, fault: ApiError | None, now_s: float) -> ReplicaSetStatus:
    """Return the status with the condition that says why pods could not be made or removed."""
    conditions = step.status.conditions
    if fault is None:
        conditions = without_condition(conditions, "ReplicaFailure")
    else:
        reason = "FailedCreate" if step.create else "FailedDelete"
        conditions = with_condition(
            conditions, "ReplicaFailure", "True", reason, fault.message, now_s=now_s
        )
    return replace(step.status, conditions=conditions)


class ReplicaSetReconciler:
    def __init__(
        self,
        client: Client,
        sets: Lister[ReplicaSet],
        pods: Lister[Pod],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._client = client
        self._sets = sets
        self._pods = pods
        self._orphans = Orphans(pods)
        self._recorder = recorder
        self._clock = clock

    def controller(self) -> Controller[Key]:
        controller = Controller("replicaset", self.reconcile, workers=WORKERS)
        controller.watch(self._sets, own_key)
        controller.watch(self._pods, self._sets_of)
        return controller

    def _sets_of(self, key: Key, pod: Pod) -> Iterable[Key]:
        """Return the set that controls `pod`, or those that may adopt it."""
        if pod.metadata.owner_references:
            return owner_key("ReplicaSet", pod)
        return (
            Key(key.tenant, key.namespace, rs.metadata.name)
            for rs in self._sets.in_namespace(key.tenant, key.namespace)
            if rs.spec.selector.matches(pod.metadata.labels)
        )

    async def reconcile(self, key: Key) -> Result:
        rs = self._sets.get(key)
        if rs is None or rs.metadata.deletion_timestamp:
            return Result()  # the garbage collector takes its pods from here

        pods = [*self._pods.controlled_by(rs), *self._orphans.near(rs)]
        step = plan(rs, pods, self._clock.now_s())
        await carry_out(self._client, rs, step.claim)
        fault = await refusal(self._carry_out(rs, step))
        await self._client.update_status(rs, told(step, fault, self._clock.now_s()))
        if fault is not None:
            raise fault
        return Result(step.requeue_after_s)

    async def _carry_out(self, rs: ReplicaSet, step: Plan) -> None:
        await each(
            [
                *(self._create(rs, name) for name in step.create),
                *(self._delete(rs, pod) for pod in step.delete),
            ]
        )

    async def _create(self, rs: ReplicaSet, name: str) -> None:
        metadata = ObjectMeta(
            name=name,
            generate_name=f"{rs.metadata.name}-",
            tenant=rs.metadata.tenant,
            namespace=rs.metadata.namespace,
            owner_references=(reference_to(rs),),
        )
        try:
            await self._client.create(pod_from(rs.spec.template, metadata))
        except AlreadyExists:  # the cache has yet to show it
            return
        except ApiError as fault:
            if not is_terminating(fault):
                await self._recorder.event(
                    rs, "Warning", "FailedCreate", f"Error creating: {fault.message}"
                )
            raise
        await self._recorder.event(rs, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, rs: ReplicaSet, pod: Pod) -> None:
        await self._client.delete(pod, missing_ok=True)
        name = pod.metadata.name
        await self._recorder.event(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
