"""What a machine's cgroup allows, in the files of version 1 or 2.

Source: Linux, Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst; runc for shares → weight.
"""

from __future__ import annotations

from pathlib import Path

from ursa.arktos.vmruntime.records import Limits
from ursa.base import cgroup

TB_SIZE_MIB = 32  # TCG's translations; its own default is 1 GiB, resident after a while
# QEMU beside guest memory and translations: 80 MiB of its own, and a copy of what it loads at
# power-on (an uncompressed kernel of 51 MiB, an initrd), which it keeps for the next reset.
QEMU_BYTES = (80 + 64) << 20


def memory_limit_bytes(guest_bytes: int) -> int:
    """Return what QEMU may hold for a guest of that memory."""
    return guest_bytes + (TB_SIZE_MIB << 20) + QEMU_BYTES


def apply(group: str, guest_bytes: int, limits: Limits) -> None:
    """Write the limits of the machine's group, which exists."""
    memory_bytes = memory_limit_bytes(guest_bytes)
    if cgroup.is_v2():
        for name, value in v2_files(memory_bytes, limits).items():
            (cgroup.trees()[0] / group.lstrip("/") / name).write_text(value)
        return
    _write(group, "memory", "memory.limit_in_bytes", memory_bytes)
    if limits.cpu_shares:
        _write(group, "cpu", "cpu.shares", limits.cpu_shares)
    if limits.cpu_quota_us > 0 and limits.cpu_period_us > 0:
        _write(group, "cpu", "cpu.cfs_period_us", limits.cpu_period_us)
        _write(group, "cpu", "cpu.cfs_quota_us", _quota_us(group, limits))


def v2_files(memory_bytes: int, limits: Limits) -> dict[str, str]:
    files = {"memory.max": str(memory_bytes)}
    if limits.cpu_shares:
        files["cpu.weight"] = str(1 + (max(limits.cpu_shares, 2) - 2) * 9999 // 262142)
    if limits.cpu_quota_us > 0 and limits.cpu_period_us > 0:
        files["cpu.max"] = f"{limits.cpu_quota_us} {limits.cpu_period_us}"
    return files


def _quota_us(group: str, limits: Limits) -> int:
    """Return the quota, at most the parent's: version 1 refuses a larger one."""
    parent = group.rsplit("/", 1)[0]
    quota_us = int(_read(parent, "cpu", "cpu.cfs_quota_us") or -1)
    if quota_us < 0:
        return limits.cpu_quota_us
    period_us = int(_read(parent, "cpu", "cpu.cfs_period_us") or limits.cpu_period_us)
    return min(limits.cpu_quota_us, quota_us * limits.cpu_period_us // period_us)


def was_out_of_memory(group: str) -> bool:
    """Return whether the kernel killed in this group for want of memory."""
    name = "memory.events" if cgroup.is_v2() else "memory.oom_control"
    counts = dict(line.split() for line in _read(group, "memory", name).splitlines())
    return int(counts.get("oom_kill", 0)) > 0


def cpu_nanos(group: str) -> int:
    """Return the CPU time that the machine has taken."""
    if not cgroup.is_v2():
        return int(_read(group, "cpuacct", "cpuacct.usage") or 0)
    counts = dict(line.split() for line in _read(group, "cpu", "cpu.stat").splitlines())
    return int(counts.get("usage_usec", 0)) * 1000


def memory_bytes(group: str) -> int:
    name = "memory.current" if cgroup.is_v2() else "memory.usage_in_bytes"
    return int(_read(group, "memory", name) or 0)


def _file(group: str, controller: str, name: str) -> Path | None:
    tree = cgroup.controller(controller)
    return None if tree is None else tree / group.lstrip("/") / name


def _write(group: str, controller: str, name: str, value: int) -> None:
    file = _file(group, controller, name)
    if file is not None:
        file.write_text(str(value))


def _read(group: str, controller: str, name: str) -> str:
    """Return the file's text; empty when the host or the group has no such file."""
    file = _file(group, controller, name)
    try:
        return "" if file is None else file.read_text().strip()
    except OSError:
        return ""
