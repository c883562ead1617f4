"""The data plane's maps without a kernel, under the same contract as KernelMaps."""

from __future__ import annotations

from collections.abc import Mapping

from ursa.mizar.daemon.apply import MAPS, Rows, Write
from ursa.mizar.daemon.transit import ATTACHMENTS, HeldState
from ursa.mizar.drops import label
from ursa.mizar.layout import DropReason

ARRAYS = ("peers", ATTACHMENTS)


class Crash(Exception):
    """The daemon died here."""


class VirtualMaps:
    """`crash_after`: the number of rows after which a write dies, once."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {
            name: {} for name in (*MAPS, "learned", ATTACHMENTS)
        }
        self.state = HeldState((0, 0), is_writing=False)
        self.crash_after: int | None = None

    async def held(self) -> HeldState:
        return self.state

    async def read(self, names: tuple[str, ...]) -> Mapping[str, Rows]:
        return {
            name: {
                key: value
                for key, value in self.tables[name].items()
                if name not in ARRAYS or any(value)
            }
            for name in names
        }

    async def get(self, name: str, key: bytes) -> bytes | None:
        return self.tables[name].get(key)

    async def write(self, writes: list[Write], revision: tuple[int, int] | None) -> None:
        if revision is not None:
            self.state = HeldState(self.state.revision, is_writing=True)
        for write in writes:
            if self.crash_after == 0:
                self.crash_after = None
                raise Crash
            if self.crash_after is not None:
                self.crash_after -= 1
            self._do(write)
        if revision is not None:
            self.state = HeldState(revision, is_writing=False)

    def _do(self, write: Write) -> None:
        if write.value is not None:
            self.tables[write.map][write.key] = write.value
        else:
            self.tables[write.map].pop(write.key, None)

    async def drops(self) -> Mapping[str, int]:
        return {label(reason): 0 for reason in DropReason if reason != DropReason.DROP_REASONS}
