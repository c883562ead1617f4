"""Rules for roles and their bindings.

Source: Kubernetes, pkg/apis/rbac/validation/validation.go.
"""

from __future__ import annotations

from ursa.kinds import syntax
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    invalid,
    required,
    unsupported,
)
from ursa.kinds.metadata_rules import selector_faults
from ursa.kinds.rbac import GROUP

SUBJECT_KINDS = ("Group", "ServiceAccount", "User")


def role_faults(doc: Document, _old: Document | None) -> Faults:
    yield from _rules_faults(doc.get("rules", []), namespaced=True)


def cluster_role_faults(doc: Document, _old: Document | None) -> Faults:
    yield from _rules_faults(doc.get("rules", []), namespaced=False)
    if "aggregationRule" in doc:
        path = "aggregationRule.clusterRoleSelectors"
        selectors = doc["aggregationRule"].get("clusterRoleSelectors", [])
        if not selectors:
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            yield required(path, detail)
        for index, selector in enumerate(selectors):
            yield from selector_faults(f"{path}[{index}]", selector)


def role_binding_faults(doc: Document, old: Document | None) -> Faults:
    yield from _binding_faults(doc, old, ("ClusterRole", "Role"), namespaced=True)


def cluster_role_binding_faults(doc: Document, old: Document | None) -> Faults:
    yield from _binding_faults(doc, old, ("ClusterRole",), namespaced=False)


def _rules_faults(rules: list[Document], *, namespaced: bool) -> Faults:
    for index, rule in enumerate(rules):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if urls := rule.get("nonResourceURLs"):
            if namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, detail)
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, detail)
            continue
        if not rule.get("apiGroups"):
            detail = "resource rules must supply at least one api group"
            yield required(f"{path}.apiGroups", detail)
        if not rule.get("resources"):
            detail = "resource rules must supply at least one resource"
            yield required(f"{path}.resources", detail)


def _binding_faults(
    doc: Document, old: Document | None, role_kinds: tuple[str, ...], *, namespaced: bool
) -> Faults:
    role = doc["roleRef"]
    if role["apiGroup"] != GROUP:
        yield unsupported("roleRef.apiGroup", role["apiGroup"], [GROUP])
    if role.get("kind") not in role_kinds:
        yield unsupported("roleRef.kind", role.get("kind", ""), role_kinds)
    if not role.get("name"):
        yield required("roleRef.name")
    else:
        yield from each_invalid("roleRef.name", role["name"], syntax.path_segment(role["name"]))
    for index, subject in enumerate(doc.get("subjects", ())):
        yield from _subject_faults(f"subjects[{index}]", subject, namespaced=namespaced)
    if old is not None and role != old["roleRef"]:
        yield invalid("roleRef", role, "cannot change roleRef")


def _subject_faults(path: str, subject: Document, *, namespaced: bool) -> Faults:
    name, kind, group = subject.get("name"), subject.get("kind"), subject.get("apiGroup", "")
    if not name:
        yield required(f"{path}.name")
    match kind:
        case "ServiceAccount":
            if name:
                yield from each_invalid(f"{path}.name", name, syntax.dns_subdomain(name))
            if group:
                yield unsupported(f"{path}.apiGroup", group, [""])
            if not namespaced and not subject.get("namespace"):
                yield required(f"{path}.namespace")
        case "User" | "Group":
            if group != GROUP:
                yield unsupported(f"{path}.apiGroup", group, [GROUP])
        case _:
            yield unsupported(f"{path}.kind", kind or "", SUBJECT_KINDS)
