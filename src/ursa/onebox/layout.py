"""Where everything of one cluster lies, and what it is called.

All names outside the data directory (namespaces, links, cgroups) carry the cluster's id, so
that clusters live side by side and removal finds all of its own and nothing else.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ursa.base.config import Config, load
from ursa.onebox.errors import UserError

DEFAULT_DATA_DIR = "/var/lib/ursa"
DEFAULT_PORT = 6443
DEFAULT_NODES = 2
NODES_MAX = 32  # addresses of one underlay /24, and what one machine can carry
DATA_DIR_MAX = 44  # characters: a unix socket's path holds 107 bytes, ours need 60 below it
ALCOR_PORT_OFFSET = 1  # Alcor's goal-state server listens beside the API server
AGENT_PORT = 10250  # the kubelet's port


class ClusterFile(Config):
    """cluster.json: what is fixed at the first `up`."""

    id: str
    """6 hexadecimal characters."""
    port: int
    nodes: int
    underlay: str
    """IPv4 prefix of the underlay, /24."""


@dataclass(frozen=True, slots=True)
class Node:
    cluster: Cluster
    number: int  # 1..NODES_MAX

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def dir(self) -> Path:
        return self.cluster.data_dir / "nodes" / self.name

    @property
    def netns(self) -> str:
        return f"ursa-{self.cluster.id}-{self.name}"

    @property
    def netns_path(self) -> str:
        return f"/run/netns/{self.netns}"

    @property
    def host_link(self) -> str:
        """The host's end of the node's uplink."""
        return f"u{self.cluster.id}n{self.number}"

    @property
    def address(self) -> str:
        return str(self.cluster.underlay[self.number + 1])

    @property
    def cgroup(self) -> str:
        return f"/ursa-{self.cluster.id}-{self.name}"

    @property
    def containerd_socket(self) -> Path:
        return self.dir / "containerd.sock"

    @property
    def vm_socket(self) -> Path:
        return self.dir / "vm.sock"

    @property
    def bpffs(self) -> Path:
        return self.dir / "bpf"


@dataclass(frozen=True, slots=True)
class Cluster:
    data_dir: Path
    id: str
    port: int
    underlay: ipaddress.IPv4Network
    node_count: int

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(Node(self, number) for number in range(1, self.node_count + 1))

    @property
    def host_address(self) -> str:
        """The host's own underlay address: where nodes reach the control plane."""
        return str(self.underlay[1])

    @property
    def bridge(self) -> str:
        return f"u{self.id}br"

    @property
    def control_cgroup(self) -> str:
        return f"/ursa-{self.id}-control"

    @property
    def api_url(self) -> str:
        """As nodes and components see it."""
        return f"https://{self.host_address}:{self.port}"

    @property
    def local_url(self) -> str:
        """As people on this machine see it."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def alcor_port(self) -> int:
        return self.port + ALCOR_PORT_OFFSET

    def path(self, *parts: str) -> Path:
        return self.data_dir.joinpath(*parts)

    def pki(self, name: str) -> Path:
        return self.path("pki", name)

    def log(self, component: str) -> Path:
        return self.path("logs", f"{component}.log")

    def ready_file(self, component: str) -> Path:
        return self.path("run", f"{component}.ready")


def data_dir_from(text: str | None) -> Path:
    """Return the data directory that a person named, or the default. UserError if unusable."""
    path = Path(text or os.environ.get("URSA_DATA_DIR") or DEFAULT_DATA_DIR).absolute()
    if len(str(path)) > DATA_DIR_MAX:
        raise UserError(
            f"data directory {path}: its path has {len(str(path))} characters, at most "
            f"{DATA_DIR_MAX} leave room for unix sockets below it: choose a shorter --data-dir"
        )
    return path


def load_cluster(data_dir: Path) -> Cluster | None:
    """Return the cluster of `data_dir`, or None if none was made there."""
    file = data_dir / "cluster.json"
    if not file.exists():
        return None
    saved = load(ClusterFile, str(file))
    underlay = ipaddress.IPv4Network(saved.underlay)
    return Cluster(data_dir, saved.id, saved.port, underlay, saved.nodes)


def existing_cluster(data_dir: Path) -> Cluster:
    """Return the cluster of `data_dir`. UserError if none was made there."""
    cluster = load_cluster(data_dir)
    if cluster is None:
        raise UserError(f"no cluster in {data_dir}: run 'ursa up' first, or name its --data-dir")
    return cluster


def save_cluster(cluster: Cluster) -> None:
    saved = ClusterFile(
        id=cluster.id,
        port=cluster.port,
        nodes=cluster.node_count,
        underlay=str(cluster.underlay),
    )
    write_atomic(cluster.path("cluster.json"), msgspec.json.format(msgspec.json.encode(saved)))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the cluster's lock: one `up` or `down` at a time. UserError if another holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise UserError(
                f"another 'ursa up' or 'ursa down' works on {data_dir}: wait for it to end"
            ) from fault
        yield
