"""A whole cloud for tests: `./ursa up` in a folder of its own, and a kubectl for each identity."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ursa.base import cgroup
from ursa.onebox import containerd, health, host, tools
from ursa.onebox.layout import existing_cluster

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class Cloud:
    data_dir: Path
    port: int

    def ursa(
        self, *words: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"URSA_DATA_DIR": str(self.data_dir)}
        environment.pop("KUBECONFIG", None)
        done = subprocess.run(
            [str(ROOT / "ursa"), *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"ursa {' '.join(words)}: {done.stdout}{done.stderr}{self.logs()}")
        return done

    def up(self, *words: str) -> None:
        self.ursa("up", "--port", str(self.port), *words)

    def kubectl(
        self,
        *words: str,
        tenant: str = "",
        stdin: str = "",
        version: int = tools.VERSION,
        check: bool = True,
    ) -> str:
        """Return what kubectl printed to stdout (and stderr, unless it is checked)."""
        command = [
            str(tools.kubectl(version)),
            "--kubeconfig",
            str(self.kubeconfig(tenant)),
            *words,
        ]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=180
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *words: str, tenant: str = "") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self.kubectl("get", "-o", "json", *words, tenant=tenant)
        )
        return document

    def kubeconfig(self, tenant: str = "") -> Path:
        path = self.data_dir / f"test-{tenant or 'admin'}.kubeconfig"
        if not path.exists():
            words = ("--tenant", tenant) if tenant else ()
            path.write_text(self.ursa("kubeconfig", *words).stdout)
        return path

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.ursa("status", "-o", "json", check=False).stdout)
        return document

    def components(self) -> list[health.Health]:
        """Every component's health, straight from the machine."""
        return health.status(existing_cluster(self.data_dir))

    def machines(self) -> list[int]:
        """The pids of this cloud's QEMUs."""
        found = []
        for node in existing_cluster(self.data_dir).nodes:
            for pid in cgroup.pids(f"{node.cgroup}/pods"):
                name = Path(f"/proc/{pid}/comm")
                if name.exists() and name.read_text().startswith("qemu"):
                    found.append(pid)
        return found

    def component(self, name: str) -> dict[str, Any]:
        found: dict[str, Any]
        found = next(c for c in self.status()["components"] if c["name"] == name)
        return found

    def kill_everything(self) -> None:
        """As a power cut: every process, namespace and mount of the cluster is gone."""
        made = existing_cluster(self.data_dir)
        groups = cgroup.children(f"/ursa-{made.id}-")
        containerd.kill_and_wait(lambda: set().union(*(cgroup.pids(group) for group in groups)))
        host.remove_links(made)
        host.unmount_below(made.data_dir)

    def cluster_id(self) -> str:
        return str(json.loads((self.data_dir / "cluster.json").read_text())["id"])

    def logs(self) -> str:
        """The last lines of every log, for a failed test's message."""
        tails = []
        for log in sorted((self.data_dir / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-3:]
            tails.append(f"\n--- {log.name}\n" + "\n".join(lines))
        return "".join(tails)


def until(condition: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Return the first true value of `condition`. AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not true after {timeout_s} s: {condition}"
        time.sleep(0.1)
    return found


def free_port() -> int:
    """Return a port that is free together with the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


@contextmanager
def cloud(*words: str) -> Iterator[Cloud]:
    """Bring a cloud up by `ursa up` with `words`; end and purge it, whatever happened."""
    folder = Path(tempfile.mkdtemp(prefix="ursa-e2e-", dir="/tmp"))
    made = Cloud(folder, free_port())
    try:
        made.up(*words)
        yield made
    finally:
        made.ursa("down", "--purge", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def remains(cluster_id: str, data_dir: Path) -> list[str]:
    """Return everything on this machine that still carries a cluster's id."""
    found = [f"netns {n}" for n in _listed("/run/netns") if cluster_id in n]
    found += [f"link {n}" for n in _listed("/sys/class/net") if n.startswith(f"u{cluster_id}")]
    for tree in Path("/sys/fs/cgroup").iterdir():
        found += [f"cgroup {tree}/{n}" for n in _listed(tree) if cluster_id in n]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if str(data_dir) in line]
    for entry in _listed("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                command = Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(data_dir) in command:
                found.append(f"process {entry}: {command[:120]}")
    return found


def shim_sockets() -> set[str]:
    """Return the shims' sockets of all containerds of this machine: their names are hashes."""
    return set(_listed("/run/containerd/s"))


def _listed(folder: str | Path) -> list[str]:
    return os.listdir(folder) if Path(folder).is_dir() else []
