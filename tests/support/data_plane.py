"""Programs of the data plane in the kernel, without interfaces: for packet-in/packet-out tests."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ursa.mizar import libbpf
from ursa.mizar.daemon import Transit
from ursa.mizar.daemon.kernel import KernelMaps, pack_node
from ursa.mizar.daemon.transit import Interface
from ursa.mizar.drops import read_drops, read_paths
from ursa.mizar.loader import build_objects, load
from ursa.mizar.maps import Map
from ursa.proto.mizar_pb2 import NodeState

TC_OK, TC_SHOT, TC_REDIRECT = 0, 2, 7
LOOPBACK = 1  # a test run's frames come in there
CACHE = Path(tempfile.gettempdir()) / "ursa-test-objects"


def objects() -> Path:
    return build_objects(CACHE)


@contextmanager
def mounted_bpffs(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@dataclass
class FakeLinks:
    """Interfaces that exist by name alone; a Links of the daemon."""

    own_ip: bytes
    interfaces: dict[str, Interface] = field(default_factory=dict)
    attached: set[int] = field(default_factory=set)
    mtu_bytes: int = 1700

    async def uplink_mtu_bytes(self) -> int:
        return self.mtu_bytes

    async def find(self, name: str) -> Interface | None:
        return self.interfaces.get(name)

    async def attach(self, index: int) -> None:
        self.attached.add(index)

    async def detach(self, index: int) -> None:
        self.attached.discard(index)


class Bench:
    """Both programs over real maps, and a daemon to fill those."""

    def __init__(self, bpffs: Path, own: bytes) -> None:
        self.bpffs = bpffs
        node = pack_node(own, LOOPBACK)
        self.programs = {name: load(objects(), name, node, bpffs) for name in ("agent", "transit")}
        self.maps = KernelMaps(bpffs)
        self.maps.adopt_address(own)
        self.links = FakeLinks(own, {"lo": Interface(LOOPBACK, 1500)})
        self.transit = Transit(self.maps, self.links, {})
        self._counter = 0

    def apply(self, state: NodeState) -> None:
        """Apply a state at the next revision."""
        self._counter += 1
        state.revision.counter = self._counter
        asyncio.run(self.transit.Apply(state))

    def run(self, program: str, frame: bytes) -> tuple[int, bytes]:
        result = libbpf.test_run(self.programs[program], frame)
        return result.verdict, result.frame

    def map(self, name: str) -> Map:
        return Map.pinned(self.bpffs / name)

    def drops(self) -> dict[str, int]:
        """The reasons met so far, with their counts."""
        return {reason: count for reason, count in read_drops(self.bpffs).items() if count}

    def paths(self) -> dict[str, int]:
        return {path: count for path, count in read_paths(self.bpffs).items() if count}
