"""Items to reconcile: each waits once, is held by one worker, and is retried with back-off.

The only loop, the only back-off and the only broad `except` of Alcor's controller. All time
is loop time. Source: client-go workqueue semantics.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ursa.client.key import Key

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.005
BACKOFF_MAX_S = 30.0


class Item(NamedTuple):
    kind: str
    key: Key


class Queue:
    def __init__(self) -> None:
        self._waiting: dict[Item, None] = {}  # a set in order of arrival
        self._held: set[Item] = set()
        self._dirty: set[Item] = set()  # added while held
        self._failures: Counter[Item] = Counter()
        self._arrived = asyncio.Event()

    def add(self, item: Item) -> None:
        if item in self._held:
            self._dirty.add(item)
        else:
            self._waiting[item] = None
            self._arrived.set()

    async def work(self, reconcile: Callable[[Item], Awaitable[None]]) -> None:
        """Take items and reconcile them until cancelled."""
        while True:
            item = await self._take()
            delay_s = await self._attempt(item, reconcile)
            self._release(item)
            if delay_s is not None:
                asyncio.get_running_loop().call_later(delay_s, self.add, item)

    async def _attempt(
        self, item: Item, reconcile: Callable[[Item], Awaitable[None]]
    ) -> float | None:
        """Reconcile once; return the seconds to the next attempt, or None to wait for a change."""
        try:
            await reconcile(item)
        except Exception as fault:  # a boundary: one bad object must not stop the others
            self._failures[item] += 1
            failures = self._failures[item]
            extra = {"item": item, "failures": failures, "error": str(fault)}
            log.warning("reconcile failed", extra=extra, exc_info=failures > 1)
            return min(BACKOFF_MIN_S * 2.0 ** min(failures - 1, 20), BACKOFF_MAX_S)
        self._failures.pop(item, None)
        return None

    async def _take(self) -> Item:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        item = next(iter(self._waiting))
        del self._waiting[item]
        self._held.add(item)
        return item

    def _release(self, item: Item) -> None:
        self._held.remove(item)
        if item in self._dirty:
            self._dirty.remove(item)
            self.add(item)
