"""Translate Alcor's goal states into Mizar's node states; pure.

Columns become rows, text addresses bytes. What a peer sent is checked here: ValueError says
which column is at fault, and the message is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address

from ursa.proto import alcor_pb2, mizar_pb2
from ursa.proto.alcor_pb2 import ControllerMessage, Networks, Ports
from ursa.proto.mizar_pb2 import Delta, Endpoint, Network, NodeState


@dataclass(frozen=True, slots=True)
class LocalPort:
    """A port of this node, as its CNI server needs it."""

    tenant: str
    namespace: str
    name: str
    device: str
    """Uid of the pod."""
    nic: str
    vni: int
    ip: IPv4Address
    prefix_length: int
    gateway: IPv4Address
    mac: bytes
    mtu_bytes: int


def node_state(message: ControllerMessage, host: str) -> NodeState:
    """Return the node state that a snapshot means for the node at underlay address `host`."""
    return NodeState(
        revision=_revision(message.revision),
        host=ip_address(host).packed,
        networks=_networks(message.networks),
        endpoints=_endpoints(message.ports),
        peers=_peers(message),
    )


def delta(message: ControllerMessage) -> Delta:
    """Return what a delta adds and removes."""
    return Delta(
        base=_revision(message.base),
        revision=_revision(message.revision),
        put_endpoints=_endpoints(message.ports),
        remove_endpoints=_endpoint_keys(message.removed_ports),
        put_networks=_networks(message.networks),
        remove_networks=_network_keys(message.removed_networks),
        peers_changed=message.peers_changed,
        peers=_peers(message),
    )


def local_ports(ports: Ports) -> Iterator[LocalPort]:
    """Yield the rows that are ports of this node: those with a device."""
    for i, device in enumerate(ports.device):
        if device and ports.host[i]:
            yield LocalPort(
                tenant=ports.tenant[i],
                namespace=ports.namespace[i],
                name=ports.name[i],
                device=device,
                nic=ports.nic[i],
                vni=ports.vni[i],
                ip=IPv4Address(ports.ip[i]),
                prefix_length=ports.prefix_length[i],
                gateway=IPv4Address(ports.gateway[i]),
                mac=ports.mac[i],
                mtu_bytes=ports.mtu_bytes[i],
            )


def check(message: ControllerMessage) -> None:
    """ValueError if the columns of one table differ in length."""
    _same_length("networks", message.networks)
    _same_length("ports", message.ports)


def _same_length(name: str, table: Networks | Ports) -> None:
    lengths = {field.name: len(getattr(table, field.name)) for field in table.DESCRIPTOR.fields}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of {name} differ in length: {lengths}")


def _revision(revision: alcor_pb2.Revision) -> mizar_pb2.Revision:
    return mizar_pb2.Revision(epoch=revision.epoch, counter=revision.counter)


def _peers(message: ControllerMessage) -> list[bytes]:
    return [ip_address(peer).packed for peer in message.peers]


def _networks(columns: Networks) -> Iterator[Network]:
    rows = zip(
        columns.vni,
        columns.cidr,
        columns.gateway,
        columns.gateway_mac,
        columns.bouncers,
        strict=True,
    )
    for vni, cidr, gateway, gateway_mac, bouncers in rows:
        prefix = IPv4Network(cidr)
        yield Network(
            vni=vni,
            prefix=prefix.network_address.packed,
            prefix_length=prefix.prefixlen,
            gateway=ip_address(gateway).packed,
            gateway_mac=bytes.fromhex(gateway_mac.replace(":", "")),
            bouncers=[ip_address(host).packed for host in bouncers.split(",") if host],
        )


def _network_keys(columns: Networks) -> Iterator[Network]:
    for vni, cidr in zip(columns.vni, columns.cidr, strict=True):
        prefix = IPv4Network(cidr)
        packed = prefix.network_address.packed
        yield Network(vni=vni, prefix=packed, prefix_length=prefix.prefixlen)


def _endpoints(columns: Ports) -> Iterator[Endpoint]:
    """Yield the rows whose node's address is known; a port elsewhere cannot be reached before."""
    for vni, ip, mac, host in zip(columns.vni, columns.ip, columns.mac, columns.host, strict=True):
        if host:
            yield Endpoint(vni=vni, ip=ip, mac=mac, host=ip_address(host).packed)


def _endpoint_keys(columns: Ports) -> Iterator[Endpoint]:
    for vni, ip in zip(columns.vni, columns.ip, strict=True):
        yield Endpoint(vni=vni, ip=ip)
