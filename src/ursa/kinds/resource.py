"""What a row of the registry is made of."""

from __future__ import annotations

from dataclasses import dataclass

from ursa.kinds.part import Scope

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
VIRTUAL_VERBS = ("create",)  # answered at once and never stored: reviews


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column: `value` is a path into the document or the name of a cell function.

    A path begins with a dot; a cell function is one of tables.CELLS.
    """

    name: str
    value: str
    type: str = "string"
    priority: int = 0  # above 0: only with -o wide
    description: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """What is below an object's URL: its own kind and verbs."""

    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""  # "": the parent's own kind


SUBRESOURCES = {
    "status": Subresource(("get", "patch", "update")),
    "scale": Subresource(("get", "patch", "update"), "autoscaling", "v1", "Scale"),
    "finalize": Subresource(("update",)),
    "log": Subresource(("get",)),
    "exec": Subresource(("create", "get"), "", "v1", "PodExecOptions"),
    "binding": Subresource(("create",), "", "v1", "Binding"),
    "eviction": Subresource(("create",), "policy", "v1", "Eviction"),
    "token": Subresource(("create",), "authentication.k8s.io", "v1", "TokenRequest"),
}


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
    subresources: tuple[str, ...] = ()  # names in SUBRESOURCES
    columns: tuple[Column, ...] = ()
    schema: str = ""  # name of the OpenAPI definition
    returns_deleted: bool = False  # DELETE answers with the object, not with a Status

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def is_virtual(self) -> bool:
        """Whether it is answered at once and never stored."""
        return self.verbs == VIRTUAL_VERBS
