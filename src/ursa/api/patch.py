"""The patch types: JSON patch, merge patch, strategic merge patch. Pure.

`parse` returns a function from the current document to the wanted one; it may change what it
is given, and is called again when another write came first.
Source: RFC 6902; RFC 7386; Kubernetes, "strategic-merge-patch" (directives and list order).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ursa.api.documents import Document, decode, media_type
from ursa.base.errors import ApiError, BadRequest, UnsupportedMediaType
from ursa.kinds.schema import PatchField, patch_field

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
OPERATIONS_MAX = 10_000  # of one JSON patch, as Kubernetes

Apply = Callable[[Document], Document]


class Unprocessable(ApiError):
    """A patch that does not fit the object it is for."""

    code, reason = 422, "Invalid"


def parse(body: bytes, content_type: str, definition: str) -> Apply:
    """Return what a patch does to a document whose schema is `definition`.

    Raises BadRequest for what is no patch, UnsupportedMediaType for another type of patch.
    """
    kind = media_type(content_type)
    if kind == APPLY_PATCH:
        raise UnsupportedMediaType(
            "server-side apply is not implemented by this server: use client-side apply "
            "(kubectl apply without --server-side), or one of the other patch types"
        )
    if kind not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise UnsupportedMediaType(
            f'the body of the request was in an unknown format "{kind}" - accepted media types '
            f"include: {JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}"
        )
    patch = decode(body, "")
    if kind == JSON_PATCH:
        operations = _operations(patch)
        return lambda doc: json_patch(doc, operations)
    if not isinstance(patch, dict):
        raise BadRequest("the patch must be an object")
    if kind == MERGE_PATCH:
        return lambda doc: merge(doc, deepcopy(patch))
    return lambda doc: strategic(doc, deepcopy(patch), definition)


# JSON merge patch


def merge(current: Any, patch: Any) -> Any:
    """Return RFC 7386's MergePatch(current, patch)."""
    if not isinstance(patch, dict):
        return patch
    merged = current if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


# JSON patch


def _operations(patch: Any) -> list[Document]:
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        raise BadRequest("a JSON patch is an array of operations")
    if len(patch) > OPERATIONS_MAX:
        raise BadRequest(f"the JSON patch has more than {OPERATIONS_MAX} operations")
    return patch


def json_patch(doc: Document, operations: list[Document]) -> Document:
    """Return the document after all operations. Raises Unprocessable at the first that fails."""
    root: Any = doc
    for number, step in enumerate(operations):
        try:
            root = _step(root, step)
        except (KeyError, IndexError, ValueError, TypeError) as fault:
            raise Unprocessable(
                f"the JSON patch's operation {number} ({step.get('op')} {step.get('path')}) does "
                f"not fit the object: {fault}"
            ) from fault
    if not isinstance(root, dict):
        raise Unprocessable("the JSON patch leaves no object")
    return root


def _step(root: Any, step: Document) -> Any:
    path = _pointer(step["path"])
    match step["op"]:
        case "add":
            return _add(root, path, deepcopy(step["value"]))
        case "remove":
            return _remove(root, path)
        case "replace":
            _find(root, path)
            return _add(_remove(root, path), path, deepcopy(step["value"]))
        case "move":
            source = _pointer(step["from"])
            if path[: len(source)] == source and path != source:
                raise ValueError("a value cannot be moved into itself")
            value = _find(root, source)
            return _add(_remove(root, source), path, value)
        case "copy":
            return _add(root, path, deepcopy(_find(root, _pointer(step["from"]))))
        case "test":
            if not _equal(_find(root, path), step["value"]):
                raise ValueError("the value is another one")
            return root
        case other:
            raise ValueError(f"{other!r} is no operation")


