"""A pod's own cgroup, below the node's: limits for all that the pod runs, sandbox included.

containerd makes containers' groups below it and removes those; the pod's own directory it never
removes, in none of the trees: `remove` does.
Source: reference measurement of containerd 1.6 with cgroup v1 hybrid; kernel cgroup v1 and v2.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ursa.arktos.agent.resources import PERIOD_US, Limits, weight
from ursa.base import cgroup


def ensure(path: str, limits: Limits) -> None:
    """Make the group and set its limits; idempotent. Blocking, about a millisecond.

    A quota above a parent's is clamped to it: version 1 refuses it.
    """
    cgroup.make(path)
    parents_us = quota_max_us(str(Path(path).parent))
    if parents_us and limits.cpu_quota_us > parents_us:
        limits = replace(limits, cpu_quota_us=parents_us)
    for name, value in (_v2(limits) if cgroup.is_v2() else _v1(limits)).items():
        tree = cgroup.controller(name.split(".")[0])
        file = tree / path.lstrip("/") / name if tree else None
        if file is not None and file.exists():
            file.write_text(value)


def remove(path: str) -> bool:
    """Remove the group from every tree; False while a process is left in it."""
    return cgroup.remove(path)


def quota_max_us(path: str) -> int:
    """Return the least CPU quota of the group and its parents, per PERIOD_US; 0: none has one."""
    tree = cgroup.controller("cpu")
    found = []
    folder = tree / path.lstrip("/") if tree else None
    while folder is not None and tree is not None and folder != tree:
        quota = _quota_v2(folder) if cgroup.is_v2() else _quota_v1(folder)
        if quota > 0:
            found.append(quota)
        folder = folder.parent
    return min(found, default=0)


def _v1(limits: Limits) -> dict[str, str]:
    return {
        "cpu.shares": str(limits.cpu_shares),
        "cpu.cfs_period_us": str(PERIOD_US),
        "cpu.cfs_quota_us": str(limits.cpu_quota_us or -1),
        "memory.limit_in_bytes": str(limits.memory_bytes or -1),
    }


def _v2(limits: Limits) -> dict[str, str]:
    quota = str(limits.cpu_quota_us) if limits.cpu_quota_us else "max"
    return {
        "cpu.weight": str(weight(limits.cpu_shares)),
        "cpu.max": f"{quota} {PERIOD_US}",
        "memory.max": str(limits.memory_bytes) if limits.memory_bytes else "max",
    }


def _quota_v1(folder: Path) -> int:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except OSError:
        return 0
    return quota * PERIOD_US // period if quota > 0 else 0


def _quota_v2(folder: Path) -> int:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return 0
    return 0 if quota == "max" else int(quota) * PERIOD_US // int(period)
