"""What a store is to its user, and what its engines share: watches on the log's settled writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ursa.store.log import Event, Log, Record, Write

Deliver = Callable[[Sequence[Event]], None]


class StoreError(Exception):
    """The store could not make a write durable; nothing of it is visible."""


class Store(Protocol):
    """A revisioned log of keys. All methods belong to the event loop's thread."""

    @property
    def revision(self) -> int:
        """The newest settled revision."""
        ...

    @property
    def compacted(self) -> int:
        """States and watches reach back to this revision, and no further."""
        ...

    def newest(self, key: str) -> Record | None:
        """Return a key's newest version, durable or on its way to be."""
        ...

    def range(self, prefix: str, revision: int | None = None) -> list[Record]:
        """Return what is (or was, at `revision`) under a prefix. Raises log.Compacted."""
        ...

    async def commit(self, writes: Sequence[Write], compare: Mapping[str, int]) -> int:
        """Write all or nothing, and return the last write's revision once it is durable.

        `compare` maps keys to the revisions that they must be at (log.ABSENT: not there).
        Raises log.Stale at once, or StoreError. Watches have been told before this returns.
        """
        ...

    def watch(self, prefix: str, after: int, deliver: Deliver) -> Callable[[], None]:
        """Call `deliver` with every event after a revision, once and in order.

        The first call, with what the history holds, comes before this returns. The returned
        function ends the watch. Raises log.Compacted.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget the history up to `revision`. Idempotent."""
        ...

    def oldest_to_keep(self, events_max: int, bytes_max: int) -> int:
        """Return the revision to compact at, so that the history stays within both bounds."""
        ...

    async def close(self) -> None:
        """Wait for what is on its way, then let go of files and threads."""
        ...


class Watches:
    """The reading half of every engine."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._watches: dict[object, tuple[str, Deliver]] = {}

    @property
    def revision(self) -> int:
        return self._log.revision

    @property
    def compacted(self) -> int:
        return self._log.compacted

    def newest(self, key: str) -> Record | None:
        return self._log.newest(key)

    def range(self, prefix: str, revision: int | None = None) -> list[Record]:
        return self._log.range(prefix, revision)

    def oldest_to_keep(self, events_max: int, bytes_max: int) -> int:
        return self._log.oldest_to_keep(events_max, bytes_max)

    def watch(self, prefix: str, after: int, deliver: Deliver) -> Callable[[], None]:
        if missed := list(self._log.events(after, prefix)):
            deliver(missed)
        token = object()
        self._watches[token] = (prefix, deliver)

        def end() -> None:
            self._watches.pop(token, None)

        return end

    def _publish(self, events: Sequence[Event]) -> None:
        for prefix, deliver in list(self._watches.values()):
            mine = [e for e in events if e.key.startswith(prefix)] if prefix else events
            if mine:
                deliver(mine)
