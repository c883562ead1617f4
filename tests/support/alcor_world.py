"""Small worlds for tests of the network controller, and a node that believes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

from ursa.alcor.controller.allocate import derive_mac
from ursa.alcor.controller.world import NetworkKey, NetworkRow, PortKey, PortRow, World
from ursa.proto.alcor_pb2 import ControllerMessage, Revision

DEADLINE_S = 15.0
NODES = ("n1", "n2", "n3")


def network_key(vni: int, number: int) -> NetworkKey:
    return NetworkKey(vni, IPv4Network(f"10.{number}.0.0/24"))


def network(vni: int, number: int) -> NetworkRow:
    key = network_key(vni, number)
    gateway = key.cidr[1]
    return NetworkRow(key, gateway, derive_mac(vni, gateway))


def port(vni: int, number: int, host: int, node: str, uid: str = "") -> PortRow:
    """A port in network (vni, number) with the host-th address."""
    key = network_key(vni, number)
    ip = key.cidr[host]
    return PortRow(
        uid=uid or f"port-{vni}-{ip}",
        tenant=f"t{vni}",
        namespace="default",
        name=f"p{host}",
        device=f"pod-{vni}-{ip}",
        nic="eth0",
        node=node,
        key=PortKey(vni, ip),
        network=key,
        gateway=key.cidr[1],
        mac=derive_mac(vni, ip),
        mtu_bytes=1500,
    )


def address(node: str) -> str:
    return str(IPv4Address("100.64.0.0") + 1 + NODES.index(node))


class Replica:
    """What a node holds after the messages it took: the goal-state protocol and nothing more."""

    def __init__(self) -> None:
        self.revision = Revision()
        self.networks: dict[Any, Any] = {}
        self.ports: dict[Any, Any] = {}
        self.peers: set[str] = set()

    def take(self, message: ControllerMessage) -> bool:
        """Apply a message; False if it does not fit what is held."""
        if message.HasField("base"):
            if message.base != self.revision:
                return False
        else:
            self.networks, self.ports, self.peers = {}, {}, set()
        for columns, table in (
            (message.removed_networks, self.networks),
            (message.networks, self.networks),
        ):
            for i, vni in enumerate(columns.vni):
                row = [c[i] if i < len(c) else None for c in (columns.gateway, columns.bouncers)]
                if columns is message.networks:
                    table[vni, columns.cidr[i]] = tuple(row)
                else:
                    table.pop((vni, columns.cidr[i]), None)
        for i, vni in enumerate(message.removed_ports.vni):
            self.ports.pop((vni, ip_address(message.removed_ports.ip[i])), None)
        for i, vni in enumerate(message.ports.vni):
            key = vni, ip_address(message.ports.ip[i])
            self.ports[key] = message.ports.host[i], message.ports.device[i]
        if message.peers_changed:
            self.peers = set(message.peers)
        self.revision.CopyFrom(message.revision)
        return True


def wanted(world: World, node: str) -> tuple[dict[Any, Any], dict[Any, Any], set[str]]:
    """What a node must hold, by looking at every row of every table: the slow, plain truth."""

    def is_bouncer(key: NetworkKey) -> bool:
        return node in world.bouncers(key)

    ports = {
        tuple(row.key): (world.nodes.get(row.node, ""), row.device if row.node == node else "")
        for row in world.ports.values()
        if row.node == node or is_bouncer(row.network)
    }
    vnis = {row.key.vni for row in world.ports.values() if row.node == node}
    vnis |= {key.vni for key in world.networks if is_bouncer(key)}
    networks = {
        (key.vni, str(key.cidr)): (str(row.gateway), hosts_of(world, key))
        for key, row in world.networks.items()
        if key.vni in vnis
    }
    return networks, ports, set(world.nodes.values())


def hosts_of(world: World, key: NetworkKey) -> str:
    return ",".join(sorted(world.nodes[n] for n in world.bouncers(key) if n in world.nodes))


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait until another process, or task, has made `condition` true."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            outcome = condition()
            if outcome is True or (isawaitable(outcome) and await outcome):
                return
            await asyncio.sleep(0.01)
