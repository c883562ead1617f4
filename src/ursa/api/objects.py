"""Reads that access control makes of the API's own objects: from memory, never waiting."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ursa.kinds.registry import Resource, find

Document = dict[str, Any]  # a stored document; shared, so never changed


class Objects(Protocol):
    """The watch cache, as authentication, authorization and admission see it."""

    def get(
        self, resource: Resource, tenant: str, namespace: str, name: str
    ) -> Document | None: ...

    def list(
        self, resource: Resource, tenant: str, namespace: str | None = None
    ) -> Iterable[Document]:
        """Return a namespace's objects; None: all of the tenant's."""
        ...

    def changes(self, resource: Resource) -> int:
        """Return a number that moves whenever an object of the resource does."""
        ...


def served(group: str, plural: str, version: str = "v1") -> Resource:
    """Return a resource that is always served."""
    resource = find(group, version, plural)
    assert resource is not None, f"{plural}.{group}/{version} is not registered"
    return resource
