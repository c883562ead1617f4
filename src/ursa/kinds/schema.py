"""Bring a decoded body to the form of its kind's schema, and say how its fields are patched.

    body ──json──▶ document ──conform──▶ document that a stored one may look like
                                 │
                                 └─▶ paths of the fields that no schema knows

Rules about what values *mean* are validation.py's.
Source: Kubernetes' OpenAPI (definitions.py); apimachinery, pkg/util/strategicpatch (patches).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from ursa.base.errors import BadRequest
from ursa.kinds.decode import Mismatch, decoder
from ursa.kinds.definitions import definitions
from ursa.kinds.resource import Resource

Document = dict[str, Any]


def conform(resource: Resource, doc: Document) -> list[str]:
    """Mend `doc` in place; return the paths of the unknown fields that were removed from it.

    Raises BadRequest, worded as Kubernetes does, at the first value of a wrong type.
    """
    return conform_as(resource.schema, doc, kind=resource.kind, version=resource.version)


def conform_as(definition: str, doc: Document, *, kind: str, version: str) -> list[str]:
    """Do as `conform` for a body that is no served kind: Binding, Scale, DeleteOptions …"""
    try:
        return decoder(definition)(doc) or []
    except Mismatch as fault:
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: {fault}'
        raise BadRequest(message) from fault


class PatchField(NamedTuple):
    """How strategic merge patch treats one field."""

    definition: str  # of the value, or of a list's items; "" for scalars and maps of scalars
    merge: bool  # lists: by merge_key, or as a set where that is ""
    merge_key: str
    retain_keys: bool
    is_list: bool


@cache
def patch_field(definition: str, name: str) -> PatchField | None:
    """Return how field `name` of a definition is patched; None if there is no such field."""
    field = definitions()[definition].get("properties", {}).get(name)
    if field is None:
        return None
    strategy = field.get("x-kubernetes-patch-strategy", "").split(",")
    value = field.get("items", field)
    return PatchField(
        definition=value.get("$ref") or value.get("additionalProperties", {}).get("$ref", ""),
        merge="merge" in strategy,
        merge_key=field.get("x-kubernetes-patch-merge-key", ""),
        retain_keys="retainKeys" in strategy,
        is_list=field.get("type") == "array",
    )
