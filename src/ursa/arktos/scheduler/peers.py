"""What a pod's place has to do with other pods: affinity, anti-affinity, topology spread.

A peer is a placed pod of the same tenant: another tenant's pods are neither sought nor shunned.
Source: Kubernetes, scheduler plugins interpodaffinity and podtopologyspread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ursa.arktos.scheduler.columns import Counts, Mask, Nodes
from ursa.kinds.part import LabelSelector
from ursa.kinds.placement import PodAffinity, PodAffinityTerm, TopologySpreadConstraint
from ursa.kinds.pod import Pod

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = f"{SPREAD} (missing required label)"

NamespaceLabels = Mapping[str, Mapping[str, str]]  # of one tenant
Refusal = tuple[str, Mask]


class Peer(NamedTuple):
    pod: Pod
    column: int


def has_rules(pod: Pod) -> bool:
    """Return whether the pod's place depends on other pods by its own rules."""
    affinity = pod.spec.affinity
    return bool(pod.spec.topology_spread_constraints) or (
        affinity is not None
        and (affinity.pod_affinity is not None or affinity.pod_anti_affinity is not None)
    )


def anti_affinity_terms(pod: Pod) -> tuple[PodAffinityTerm, ...]:
    return _terms(pod.spec.affinity.pod_anti_affinity if pod.spec.affinity else None)


def refusals(
    pod: Pod,
    peers: Sequence[Peer],
    shunning: Iterable[Peer],
    admitted: Mask,
    nodes: Nodes,
    namespaces: NamespaceLabels,
) -> list[Refusal]:
    """Return which nodes other pods rule out, and why, in Kubernetes' order.

    `shunning` are the peers that have anti-affinity terms themselves; `admitted` are the nodes
    that the pod's own rules match.
    """
    found = _spread(pod, peers, admitted, nodes)
    found += _affinity(pod, peers, nodes, namespaces)
    found += _anti_affinity(pod, peers, nodes, namespaces)
    return found + _existing_anti_affinity(pod, shunning, nodes, namespaces)


def _spread(pod: Pod, peers: Sequence[Peer], admitted: Mask, nodes: Nodes) -> list[Refusal]:
    strict = [
        constraint
        for constraint in pod.spec.topology_spread_constraints
        if constraint.when_unsatisfiable != "ScheduleAnyway"
    ]
    eligible = admitted.copy()
    for constraint in strict:
        eligible &= _domains(constraint.topology_key, nodes) >= 0
    found: list[Refusal] = []
    for constraint in strict:
        domains = _domains(constraint.topology_key, nodes)
        found.append((SPREAD_LABEL, domains < 0))
        found.append((SPREAD, _skewed(pod, constraint, domains, eligible, peers)))
    return found


def _skewed(
    pod: Pod,
    constraint: TopologySpreadConstraint,
    domains: NDArray[np.int64],
    eligible: Mask,
    peers: Sequence[Peer],
) -> Mask:
    """Return the nodes where the pod would put its domain too far above the emptiest one."""

    def counts_for(peer: Peer) -> bool:
        meta = peer.pod.metadata
        return (
            meta.namespace == pod.metadata.namespace
            and meta.deletion_timestamp is None
            and bool(eligible[peer.column])
            and _selects(constraint.label_selector, peer.pod)
        )

    held = _by_domain(peers, domains, counts_for)
    present = np.unique(domains[eligible])
    least = int(held[present].min()) if len(present) else 0
    if constraint.min_domains is not None and len(present) < constraint.min_domains:
        least = 0
    itself = int(_selects(constraint.label_selector, pod))
    skewed: Mask = held[domains] + itself - least > constraint.max_skew
    return skewed & (domains >= 0)


def _affinity(
    pod: Pod, peers: Sequence[Peer], nodes: Nodes, namespaces: NamespaceLabels
) -> list[Refusal]:
    terms = _terms(pod.spec.affinity.pod_affinity if pod.spec.affinity else None)
    if not terms:
        return []
    counts = [_matching(term, pod, peers, nodes, namespaces) for term in terms]
    refused = np.zeros(len(nodes.facts), bool)
    if not any(count.any() for count in counts) and all(
        _in_reach(term, pod, pod, namespaces) for term in terms
    ):  # the first of a group that wants to be together
        for term in terms:
            refused |= _domains(term.topology_key, nodes) < 0
    else:
        for count in counts:
            refused |= count == 0
    return [(AFFINITY, refused)]


def _anti_affinity(
    pod: Pod, peers: Sequence[Peer], nodes: Nodes, namespaces: NamespaceLabels
) -> list[Refusal]:
    refused = np.zeros(len(nodes.facts), bool)
    for term in anti_affinity_terms(pod):
        refused |= _matching(term, pod, peers, nodes, namespaces) > 0
    return [(ANTI_AFFINITY, refused)]


def _existing_anti_affinity(
    pod: Pod, shunning: Iterable[Peer], nodes: Nodes, namespaces: NamespaceLabels
) -> list[Refusal]:
    refused = np.zeros(len(nodes.facts), bool)
    for peer in shunning:
        for term in anti_affinity_terms(peer.pod):
            if _in_reach(term, peer.pod, pod, namespaces):
                domains = _domains(term.topology_key, nodes)
                refused |= (domains == domains[peer.column]) & (domains >= 0)
    return [(EXISTING_ANTI_AFFINITY, refused)]


def _matching(
    term: PodAffinityTerm,
    pod: Pod,
    peers: Sequence[Peer],
    nodes: Nodes,
    namespaces: NamespaceLabels,
) -> Counts:
    """Return (N,) how many peers that the term selects are in each node's domain."""
    domains = _domains(term.topology_key, nodes)
    held = _by_domain(peers, domains, lambda peer: _in_reach(term, pod, peer.pod, namespaces))
    return np.where(domains >= 0, held[domains], 0)


def _in_reach(term: PodAffinityTerm, owner: Pod, other: Pod, namespaces: NamespaceLabels) -> bool:
    """Return whether the term, of `owner`, selects `other`: by namespace and by labels."""
    where = other.metadata.namespace
    chosen = term.namespace_selector
    if chosen is not None:
        here = where in term.namespaces or chosen.matches(dict(namespaces.get(where, {})))
    else:
        here = where in (term.namespaces or (owner.metadata.namespace,))
    return here and _selects(term.label_selector, other)


def _selects(selector: LabelSelector | None, pod: Pod) -> bool:
    return selector is not None and selector.matches(pod.metadata.labels)


def _domains(topology_key: str, nodes: Nodes) -> NDArray[np.int64]:
    """Return (N,) the number of each node's domain; -1 for a node without the label."""

    def evaluate() -> NDArray[np.int64]:
        numbers: dict[str, int] = {}
        column = []
        for node in nodes.facts:
            value = node.labels.get(topology_key)
            column.append(-1 if value is None else numbers.setdefault(value, len(numbers)))
        return np.array(column, np.int64)

    domains: NDArray[np.int64] = nodes.remembered(("domains", topology_key), evaluate)
    return domains


def _by_domain(
    peers: Sequence[Peer], domains: NDArray[np.int64], wanted: Callable[[Peer], bool]
) -> Counts:
    """Return (domains,) how many wanted peers each holds; its last entry answers index -1."""
    held = np.zeros(int(domains.max(initial=-1)) + 2, np.int64)
    for peer in peers:
        if domains[peer.column] >= 0 and wanted(peer):
            held[domains[peer.column]] += 1
    return held


def _terms(affinity: PodAffinity | None) -> tuple[PodAffinityTerm, ...]:
    return () if affinity is None else affinity.required_during_scheduling_ignored_during_execution
