"""A container's log files: where they lie, their lines, their rotation, following them.

    <pod dir>/logs/<container>/<attempt>.log               written by the runtime
                               <attempt>.log.<time>        rotated, oldest first by name

A line is `<RFC 3339 nano> <stdout|stderr> <P|F> <text>`; P is a part of a longer line.
Source: Kubernetes, KEP "CRI log format"; kubelet's containerLogMaxSize and -MaxFiles.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ursa.base.clock import parse_rfc3339

ROTATE_BYTES: Final = 10 << 20  # kubelet's containerLogMaxSize
FILES_MAX: Final = 5  # kubelet's containerLogMaxFiles, the written one included
CHUNK_BYTES: Final = 64 << 10
FOLLOW_POLL_S: Final = 0.1  # what a person does not notice


@dataclass(frozen=True, slots=True)
class Options:
    """What of a log is asked for; None: no bound."""

    follow: bool = False
    tail_lines: int | None = None
    since_s: float | None = None  # wall time
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: str = ""  # stdout or stderr; empty: both


def folder(pod_dir: Path, container: str) -> Path:
    return pod_dir / "logs" / container


def path_of(pod_dir: Path, container: str, attempt: int) -> Path:
    return folder(pod_dir, container) / f"{attempt}.log"


def files_of(log: Path) -> list[Path]:
    """Return the rotated files, oldest first, and the written one."""
    rotated = sorted(log.parent.glob(f"{log.name}.*"))
    return [*rotated, log]


def rotate(log: Path, stamp: str) -> None:
    """Move the written file aside and drop the oldest; the runtime must then reopen it."""
    log.rename(log.with_name(f"{log.name}.{stamp}"))
    rotated = sorted(log.parent.glob(f"{log.name}.*"))
    for old in rotated[: -(FILES_MAX - 1)]:
        old.unlink()


def rotate_if_large(log: Path, stamp: str) -> bool:
    """Rotate a file that has outgrown ROTATE_BYTES; return whether. Blocking."""
    try:
        if log.stat().st_size < ROTATE_BYTES:
            return False
    except FileNotFoundError:
        return False
    rotate(log, stamp)
    return True


def remove(log: Path) -> None:
    """Remove a container's log with its rotated files."""
    for file in files_of(log):
        file.unlink(missing_ok=True)


def last(log: Path, lines: int) -> bytes:
    """Return the text of the last lines of the written file. Blocking."""
    try:
        offset, _ = _tail(log, lines)
        with log.open("rb") as file:
            file.seek(offset)
            return b"".join(render(line, Options()) for line in file)
    except FileNotFoundError:
        return b""


async def read(
    log: Path, options: Options, is_running: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Yield the log as asked, in chunks; with `follow` until the container has ended.

    What is rotated away while it is read is read to its end first.
    """
    left = options.limit_bytes
    async for text in _chunks(log, options, is_running):
        chunk = text if left is None else text[:left]
        left = None if left is None else left - len(chunk)
        if chunk:
            yield chunk
        if left == 0:
            return


async def _chunks(
    log: Path, options: Options, is_running: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    files, offset = await asyncio.to_thread(_start, log, options)
    current: BinaryIO | None = None
    try:
        for number, path in enumerate(files):
            if current is not None:
                current.close()
            current = _open(path)
            if current is None:
                continue
            current.seek(offset if number == 0 else 0)
            async for chunk in _drain(current, options):
                yield chunk
        while options.follow:
            alive = await is_running()
            if current is None:
                current = _open(log)
            if current is not None:
                async for chunk in _drain(current, options):
                    yield chunk
                if _is_rotated(current, log):
                    async for chunk in _drain(current, options):  # what came before the move
                        yield chunk
                    current.close()
                    current = _open(log)
                    continue
            if not alive:
                return
            await asyncio.sleep(FOLLOW_POLL_S)
    finally:
        if current is not None:
            current.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_rotated(held: BinaryIO, log: Path) -> bool:
    try:
        return os.fstat(held.fileno()).st_ino != log.stat().st_ino
    except FileNotFoundError:
        return False  # between the move and the reopening


async def _drain(file: BinaryIO, options: Options) -> AsyncIterator[bytes]:
    """Yield what whole lines the file holds from its position on; leave it after them."""
    while True:
        chunk = await asyncio.to_thread(_whole_lines, file)
        if not chunk:
            return
        yield b"".join(render(line, options) for line in chunk.splitlines(keepends=True))


def _whole_lines(file: BinaryIO) -> bytes:
    start = file.tell()
    chunk = file.read(CHUNK_BYTES)
    whole = chunk.rfind(b"\n") + 1
    if whole < len(chunk):
        file.seek(start + whole)
    return chunk[:whole]


def render(line: bytes, options: Options) -> bytes:
    """Return one line as the user sees it; empty if it is not asked for or is no CRI line."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 4:
        return b""
    stamp, stream, tag, text = parts
    if options.stream and stream.decode() != options.stream:
        return b""
    if options.since_s is not None and _time(stamp) < options.since_s:
        return b""
    end = b"" if tag.startswith(b"P") else b"\n"
    return (stamp + b" " if options.timestamps else b"") + text + end


def _time(stamp: bytes) -> float:
    """Return seconds since the epoch; Python reads microseconds, the stamp has nanoseconds."""
    text = stamp.decode()
    head, dot, rest = text.partition(".")
    if dot:
        digits = rest.rstrip("Z").split("+")[0].split("-")[0]
        text = f"{head}.{digits[:6]:0<6}{rest[len(digits) :]}"
    return parse_rfc3339(text)


def _start(log: Path, options: Options) -> tuple[list[Path], int]:
    """Return the files to read and the offset in the first, so that `tail_lines` are left."""
    files = [file for file in files_of(log) if file.exists()]
    wanted = options.tail_lines
    if wanted is None:
        return files, 0
    if wanted == 0:
        return files[-1:], files[-1].stat().st_size if files else 0
    for number in reversed(range(len(files))):
        offset, found = _tail(files[number], wanted)
        if found >= wanted or number == 0:
            return files[number:], offset
        wanted -= found
    return files, 0


def _tail(path: Path, lines: int) -> tuple[int, int]:
    """Return where the last `lines` lines begin, and how many there are up to that number.

    A line in parts counts once: only its last part has tag F.
    """
    found = 0
    begin = path.stat().st_size
    for start, line in _lines_backwards(path):
        ends_line = line.split(b" ", 3)[2:3] != [b"P"]
        if ends_line:
            if found == lines:
                return begin, found
            found += 1
        begin = start
    return 0, found


def _lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last whole line to the first."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position > 0:
            size = min(CHUNK_BYTES, position)
            position -= size
            file.seek(position)
            rest = file.read(size) + rest
            lines = rest.split(b"\n")
            # The first piece may begin in the chunk before; what has no newline yet counts too.
            tail = position + len(rest)
            for line in reversed(lines[1:]):
                tail -= len(line)
                if line:
                    yield tail, line
                tail -= 1
            rest = lines[0]
        if rest:
            yield 0, rest
