"""The engine that keeps nothing: for tests and simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ursa.store.engine import Watches
from ursa.store.log import Log, Write


class MemoryStore(Watches):
    def __init__(self) -> None:
        super().__init__(Log())

    async def commit(self, writes: Sequence[Write], compare: Mapping[str, int]) -> int:
        staged = self._log.stage(writes, compare)
        self._publish(self._log.settle(len(staged)))
        return self._log.revision

    async def compact(self, revision: int) -> None:
        self._log.compact(revision)

    async def close(self) -> None:
        return
