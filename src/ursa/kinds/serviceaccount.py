"""ServiceAccount: an identity for pods. Source: Kubernetes, api/core/v1/types.go."""

from __future__ import annotations

from ursa.kinds.part import ObjectMeta, ObjectReference, Part, Scope, kind
from ursa.kinds.pod import LocalObjectReference


@kind("v1", plural="serviceaccounts", scope=Scope.NAMESPACE)
class ServiceAccount(Part):
    metadata: ObjectMeta
    secrets: tuple[ObjectReference, ...] = ()
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    automount_service_account_token: bool | None = None
