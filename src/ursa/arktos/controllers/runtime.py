"""Run a reconciler: sources feed keys to a queue, workers take keys and reconcile.

    Lister.on_change ──keys──▶ WorkQueue ──key──▶ worker ──▶ reconcile(key)
                                   ▲                            │ error: back off
                                   └────────────────────────────┘ or requeue_after_s

The only loop, the only back-off and the only broad `except` of all controllers. All time is
loop time, so a test may run a day of back-off on a virtual loop.
Source: client-go workqueue and controller-runtime Reconciler semantics.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from ursa.base.errors import ApiError, Conflict, Forbidden, TerminalError
from ursa.client.key import Key

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.005
BACKOFF_MAX_S = 60.0  # what a key waits for may come without an event; a minute is bearable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What a Lister offers to a controller."""

    def on_change(self, callback: Callable[[Key, T_co | None, T_co | None], None]) -> None:
        """Call back with (key, old, new) on every change, those of the first list included.

        `old` is None for an addition, `new` for a deletion.
        """
        ...


class Result(NamedTuple):
    requeue_after_s: float | None = None  # None: wait for a change


class WorkQueue(Generic[K]):
    """Keys to reconcile.

    A key waits at most once and has at most one timer; at most one worker holds it; a key
    added while held waits again when it is released. Its size is bounded by the keys there are.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, None] = {}  # a set in order of arrival
        self._held: set[K] = set()
        self._dirty: set[K] = set()  # added while held
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Event()

    def add(self, key: K) -> None:
        if key in self._held:
            self._dirty.add(key)
        else:
            self._waiting[key] = None
            self._arrived.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Add `key` in `delay_s` seconds; of several such wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + delay_s:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay_s, self._due, key)

    async def take(self) -> K:
        """Wait for a key and hold it. Its timer is dropped: this attempt decides anew."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._held.add(key)
        if timer := self._timers.pop(key, None):
            timer.cancel()
        return key

    def release(self, key: K) -> None:
        self._held.remove(key)
        if key in self._dirty:
            self._dirty.remove(key)
            self.add(key)

    def close(self) -> None:
        """Drop every timer; nothing is added by this queue from here on."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)


class Controller(Generic[K]):
    """A reconciler with its queue. Watch sources first, then run."""

    def __init__(
        self, name: str, reconcile: Callable[[K], Awaitable[Result]], *, workers: int
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._queue: WorkQueue[K] = WorkQueue()
        self._failures: Counter[K] = Counter()

    def watch(self, source: Source[T], keys: Callable[[Key, T], Iterable[K]]) -> None:
        """Reconcile what `keys` returns of an object's old and new form whenever it changes."""

        def changed(key: Key, old: T | None, new: T | None) -> None:
            for form in (old, new):
                if form is not None:
                    for affected in keys(key, form):
                        self._queue.add(affected)

        source.on_change(changed)

    def add(self, key: K) -> None:
        self._queue.add(key)

    async def run(self) -> None:
        """Run until cancelled; every task and timer started here has ended when this returns."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._workers):
                    tasks.create_task(self._work())
        finally:
            self._queue.close()

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                delay_s = await self._attempt(key)
            finally:
                self._queue.release(key)
            if delay_s is not None:
                self._queue.add_after(key, delay_s)

    async def _attempt(self, key: K) -> float | None:
        """Reconcile once. Return the seconds to the next attempt, or None to wait for a change."""
        try:
            result = await self._reconcile(key)
        except TerminalError:
            log.exception("reconcile refused", extra={"controller": self.name, "key": key})
            return None
        except Exception as fault:  # a boundary: one bad object must not stop the others
            if is_terminating(fault):
                return None
            self._failures[key] += 1
            self._tell(key, fault)
            return backoff_s(self._failures[key])
        self._failures.pop(key, None)
        return result.requeue_after_s

    def _tell(self, key: K, fault: Exception) -> None:
        """Log a failure: a lost race quietly, a refusal or an outage in a line, a bug in full."""
        fields = {"controller": self.name, "key": key, "failures": self._failures[key]}
        if isinstance(fault, Conflict):
            log.debug("reconcile lost a race", extra=fields)
        elif isinstance(fault, ApiError | OSError):
            log.warning("reconcile failed", extra={**fields, "error": str(fault)})
        else:
            log.error("reconcile failed", extra=fields, exc_info=fault)


def own_key(key: Key, _: object) -> Iterable[Key]:
    """Return the changed object's own key: for the kind that a controller reconciles."""
    return (key,)


async def each(writes: Iterable[Awaitable[object]]) -> None:
    """Await all, then raise the first failure, if any.

    Not a TaskGroup: one refused write must not cancel its committed siblings, and the
    worker wants the error itself, not a group.
    """
    for outcome in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def refusal(writes: Awaitable[object]) -> ApiError | None:
    """Return what the server refused `writes` with: for what must be told in a status first."""
    try:
        await writes
    except ApiError as fault:
        return fault
    return None


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after the n-th failure in a row: doubling, bounded."""
    doublings = min(failures - 1, 30)  # 2**30 is far over the bound; a larger power may overflow
    return min(BACKOFF_MIN_S * 2.0**doublings, BACKOFF_MAX_S)


def is_terminating(fault: Exception) -> bool:
    """Return whether a create was refused because its namespace or tenant is being deleted.

    Then there is nothing to retry: what the new object was for goes too.
    """
    return isinstance(fault, Forbidden) and "being terminated" in fault.message
