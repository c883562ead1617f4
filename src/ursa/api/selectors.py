"""Label and field selectors: parsed once, asked of many.

Source: Kubernetes, apimachinery/pkg/labels/selector.go and pkg/fields/selector.go (grammars).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ursa.base.errors import BadRequest
from ursa.kinds.registry import Resource

SELECTORS_CACHED = 1024
SELECTOR_CHARS_MAX = 16 << 10

# Beside metadata.name, metadata.namespace and metadata.tenant, which every kind has.
_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.tenant",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("", "secrets"): ("type",),
    ("", "namespaces"): ("status.phase",),
    ("", "tenants"): ("status.phase",),
    ("", "nodes"): ("spec.unschedulable",),
    ("apps", "replicasets"): ("status.replicas",),
    ("network.ursa.dev", "ports"): ("spec.nodeName", "spec.vpc", "spec.subnet"),
    ("network.ursa.dev", "subnets"): ("spec.vpc",),
}
INDEXED_FIELDS = frozenset({"spec.nodeName", "involvedObject.uid"})
_GENERIC = ("metadata.name", "metadata.namespace", "metadata.tenant")

_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NUMBER = re.compile(r"-?\d+")
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<not>!)\s*(?P<absent>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<op>==|=|!=|>|<)\s*(?P<value>[^,\s()]*)"
    rf"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


class LabelRequirement(NamedTuple):
    key: str
    operator: str  # in, notin, exists, absent, >, <
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
        if value is None or _NUMBER.fullmatch(value) is None:
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator == ">" else int(value) < bound


class FieldRequirement(NamedTuple):
    field: str
    value: str
    is_equal: bool  # False: the field must differ


@lru_cache(SELECTORS_CACHED)
def labels(text: str) -> tuple[LabelRequirement, ...]:
    """Return a label selector's requirements; all must hold. Raises BadRequest."""
    if not text.strip():
        return ()
    _check_length(text)
    found, position = [], 0
    while True:
        match = _REQUIREMENT.match(text, position)
        if match is None or match.end() == position:
            raise _unparsable(text, position)
        found.append(_label_requirement(match, text))
        position = match.end()
        if position == len(text):
            return tuple(found)
        if text[position] != ",":
            raise _unparsable(text, position)
        position += 1


def _label_requirement(match: re.Match[str], text: str) -> LabelRequirement:
    if match["not"]:
        return LabelRequirement(match["absent"], "absent")
    key = match["key"]
    if match["set"]:
        values = tuple(value.strip() for value in match["values"].split(","))
        return LabelRequirement(key, match["set"], _checked(values, text))
    match match["op"]:
        case None:
            return LabelRequirement(key, "exists")
        case "=" | "==":
            return LabelRequirement(key, "in", _checked((match["value"],), text))
        case "!=":
            return LabelRequirement(key, "notin", _checked((match["value"],), text))
        case operator:
            if _NUMBER.fullmatch(match["value"]) is None:
                raise _unparsable(text, match.start("value"))
            return LabelRequirement(key, operator, (match["value"],))


def _checked(values: tuple[str, ...], text: str) -> tuple[str, ...]:
    for value in values:
        if _VALUE.fullmatch(value) is None:
            raise BadRequest(f"unable to parse requirement {text!r}: {value!r} is no label value")
    return values


@lru_cache(SELECTORS_CACHED)
def fields(text: str) -> tuple[FieldRequirement, ...]:
    """Return a field selector's requirements; all must hold. Raises BadRequest."""
    if not text.strip():
        return ()
    _check_length(text)
    return tuple(_field_requirement(part, text) for part in re.split(r"(?<!\\),", text) if part)


def _field_requirement(part: str, text: str) -> FieldRequirement:
    match = re.fullmatch(r"\s*([^=!\s]+)\s*(==|!=|=)\s*(.*)", part)
    if match is None:
        raise BadRequest(f"invalid selector: {text!r}; can't understand {part!r}")
    value = re.sub(r"\\([\\,=])", r"\1", match[3])
    return FieldRequirement(match[1], value, match[2] != "!=")


def selectable(resource: Resource) -> tuple[str, ...]:
    """Return the fields, beside the generic ones, that a kind's objects are selected by."""
    return _FIELDS.get((resource.group, resource.plural), ())


def check_fields(resource: Resource, requirements: tuple[FieldRequirement, ...]) -> None:
    """Raise BadRequest for a field that objects of this kind are not selected by."""
    known = (*_GENERIC, *selectable(resource))
    for requirement in requirements:
        if requirement.field not in known:
            raise BadRequest(
                f'field label not supported: "{requirement.field}": {resource.plural} are '
                f"selected by {', '.join(known)}"
            )


def _check_length(text: str) -> None:
    if len(text) > SELECTOR_CHARS_MAX:
        raise BadRequest(f"the selector is longer than {SELECTOR_CHARS_MAX} characters")


def _unparsable(text: str, position: int) -> BadRequest:
    return BadRequest(f"unable to parse requirement: {text!r} at {text[position:]!r}")
