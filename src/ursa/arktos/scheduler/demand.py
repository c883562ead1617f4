"""What one pod asks for: resources by name, and rules about the nodes that it may run on.

Source: Kubernetes, component-helpers/resource (PodRequests) and KEP-753 (sidecars).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec
from msgspec import field

from ursa.base import quantity
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.part import Part
from ursa.kinds.placement import NodeSelector, PreferredSchedulingTerm, Toleration
from ursa.kinds.pod import Pod

CPU, MEMORY, PODS, STORAGE = "cpu", "memory", "pods", "ephemeral-storage"
Requests = Mapping[str, int]  # cpu in millicores; memory and storage in bytes; else in units


class Workload(IntEnum):
    """Which kind of runtime runs the pod: a row of Nodes.runtime_ready."""

    CONTAINER = 0
    VM = 1


class NodeRules(Part):
    """What a pod says about nodes. Equal pods have equal rules, and share their evaluation."""

    selector: dict[str, str] = field(default_factory=dict)
    required: NodeSelector | None = None
    preferred: tuple[PreferredSchedulingTerm, ...] = ()
    tolerations: tuple[Toleration, ...] = ()

    def key(self) -> bytes:
        return msgspec.json.encode(self)


NO_RULES = NodeRules()


def workload_of(pod: Pod) -> Workload:
    return Workload.CONTAINER if pod.spec.virtual_machine is None else Workload.VM


def rules_of(pod: Pod) -> NodeRules:
    affinity = pod.spec.affinity and pod.spec.affinity.node_affinity
    return NodeRules(
        selector=pod.spec.node_selector,
        required=affinity.required_during_scheduling_ignored_during_execution if affinity else None,
        preferred=affinity.preferred_during_scheduling_ignored_during_execution if affinity else (),
        tolerations=pod.spec.tolerations,
    )


def requests_of(pod: Pod) -> Requests:
    """Return what the pod holds of its node at its peak, its place among the pods included.

    ValueError for a quantity that is none; the API server stores no such pod.
    """
    spec = pod.spec
    if spec.virtual_machine is not None:
        total = _amounts(spec.virtual_machine.resources)
    else:
        total = _peak(spec.init_containers, spec.containers)
    if spec.resources is not None:  # of the pod as a whole: wins over the containers' sum
        total = {**total, **_amounts(spec.resources)}
    return {**_sum([total, _parsed(spec.overhead)]), PODS: 1}


def _peak(initial: Iterable[Container], main: Iterable[Container]) -> Requests:
    """Init containers run one by one, each beside the sidecars that started before it."""
    sidecars: Requests = {}
    peak: Requests = {}
    for container in initial:
        amounts = _amounts(container.resources)
        if container.restart_policy == "Always":
            sidecars = _sum([sidecars, amounts])
            peak = _max(peak, sidecars)
        else:
            peak = _max(peak, _sum([sidecars, amounts]))
    return _max(peak, _sum([sidecars, *(_amounts(c.resources) for c in main)]))


def _amounts(resources: ResourceRequirements) -> Requests:
    """A limit without a request is the request, for containers and machines alike."""
    return _parsed({**resources.limits, **resources.requests})


def _parsed(resources: Mapping[str, str | int | float]) -> Requests:
    return {name: amount(name, text) for name, text in resources.items()}


def amount(name: str, text: str | int | float) -> int:
    """Return a quantity in the unit of its resource."""
    return quantity.millis(text) if name == CPU else quantity.whole(text)


def _sum(parts: Iterable[Requests]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _max(one: Requests, other: Requests) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}
