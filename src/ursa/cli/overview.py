"""What `ursa status` shows: components from the machine, nodes and pods from the API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ursa.cli.kube import admin_kubeconfig
from ursa.cli.output import Output, show, table
from ursa.onebox import tools
from ursa.onebox.health import Health
from ursa.onebox.layout import Cluster

API_TIMEOUT = "3s"
_POD_COLUMNS = ("TENANT", "NAMESPACE", "NAME", "PHASE", "NODE", "IP")


def overview(
    cluster: Cluster,
    rows: Sequence[Health],
    columns: Mapping[str, Callable[[Health], Any]],
    output: Output,
) -> None:
    """Print everything; what the API server does not answer is said to be unknown."""
    nodes, pods = _items(cluster, "/api/v1/nodes"), _items(cluster, "/api/v1/tenants/all/pods")
    if output is Output.JSON:
        document = {
            "cluster": cluster.id,
            "url": cluster.local_url,
            "components": [_component(row) for row in rows],
            "nodes": None if nodes is None else [_node(item) for item in nodes],
            "pods": None if pods is None else [_pod(item) for item in pods],
        }
        print(json.dumps(document, indent=2))
        return
    show(rows, columns, output)
    if output is Output.NAME:
        return
    print()
    if nodes is None or pods is None:
        print("nodes and pods: unknown, the API server does not answer")
        return
    print(table(("NODE", "READY", "ADDRESS"), [list(_node(item).values()) for item in nodes]))
    print()
    print(table(_POD_COLUMNS, [list(_pod(item).values()) for item in pods]))


def _items(cluster: Cluster, path: str) -> list[dict[str, Any]] | None:
    """Return a list's items, or None if there is no answer."""
    command = [str(tools.kubectl()), "--kubeconfig", str(admin_kubeconfig(cluster))]
    command += ["--request-timeout", API_TIMEOUT, "get", "--raw", path]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        return None
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _component(row: Health) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "pid": row.pid,
        "uptime_s": round(row.uptime_s, 1),
        "restarts": row.restarts,
        "last_exit": row.last_exit,
        "log": str(row.log),
    }


def _node(item: dict[str, Any]) -> dict[str, str]:
    status = item.get("status", {})
    ready = [c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"]
    addresses = [a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"]
    return {
        "name": item["metadata"]["name"],
        "ready": ready[0] if ready else "Unknown",
        "address": addresses[0] if addresses else "",
    }


def _pod(item: dict[str, Any]) -> dict[str, str]:
    metadata, status = item["metadata"], item.get("status", {})
    return {
        "tenant": metadata.get("tenant", ""),
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "phase": status.get("phase", ""),
        "node": item.get("spec", {}).get("nodeName", ""),
        "ip": status.get("podIP", ""),
    }
