"""What the API server serves, asked of itself: for controllers that act on every kind.

Source: Kubernetes API concepts, "API discovery" (the legacy lists, which every server has);
Arktos for `tenanted`.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import msgspec

from ursa.client import Client
from ursa.kinds.part import VIEWS, ObjectMeta, Part, Scope, View


class Served(NamedTuple):
    """One kind and what may be done with it."""

    view: View
    verbs: frozenset[str]

    @property
    def qualified(self) -> str:
        """Return `pods.` or `deployments.apps`, as Kubernetes words a remaining resource."""
        return f"{self.view.plural}.{self.view.group}"


class _ApiResource(msgspec.Struct):
    name: str
    kind: str
    verbs: list[str]
    namespaced: bool = False
    tenanted: bool = False


class _ResourceList(msgspec.Struct):
    resources: list[_ApiResource] = []


class _GroupVersion(msgspec.Struct, rename="camel"):
    group_version: str
    version: str


class _Group(msgspec.Struct, rename="camel"):
    name: str
    preferred_version: _GroupVersion


class _GroupList(msgspec.Struct):
    groups: list[_Group] = []


async def discover(client: Client) -> tuple[Served, ...]:
    """Return every kind that can be listed and deleted, each in its preferred version."""
    found = msgspec.json.decode(await client.request("GET", "/apis"), type=_GroupList)
    served = await _resources(client, "/api/v1", "", "v1")
    for group in found.groups:
        preferred = group.preferred_version
        path = f"/apis/{preferred.group_version}"
        served += await _resources(client, path, group.name, preferred.version)
    return tuple(s for s in served if {"list", "delete"} <= s.verbs)


async def _resources(client: Client, path: str, group: str, version: str) -> list[Served]:
    answer = msgspec.json.decode(await client.request("GET", path), type=_ResourceList)
    return [
        Served(View(group, version, r.kind, r.name, _scope(r)), frozenset(r.verbs))
        for r in answer.resources
        if "/" not in r.name
    ]


def _scope(resource: _ApiResource) -> Scope:
    if resource.namespaced:
        return Scope.NAMESPACE
    return Scope.TENANT if resource.tenanted else Scope.CLUSTER


def metadata_view(view: View) -> type[Part]:
    """Return a typed view of this kind that holds metadata alone, and so costs little."""
    made = msgspec.defstruct(
        view.kind, [("metadata", ObjectMeta)], bases=(Part,), frozen=True, kw_only=True
    )
    cls = cast(type[Part], made)
    VIEWS[cls] = view
    return cls
