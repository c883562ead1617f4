"""Subnet: a part of a VPC's prefix, from which ports get their addresses."""

from __future__ import annotations

from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind
from ursa.kinds.vpc import GROUP


class SubnetSpec(Part):
    vpc: str = ""
    """Name of a Vpc of the same tenant; immutable."""
    cidr: str = ""
    """IPv4 prefix inside the VPC's, overlapping no other subnet of it; immutable."""
    gateway: str = ""
    """An address of `cidr`; empty: its first. Immutable."""


class SubnetStatus(Part):
    phase: str = ""
    """Pending or Ready."""
    gateway: str = ""
    gateway_mac: str = ""
    allocated: int = 0
    """Addresses in use."""
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


@kind(f"{GROUP}/v1", plural="subnets", scope=Scope.TENANT)
class Subnet(Part):
    metadata: ObjectMeta
    spec: SubnetSpec = SubnetSpec()
    status: SubnetStatus = SubnetStatus()
