"""Write every component's configuration: what the layout of a onebox means to each process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from ursa.base.config import TlsFiles
from ursa.onebox import identities
from ursa.onebox.layout import AGENT_PORT, Cluster, Node, write_atomic

# A machine's share that pods may ask for; the rest is for the control plane and the kernel.
ALLOCATABLE_SHARE = 0.9
PODS_PER_NODE_MAX = 110  # Kubernetes' default


def write_all(cluster: Cluster, objects: Path) -> None:
    """Write etc/<component>.json for every component. `objects`: the compiled BPF programs."""
    for name, config in configs(cluster, objects).items():
        data = msgspec.json.format(msgspec.json.encode(config))
        write_atomic(cluster.path("etc", f"{name}.json"), data)


def configs(cluster: Cluster, objects: Path) -> dict[str, dict[str, Any]]:
    named = {
        "supervisor": {"data_dir": str(cluster.data_dir)},
        "apiserver": _base(cluster, "apiserver")
        | {
            "listen": [f"{address}:{cluster.port}" for address in control_addresses(cluster)],
            "store_dir": str(cluster.path("store")),
            "tls": identities.tls(cluster, "apiserver"),
            "client_ca": str(cluster.pki("ca.crt")),
            "service_account_key": str(cluster.pki("sa.key")),
        },
        "scheduler": _client(cluster, "scheduler"),
        "controllers": _client(cluster, "controllers") | {"ca_file": str(cluster.pki("ca.crt"))},
        "alcor": _client(cluster, "alcor")
        | {"listen": [f"{address}:{cluster.alcor_port}" for address in control_addresses(cluster)]},
    }
    for node in cluster.nodes:
        named |= _node_configs(node, objects)
    return named


def control_addresses(cluster: Cluster) -> tuple[str, str]:
    """Where the control plane listens: for people here, and for nodes."""
    return ("127.0.0.1", cluster.host_address)


def _node_configs(node: Node, objects: Path) -> dict[str, dict[str, Any]]:
    cluster, cni = node.cluster, node.dir / "cni"
    netd, machine, agent = (f"{part}-{node.name}" for part in ("netd", "vmruntime", "agent"))
    return {
        netd: _base(cluster, netd)
        | {
            "node": node.name,
            "cluster_id": cluster.id,
            "controller": f"{cluster.host_address}:{cluster.alcor_port}",
            "tls": identities.tls(cluster, netd),
            "uplink": "eth0",
            "underlay_ip": node.address,
            "bpffs": str(node.bpffs),
            "objects": str(objects),
            "cni_bin_dir": str(cni / "bin"),
            "cni_conf_dir": str(cni / "net.d"),
        },
        machine: _base(cluster, machine)
        | {
            "cluster_id": cluster.id,
            "socket": str(node.vm_socket),
            "state_dir": str(node.dir / "vm"),
            "image_dir": str(cluster.path("images")),
            "run_dir": str(node.dir / "run"),
            "cni_bin_dir": str(cni / "bin"),
            "cni_conf_dir": str(cni / "net.d"),
        },
        agent: _client(cluster, agent)
        | {
            "node": node.name,
            "address": node.address,
            "port": AGENT_PORT,
            "runtimes": [
                {
                    "name": "containerd",
                    "kind": "container",
                    "endpoint": str(node.containerd_socket),
                },
                {"name": "qemu", "kind": "vm", "endpoint": str(node.vm_socket)},
            ],
            "pods_dir": str(node.dir / "pods"),
            "starts_dir": str(cluster.path("run", "starts")),
            "cgroup": f"{node.cgroup}/pods",
        }
        | capacity(cluster),
    }


def capacity(cluster: Cluster) -> dict[str, int]:
    """Return each node's share of this machine."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    share = ALLOCATABLE_SHARE / cluster.node_count
    return {
        "cpu_millicores": int((os.cpu_count() or 1) * 1000 * share),
        "memory_bytes": int(memory_bytes * share) >> 20 << 20,
        "pods_max": PODS_PER_NODE_MAX,
    }


def _base(cluster: Cluster, name: str) -> dict[str, Any]:
    return {"name": name, "ready_file": str(cluster.ready_file(name))}


def _client(cluster: Cluster, name: str) -> dict[str, Any]:
    tls: TlsFiles = identities.tls(cluster, name)
    return _base(cluster, name) | {"api_url": cluster.api_url, "tls": tls}
