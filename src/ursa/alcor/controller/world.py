"""All networks, ports and nodes, and which node must know which row: tables, no I/O.

A node's goal state is what it wants of the tables: its own ports, every port of a subnet
whose bouncer it is, the subnets of all VPCs that it has a port or a role in, and every node's
address. A change of a table marks the rows it touches at the nodes that want them, or did;
`take_touched` hands the marks over. So a port costs its node and its bouncers one row each,
however large the VPC is.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

BOUNCERS_MAX = 2  # per subnet: one may die, and two share the load


class NetworkKey(NamedTuple):
    vni: int
    cidr: IPv4Network


class PortKey(NamedTuple):
    vni: int
    ip: IPv4Address


@dataclass(frozen=True, slots=True)
class NetworkRow:
    key: NetworkKey
    gateway: IPv4Address
    gateway_mac: bytes


@dataclass(frozen=True, slots=True)
class PortRow:
    uid: str
    """Of the Port object."""
    tenant: str
    namespace: str
    name: str
    device: str
    """Uid of the pod."""
    nic: str
    node: str
    key: PortKey
    network: NetworkKey
    gateway: IPv4Address
    mac: bytes
    mtu_bytes: int


@dataclass(slots=True)
class Touched:
    """What may have changed for one node; each row's present state is in the tables."""

    networks: set[NetworkKey] = field(default_factory=set)
    ports: set[PortKey] = field(default_factory=set)
    peers: bool = False

    def __bool__(self) -> bool:
        return bool(self.networks or self.ports or self.peers)

    def add(self, other: Touched) -> None:
        self.networks |= other.networks
        self.ports |= other.ports
        self.peers |= other.peers


