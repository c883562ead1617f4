"""A bound on pod starts at once, shared by all agents of one machine.

A start is two cores' work of runc and shim: more at once finish no sooner, and each takes longer.
The agents share lock files, one per place: a lock dies with its holder, so kill -9 frees it.
Inside an agent a container's start goes before a sandbox, so that begun pods are finished first.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

STARTS_PER_CORE: Final = 2  # measured: pods/s stop growing there
POLL_S: Final = 0.005  # against a start's 60 ms; only while another agent holds every place

CONTAINER_FIRST, SANDBOX_SECOND = 0, 1


def places_of_machine() -> int:
    return STARTS_PER_CORE * (os.cpu_count() or 1)


class Starts:
    """Use as `async with starts.place(priority)`."""

    def __init__(self, folder: Path, places: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / f"start.{number}" for number in range(places)]
        self._free = places  # of this agent's own count
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0

    @asynccontextmanager
    async def place(self, priority: int) -> AsyncIterator[None]:
        await self._enter(priority)
        try:
            descriptor = await self._lock()
            try:
                yield
            finally:
                os.close(descriptor)
        finally:
            self._leave()

    async def _enter(self, priority: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was ours already
                self._leave()
            raise

    def _leave(self) -> None:
        """Hand the place to the first in line that still waits, or free it."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _lock(self) -> int:
        while True:
            for file in self._files:
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                else:
                    return descriptor
            await asyncio.sleep(POLL_S)
