"""The roles that every tenant has, and those of tenant `system`: pure data.

Tenant `system` gets SYSTEM_ROLES from the API server at its start, every other tenant
`tenant_roles` from the tenant controller. A component has the rights that it needs and no
more. What everybody may do (discovery, self reviews) is a rule of the authorizer, not a role.
Source: Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

from typing import Any

from ursa.kinds.rbac import GROUP

SYSTEM_TENANT = "system"
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
CHANGE = ("patch", "update")
NETWORK = "network.ursa.dev"

Rule = dict[str, Any]
Document = dict[str, Any]


def rule(group: str, resources: str, *verbs: str) -> Rule:
    """Return a PolicyRule; `resources` are separated by blanks."""
    return {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}


ALL: list[Rule] = [rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
_EVENTS = [rule("", "events", "create", *CHANGE, "get")]

_WORKLOADS: dict[str, str] = {
    "": (
        "configmaps endpoints events persistentvolumeclaims pods replicationcontrollers"
        " replicationcontrollers/scale services serviceaccounts"
    ),
    "apps": (
        "daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets"
        " statefulsets/scale controllerrevisions"
    ),
    "batch": "cronjobs jobs",
    "autoscaling": "horizontalpodautoscalers",
    "policy": "poddisruptionbudgets",
    "networking.k8s.io": "ingresses networkpolicies",
}
_VIEW = [rule(group, resources, *READ) for group, resources in _WORKLOADS.items()] + [
    rule("", "namespaces pods/log pods/status resourcequotas limitranges", *READ),
    rule(NETWORK, "vpcs subnets ports", *READ),
]
_EDIT = [
    *_VIEW,
    *(rule(group, resources, *WRITE) for group, resources in _WORKLOADS.items()),
    rule("", "secrets", *READ, *WRITE),
    rule("", "pods/exec pods/attach pods/portforward pods/eviction", "create", "get"),
    rule("", "serviceaccounts/token", "create"),
]
_ADMIN = [
    *_EDIT,
    rule(GROUP, "roles rolebindings", *READ, *WRITE),
    rule(NETWORK, "vpcs subnets", *WRITE),
    rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
]
_FOR_USERS = {"admin": _ADMIN, "edit": _EDIT, "view": _VIEW}

_SCHEDULER = [
    rule("", "nodes pods namespaces", *READ),
    rule("", "pods/binding bindings", "create"),
    rule("", "pods/status", *CHANGE),
    *_EVENTS,
]
_CONTROLLERS = [
    rule("*", "*", *READ, "delete", "deletecollection", *CHANGE),  # collection and deletion
    rule("", "namespaces pods serviceaccounts configmaps secrets events", "create"),
    rule("", "endpoints", "create"),
    rule("apps", "replicasets controllerrevisions", "create"),
    rule("batch", "jobs", "create"),
    rule("discovery.k8s.io", "endpointslices", "create"),
    rule("coordination.k8s.io", "leases", "create"),
    rule(NETWORK, "vpcs subnets ports", "create"),
    rule(GROUP, "clusterroles clusterrolebindings", "create", "escalate", "bind"),
]
_NODE = [
    rule("", "nodes", "create", *READ, *CHANGE),
    rule("", "nodes/status pods/status", *CHANGE),
    rule("", "pods services", *READ),
    rule("", "pods", "delete"),
    rule("", "secrets configmaps", *READ),  # of its own pods: noderights.py
    rule("", "serviceaccounts/token", "create"),  # of its own pods: reviews.py
    rule("coordination.k8s.io", "leases", "create", *READ, *CHANGE),
    rule(NETWORK, "ports", *READ),
    *_EVENTS,
]
_ALCOR = [
    rule(NETWORK, "vpcs subnets ports", *READ, *CHANGE),
    rule(NETWORK, "vpcs/status subnets/status ports/status", *CHANGE),
    rule("", "nodes", *READ),
    rule("coordination.k8s.io", "leases", "create", "get", *CHANGE),
    *_EVENTS,
]
# role → (rules, kind of subject, its name)
_COMPONENTS: dict[str, tuple[list[Rule], str, str]] = {
    "cluster-admin": (ALL, "Group", "system:masters"),
    "system:kube-scheduler": (_SCHEDULER, "User", "system:kube-scheduler"),
    "system:kube-controller-manager": (_CONTROLLERS, "User", "system:kube-controller-manager"),
    "system:node": (_NODE, "Group", "system:nodes"),
    "system:alcor": (_ALCOR, "User", "system:alcor"),
}


def tenant_roles(tenant: str) -> list[Document]:
    """Return the ClusterRoles and bindings of a tenant: its admins rule it, and it alone."""
    subjects = [_subject("User", "admin"), _subject("Group", "admins")]
    return [
        _role(tenant, "admin-role", ALL),
        _binding(tenant, "admin-role-binding", "admin-role", subjects),
        *(_role(tenant, name, rules) for name, rules in _FOR_USERS.items()),
    ]


def system_roles() -> list[Document]:
    """Return the ClusterRoles and bindings of tenant `system`."""
    documents = [_role(SYSTEM_TENANT, name, rules) for name, rules in _FOR_USERS.items()]
    for name, (rules, kind, subject) in _COMPONENTS.items():
        documents.append(_role(SYSTEM_TENANT, name, rules))
        documents.append(_binding(SYSTEM_TENANT, name, name, [_subject(kind, subject)]))
    return documents


def _role(tenant: str, name: str, rules: list[Rule]) -> Document:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "tenant": tenant},
        "rules": rules,
    }


def _binding(tenant: str, name: str, role: str, subjects: list[Document]) -> Document:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "tenant": tenant},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }


def _subject(kind: str, name: str) -> Document:
    return {"kind": kind, "apiGroup": GROUP, "name": name}
