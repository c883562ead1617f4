"""Documents between their forms: request bodies, stored bytes, wire bytes.

Stored bytes are wire bytes without a resourceVersion: apiVersion, kind and metadata come first,
so that splicing it in is one search and one join.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from ursa.api import protobuf
from ursa.base.errors import BadRequest, UnsupportedMediaType
from ursa.kinds.registry import Resource

Document = dict[str, Any]

JSON_TYPES = ("", "application/json")
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
_METADATA = b'"metadata":{'

_encoder = msgspec.json.Encoder()


class _Yaml(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: JSON's types alone, so times stay text."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def decode(body: bytes, content_type: str) -> Any:
    """Return a body's value. Raises BadRequest, or UnsupportedMediaType for another encoding."""
    kind = media_type(content_type)
    if kind in JSON_TYPES:
        return _decode_json(body)
    if kind in YAML_TYPES:
        return _decode_yaml(body)
    if kind == protobuf.MEDIA_TYPE:
        return protobuf.decode(body)
    raise UnsupportedMediaType(
        f'the body of the request was in an unknown format "{kind}" - accepted media types '
        f"include: application/json, application/yaml, {protobuf.MEDIA_TYPE}"
    )


def decode_object(body: bytes, content_type: str) -> Document:
    """Return a body that must be an object."""
    value = decode(body, content_type)
    if not isinstance(value, dict):
        raise BadRequest("the body of the request must be an object")
    return value


def _decode_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadRequest(f"the body of the request is not JSON: {fault}") from fault


def _decode_yaml(body: bytes) -> Any:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, _Yaml)):
            raise BadRequest("the body of the request has YAML aliases, which are not supported")
        value = yaml.load(body, _Yaml)
        return msgspec.json.decode(msgspec.json.encode(value))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as fault:
        raise BadRequest(f"the body of the request is not YAML: {fault}") from fault


def duplicates(body: bytes) -> list[str]:
    """Return the names of fields that occur twice in one object of a JSON body."""
    found: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                found.append(key)
            made[key] = value
        return made

    try:
        json.loads(body, object_pairs_hook=check)
    except ValueError:
        return []
    return found


def encode(resource: Resource, doc: Document) -> bytes:
    """Return the bytes to store."""
    metadata = {k: v for k, v in doc["metadata"].items() if k != "resourceVersion"}
    ordered = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    ordered |= {key: value for key, value in doc.items() if key not in ordered}
    # A copy of the exact size: the encoder's own buffer keeps the room it grew into.
    return bytes(memoryview(_encoder.encode(ordered)))


def parse(stored: bytes, revision: int) -> Document:
    """Return a fresh document that the caller may change."""
    doc: Document = msgspec.json.decode(stored)
    doc["metadata"]["resourceVersion"] = str(revision)
    return doc


def wire(stored: bytes, revision: int) -> bytes:
    """Return stored bytes with their resourceVersion."""
    # One search and one copy: half of the time of slices put together again.
    return stored.replace(_METADATA, b'"metadata":{"resourceVersion":"%d",' % revision, 1)


class _MetadataOnly(msgspec.Struct):
    metadata: msgspec.Raw


_metadata_decoder = msgspec.json.Decoder(_MetadataOnly)


def partial(stored: bytes, revision: int) -> bytes:
    """Return the object as a PartialObjectMetadata."""
    metadata = bytes(_metadata_decoder.decode(stored).metadata)
    return (
        b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'
        b'{"resourceVersion":"%d",%b}' % (revision, metadata[1:])
    )


def list_head(kind: str, api_version: str, metadata: Document) -> bytes:
    """Return a list document up to its first item."""
    opening = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
    return _encoder.encode(opening)[:-1] + b',"items":['
