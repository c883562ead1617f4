"""Builders of the objects that controllers' tests share."""

from ursa.base.clock import rfc3339
from ursa.kinds.part import Condition, LabelSelector, ObjectMeta, OwnerReference
from ursa.kinds.pod import (
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplate,
    TemplateMeta,
)

NOW_S = 1_800_000_000.0
APP = {"app": "web"}
SELECTOR = LabelSelector(match_labels=APP)


def meta(name, **fields):
    return ObjectMeta(
        **{"name": name, "tenant": "acme", "namespace": "default", "uid": f"uid-{name}"} | fields
    )


def controlled(kind, name, uid=None):
    """Return owner references that say: controlled by this owner."""
    owner = OwnerReference(
        api_version="apps/v1", kind=kind, name=name, uid=uid or f"uid-{name}", controller=True
    )
    return (owner,)


def template(image="busybox", labels=APP):
    return PodTemplate(
        metadata=TemplateMeta(labels=labels), spec=PodSpec(scheduler_name=f"for-{image}")
    )


def ready_condition(since_s=NOW_S - 100, *, ready=True):
    status = "True" if ready else "False"
    return Condition(type="Ready", status=status, last_transition_time=rfc3339(since_s))


def pod(  # noqa: PLR0913  each argument is a fact of one test
    name,
    *,
    owner="rs",
    labels=APP,
    node="n1",
    phase="Running",
    ready=True,
    ready_since_s=NOW_S - 100,
    restarts=0,
    annotations=None,
    created_s=NOW_S - 1000,
    **metadata,
):
    return Pod(
        metadata=meta(
            name,
            labels=labels,
            annotations=annotations or {},
            owner_references=controlled("ReplicaSet", owner) if owner else (),
            creation_timestamp=rfc3339(created_s),
            **metadata,
        ),
        spec=PodSpec(node_name=node),
        status=PodStatus(
            phase=phase,
            conditions=(ready_condition(ready_since_s, ready=ready),),
            container_statuses=(ContainerStatus(restart_count=restarts),),
        ),
    )
