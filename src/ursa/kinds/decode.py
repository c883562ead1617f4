"""Compile a definition to a closure that decodes documents as Kubernetes' Go structs would.

A closure refuses a value of a wrong type by Mismatch, mends the document in place (null is
absence, unknown fields go, absent required scalars are zero, quantities are canonical) and
returns the paths of unknown fields below it, or nothing. Each definition is compiled once,
when first used; those of the served kinds have no cycles.
Source: sigs.k8s.io/json and Go's encoding/json (messages).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from ursa.base import quantity
from ursa.kinds.definitions import Definition, definitions

Decoder = Callable[[Any], list[str] | None]

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_LIMITS = {"int32": 2**31, "int64": 2**63}
_ZERO: dict[str, Any] = {"string": "", "integer": 0, "boolean": False}
_GO_SCALAR = {"string": "string", "boolean": "bool", "number": "float64"}
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


class Mismatch(Exception):
    """A value that its field cannot hold; the objects above it add where it was."""

    def __init__(self, text: str, wanted: str = "") -> None:
        super().__init__(text)
        self.text, self.wanted = text, wanted
        self.trail: list[str] = []
        self.struct = ""  # the innermost definition's short name

    def __str__(self) -> str:
        if not self.wanted:
            return self.text
        where = f"Go struct field {self.struct}.{'.'.join(reversed(self.trail))}"
        place = where if self.trail else "Go value"
        return f"json: cannot unmarshal {self.text} into {place} of type {self.wanted}"


@cache
def decoder(definition: str) -> Decoder:
    """Return the decoder of a definition's documents."""
    schema = definitions()[definition]
    struct = definition.rpartition(".")[2]
    if "oneOf" in schema:
        return _quantity if definition == _QUANTITY else _int_or_string
    if "properties" in schema:
        return _object(struct, _go_type(definition), schema)
    return _value(schema)


def _value(schema: Definition) -> Decoder:
    if "$ref" in schema:
        return decoder(schema["$ref"])
    match schema["type"]:
        case "array":
            return _list(schema["items"])
        case "object" if "additionalProperties" in schema:
            return _map(schema["additionalProperties"])
        case "object":
            return _instance(dict, "map[string]interface {}")
        case "integer":
            return _integer(schema.get("format", "int64"))
        case "number":
            return _number
    match schema.get("format"):
        case "date-time":
            return _time
        case "byte":
            return _bytes
    return _instance(*_SCALARS[schema["type"]])


_SCALARS = {"string": (str, "string"), "boolean": (bool, "bool")}


def _object(struct: str, go_type: str, schema: Definition) -> Decoder:
    properties = schema["properties"]
    plain = {name: _SCALARS[p["type"]][0] for name, p in properties.items() if _is_plain(p)}
    checks = {name: _value(field) for name, field in properties.items()}
    quantities = [name for name, field in properties.items() if field.get("$ref") == _QUANTITY]
    zeros = [
        (name, _ZERO[properties[name]["type"]])
        for name in schema.get("required", ())
        if properties[name].get("type") in _ZERO
    ]

    def check(doc: Any) -> list[str] | None:
        if type(doc) is not dict:
            raise Mismatch(_json_type(doc), go_type)
        unknown: list[str] | None = None
        gone: list[str] | None = None
        name = ""
        try:
            for name, value in doc.items():
                if type(value) is plain.get(name):
                    continue
                if (below := checks.get(name)) is None or value is None:
                    gone = [*(gone or ()), name]
                    if below is None:
                        unknown = [*(unknown or ()), name]
                elif paths := below(value):
                    unknown = [*(unknown or ()), *_below(name, paths)]
        except Mismatch as fault:
            fault.trail.append(name)
            fault.struct = fault.struct or struct
            raise
        if gone is not None:
            for name in gone:
                del doc[name]
        for name, zero in zeros:
            if name not in doc:
                doc[name] = zero
        for name in quantities:
            if name in doc:
                doc[name] = quantity.canonical(doc[name])
        return unknown

    return check


def _is_plain(field: Definition) -> bool:
    return field.get("type") in _SCALARS and "format" not in field


def _below(name: str, paths: list[str]) -> list[str]:
    return [f"{name}{path}" if path[0] == "[" else f"{name}.{path}" for path in paths]


