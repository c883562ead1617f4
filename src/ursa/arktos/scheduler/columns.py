"""Nodes as columns: what `place` computes on.

Letters used throughout: N nodes, R resources. A row is one resource of all nodes: contiguous,
so a filter is R passes over N numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ursa.arktos.scheduler.demand import CPU, MEMORY, PODS, STORAGE, Requests, Workload, amount
from ursa.kinds.node import Node
from ursa.kinds.placement import Taint

Mask = NDArray[np.bool_]  # (N,)
Points = NDArray[np.float64]  # (N,), 0..1, more is better
Counts = NDArray[np.int64]  # (N,)

BASE_RESOURCES = (CPU, MEMORY, PODS, STORAGE)  # the first rows; nodes' others follow by name


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the scheduler reads of a node. Heartbeats do not change it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: Requests
    runtime_ready: tuple[bool, ...]  # by Workload


@dataclass(frozen=True, slots=True)
class Nodes:
    """N nodes. Column i of every array is the same node; the arrays belong to the Cluster."""

    facts: tuple[NodeFacts, ...]
    resources: tuple[str, ...]  # names of the R rows
    capacity: NDArray[np.int64]  # (R, N): allocatable; units of demand.Requests
    free: NDArray[np.int64]  # (R, N): capacity minus requests of placed pods; may be negative
    runtime_ready: NDArray[np.bool_]  # (2, N), by Workload
    owned: dict[str, Counts] = field(default_factory=dict)
    """Controller's uid → how many of its pods each node holds."""
    memo: dict[Hashable, Any] = field(default_factory=dict)
    """Evaluations of facts alone, shared by equal pods."""

    def remembered(self, key: Hashable, evaluate: Callable[[], Any]) -> Any:
        """Return what `evaluate` returns; it runs once for each key."""
        if key not in self.memo:
            if len(self.memo) >= MEMO_MAX:
                self.memo.clear()
            self.memo[key] = evaluate()
        return self.memo[key]

    def vector(self, requests: Requests) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return ((R,) requests, the names asked for that no node has)."""
        absent = tuple(n for n, v in requests.items() if v > 0 and n not in self.resources)
        return np.array([requests.get(name, 0) for name in self.resources], np.int64), absent


MEMO_MAX = 4096  # distinct rules of pods between two changes of the nodes


def facts_of(node: Node) -> NodeFacts:
    return NodeFacts(
        name=node.metadata.name,
        labels=node.metadata.labels,
        taints=node.spec.taints,
        unschedulable=node.spec.unschedulable,
        allocatable={n: amount(n, text) for n, text in node.status.allocatable.items()},
        runtime_ready=_runtime_ready(node),
    )


def _runtime_ready(node: Node) -> tuple[bool, ...]:
    """A node that is not heard of (Ready is Unknown or missing) has no runtime that is ready.

    Each kind of runtime has its condition. Where a node has none for containers, as a foreign
    kubelet's, Ready stands for it.
    """
    status = {c.type: c.status for c in node.status.conditions}
    if status.get("Ready", "Unknown") == "Unknown":
        return (False, False)
    container = status.get("ContainerRuntimeReady", status["Ready"])
    return (container == "True", status.get("VmRuntimeReady") == "True")


def nodes_from(facts: Sequence[NodeFacts]) -> Nodes:
    """Return the columns of empty nodes, by name."""
    ordered = tuple(sorted(facts, key=lambda node: node.name))
    offered = {name for node in ordered for name in node.allocatable}
    resources = (*BASE_RESOURCES, *sorted(offered - set(BASE_RESOURCES)))
    shape = (len(resources), len(ordered))
    capacity = np.array(
        [[node.allocatable.get(name, 0) for node in ordered] for name in resources], np.int64
    ).reshape(shape)
    ready = np.array([node.runtime_ready for node in ordered], bool).reshape(-1, len(Workload))
    return Nodes(ordered, resources, capacity, capacity.copy(), np.ascontiguousarray(ready.T))
