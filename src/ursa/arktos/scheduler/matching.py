"""Which nodes a pod's rules admit: labels, fields and taints of nodes.

Source: Kubernetes, component-helpers/scheduling/corev1 (nodeaffinity) and core/v1/helpers.
"""

from __future__ import annotations

import numpy as np

from ursa.arktos.scheduler.columns import Mask, NodeFacts, Nodes, Points
from ursa.arktos.scheduler.demand import NodeRules
from ursa.kinds.placement import NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration

UNSCHEDULABLE = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
REFUSING_EFFECTS = ("NoSchedule", "NoExecute")


def matched(rules: NodeRules, nodes: Nodes) -> Mask:
    """Return which nodes satisfy nodeSelector and the required node affinity."""
    if not rules.selector and rules.required is None:
        return np.ones(len(nodes.facts), bool)
    key = ("matched", NodeRules(selector=rules.selector, required=rules.required).key())
    mask: Mask = nodes.remembered(
        key, lambda: np.array([_admits(rules, node) for node in nodes.facts], bool)
    )
    return mask


def untolerated(rules: NodeRules, nodes: Nodes) -> dict[str, Mask]:
    """Return, by `{key: value}` of the taint, which nodes have it as their first untolerated."""
    key = ("untolerated", NodeRules(tolerations=rules.tolerations).key())
    masks: dict[str, Mask] = nodes.remembered(key, lambda: _untolerated(rules.tolerations, nodes))
    return masks


def cordoned(rules: NodeRules, nodes: Nodes) -> Mask:
    if any(toleration.tolerates(UNSCHEDULABLE) for toleration in rules.tolerations):
        return np.zeros(len(nodes.facts), bool)
    mask: Mask = nodes.remembered(
        "cordoned", lambda: np.array([node.unschedulable for node in nodes.facts], bool)
    )
    return mask


def preference(rules: NodeRules, nodes: Nodes) -> Points:
    """Return the share of preferred node affinity's weight that each node has."""
    if not rules.preferred:
        return np.zeros(len(nodes.facts))
    key = ("preference", NodeRules(preferred=rules.preferred).key())
    points: Points = nodes.remembered(key, lambda: _preference(rules, nodes))
    return points


def avoidance(rules: NodeRules, nodes: Nodes) -> Points:
    """Return 1 for nodes without an untolerated PreferNoSchedule taint, less for others."""
    key = ("avoidance", NodeRules(tolerations=rules.tolerations).key())
    points: Points = nodes.remembered(key, lambda: _avoidance(rules.tolerations, nodes))
    return points


def _admits(rules: NodeRules, node: NodeFacts) -> bool:
    if any(node.labels.get(key) != value for key, value in rules.selector.items()):
        return False
    return rules.required is None or any(
        term_matches(term, node) for term in rules.required.node_selector_terms
    )


def term_matches(term: NodeSelectorTerm, node: NodeFacts) -> bool:
    """A term without any requirement matches no node."""
    if not (term.match_expressions or term.match_fields):
        return False
    fields = {"metadata.name": node.name}
    return all(_satisfies(r, node.labels.get(r.key)) for r in term.match_expressions) and all(
        _satisfies(r, fields.get(r.key)) for r in term.match_fields
    )


def _satisfies(requirement: NodeSelectorRequirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
    raise ValueError(f"node selector operator {requirement.operator!r} is unknown")


def _compares(requirement: NodeSelectorRequirement, value: str | None) -> bool:
    try:
        number, bound = int(value or ""), int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if requirement.operator == "Gt" else number < bound


def _untolerated(tolerations: tuple[Toleration, ...], nodes: Nodes) -> dict[str, Mask]:
    masks: dict[str, Mask] = {}
    for column, node in enumerate(nodes.facts):
        taint = _first(node.taints, tolerations, REFUSING_EFFECTS)
        if taint is not None:
            name = f"{{{taint.key}: {taint.value}}}"
            masks.setdefault(name, np.zeros(len(nodes.facts), bool))[column] = True
    return masks


def _first(
    taints: tuple[Taint, ...], tolerations: tuple[Toleration, ...], effects: tuple[str, ...]
) -> Taint | None:
    for taint in taints:
        if taint.effect in effects and not any(t.tolerates(taint) for t in tolerations):
            return taint
    return None


def _preference(rules: NodeRules, nodes: Nodes) -> Points:
    total = sum(term.weight for term in rules.preferred) or 1
    return np.array(
        [
            sum(t.weight for t in rules.preferred if term_matches(t.preference, node)) / total
            for node in nodes.facts
        ]
    )


def _avoidance(tolerations: tuple[Toleration, ...], nodes: Nodes) -> Points:
    borne = [
        sum(
            taint.effect == "PreferNoSchedule" and not any(t.tolerates(taint) for t in tolerations)
            for taint in node.taints
        )
        for node in nodes.facts
    ]
    return 1 - np.array(borne, np.float64) / max(*borne, 1, 1)