def _list(items: Definition) -> Decoder:
    below = _value(items)
    go_type = "[]" + _go_type_of(items)
    null: Callable[[], Any] = dict if _is_struct(items) else lambda: _ZERO.get(_type(items), {})

    def check(value: Any) -> list[str] | None:
        if type(value) is not list:
            raise Mismatch(_json_type(value), go_type)
        unknown: list[str] = []
        for index, item in enumerate(value):
            if item is None:
                value[index] = null()
            if paths := below(value[index]):
                unknown += _below(f"[{index}]", paths)
        return unknown

    return check


def _map(values: Definition) -> Decoder:
    below = _value(values)
    go_type = "map[string]" + _go_type_of(values)
    is_quantity = values.get("$ref") == _QUANTITY
    is_text = _is_plain(values)

    def check(value: Any) -> list[str] | None:
        if type(value) is not dict:
            raise Mismatch(_json_type(value), go_type)
        unknown: list[str] = []
        for key, item in value.items():
            if is_text and type(item) is str:
                continue
            if item is None:
                value[key] = "" if _type(values) == "string" else {}
            elif paths := below(item):
                unknown += _below(key, paths)
        if is_quantity:
            for key, item in value.items():
                value[key] = quantity.canonical(item or 0)
        return unknown

    return check


def _instance(wanted: type, go_type: str) -> Decoder:
    def check(value: Any) -> None:
        if type(value) is not wanted:
            raise Mismatch(_json_type(value), go_type)

    return check


def _integer(name: str) -> Decoder:
    limit = _LIMITS[name]

    def check(value: Any) -> None:
        if type(value) is not int or not -limit <= value < limit:
            text = f"number {value}" if type(value) in (int, float) else _json_type(value)
            raise Mismatch(text, name)

    return check


def _number(value: Any) -> None:
    if type(value) not in (int, float):
        raise Mismatch(_json_type(value), "float64")


def _time(value: Any) -> None:
    if type(value) is not str:
        raise Mismatch(_json_type(value), "string")
    if not _TIME.fullmatch(value):
        layout = "2006-01-02T15:04:05Z07:00"
        raise Mismatch(f'parsing time "{value}" as "{layout}": cannot parse "{value}"')


def _bytes(value: Any) -> None:
    if type(value) is not str:
        raise Mismatch(_json_type(value), "[]uint8")
    try:
        binascii.a2b_base64(value.replace("\n", "").replace("\r", ""), strict_mode=True)
    except (binascii.Error, ValueError) as fault:
        raise Mismatch(f"illegal base64 data: {fault}") from fault


def _int_or_string(value: Any) -> None:
    if type(value) not in (int, str):
        raise Mismatch(_json_type(value), "intstr.IntOrString")


def _quantity(value: Any) -> None:
    if type(value) not in (str, int, float):
        raise Mismatch(_json_type(value), "resource.Quantity")
    try:
        quantity.canonical(value)
    except ValueError as fault:
        grammar = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
        raise Mismatch(f"quantities must match the regular expression '{grammar}'") from fault


def _json_type(value: Any) -> str:
    """Return a value's type as Go's JSON decoder calls it."""
    match value:
        case str():
            return "string"
        case bool():
            return "bool"
        case dict():
            return "object"
        case list():
            return "array"
        case None:
            return "null"
    return "number"


def _type(schema: Definition) -> str:
    resolved = definitions()[schema["$ref"]] if "$ref" in schema else schema
    return resolved.get("type", "")


def _is_struct(schema: Definition) -> bool:
    return "$ref" in schema and "properties" in definitions()[schema["$ref"]]


def _go_type_of(schema: Definition) -> str:
    if "$ref" in schema:
        return _go_type(schema["$ref"])
    match schema["type"]:
        case "array":
            return "[]" + _go_type_of(schema["items"])
        case "object":
            return "map[string]" + _go_type_of(schema.get("additionalProperties", _ANYTHING))
        case "integer":
            return schema.get("format", "int64")
    return "[]uint8" if schema.get("format") == "byte" else _GO_SCALAR[schema["type"]]


_ANYTHING: Definition = {"type": "string"}


def _go_type(definition: str) -> str:
    """`io.k8s.api.core.v1.PodSpec` → `v1.PodSpec`."""
    return ".".join(definition.split(".")[-2:])
