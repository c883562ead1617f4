"""What must be there before anybody can do anything: tenant `system` and its roles.

The API server brings these about at every start: what is missing is created, and roles and
bindings are set back to what this release's components need.
Source: Kubernetes, bootstrappolicy and its reconciliation.
"""

from __future__ import annotations

from ursa.api.objects import Document
from ursa.api.request import SYSTEM_TENANT
from ursa.kinds.roles import system_roles
from ursa.kinds.tenant import FINALIZER

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def documents() -> list[Document]:
    """Return the objects in the order in which they are made."""
    tenant = {
        "apiVersion": "v1",
        "kind": "Tenant",
        "metadata": {"name": SYSTEM_TENANT},
        "spec": {"finalizers": [FINALIZER]},
    }
    namespaces = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "tenant": SYSTEM_TENANT},
        }
        for name in SYSTEM_NAMESPACES
    ]
    return [tenant, *namespaces, *system_roles()]
