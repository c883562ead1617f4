"""Deployment: roll the pods of a template from one ReplicaSet to the next.

    sets ──claim──▶ Rollout ──roll | recreate | scale──▶ sizes ──▶ create, patch, delete
                       └──────────────── progress ─────────────────▶ status

`plan` decides and is pure. A write carries the revision of the set that was read, so a plan
from a stale cache ends in a Conflict; the set of a template is named by the template's hash,
so it is made once.
Source: Kubernetes, pkg/controller/deployment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ursa.arktos.controllers import progress, revision
from ursa.arktos.controllers.conditions import condition
from ursa.arktos.controllers.ownership import (
    Claim,
    Orphans,
    carry_out,
    claim,
    controller_of,
    owner_key,
)
from ursa.arktos.controllers.rollout import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    Rollout,
    Sizes,
    is_scaling,
    limits,
    new_size,
    recreate,
    roll,
    scale,
)
from ursa.arktos.controllers.runtime import Controller, Result, each, own_key
from ursa.base.clock import Clock
from ursa.base.errors import AlreadyExists
from ursa.client import Client, Key, Lister, Recorder, key_of
from ursa.kinds.deployment import Deployment, DeploymentStatus
from ursa.kinds.pod import Pod
from ursa.kinds.replicaset import ReplicaSet

log = logging.getLogger(__name__)

WORKERS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """A merge patch of one set, and its replicas before and after."""

    set: ReplicaSet
    patch: dict[str, Any]
    replicas: int


@dataclass(frozen=True, slots=True)
class Plan:
    claim: Claim[ReplicaSet]
    create: ReplicaSet | None
    change: tuple[Change, ...]
    delete: tuple[ReplicaSet, ...]
    annotations: dict[str, str]  # of the Deployment, to add
    status: DeploymentStatus
    requeue_after_s: float | None  # until the progress deadline is over


def plan(
    deployment: Deployment,
    sets: Sequence[ReplicaSet],
    pods_by_set: Mapping[str, int],
    now_s: float,
) -> Plan:
    """Return the next writes of a rollout.

    `sets` are controlled or orphaned, in any order; `pods_by_set` counts, by the set's uid,
    pods that have not finished, terminating ones included.
    """
    claimed = claim(deployment, deployment.spec.selector, sets)
    rollout = rollout_of(deployment, [*claimed.keep, *claimed.adopt])
    old_pods = sum(pods_by_set.get(rs.metadata.uid, 0) for rs in rollout.old)
    number = revision.next_revision(rollout.old)
    annotations = revision.annotations_of(deployment, rollout.new, number)
    create = first_set(deployment, rollout, annotations, old_pods)
    scaling = deployment.spec.paused or is_scaling(rollout)
    sizes = sizes_of(deployment, rollout, old_pods, scaling=scaling)
    step = progress.Step(create.metadata.name if create else "", rolls=not scaling)
    status = progress.status_of(deployment, rollout, step, now_s)
    return Plan(
        claim=claimed,
        create=create,
        change=tuple(changes(deployment, rollout, sizes, annotations)),
        delete=obsolete(deployment, rollout, status),
        annotations=revision_to_tell(deployment, annotations, known=bool(create or rollout.new)),
        status=status,
        requeue_after_s=requeue_after_s(deployment, status, now_s),
    )


def rollout_of(deployment: Deployment, sets: Sequence[ReplicaSet]) -> Rollout:
    new = revision.find_new(deployment, sets)
    old = sorted((rs for rs in sets if rs is not new), key=revision.age)
    surge, unavailable = limits(deployment.spec)
    return Rollout(deployment.spec.replicas, surge, unavailable, new, tuple(old))


def first_set(
    deployment: Deployment, rollout: Rollout, annotations: dict[str, str], old_pods: int
) -> ReplicaSet | None:
    """Return the current template's set if it is to be made in this pass."""
    if rollout.new is not None or deployment.spec.paused:
        return None
    if deployment.spec.strategy.type == "Recreate":
        if old_pods or any(rs.spec.replicas for rs in rollout.old):
            return None
        replicas = rollout.replicas
    else:
        replicas = new_size(rollout)
    return revision.new_set(deployment, annotations | sized_for(rollout), replicas)


def sizes_of(deployment: Deployment, rollout: Rollout, old_pods: int, *, scaling: bool) -> Sizes:
    rolling = deployment.spec.strategy.type == "RollingUpdate"
    if scaling:
        return scale(rollout, rolling=rolling)
    return roll(rollout) if rolling else recreate(rollout, old_pods=old_pods)


def sized_for(rollout: Rollout) -> dict[str, str]:
    """Return the annotations that say which spec a set's size was computed for."""
    return {DESIRED_REPLICAS: str(rollout.replicas), MAX_REPLICAS: str(rollout.pods_max)}


def changes(
    deployment: Deployment, rollout: Rollout, sizes: Sizes, annotations: dict[str, str]
) -> Iterable[Change]:
    """Yield the patches that give every set its size, and the new one what it carries."""
    for rs in rollout.sets:
        size = sizes[rs.metadata.name]
        spec: dict[str, Any] = {}
        wanted = dict(annotations) if rs is rollout.new else {}
        if size != rs.spec.replicas:
            spec["replicas"] = size
        if size != rs.spec.replicas or rs.spec.replicas > 0:
            wanted |= sized_for(rollout)
        if rs is rollout.new and rs.spec.min_ready_seconds != deployment.spec.min_ready_seconds:
            spec["minReadySeconds"] = deployment.spec.min_ready_seconds
        have = rs.metadata.annotations
        wanted = {k: v for k, v in wanted.items() if have.get(k) != v}
        if spec or wanted:
            metadata = {"resourceVersion": rs.metadata.resource_version, "annotations": wanted}
            yield Change(rs, {"metadata": metadata, "spec": spec}, size)