def _pointer(text: Any) -> list[str]:
    """Return the tokens of a JSON pointer (RFC 6901)."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise ValueError(f"{text!r} is no JSON pointer")
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _index(token: str, bound: int) -> int:
    if not (token.isascii() and token.isdecimal()) or (token != "0" and token[0] == "0"):
        raise ValueError(f"{token!r} is no array index")
    if int(token) >= bound:
        raise IndexError(f"index {token} is out of range")
    return int(token)


def _find(root: Any, path: list[str]) -> Any:
    for token in path:
        if isinstance(root, list):
            root = root[_index(token, len(root))]
        elif isinstance(root, dict):
            if token not in root:
                raise KeyError(f"there is no {token!r}")
            root = root[token]
        else:
            raise ValueError(f"{token!r} is below a scalar")
    return root


def _add(root: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(root, path[:-1]), path[-1]
    if isinstance(parent, list):
        at = len(parent) if last == "-" else _index(last, len(parent) + 1)
        parent.insert(at, value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise ValueError(f"{last!r} is below a scalar")
    return root


def _remove(root: Any, path: list[str]) -> Any:
    _find(root, path)
    if not path:
        return None
    parent, last = _find(root, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return root


def _equal(a: Any, b: Any) -> bool:
    """Return JSON equality: true is not 1."""
    if isinstance(a, bool) is not isinstance(b, bool):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


# Strategic merge patch

_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DROP = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic(current: Document, patch: Document, definition: str) -> Document:
    """Return `current` patched; `definition` "" has no lists to merge."""
    match patch.pop(_DIRECTIVE, "merge"):
        case "replace":
            return patch
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise BadRequest(f"{_DIRECTIVE}: {other!r} is none of merge, replace, delete")
    retained = patch.pop(_RETAIN, None)
    if retained is not None:
        current = {key: value for key, value in current.items() if key in retained}
    orders = {key.removeprefix(_ORDER): patch[key] for key in patch if key.startswith(_ORDER)}
    for key, value in patch.items():
        if key.startswith(_DROP):
            name = key.removeprefix(_DROP)
            current[name] = [one for one in current.get(name) or [] if one not in value]
        elif value is None:
            current.pop(key, None)
        elif not key.startswith(_ORDER):
            before = list(current.get(key) or []) if key in orders else []
            current[key] = _field(current.get(key), value, patch_field_of(definition, key))
            if key in orders:
                field = patch_field_of(definition, key)
                current[key] = _in_order(current[key], before, orders[key], field)
    for key, order in orders.items():
        if key not in patch and isinstance(current.get(key), list):
            field = patch_field_of(definition, key)
            current[key] = _in_order(current[key], current[key], order, field)
    return current


def patch_field_of(definition: str, name: str) -> PatchField | None:
    return patch_field(definition, name) if definition else None


def _field(current: Any, value: Any, field: PatchField | None) -> Any:
    if isinstance(value, dict):
        definition = field.definition if field is not None and not field.is_list else ""
        return strategic(current if isinstance(current, dict) else {}, value, definition)
    if isinstance(value, list) and field is not None and field.is_list and field.merge:
        return _list(current if isinstance(current, list) else [], value, field)
    return value


def _list(current: list[Any], patch: list[Any], field: PatchField) -> list[Any]:
    if not field.merge_key:
        return current + [one for one in patch if one not in current]
    if not all(isinstance(item, dict) for item in patch):
        raise BadRequest("a list that is merged by a key holds objects")
    directives = [item.get(_DIRECTIVE) for item in patch]
    if any(
        d == "replace" and set(i) == {_DIRECTIVE} for d, i in zip(directives, patch, strict=True)
    ):
        return [item for item in patch if _DIRECTIVE not in item]
    merged = list(current)
    for item in patch:
        if field.merge_key not in item:
            raise BadRequest(f"an item of a list that is merged needs its key {field.merge_key}")
        at = _position(merged, item[field.merge_key], field.merge_key)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append(strategic({}, item, field.definition))
        else:
            merged[at] = strategic(merged[at], item, field.definition)
    return merged


def _position(items: list[Any], value: Any, key: str) -> int | None:
    found = (i for i, one in enumerate(items) if isinstance(one, dict) and one.get(key) == value)
    return next(found, None)


def _in_order(
    items: list[Any], before: list[Any], order: list[Any], field: PatchField | None
) -> list[Any]:
    """Return the items as the client has ordered them; those that it does not know stay put."""
    key = field.merge_key if field is not None else ""

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [name(item) for item in order]
    was = [name(item) for item in before]
    known = sorted((i for i in items if name(i) in wanted), key=lambda i: wanted.index(name(i)))
    others = [item for item in items if name(item) not in wanted]
    result: list[Any] = []
    for item in known:
        while others and name(item) in was and _precedes(name(others[0]), name(item), was):
            result.append(others.pop(0))
        result.append(item)
    return result + others


def _precedes(first: Any, second: Any, order: list[Any]) -> bool:
    return first in order and order.index(first) < order.index(second)
