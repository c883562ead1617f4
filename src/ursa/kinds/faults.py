"""Faults of a document, worded as Kubernetes words them.

A rule is a generator of FieldErrors; its paths are those of the document: `spec.ports[0].name`.
Source: apimachinery, pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ursa.base.errors import FieldError

Document = dict[str, Any]
Faults = Iterator[FieldError]

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(path, f"Invalid value: {_shown(value)}: {detail}", "FieldValueInvalid")


def required(path: str, detail: str = "") -> FieldError:
    message = f"Required value: {detail}" if detail else "Required value"
    return FieldError(path, message, "FieldValueRequired")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, f"Duplicate value: {_shown(value)}", "FieldValueDuplicate")


def unsupported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    listed = ", ".join(_shown(item) for item in sorted(supported))
    message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    return FieldError(path, message, "FieldValueNotSupported")


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(path, f"Forbidden: {detail}", "FieldValueForbidden")


def not_found(path: str, value: Any) -> FieldError:
    return FieldError(path, f"Not found: {_shown(value)}", "FieldValueNotFound")


def too_long(path: str, bytes_max: int) -> FieldError:
    message = f"Too long: may not be more than {bytes_max} bytes"
    return FieldError(path, message, "FieldValueTooLong")


def each_invalid(path: str, value: Any, details: Iterable[str]) -> Faults:
    """Yield one Invalid for each detail: what the checks of syntax.py return."""
    for detail in details:
        yield invalid(path, value, detail)


def one_of(path: str, value: str | None, supported: Iterable[str]) -> Faults:
    """Refuse what is not in `supported`; absence is Required."""
    if not value:
        yield required(path)
    elif value not in supported:
        yield unsupported(path, value, supported)


def not_negative(path: str, value: Any) -> Faults:
    if value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def unchanged(path: str, new: Any, old: Any) -> Faults:
    if new != old:
        yield invalid(path, new, IMMUTABLE)


def unique(items: Iterable[tuple[str, Any]]) -> Faults:
    """Yield Duplicate for each (path, value) whose value came before."""
    seen: set[Any] = set()
    for path, value in items:
        if value in seen:
            yield duplicate(path, value)
        seen.add(value)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