def obsolete(
    deployment: Deployment, rollout: Rollout, status: DeploymentStatus
) -> tuple[ReplicaSet, ...]:
    """Return the sets that the history has no room for, once the rollout is over."""
    if not (deployment.spec.paused or progress.is_complete(deployment, status)):
        return ()
    return revision.beyond_history(deployment, rollout.old)


def revision_to_tell(
    deployment: Deployment, annotations: dict[str, str], *, known: bool
) -> dict[str, str]:
    """Return the Deployment's own revision annotation if it has to be written."""
    number = annotations.get(revision.REVISION)
    if not known or number is None:
        return {}
    if deployment.metadata.annotations.get(revision.REVISION) == number:
        return {}
    return {revision.REVISION: number}


def requeue_after_s(deployment: Deployment, status: DeploymentStatus, now_s: float) -> float | None:
    """Return the seconds until a standstill has to be called one."""
    progressing = condition(status.conditions, progress.PROGRESSING)
    if progressing is None:
        return None
    left_s = progress.deadline_s(deployment, progressing, now_s)
    return left_s + 1 if left_s is not None and left_s > 0 else None


class DeploymentReconciler:
    def __init__(
        self,
        client: Client,
        deployments: Lister[Deployment],
        sets: Lister[ReplicaSet],
        pods: Lister[Pod],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._client = client
        self._deployments = deployments
        self._sets = sets
        self._pods = pods
        self._orphans = Orphans(sets)
        self._recorder = recorder
        self._clock = clock

    def controller(self) -> Controller[Key]:
        controller = Controller("deployment", self.reconcile, workers=WORKERS)
        controller.watch(self._deployments, own_key)
        controller.watch(self._sets, self._deployments_of)
        controller.watch(self._pods, self._waiting_for)
        return controller

    def _deployments_of(self, key: Key, rs: ReplicaSet) -> Iterable[Key]:
        """Return the Deployment that controls `rs`, or those that may adopt it."""
        if rs.metadata.owner_references:
            return owner_key("Deployment", rs)
        return (
            Key(key.tenant, key.namespace, deployment.metadata.name)
            for deployment in self._deployments.in_namespace(key.tenant, key.namespace)
            if deployment.spec.selector.matches(rs.metadata.labels)
        )

    def _waiting_for(self, key: Key, pod: Pod) -> Iterable[Key]:
        """Return the Deployment that waits for `pod` to go: one that recreates."""
        owner = controller_of(pod)
        if owner is None or owner.kind != "ReplicaSet":
            return ()
        rs = self._sets.get(Key(key.tenant, key.namespace, owner.name))
        keys = owner_key("Deployment", rs) if rs else ()
        return (k for k in keys if self._recreates(k))

    def _recreates(self, key: Key) -> bool:
        deployment = self._deployments.get(key)
        return deployment is not None and deployment.spec.strategy.type == "Recreate"

    async def reconcile(self, key: Key) -> Result:
        deployment = self._deployments.get(key)
        if deployment is None or deployment.metadata.deletion_timestamp:
            return Result()  # the garbage collector takes its sets from here

        sets = [*self._sets.controlled_by(deployment), *self._orphans.near(deployment)]
        counts = {rs.metadata.uid: self._unfinished(rs) for rs in sets}
        step = plan(deployment, sets, counts, self._clock.now_s())
        await carry_out(self._client, deployment, step.claim)
        deployment = await self._tell_revision(deployment, step.annotations)
        status = await self._create(deployment, step)
        await each(
            [
                *(self._change(deployment, change) for change in step.change),
                *(self._client.delete(rs, missing_ok=True) for rs in step.delete),
            ]
        )
        await self._client.update_status(deployment, status)
        return Result(step.requeue_after_s)

    def _unfinished(self, rs: ReplicaSet) -> int:
        return sum(not pod.is_finished for pod in self._pods.controlled_by(rs))

    async def _tell_revision(
        self, deployment: Deployment, annotations: dict[str, str]
    ) -> Deployment:
        if not annotations:
            return deployment
        revision_read = deployment.metadata.resource_version
        body = {"metadata": {"resourceVersion": revision_read, "annotations": annotations}}
        return await self._client.patch(Deployment, deployment, body)

    async def _create(self, deployment: Deployment, step: Plan) -> DeploymentStatus:
        """Make the current template's set. Return the status to write.

        A name that another template's set has taken is a collision of hashes: it is counted,
        and the next pass makes another name.
        """
        if step.create is None:
            return step.status
        name, replicas = step.create.metadata.name, step.create.spec.replicas
        try:
            await self._client.create(step.create)
        except AlreadyExists:
            there = await self._client.get(ReplicaSet, key_of(step.create))
            owner = controller_of(there)
            if owner and owner.uid == deployment.metadata.uid and _same_template(there, step):
                return step.status  # the cache has yet to show it
            log.warning("name of a new set is taken", extra={"key": key_of(step.create)})
            collisions = (deployment.status.collision_count or 0) + 1
            return replace(step.status, collision_count=collisions)
        await self._tell_scaling(deployment, name, 0, replicas)
        return step.status

    async def _change(self, deployment: Deployment, change: Change) -> None:
        await self._client.patch(ReplicaSet, change.set, change.patch)
        name, before = change.set.metadata.name, change.set.spec.replicas
        await self._tell_scaling(deployment, name, before, change.replicas)

    async def _tell_scaling(
        self, deployment: Deployment, name: str, before: int, after: int
    ) -> None:
        if before == after:
            return
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        await self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)


def _same_template(there: ReplicaSet, step: Plan) -> bool:
    return step.create is not None and there.spec.template == step.create.spec.template
