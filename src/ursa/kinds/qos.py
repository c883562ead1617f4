"""A pod's quality-of-service class, by its requests and limits.

Source: Kubernetes, pkg/apis/core/v1/helper/qos (ComputePodQOS); Arktos: a virtual machine
counts as one container.
"""

from __future__ import annotations

from typing import Any

from ursa.base import quantity
from ursa.kinds.pod_defaults import workloads

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
_COUNTED = ("cpu", "memory")


def qos_class(spec: dict[str, Any]) -> str:
    """Return Guaranteed, Burstable or BestEffort."""
    shares = [share for workload in workloads(spec) for share in _shares(workload)]
    if not any(request or limit for request, limit in shares):
        return BEST_EFFORT
    if all(limit and request == limit for request, limit in shares):
        return GUARANTEED
    return BURSTABLE


def _shares(workload: dict[str, Any]) -> list[tuple[int, int]]:
    """Return (request, limit) in thousandths for each counted resource; 0 is none."""
    resources = workload.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    return [
        (quantity.millis(requests.get(name, 0)), quantity.millis(limits.get(name, 0)))
        for name in _COUNTED
    ]
