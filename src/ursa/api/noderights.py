"""What the identity of a node may read: the secrets and config maps of its own pods.

RBAC cannot say this, because the set follows the pods. A node that is taken over must not
be able to read what other nodes' pods, of any tenant, hold.
Source: Kubernetes, plugin/pkg/auth/authorizer/node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ursa.api.objects import Document, Objects, served
from ursa.api.request import ALL_TENANTS, SYSTEM_TENANT, Attributes, User

NODE_PREFIX = "system:node:"
NODES = "system:nodes"


def node_of(user: User) -> str | None:
    """Return the node that `user` speaks for, or None: a tenant's namesake is no node."""
    if user.tenant == SYSTEM_TENANT and NODES in user.groups and user.name.startswith(NODE_PREFIX):
        return user.name.removeprefix(NODE_PREFIX)
    return None


class NodeRights:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._pods = served("", "pods")

    def allows(self, node: str, attributes: Attributes) -> bool:
        """Return False where RBAC's yes to the node's identity is too much."""
        kind = attributes.resource
        if attributes.group or kind not in ("secrets", "configmaps"):
            return True
        if attributes.tenant == ALL_TENANTS:
            return False
        pods = self._objects.list(self._pods, attributes.tenant, attributes.namespace)
        return any(
            (kind, attributes.name) in references(pod)
            for pod in pods
            if pod.get("spec", {}).get("nodeName") == node
        )


def references(pod: Document) -> set[tuple[str, str]]:
    """Return what the pod reads, as (plural, name)."""
    return set(_references(pod.get("spec", {})))


def _references(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for pull in spec.get("imagePullSecrets") or ():
        yield "secrets", pull.get("name", "")
    for volume in spec.get("volumes") or ():
        for source in (volume, *(volume.get("projected") or {}).get("sources", ())):
            if secret := source.get("secret"):
                yield "secrets", secret.get("secretName") or secret.get("name", "")
            if config_map := source.get("configMap"):
                yield "configmaps", config_map.get("name", "")
    for list_name in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(list_name) or ():
            yield from _environment(container)


def _environment(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sources = [v.get("valueFrom") or {} for v in container.get("env") or ()]
    for source in (*sources, *(container.get("envFrom") or ())):
        for field in ("secretKeyRef", "secretRef"):
            if field in source:
                yield "secrets", source[field].get("name", "")
        for field in ("configMapKeyRef", "configMapRef"):
            if field in source:
                yield "configmaps", source[field].get("name", "")
