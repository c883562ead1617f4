"""How many pods each ReplicaSet of a Deployment is to have: arithmetic, no I/O, no clock.

A `Rollout` is the state of one Deployment's sets; each function returns `Sizes`, the
replicas that every set is to have. With S the surge and U the pods that may be unavailable:

    sum(sizes) <= replicas + S        while the new set grows
    available  >= replicas - U        while the old sets shrink

Source: Kubernetes, pkg/controller/deployment/{rolling,recreate,sync}.go and
util/deployment_util.go (ResolveFenceposts, GetReplicaSetProportion).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ursa.kinds.deployment import DeploymentSpec, RollingUpdate
from ursa.kinds.replicaset import ReplicaSet

DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
"""Annotation of a set: the Deployment's replicas when the set was last sized."""
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
"""Annotation of a set: replicas plus surge when the set was last sized."""

Sizes = Mapping[str, int]  # name of a ReplicaSet → its spec.replicas


@dataclass(frozen=True, slots=True)
class Rollout:
    """One Deployment's sets. `new` is None if there is none of the current template."""

    replicas: int
    surge: int
    unavailable: int
    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]  # oldest first

    @property
    def sets(self) -> tuple[ReplicaSet, ...]:
        return self.old if self.new is None else (*self.old, self.new)

    @property
    def active(self) -> tuple[ReplicaSet, ...]:
        return tuple(rs for rs in self.sets if rs.spec.replicas > 0)

    @property
    def pods_max(self) -> int:
        return self.replicas + self.surge if self.replicas > 0 else 0

    @property
    def available_min(self) -> int:
        return self.replicas - self.unavailable

    @property
    def sizes(self) -> dict[str, int]:
        return {rs.metadata.name: rs.spec.replicas for rs in self.sets}


def limits(spec: DeploymentSpec) -> tuple[int, int]:
    """Return (surge, unavailable) in pods; never both 0 in a rolling update."""
    if spec.strategy.type != "RollingUpdate":
        return 0, 0
    rolling = spec.strategy.rolling_update or RollingUpdate()
    surge = pods_of(rolling.max_surge, spec.replicas, round_up=True)
    unavailable = pods_of(rolling.max_unavailable, spec.replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # percentages of few pods round to nothing; it could never move
    return surge, min(unavailable, spec.replicas)


def pods_of(value: int | str, replicas: int, *, round_up: bool) -> int:
    """Return a number of pods, or `"25%"` of `replicas`."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * replicas
    return -(-share // 100) if round_up else share // 100


def new_size(rollout: Rollout) -> int:
    """Return how far the set of the current template may grow, or must shrink."""
    size = rollout.new.spec.replicas if rollout.new else 0
    if size >= rollout.replicas:
        return rollout.replicas
    room = rollout.pods_max - sum(rollout.sizes.values())
    return size + max(min(room, rollout.replicas - size), 0)


def roll(rollout: Rollout) -> Sizes:
    """Return the next step of a rolling update: grow the new set, shrink the old ones."""
    sizes = rollout.sizes
    new_available = 0
    if rollout.new is not None:
        sizes[rollout.new.metadata.name] = new_size(rollout)
        new_available = rollout.new.status.available_replicas
    new_unavailable = sum(sizes.values()) - sum(rs.spec.replicas for rs in rollout.old)
    spare = sum(sizes.values()) - rollout.available_min - (new_unavailable - new_available)
    if spare > 0:
        _drop_unhealthy(rollout, sizes, spare)
        _drop_spare(rollout, sizes)
    return sizes


def _drop_unhealthy(rollout: Rollout, sizes: dict[str, int], spare: int) -> None:
    """Shrink old sets by pods that serve nobody, at most by `spare`."""
    for rs in rollout.old:
        unhealthy = max(rs.spec.replicas - rs.status.available_replicas, 0)
        drop = min(unhealthy, spare)
        sizes[rs.metadata.name] -= drop
        spare -= drop


def _drop_spare(rollout: Rollout, sizes: dict[str, int]) -> None:
    """Shrink old sets by what is available beyond the minimum."""
    spare = sum(rs.status.available_replicas for rs in rollout.sets) - rollout.available_min
    for rs in rollout.old:
        drop = max(min(sizes[rs.metadata.name], spare), 0)
        sizes[rs.metadata.name] -= drop
        spare -= drop


def recreate(rollout: Rollout, *, old_pods: int) -> Sizes:
    """Return no pods for the old sets, and all for the new one once no old pod is left."""
    sizes = {rs.metadata.name: 0 for rs in rollout.old}
    if rollout.new is not None:
        wait = old_pods > 0 or any(rs.spec.replicas for rs in rollout.old)
        size = rollout.new.spec.replicas if wait else rollout.replicas
        sizes[rollout.new.metadata.name] = size
    return sizes


def is_scaling(rollout: Rollout) -> bool:
    """Return whether spec.replicas has changed since the sets were sized."""
    wanted = str(rollout.replicas)
    return any(
        rs.metadata.annotations.get(DESIRED_REPLICAS, wanted) != wanted for rs in rollout.active
    )


def scale(rollout: Rollout, *, rolling: bool) -> Sizes:
    """Return sizes for a changed spec.replicas that keep the sets' proportions."""
    sizes = rollout.sizes
    active = rollout.active
    if len(active) <= 1:
        if only := active[0] if active else rollout.new or _latest(rollout.old):
            sizes[only.metadata.name] = rollout.replicas
    elif rollout.new and _is_saturated(rollout, rollout.new):
        sizes |= {rs.metadata.name: 0 for rs in rollout.old}
    elif rolling:
        sizes |= _in_proportion(rollout, active)
    return sizes


def _latest(sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    return sets[-1] if sets else None


def _is_saturated(rollout: Rollout, new: ReplicaSet) -> bool:
    """Return whether the new set has all the pods, sized for this spec and available."""
    return (
        new.spec.replicas == rollout.replicas
        and new.metadata.annotations.get(DESIRED_REPLICAS) == str(rollout.replicas)
        and new.status.available_replicas == rollout.replicas
    )


def _in_proportion(rollout: Rollout, active: Sequence[ReplicaSet]) -> dict[str, int]:
    """Spread the change over the sets by their size; the largest takes what rounding leaves.

    Among equal sizes the newest grows first and the oldest shrinks first.
    """
    change = rollout.pods_max - sum(rs.spec.replicas for rs in active)
    newest_first = [*reversed(active)] if change > 0 else [*active]
    ranked = sorted(newest_first, key=lambda rs: -rs.spec.replicas)
    sizes = {}
    left = change
    for rs in ranked:
        share = _fraction(rollout, rs)
        share = max(min(share, left), 0) if change > 0 else min(max(share, left), 0)
        sizes[rs.metadata.name] = rs.spec.replicas + share
        left -= share
    largest = ranked[0].metadata.name
    sizes[largest] = max(sizes[largest] + left, 0)
    return sizes


def _fraction(rollout: Rollout, rs: ReplicaSet) -> int:
    """Return by how much `rs` would change if the whole were scaled evenly."""
    if rollout.replicas == 0:
        return -rs.spec.replicas
    text = rs.metadata.annotations.get(MAX_REPLICAS, "")
    sized_for = int(text) if text.isdecimal() else 0
    sized_for = sized_for or sum(active.spec.replicas for active in rollout.active)
    return math.floor(rs.spec.replicas * rollout.pods_max / sized_for + 0.5) - rs.spec.replicas
