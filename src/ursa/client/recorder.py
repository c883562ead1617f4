"""Recorder: what a component did to an object, as core/v1 Events that users read.

An event's name is a function of object, type, reason and message: the same event again, from
this process or its successor, counts the first one up. Events inform; losing one must not
stop the work, so a failure is logged and counted and never raised.
Source: Kubernetes client-go, tools/record.
"""

from __future__ import annotations

import logging

import msgspec

from ursa.base.clock import Clock, WallClock, rfc3339
from ursa.base.errors import AlreadyExists, ApiError, NotFound
from ursa.base.ids import suffix
from ursa.client.client import PATCH_TYPES, Client
from ursa.client.key import Key, meta_of
from ursa.client.paths import collection_path, object_path
from ursa.kinds.part import Part, Scope, View, view_of

log = logging.getLogger(__name__)

EVENT = View("", "v1", "Event", "events", Scope.NAMESPACE)
MESSAGE_MAX = 1024  # characters; Kubernetes' bound of Event.message
NAME_MAX = 253
COUNTS_MAX = 4096  # events remembered; a forgotten one is read again before it is counted


class Recorder:
    def __init__(self, client: Client, component: str, clock: Clock | None = None) -> None:
        self.failures = 0  # events that could not be written
        self._client = client
        self._component = component
        self._clock = clock or WallClock()
        self._counts: dict[Key, int] = {}

    async def event(self, obj: Part, type_: str, reason: str, message: str) -> None:
        """Record an event of `type_` Normal or Warning; never raises an ApiError."""
        message = message[:MESSAGE_MAX]
        key = _event_key(obj, f"{self._component}/{type_}/{reason}/{message}")
        try:
            if key not in self._counts or not await self._count_up(key, self._counts[key] + 1):
                await self._create(key, obj, type_, reason, message)
        except ApiError as fault:
            self.failures += 1
            self._counts.pop(key, None)
            log.warning(
                "event lost", extra={"key": str(key), "reason": reason, "error": str(fault)}
            )

    async def _create(self, key: Key, obj: Part, type_: str, reason: str, message: str) -> None:
        view, metadata, now = view_of(type(obj)), meta_of(obj), rfc3339(self._clock.now_s())
        document = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"tenant": key.tenant, "namespace": key.namespace, "name": key.name},
            "involvedObject": {
                "kind": view.kind,
                "apiVersion": view.api_version,
                "tenant": metadata.tenant,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": type_,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._component,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        path = collection_path(EVENT, key.tenant, key.namespace)
        try:
            await self._client.request("POST", path, msgspec.json.encode(document))
            self._remember(key, 1)
        except AlreadyExists:
            stored = msgspec.json.decode(
                await self._client.request("GET", object_path(EVENT, key)), type=_Counted
            )
            await self._count_up(key, stored.count + 1)

    async def _count_up(self, key: Key, count: int) -> bool:
        """Return False if the event is gone: events expire."""
        body = {"count": count, "lastTimestamp": rfc3339(self._clock.now_s())}
        try:
            await self._client.request(
                "PATCH",
                object_path(EVENT, key),
                msgspec.json.encode(body),
                content_type=PATCH_TYPES["merge"],
            )
        except NotFound:
            return False
        self._remember(key, count)
        return True

    def _remember(self, key: Key, count: int) -> None:
        self._counts.pop(key, None)
        self._counts[key] = count
        if len(self._counts) > COUNTS_MAX:
            del self._counts[next(iter(self._counts))]


class _Counted(msgspec.Struct):
    count: int = 1


def _event_key(obj: Part, what: str) -> Key:
    """Return where the event lives: beside its object, or in system's or the tenant's default."""
    metadata = meta_of(obj)
    tail = suffix(f"{metadata.uid}/{what}".encode(), 10)
    name = f"{metadata.name[: NAME_MAX - len(tail) - 1]}.{tail}"
    return Key(metadata.tenant or "system", metadata.namespace or "default", name)
