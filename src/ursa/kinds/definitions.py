"""The OpenAPI definitions of everything served: schemas.json.gz, made by tools/schemas.py."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

Definition = dict[str, Any]


def documented() -> dict[str, Definition]:
    """Return every definition by name, with descriptions; `$ref` is a bare name. Not cached."""
    data = files("ursa.kinds").joinpath("schemas.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(data))


@cache
def definitions() -> dict[str, Definition]:
    """Return every definition by name, without descriptions: they are half of the memory."""
    return {name: _undocumented(definition) for name, definition in documented().items()}


def _undocumented(node: Any) -> Any:
    if isinstance(node, list):
        return [_undocumented(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _undocumented(value)
        for key, value in node.items()
        if not (key == "description" and isinstance(value, str))
    }
