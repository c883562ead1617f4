"""Publish a set of files in a directory all at once, as Kubernetes' volumes do.

    <dir>/key ──▶ ..data/key        ..data ──▶ ..2026_01_02_03_04_05.123456/

A reader sees the old set or the new one and never a mixture: the set is written to a fresh
directory, then `..data` is renamed over. Nothing is written if nothing changed.
Source: Kubernetes, pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

DATA = "..data"


class File(NamedTuple):
    data: bytes
    mode: int  # permission bits


def publish(folder: Path, files: Mapping[str, File], gid: int | None = None) -> bool:
    """Make `folder` show exactly `files` (relative paths); return whether anything changed.

    `gid` becomes the files' group, and the group may read them. ValueError if a path would
    leave the folder. Blocking.
    """
    for path in files:
        _check(path)
    wanted = {path: (file.data, _mode(file, gid)) for path, file in files.items()}
    if _published(folder) == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    fresh.chmod(0o755)
    for path, (data, mode) in wanted.items():
        _write(fresh, path, data, mode, gid)
    old = os.readlink(folder / DATA) if (folder / DATA).is_symlink() else None
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(folder / DATA)
    _link_names(folder, {PurePosixPath(path).parts[0] for path in wanted})
    if old is not None:
        shutil.rmtree(folder / old, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ValueError(f"path {path!r} would leave its volume")


def _mode(file: File, gid: int | None) -> int:
    return file.mode | 0o040 if gid is not None else file.mode


def _published(folder: Path) -> dict[str, tuple[bytes, int]] | None:
    data = folder / DATA
    if not data.is_dir():
        return None
    root = data.resolve()
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in root.rglob("*")
        if path.is_file()
    }


def _write(fresh: Path, path: str, data: bytes, mode: int, gid: int | None) -> None:
    target = fresh / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    if gid is not None:
        os.chown(target, -1, gid)
    target.chmod(mode)


def _link_names(folder: Path, names: set[str]) -> None:
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")
