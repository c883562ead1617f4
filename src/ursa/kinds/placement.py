"""Where a pod may and would like to run, as the scheduler reads it.

Source: Kubernetes, api/core/v1/types.go (Affinity, Toleration, TopologySpreadConstraint).
"""

from __future__ import annotations

from ursa.kinds.part import LabelSelector, Part


class NodeSelectorRequirement(Part):
    key: str = ""
    operator: str = ""
    """In, NotIn, Exists, DoesNotExist, Gt or Lt."""
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Part):
    """All requirements must hold; a term without any matches no node."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()
    """On `metadata.name` alone."""


class NodeSelector(Part):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()
    """One of them must match."""


class PreferredSchedulingTerm(Part):
    weight: int = 0
    """1..100."""
    preference: NodeSelectorTerm = NodeSelectorTerm()


class NodeAffinity(Part):
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()


class PodAffinityTerm(Part):
    topology_key: str = ""
    label_selector: LabelSelector | None = None
    """None matches no pod."""
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Part):
    weight: int = 0
    """1..100."""
    pod_affinity_term: PodAffinityTerm = PodAffinityTerm()


class PodAffinity(Part):
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class Affinity(Part):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Taint(Part):
    key: str = ""
    value: str = ""
    effect: str = ""
    """NoSchedule, PreferNoSchedule or NoExecute."""
    time_added: str | None = None


class Toleration(Part):
    key: str = ""
    """Empty with operator Exists: every taint."""
    operator: str = ""
    """Equal (also "") or Exists."""
    value: str = ""
    effect: str = ""
    """Empty: every effect."""
    toleration_seconds: int | None = None
    """How long a NoExecute taint is borne; None: forever."""

    def tolerates(self, taint: Taint) -> bool:
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or self.value == taint.value


class TopologySpreadConstraint(Part):
    max_skew: int = 0
    topology_key: str = ""
    when_unsatisfiable: str = ""
    """DoNotSchedule or ScheduleAnyway."""
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: tuple[str, ...] = ()
