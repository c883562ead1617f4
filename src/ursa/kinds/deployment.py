"""Deployment: replicas of a pod, rolled from one template to the next.

Source: Kubernetes, api/apps/v1/types.go (Deployment).
"""

from __future__ import annotations

from ursa.kinds.container import IntOrString
from ursa.kinds.part import Condition, LabelSelector, ObjectMeta, Part, Scope, kind
from ursa.kinds.pod import PodTemplate


class RollingUpdate(Part):
    """A number of pods, or a percentage of spec.replicas; not both may be 0."""

    max_unavailable: IntOrString = "25%"
    """Percentages are rounded down."""
    max_surge: IntOrString = "25%"
    """Percentages are rounded up."""


class DeploymentStrategy(Part):
    type: str = "RollingUpdate"
    """RollingUpdate or Recreate."""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Part):
    selector: LabelSelector = LabelSelector()
    """Immutable; matches the template's labels."""
    template: PodTemplate = PodTemplate()
    replicas: int = 1
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    paused: bool = False
    progress_deadline_seconds: int = 600


class DeploymentStatus(Part):
    observed_generation: int = 0
    """The metadata.generation this status was computed from."""
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    collision_count: int | None = None
    conditions: tuple[Condition, ...] = ()


@kind("apps/v1", plural="deployments", scope=Scope.NAMESPACE)
class Deployment(Part):
    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()
