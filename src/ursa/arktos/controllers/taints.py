"""What a node's conditions mean for pods: taints on the node, and when a pod must leave.

Source: Kubernetes, pkg/controller/nodelifecycle (taint keys) and pkg/controller/tainteviction.
"""

from __future__ import annotations

from msgspec.structs import replace

from ursa.base.clock import parse_rfc3339, rfc3339
from ursa.kinds.node import Node
from ursa.kinds.part import Condition
from ursa.kinds.placement import Taint
from ursa.kinds.pod import Pod

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
# condition type and status → key of the taints that say it
READINESS = {("Ready", "False"): NOT_READY, ("Ready", "Unknown"): UNREACHABLE}
PRESSURE = {
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
MANAGED = frozenset({*READINESS.values(), *PRESSURE.values(), UNSCHEDULABLE})


def taints_of(
    node: Node, conditions: tuple[Condition, ...], *, evicts: bool, now_s: float
) -> tuple[Taint, ...]:
    """Return all taints that the node is to have; those of users and other controllers stay.

    Without `evicts` no taint throws pods out. A taint that stays keeps its time.
    """
    said = {(c.type, c.status) for c in conditions}
    keys = [key for fact, key in READINESS.items() if fact in said]
    wanted = [(key, NO_SCHEDULE) for key in keys]
    wanted += [(key, NO_EXECUTE) for key in keys if evicts]
    wanted += [(key, NO_SCHEDULE) for fact, key in PRESSURE.items() if fact in said]
    if node.spec.unschedulable:
        wanted.append((UNSCHEDULABLE, NO_SCHEDULE))
    have = {(taint.key, taint.effect): taint for taint in node.spec.taints}
    others = tuple(taint for taint in node.spec.taints if taint.key not in MANAGED)
    fresh = Taint(time_added=rfc3339(now_s))
    return others + tuple(
        have.get((key, effect)) or replace(fresh, key=key, effect=effect) for key, effect in wanted
    )


def leaves_in_s(
    pod: Pod, taints: tuple[Taint, ...], *, unless_told_s: float, now_s: float
) -> float | None:
    """Return the seconds until `pod` must leave a node with `taints`; None if it may stay.

    A pod that says nothing of a node that is lost bears it for `unless_told_s`.
    """
    waits = [
        _bears_s(pod, taint, unless_told_s, now_s) for taint in taints if taint.effect == NO_EXECUTE
    ]
    return min((wait for wait in waits if wait is not None), default=None)


def _bears_s(pod: Pod, taint: Taint, unless_told_s: float, now_s: float) -> float | None:
    """Return how much longer `pod` bears one taint; None for ever."""
    tolerating = [t for t in pod.spec.tolerations if t.tolerates(taint)]
    since_s = parse_rfc3339(taint.time_added) if taint.time_added else now_s
    if not tolerating:
        patience_s = unless_told_s if taint.key in READINESS.values() else 0
        return max(since_s + patience_s - now_s, 0)
    limits = [t.toleration_seconds for t in tolerating if t.toleration_seconds is not None]
    return max(since_s + min(limits) - now_s, 0) if limits else None
