"""Typed views to and from wire documents, and the merge patch between two views.

A view drops fields that it does not know, so a change is sent as the difference of two
views and leaves the rest of the stored document alone.
Source: RFC 7396 (JSON Merge Patch).
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, TypeVar

import msgspec

from ursa.client.key import meta_of
from ursa.kinds.part import ObjectMeta, Part, view_of

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Part)


class ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class Envelope(msgspec.Struct):
    """A list answer; the items are decoded by their own decoder."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class WatchEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Bookmark(msgspec.Struct):
    metadata: ObjectMeta


def encode(obj: Part) -> bytes:
    """Return the wire document of a registered view, with apiVersion and kind."""
    view = view_of(type(obj))
    fields = msgspec.to_builtins(obj)
    return msgspec.json.encode({**fields, "apiVersion": view.api_version, "kind": view.kind})


@cache
def _decoder(cls: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


def decode(cls: type[T], document: bytes | msgspec.Raw) -> T:
    """Return the view. msgspec.DecodeError where the document contradicts its types."""
    return _decoder(cls).decode(document)


def decode_or_drop(cls: type[T], document: msgspec.Raw) -> tuple[T | None, ObjectMeta]:
    """Return the view and its metadata; None for a document that contradicts the view's types.

    One object that a view cannot hold must not hide all the others from a component.
    """
    try:
        return (view := decode(cls, document)), meta_of(view)
    except msgspec.DecodeError as fault:
        metadata = msgspec.json.decode(document, type=Bookmark).metadata
        extra = {"kind": cls.__name__, "object": metadata.name, "error": str(fault)}
        log.error("object left out: it does not fit its view", extra=extra)
        return None, metadata


def merge_patch(old: Part, new: Part) -> dict[str, Any]:
    """Return the JSON merge patch from `old` to `new`, two views of one type; {} if equal.

    A field that returns to its default is sent with its value, not removed: the wire may
    require it (ReplicaSet.status.replicas).
    """
    patch: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(new)):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            patch[field.encode_name] = _change(before, after)
    return patch


def _change(before: Any, after: Any) -> Any:
    if isinstance(before, Part) and isinstance(after, Part) and type(before) is type(after):
        return merge_patch(before, after)
    if isinstance(before, dict) and isinstance(after, dict):
        changed = {k: _change(before.get(k), v) for k, v in after.items() if before.get(k) != v}
        return changed | dict.fromkeys(before.keys() - after.keys())
    return msgspec.to_builtins(after)
