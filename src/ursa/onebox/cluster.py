"""The life of a onebox: up, status, down. Each is idempotent and may be broken off anywhere."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ursa.base import cgroup
from ursa.onebox import (
    artifacts,
    configs,
    containerd,
    host,
    identities,
    packages,
    preflight,
    process,
)
from ursa.onebox.components import Component, components, supervisor_argv
from ursa.onebox.errors import UserError
from ursa.onebox.health import health
from ursa.onebox.layout import (
    NODES_MAX,
    Cluster,
    Node,
    load_cluster,
    save_cluster,
)
from ursa.onebox.process import is_alive
from ursa.onebox.supervisor import STOP_GRACE_S, State, read_state, state_file, write_state

READY_TIMEOUT_S = 60.0  # a cold page cache and a loaded machine; usually 2 s
POLL_S = 0.02

Report = Callable[[str, float], None]  # step, seconds that it took


def up(data_dir: Path, *, port: int, nodes: int, report: Report) -> Cluster:
    """Bring a cluster up, or find it up; return when every component and node is ready."""
    preflight.check_root()
    with timed(report, "Debian packages"):
        packages.install(packages.missing(packages.RUNTIME))
    with timed(report, "machine"):
        preflight.check_machine(data_dir)
        cluster = load_cluster(data_dir) or _create(data_dir, port=port, nodes=nodes)
        if (cluster.port, cluster.node_count) != (port, nodes):
            raise UserError(
                f"{data_dir} holds a cluster of {cluster.node_count} nodes on port {cluster.port}:"
                " name the same, or another --data-dir, or 'ursa down --purge' it first"
            )
    for folder in ("etc", "logs", "run", "images", "store", "nodes"):
        cluster.path(folder).mkdir(exist_ok=True)
    with timed(report, "certificates"):
        identities.ensure(cluster)
    with timed(report, "images"):
        artifacts.ensure_images(cluster.path("images"))
    with timed(report, "programs"):
        objects = artifacts.ensure_programs()
    with timed(report, "underlay and nodes"):
        host.ensure_underlay(cluster)
        for node in cluster.nodes:
            host.ensure_node(node)
            containerd.write_config(node)
            artifacts.ensure_plugin(node.dir / "cni" / "bin")
        cgroup.make(cluster.control_cgroup)
        configs.write_all(cluster, objects)
    with timed(report, "supervisor"):
        _ensure_supervisor(cluster)
    _await_ready(cluster, report)
    return cluster


@contextmanager
def timed(report: Report, step: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    report(step, time.monotonic() - began_s)


def _create(data_dir: Path, *, port: int, nodes: int) -> Cluster:
    if not 1 <= nodes <= NODES_MAX:
        raise UserError(f"--nodes {nodes}: one machine carries 1 to {NODES_MAX}")
    if not 1 <= port <= 65534:
        raise UserError(f"--port {port} is outside 1..65534")
    preflight.check_port(port)
    cluster_id = os.urandom(3).hex()
    cluster = Cluster(data_dir, cluster_id, port, host.choose_underlay(cluster_id), nodes)
    save_cluster(cluster)
    return cluster


def _ensure_supervisor(cluster: Cluster) -> None:
    state = read_state(cluster, "supervisor")
    if state.process is not None and is_alive(state.process):
        return
    argv = supervisor_argv(cluster)
    child = process.start(
        argv,
        log=cluster.log("supervisor"),
        environment=os.environ,
        group=cluster.control_cgroup,
        cwd=cluster.data_dir,
    )
    identity = process.identify(child.pid)
    write_state(cluster, "supervisor", State(process=identity, started_at=time.time()))


def _await_ready(cluster: Cluster, report: Report) -> None:
    """Wait for every component, and give each containerd its images as soon as it answers."""
    began_s = time.monotonic()
    waiting = {part.name: part for part in components(cluster)}
    with ThreadPoolExecutor(max_workers=cluster.node_count) as pool:
        imports = []
        while waiting:
            for part in list(waiting.values()):
                if health(cluster, part.name, part.ready).state == "Ready":
                    del waiting[part.name]
                    report(part.name, time.monotonic() - began_s)
                    if part.is_containerd and part.node is not None:
                        imports.append(pool.submit(_import_images, part.node))
            if time.monotonic() - began_s > READY_TIMEOUT_S:
                raise UserError(_not_ready(cluster, list(waiting.values())))
            time.sleep(POLL_S)
        for done in imports:
            done.result()


def _import_images(node: Node) -> None:
    for tar in sorted(node.cluster.path("images").glob("*.tar")):
        containerd.import_image(node, tar)


def _not_ready(cluster: Cluster, waiting: list[Component]) -> str:
    first = waiting[0]
    log = cluster.log(first.name)
    said = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    return (
        f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(part.name for part in waiting)}; "
        f"{first.name} said last: {said[0] if said else 'nothing'} (see {log})"
    )


def down(cluster: Cluster, *, purge: bool, report: Report) -> None:
    """End every process and remove all that was made outside the data directory.

    The supervisor first, so that it restarts nothing; `purge` removes the data as well.
    """
    with timed(report, "supervisor and components"):
        _end_processes(cluster)
    with timed(report, "pods and machines"):
        prefix = f"/ursa-{cluster.id}-"
        groups = cgroup.children(prefix)
        containerd.kill_and_wait(lambda: set().union(*(cgroup.pids(group) for group in groups)))
        for node in cluster.nodes:
            containerd.clear_remains(node)
    with timed(report, "network, mounts, cgroups"):
        host.remove_links(cluster)
        host.unmount_below(cluster.data_dir)
        for group in cgroup.children(prefix):
            _remove_group(group)
    if purge:
        with timed(report, "data"):
            shutil.rmtree(cluster.data_dir)


def _end_processes(cluster: Cluster) -> None:
    """End the supervisor, then the components, all at once."""
    names = [part.name for part in components(cluster)]
    _end(cluster, "supervisor")
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        list(pool.map(lambda name: _end(cluster, name), names))
    for part in components(cluster):
        part.ready.unlink(missing_ok=True)


def _end(cluster: Cluster, name: str) -> None:
    identity = read_state(cluster, name).process
    if identity is not None:
        process.end(identity, grace_s=STOP_GRACE_S)
    state_file(cluster, name).unlink(missing_ok=True)


def _remove_group(group: str) -> None:
    """Remove a cgroup whose processes are dead; zombies hold it until their parent reaps them."""
    deadline = time.monotonic() + containerd.KILL_TIMEOUT_S
    while not cgroup.remove(group):
        if time.monotonic() > deadline:
            raise UserError(f"cgroup {group} stays busy: processes {sorted(cgroup.pids(group))}")
        time.sleep(POLL_S)
