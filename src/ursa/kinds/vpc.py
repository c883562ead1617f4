"""VPC: a tenant's private layer-3 network.

`spec` is what the tenant asks for; `status` is what the network controller made true.
Two tenants' VPCs may have the same prefix: a VNI keeps them apart.
"""

from __future__ import annotations

from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind

GROUP = "network.ursa.dev"
DEFAULT_VPC = "default"
DEFAULT_MTU_BYTES = 1500
PREFIX_LENGTH_MIN, PREFIX_LENGTH_MAX = 8, 28  # a larger VPC or a smaller one serves nobody


class VpcSpec(Part):
    cidr: str = ""
    """IPv4 prefix that subnets are cut from; immutable."""
    mtu_bytes: int = DEFAULT_MTU_BYTES
    """Largest inner IP packet."""


class VpcStatus(Part):
    phase: str = ""
    """Pending or Ready."""
    vni: int | None = None
    """Geneve network id, 1..2^24-1 (RFC 8926 §3.4); None until allocated, then fixed."""
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


@kind(f"{GROUP}/v1", plural="vpcs", scope=Scope.TENANT)
class Vpc(Part):
    metadata: ObjectMeta
    spec: VpcSpec = VpcSpec()
    status: VpcStatus = VpcStatus()
