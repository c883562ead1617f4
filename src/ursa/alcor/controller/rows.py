"""Rows of the world's tables from objects; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, ip_address

from ursa.alcor.controller.allocate import derive_mac
from ursa.alcor.controller.world import NetworkKey, NetworkRow, PortKey, PortRow
from ursa.kinds.node import Node
from ursa.kinds.port import Port


def row_of(port: Port) -> PortRow | None:
    """Return the row that a port's status stands for; None if it has no allocation."""
    held = port.status
    if not (held.vni and held.ip and held.prefix_length and held.gateway and held.mac):
        return None
    try:
        address = IPv4Interface(f"{held.ip}/{held.prefix_length}")
        gateway, mac = IPv4Address(held.gateway), bytes.fromhex(held.mac.replace(":", ""))
    except ValueError:
        return None
    if gateway not in address.network or len(mac) != 6:
        return None
    network = NetworkKey(held.vni, address.network)
    return port_row(port, network, gateway, address.ip, mac, held.mtu_bytes)


def port_row(
    port: Port,
    network: NetworkKey,
    gateway: IPv4Address,
    ip: IPv4Address,
    mac: bytes,
    mtu_bytes: int,
) -> PortRow:
    return PortRow(
        uid=port.metadata.uid,
        tenant=port.metadata.tenant,
        namespace=port.metadata.namespace,
        name=port.metadata.name,
        device=port.spec.device.uid,
        nic=port.spec.nic,
        node=port.spec.node_name,
        key=PortKey(network.vni, ip),
        network=network,
        gateway=gateway,
        mac=mac,
        mtu_bytes=mtu_bytes,
    )


def address_of(node: Node) -> str:
    """Return the node's underlay address; "" if it has told none, or nonsense."""
    try:
        return str(ip_address(node.status.internal_ip))
    except ValueError:
        return ""


def network_row(network: NetworkKey, gateway: IPv4Address) -> NetworkRow:
    return NetworkRow(network, gateway, derive_mac(network.vni, gateway))
