"""Mounts that the agent makes for volumes: tmpfs, and safe binds of paths inside volumes."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 4096, 16384
MNT_DETACH = 2
_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
_O_PATH = 0o10000000
_libc = ctypes.CDLL(None, use_errno=True)


def tmpfs(target: Path, *, size_bytes: int = 0, mode: int = 0o777) -> None:
    """Mount a tmpfs unless one is mounted there. `size_bytes` 0: half of the memory."""
    target.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(target):
        return
    options = f"mode={mode:o}" + (f",size={size_bytes}" if size_bytes else "")
    _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)


def bind_beneath(root: Path, path: str, target: Path) -> None:
    """Bind what `path` names inside `root` onto `target`.

    Links are followed inside `root` alone, so that what a pod wrote there cannot lead out; a
    missing path becomes a directory. The opened object itself is bound: nothing is looked up
    twice. OSError names the path.
    """
    try:
        descriptor = _open_beneath(root, path)
    except FileNotFoundError:
        _make_beneath(root, path)
        descriptor = _open_beneath(root, path)
    try:
        source = f"/proc/self/fd/{descriptor}"
        if os.path.isdir(source):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        if not os.path.ismount(target):
            _mount(source, target, "", MS_BIND | MS_REC, "")
    finally:
        os.close(descriptor)


def below(folder: Path) -> list[Path]:
    """Return the mount points at or below `folder`, deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point == folder or folder in point.parents:
            points.append(point)
    return sorted(points, key=lambda p: len(p.parts), reverse=True)


def unmount_below(folder: Path) -> None:
    """Detach every mount at or below `folder`. OSError names the one that stays."""
    for point in below(folder):
        if _libc.umount2(os.fsencode(point), MNT_DETACH) != 0 and os.path.ismount(point):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(point))


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def _open_beneath(root: Path, path: str, flags: int = 0) -> int:
    how = _OpenHow(flags | _O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    base = os.open(root, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(base),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        code = ctypes.get_errno()
    finally:
        os.close(base)
    if descriptor < 0:
        raise OSError(code, os.strerror(code), f"{root}/{path}")
    return int(descriptor)


def _make_beneath(root: Path, path: str) -> None:
    """Make the directories of `path` one by one, each below the one opened before."""
    done = "."
    for part in Path(path).parts:
        parent = _open_beneath(root, done, os.O_DIRECTORY)
        try:
            os.mkdir(part, 0o750, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        done = f"{done}/{part}"
