"""The API server as a running thing: its listeners, its clock ticks, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence

from ursa.api.app import App
from ursa.api.dispatch import Dispatcher
from ursa.api.http import Connection, Counts, Shared
from ursa.api.metrics import Metrics
from ursa.api.plain import Health, PlainPaths
from ursa.api.tls import Link
from ursa.api.watch import BOOKMARK_EVERY_S

log = logging.getLogger(__name__)

TICK_S = 1.0
COMPACT_EVERY_S = 10.0
HISTORY_EVENTS_MAX = 20_000  # kept for watches that resume; 10,000 pods come and go once
HISTORY_BYTES_MAX = 64 << 20
DRAIN_S = 2.0  # for answers that are on their way when the server ends
BACKLOG = 1024  # connections not yet accepted


class Server:
    def __init__(self, app: App, counts: Counts, context: ssl.SSLContext) -> None:
        self._app = app
        self._counts = counts
        self._context = context
        self._metrics = Metrics()
        self._metrics.sample(self._samples)
        self._health = Health()
        self._shared: Shared | None = None

    async def run(self, sockets: Sequence[socket.socket], ready: asyncio.Event) -> None:
        """Serve on bound sockets until cancelled; `ready` is set once it does."""
        dispatcher = Dispatcher(
            self._app, PlainPaths(self._app, self._health, self._metrics), self._metrics
        )
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            shared = self._shared = Shared(dispatcher.handle, tasks, self._counts)
            shared.tick(loop.time())
            listeners = [await self._listen(shared, bound) for bound in sockets]
            self._health.is_ready = True
            log.info("serving", extra={"addresses": [s.getsockname() for s in sockets]})
            ready.set()
            try:
                await self._keep_house(shared)
            finally:
                self._health.is_ready = False
                for listener in listeners:
                    listener.close()
                await self._drain(shared)

    async def _listen(self, shared: Shared, bound: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Link(self._context, Connection(shared)), sock=bound, backlog=BACKLOG
        )

    async def _keep_house(self, shared: Shared) -> None:
        loop = asyncio.get_running_loop()
        compact_at_s = loop.time() + COMPACT_EVERY_S
        bookmark_at_s = loop.time() + BOOKMARK_EVERY_S
        while True:
            await asyncio.sleep(TICK_S)
            now_s = loop.time()
            self._health.lag_s = max(0.0, now_s - shared.now_s - TICK_S)
            shared.tick(now_s)
            if now_s >= compact_at_s:
                compact_at_s = now_s + COMPACT_EVERY_S
                await self._compact()
            if now_s >= bookmark_at_s:
                bookmark_at_s = now_s + BOOKMARK_EVERY_S
                self._app.hub.bookmark_all()

    async def _compact(self) -> None:
        store = self._app.store
        revision = store.oldest_to_keep(HISTORY_EVENTS_MAX, HISTORY_BYTES_MAX)
        if revision > store.compacted:
            await store.compact(revision)
            self._app.cache.forget(revision)

    async def _drain(self, shared: Shared) -> None:
        """Let answers finish; end watches, which would never, and idle connections."""
        shared.draining = True
        loop = asyncio.get_running_loop()
        for connection in list(shared.connections):
            connection.end_soon()
        if shared.connections:
            shared.emptied = loop.create_future()
            await asyncio.wait([shared.emptied], timeout=DRAIN_S)
        for connection in list(shared.connections):
            connection.abort()
            connection.cancel()

    def _samples(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        store, cache = self._app.store, self._app.cache
        yield "ursa_store_revision", "Newest revision.", {}, store.revision
        yield "ursa_store_compacted_revision", "Oldest revision kept.", {}, store.compacted
        yield "ursa_event_loop_lag_seconds", "How late the loop is.", {}, self._health.lag_s
        connections = len(self._shared.connections) if self._shared else 0
        yield "ursa_connections", "Open connections.", {}, connections
        delivered = self._app.hub.delivered
        yield "ursa_watch_events_total", "Events delivered to watchers.", {}, delivered
        for reason, count in self._counts.by_reason.items():
            text = "Connections and requests cut off, by reason."
            yield "ursa_refused_total", text, {"reason": reason}, count
        for collection in cache.collections:
            labels = {"resource": collection.resource.group_resource}
            yield "apiserver_storage_objects", "Stored objects.", labels, collection.size
        for collection in cache.collections:
            labels = {"resource": collection.resource.group_resource}
            text = "Watches being served."
            yield "apiserver_registered_watchers", text, labels, collection.watchers
