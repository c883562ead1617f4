"""May this user do this? Denied unless a rule allows it.

    tenant wall ──▶ node rights ──▶ RBAC of the user's own tenant

The wall comes first and knows no exception: a user of any tenant but `system` acts in its
own tenant alone, and on nothing that belongs to the cluster.
Source: Kubernetes' authorizer chain and its messages; reference of Arktos' tenant rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from ursa.api.noderights import NodeRights, node_of
from ursa.api.objects import Objects
from ursa.api.rbac import Rbac, Rule
from ursa.api.request import ALL_TENANTS, SYSTEM_TENANT, Attributes, User
from ursa.base.errors import Forbidden


class Authorizer:
    def __init__(self, objects: Objects) -> None:
        self._rbac = Rbac(objects)
        self._node_rights = NodeRights(objects)

    def authorize(self, attributes: Attributes) -> None:
        """Raise Forbidden, in Kubernetes' words, unless the request is allowed."""
        if not self.allows(attributes):
            raise refusal(attributes)

    def allows(self, attributes: Attributes) -> bool:
        if crosses_tenants(attributes):
            return False
        node = node_of(attributes.user)
        if node is not None and not self._node_rights.allows(node, attributes):
            return False
        return self._rbac.allows(attributes)

    def rules(self, user: User, tenant: str, namespace: str) -> Sequence[Rule]:
        """Return what the user may do there; nothing in a tenant that is closed to it."""
        if user.tenant not in (SYSTEM_TENANT, tenant):
            return ()
        return self._rbac.rules(user, tenant, namespace)

    @property
    def rbac(self) -> Rbac:
        return self._rbac


def crosses_tenants(attributes: Attributes) -> bool:
    """Return whether the request leaves its user's tenant without being system's.

    A cluster-scoped resource has tenant "", which is no user's.
    """
    own, asked = attributes.user.tenant, attributes.tenant
    if own == SYSTEM_TENANT:
        return False
    if own in ("", ALL_TENANTS):
        return True
    return asked != own if attributes.resource else asked not in ("", own)


def refusal(attributes: Attributes) -> Forbidden:
    """Return the Forbidden that names user, verb, resource and place."""
    user, verb = attributes.user.name, attributes.verb
    if not attributes.resource:
        return Forbidden(f'forbidden: User "{user}" cannot {verb} path "{attributes.path}"')
    resource, group = attributes.resource, attributes.group
    qualified = f"{resource}.{group}" if group else resource
    full = f"{resource}/{attributes.subresource}" if attributes.subresource else resource
    what = f'{qualified} "{attributes.name}"' if attributes.name else qualified
    return Forbidden(
        f'{what} is forbidden: User "{user}" cannot {verb} resource "{full}"'
        f' in API group "{group}" {_place(attributes)}',
        details={"name": attributes.name, "group": group, "kind": resource},
    )


def _place(attributes: Attributes) -> str:
    if attributes.tenant == ALL_TENANTS:
        return "in all tenants"
    if attributes.namespace:
        where = f'in the namespace "{attributes.namespace}"'
        return f'{where} of the tenant "{attributes.tenant}"'
    if attributes.tenant:
        return f'in the tenant "{attributes.tenant}"'
    return "at the cluster scope"
