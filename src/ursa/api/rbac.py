"""Role-based access control inside one tenant: which rules a user has, and what they allow.

A user's rules come from its own tenant alone: the ClusterRoleBindings there and, where the
request acts in that same tenant, the RoleBindings of the request's namespace. A user of
`system` who acts in another tenant has what system's ClusterRoleBindings give, never what a
RoleBinding of a namesake namespace gives.
Source: Kubernetes, plugin/pkg/auth/authorizer/rbac and component-helpers/auth/rbac/validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ursa.api.objects import Document, Objects, served
from ursa.api.request import SYSTEM_TENANT, Attributes, User
from ursa.kinds.rbac import GROUP

Rule = Mapping[str, Any]  # a PolicyRule document

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

_EVERYTHING: tuple[Rule, ...] = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)
# Kubernetes' system:public-info-viewer: probes and clients that look for a server.
_EVERYONE: tuple[Rule, ...] = (
    {
        "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"],
        "verbs": ["get"],
    },
)
# Kubernetes' system:discovery and system:basic-user.
_ANYONE_KNOWN: tuple[Rule, ...] = (
    {
        "nonResourceURLs": [
            *("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"),
            *("/livez/*", "/readyz/*", "/healthz/*"),
        ],
        "verbs": ["get"],
    },
    {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        "verbs": ["create"],
    },
    {
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
        "verbs": ["create"],
    },
)


RULES_MAX = 4096  # sets of rules remembered: one for each user and place that asks


class Rbac:
    """Rules are collected once for a user and place, until any role or binding changes."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._roles = served(GROUP, "roles")
        self._role_bindings = served(GROUP, "rolebindings")
        self._cluster_roles = served(GROUP, "clusterroles")
        self._cluster_role_bindings = served(GROUP, "clusterrolebindings")
        self._remembered: dict[tuple[str, tuple[str, ...], str, str, str], list[Rule]] = {}
        self._changes = -1  # of roles and bindings, when they were remembered

    def allows(self, attributes: Attributes) -> bool:
        user = attributes.user
        if user.tenant == SYSTEM_TENANT and MASTERS in user.groups:
            return True  # as its rules say, without walking them
        rules = self.rules(user, attributes.tenant, attributes.namespace)
        return any(allows(rule, attributes) for rule in rules)

    def rules(self, user: User, tenant: str, namespace: str = "") -> list[Rule]:
        """Return every rule that `user` has where it acts, with repeats."""
        resources = (
            self._roles,
            self._role_bindings,
            self._cluster_roles,
            self._cluster_role_bindings,
        )
        changes = sum(map(self._objects.changes, resources))
        if changes != self._changes or len(self._remembered) >= RULES_MAX:
            self._remembered.clear()
            self._changes = changes
        key = user.name, user.groups, user.tenant, tenant, namespace
        rules = self._remembered.get(key)
        if rules is None:
            rules = self._remembered[key] = list(self._rules(user, tenant, namespace))
        return rules

    def _rules(self, user: User, tenant: str, namespace: str) -> Iterator[Rule]:
        if user.tenant == SYSTEM_TENANT and MASTERS in user.groups:
            yield from _EVERYTHING
        yield from _EVERYONE
        if AUTHENTICATED in user.groups:
            yield from _ANYONE_KNOWN
        bindings = self._objects.list(self._cluster_role_bindings, user.tenant)
        yield from self._bound(bindings, user, user.tenant, "")
        if namespace and tenant == user.tenant:
            bindings = self._objects.list(self._role_bindings, tenant, namespace)
            yield from self._bound(bindings, user, tenant, namespace)

    def role_rules(
        self, reference: Mapping[str, Any], tenant: str, namespace: str
    ) -> list[Rule] | None:
        """Return the rules of the role that a binding there refers to; None: there is no such."""
        name = reference.get("name", "")
        if reference.get("kind") == "Role":
            role = self._objects.get(self._roles, tenant, namespace, name)
        else:
            role = self._objects.get(self._cluster_roles, tenant, "", name)
        return None if role is None else role.get("rules") or []

    def _bound(
        self, bindings: Iterable[Document], user: User, tenant: str, namespace: str
    ) -> Iterator[Rule]:
        for binding in bindings:
            if is_bound(binding, user):
                yield from self.role_rules(binding.get("roleRef", {}), tenant, namespace) or ()


def is_bound(binding: Document, user: User) -> bool:
    """Return whether a binding of the user's own tenant names the user."""
    namespace = binding["metadata"].get("namespace", "")
    return any(_names(subject, namespace, user) for subject in binding.get("subjects") or ())


def _names(subject: Mapping[str, Any], namespace: str, user: User) -> bool:
    if subject.get("tenant", "") not in ("", user.tenant):
        return False
    name = subject.get("name", "")
    match subject.get("kind"):
        case "User":
            return name == user.name
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            where = subject.get("namespace") or namespace
            return user.name == f"{SERVICE_ACCOUNT_PREFIX}{where}:{name}"
    return False


def allows(rule: Rule, attributes: Attributes) -> bool:
    """Return whether one rule allows the request."""
    if not _holds(rule.get("verbs"), attributes.verb):
        return False
    if not attributes.resource:
        return any(_path_matches(p, attributes.path) for p in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _holds(rule.get("apiGroups"), attributes.group)
        and _resource_matches(
            rule.get("resources") or (), attributes.resource, attributes.subresource
        )
        and (not names or attributes.name in names)
    )


def covers(owned: Iterable[Rule], wanted: Rule) -> list[Rule]:
    """Return the parts of `wanted`, each of one verb on one thing, that no owned rule holds."""
    held = list(owned)
    return [part for part in _parts(wanted) if not any(_part_of(part, rule) for rule in held)]


def _parts(rule: Rule) -> Iterator[Rule]:
    names = rule.get("resourceNames") or [None]
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield {"nonResourceURLs": [path], "verbs": [verb]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in names:
                    part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                    yield part if name is None else part | {"resourceNames": [name]}


def _part_of(part: Rule, rule: Rule) -> bool:
    """Return whether one owned rule holds a part; only `*` holds `*`."""
    if not _holds(rule.get("verbs"), part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        (path,) = part["nonResourceURLs"]
        return any(_path_matches(p, path) for p in rule.get("nonResourceURLs") or ())
    resource, _, subresource = part["resources"][0].partition("/")
    names = rule.get("resourceNames")
    return (
        _holds(rule.get("apiGroups"), part["apiGroups"][0])
        and _resource_matches(rule.get("resources") or (), resource, subresource)
        and (not names or part.get("resourceNames", [None])[0] in names)
    )


def _holds(values: list[str] | None, value: str) -> bool:
    return values is not None and ("*" in values or value in values)


def _resource_matches(patterns: Iterable[str], resource: str, subresource: str) -> bool:
    full = f"{resource}/{subresource}" if subresource else resource
    anywhere = f"*/{subresource}" if subresource else None
    return any(pattern in ("*", full) or pattern == anywhere for pattern in patterns)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))
