"""What a machine must offer before anything is made on it. Each fault is one line with a remedy."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from ursa.base import cgroup
from ursa.onebox.errors import UserError

FREE_MIN_BYTES = 1 << 30  # store, images and logs of a small cluster; less ends in a full disk
KERNEL_MIN = (5, 15)  # bpf_redirect_peer, batched map updates, clsact: see docs/SPECIFICATION.md
CGROUP_CONTROLLERS = ("cpu", "memory", "pids")


def check_root() -> None:
    if os.geteuid() != 0:
        raise UserError("not root: namespaces, cgroups and BPF need it: run the command as root")


def check_kernel() -> None:
    release = os.uname().release
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if version < KERNEL_MIN:
        wanted = ".".join(map(str, KERNEL_MIN))
        raise UserError(f"kernel {release} is older than {wanted}: boot a newer one")
    filesystems = Path("/proc/filesystems").read_text().split()
    for name, remedy in (("bpf", "CONFIG_BPF_SYSCALL"), ("overlay", "CONFIG_OVERLAY_FS")):
        if name not in filesystems and not _modprobe(name):
            raise UserError(f"the kernel has no {name} file system: it needs {remedy}")
    if not Path("/dev/net/tun").exists() and not _modprobe("tun"):
        raise UserError("/dev/net/tun is missing, VMs need it: load the tun module (CONFIG_TUN)")


def _modprobe(name: str) -> bool:
    return shutil.which("modprobe") is not None and os.system(f"modprobe -q {name}") == 0


def check_cgroups() -> None:
    if not cgroup.trees():
        raise UserError("no cgroups are mounted: mount /sys/fs/cgroup (version 1 or 2)")
    absent = [name for name in CGROUP_CONTROLLERS if cgroup.controller(name) is None]
    if absent:
        raise UserError(f"cgroup controllers {', '.join(absent)} are missing: enable them at boot")


def check_disk(data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(data_dir).free
    if free < FREE_MIN_BYTES:
        raise UserError(
            f"{data_dir} has {free >> 20} MiB free, {FREE_MIN_BYTES >> 20} are needed: make room, "
            "or choose another --data-dir"
        )


def check_port(port: int) -> None:
    for number in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError as fault:
                raise UserError(
                    f"port {number} is taken: choose another with --port (it and the next are used)"
                ) from fault


def check_machine(data_dir: Path) -> None:
    """Raise UserError with the first thing that is missing."""
    checks: tuple[Callable[[], None], ...] = (check_kernel, check_cgroups)
    for check in checks:
        check()
    check_disk(data_dir)
