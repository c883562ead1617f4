"""Nothing is made in a tenant or namespace that is not there or is going; some never go.

Source: Kubernetes, plugin/pkg/admission/namespace/lifecycle; Arktos' TenantExists.
"""

from __future__ import annotations

from ursa.api.admission.plugin import CREATE, DELETE, Plugin, Review, forbidden
from ursa.api.objects import Document, Objects, served
from ursa.api.request import SYSTEM_TENANT
from ursa.base.errors import not_found
from ursa.kinds.part import Scope

TERMINATING = "Terminating"
IMMORTAL_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})
# Reviews are answered, not stored, so they need no place to be.
UNSTORED_GROUPS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})


class Lifecycle(Plugin):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._tenants = served("", "tenants")
        self._namespaces = served("", "namespaces")

    def mutate(self, review: Review) -> None:
        resource = review.resource
        if review.operation != CREATE or resource.group in UNSTORED_GROUPS:
            return
        if resource.scope is not Scope.CLUSTER:
            self._check_tenant(review)
        if resource.scope is Scope.NAMESPACE:
            self._check_namespace(review)

    def validate(self, review: Review) -> None:
        if review.operation != DELETE:
            return
        if review.kind == ("", "tenants") and review.name == SYSTEM_TENANT:
            raise forbidden(review, "this tenant may not be deleted")
        if review.kind == ("", "namespaces") and review.name in IMMORTAL_NAMESPACES:
            tenant = self._tenant(review.attributes.tenant)
            if not _is_going(tenant):
                raise forbidden(review, "this namespace may not be deleted")

    def _check_tenant(self, review: Review) -> None:
        name = review.attributes.tenant
        tenant = self._tenant(name)
        if tenant is None and name != SYSTEM_TENANT:
            raise not_found("tenants", name)
        if _is_going(tenant):
            raise forbidden(
                review,
                f"unable to create new content in tenant {name} because it is being terminated",
            )

    def _check_namespace(self, review: Review) -> None:
        tenant, name = review.attributes.tenant, review.attributes.namespace
        namespace = self._objects.get(self._namespaces, tenant, "", name)
        if namespace is None:
            raise not_found("namespaces", name)
        if _is_going(namespace):
            why = f"unable to create new content in namespace {name} because it is being terminated"
            refusal = forbidden(review, why)
            message = f"namespace {name} is being terminated"
            refusal.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": message,
                    "field": "metadata.namespace",
                }
            ]
            raise refusal

    def _tenant(self, name: str) -> Document | None:
        return self._objects.get(self._tenants, "", "", name)


def _is_going(place: Document | None) -> bool:
    if place is None:
        return False
    phase = (place.get("status") or {}).get("phase")
    return bool(place["metadata"].get("deletionTimestamp")) or phase == TERMINATING
