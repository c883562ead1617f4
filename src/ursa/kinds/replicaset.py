"""ReplicaSet: a number of equal pods. Source: Kubernetes, api/apps/v1/types.go (ReplicaSet)."""

from __future__ import annotations

from ursa.kinds.part import Condition, LabelSelector, ObjectMeta, Part, Scope, kind
from ursa.kinds.pod import PodTemplate


class ReplicaSetSpec(Part):
    selector: LabelSelector = LabelSelector()
    """Immutable; matches the template's labels."""
    template: PodTemplate = PodTemplate()
    replicas: int = 1
    min_ready_seconds: int = 0


class ReplicaSetStatus(Part):
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    observed_generation: int = 0
    """The metadata.generation this status was computed from."""
    conditions: tuple[Condition, ...] = ()


@kind("apps/v1", plural="replicasets", scope=Scope.NAMESPACE)
class ReplicaSet(Part):
    metadata: ObjectMeta
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()
