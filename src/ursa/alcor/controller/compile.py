"""Compile rows into the columns of one goal-state message; pure.

A delta says each touched row's present state, put or removed; a snapshot puts every row. So a
delta made late, or twice, ends where the tables are.
"""

from __future__ import annotations

from ursa.alcor.controller.world import NetworkKey, NetworkRow, PortKey, PortRow, Touched, World
from ursa.proto.alcor_pb2 import ControllerMessage, Networks, Ports


def compile_message(world: World, node: str, touched: Touched) -> ControllerMessage:
    """Return the rows of `touched` as `node` wants them now; revision and base are left unset."""
    message = ControllerMessage()
    for key in sorted(touched.networks):
        network = world.wants_network(node, key)
        if network is None:
            _remove_network(message.removed_networks, key)
        else:
            _put_network(message.networks, world, network)
    for port_key in sorted(touched.ports):
        port = world.wants_port(node, port_key)
        if port is None:
            _remove_port(message.removed_ports, port_key)
        else:
            _put_port(message.ports, world, node, port)
    if touched.peers:
        message.peers_changed = True
        message.peers.extend(sorted(world.nodes.values()))
    return message


def _put_network(columns: Networks, world: World, row: NetworkRow) -> None:
    hosts = (world.nodes.get(node, "") for node in world.bouncers(row.key))
    columns.vni.append(row.key.vni)
    columns.cidr.append(str(row.key.cidr))
    columns.gateway.append(str(row.gateway))
    columns.gateway_mac.append(row.gateway_mac.hex(":"))
    columns.bouncers.append(",".join(sorted(filter(None, hosts))))


def _remove_network(columns: Networks, key: NetworkKey) -> None:
    columns.vni.append(key.vni)
    columns.cidr.append(str(key.cidr))


def _put_port(columns: Ports, world: World, node: str, row: PortRow) -> None:
    is_local = row.node == node
    columns.vni.append(row.key.vni)
    columns.ip.append(row.key.ip.packed)
    columns.mac.append(row.mac)
    columns.host.append(world.nodes.get(row.node, ""))
    columns.tenant.append(row.tenant if is_local else "")
    columns.namespace.append(row.namespace if is_local else "")
    columns.name.append(row.name if is_local else "")
    columns.device.append(row.device if is_local else "")
    columns.nic.append(row.nic if is_local else "")
    columns.prefix_length.append(row.network.cidr.prefixlen if is_local else 0)
    columns.gateway.append(str(row.gateway) if is_local else "")
    columns.mtu_bytes.append(row.mtu_bytes if is_local else 0)


def _remove_port(columns: Ports, key: PortKey) -> None:
    columns.vni.append(key.vni)
    columns.ip.append(key.ip.packed)
