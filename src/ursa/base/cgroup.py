"""Cgroups of version 1 and 2 by one path, in every tree that the host mounts.

In version 1 a group is a directory in each controller's tree; where a version-2 tree is
mounted beside them (hybrid mode), runc writes there too, so it counts as one more tree. All
functions take the path below the mount: `/ursa-1a2b3c-node-1/pods`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io")


@cache
def trees() -> tuple[Path, ...]:
    """Return every cgroup tree's mount point: one on a version-2 host, several otherwise."""
    found = []
    for line in MOUNTS.read_text().splitlines():
        fields = line.split()
        kind = fields[fields.index("-") + 1]
        if kind in ("cgroup", "cgroup2"):
            found.append(Path(fields[4]))
    return tuple(found)


@cache
def is_v2() -> bool:
    """Return whether the host has the unified hierarchy alone."""
    return all((tree / "cgroup.controllers").exists() for tree in trees())


def controller(name: str) -> Path | None:
    """Return the tree that carries controller `name`, or None."""
    if is_v2():
        return trees()[0] if trees() else None
    return next((tree for tree in trees() if name in tree.name.split(",")), None)


def make(path: str) -> None:
    """Create the group in every tree; idempotent. New cpusets inherit cpus and memory nodes."""
    for tree in trees():
        folder = tree / path.lstrip("/")
        _make(tree, folder)
        _inherit_cpuset(folder.parent, folder)  # whoever made it may have been killed since


def _make(tree: Path, folder: Path) -> None:
    """Create a group in one tree, with the parents that are missing."""
    if folder == tree or folder.is_dir():
        return
    _make(tree, folder.parent)
    if is_v2():
        _delegate(folder.parent)
    folder.mkdir(exist_ok=True)
    _inherit_cpuset(folder.parent, folder)


def enter(path: str, pid: int = 0) -> None:
    """Move a process (0: this one) into the group, in every tree."""
    for tree in trees():
        (tree / path.lstrip("/") / "cgroup.procs").write_text(str(pid))


def pids(path: str) -> set[int]:
    """Return the processes in the group and below it, in any tree."""
    found: set[int] = set()
    for tree in trees():
        for folder, _, files in os.walk(tree / path.lstrip("/")):
            if "cgroup.procs" in files:
                try:
                    found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
                except OSError:  # removed meanwhile: ENOENT or ENODEV
                    continue
    return found - {0}


def exists(path: str) -> bool:
    """Return whether the group is there, in any tree."""
    return any((tree / path.lstrip("/")).is_dir() for tree in trees())


def remove(path: str) -> bool:
    """Remove the group and all below it, in every tree. False while a process is left in it."""
    gone = True
    for tree in trees():
        for folder, _, _ in os.walk(tree / path.lstrip("/"), topdown=False):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:  # EBUSY: a process is left
                gone = False
    return gone


def children(prefix: str) -> set[str]:
    """Return the top-level groups whose name begins with `prefix`: `/ursa-1a2b3c-…`."""
    return {
        f"/{entry.name}"
        for tree in trees()
        for entry in tree.iterdir()
        if entry.is_dir() and entry.name.startswith(prefix.lstrip("/"))
    }


def _delegate(folder: Path) -> None:
    offered = (folder / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in V2_CONTROLLERS if name in offered)
    if wanted:
        (folder / "cgroup.subtree_control").write_text(wanted)


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    """Version 1 refuses processes in a cpuset whose cpus or memory nodes are empty."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if not is_v2() and file.exists() and not file.read_text().strip():
            file.write_text((parent / name).read_text())
