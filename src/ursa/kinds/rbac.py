"""Roles and their bindings: who may do what, inside one tenant.

Source: Kubernetes, api/rbac/v1/types.go; Arktos for a Subject's tenant.
"""

from __future__ import annotations

from msgspec import field

from ursa.kinds.part import LabelSelector, ObjectMeta, Part, Scope, kind

GROUP = "rbac.authorization.k8s.io"


class PolicyRule(Part):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    """"" is core, * is all."""
    resources: tuple[str, ...] = ()
    """`pods`, `pods/log`, `*`, `*/status`."""
    resource_names: tuple[str, ...] = ()
    """Empty: every name."""
    non_resource_urls: tuple[str, ...] = field(name="nonResourceURLs", default=())


class Subject(Part):
    kind: str = ""
    """User, Group or ServiceAccount."""
    api_group: str = ""
    name: str = ""
    namespace: str = ""
    tenant: str = ""
    """Empty: the binding's own."""


class RoleRef(Part):
    api_group: str = GROUP
    kind: str = ""
    """Role or ClusterRole."""
    name: str = ""


class AggregationRule(Part):
    cluster_role_selectors: tuple[LabelSelector, ...] = ()


@kind(f"{GROUP}/v1", plural="roles", scope=Scope.NAMESPACE)
class Role(Part):
    metadata: ObjectMeta
    rules: tuple[PolicyRule, ...] = ()


@kind(f"{GROUP}/v1", plural="rolebindings", scope=Scope.NAMESPACE)
class RoleBinding(Part):
    metadata: ObjectMeta
    role_ref: RoleRef = RoleRef()
    """Immutable."""
    subjects: tuple[Subject, ...] = ()


@kind(f"{GROUP}/v1", plural="clusterroles", scope=Scope.TENANT)
class ClusterRole(Part):
    metadata: ObjectMeta
    rules: tuple[PolicyRule, ...] = ()
    aggregation_rule: AggregationRule | None = None


@kind(f"{GROUP}/v1", plural="clusterrolebindings", scope=Scope.TENANT)
class ClusterRoleBinding(Part):
    metadata: ObjectMeta
    role_ref: RoleRef = RoleRef()
    """Immutable."""
    subjects: tuple[Subject, ...] = ()
