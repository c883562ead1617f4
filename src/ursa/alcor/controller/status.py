"""The statuses that the controller writes; pure. One condition, Ready, says why in words."""

from __future__ import annotations

from ipaddress import IPv4Address

from ursa.alcor.controller.ledger import Refusal
from ursa.alcor.controller.world import PortRow
from ursa.kinds.part import Condition
from ursa.kinds.port import ACTIVE, FAILED, PENDING, Port, PortStatus
from ursa.kinds.subnet import Subnet, SubnetStatus
from ursa.kinds.vpc import Vpc, VpcStatus

READY = "Ready"


def vpc_status(vpc: Vpc, vni: int | Refusal, now: str) -> VpcStatus:
    refusal = vni if isinstance(vni, Refusal) else None
    return VpcStatus(
        phase=PENDING if refusal else READY,
        vni=vpc.status.vni if isinstance(vni, Refusal) else vni,
        observed_generation=vpc.metadata.generation,
        conditions=_conditions(vpc, refusal, now),
    )


def subnet_status(
    subnet: Subnet, gateway: tuple[IPv4Address, bytes] | Refusal, allocated: int, now: str
) -> SubnetStatus:
    if isinstance(gateway, Refusal):
        return SubnetStatus(
            phase=PENDING,
            observed_generation=subnet.metadata.generation,
            conditions=_conditions(subnet, gateway, now),
        )
    return SubnetStatus(
        phase=READY,
        gateway=str(gateway[0]),
        gateway_mac=gateway[1].hex(":"),
        allocated=allocated,
        observed_generation=subnet.metadata.generation,
        conditions=_conditions(subnet, None, now),
    )


def refused_port(port: Port, refusal: Refusal, now: str) -> PortStatus:
    return PortStatus(
        phase=FAILED if refusal.is_final else PENDING,
        observed_generation=port.metadata.generation,
        conditions=_conditions(port, refusal, now),
    )


def placed_port(port: Port, row: PortRow, host: str, *, is_held: bool, now: str) -> PortStatus:
    waiting = Refusal("NotAcknowledged", f"node {row.node} does not forward for the port yet")
    return PortStatus(
        phase=ACTIVE if is_held else PENDING,
        vni=row.key.vni,
        ip=str(row.key.ip),
        prefix_length=row.network.cidr.prefixlen,
        gateway=str(row.gateway),
        mac=row.mac.hex(":"),
        mtu_bytes=row.mtu_bytes,
        host_ip=host,
        observed_generation=port.metadata.generation,
        conditions=_conditions(port, None if is_held else waiting, now),
    )


def _conditions(obj: Vpc | Subnet | Port, refusal: Refusal | None, now: str) -> tuple[Condition]:
    """Return condition Ready; its transition time moves only when its status does."""
    state = "False" if refusal else "True"
    held = next((c for c in obj.status.conditions if c.type == READY), None)
    since = held.last_transition_time if held is not None and held.status == state else now
    return (
        Condition(
            type=READY,
            status=state,
            reason=refusal.reason if refusal else "Forwarding",
            message=refusal.message if refusal else "",
            observed_generation=obj.metadata.generation,
            last_transition_time=since,
        ),
    )
