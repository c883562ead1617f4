"""Choose a node for a pod: arithmetic on arrays; no I/O, no clock, no randomness.

Filters say which nodes may not take the pod; scores say how much the others are liked. A node
is counted by the first filter that refuses it, there by each of its reasons.
Source: Kubernetes scheduling framework, the Filter and Score extension points, the default
plugins' order, weights and messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ursa.arktos.scheduler import matching
from ursa.arktos.scheduler.columns import Mask, Nodes, Points
from ursa.arktos.scheduler.demand import NO_RULES, PODS, NodeRules, Workload
from ursa.arktos.scheduler.peers import Refusal

UNSCHEDULABLE = "node(s) were unschedulable"
UNMATCHED = "node(s) didn't match Pod's node affinity/selector"
RUNTIME = "node(s) runtime is not ready"
TIE_DIGITS = 9  # scores that differ by less are equal: the order of additions must not decide
BALANCED_ROWS = 3  # cpu, memory, pods: what least_allocated averages


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod asks for."""

    resources: NDArray[np.int64]  # (R,): units of Nodes.free
    absent: tuple[str, ...] = ()  # resources asked for that no node has
    workload: Workload = Workload.CONTAINER
    rules: NodeRules = NO_RULES
    owner: str = ""  # uid of the controller whose pods are spread; "" for none
    peers: Sequence[Refusal] = ()  # what other pods rule out


@dataclass(frozen=True, slots=True)
class NoFit:
    """No node may take the pod."""

    nodes: int
    refused: Mapping[str, int]

    def __str__(self) -> str:
        if not self.nodes:
            return "no nodes available to schedule pods"
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in self.refused.items()))
        return f"0/{self.nodes} nodes are available: {reasons}."


def unschedulable(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    yield UNSCHEDULABLE, matching.cordoned(demand.rules, nodes)


def untolerated(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    for taint, mask in matching.untolerated(demand.rules, nodes).items():
        yield f"node(s) had untolerated taint {taint}", mask


def unmatched(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    yield UNMATCHED, ~matching.matched(demand.rules, nodes)


def runtime_not_ready(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    yield RUNTIME, ~nodes.runtime_ready[demand.workload]


def insufficient(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    """What is not asked for cannot be short, even where a node is over-committed."""
    for row, name in enumerate(nodes.resources):
        if (wanted := demand.resources[row]) > 0:
            reason = "Too many pods" if name == PODS else f"Insufficient {name}"
            yield reason, nodes.free[row] < wanted
    for name in demand.absent:
        yield f"Insufficient {name}", np.ones(len(nodes.facts), bool)


def refused_by_peers(demand: Demand, nodes: Nodes) -> Iterator[Refusal]:
    yield from demand.peers


def least_allocated(demand: Demand, nodes: Nodes, fits: Mask) -> Points:
    """Mean free share after placement: 1 for an empty node, 0 for a full one."""
    rows = slice(BALANCED_ROWS)
    left = nodes.free[rows] - demand.resources[rows, None]
    shares: Points = (left / np.maximum(nodes.capacity[rows], 1)).mean(axis=0)
    return shares.clip(0, 1)


def evenly_spread(demand: Demand, nodes: Nodes, fits: Mask) -> Points:
    """Of the nodes that fit: 1 for the fewest pods of the same set, 0 for the most."""
    held = nodes.owned.get(demand.owner)
    if held is None:
        return np.zeros(len(nodes.facts))
    fewest, most = held[fits].min(), held[fits].max()
    return ((most - held) / max(most - fewest, 1)).clip(0, 1)


def node_preference(demand: Demand, nodes: Nodes, fits: Mask) -> Points:
    return matching.preference(demand.rules, nodes)


def taint_avoidance(demand: Demand, nodes: Nodes, fits: Mask) -> Points:
    return matching.avoidance(demand.rules, nodes)


FILTERS: tuple[Callable[[Demand, Nodes], Iterator[Refusal]], ...] = (
    unschedulable,
    untolerated,
    unmatched,
    runtime_not_ready,
    insufficient,
    refused_by_peers,
)
SCORES: tuple[tuple[float, Callable[[Demand, Nodes, Mask], Points]], ...] = (
    (3.0, taint_avoidance),
    (2.0, node_preference),
    (2.0, evenly_spread),
    (1.0, least_allocated),
)


def place(demand: Demand, nodes: Nodes) -> int | NoFit:
    """Return the column of the best node (the lowest wins a tie), or why none fits."""
    fits = np.ones(len(nodes.facts), bool)
    refused: dict[str, int] = {}
    for refuses in FILTERS:
        lost = np.zeros_like(fits)
        for reason, mask in refuses(demand, nodes):
            refusing = fits & mask
            if count := int(np.count_nonzero(refusing)):
                refused[reason] = refused.get(reason, 0) + count
                lost |= refusing
        fits &= ~lost
    if not fits.any():
        return NoFit(len(nodes.facts), refused)
    liked: Points = sum(
        (weight * score(demand, nodes, fits) for weight, score in SCORES), np.zeros(len(fits))
    )
    return int(np.where(fits, liked.round(TIE_DIGITS), -np.inf).argmax())
