"""Every process of a onebox, as data: what the supervisor runs and `status` shows.

A component is derived from the cluster alone, so `up`, `status`, `down` and the supervisor
agree on it without asking each other. The order of the list is the order of starting; none
waits for another, for every one of them retries until what it needs is there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ursa.onebox import containerd
from ursa.onebox.layout import Cluster, Node


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    argv: tuple[str, ...]
    cgroup: str
    ready: Path
    """Exists once the component serves: a file that it makes, or its socket."""
    netns: str = ""  # path of the network namespace; empty: the host's
    node: Node | None = None
    environment: tuple[tuple[str, str], ...] = ()  # on top of the supervisor's

    @property
    def is_containerd(self) -> bool:
        return self.argv[0] == "containerd"


# gRPC reads it when it is imported: our children exec at once, its fork handlers only complain.
QUIET_FORKS = ("GRPC_ENABLE_FORK_SUPPORT", "0")


def components(cluster: Cluster) -> tuple[Component, ...]:
    control = [
        _control(cluster, name) for name in ("apiserver", "scheduler", "controllers", "alcor")
    ]
    return (*control, *(part for node in cluster.nodes for part in node_components(node)))


def node_components(node: Node) -> tuple[Component, ...]:
    runtime = Component(
        name=f"containerd-{node.name}",
        argv=("containerd", "--config", str(node.dir / "containerd.toml"), "--log-level", "warn"),
        cgroup=f"{node.cgroup}/sys",
        ready=node.containerd_socket,
        netns=node.netns_path,
        node=node,
    )
    ours = tuple(_of_node(node, process) for process in ("netd", "vmruntime", "agent"))
    return (runtime, *ours)


def _control(cluster: Cluster, process: str) -> Component:
    return Component(
        name=process,
        argv=_argv(cluster, process, process),
        cgroup=cluster.control_cgroup,
        ready=cluster.ready_file(process),
        environment=(QUIET_FORKS, *_own_authority(cluster)),
    )


def _of_node(node: Node, process: str) -> Component:
    name = f"{process}-{node.name}"
    return Component(
        name=name,
        argv=_argv(node.cluster, process, name),
        cgroup=f"{node.cgroup}/sys",
        ready=node.cluster.ready_file(name),
        netns=node.netns_path,
        node=node,
        # The VM runtime pulls images from anywhere; the others talk within the cluster alone.
        environment=(
            QUIET_FORKS,
            *(_own_authority(node.cluster) if process != "vmruntime" else ()),
        ),
    )


def _own_authority(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """Trust the cluster's authority alone: loading the system's costs 0.1 s of each start."""
    return (("SSL_CERT_FILE", str(cluster.pki("ca.crt"))), ("SSL_CERT_DIR", "/nonexistent"))


def _argv(cluster: Cluster, process: str, name: str) -> tuple[str, ...]:
    config = str(cluster.path("etc", f"{name}.json"))
    return (sys.executable, "-m", "ursa", process, "--config", config)


def supervisor_argv(cluster: Cluster) -> tuple[str, ...]:
    return _argv(cluster, "supervisor", "supervisor")


def clear_before_start(component: Component) -> None:
    """Remove what would keep a component from starting, or make it look ready."""
    component.ready.unlink(missing_ok=True)
    node = component.node
    if component.is_containerd and node is not None and not containerd.shims(node):
        containerd.clear_remains(node)
