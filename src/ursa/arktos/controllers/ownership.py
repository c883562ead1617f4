"""Who controls what: adopt orphans that a selector matches, release what it no longer does.

An object has at most one controlling owner. An owner keeps what it controls and its selector
matches, releases what it controls and the selector does not match, and adopts what nobody
controls and the selector matches.
Source: Kubernetes, pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ursa.arktos.controllers.runtime import Source, each
from ursa.base.errors import Conflict, NotFound
from ursa.client import Client, Key, key_of
from ursa.client.key import meta_of
from ursa.kinds.part import LabelSelector, OwnerReference, Part, view_of

T = TypeVar("T", bound=Part)


@dataclass(frozen=True, slots=True)
class Claim(Generic[T]):
    keep: tuple[T, ...]
    adopt: tuple[T, ...]
    release: tuple[T, ...]


def controller_of(obj: Part) -> OwnerReference | None:
    """Return the owner that controls `obj`, if there is one."""
    return next((o for o in meta_of(obj).owner_references if o.controller), None)


def reference_to(owner: Part) -> OwnerReference:
    """Return the reference by which `owner` controls a child."""
    view, metadata = view_of(type(owner)), meta_of(owner)
    return OwnerReference(
        api_version=view.api_version,
        kind=view.kind,
        name=metadata.name,
        uid=metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def claim(owner: Part, selector: LabelSelector, objects: Iterable[T]) -> Claim[T]:
    """Sort `objects` of the owner's namespace into what it keeps, adopts and releases."""
    uid = meta_of(owner).uid
    keep: list[T] = []
    adopt: list[T] = []
    release: list[T] = []
    for obj in objects:
        metadata, controller = meta_of(obj), controller_of(obj)
        matches = selector.matches(metadata.labels)
        if controller is None:
            if matches and metadata.deletion_timestamp is None:
                adopt.append(obj)
        elif controller.uid == uid:
            (keep if matches else release).append(obj)
    return Claim(tuple(keep), tuple(adopt), tuple(release))


async def carry_out(client: Client, owner: Part, claimed: Claim[Any]) -> None:
    """Write the adoptions and releases. Conflict if the owner is gone or an object changed."""
    if claimed.adopt:
        await _check_alive(client, owner)
    uid = frozenset({meta_of(owner).uid})
    await each(
        [
            *(_adopt(client, obj, owner) for obj in claimed.adopt),
            *(drop_owners(client, obj, uid) for obj in claimed.release),
        ]
    )


async def _check_alive(client: Client, owner: Part) -> None:
    """Ask the server, not a cache: nothing may be adopted by what is deleted."""
    live = meta_of(await client.get(type(owner), key_of(owner)))
    if live.uid != meta_of(owner).uid or live.deletion_timestamp:
        raise Conflict(f"{view_of(type(owner)).kind} {key_of(owner)} is gone: it adopts nothing")


async def _adopt(client: Client, obj: Part, owner: Part) -> None:
    others = [o for o in meta_of(obj).owner_references if o.uid != meta_of(owner).uid]
    await _set_owners(client, obj, [*others, reference_to(owner)])


async def drop_owners(client: Client, obj: Part, uids: Set[str]) -> None:
    """Remove the references to `uids`. Conflict if `obj` has changed; nothing if it is gone."""
    left = [o for o in meta_of(obj).owner_references if o.uid not in uids]
    try:
        await _set_owners(client, obj, left)
    except NotFound:
        return


async def _set_owners(client: Client, obj: Part, owners: Sequence[OwnerReference]) -> None:
    revision = meta_of(obj).resource_version
    body = {"metadata": {"resourceVersion": revision, "ownerReferences": owners}}
    await client.patch(type(obj), obj, body)


class Orphans(Generic[T]):
    """The objects of one kind that nobody controls, by tenant and namespace."""

    def __init__(self, source: Source[T]) -> None:
        self._by_namespace: dict[tuple[str, str], dict[Key, T]] = defaultdict(dict)
        source.on_change(self._changed)

    def near(self, owner: Part) -> list[T]:
        """Return the orphans of the owner's namespace."""
        metadata = meta_of(owner)
        return [*self._by_namespace.get((metadata.tenant, metadata.namespace), {}).values()]

    def _changed(self, key: Key, _old: T | None, new: T | None) -> None:
        if new is not None and controller_of(new) is None:
            self._by_namespace[key.tenant, key.namespace][key] = new
        elif held := self._by_namespace.get((key.tenant, key.namespace)):
            held.pop(key, None)
            if not held:
                del self._by_namespace[key.tenant, key.namespace]


def owner_key(kind: str, obj: Part) -> Iterable[Key]:
    """Return the key of the owner of `kind` that controls `obj`; none if there is no such."""
    owner, metadata = controller_of(obj), meta_of(obj)
    if owner is None or owner.kind != kind:
        return ()
    return (Key(metadata.tenant, metadata.namespace, owner.name),)
