"""A pod runs as a service account of its namespace: `default` unless it names another.

No token is mounted into pods. The account `default` need not exist for a pod to run, so that a
pod need not wait for the controller that makes it.
Source: Kubernetes, plugin/pkg/admission/serviceaccount.
"""

from __future__ import annotations

from ursa.api.admission.plugin import CREATE, Plugin, Review, forbidden
from ursa.api.objects import Objects, served

DEFAULT = "default"


class DefaultServiceAccount(Plugin):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._accounts = served("", "serviceaccounts")

    def mutate(self, review: Review) -> None:
        if review.operation != CREATE or not review.writes("", "pods"):
            return
        spec = review.spec()
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        tenant, namespace = review.attributes.tenant, review.attributes.namespace
        account = self._objects.get(self._accounts, tenant, namespace, name)
        if account is None:
            if name == DEFAULT:
                return
            raise forbidden(
                review,
                f"error looking up service account {namespace}/{name}:"
                f' serviceaccount "{name}" not found',
            )
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(pull) for pull in account["imagePullSecrets"]]
