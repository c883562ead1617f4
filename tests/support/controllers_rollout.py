"""A Deployment with its sets, on which plans are carried out without a server.

Sets report their pods at once; how many are available the test decides, a step at a time.
"""

from msgspec.structs import replace

from controllers_objects import NOW_S, SELECTOR, meta, template
from ursa.arktos.controllers.deployment import plan
from ursa.base.clock import rfc3339
from ursa.kinds.deployment import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    RollingUpdate,
)
from ursa.kinds.replicaset import ReplicaSetStatus


def deployment(replicas=3, *, image="v1", surge="25%", unavailable="25%", **spec):
    rolling = RollingUpdate(max_surge=surge, max_unavailable=unavailable)
    strategy = spec.pop("strategy", DeploymentStrategy(rolling_update=rolling))
    return Deployment(
        metadata=meta("web", generation=1, annotations=spec.pop("annotations", {})),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=SELECTOR,
            template=template(image),
            strategy=strategy,
            **spec,
        ),
    )


class World:
    """What the API server holds; `step` carries one plan out."""

    def __init__(self, made):
        self.deployment = made
        self.sets = {}
        self.now_s = NOW_S
        self.pods = {}  # set's uid → pods that have not finished; None: as the set says
        self._uids = 0

    def change(self, **spec):
        made = self.deployment
        metadata = replace(made.metadata, generation=made.metadata.generation + 1)
        self.deployment = replace(made, metadata=metadata, spec=replace(made.spec, **spec))

    def plan(self):
        counts = {rs.metadata.uid: rs.status.replicas for rs in self.sets.values()} | self.pods
        return plan(self.deployment, [*self.sets.values()], counts, self.now_s)

    def step(self):
        """Carry one plan out and return it."""
        self.now_s += 1
        made = self.plan()
        if made.create:
            self._create(made.create)
        for change in made.change:
            self._patch(change.set.metadata.name, change.patch)
        for rs in made.delete:
            del self.sets[rs.metadata.name]
        metadata = self.deployment.metadata
        metadata = replace(metadata, annotations=metadata.annotations | made.annotations)
        self.deployment = replace(self.deployment, metadata=metadata, status=made.status)
        return made

    def settle(self, steps=200):
        """Make every pod available and plan again until nothing is left to do."""
        for _ in range(steps):
            self.make_available(1000)
            made = self.step()
            if not is_work(made) and self.is_reported():
                return
        raise AssertionError("the rollout does not end")

    def make_available(self, number):
        """Let sets report their pods, `number` more of them available than before."""
        for name, rs in self.sets.items():
            available = min(rs.status.available_replicas, rs.spec.replicas)
            more = min(number, rs.spec.replicas - available)
            number -= more
            status = ReplicaSetStatus(
                replicas=rs.spec.replicas,
                ready_replicas=available + more,
                available_replicas=available + more,
                conditions=rs.status.conditions,
            )
            self.sets[name] = replace(rs, status=status)

    def is_reported(self):
        return all(rs.status.available_replicas == rs.spec.replicas for rs in self.sets.values())

    def sizes(self):
        """Return image → replicas of its set."""
        return {
            rs.spec.template.spec.scheduler_name.removeprefix("for-"): rs.spec.replicas
            for rs in self.sets.values()
        }

    def condition(self, type_):
        found = (c for c in self.deployment.status.conditions if c.type == type_)
        return next(((c.status, c.reason) for c in found), None)

    def _create(self, rs):
        self._uids += 1
        assert rs.metadata.name not in self.sets
        metadata = replace(
            rs.metadata,
            uid=f"set-{self._uids}",
            creation_timestamp=rfc3339(self.now_s),
        )
        self.sets[rs.metadata.name] = replace(rs, metadata=metadata)

    def _patch(self, name, patch):
        rs = self.sets[name]
        annotations = rs.metadata.annotations | patch["metadata"]["annotations"]
        spec = patch["spec"]
        self.sets[name] = replace(
            rs,
            metadata=replace(rs.metadata, annotations=annotations),
            spec=replace(
                rs.spec,
                replicas=spec.get("replicas", rs.spec.replicas),
                min_ready_seconds=spec.get("minReadySeconds", rs.spec.min_ready_seconds),
            ),
        )


def is_work(made):
    return bool(made.create or made.change or made.delete or made.annotations)
