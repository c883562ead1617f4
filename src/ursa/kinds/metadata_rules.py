"""Rules that every object's metadata keeps, and those of labels wherever they stand.

Source: apimachinery, pkg/api/validation/objectmeta.go and pkg/apis/meta/v1/validation.
"""

from __future__ import annotations

from ursa.kinds import syntax
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    invalid,
    not_negative,
    required,
    too_long,
    unsupported,
)

ANNOTATIONS_BYTES_MAX = 256 << 10  # Kubernetes, objectmeta.go (TotalAnnotationSizeLimitB)
STANDARD_FINALIZERS = frozenset({"kubernetes", "ursa", "orphan", "foregroundDeletion"})
_WITH_VALUES, _WITHOUT_VALUES = ("In", "NotIn"), ("Exists", "DoesNotExist")


def metadata_faults(metadata: Document, name_check: syntax.Check) -> Faults:
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from each_invalid("metadata.name", name, name_check(name))
    yield from not_negative("metadata.generation", metadata.get("generation"))
    yield from label_faults("metadata.labels", metadata.get("labels", {}))
    yield from annotation_faults("metadata.annotations", metadata.get("annotations", {}))
    yield from _owner_faults(metadata.get("ownerReferences", ()))
    yield from finalizer_faults("metadata.finalizers", metadata.get("finalizers", ()))


def label_faults(path: str, labels: Document) -> Faults:
    for key, value in labels.items():
        if details := syntax.qualified_name(key):
            yield from each_invalid(path, key, details)
        if details := syntax.label_value(value):
            yield from each_invalid(path, value, details)


def annotation_faults(path: str, annotations: Document) -> Faults:
    size_bytes = 0
    for key, value in annotations.items():
        yield from each_invalid(path, key, syntax.qualified_name(key.lower()))
        size_bytes += len(key.encode()) + len(value.encode())
    if size_bytes > ANNOTATIONS_BYTES_MAX:
        yield too_long(path, ANNOTATIONS_BYTES_MAX)


def finalizer_faults(path: str, finalizers: list[str]) -> Faults:
    for index, name in enumerate(finalizers):
        yield from each_invalid(path, name, syntax.qualified_name(name))
        if "/" not in name and name not in STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"{path}[{index}]", name, detail)


def _owner_faults(owners: list[Document]) -> Faults:
    path = "metadata.ownerReferences"
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield invalid(f"{path}.{field}", owner.get(field, ""), "must not be empty")
    controllers = [owner.get("name", "") for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        detail = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        )
        yield invalid(path, owners, detail)


def selector_faults(path: str, selector: Document) -> Faults:
    """Check a metav1.LabelSelector."""
    yield from label_faults(f"{path}.matchLabels", selector.get("matchLabels", {}))
    for index, requirement in enumerate(selector.get("matchExpressions", ())):
        here = f"{path}.matchExpressions[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values", [])
        if operator in _WITH_VALUES and not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            yield required(f"{here}.values", detail)
        elif operator in _WITHOUT_VALUES and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield invalid(f"{here}.values", values, detail)
        elif operator not in _WITH_VALUES + _WITHOUT_VALUES:
            yield unsupported(f"{here}.operator", operator, _WITH_VALUES + _WITHOUT_VALUES)
        key = requirement.get("key", "")
        yield from each_invalid(f"{here}.key", key, syntax.qualified_name(key))
        for place, value in enumerate(values):
            yield from each_invalid(f"{here}.values[{place}]", value, syntax.label_value(value))
