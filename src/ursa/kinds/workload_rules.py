"""Rules for Deployments and ReplicaSets.

Source: Kubernetes, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from typing import Any

from ursa.kinds.faults import (
    Document,
    Faults,
    forbidden,
    invalid,
    not_negative,
    one_of,
    required,
    unchanged,
    unsupported,
)
from ursa.kinds.metadata_rules import annotation_faults, label_faults, selector_faults
from ursa.kinds.pod_rules import pod_spec_faults
from ursa.kinds.selector import matches

STRATEGIES = ("Recreate", "RollingUpdate")


def deployment_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc["spec"]
    yield from _shared_faults(spec, old, "deployment")
    yield from _strategy_faults("spec.strategy", spec.get("strategy", {}))
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline_s = spec.get("progressDeadlineSeconds")
    yield from not_negative("spec.progressDeadlineSeconds", deadline_s)
    if deadline_s is not None and deadline_s <= spec.get("minReadySeconds", 0):
        detail = "must be greater than minReadySeconds"
        yield invalid("spec.progressDeadlineSeconds", deadline_s, detail)


def replica_set_faults(doc: Document, old: Document | None) -> Faults:
    yield from _shared_faults(doc["spec"], old, "replicaset")


def _shared_faults(spec: Document, old: Document | None, kind: str) -> Faults:
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    else:
        faults = list(selector_faults("spec.selector", selector))
        yield from faults
        if not (selector.get("matchLabels") or selector.get("matchExpressions")):
            detail = f"empty selector is invalid for {kind}"
            yield invalid("spec.selector", selector, detail)
        elif not faults:
            yield from _match_faults(selector, spec["template"])
    yield from template_faults("spec.template", spec["template"])
    if old is not None:
        yield from unchanged("spec.selector", selector, old["spec"].get("selector"))


def _match_faults(selector: Document, template: Document) -> Faults:
    labels = template.get("metadata", {}).get("labels", {})
    if not matches(selector, labels):
        path = "spec.template.metadata.labels"
        yield invalid(path, labels, "`selector` does not match template `labels`")


def template_faults(path: str, template: Document) -> Faults:
    """Check what pods are made from, by a controller that keeps them running."""
    metadata = template.get("metadata", {})
    yield from label_faults(f"{path}.metadata.labels", metadata.get("labels", {}))
    annotations = metadata.get("annotations", {})
    yield from annotation_faults(f"{path}.metadata.annotations", annotations)
    spec = template.get("spec", {})
    yield from pod_spec_faults(f"{path}.spec", spec)
    if spec.get("restartPolicy") in ("Never", "OnFailure"):
        yield unsupported(f"{path}.spec.restartPolicy", spec["restartPolicy"], ["Always"])
    if "activeDeadlineSeconds" in spec:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden(f"{path}.spec.activeDeadlineSeconds", detail)


def _strategy_faults(path: str, strategy: Document) -> Faults:
    kind = strategy.get("type")
    yield from one_of(f"{path}.type", kind, STRATEGIES)
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate" and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden(f"{path}.rollingUpdate", detail)
    elif rolling is not None:
        here = f"{path}.rollingUpdate"
        for field in ("maxUnavailable", "maxSurge"):
            yield from _amount_faults(f"{here}.{field}", rolling.get(field, 0))
        unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        if _amount(unavailable) == 0 and _amount(surge) == 0:
            detail = "may not be 0 when `maxSurge` is 0"
            yield invalid(f"{here}.maxUnavailable", unavailable, detail)
        if isinstance(unavailable, str) and (_amount(unavailable) or 0) > 100:
            yield invalid(f"{here}.maxUnavailable", unavailable, "must not be greater than 100%")


def _amount_faults(path: str, value: int | str) -> Faults:
    if isinstance(value, int):
        yield from not_negative(path, value)
    elif _amount(value) is None:
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        )
        yield invalid(path, value, detail)


def _amount(value: Any) -> int | None:
    """Return the number of pods or of per cent; None if it is neither."""
    if isinstance(value, int):
        return value
    digits = value.removesuffix("%")
    is_percentage = value.endswith("%") and digits.isascii() and digits.isdigit()
    return int(digits) if is_percentage else None
