"""What the runtime must know again after kill -9: one JSON file a sandbox, one a machine.

A record says what is about to be done before it is done (`creating`, `starting`), so
whatever a crash leaves behind is named in a record and can be undone. Files are replaced as
a whole; one that cannot be read is what an outage left of an unfinished write.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

log = logging.getLogger(__name__)

FILE = "record.json"


class SandboxState(StrEnum):
    CREATING = "creating"  # its port may be half made
    READY = "ready"
    NOT_READY = "notready"  # stopped, or its port was lost with the host
    REMOVING = "removing"  # not listed any more; its port may be left


class MachineState(StrEnum):
    CREATING = "creating"  # its files may be half made
    CREATED = "created"
    STARTING = "starting"  # its QEMU may run already
    RUNNING = "running"
    EXITED = "exited"


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """The sandbox's port, as the CNI plugin made it."""

    tap: str
    mac: str
    mtu_bytes: int
    addresses: tuple[str, ...]
    """With prefix length: `10.0.0.5/16`."""
    gateways: tuple[str, ...]
    """One for each address family that has a way out."""
    result: msgspec.Raw = msgspec.Raw(b"{}")
    """The plugin's own words, which DEL gets back."""


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    state: SandboxState
    created_ns: int
    hostname: str = ""
    log_directory: str = ""
    cgroup_parent: str = ""
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    runtime_handler: str = ""
    nic: Nic | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a machine ended."""

    exit_code: int
    reason: str
    """Completed, Error or OOMKilled: the words that kubectl shows."""
    message: str = ""
    finished_ns: int = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine's cgroup allows beside its memory; 0 leaves the kernel's default."""

    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    cpu_shares: int = 0


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: MachineState
    created_ns: int
    image: str
    """As the caller asked for it."""
    image_id: str
    vcpus: int
    memory_bytes: int
    disk: str
    """Path of the root disk."""
    kernel: str = ""
    """Path; empty when the disk boots by itself."""
    initrd: str = ""
    append: str = ""
    limits: Limits = Limits()
    cgroup: str = ""
    log_path: str = ""
    """Path of the log in CRI form; empty for none."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    started_ns: int = 0
    end: End | None = None


class Record(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)


class Records(Generic[R]):
    """The records of one kind, each in a folder that holds the files of its thing as well."""

    def __init__(self, folder: Path, kind: type[R]) -> None:
        self._folder = folder
        self._kind = kind
        self._held: dict[str, R] = {}

    def load(self) -> None:
        """Read all; a folder without a readable record is removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            try:
                record = msgspec.json.decode((path / FILE).read_bytes(), type=self._kind)
            except (OSError, msgspec.DecodeError):
                log.warning("unfinished record removed", extra={"path": str(path)})
                shutil.rmtree(path, ignore_errors=True)
                continue
            self._held[record.id] = record

    def folder(self, record_id: str) -> Path:
        return self._folder / record_id

    def get(self, record_id: str) -> R | None:
        return self._held.get(record_id)

    def put(self, record: R) -> R:
        """Store the record, whole or not at all, and return it."""
        folder = self.folder(record.id)
        folder.mkdir(exist_ok=True)
        part = folder / f"{FILE}.part"
        part.write_bytes(msgspec.json.encode(record))
        part.replace(folder / FILE)
        self._held[record.id] = record
        return record

    def remove(self, record_id: str) -> None:
        """Remove the record and its folder; idempotent."""
        folder = self.folder(record_id)
        (folder / FILE).unlink(missing_ok=True)  # first, or a crash leaves half a thing
        shutil.rmtree(folder, ignore_errors=True)
        self._held.pop(record_id, None)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._held.values()))
