"""Reconcile Vpc, Subnet and Port objects with the ledger, the world and their status.

A port: choose address and MAC ─▶ write them to its status, durable ─▶ put it into the world,
which sends it to its node and its network's bouncers ─▶ the node acknowledges ─▶ phase Active.
A port that is gone: out of the world ─▶ its node acknowledges ─▶ its address is free.

`adopt` enters what the statuses say before any node is answered, so a controller that was
killed anywhere goes on from there. Between two awaits everything is looked up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TypeVar

from ursa.alcor.controller import status
from ursa.alcor.controller.allocate import derive_mac
from ursa.alcor.controller.ledger import Ledger, Refusal, network_of, subnet_fault, vpc_fault
from ursa.alcor.controller.queue import Item, Queue
from ursa.alcor.controller.rows import address_of, network_row, port_row, row_of
from ursa.alcor.controller.server import Hub
from ursa.alcor.controller.world import NetworkKey, PortRow, World
from ursa.base.clock import Clock, rfc3339
from ursa.base.errors import NotFound
from ursa.client.client import Client
from ursa.client.key import Key, key_of, meta_of
from ursa.client.lister import Lister
from ursa.kinds.node import Node
from ursa.kinds.part import Part
from ursa.kinds.port import ACTIVE, Port
from ursa.kinds.subnet import Subnet
from ursa.kinds.vpc import DEFAULT_VPC, Vpc

log = logging.getLogger(__name__)

WORKERS = 32  # status writes in flight; the store commits what waits as one
COUNT_EVERY_S = 5.0  # how often a subnet's status.allocated is brought up to date

T = TypeVar("T", bound=Part)


@dataclass(slots=True)
class Placed:
    """A port that has an address."""

    row: PortRow
    is_put: bool = False  # in the world: after its status is durable
    is_expected: bool = False  # an acknowledgement will come
    is_held: bool = False  # its node has acknowledged it


class Controller:
    def __init__(self, client: Client, clock: Clock, epoch: int) -> None:
        self.world = World()
        self.hub = Hub(self.world, epoch)
        self._client = client
        self._clock = clock
        self._vpcs = Lister(client, Vpc)
        self._subnets = Lister(client, Subnet)
        self._ports = Lister(client, Port)
        self._nodes = Lister(client, Node)
        self._ledger = Ledger()
        self._queue = Queue()
        self._written: dict[Item, Part] = {}  # our last write of each, until the lister has it
        self._vnis: dict[Key, tuple[int, str]] = {}  # by Vpc: its VNI and uid
        self._networks: dict[Key, NetworkKey] = {}  # by Subnet
        self._makers: dict[NetworkKey, Key] = {}  # the Subnet of each network that has one
        self._placed: dict[Key, Placed] = {}  # by Port
        self._at_node: defaultdict[str, set[Key]] = defaultdict(set)  # placed ports
        self._unplaced: defaultdict[str, set[Key]] = defaultdict(set)  # by tenant
        self._to_count: set[Key] = set()  # subnets

    async def run(self, started: asyncio.Event) -> None:
        """Reconcile until cancelled; `started` once nodes may be answered."""
        listers = (self._vpcs, self._subnets, self._ports, self._nodes)
        async with asyncio.TaskGroup() as tasks:
            for lister in listers:
                tasks.create_task(lister.run())
            for lister in listers:
                await lister.synced()
            self.adopt()
            self._follow()
            started.set()
            for _ in range(WORKERS):
                tasks.create_task(self._queue.work(self._reconcile))
            tasks.create_task(self._count())

    def _follow(self) -> None:
        """Queue what changes, and first everything."""
        self._nodes.on_change(lambda key, _, node: self._node_changed(key, node))
        self._vpcs.on_change(lambda key, _, vpc: self._queue.add(Item("Vpc", key)))
        self._subnets.on_change(lambda key, _, subnet: self._queue.add(Item("Subnet", key)))
        self._ports.on_change(lambda key, _, port: self._queue.add(Item("Port", key)))

    async def _reconcile(self, item: Item) -> None:
        try:
            match item.kind:
                case "Vpc":
                    await self._reconcile_vpc(item)
                case "Subnet":
                    await self._reconcile_subnet(item)
                case "Port":
                    await self._reconcile_port(item)
        except NotFound:
            return  # deleted meanwhile: the lister will say so, and it is looked at again

    # What the statuses say.

    def adopt(self) -> None:
        """Enter every allocation that is durable. Where two claim one thing, the elder has it."""
        for node in self._nodes.list():
            if address := address_of(node):
                self.world.put_node(node.metadata.name, address)
        for vpc in _by_age(self._vpcs.list()):
            self._adopt_vpc(vpc)
        for subnet in _by_age(self._subnets.list()):
            vni = self._vnis.get(Key(subnet.metadata.tenant, "", subnet.spec.vpc))
            if subnet.status.phase == status.READY and vni is not None:
                network = network_of(subnet, vni[0])
                if not isinstance(network, Refusal):
                    self._open(key_of(subnet), *network)
        for port in _by_age(self._ports.list()):
            self._adopt_port(port)
        self.hub.flush()

    def _adopt_vpc(self, vpc: Vpc) -> bool:
        vni, uid = vpc.status.vni, vpc.metadata.uid
        if vni is None or not self._ledger.adopt_vni(vni, uid):
            return False
        self._vnis[key_of(vpc)] = (vni, uid)
        return True

    def _adopt_port(self, port: Port) -> Placed | None:
        """Enter a port by what its status says. None if that is nothing, or another has it."""
        row = row_of(port)
        if row is None:
            return None
        if row.network not in self.world.networks:  # its Subnet is gone, the port is not
            self._ledger.open(row.network, row.gateway)
            self.world.put_network(network_row(row.network, row.gateway))
        if not self._ledger.adopt(row):
            return None
        placed = Placed(row, is_held=port.status.phase == ACTIVE)
        self._place(key_of(port), placed)
        self._put(placed)
        return placed

    # VPCs.

    async def _reconcile_vpc(self, item: Item) -> None:
        vpc = self._newest(self._vpcs, item)
        held = self._vnis.get(item.key)
        if held is not None and (vpc is None or vpc.metadata.uid != held[1]):
            del self._vnis[item.key]
            self._ledger.release_vni(held[1])
        if vpc is None:
            return
        vni = self._vni_of(vpc)
        try:
            await self._write(item, vpc, status.vpc_status(vpc, vni, self._now()))
        except NotFound:
            self._ledger.release_vni(vpc.metadata.uid)
            return
        if not isinstance(vni, Refusal) and item.key not in self._vnis:
            self._vnis[item.key] = (vni, vpc.metadata.uid)  # durable: it may be used
            for subnet in self._subnets.in_namespace(item.key.tenant, ""):
                self._queue.add(Item("Subnet", key_of(subnet)))
            self._retry_ports(item.key.tenant)

    def _vni_of(self, vpc: Vpc) -> int | Refusal:
        if (fault := vpc_fault(vpc)) is not None:
            return fault
        if (held := self._vnis.get(key_of(vpc))) is not None:
            return held[0]
        vni = vpc.status.vni
        if vni is not None and self._ledger.adopt_vni(vni, vpc.metadata.uid):
            return vni
        return self._ledger.allocate_vni(vpc.metadata.uid, self.world.vnis)

    # Subnets.

    async def _reconcile_subnet(self, item: Item) -> None:
        subnet = self._newest(self._subnets, item)
        wanted = self._network_of(subnet) if subnet is not None else None
        network = None if wanted is None or isinstance(wanted, Refusal) else wanted
        held = self._networks.get(item.key)
        if held is not None and (network is None or network[0] != held):
            del self._networks[item.key], self._makers[held]
            self._close(held)
        if subnet is None or wanted is None:
            self._siblings_changed(item.key)
            return
        if isinstance(wanted, Refusal):
            wanted_status = status.subnet_status(subnet, wanted, 0, self._now())
        else:
            key, gateway = wanted
            mac = derive_mac(key.vni, gateway)
            used = self._ledger.used(key)
            wanted_status = status.subnet_status(subnet, (gateway, mac), used, self._now())
        await self._write(item, subnet, wanted_status)
        if network is not None and item.key not in self._networks:
            self._open(item.key, *network)
            self.hub.flush()
            self._retry_ports(item.key.tenant)

    def _network_of(self, subnet: Subnet) -> tuple[NetworkKey, IPv4Address] | Refusal:
        """Return the network that a Subnet makes, or why it makes none."""
        tenant, name = subnet.metadata.tenant, subnet.spec.vpc
        vpc_key = Key(tenant, "", name)
        vpc = self._vpcs.get(vpc_key)
        if vpc is None:
            return Refusal("VpcNotFound", f"there is no VPC {name}: create it")
        vni = self._vnis.get(vpc_key)
        if vni is None:
            return Refusal("VpcNotReady", f"VPC {name} is not ready: see its conditions")
        network = network_of(subnet, vni[0])
        if isinstance(network, Refusal):
            return network
        siblings = self._siblings(key_of(subnet), name)
        return subnet_fault(subnet, vpc, siblings) or network

    def _siblings(self, key: Key, vpc: str) -> list[Subnet]:
        subnets = self._subnets.in_namespace(key.tenant, "")
        return [other for other in subnets if other.spec.vpc == vpc and key_of(other) != key]

    def _siblings_changed(self, key: Key) -> None:
        """A subnet that overlapped a gone one may fit."""
        for subnet in self._subnets.in_namespace(key.tenant, ""):
            if subnet.status.phase != status.READY:
                self._queue.add(Item("Subnet", key_of(subnet)))

    def _open(self, subnet: Key, network: NetworkKey, gateway: IPv4Address) -> None:
        self._networks[subnet] = network
        self._makers[network] = subnet
        self._ledger.open(network, gateway)
        self.world.put_network(network_row(network, gateway))

    def _close(self, network: NetworkKey) -> None:
        """Forget a network that no Subnet makes, once no port has an address of it."""
        if network not in self._makers and self._ledger.close(network):
            self.world.remove_network(network)
            self.hub.flush()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY_S)
            for key in self._to_count:
                self._queue.add(Item("Subnet", key))
            self._to_count.clear()

    # Ports.

    async def _reconcile_port(self, item: Item) -> None:
        key = item.key
        port = self._newest(self._ports, item)
        placed = self._placed.get(key)
        if placed is not None and (port is None or port.metadata.uid != placed.row.uid):
            self._remove(key, placed)
            placed = None
        if port is None:
            self._unplaced[key.tenant].discard(key)
            return
        if placed is None:
            chosen = self._adopt_port(port) or self._allocate(port)
            if isinstance(chosen, Refusal):
                self._unplaced[key.tenant].add(key)
                await self._write(item, port, status.refused_port(port, chosen, self._now()))
                return
            placed = chosen
            self._unplaced[key.tenant].discard(key)
        host = self.world.nodes.get(placed.row.node, "")
        wanted = status.placed_port(port, placed.row, host, is_held=placed.is_held, now=self._now())
        await self._write(item, port, wanted)
        if self._placed.get(key) is placed:  # it may have been removed while the write was on
            self._put(placed)
            self._expect(key, placed)
            self.hub.flush()

    def _allocate(self, port: Port) -> Placed | Refusal:
        found = self._subnet_for(port)
        if isinstance(found, Refusal):
            return found
        vpc, subnet, network = found
        chosen = self._ledger.allocate(port, network)
        if isinstance(chosen, Refusal):
            return chosen
        gateway = self.world.networks[network].gateway
        row = port_row(port, network, gateway, *chosen, vpc.spec.mtu_bytes)
        placed = Placed(row)
        self._place(key_of(port), placed)
        self._to_count.add(key_of(subnet))
        return placed

    def _subnet_for(self, port: Port) -> tuple[Vpc, Subnet, NetworkKey] | Refusal:
        """Return where a port belongs; of several subnets the first by name that has room."""
        tenant, vpc_name = port.metadata.tenant, port.spec.vpc or DEFAULT_VPC
        if not port.spec.node_name:
            return Refusal("NoNode", "spec.nodeName is empty: the port is on no node")
        vpc = self._vpcs.get(Key(tenant, "", vpc_name))
        if vpc is None:
            return Refusal("VpcNotFound", f"there is no VPC {vpc_name}: create it")
        wanted = port.spec.subnet
        subnets = sorted(
            (
                subnet
                for subnet in self._subnets.in_namespace(tenant, "")
                if subnet.spec.vpc == vpc_name and wanted in ("", subnet.metadata.name)
            ),
            key=lambda subnet: subnet.metadata.name,
        )
        for subnet in subnets:
            if (network := self._networks.get(key_of(subnet))) is not None:
                return vpc, subnet, network
        name = f"subnet {wanted}" if wanted else "ready subnet"
        message = f"VPC {vpc_name} has no {name}: create one, or see its conditions"
        return Refusal("SubnetNotReady", message)

    def _place(self, key: Key, placed: Placed) -> None:
        self._placed[key] = placed
        self._at_node[placed.row.node].add(key)

    def _put(self, placed: Placed) -> None:
        placed.is_put = True
        self.world.put_port(placed.row)

    def _expect(self, key: Key, placed: Placed) -> None:
        """Be called once the port's node holds it; once at a time."""
        if placed.is_held or placed.is_expected:
            return

        def answered(is_held: bool) -> None:
            placed.is_expected, placed.is_held = False, is_held
            if is_held:
                self._queue.add(Item("Port", key))

        placed.is_expected = True
        self.hub.flush()
        self.hub.expect(placed.row.node, answered)

    def _remove(self, key: Key, placed: Placed) -> None:
        del self._placed[key]
        self._at_node[placed.row.node].discard(key)
        if not placed.is_put:
            self._free(placed.row)
            return
        self.world.remove_port(placed.row.key)
        self.hub.flush()
        self.hub.expect(placed.row.node, lambda _: self._free(placed.row))

    def _free(self, row: PortRow) -> None:
        """The address is free: nobody forwards for it any more."""
        self._ledger.release(row)
        self._close(row.network)
        self._retry_ports(row.tenant)

    def _retry_ports(self, tenant: str) -> None:
        for key in self._unplaced.pop(tenant, ()):
            self._queue.add(Item("Port", key))

    # Nodes.

    def _node_changed(self, key: Key, node: Node | None) -> None:
        if node is None:
            self.world.remove_node(key.name)
            self.hub.node_gone(key.name)
        elif (address := address_of(node)) not in ("", self.world.nodes.get(key.name)):
            self.world.put_node(key.name, address)
            for port in self._at_node[key.name]:
                self._queue.add(Item("Port", port))
        self.hub.flush()

    # Reads and writes.

    def _newest(self, lister: Lister[T], item: Item) -> T | None:
        """Return the object as the lister has it, or as we wrote it if that is newer."""
        listed = lister.get(item.key)
        written = self._written.get(item)
        if listed is None or not isinstance(written, type(listed)):
            self._written.pop(item, None)
            return listed
        ours, theirs = meta_of(written), meta_of(listed)
        if ours.uid != theirs.uid or int(ours.resource_version) <= int(theirs.resource_version):
            del self._written[item]
            return listed
        return written

    async def _write(self, item: Item, obj: Part, wanted: Part) -> None:
        """Make `wanted` the status; Conflict if the object has changed meanwhile."""
        if getattr(obj, "status") != wanted:  # noqa: B009  every kind written here has one
            self._written[item] = await self._client.update_status(obj, wanted)

    def _now(self) -> str:
        return rfc3339(self._clock.now_s())


def _by_age(objects: Iterable[T]) -> list[T]:
    return sorted(objects, key=lambda o: (meta_of(o).creation_timestamp or "", meta_of(o).uid))
