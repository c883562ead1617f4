"""Lease: a claim that must be renewed: a node's heartbeat, a leader's seat.

Source: Kubernetes, api/coordination/v1/types.go.
"""

from __future__ import annotations

from ursa.kinds.part import ObjectMeta, Part, Scope, kind


class LeaseSpec(Part):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    """MicroTime."""
    renew_time: str | None = None
    """MicroTime; the lease is valid until this plus the duration."""
    lease_transitions: int | None = None


@kind("coordination.k8s.io/v1", plural="leases", scope=Scope.NAMESPACE)
class Lease(Part):
    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()
