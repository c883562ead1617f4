"""Which ReplicaSet is which revision of a Deployment: names, hashes, annotations, history.

The set of a template is named by the template's hash. Sets are numbered in the order in
which their template became current; a template that returns gets the next number and keeps
the old ones in its history, which is what `kubectl rollout history` and `undo` read.
Source: Kubernetes, pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from ursa.arktos.controllers.ownership import reference_to
from ursa.arktos.controllers.rollout import DESIRED_REPLICAS, MAX_REPLICAS
from ursa.base.ids import suffix
from ursa.kinds.deployment import Deployment
from ursa.kinds.part import LabelSelector, ObjectMeta
from ursa.kinds.pod import PodTemplate
from ursa.kinds.replicaset import ReplicaSet, ReplicaSetSpec

HASH_LABEL = "pod-template-hash"
HASH_LENGTH = 10
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HISTORY_CHARACTERS_MAX = 2000  # Kubernetes' bound; the oldest numbers are dropped
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)


def template_hash(template: PodTemplate, collisions: int) -> str:
    """Return letters that depend on the template, and on how often its name was taken."""
    data = msgspec.json.encode(template, order="sorted")
    return suffix(b"%d/%s" % (collisions, data), HASH_LENGTH)


def find_new(deployment: Deployment, sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """Return the oldest set of the Deployment's current template."""
    wanted = deployment.spec.template
    same = [rs for rs in sets if _without_hash(rs.spec.template) == wanted]
    return min(same, key=age, default=None)


def age(rs: ReplicaSet) -> tuple[str, str]:
    """Return what sets are sorted by: oldest first, by name among equals."""
    return rs.metadata.creation_timestamp or "", rs.metadata.name


def _without_hash(template: PodTemplate) -> PodTemplate:
    labels = {k: v for k, v in template.metadata.labels.items() if k != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=labels))


def revision_of(rs: ReplicaSet) -> int:
    """Return the number in the annotation; 0 where there is none."""
    text = rs.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[ReplicaSet]) -> int:
    return max(map(revision_of, old), default=0) + 1


def annotations_of(deployment: Deployment, rs: ReplicaSet | None, revision: int) -> dict[str, str]:
    """Return the annotations that the current template's set carries besides its sizes."""
    have = rs.metadata.annotations if rs else {}
    copied = {k: v for k, v in deployment.metadata.annotations.items() if k not in NOT_COPIED}
    wanted = have | copied
    if rs is None or revision_of(rs) < revision:
        wanted[REVISION] = str(revision)
        if past := have.get(REVISION):
            wanted[HISTORY] = _appended(have.get(HISTORY, ""), past)
    return wanted


def _appended(history: str, revision: str) -> str:
    numbers = [*filter(None, history.split(",")), revision]
    while len(",".join(numbers)) > HISTORY_CHARACTERS_MAX:
        del numbers[0]
    return ",".join(numbers)


def new_set(deployment: Deployment, annotations: dict[str, str], replicas: int) -> ReplicaSet:
    """Return the set of the Deployment's current template."""
    spec, metadata = deployment.spec, deployment.metadata
    digest = template_hash(spec.template, deployment.status.collision_count or 0)
    labels = spec.template.metadata.labels | {HASH_LABEL: digest}
    selector = LabelSelector(
        match_labels=spec.selector.match_labels | {HASH_LABEL: digest},
        match_expressions=spec.selector.match_expressions,
    )
    template = replace(spec.template, metadata=replace(spec.template.metadata, labels=labels))
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{metadata.name}-{digest}",
            tenant=metadata.tenant,
            namespace=metadata.namespace,
            labels=labels,
            annotations=annotations,
            owner_references=(reference_to(deployment),),
        ),
        spec=ReplicaSetSpec(
            selector=selector,
            template=template,
            replicas=replicas,
            min_ready_seconds=spec.min_ready_seconds,
        ),
    )


def beyond_history(deployment: Deployment, old: Sequence[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """Return the empty old sets of the lowest revisions beyond revisionHistoryLimit."""
    kept = [rs for rs in old if rs.metadata.deletion_timestamp is None]
    excess = len(kept) - deployment.spec.revision_history_limit
    oldest = sorted(kept, key=revision_of)[: max(excess, 0)]
    return tuple(
        rs
        for rs in oldest
        if rs.spec.replicas == 0
        and rs.status.replicas == 0
        and rs.status.observed_generation >= rs.metadata.generation
    )
