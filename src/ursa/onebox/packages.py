"""Debian packages that the onebox needs: what is missing is installed, once.

A package is asked for by a file that it brings, so that a machine where the program came
from elsewhere needs no package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ursa.onebox.errors import UserError

# what must be there → the package that brings it
RUNTIME = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "/bin/busybox": "busybox-static",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "clang": "clang",
    "llvm-strip": "llvm",
    "/usr/include/bpf/bpf_helpers.h": "libbpf-dev",
    "/usr/include/linux/bpf.h": "linux-libc-dev",
    "/usr/include/x86_64-linux-gnu/sys/socket.h": "libc6-dev",
    "dpkg-deb": "dpkg",
    "cpio": "cpio",
    "xz": "xz-utils",
    "lz4": "lz4",
    "update-ca-certificates": "ca-certificates",
}
# for `ursa test` and `ursa bench` on top
DEVELOPMENT = {"bpftool": "bpftool", "iperf3": "iperf3", "ping": "iputils-ping", "nft": "nftables"}


def is_there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None


def missing(wanted: dict[str, str]) -> list[str]:
    """Return the packages to install, without repeats."""
    return list(dict.fromkeys(package for what, package in wanted.items() if not is_there(what)))


def install(packages: Iterable[str]) -> None:
    """Install Debian packages without asking. UserError names them and what apt said last."""
    names = list(packages)
    if not names:
        return
    if shutil.which("apt-get") is None:
        raise UserError(f"missing: {', '.join(names)}, and this is no Debian: install them")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-qq"]
    add = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
    for command in (update, add):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
            raise UserError(f"cannot install {', '.join(names)}: {command[1]} said: {said[0]}")
