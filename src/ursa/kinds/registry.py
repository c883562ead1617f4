"""Every resource that the API serves, as data: a new kind is a row, not code."""

from __future__ import annotations

from dataclasses import dataclass, field

from ursa.kinds.part import Scope

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column: `value` is a path into the document or the name of a function."""

    name: str
    value: str
    type: str = "string"
    priority: int = 0  # above 0: only with -o wide
    description: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    group: str  # "" for core
    version: str
    kind: str
    plural: str
    scope: Scope
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()  # status scale log exec binding eviction finalize token …
    columns: tuple[Column, ...] = field(default=())
    schema: str = ""  # name of the OpenAPI definition

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


RESOURCES: tuple[Resource, ...] = ()


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource served at /apis/{group}/{version}/…/{plural}, if there is one."""
    return _BY_PATH.get((group, version, plural))


_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
