"""A node's containerd: its configuration, its images, and what it leaves behind when killed.

Each node has a root (images, kept), a state (volatile), a runc root and a socket of its own.
After a loss of containerd and all its shims (a reboot, or kill -9 of everything) a restart
would kill the pods' remains one by one before CRI answers, a second each; so `clear_remains`
does it first, in a tenth of a second.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

from ursa.base import cgroup
from ursa.onebox.errors import UserError
from ursa.onebox.host import unmount_below
from ursa.onebox.images import PAUSE_IMAGE
from ursa.onebox.layout import Node, write_atomic

# containerd 1.6 keeps the sockets of all containerds' shims in this one folder.
SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")
SHIM_NAMESPACE = "k8s.io"
KILL_TIMEOUT_S = 10.0  # a killed process is gone in milliseconds; this long means the kernel

_CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
  "io.containerd.internal.v1.restart", "io.containerd.monitor.v1.cgroups",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}/bin"
    conf_dir = "{cni}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "runc"
        Root = "{runc}"
        SystemdCgroup = false
"""


def write_config(node: Node) -> Path:
    """Write the node's configuration; return its path."""
    text = _CONFIG.format(
        root=root(node),
        state=state(node),
        socket=node.containerd_socket,
        pause=PAUSE_IMAGE,
        cni=node.dir / "cni",
        runc=_runc_root(node),
    )
    path = node.dir / "containerd.toml"
    write_atomic(path, text.encode())
    return path


def root(node: Node) -> Path:
    return node.dir / "containerd"


def state(node: Node) -> Path:
    return node.dir / "state"


def _runc_root(node: Node) -> Path:
    return node.dir / "runc"


def import_image(node: Node, tar: Path) -> bool:
    """Import an image tar unless this very file was imported. UserError with ctr's words."""
    stamp = node.dir / "imported" / hashlib.sha256(tar.read_bytes()).hexdigest()
    if stamp.exists():
        return False
    command = ["ctr", "--address", str(node.containerd_socket), "-n", SHIM_NAMESPACE]
    command += ["images", "import", "--snapshotter", "overlayfs", str(tar)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"{node.name}: cannot import {tar}: {done.stderr.strip()}")
    stamp.parent.mkdir(exist_ok=True)
    stamp.touch()
    return True


def shims(node: Node) -> dict[int, str]:
    """Return the pid and sandbox id of every live shim of this node's containerd."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            words = (
                Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace").split("\0")
            )
        except OSError:  # ended meanwhile
            continue
        if "containerd-shim" in words[0] and str(node.containerd_socket) in words:
            found[int(entry)] = words[words.index("-id") + 1] if "-id" in words else ""
    return found


def clear_remains(node: Node) -> None:
    """Remove what a dead containerd left. The images stay, and so do the node's VMs.

    Only while containerd is down.
    """
    kill_and_wait(lambda: shims(node).keys() | _container_pids(node))
    _remove_shim_sockets(node)
    unmount_below(state(node))
    for folder in (state(node), _runc_root(node)):
        shutil.rmtree(folder, ignore_errors=True)
    _remove_cni_results(node)
    cgroup.remove(f"{node.cgroup}/pods")  # as far as no VM is in it
    cgroup.make(f"{node.cgroup}/pods")


def _tasks(node: Node) -> list[str]:
    """Return the ids of the sandboxes and containers that containerd's state knows."""
    folder = state(node) / "io.containerd.runtime.v2.task" / SHIM_NAMESPACE
    return [task.name for task in folder.iterdir()] if folder.exists() else []


def _container_pids(node: Node) -> set[int]:
    """Return the processes in containers' cgroups: pods/<pod uid>/<container id>."""
    tasks = set(_tasks(node))
    tree = cgroup.controller("pids")
    folders = (tree / f"{node.cgroup}/pods".lstrip("/")).glob("*/*") if tree else ()
    groups = [f"{node.cgroup}/pods/{f.parent.name}/{f.name}" for f in folders if f.name in tasks]
    return set().union(*(cgroup.pids(group) for group in groups))


def kill_and_wait(find: Callable[[], AbstractSet[int]]) -> None:
    """SIGKILL what `find` finds until it finds nothing. UserError if something stays.

    It looks again after each round: a process may fork while it is hunted. A zombie counts as
    gone, for its cgroup is empty and its command line too.
    """
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while pids := find() - {os.getpid()}:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise UserError(f"processes {sorted(pids)} do not end after SIGKILL: look at dmesg")
        time.sleep(0.005)


def _remove_shim_sockets(node: Node) -> None:
    for task in _tasks(node):
        name = f"{node.containerd_socket}/{SHIM_NAMESPACE}/{task}"
        (SHIM_SOCKETS / hashlib.sha256(name.encode()).hexdigest()).unlink(missing_ok=True)


def _remove_cni_results(node: Node) -> None:
    for file in CNI_RESULTS.glob("*") if CNI_RESULTS.exists() else ():
        try:
            ours = str(state(node)).encode() in file.read_bytes()
        except OSError:
            continue
        if ours:
            file.unlink(missing_ok=True)