def weight(network: NetworkKey, node: str) -> bytes:
    """Return a node's claim to be a network's bouncer: the greatest win (rendezvous hashing)."""
    text = f"{network.vni}/{network.cidr}/{node}"
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class World:
    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}  # name → underlay address
        self.networks: dict[NetworkKey, NetworkRow] = {}
        self.ports: dict[PortKey, PortRow] = {}
        self._candidates: set[str] = set()
        self._bouncers: dict[NetworkKey, tuple[str, ...]] = {}
        self._networks_of: defaultdict[int, set[NetworkKey]] = defaultdict(set)  # by VNI
        self._ports_at: defaultdict[str, set[PortKey]] = defaultdict(set)  # by node
        self._ports_in: defaultdict[NetworkKey, set[PortKey]] = defaultdict(set)
        # By VNI, then node: its local ports plus its roles in the VPC's networks.
        self._presence: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._touched: defaultdict[str, Touched] = defaultdict(Touched)
        self._peers_touched = False

    def take_touched(self) -> tuple[dict[str, Touched], bool]:
        """Return what changed since the last call: rows by node, and whether peers did."""
        touched, self._touched = self._touched, defaultdict(Touched)
        peers, self._peers_touched = self._peers_touched, False
        return touched, peers

    # What a node wants.

    def bouncers(self, network: NetworkKey) -> tuple[str, ...]:
        return self._bouncers.get(network, ())

    def has_ports(self, network: NetworkKey) -> bool:
        return bool(self._ports_in.get(network))

    @property
    def vnis(self) -> Container[int]:
        """The VNIs that some network has."""
        return self._networks_of

    def wants_port(self, node: str, key: PortKey) -> PortRow | None:
        row = self.ports.get(key)
        if row is None or (row.node != node and node not in self.bouncers(row.network)):
            return None
        return row

    def wants_network(self, node: str, key: NetworkKey) -> NetworkRow | None:
        return self.networks.get(key) if node in self._presence.get(key.vni, ()) else None

    def whole(self, node: str) -> Touched:
        """Return every row that a node wants."""
        vnis = [vni for vni, nodes in self._presence.items() if node in nodes]
        networks = {key for vni in vnis for key in self._networks_of.get(vni, ())}
        ports = set(self._ports_at.get(node, ()))
        for key in networks:
            if node in self.bouncers(key):
                ports |= self._ports_in[key]
        return Touched(networks, ports, peers=True)

    # Changes.

    def put_node(self, name: str, address: str) -> None:
        if self.nodes.get(name) == address:
            return
        self.nodes[name] = address
        self._node_changed(name)

    def remove_node(self, name: str) -> None:
        if self.nodes.pop(name, None) is not None:
            self._node_changed(name)

    def _node_changed(self, name: str) -> None:
        """An address is in every node's peers, its ports' rows and its networks' bouncers."""
        self._peers_touched = True
        for port in self._ports_at.get(name, ()):
            self._touch_port(self.ports[port])
        for network, nodes in self._bouncers.items():
            if name in nodes:
                self._touch_network(network)

    def set_candidates(self, names: Iterable[str]) -> None:
        """Say which nodes can be bouncers. Only the networks that gain or lose one are touched."""
        wanted = set(names)
        gained, lost = wanted - self._candidates, self._candidates - wanted
        self._candidates = wanted
        if not gained and not lost:
            return
        for network, chosen in list(self._bouncers.items()):
            if lost.intersection(chosen):
                self._assign(network, self._choose(network, wanted))
            else:
                self._assign(network, self._choose(network, gained.union(chosen)))

    def _choose(self, network: NetworkKey, nodes: Iterable[str]) -> tuple[str, ...]:
        best = heapq.nlargest(BOUNCERS_MAX, ((weight(network, node), node) for node in nodes))
        return tuple(node for _, node in best)

    def _assign(self, network: NetworkKey, chosen: tuple[str, ...]) -> None:
        before = self.bouncers(network)
        self._bouncers[network] = chosen
        if set(before) == set(chosen):
            return
        self._touch_network(network)
        for node in {*chosen} - {*before}:
            self._enter(network.vni, node)
            self._touched[node].ports |= self._ports_in[network]
        for node in {*before} - {*chosen}:
            self._leave(network.vni, node)
            self._touched[node].ports |= self._ports_in[network]

    def put_network(self, row: NetworkRow) -> None:
        if self.networks.get(row.key) == row:
            return
        self.networks[row.key] = row
        self._networks_of[row.key.vni].add(row.key)
        self._touch_network(row.key)
        if row.key not in self._bouncers:
            self._assign(row.key, self._choose(row.key, self._candidates))

    def remove_network(self, key: NetworkKey) -> None:
        """Forget a network; it must have no ports."""
        if key not in self.networks:
            return
        assert not self.has_ports(key), f"{key} still has ports"
        self._touch_network(key)
        self._assign(key, ())
        del self.networks[key], self._bouncers[key]
        self._networks_of[key.vni].discard(key)
        if not self._networks_of[key.vni]:
            del self._networks_of[key.vni]
        self._ports_in.pop(key, None)

    def put_port(self, row: PortRow) -> None:
        """Add a port, or change one; its network must be known."""
        assert row.network in self.networks, f"{row.network} is unknown"
        held = self.ports.get(row.key)
        if held == row:
            return
        if held is not None:
            self.remove_port(row.key)
        self.ports[row.key] = row
        self._ports_at[row.node].add(row.key)
        self._ports_in[row.network].add(row.key)
        self._enter(row.key.vni, row.node)
        self._touch_port(row)

    def remove_port(self, key: PortKey) -> None:
        row = self.ports.pop(key, None)
        if row is None:
            return
        self._ports_at[row.node].discard(key)
        self._ports_in[row.network].discard(key)
        self._leave(key.vni, row.node)
        self._touch_port(row)

    def _touch_port(self, row: PortRow) -> None:
        for node in {row.node, *self.bouncers(row.network)}:
            self._touched[node].ports.add(row.key)

    def _touch_network(self, key: NetworkKey) -> None:
        for node in self._presence.get(key.vni, ()):
            self._touched[node].networks.add(key)

    def _enter(self, vni: int, node: str) -> None:
        self._presence[vni][node] += 1
        if self._presence[vni][node] == 1:
            self._touched[node].networks |= self._networks_of.get(vni, set())

    def _leave(self, vni: int, node: str) -> None:
        self._presence[vni][node] -= 1
        assert self._presence[vni][node] >= 0
        if self._presence[vni][node] == 0:
            del self._presence[vni][node]
            if not self._presence[vni]:
                del self._presence[vni]
            self._touched[node].networks |= self._networks_of.get(vni, set())
