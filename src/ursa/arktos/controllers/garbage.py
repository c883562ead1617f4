"""Owner garbage collection: what all its owners have left goes too.

    every kind's lister ──▶ Graph ──uid──▶ plan ──▶ delete, drop owners, drop a finalizer

Three ways to delete an owner. Background: it goes, its dependents follow. Foreground: it
stays, with finalizer `foregroundDeletion`, until every dependent that blocks it is gone.
Orphan: it stays, with finalizer `orphan`, until no dependent names it any more.
An owner that no cache knows is asked for at the server before anything is deleted for it.
Source: Kubernetes, pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from ursa.arktos.controllers.caches import Caches
from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.graph import Graph, Kinds, is_at, owner_key
from ursa.arktos.controllers.ownership import drop_owners
from ursa.arktos.controllers.runtime import Controller, Result, each
from ursa.base.errors import NotFound
from ursa.client import Client, Key, Lister, key_of
from ursa.client.key import meta_of
from ursa.client.paths import object_path
from ursa.kinds.part import ObjectMeta, OwnerReference, Part, View, view_of

WORKERS = 8
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
UNCOLLECTED = frozenset({("", "Event"), ("events.k8s.io", "Event")})  # many, and never owned


class Owner(Enum):
    """What an owner reference points at."""

    SOLID = "there to stay, or not to be judged"
    WAITING = "being deleted in the foreground: it waits for its dependents"
    ABSENT = "gone"


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Delete:
    propagation: str


@dataclass(frozen=True, slots=True)
class DropOwners:
    """Forget owners that are gone or going; others keep the object."""

    uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """Let a deleted object go, once each of `orphans` has forgotten it."""

    finalizer: str
    orphans: tuple[Part, ...] = ()


Action = Keep | Delete | DropOwners | DropFinalizer


def plan(obj: Part, owners: Mapping[str, Owner], dependents: Sequence[Part]) -> Action:
    """Return what becomes of `obj`. `owners` judges every uid of its ownerReferences."""
    metadata = meta_of(obj)
    if metadata.deletion_timestamp is not None:
        return _ending(metadata, dependents)
    leaving = {uid for uid, owner in owners.items() if owner is not Owner.SOLID}
    if not leaving:
        return Keep()
    if leaving != owners.keys():
        return DropOwners(frozenset(leaving))
    waits = any(owner is Owner.WAITING for owner in owners.values())
    if waits and dependents:
        return Delete("Foreground")
    return Delete(_propagation(metadata))


def _ending(metadata: ObjectMeta, dependents: Sequence[Part]) -> Action:
    if ORPHAN in metadata.finalizers:
        return DropFinalizer(ORPHAN, tuple(dependents))
    if FOREGROUND in metadata.finalizers:
        if any(blocks(dependent, metadata.uid) for dependent in dependents):
            return Keep()
        return DropFinalizer(FOREGROUND)
    return Keep()


def blocks(dependent: Part, uid: str) -> bool:
    """Return whether an owner that is deleted in the foreground waits for `dependent`."""
    references = meta_of(dependent).owner_references
    return any(o.uid == uid and o.block_owner_deletion for o in references)


def _propagation(metadata: ObjectMeta) -> str:
    """Return how to delete: as the finalizers that the object has already say."""
    if ORPHAN in metadata.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in metadata.finalizers else "Background"


class Collector:
    def __init__(self, client: Client, caches: Caches, kinds: Sequence[Served]) -> None:
        self._client = client
        collected = [s for s in kinds if (s.view.group, s.view.kind) not in UNCOLLECTED]
        self._listers: Mapping[View, Lister[Any]] = caches.metadata_of(collected)
        self._kinds = Kinds(self._listers)
        self._graph = Graph()
        self._controller: Controller[str] = Controller("garbage", self.reconcile, workers=WORKERS)
        for lister in self._listers.values():
            lister.on_change(self._changed)

    def controller(self) -> Controller[str]:
        """Return the controller; its keys are uids."""
        return self._controller

    def _changed(self, _key: Key, old: Part | None, new: Part | None) -> None:
        if old is not None and (new is None or meta_of(old).uid != meta_of(new).uid):
            self._graph.remove(meta_of(old).uid)
            self._touch_around(old)
        if new is not None:
            self._graph.put(new)
            if old is None or _shape(old) != _shape(new):
                self._controller.add(meta_of(new).uid)
                if meta_of(new).deletion_timestamp or old is not None:
                    self._touch_around(new)

    def _touch_around(self, obj: Part) -> None:
        """Look again at those whom the end of `obj`, or of its ties, may concern."""
        for dependent in self._graph.dependents(meta_of(obj).uid):
            self._controller.add(meta_of(dependent).uid)
        for owner in meta_of(obj).owner_references:
            self._controller.add(owner.uid)

    async def reconcile(self, uid: str) -> Result:
        obj = self._graph.get(uid)
        if obj is None:
            return Result()
        owners = {o.uid: await self._judge(o, obj) for o in meta_of(obj).owner_references}
        await self._carry_out(obj, plan(obj, owners, self._graph.dependents(uid)))
        return Result()

    async def _judge(self, reference: OwnerReference, dependent: Part) -> Owner:
        view = self._kinds.view_of_owner(reference)
        key = owner_key(view, reference.name, dependent) if view else None
        if view is None or key is None:
            return Owner.SOLID  # nobody can say; deleting would be a guess
        known = self._graph.get(reference.uid)
        if known is not None and is_at(known, view, key):
            return _standing(meta_of(known))
        live = await self._live(view, key)
        return _standing(live) if live and live.uid == reference.uid else Owner.ABSENT

    async def _live(self, view: View, key: Key) -> ObjectMeta | None:
        try:
            answer = await self._client.request("GET", object_path(view, key))
        except NotFound:
            return None
        return msgspec.json.decode(answer, type=_Document).metadata

    async def _carry_out(self, obj: Part, action: Action) -> None:
        match action:
            case Delete(propagation):
                await self._delete(obj, propagation)
            case DropOwners(uids):
                await drop_owners(self._client, obj, uids)
            case DropFinalizer(finalizer, orphans):
                uids = frozenset({meta_of(obj).uid})
                await each(drop_owners(self._client, orphan, uids) for orphan in orphans)
                await self._drop_finalizer(obj, finalizer)

    async def _delete(self, obj: Part, propagation: str) -> None:
        """Delete `obj` as it was judged: not if its owners have changed since."""
        metadata = meta_of(obj)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        }
        path = object_path(view_of(type(obj)), key_of(obj))
        try:
            await self._client.request("DELETE", path, msgspec.json.encode(options))
        except NotFound:
            return

    async def _drop_finalizer(self, obj: Part, finalizer: str) -> None:
        metadata = meta_of(obj)
        left = [name for name in metadata.finalizers if name != finalizer]
        body = {"metadata": {"resourceVersion": metadata.resource_version, "finalizers": left}}
        try:
            await self._client.patch(type(obj), obj, body)
        except NotFound:
            return


class _Document(msgspec.Struct):
    metadata: ObjectMeta


def _shape(obj: Part) -> tuple[object, ...]:
    """Return what garbage collection looks at; other changes are none of its business."""
    metadata = meta_of(obj)
    return metadata.owner_references, metadata.finalizers, metadata.deletion_timestamp


def _standing(owner: ObjectMeta) -> Owner:
    is_waiting = owner.deletion_timestamp is not None and FOREGROUND in owner.finalizers
    return Owner.WAITING if is_waiting else Owner.SOLID
