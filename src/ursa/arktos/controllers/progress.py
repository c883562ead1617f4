"""A Deployment's status: what its sets report, whether it is available, whether it moves.

Condition Progressing is True while pods change towards the wanted state, and once they
have; it turns False when nothing has moved for spec.progressDeadlineSeconds. Its reason is
what `kubectl rollout status` and Helm read.
Source: Kubernetes, pkg/controller/deployment/progress.go and sync.go (calculateStatus).
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from ursa.arktos.controllers.conditions import (
    Conditions,
    condition,
    touched,
    with_condition,
    without_condition,
)
from ursa.arktos.controllers.rollout import Rollout
from ursa.base.clock import parse_rfc3339
from ursa.kinds.deployment import Deployment, DeploymentStatus
from ursa.kinds.part import Condition

NO_DEADLINE_S = 2**31 - 1  # how Kubernetes spells "never"

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
COMPLETE = "NewReplicaSetAvailable"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


class Step(NamedTuple):
    """What this pass of the controller does, as far as the status tells it."""

    creates: str = ""  # name of the set of the current template, if it is made in this pass
    rolls: bool = True  # neither paused nor being scaled


def status_of(
    deployment: Deployment, rollout: Rollout, step: Step, now_s: float
) -> DeploymentStatus:
    """Return the status that the sets give."""
    counted = _counted(deployment, rollout)
    before = deployment.status.conditions
    conditions = _availability(before, counted, rollout, now_s)
    conditions = _failure(conditions, rollout, now_s)
    conditions = _progress(conditions, deployment, counted, rollout, step, now_s)
    return replace(counted, conditions=touched(conditions, before, now_s=now_s))


def _counted(deployment: Deployment, rollout: Rollout) -> DeploymentStatus:
    available = sum(rs.status.available_replicas for rs in rollout.sets)
    return DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in rollout.sets),
        updated_replicas=rollout.new.status.replicas if rollout.new else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in rollout.sets),
        available_replicas=available,
        unavailable_replicas=max(sum(rollout.sizes.values()) - available, 0),
        collision_count=deployment.status.collision_count,
    )


def _availability(
    conditions: Conditions, status: DeploymentStatus, rollout: Rollout, now_s: float
) -> Conditions:
    if status.available_replicas >= rollout.available_min:
        said = "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    else:
        said = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    return with_condition(conditions, AVAILABLE, *said, now_s=now_s)


def _failure(conditions: Conditions, rollout: Rollout, now_s: float) -> Conditions:
    """Repeat what keeps a set from making its pods; the current template's set comes first."""
    for rs in reversed(rollout.sets):
        if found := condition(rs.status.conditions, REPLICA_FAILURE):
            said = found.status, found.reason, found.message
            return with_condition(conditions, REPLICA_FAILURE, *said, now_s=now_s)
    return without_condition(conditions, REPLICA_FAILURE)


def _progress(
    conditions: Conditions,
    deployment: Deployment,
    status: DeploymentStatus,
    rollout: Rollout,
    step: Step,
    now_s: float,
) -> Conditions:
    if deployment.spec.progress_deadline_seconds >= NO_DEADLINE_S:
        return without_condition(conditions, PROGRESSING)
    said = _said(condition(conditions, PROGRESSING), deployment, status, rollout, step, now_s)
    if said is None:
        return conditions
    if said[1] == UPDATED and (old := condition(conditions, PROGRESSING)):
        # Every movement moves lastUpdateTime, from which the deadline counts.
        conditions = tuple(replace(c, last_update_time=None) if c is old else c for c in conditions)
    return with_condition(conditions, PROGRESSING, *said, now_s=now_s)


def _said(
    old: Condition | None,
    deployment: Deployment,
    status: DeploymentStatus,
    rollout: Rollout,
    step: Step,
    now_s: float,
) -> tuple[str, str, str] | None:
    """Return Progressing's status, reason and message, or None to leave it as it is."""
    if deployment.spec.paused:
        return "Unknown", PAUSED, "Deployment is paused"
    if old and old.reason == PAUSED:
        return "Unknown", RESUMED, "Deployment is resumed"
    if step.creates:
        return "True", CREATED, f'Created new replica set "{step.creates}"'
    if not step.rolls or rollout.new is None:
        return None
    name = rollout.new.metadata.name
    if is_complete(deployment, status):
        return "True", COMPLETE, f'ReplicaSet "{name}" has successfully progressed.'
    if has_moved(deployment.status, status):
        return "True", UPDATED, f'ReplicaSet "{name}" is progressing.'
    if old is None:
        return "True", FOUND, f'Found new replica set "{name}"'
    if (left_s := deadline_s(deployment, old, now_s)) is not None and left_s <= 0:
        return "False", TIMED_OUT, f'ReplicaSet "{name}" has timed out progressing.'
    return None


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Return whether every pod is of the current template and available."""
    wanted = deployment.spec.replicas
    return (
        status.updated_replicas == status.replicas == status.available_replicas == wanted
        and status.observed_generation >= deployment.metadata.generation
    )


def has_moved(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """Return whether pods have come, gone or become ready in the wanted direction."""
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def deadline_s(deployment: Deployment, progressing: Condition, now_s: float) -> float | None:
    """Return the seconds left to make progress, 0 or less once over; None if none runs."""
    if progressing.reason in (COMPLETE, PAUSED) or progressing.last_update_time is None:
        return None
    since_s = parse_rfc3339(progressing.last_update_time)
    return since_s + deployment.spec.progress_deadline_seconds - now_s
