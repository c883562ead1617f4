"""The revisioned log: what every engine keeps in memory, as pure decisions on data.

    stage(writes, compare) ──▶ staged ──durable──▶ settle(n) ──▶ events, heads
                                  └───── failed ──▶ abandon()

A write is given its revision when it is staged, and later writes compare themselves with it at
once, so that many may wait for one fsync; readers see it when it has settled. Every write has a
revision of its own, so a watch that resumes after revision r misses and repeats nothing.

Invariants: 0 <= compacted <= revision <= staged_revision; `_history` holds exactly the events
of (compacted, revision], in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

ABSENT = 0  # the revision, in a compare, of a key that must not exist
EVENT_OVERHEAD_BYTES = 300  # an Event, its Record and its key; measured with sys.getsizeof


class Record(NamedTuple):
    """A key's value at the revision that wrote it."""

    key: str
    value: bytes
    revision: int


class Write(NamedTuple):
    key: str
    value: bytes | None  # None deletes


class Event(NamedTuple):
    """One write that is durable. `value` None: the key was deleted."""

    revision: int
    key: str
    value: bytes | None
    previous: Record | None  # what the key held before

    @property
    def size_bytes(self) -> int:
        return EVENT_OVERHEAD_BYTES + len(self.value or b"")


class Stale(Exception):
    """A compare failed: the key's newest version, settled or staged, is another one."""

    def __init__(self, key: str, expected: int, newest: Record | None) -> None:
        super().__init__(f"{key}: expected revision {expected}, newest is {newest and newest[2]}")
        self.newest = newest


class Compacted(Exception):
    """The asked revision is no longer kept; `oldest` is the first that is."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"revision {asked} is compacted; the oldest kept is {oldest}")
        self.oldest = oldest


class Log:
    def __init__(self, compacted: int = 0) -> None:
        self.compacted = compacted
        self.revision = compacted  # of the newest settled write
        self.staged_revision = compacted
        self.history_bytes = 0
        self._heads: dict[str, Record] = {}  # settled
        self._history: deque[Event] = deque()
        self._staged: deque[tuple[int, Write]] = deque()
        self._newest: dict[str, tuple[int, Write]] = {}  # the last staged write of each key

    # Writing

    def stage(self, writes: Sequence[Write], compare: Mapping[str, int]) -> list[tuple[int, Write]]:
        """Give each write its revision, in order. Raises Stale and stages nothing."""
        for key, expected in compare.items():
            newest = self.newest(key)
            if (newest.revision if newest else ABSENT) != expected:
                raise Stale(key, expected, newest)
        first = self.staged_revision + 1
        staged = list(enumerate(writes, first))
        self.staged_revision += len(writes)
        self._staged.extend(staged)
        for entry in staged:
            self._newest[entry[1].key] = entry
        return staged

    def settle(self, number: int) -> list[Event]:
        """Make the `number` oldest staged writes visible and return their events, in order."""
        events = []
        for _ in range(number):
            revision, write = entry = self._staged.popleft()
            events.append(self._append(revision, write))
            if self._newest.get(write.key) is entry:
                del self._newest[write.key]
        return events

    def abandon(self) -> None:
        """Forget every staged write: the engine could not make them durable."""
        self._staged.clear()
        self._newest.clear()
        self.staged_revision = self.revision

    def replay(self, revision: int, write: Write) -> int:
        """Take up a write read back from disk, in order of revision.

        Returns the revision of a row that this one makes dead (0: none): of two versions that
        are both compacted only the later is of use.
        """
        if revision > self.compacted:
            self._append(revision, write)
            self.staged_revision = revision
            return 0
        dead = self._heads.pop(write.key, None)
        if write.value is not None:
            self._heads[write.key] = Record(write.key, write.value, revision)
        return dead.revision if dead else 0

    def _append(self, revision: int, write: Write) -> Event:
        previous = self._heads.get(write.key)
        event = Event(revision, write.key, write.value, previous)
        if write.value is None:
            self._heads.pop(write.key, None)
        else:
            self._heads[write.key] = Record(write.key, write.value, revision)
        self._history.append(event)
        self.history_bytes += event.size_bytes
        self.revision = revision
        return event

    # Reading

    def newest(self, key: str) -> Record | None:
        """Return the newest version of a key, settled or staged."""
        staged = self._newest.get(key)
        if staged is None:
            return self._heads.get(key)
        revision, write = staged
        return None if write.value is None else Record(key, write.value, revision)

    def range(self, prefix: str, revision: int | None = None) -> list[Record]:
        """Return what was under `prefix` at `revision` (None: now), in order of key.

        Raises Compacted for a revision that is no longer kept.
        """
        then = self._undone(revision) if revision is not None else {}
        found = [r for r in self._heads.values() if r.key.startswith(prefix) and r.key not in then]
        found += [r for key, r in then.items() if r is not None and key.startswith(prefix)]
        return sorted(found)

    def _undone(self, revision: int) -> dict[str, Record | None]:
        """Return what the keys that were written after `revision` held at it."""
        then: dict[str, Record | None] = {}
        for event in self.events(revision):
            then.setdefault(event.key, event.previous)
        return then

    def events(self, after: int, prefix: str = "") -> Iterator[Event]:
        """Return the events after a revision, in order. Raises Compacted."""
        if after < self.compacted:
            raise Compacted(after, self.compacted)
        skipped = self._index_after(after)
        return (e for e in islice(self._history, skipped, None) if e.key.startswith(prefix))

    def _index_after(self, revision: int) -> int:
        """Return how many events of the history are not after `revision`."""
        return max(0, min(revision - self.compacted, len(self._history)))

    # Forgetting

    def oldest_to_keep(self, events_max: int, bytes_max: int) -> int:
        """Return the revision to compact at, so that the history stays within both bounds."""
        revision, number, size = self.compacted, len(self._history), self.history_bytes
        for event in self._history:
            if number <= events_max and size <= bytes_max:
                break
            revision, number, size = event.revision, number - 1, size - event.size_bytes
        return revision

    def compact(self, revision: int) -> list[int]:
        """Forget the history up to `revision`; return the revisions whose rows are dead."""
        assert revision <= self.revision, f"compact at {revision} is ahead of {self.revision}"
        dead = []
        while self._history and self._history[0].revision <= revision:
            event = self._history.popleft()
            self.history_bytes -= event.size_bytes
            if event.previous is not None:
                dead.append(event.previous.revision)
            if event.value is None:
                dead.append(event.revision)
        self.compacted = max(self.compacted, revision)
        return dead


def total_bytes(writes: Iterable[Write]) -> int:
    return sum(len(write.value or b"") for write in writes)
