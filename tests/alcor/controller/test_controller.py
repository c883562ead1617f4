"""The controller against a real API server; the nodes are replicas on its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

import apiserver
from alcor_world import NODES, Replica, address, until
from ursa.alcor.controller.controller import Controller
from ursa.base.clock import WallClock
from ursa.client.client import Client
from ursa.client.key import Ref, key_of
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.part import ObjectMeta, Part
from ursa.kinds.port import Port, PortDevice, PortSpec
from ursa.kinds.subnet import Subnet, SubnetSpec
from ursa.kinds.tenant import Tenant
from ursa.kinds.vpc import Vpc, VpcSpec
from ursa.proto.alcor_pb2 import Revision

CIDR = "10.0.0.0/16"
T = TypeVar("T", bound=Part)
DEADLINE_S = 10.0


@dataclass
class Cloud:
    client: Client
    as_alcor: Client
    controller: Controller | None = None
    replicas: dict[str, Replica] = field(default_factory=lambda: {n: Replica() for n in NODES})
    taking: set[str] = field(default_factory=lambda: set(NODES))  # nodes that take messages

    @asynccontextmanager
    async def alcor(self, epoch: int = 1) -> AsyncIterator[Controller]:
        self.controller = controller = Controller(self.as_alcor, WallClock(), epoch)
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(controller.run(started))]
            await started.wait()
            running += [tasks.create_task(self.serve(node)) for node in NODES]
            yield controller
            for task in running:
                task.cancel()

    async def serve(self, node: str) -> None:
        """Be a node: take what its session has for it, and acknowledge."""
        assert self.controller is not None
        session, replica = self.controller.hub.session(node), self.replicas[node]
        session.connect(replica.revision or Revision())
        self.controller.hub.refresh_candidates()
        while True:
            await session.wake.wait()
            session.wake.clear()
            while node in self.taking and (message := session.next_message(self.controller.world)):
                assert replica.take(message)
                session.ack(replica.revision)

    def let(self, node: str) -> None:
        """Have a node take messages again."""
        assert self.controller is not None
        self.taking.add(node)
        self.controller.hub.session(node).wake.set()

    async def seen(self, obj: T, what: Callable[[T], bool]) -> T:
        """Return the object once `what` is true of it."""

        async def is_so() -> bool:
            nonlocal obj
            obj = await self.client.get(type(obj), key_of(obj))
            return what(obj)

        await until(is_so)
        return obj

    async def port(self, name: str, tenant: str = "system", **spec: str) -> Port:
        spec = {"node_name": "n1"} | spec
        return await self.client.create(
            Port(
                metadata=ObjectMeta(name=name, tenant=tenant, namespace="default"),
                spec=PortSpec(device=PortDevice(name=name, uid=f"pod-{name}"), **spec),
            )
        )

    async def network(self, tenant: str = "system", cidr: str = CIDR) -> tuple[Vpc, Subnet]:
        spec = VpcSpec(cidr=CIDR)
        vpc = Vpc(metadata=ObjectMeta(name="default", tenant=tenant), spec=spec)
        return await self.client.create(vpc), await self.subnet("default", cidr, tenant)

    async def subnet(self, name: str, cidr: str, tenant: str = "system") -> Subnet:
        spec = SubnetSpec(vpc="default", cidr=cidr)
        return await self.client.create(
            Subnet(metadata=ObjectMeta(name=name, tenant=tenant), spec=spec)
        )


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with apiserver.serving() as server:
        alcor = apiserver.identity("system:alcor")
        async with (
            Client(server.url, apiserver.admin()) as client,
            Client(server.url, alcor) as as_alcor,
        ):
            for node in NODES:
                made = await client.create(Node(metadata=ObjectMeta(name=node)))
                status = {"addresses": [{"type": "InternalIP", "address": address(node)}]}
                await client.patch(Node, made, {"status": status}, subresource="status")
            yield Cloud(client, as_alcor)


def is_active(port: Port) -> bool:
    return port.status.phase == "Active"


def reason(obj: Port | Subnet | Vpc) -> str:
    return next((c.reason for c in obj.status.conditions if c.type == "Ready"), "")


async def test_a_port_becomes_active_with_all_that_it_needs(cloud: Cloud) -> None:
    vpc, subnet = await cloud.network()
    async with cloud.alcor():
        port = await cloud.seen(await cloud.port("p"), is_active)
        status = port.status
        assert (status.ip, status.prefix_length, status.gateway) == ("10.0.0.2", 16, "10.0.0.1")
        assert status.host_ip == address("n1") and status.mac.startswith("02:")
        vpc = await cloud.seen(vpc, lambda v: v.status.phase == "Ready")
        assert status.vni == vpc.status.vni
        subnet = await cloud.seen(subnet, lambda s: s.status.allocated == 1)
        assert (subnet.status.gateway, subnet.status.phase) == ("10.0.0.1", "Ready")
        assert cloud.replicas["n1"].ports


async def test_a_port_is_not_active_before_its_node_says_so(cloud: Cloud) -> None:
    await cloud.network()
    cloud.taking.clear()
    async with cloud.alcor():
        port = await cloud.seen(await cloud.port("p"), lambda p: bool(p.status.ip))
        assert (port.status.phase, reason(port)) == ("Pending", "NotAcknowledged")
        cloud.let("n1")
        await cloud.seen(port, is_active)


async def test_an_address_is_free_once_its_node_has_let_it_go(cloud: Cloud) -> None:
    await cloud.network(cidr="10.0.0.0/29")  # five addresses beside the gateway's
    async with cloud.alcor():
        first = [await cloud.seen(await cloud.port(f"p{i}"), is_active) for i in range(5)]
        late = await cloud.port("late", node_name="n2")
        await cloud.seen(late, lambda p: reason(p) == "SubnetFull")
        cloud.taking.discard("n1")
        await cloud.client.delete(first[3])
        later = await cloud.port("later", node_name="n2")  # it is looked at after the deletion
        await cloud.seen(later, lambda p: reason(p) == "SubnetFull")
        assert reason(await cloud.client.get(Port, key_of(late))) == "SubnetFull"
        cloud.let("n1")

        async def one_is_active() -> bool:
            ports = [await cloud.client.get(Port, key_of(port)) for port in (late, later)]
            return [p.status.ip for p in ports if is_active(p)] == [first[3].status.ip]

        await until(one_is_active)


async def test_an_address_that_is_asked_for_is_given_or_refused_in_words(cloud: Cloud) -> None:
    await cloud.network()
    async with cloud.alcor():
        asked = await cloud.seen(await cloud.port("a", ip="10.0.7.7"), is_active)
        assert asked.status.ip == "10.0.7.7"
        rival = await cloud.port("b", ip="10.0.7.7")
        rival = await cloud.seen(rival, lambda p: p.status.phase == "Failed")
        assert reason(rival) == "IPInUse" and "10.0.7.7" in rival.status.conditions[0].message
        outside = await cloud.port("c", ip="192.168.0.1")
        assert (
            reason(await cloud.seen(outside, lambda p: p.status.phase == "Failed")) == "InvalidIP"
        )
        await cloud.client.delete(asked)
        assert (await cloud.seen(rival, is_active)).status.ip == "10.0.7.7"


async def test_what_is_missing_is_said_and_waited_for(cloud: Cloud) -> None:
    async with cloud.alcor():
        port = await cloud.port("early")
        await cloud.seen(port, lambda p: reason(p) == "VpcNotFound")
        vpc = Vpc(metadata=ObjectMeta(name="default", tenant="system"), spec=VpcSpec(cidr=CIDR))
        await cloud.client.create(vpc)
        await cloud.seen(port, lambda p: reason(p) == "SubnetNotReady")
        await cloud.subnet("default", CIDR)
        await cloud.seen(port, is_active)


async def test_two_tenants_have_one_prefix_and_two_networks(cloud: Cloud) -> None:
    await cloud.client.create(Tenant(metadata=ObjectMeta(name="acme")))
    await cloud.client.create(Namespace(metadata=ObjectMeta(name="default", tenant="acme")))
    for tenant in ("system", "acme"):
        await cloud.network(tenant)
    async with cloud.alcor():
        ports = [
            await cloud.seen(await cloud.port("p", tenant), is_active)
            for tenant in ("system", "acme")
        ]
        assert {port.status.ip for port in ports} == {"10.0.0.2"}
        assert len({port.status.vni for port in ports}) == 2


async def test_a_controller_that_was_killed_goes_on_from_what_is_stored(cloud: Cloud) -> None:
    await cloud.network()
    cloud.taking.discard("n2")
    async with cloud.alcor():
        made = [await cloud.port(f"p{i}", node_name=NODES[i % 3]) for i in range(9)]
        made = [await cloud.seen(port, lambda p: bool(p.status.ip)) for port in made]
    cloud.taking.add("n2")
    gone = made.pop()
    await cloud.client.delete(gone)
    async with cloud.alcor(epoch=2):
        again = [await cloud.seen(port, is_active) for port in made]
        assert [p.status.ip for p in again] == [p.status.ip for p in made]
        more = [await cloud.seen(await cloud.port(f"q{i}"), is_active) for i in range(3)]
        addresses = [p.status.ip for p in (*again, *more)]
        assert len(set(addresses)) == len(addresses)
        await cloud.client.delete(Ref(Node, key_of(await cloud.client.get(Node, name="n3"))))
        for port in again:
            await cloud.client.delete(port)
        await until(lambda: all(len(cloud.replicas[node].ports) <= 3 for node in NODES))


async def test_a_burst_gets_as_many_addresses_as_it_has_ports(cloud: Cloud) -> None:
    await cloud.network()
    async with cloud.alcor():
        async with asyncio.TaskGroup() as tasks:
            for i in range(100):
                tasks.create_task(cloud.port(f"p{i}", node_name=NODES[i % 3]))
        listed = await cloud.client.list(Port, tenant="system")
        ports = [await cloud.seen(port, is_active) for port in listed.items]
        assert len({port.status.ip for port in ports}) == 100
        assert len({port.status.mac for port in ports}) == 100
