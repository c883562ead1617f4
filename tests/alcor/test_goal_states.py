"""Controller and control agents over real streams with mutual TLS on the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc import aio

from alcor_world import address, network, port
from ursa.alcor.agent.agent import Agent
from ursa.alcor.controller.server import Hub
from ursa.alcor.controller.world import World
from ursa.base import pki
from ursa.base.config import TlsFiles
from ursa.base.errors import BadRequest, Conflict
from ursa.proto.alcor_pb2 import AgentMessage, Hello
from ursa.proto.alcor_pb2_grpc import GoalStateStub
from ursa.proto.mizar_pb2 import Delta, Held, NodeState, ReadRequest

EPOCH = 1000
DEADLINE_S = 10.0


@dataclass
class VirtualMaps:
    """A data plane in memory: the semantics of mizar.proto, and a valve."""

    state: NodeState = field(default_factory=NodeState)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: int = 0
    updates: int = 0
    applies: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def Read(self, request: ReadRequest) -> NodeState:
        return self.state

    async def Apply(self, request: NodeState) -> Held:
        await self.open.wait()
        if self.refusals:
            self.refusals -= 1
            raise BadRequest("no room")
        self.applies += 1
        new, old = request.revision, self.state.revision
        if (new.epoch, new.counter) > (old.epoch, old.counter):
            self.state = request
        return Held(revision=self.state.revision)

    async def Update(self, request: Delta) -> Held:
        await self.open.wait()
        if request.base != self.state.revision:
            raise Conflict("another base")
        self.updates += 1
        gone = {(e.vni, e.ip) for e in (*request.remove_endpoints, *request.put_endpoints)}
        kept = [e for e in self.state.endpoints if (e.vni, e.ip) not in gone]
        self.state = NodeState(revision=request.revision, endpoints=[*kept, *request.put_endpoints])
        return Held(revision=request.revision)

    def has(self, last_byte: int) -> bool:
        return any(endpoint.ip[3] == last_byte for endpoint in self.state.endpoints)


@dataclass
class Rig:
    authority: pki.Authority
    folder: Path
    address: str
    world: World = field(default_factory=World)

    def tls(self, identity: pki.Identity) -> TlsFiles:
        name = identity.user.replace(":", "-") + str(len(identity.groups))
        cert, key = pki.issue(self.authority, identity)
        pki.save(self.folder / f"{name}.crt", cert, secret=False)
        pki.save(self.folder / f"{name}.key", key, secret=True)
        pki.save(self.folder / "ca.crt", self.authority.cert_pem(), secret=False)
        ca, stem = str(self.folder / "ca.crt"), str(self.folder / name)
        return TlsFiles(ca=ca, cert=f"{stem}.crt", key=f"{stem}.key")

    @asynccontextmanager
    async def controller(self, epoch: int = EPOCH) -> AsyncIterator[Hub]:
        hub = Hub(self.world, epoch)
        identity = pki.Identity("system:alcor", addresses=["127.0.0.1"])
        server = hub.bind((self.address,), self.tls(identity))
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(hub.serve(server, ready.set))
            await ready.wait()
            yield hub
            serving.cancel()

    @asynccontextmanager
    async def agent(self, node: str, maps: VirtualMaps) -> AsyncIterator[Agent]:
        tls = self.tls(netd(node))
        agent = Agent(node, address(node), self.address, tls, maps)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(agent.run())
            yield agent
            running.cancel()


def netd(node: str) -> pki.Identity:
    return pki.Identity(f"system:netd:{node}", ["system:netds"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    rig = Rig(pki.new_authority("test"), tmp_path, f"127.0.0.1:{number}")
    for node in ("n1", "n2"):
        rig.world.put_node(node, address(node))
    rig.world.put_network(network(7, 0))
    yield rig


def put(rig: Rig, hub: Hub, host: int, node: str) -> asyncio.Event:
    """Add a port; return what is set once its node holds it."""
    held = asyncio.Event()
    rig.world.put_port(port(7, 0, host, node))
    hub.flush()
    hub.expect(node, lambda is_held: held.set() if is_held else None)
    return held


async def wait(event: asyncio.Event) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await event.wait()


async def test_a_port_is_held_by_its_node_and_then_acknowledged(rig: Rig) -> None:
    maps = VirtualMaps()
    async with rig.controller() as hub, rig.agent("n1", maps) as agent:
        await wait(put(rig, hub, 2, "n1"))
        assert maps.has(2)
        found = await agent.wait_for_port("pod-7-10.0.0.2", "eth0", DEADLINE_S)
        assert (str(found.ip), str(found.gateway), found.vni) == ("10.0.0.2", "10.0.0.1", 7)
        asked = asyncio.create_task(agent.wait_for_port("pod-7-10.0.0.3", "eth0", DEADLINE_S))
        await wait(put(rig, hub, 3, "n1"))
        assert (await asked).name == "p3"
        rig.world.remove_port(port(7, 0, 2, "n1").key)
        hub.flush()
        await wait(put(rig, hub, 4, "n1"))
        assert not maps.has(2) and agent.port_of("pod-7-10.0.0.2", "eth0") is None


async def test_one_new_port_is_one_delta(rig: Rig) -> None:
    maps = VirtualMaps()
    async with rig.controller() as hub, rig.agent("n1", maps):
        await wait(put(rig, hub, 2, "n1"))
        applies, updates = maps.applies, maps.updates
        await wait(put(rig, hub, 3, "n1"))
        assert (maps.applies, maps.updates) == (applies, updates + 1)


@pytest.mark.parametrize(
    ("identity", "hello", "code"),
    [
        (netd("n2"), "n1", grpc.StatusCode.PERMISSION_DENIED),
        (pki.Identity("system:netd:n1", tenant="acme"), "n1", grpc.StatusCode.PERMISSION_DENIED),
        (
            pki.Identity("system:netd:n1", ["system:netds"], tenant="acme"),
            "n1",
            grpc.StatusCode.PERMISSION_DENIED,
        ),
        (pki.Identity("system:node:n1", ["system:nodes"]), "n1", grpc.StatusCode.PERMISSION_DENIED),
        (netd("n1"), "n1", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_node_may_speak_for_itself_alone(
    rig: Rig, identity: pki.Identity, hello: str, code: grpc.StatusCode
) -> None:
    async with rig.controller():
        tls = rig.tls(identity)
        key, cert, ca = (Path(f).read_bytes() for f in (tls.key, tls.cert, tls.ca))  # noqa: ASYNC240
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
        async with aio.secure_channel(rig.address, credentials) as channel:
            stream = GoalStateStub(channel).Sync()
            elsewhere = address("n3")  # not the InternalIP of n1
            with pytest.raises(aio.AioRpcError) as fault:
                await stream.write(AgentMessage(hello=Hello(node=hello, underlay_ip=elsewhere)))
                await stream.read()
            assert fault.value.code() == code


async def test_without_a_certificate_there_is_no_stream(rig: Rig) -> None:
    async with rig.controller():
        credentials = grpc.ssl_channel_credentials(rig.authority.cert_pem())
        async with aio.secure_channel(rig.address, credentials) as channel:
            stream = GoalStateStub(channel).Sync()
            with pytest.raises((aio.AioRpcError, asyncio.InvalidStateError)):
                await stream.write(AgentMessage(hello=Hello(node="n1")))
                await stream.read()


async def test_a_node_that_takes_nothing_holds_nobody_up(rig: Rig) -> None:
    stuck, quick = VirtualMaps(), VirtualMaps()
    stuck.open.clear()
    async with rig.controller() as hub, rig.agent("n1", stuck), rig.agent("n2", quick):
        late = [put(rig, hub, host, "n1") for host in range(2, 20)]
        for host in range(20, 40):
            await wait(put(rig, hub, host, "n2"))
        assert not any(event.is_set() for event in late)
        stuck.open.set()
        for event in late:
            await wait(event)


async def test_either_side_may_be_restarted_at_any_time(rig: Rig) -> None:
    maps = VirtualMaps()
    async with rig.controller() as hub, rig.agent("n1", maps):
        await wait(put(rig, hub, 2, "n1"))
    async with rig.agent("n1", maps) as agent:
        with pytest.raises(TimeoutError, match="UNAVAILABLE"):
            await agent.wait_for_port("pod-7-10.0.0.3", "eth0", 0.2)
        assert maps.has(2), "what the maps hold stays"
        async with rig.controller(epoch=EPOCH - 500) as hub:  # its clock went back
            await wait(put(rig, hub, 3, "n1"))
            assert maps.has(2) and maps.has(3)
        async with rig.controller(epoch=EPOCH + 500) as hub:
            await wait(put(rig, hub, 4, "n1"))
    maps.state = NodeState()  # a reboot
    async with rig.controller() as hub, rig.agent("n1", maps):
        await wait(put(rig, hub, 5, "n1"))
        assert all(maps.has(host) for host in (2, 3, 4, 5))


async def test_a_refused_goal_state_is_sent_again_as_a_snapshot(rig: Rig) -> None:
    maps = VirtualMaps(refusals=1)
    async with rig.controller() as hub, rig.agent("n1", maps):
        await wait(put(rig, hub, 2, "n1"))
        assert maps.has(2)


async def test_a_gap_brings_a_snapshot(rig: Rig) -> None:
    maps = VirtualMaps()
    async with rig.controller() as hub, rig.agent("n1", maps):
        await wait(put(rig, hub, 2, "n1"))
        maps.state = NodeState()  # somebody emptied the maps
        await wait(put(rig, hub, 3, "n1"))
        assert maps.has(2) and maps.has(3)


async def test_a_port_that_is_not_there_is_explained(rig: Rig) -> None:
    async with rig.controller(), rig.agent("n1", VirtualMaps()) as agent:
        await asyncio.wait_for(agent.synced(), DEADLINE_S)
        with pytest.raises(TimeoutError, match="has no port for pod nobody, interface eth0"):
            await agent.wait_for_port("nobody", "eth0", 0.05)


async def test_a_second_controller_cannot_take_the_address(rig: Rig) -> None:
    async with rig.controller():
        with pytest.raises(OSError, match="cannot listen"):
            async with rig.controller():
                raise AssertionError("two controllers listen on one address")
