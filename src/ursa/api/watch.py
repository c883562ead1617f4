"""Watches: every change of what is selected, once and in order, to whoever asked.

    Collection.publish ─▶ Watcher.tell ─▶ pending ──flush──▶ stream
                             │ frame: encoded once for all    ▲ per loop turn, or every 5 ms
                             ▼                                │
                          Hub.frames ─────────────────────────┘

Events that come within a turn leave in one write, and no sooner than FLUSH_EVERY_S after the
last: under load that is 5 times the deliveries. A watcher that does not read is cut off.
Source: Kubernetes API concepts, "Efficient detection of changes"; KEP-3157 (streaming lists).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ursa.api.cache import Cache, Collection
from ursa.api.forms import Renderer
from ursa.api.items import Change, Item, Selection
from ursa.api.message import JSON, Response, Stream, pieces
from ursa.base.errors import Expired
from ursa.store.log import Compacted

FLUSH_EVERY_S = 0.005
BOOKMARK_EVERY_S = 60.0  # as Kubernetes
PENDING_BYTES_MAX = 8 << 20  # of one watcher that does not read
PIECE_BYTES = 128 << 10  # of initial events
TIMEOUT_MIN_S, TIMEOUT_MAX_S = 1800, 3600  # unless the client says: spread, as Kubernetes
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins."""

    after: int | None  # the revision; None: with what is there now, as ADDED
    ends_initial: bool = False  # say by a bookmark that what was there is over


class Hub:
    """What watchers share: frames, the moment of the next flush, counts."""

    def __init__(self, cache: Cache, counts: Counter[str], rng: random.Random) -> None:
        self.cache = cache
        self.rng = rng
        self._counts = counts
        self._frames: dict[tuple[str, str, int, str], bytes] = {}
        self._dirty: set[Watcher] = set()
        self._bookmarked: set[Watcher] = set()
        self._flushed_at_s = 0.0
        self._scheduled = False
        self.delivered = 0
        self.cut_off = 0  # watchers that did not read

    def frame(self, renderer: Renderer, kind: str, value: bytes, revision: int) -> bytes:
        """Return one event, encoded once for the watchers of a turn."""
        key = (renderer.form, f"{renderer.include}{renderer.all_tenants}", revision, kind)
        frame = self._frames.get(key)
        if frame is None:
            frame = _frame(kind, renderer.item(value, revision))
            self._frames[key] = frame
        self.delivered += 1
        return frame

    def mark(self, watcher: Watcher) -> None:
        self._dirty.add(watcher)
        if self._scheduled:
            return
        self._scheduled = True
        loop = asyncio.get_running_loop()
        wait_s = self._flushed_at_s + FLUSH_EVERY_S - loop.time()
        if wait_s > 0:
            loop.call_later(wait_s, self._flush)
        else:
            loop.call_soon(self._flush)

    def bookmark_all(self) -> None:
        """Tell every watcher that asked how far it has seen; called every BOOKMARK_EVERY_S."""
        for watcher in self._bookmarked:
            watcher.bookmark()

    def bookmarks(self, watcher: Watcher, *, wanted: bool) -> None:
        (self._bookmarked.add if wanted else self._bookmarked.discard)(watcher)

    def count_cut_off(self) -> None:
        self.cut_off += 1
        self._counts["slow watcher"] += 1

    def _flush(self) -> None:
        self._scheduled = False
        self._flushed_at_s = asyncio.get_running_loop().time()
        self._frames.clear()
        dirty, self._dirty = self._dirty, set()
        for watcher in dirty:
            watcher.flush()


