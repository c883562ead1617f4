"""Port: one network interface of a pod, with its place in a subnet and on a node.

Made by the pod network controller; `status` is the network controller's, and says Active
only once the port's node has acknowledged the goal state that holds it.
"""

from __future__ import annotations

from msgspec import field

from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind
from ursa.kinds.vpc import DEFAULT_MTU_BYTES, GROUP

PENDING, ACTIVE, FAILED = "Pending", "Active", "Failed"


class PortDevice(Part):
    """What the port is plugged into."""

    kind: str = "Pod"
    name: str = ""
    uid: str = ""


class PortSpec(Part):
    """All of it is immutable."""

    vpc: str = ""
    """Empty: the tenant's `default`."""
    subnet: str = ""
    """Empty: the VPC's first, by name."""
    node_name: str = ""
    device: PortDevice = PortDevice()
    nic: str = "eth0"
    """Interface name in the device."""
    ip: str = ""
    """Asked-for address; empty: any."""
    mac: str = ""
    """Asked-for address; empty: any."""


class PortStatus(Part):
    phase: str = ""
    """Pending, Active or Failed."""
    vni: int | None = None
    ip: str = ""
    prefix_length: int = 0
    gateway: str = ""
    mac: str = ""
    mtu_bytes: int = DEFAULT_MTU_BYTES
    host_ip: str = field(name="hostIP", default="")
    """Underlay address of the port's node."""
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


@kind(f"{GROUP}/v1", plural="ports", scope=Scope.NAMESPACE)
class Port(Part):
    metadata: ObjectMeta
    spec: PortSpec = PortSpec()
    status: PortStatus = PortStatus()
