"""Turn a machine's console into the log that the node agent reads.

    QEMU ──appends──▶ console.raw ──convert──▶ log: `<time> stdout F <line>`

QEMU writes the raw file by itself, so nothing is lost while this process is down. Before a
batch of lines is appended to the log, a mark says how far the raw file goes with it and how
long the log is without it: after a crash the log's length tells whether the batch was
written, so no line is lost or doubled. What is converted is punched out of the raw file.
Source: Kubernetes CRI log format (kubelet, pkg/kubelet/kuberuntime/logs).
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

BATCH_BYTES = 64 * 1024  # read at once
LINE_BYTES_MAX = 16 * 1024  # as containerd's; a longer line goes in pieces tagged P
# What SeaBIOS says when no disk has a boot loader; then it waits for ever.
UNBOOTABLE = b"No bootable device."
# What a busybox shell asks a terminal for before every prompt: where the cursor is.
CURSOR_QUERY = b"\x1b[6n"
FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02
PUNCH_BYTES_MIN = 1 << 20  # below it a hole is not worth the call

_libc = ctypes.CDLL(None, use_errno=True)


class Mark(msgspec.Struct, frozen=True):
    """The batch that is about to be written, or was."""

    raw_from: int
    raw_to: int
    log_inode: int
    log_bytes: int
    """Size of the log without the batch."""


def convert(data: bytes, time_ns: int, *, final: bool) -> tuple[bytes, int]:
    """Return log lines and how many bytes of `data` they took.

    A line without its end waits for it, unless it is `final` or too long.
    """
    stamp = _rfc3339_nano(time_ns)
    out = []
    taken = 0
    while taken < len(data):
        end = data.find(b"\n", taken, taken + LINE_BYTES_MAX)
        if end >= 0:
            tag, text, after = b"F", data[taken:end], end + 1
        elif len(data) - taken >= LINE_BYTES_MAX:
            after = taken + LINE_BYTES_MAX
            tag, text = b"P", data[taken:after]
        elif final:
            tag, text, after = b"F", data[taken:], len(data)
        else:
            break
        text = text.replace(CURSOR_QUERY, b"").replace(b"\r", b"")
        out.append(b"%s stdout %s %s\n" % (stamp, tag, text))
        taken = after
    return b"".join(out), taken


def _rfc3339_nano(time_ns: int) -> bytes:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{nanos:09}Z".encode()


@dataclass(slots=True)
class Console:
    """One machine's console. Not shared between threads."""

    raw: Path
    log: Path
    mark_file: Path
    unbootable: bool = False
    """Whether the firmware has said that nothing can be booted."""
    _position: int = -1  # in the raw file; -1 until the mark is read
    _punched: int = 0
    _log_fd: int = field(default=-1)

    def pump(self, time_ns: int, *, final: bool = False) -> bool:
        """Convert what there is, one batch at most; return whether there was something."""
        if not self.raw.exists():
            return False
        if self._position < 0:
            self._position = self._recovered()
        with self.raw.open("rb") as file:
            file.seek(self._position)
            data = file.read(BATCH_BYTES)
        lines, taken = convert(data, time_ns, final=final and len(data) < BATCH_BYTES)
        if taken == 0:
            return False
        self.unbootable = self.unbootable or UNBOOTABLE in data
        self._append(lines, self._position + taken)
        return True

    def reopen(self) -> None:
        """Write to a fresh file from the next line on: the log was rotated."""
        self.close()

    def close(self) -> None:
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1

    def _append(self, lines: bytes, raw_to: int) -> None:
        if self._log_fd < 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._log_fd = os.open(self.log, flags, 0o640)
        about = os.fstat(self._log_fd)
        self._write_mark(Mark(self._position, raw_to, about.st_ino, about.st_size))
        os.write(self._log_fd, lines)
        self._position = raw_to
        self._punch()

    def _write_mark(self, mark: Mark) -> None:
        part = self.mark_file.with_name(f"{self.mark_file.name}.part")
        part.write_bytes(msgspec.json.encode(mark))
        part.replace(self.mark_file)

    def _recovered(self) -> int:
        """Return how much of the raw file is in the log."""
        try:
            mark = msgspec.json.decode(self.mark_file.read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            return 0
        try:
            about = self.log.stat()
        except FileNotFoundError:  # rotated or removed since: the batch was in it
            return mark.raw_to
        is_written = about.st_ino != mark.log_inode or about.st_size > mark.log_bytes
        return mark.raw_to if is_written else mark.raw_from

    def _punch(self) -> None:
        """Give back the disk space of what is converted; the file keeps its length."""
        if self._position - self._punched < PUNCH_BYTES_MIN:
            return
        descriptor = os.open(self.raw, os.O_RDWR | os.O_CLOEXEC)
        try:
            mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
            offset, length = ctypes.c_int64(0), ctypes.c_int64(self._position)
            _libc.fallocate(descriptor, mode, offset, length)  # in vain on some file systems
        finally:
            os.close(descriptor)
        self._punched = self._position
