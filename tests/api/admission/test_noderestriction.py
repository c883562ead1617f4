"""What a node's identity may write."""

import pytest

from access import World, node_user, obj, user
from ursa.base.errors import Forbidden

LEASE = "coordination.k8s.io/v1"
LEASES = {"api_version": LEASE, "tenant": "system", "namespace": "kube-node-lease"}


def pod(node: str) -> dict:
    return obj("Pod", "p", spec={"nodeName": node, "serviceAccountName": "builder"})


ALLOWED = {
    "its node": ("create", obj("Node", "n1"), None, ""),
    "its status": ("update", obj("Node", "n1"), obj("Node", "n1"), "status"),
    "its lease": ("update", obj("Lease", "n1", **LEASES), obj("Lease", "n1", **LEASES), ""),
    "its pod's status": ("update", pod("n1"), pod("n1"), "status"),
    "its pod's end": ("delete", None, pod("n1"), ""),
    "an event": ("create", obj("Event", "e"), None, ""),
}
REFUSED = {
    "another node": ("create", obj("Node", "n2"), None, ""),
    "another's status": ("update", obj("Node", "n2"), obj("Node", "n2"), "status"),
    "its own taints": (
        "update",
        obj("Node", "n1", spec={}),
        obj("Node", "n1", spec={"taints": [{"key": "k"}]}),
        "",
    ),
    "another's lease": ("update", obj("Lease", "n2", **LEASES), obj("Lease", "n2", **LEASES), ""),
    "a lease elsewhere": ("create", obj("Lease", "n1", api_version=LEASE), None, ""),
    "another's pod's status": ("update", pod("n1"), pod("n2"), "status"),
    "another's pod's end": ("delete", None, pod("n2"), ""),
    "an unbound pod's status": ("update", pod("n1"), pod(""), "status"),
    "a pod": ("create", pod("n1"), None, ""),
}


@pytest.mark.parametrize("named", ALLOWED)
async def test_a_node_writes_what_is_its_own(named):
    operation, new, old, subresource = ALLOWED[named]
    await World().validate(operation, new, old, user=node_user(), subresource=subresource)


@pytest.mark.parametrize("named", REFUSED)
async def test_a_node_writes_nothing_else(named):
    operation, new, old, subresource = REFUSED[named]
    with pytest.raises(Forbidden, match='node "n1"'):
        await World().validate(operation, new, old, user=node_user(), subresource=subresource)


async def test_a_tenants_namesake_is_no_node_and_not_restricted():
    other = user("system:node:n1", "acme", "system:nodes")
    await World().validate("update", pod("n2"), pod("n2"), user=other, subresource="status")
