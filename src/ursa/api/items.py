"""One object as the cache holds it, what it is selected by, and how it changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from ursa.api.documents import Document, parse
from ursa.api.selectors import FieldRequirement, LabelRequirement

Name = tuple[str, str, str]  # tenant, namespace, name


class Item(msgspec.Struct, gc=False, eq=False):
    """One object at one revision."""

    tenant: str
    namespace: str
    name: str
    revision: int
    value: bytes
    labels: dict[str, str]
    fields: tuple[str, ...]  # values of selectors.selectable(resource), in its order
    _doc: Document | None = None

    @property
    def key(self) -> Name:
        return self.tenant, self.namespace, self.name

    def document(self) -> Document:
        """Return the decoded object; it is kept and shared."""
        if self._doc is None:
            self._doc = parse(self.value, self.revision)
        return self._doc


class Change(NamedTuple):
    revision: int
    old: Item | None
    new: Item | None  # None: deleted

    @property
    def item(self) -> Item:
        """The newest state there was."""
        item = self.new or self.old
        assert item is not None
        return item


Tell = Callable[[Sequence[Change]], None]


class Selection(NamedTuple):
    """Which objects of a resource."""

    tenant: str  # ALL_TENANTS for any
    namespace: str = ""  # "" for any
    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.labels and not self.fields

    def value(self, field: str) -> str | None:
        """Return the value that a field must be equal to, if the selection says one."""
        return next((r.value for r in self.fields if r.field == field and r.is_equal), None)


class _Labels(msgspec.Struct):
    labels: dict[str, str] | None = None


def envelope_type(paths: Sequence[str]) -> type[msgspec.Struct]:
    """Return a type that decodes an object's labels and the fields at `paths`, nothing else."""
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        *parents, leaf = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = None
    return _struct("Envelope", tree, [("metadata", _Labels)])


def _struct(name: str, tree: dict[str, Any], more: Sequence[tuple[str, Any]]) -> Any:
    fields: list[Any] = [
        (key, Any if child is None else _struct(key, child, ()) | None, None)
        for key, child in tree.items()
    ]
    return msgspec.defstruct(name, [*more, *fields])


def value_at(envelope: Any, path: str) -> Any:
    for part in path.split("."):
        if envelope is None:
            return None
        envelope = getattr(envelope, part)
    return envelope


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):  # an event's source is selected by its component
        return str(value.get("component", ""))
    return "" if value is None else str(value)
