"""Write cpio archives of the `newc` form: what Linux unpacks as its initramfs.

Entries carry no time and belong to root, so the same files give the same bytes.
Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

ALIGN_BYTES = 4
TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    path: str  # relative, without a leading slash
    mode: int  # type and permissions: stat.S_IFREG | 0o755
    data: bytes = b""
    device: tuple[int, int] = (0, 0)  # major and minor of a device node


def folder(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, stat.S_IFREG | mode, data)


def character_device(path: str, major: int, minor: int) -> Entry:
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of `entries` in their order; a folder comes before what is in it."""
    everything = [*entries, Entry(TRAILER, 0)]
    return b"".join(_record(entry, number) for number, entry in enumerate(everything))


def _record(entry: Entry, inode: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    major, minor = entry.device
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, major, minor, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN_BYTES)
