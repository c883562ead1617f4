"""Kubernetes' protobuf bodies to documents: what typed clients of 1.32 and newer send.

    "k8s\\0" ─ Unknown{typeMeta{apiVersion, kind}, raw} ─▶ raw by the kind's message ─▶ document

Answers are always JSON, which those clients accept as well. The messages' fields are data
(protobuf.json.gz, made by tools/protobuf.py); values come out as Go's JSON encoder would show
them, so that a body means the same in both encodings. Fields that the data does not name are
ignored. No message contains itself, so that depth is bounded by the data.
Source: apimachinery, pkg/runtime/serializer/protobuf, apis/meta/v1/time_proto.go.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from ursa.api.protowire import (
    Malformed,
    Wire,
    as_bytes,
    as_integer,
    as_text,
    as_varint,
    fields,
    integers,
    parts,
)
from ursa.base.clock import rfc3339
from ursa.base.errors import BadRequest, UnsupportedMediaType
from ursa.kinds.registry import find_kind

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
# The seconds of the years 1 to 9999, which RFC 3339 can write.
_SECONDS_MIN, _SECONDS_MAX = -62_135_596_800, 253_402_300_799
_NANOS_MAX = 999_999_999

Document = dict[str, Any]
# Bodies that are no served kind; a DeleteOptions may come in any group and version.
_EXTRA = {
    "DeleteOptions": "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "Binding": "io.k8s.api.core.v1.Binding",
    "TokenRequest": "io.k8s.api.authentication.v1.TokenRequest",
    "Scale": "io.k8s.api.autoscaling.v1.Scale",
    "Eviction": "io.k8s.api.policy.v1.Eviction",
}


class _Field(NamedTuple):
    name: str  # in JSON; "" for a message whose fields are its parent's
    shape: str  # one, list or map
    type: str  # a message's name, or one of _VALUES
    omits_zero: bool


def decode(body: bytes) -> Document:
    """Return the document of a body.

    Raises BadRequest, or UnsupportedMediaType for a kind that has no protobuf form.
    """
    try:
        return _document(body)
    except Malformed as fault:
        message = f"the body of the request cannot be read as {MEDIA_TYPE}: {fault}"
        raise BadRequest(message) from fault


def _document(body: bytes) -> Document:
    if not body.startswith(MAGIC):
        raise Malformed("it does not begin with k8s and a zero byte")
    type_meta, raw = parts(body[len(MAGIC) :], b"", b"")
    api_version, kind = (as_text(part) for part in parts(type_meta, b"", b""))
    group, _, version = api_version.rpartition("/")
    resource = find_kind(group, version, kind)
    message = _EXTRA.get(kind) or (resource.schema if resource else "")
    if message not in _messages():
        raise UnsupportedMediaType(
            f'kind "{kind}" of apiVersion "{api_version}" is not served as {MEDIA_TYPE}: '
            "send application/json"
        )
    return {"apiVersion": api_version, "kind": kind} | _message(message, raw)


@cache
def _messages() -> dict[str, dict[int, _Field]]:
    data = gzip.decompress(files("ursa.api").joinpath("protobuf.json.gz").read_bytes())
    read: dict[str, list[tuple[int, str, str, str, bool]]] = msgspec.json.decode(data)
    return {
        message: {
            number: _Field(name, shape, type_, bool(omits))
            for number, name, shape, type_, omits in rows
        }
        for message, rows in read.items()
    }


def _message(message: str, data: Wire) -> Document:
    known = _messages()[message]
    doc: Document = {}
    for number, wire in fields(as_bytes(data)):
        if field := known.get(number):
            _add(doc, field, wire)
    return doc


def _add(doc: Document, field: _Field, wire: Wire) -> None:
    """Put one occurrence of a field into the document."""
    if field.shape == "map":
        key, value = parts(wire, b"", b"")  # no map that we read has numbers for values
        doc.setdefault(field.name, {})[as_text(key)] = _value(field.type, value)
    elif field.shape == "list":
        found = integers(wire) if field.type == "int" else (_value(field.type, wire),)
        doc.setdefault(field.name, []).extend(found)
    elif not field.name:
        doc |= _value(field.type, wire)
    else:
        value = _value(field.type, wire)
        if value is not None and not (field.omits_zero and value in ("", 0)):
            doc[field.name] = value


def _value(type_: str, wire: Wire) -> Any:
    read = _VALUES.get(type_)
    return read(wire) if read else _message(type_, wire)


def _time(wire: Wire) -> str | None:
    """Return a Time; None for the zero time, which JSON shows as null."""
    return rfc3339(_instant(wire)[0]) if as_bytes(wire) else None


def _micro_time(wire: Wire) -> str | None:
    if not as_bytes(wire):
        return None
    seconds, nanos = _instant(wire)
    return f"{rfc3339(seconds).removesuffix('Z')}.{nanos // 1000:06}Z"


def _instant(wire: Wire) -> tuple[int, int]:
    seconds, nanos = (as_integer(part) for part in parts(wire, 0, 0))
    if not (_SECONDS_MIN <= seconds <= _SECONDS_MAX and 0 <= nanos <= _NANOS_MAX):
        raise Malformed(f"a time of {seconds} s and {nanos} ns is outside the years 1..9999")
    return seconds, nanos


def _int_or_string(wire: Wire) -> int | str:
    is_text, number, text = parts(wire, 0, 0, b"")
    return as_text(text) if is_text else as_integer(number)


def _quantity(wire: Wire) -> str:
    (text,) = parts(wire, b"")
    return as_text(text) or "0"


def _raw(wire: Wire) -> Any:
    (text,) = parts(wire, b"")
    try:
        return msgspec.json.decode(as_bytes(text)) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Malformed(f"an embedded object is not JSON: {fault}") from fault


def _items(wire: Wire) -> list[str]:
    return [as_text(item) for number, item in fields(as_bytes(wire)) if number == 1]


def _base64(wire: Wire) -> str:
    return base64.b64encode(as_bytes(wire)).decode()


def _bool(wire: Wire) -> bool:
    return bool(as_varint(wire))


_VALUES: dict[str, Callable[[Wire], Any]] = {
    "string": as_text,
    "int": as_integer,
    "bool": _bool,
    "bytes": _base64,
    "time": _time,
    "micro_time": _micro_time,
    "quantity": _quantity,
    "int_or_string": _int_or_string,
    "raw": _raw,
    "items": _items,
}