class Watcher:
    def __init__(
        self, hub: Hub, collection: Collection, selection: Selection, renderer: Renderer
    ) -> None:
        self._hub = hub
        self._collection = collection
        self._selection = selection
        self._renderer = renderer
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._stream: Stream | None = None  # set once what was there has been sent
        self._cut = False

    async def run(self, stream: Stream, start: Start, timeout_s: float, *, bookmarks: bool) -> None:
        """Send events until the time is over or the watcher is cut off."""
        end = self._collection.watch(self._selection.tenant, self.tell)
        try:
            revision = self._hub.cache.revision
            initial = self._initial(start)
            for piece in pieces(initial, PIECE_BYTES):
                await stream.send(piece)
            if start.ends_initial:
                metadata: dict[str, object] = {"annotations": {INITIAL_EVENTS_END: "true"}}
                await stream.send(self._bookmark(revision, metadata))
            self._stream = stream
            stream.on_writable = self.flush
            self._hub.bookmarks(self, wanted=bookmarks)
            self.flush()
            await asyncio.sleep(timeout_s)
            self.flush()
        finally:
            end()
            self._hub.bookmarks(self, wanted=False)
            stream.on_writable = None

    def tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if (seen := self._seen(change)) is not None:
                self._push(self._hub.frame(self._renderer, *seen, change.revision))

    def bookmark(self) -> None:
        self._push(self._bookmark(self._hub.cache.revision, {}))

    def flush(self) -> None:
        """Send what is pending, unless the peer does not read."""
        if self._stream is None or not self._pending or self._cut:
            return
        if self._stream.offer(b"".join(self._pending)):
            self._pending.clear()
            self._pending_bytes = 0

    def _initial(self, start: Start) -> Iterator[bytes]:
        if start.after is None:
            items = self._collection.select(self._selection)
            return (_frame("ADDED", self._renderer.item(i.value, i.revision)) for i in items)
        try:
            self._hub.cache.check_kept(start.after)
        except Compacted as fault:  # while the answer was on its way
            return iter([_frame("ERROR", msgspec.json.encode(expired(fault).status()))])
        changes = list(self._collection.since(start.after))
        return self._frames(changes)

    def _frames(self, changes: Sequence[Change]) -> Iterator[bytes]:
        for change in changes:
            if (seen := self._seen(change)) is not None:
                kind, value = seen
                yield _frame(kind, self._renderer.item(value, change.revision))

    def _seen(self, change: Change) -> tuple[str, bytes] | None:
        """Return the event that a change is to this watcher, and the object's bytes in it."""
        before, after = self._holds(change.old), self._holds(change.new)
        if change.new is not None and after:
            return ("MODIFIED" if before else "ADDED"), change.new.value
        if change.old is not None and before:
            return "DELETED", change.old.value
        return None

    def _holds(self, item: Item | None) -> bool:
        return item is not None and self._collection.matches(item, self._selection)

    def _bookmark(self, revision: int, metadata: dict[str, object]) -> bytes:
        full = {"resourceVersion": str(revision), "creationTimestamp": None} | metadata
        return _frame("BOOKMARK", self._renderer.bookmark(full))

    def _push(self, frame: bytes) -> None:
        if self._cut:
            return
        self._pending.append(frame)
        self._pending_bytes += len(frame)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self._cut_off()
        self._hub.mark(self)

    def _cut_off(self) -> None:
        self._cut = True
        self._pending.clear()
        self._hub.count_cut_off()
        if self._stream is not None:
            self._stream.abort()


def respond(
    hub: Hub,
    collection: Collection,
    selection: Selection,
    renderer: Renderer,
    start: Start,
    *,
    timeout_s: float | None,
    bookmarks: bool,
) -> Response:
    """Return the response that is the watch. Raises Expired if it cannot begin there."""
    if start.after is not None:
        try:
            hub.cache.check_kept(start.after)
        except Compacted as fault:
            raise expired(fault) from fault
    lasts_s = timeout_s or hub.rng.uniform(TIMEOUT_MIN_S, TIMEOUT_MAX_S)

    async def stream(out: Stream) -> None:
        watcher = Watcher(hub, collection, selection, renderer)
        await watcher.run(out, start, lasts_s, bookmarks=bookmarks)

    return Response(200, content_type=JSON, stream=stream)


def expired(fault: Compacted) -> Expired:
    return Expired(f"too old resource version: {fault}")


def _frame(kind: str, document: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), document)
