"""Namespace: a room of a tenant. Source: Kubernetes, api/core/v1/types.go (Namespace)."""

from __future__ import annotations

from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind

FINALIZER = "kubernetes"


class NamespaceSpec(Part):
    finalizers: tuple[str, ...] = ()
    """Changed through /finalize alone; the object goes when it is deleted and this is empty."""


class NamespaceStatus(Part):
    phase: str = "Active"
    """Active or Terminating."""
    conditions: tuple[Condition, ...] = ()


@kind("v1", plural="namespaces", scope=Scope.TENANT)
class Namespace(Part):
    metadata: ObjectMeta
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()
