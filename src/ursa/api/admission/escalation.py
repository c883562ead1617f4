"""Nobody grants rights that it does not have.

Whoever writes a role must hold every rule in it, or `escalate` on it; whoever writes a binding
must hold every rule of the bound role, or `bind` on it. Subjects are of the binding's tenant.
Source: Kubernetes, pkg/registry/rbac (policybased) and its messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ursa.api.admission.plugin import Plugin, Review, forbidden
from ursa.api.authorization import Authorizer
from ursa.api.rbac import Rule, covers
from ursa.base.errors import FieldError, Invalid, not_found
from ursa.kinds.rbac import GROUP

ROLES = ("roles", "clusterroles")
BINDINGS = ("rolebindings", "clusterrolebindings")


class Escalation(Plugin):
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def validate(self, review: Review) -> None:
        group, plural = review.kind
        if group != GROUP or not review.writes(group, plural):
            return
        if plural in ROLES and not _unchanged(review, "rules"):
            self._check_role(review)
        elif plural in BINDINGS:
            _check_subjects(review)
            if not (_unchanged(review, "roleRef") and _unchanged(review, "subjects")):
                self._check_binding(review)

    def _check_role(self, review: Review) -> None:
        asked = replace(review.attributes, verb="escalate", name=review.name)
        if not self._authorizer.allows(asked):
            self._check_held(review, review.document.get("rules") or ())

    def _check_binding(self, review: Review) -> None:
        attributes, reference = review.attributes, review.document.get("roleRef") or {}
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        name = reference.get("name", "")
        if self._authorizer.allows(replace(attributes, verb="bind", resource=plural, name=name)):
            return
        rules = self._authorizer.rbac.role_rules(reference, attributes.tenant, attributes.namespace)
        if rules is None:
            raise not_found(plural, name, GROUP)
        self._check_held(review, rules)

    def _check_held(self, review: Review, wanted: Sequence[Rule]) -> None:
        attributes = review.attributes
        user = attributes.user
        held = list(self._authorizer.rules(user, attributes.tenant, attributes.namespace))
        missing = [part for rule in wanted for part in covers(held, rule)]
        if missing:
            groups = " ".join(f'"{group}"' for group in user.groups)
            raise forbidden(
                review,
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions'
                " not currently held:\n" + "\n".join(_shown(rule) for rule in missing),
            )


def _unchanged(review: Review, field: str) -> bool:
    return review.old is not None and review.old.get(field) == review.document.get(field)


def _check_subjects(review: Review) -> None:
    faults = [
        FieldError(
            f"subjects[{number}].tenant",
            f'Invalid value: "{subject["tenant"]}": must be the tenant of the binding',
        )
        for number, subject in enumerate(review.document.get("subjects") or ())
        if subject.get("tenant", "") not in ("", review.attributes.tenant)
    ]
    if faults:
        raise Invalid(review.resource.group_kind, review.name, faults)


def _shown(rule: Rule) -> str:
    """Return a rule in the words of Kubernetes' message."""
    fields: list[tuple[str, str]] = [
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    ]
    parts = [f"{title}:{_quoted(rule[key])}" for title, key in fields if rule.get(key)]
    return "{" + ", ".join(parts) + "}"


def _quoted(values: Sequence[Any]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
