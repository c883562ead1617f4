"""What a pod's requests and limits mean to the kernel: shares, quotas, limits, QoS. Pure.

Units: cpu in millicores and microseconds per period, memory in bytes.
Source: Kubernetes, pkg/kubelet/cm/helpers_linux.go, pkg/apis/core/v1/helper/qos,
pkg/kubelet/qos/policy.go; the v1 → v2 weights are those of KEP-2254.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ursa.base import quantity
from ursa.kinds.container import Container, ResourceList, ResourceRequirements
from ursa.kinds.pod import Pod

PERIOD_US = 100_000
QUOTA_MIN_US = 1_000  # the kernel's least
SHARES_MIN, SHARES_MAX = 2, 262_144  # the kernel's bounds
SHARES_PER_CORE = 1024
WEIGHT_MAX = 10_000

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
OOM_GUARANTEED, OOM_BEST_EFFORT = -997, 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cgroup gets. 0 means no limit."""

    cpu_shares: int = SHARES_MIN
    cpu_quota_us: int = 0
    memory_bytes: int = 0


def cpu_millicores(resources: ResourceList) -> int:
    return quantity.millis(resources.get("cpu", 0))


def memory_bytes(resources: ResourceList) -> int:
    return quantity.whole(resources.get("memory", 0))


def container_limits(resources: ResourceRequirements, quota_max_us: int = 0) -> Limits:
    """Return a container's limits. A quota above `quota_max_us` (its parents'; 0: none) is
    clamped, because version 1 refuses it.
    """
    requested = cpu_millicores(resources.requests) or cpu_millicores(resources.limits)
    quota_us = quota(cpu_millicores(resources.limits))
    if quota_max_us and quota_us > quota_max_us:
        quota_us = quota_max_us
    return Limits(shares(requested), quota_us, memory_bytes(resources.limits))


def pod_limits(containers: Iterable[Container], init: Iterable[Container]) -> Limits:
    """Return the limits of a pod's own cgroup: the sums, or what one init container needs.

    A limit stands only if every container has it.
    """
    together = [container_limits(c.resources) for c in containers]
    alone = [container_limits(c.resources) for c in init]
    return Limits(
        cpu_shares=_sum_or_max([x.cpu_shares for x in together], [x.cpu_shares for x in alone]),
        cpu_quota_us=_bounded([x.cpu_quota_us for x in together], [x.cpu_quota_us for x in alone]),
        memory_bytes=_bounded([x.memory_bytes for x in together], [x.memory_bytes for x in alone]),
    )


def _sum_or_max(together: list[int], alone: list[int]) -> int:
    return min(max([sum(together), *alone]), SHARES_MAX)


def _bounded(together: list[int], alone: list[int]) -> int:
    if not together or not all((*together, *alone)):
        return 0
    return max([sum(together), *alone])


def shares(millicores: int) -> int:
    return min(max(millicores * SHARES_PER_CORE // 1000, SHARES_MIN), SHARES_MAX)


def quota(millicores: int) -> int:
    """Return microseconds per PERIOD_US, 0 for no limit."""
    return max(millicores * PERIOD_US // 1000, QUOTA_MIN_US) if millicores else 0


def weight(cpu_shares: int) -> int:
    """Return the cgroup-v2 weight, 1..10000, of version-1 shares."""
    return 1 + (cpu_shares - SHARES_MIN) * (WEIGHT_MAX - 1) // (SHARES_MAX - SHARES_MIN)


def qos_class(containers: Iterable[Container]) -> str:
    """Return the pod's QoS class, judged over all its containers."""
    listed = [c.resources for c in containers]
    named = [r for r in listed if _has(r.requests) or _has(r.limits)]
    if not named:
        return BEST_EFFORT
    return GUARANTEED if all(_is_guaranteed(r) for r in listed) else BURSTABLE


def _has(resources: ResourceList) -> bool:
    return cpu_millicores(resources) > 0 or memory_bytes(resources) > 0


def _is_guaranteed(resources: ResourceRequirements) -> bool:
    """Whether cpu and memory have limits, and requests, where named, equal them."""
    for measure, name in ((cpu_millicores, "cpu"), (memory_bytes, "memory")):
        limit = measure(resources.limits)
        if limit == 0 or (name in resources.requests and measure(resources.requests) != limit):
            return False
    return True


def oom_score_adj(qos: str, resources: ResourceRequirements, machine_bytes: int) -> int:
    """Return how willingly the kernel kills a process of the container, -997..1000."""
    if qos == GUARANTEED:
        return OOM_GUARANTEED
    if qos == BEST_EFFORT:
        return OOM_BEST_EFFORT
    score = 1000 - 1000 * memory_bytes(resources.requests) // machine_bytes
    return min(max(score, 1000 + OOM_GUARANTEED), OOM_BEST_EFFORT - 1)


def workloads(pod: Pod) -> tuple[Container, ...]:
    """Return every container whose resources count: init containers and the main ones."""
    vm = pod.spec.virtual_machine
    mains = pod.spec.containers if vm is None else (Container(resources=vm.resources),)
    return (*pod.spec.init_containers, *mains)
