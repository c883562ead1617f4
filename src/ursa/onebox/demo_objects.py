"""The objects of the demo: what a user would write in YAML."""

from __future__ import annotations

from typing import Any

LABEL = "ursa.dev/demo"
REPLICAS = 3


def asking(addresses: list[str]) -> str:
    """Return a shell script that asks every address, at once, and prints a line each way.

    `timeout` around wget, for Debian's busybox 1.35 crashes on wget's own -T.
    """
    each = (
        "(ping -c 1 -W 2 $a >/dev/null 2>&1 && echo ping $a ok || echo ping $a no) & "
        '(echo "http $a $(timeout 3 wget -q -O - http://$a/ 2>/dev/null)") & '
    )
    return f"for a in {' '.join(addresses)}; do {each} done; wait"


def tenant_object(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Tenant",
        "metadata": {"name": name, "labels": {LABEL: "true"}},
    }


def web(tenant: str) -> dict[str, Any]:
    serve = f"mkdir -p /www; echo {tenant} >/www/index.html; exec httpd -f -p 80 -h /www"
    return {
        "name": "web",
        "image": "busybox",
        "command": ["sh", "-c", serve],
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
    }


def deployment(tenant: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [web(tenant)], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def vm(tenant: str, addresses: list[str]) -> dict[str, Any]:
    serve = f"mkdir -p /www; echo {tenant} >/www/index.html; httpd -p 80 -h /www"
    script = f"#!/bin/sh\n{serve}\n{asking(addresses)}\n"
    machine = {
        "name": "vm",
        "image": "vm",
        "cloudInitUserDataScript": script,
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "128Mi"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "vm"},
        "spec": {"virtualMachine": machine, "terminationGracePeriodSeconds": 1},
    }
