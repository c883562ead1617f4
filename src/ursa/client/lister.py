"""Lister: every object of one kind, read from memory and kept current by a watch.

    list at R ──▶ cache ◀── watch from R ──▶ events, bookmarks (move R)
      ▲                            │ Expired: list again
      └────────────────────────────┘ anything else: back off, watch again from R

Readers get shared, frozen views. Whoever waits for changes is told keys, never events; a
key waits once, so what is waiting is bounded by the number of objects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

import msgspec

from ursa.base.errors import ApiError, Expired, ServiceUnavailable
from ursa.client.client import Client
from ursa.client.documents import Bookmark, WatchEvent, decode_or_drop
from ursa.client.key import Key, key_of, meta_of
from ursa.kinds.part import Part

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Part)
K = TypeVar("K")
Changed = Callable[[Key, T | None, T | None], None]  # key, before, after

BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 5.0  # an API server that returns is found again within this
WATCH_MIN_S = 1.0  # a server that ends watches sooner is failing; do not spin on it


class Lister(Generic[T]):
    """Run `run()` in a task; await `synced()` before the first read."""

    def __init__(
        self,
        client: Client,
        cls: type[T],
        *,
        tenant: str = "all",
        field_selector: str = "",
        label_selector: str = "",
    ) -> None:
        self.revision = 0  # of the newest event or list that the cache holds
        self._client = client
        self._cls = cls
        self._tenant = tenant
        self._field_selector = field_selector
        self._label_selector = label_selector
        self._objects: dict[Key, T] = {}
        self._by_namespace: dict[tuple[str, str], dict[Key, T]] = defaultdict(dict)
        self._by_controller: dict[str, dict[Key, T]] = defaultdict(dict)
        self._synced = asyncio.Event()
        self._callbacks: list[Changed[T]] = []
        self._waiting: list[_Keys] = []

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        failures = 0
        listed = False
        while True:
            try:
                if not listed:
                    await self._list()
                    listed = True
                    self._synced.set()
                async for event in self._events():
                    failures = 0
                    self._apply(event)
                failures = 0
            except Expired:
                listed = False
            except ApiError as fault:
                failures += 1
                log.warning(
                    "watch failed",
                    extra={"kind": self._cls.__name__, "error": str(fault), "failures": failures},
                )
                await asyncio.sleep(min(BACKOFF_MIN_S * 2.0 ** min(failures, 20), BACKOFF_MAX_S))

    async def synced(self) -> None:
        """Wait until the cache has been filled once."""
        await self._synced.wait()

    def get(self, key: Key) -> T | None:
        return self._objects.get(key)

    def list(self) -> Sequence[T]:
        """Return all objects, in no particular order."""
        return [*self._objects.values()]

    def in_namespace(self, tenant: str, namespace: str) -> Sequence[T]:
        """Return a namespace's objects; "" asks for a tenant's objects of a tenant-scoped kind."""
        return [*self._by_namespace.get((tenant, namespace), {}).values()]

    def controlled_by(self, owner: Part) -> Sequence[T]:
        """Return the objects whose controller is `owner`, by uid."""
        return [*self._by_controller.get(meta_of(owner).uid, {}).values()]

    def on_change(self, callback: Changed[T]) -> None:
        """Call `callback(key, before, after)` at every change, and at once for what is there.

        `before` is None for an object that appears, `after` for one that is gone.
        """
        self._callbacks.append(callback)
        for key, obj in self._objects.items():
            callback(key, None, obj)

    async def changes(self) -> AsyncIterator[Key]:
        """Yield keys that have changed, for ever; first every key that is present."""
        keys = _Keys(self._objects)
        self._waiting.append(keys)
        try:
            while True:
                yield await keys.take()
        finally:
            self._waiting.remove(keys)

    async def _list(self) -> None:
        items, revision = await self._client.list(
            self._cls,
            tenant=self._tenant,
            field_selector=self._field_selector,
            label_selector=self._label_selector,
        )
        fresh = {key_of(item): item for item in items}
        for key in self._objects.keys() - fresh.keys():
            self._put(key, None)
        for key, item in fresh.items():
            held = self._objects.get(key)
            if held is None or _version(held) != _version(item):
                self._put(key, item)
        self.revision = revision

    async def _events(self) -> AsyncIterator[WatchEvent]:
        watch = self._client.watch(
            self._cls,
            revision=self.revision,
            tenant=self._tenant,
            field_selector=self._field_selector,
            label_selector=self._label_selector,
        )
        started = asyncio.get_running_loop().time()
        async with aclosing(watch) as events:
            async for event in events:
                yield event
        if asyncio.get_running_loop().time() - started < WATCH_MIN_S:
            raise ServiceUnavailable("the server ended the watch at once")

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "BOOKMARK":
            bookmark = msgspec.json.decode(event.object, type=Bookmark)
            self.revision = int(bookmark.metadata.resource_version)
            return
        obj, metadata = decode_or_drop(self._cls, event.object)
        key = Key(metadata.tenant, metadata.namespace, metadata.name)
        self._put(key, None if event.type == "DELETED" else obj)
        self.revision = int(metadata.resource_version)

    def _put(self, key: Key, after: T | None) -> None:
        before = self._objects.get(key)
        if before is after:  # both None: what was never held is gone
            return
        if before is not None:
            self._unindex(key, before)
        if after is None:
            self._objects.pop(key, None)
        else:
            self._index(key, after)
        for callback in self._callbacks:
            callback(key, before, after)
        for keys in self._waiting:
            keys.add(key)

    def _index(self, key: Key, obj: T) -> None:
        self._objects[key] = obj
        self._by_namespace[key.tenant, key.namespace][key] = obj
        if uid := controller_uid(obj):
            self._by_controller[uid][key] = obj

    def _unindex(self, key: Key, obj: T) -> None:
        _drop(self._by_namespace, (key.tenant, key.namespace), key)
        if uid := controller_uid(obj):
            _drop(self._by_controller, uid, key)


class _Keys:
    """Keys that wait for one reader, each once, in order of arrival."""

    def __init__(self, present: dict[Key, T]) -> None:
        self._keys = dict.fromkeys(present)
        self._arrived = asyncio.Event()

    def add(self, key: Key) -> None:
        self._keys[key] = None
        self._arrived.set()

    async def take(self) -> Key:
        while not self._keys:
            self._arrived.clear()
            await self._arrived.wait()
        key = next(iter(self._keys))
        del self._keys[key]
        return key


def controller_uid(obj: Part) -> str:
    """Return the uid of the owner that controls `obj`, or ""."""
    for owner in meta_of(obj).owner_references:
        if owner.controller:
            return owner.uid
    return ""


def _version(obj: Part) -> str:
    return meta_of(obj).resource_version


def _drop(index: dict[K, dict[Key, T]], entry: K, key: Key) -> None:
    held = index[entry]
    del held[key]
    if not held:
        del index[entry]
