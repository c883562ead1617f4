"""Tenant: the container above namespaces; to its users, a cluster of their own.

Made and deleted by operators. Deletion is a namespace's: phase Terminating, until the tenant
controller has removed all content and takes FINALIZER off through /finalize.
Source: Arktos, api/core/v1/types.go (Tenant).
"""

from __future__ import annotations

from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind

FINALIZER = "ursa"
RESERVED_NAMES = frozenset({"all"})  # `tenants/all` in a URL spans every tenant
DEFAULT_SERVICE_CIDR = "10.96.0.0/16"
DEFAULT_VPC_CIDR = "10.0.0.0/16"


class TenantSpec(Part):
    display_name: str = ""
    default_vpc_cidr: str = ""
    """Prefix of the tenant's VPC `default`; empty: DEFAULT_VPC_CIDR. Immutable."""
    service_cidr: str = ""
    """Prefix of the tenant's service addresses; empty: DEFAULT_SERVICE_CIDR. Immutable."""
    storage_cluster_id: str = ""
    """Kept for Arktos' clients: an integer 0..63; immutable."""
    finalizers: tuple[str, ...] = ()
    """Changed through /finalize alone."""


class TenantStatus(Part):
    phase: str = "Active"
    """Active or Terminating."""
    conditions: tuple[Condition, ...] = ()


@kind("v1", plural="tenants", scope=Scope.CLUSTER)
class Tenant(Part):
    metadata: ObjectMeta
    spec: TenantSpec = TenantSpec()
    status: TenantStatus = TenantStatus()
