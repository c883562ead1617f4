"""Kubernetes' protobuf bodies to documents: what typed clients of 1.32 and newer send.

    "k8s\\0" ─ Unknown{typeMeta{apiVersion, kind}, raw} ─▶ raw by the kind's message ─▶ document

Answers are always JSON, which those clients accept as well. The messages' fields are data
(protobuf.json.gz, made by tools/protobuf.py); values come out as Go's JSON encoder would show
them, so that a body means the same in both encodings.
Source: apimachinery, pkg/runtime/serializer/protobuf; protobuf.dev, "Encoding".
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from ursa.base.clock import rfc3339, rfc3339_micro
from ursa.base.errors import BadRequest
from ursa.kinds.registry import find_kind

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10

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
    type: str
    omits_zero: bool


class _Malformed(ValueError):
    pass


def decode(body: bytes) -> Document:
    """Return the document of a body. Raises BadRequest."""
    try:
        return _document(body)
    except (_Malformed, IndexError, UnicodeDecodeError, KeyError) as fault:
        raise BadRequest(f"the body of the request is no Kubernetes protobuf: {fault}") from fault


def _document(body: bytes) -> Document:
    if not body.startswith(MAGIC):
        raise _Malformed("it does not begin with its magic number")
    unknown = dict(_wire(body[len(MAGIC) :]))
    type_meta = {number: value.decode() for number, value in _wire(unknown.get(1, b""))}
    api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
    group, _, version = api_version.rpartition("/")
    resource = find_kind(group, version, kind)
    message = _EXTRA.get(kind) or (resource.schema if resource else "")
    if message not in _messages():
        raise _Malformed(f"{api_version} {kind} has no protobuf form here: use JSON")
    raw: Document = _message(message, unknown.get(2, b""))
    return {"apiVersion": api_version, "kind": kind} | raw


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


def _message(message: str, data: bytes) -> Document:
    fields = _messages()[message]
    doc: Document = {}
    for number, wire in _wire(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.shape == "map":
            key, value = _entry(field.type, wire)
            doc.setdefault(field.name, {})[key] = value
            continue
        value = _value(field.type, wire)
        if field.shape == "list":
            doc.setdefault(field.name, []).append(value)
        elif not field.name:
            doc |= value
        elif value is not None and not (field.omits_zero and value in ("", 0, False)):
            doc[field.name] = value
    return doc


def _entry(type_: str, wire: Any) -> tuple[str, Any]:
    """Return one entry of a map: a message of key and value; an absent value is its zero."""
    pair = dict(_wire(wire))
    zero = 0 if type_ in ("int", "bool") else b""
    return pair.get(1, b"").decode(), _value(type_, pair.get(2, zero))


def _value(type_: str, wire: Any) -> Any:
    special = _SPECIAL.get(type_)
    if special is None:
        if not isinstance(wire, bytes):
            raise _Malformed(f"a {type_} is no message")
        return _message(type_, wire)
    wants_number = type_ in ("int", "bool")
    if isinstance(wire, int) is not wants_number:
        raise _Malformed(f"a field of type {type_} has another wire type")
    return special(wire)


def _time(data: bytes) -> str | None:
    """Return a Time or MicroTime; None for the zero time, which JSON shows as null."""
    parts = dict(_wire(data))
    seconds, nanos = _signed(parts.get(1, 0)), parts.get(2, 0)
    if not parts:
        return None
    return rfc3339_micro(seconds + nanos / 1e9) if nanos else rfc3339(seconds)


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_wire(data))
    return parts.get(3, b"").decode() if parts.get(1, 0) == 1 else _signed(parts.get(2, 0))


def _quantity(data: bytes) -> str:
    return dict(_wire(data)).get(1, b"0").decode()


def _raw(data: bytes) -> Any:
    text = dict(_wire(data)).get(1, b"")
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError as fault:
        raise _Malformed(f"an embedded object is not JSON: {fault}") from fault


def _items(data: bytes) -> list[str]:
    return [item.decode() for number, item in _wire(data) if number == 1]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(data: bytes) -> str:
    return data.decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "int": _signed,
    "bool": bool,
    "bytes": _base64,
    "time": _time,
    "quantity": _quantity,
    "int_or_string": _int_or_string,
    "raw": _raw,
    "items": _items,
}


def _wire(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (field number, value): an int, or the bytes of what has a length."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise _Malformed(f"wire type {wire_type} is unknown")
        if position + length > len(data):
            raise _Malformed("it ends in the middle of a field")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(_VARINT_BYTES_MAX):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, position
    raise _Malformed("a varint is longer than 10 bytes")
