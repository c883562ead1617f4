"""The control agent: one stream to the controller, for ever.

    dial ─ hello(held) ─▶ snapshot ─▶ data plane ─▶ ack ─▶ delta ─▶ data plane ─▶ ack …

The data plane holds the state and its revision; the agent remembers only the ports of its own
node, for the CNI server. What cannot be applied is refused (nack), and a snapshot comes. While
the controller is away the maps keep forwarding.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

import grpc
from grpc import aio

from ursa.alcor.agent import goal
from ursa.alcor.agent.goal import LocalPort
from ursa.base.config import TlsFiles
from ursa.base.errors import ApiError
from ursa.proto import mizar_pb2
from ursa.proto.alcor_pb2 import Ack, AgentMessage, ControllerMessage, Hello, Nack, Revision
from ursa.proto.alcor_pb2_grpc import GoalStateStub
from ursa.proto.mizar_pb2 import Delta, Held, NodeState, ReadRequest

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 1.0  # a controller that returns is found again within this
MESSAGE_MAX_BYTES = 64 * 2**20  # a snapshot of a million ports
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

PortId = tuple[str, str]  # uid of the pod, nic


class DataPlane(Protocol):
    """Mizar's transit daemon, in process or over its socket."""

    def Apply(self, request: NodeState) -> Awaitable[Held]: ...
    def Update(self, request: Delta) -> Awaitable[Held]: ...
    def Read(self, request: ReadRequest) -> Awaitable[NodeState]: ...


class Agent:
    def __init__(
        self, node: str, underlay_ip: str, controller: str, tls: TlsFiles, data_plane: DataPlane
    ) -> None:
        self._node = node
        self._underlay_ip = underlay_ip
        self._controller = controller
        self._tls = tls
        self._data_plane = data_plane
        self._held = Revision()
        self._ports: dict[PortId, LocalPort] = {}
        self._ids: dict[tuple[int, bytes], PortId] = {}  # by vni and address
        self._news = asyncio.Event()  # set for a moment whenever the ports change
        self._synced = asyncio.Event()
        self._outage = "it has not been reached yet"  # "" while goal states come
        self._failures = 0  # streams in a row without a goal state

    async def run(self) -> None:
        """Keep the data plane at the newest goal state until cancelled."""
        async with aio.secure_channel(
            self._controller, _credentials(self._tls), options=CHANNEL_OPTIONS
        ) as channel:
            stub = GoalStateStub(channel)  # type: ignore[no-untyped-call]
            while True:
                try:
                    await self._converse(stub)
                    self._outage = "it ended the stream"
                except aio.AioRpcError as fault:
                    self._outage = f"{fault.code().name}: {fault.details()}"
                except asyncio.InvalidStateError:  # grpc.aio: a write after the stream's end
                    self._outage = "the stream broke"
                self._failures += 1
                if self._failures in (1, 10) or self._failures % 100 == 0:
                    extra = {"controller": self._controller, "error": self._outage}
                    log.warning("no goal states", extra=extra)
                await asyncio.sleep(
                    min(BACKOFF_MIN_S * 2.0 ** min(self._failures, 20), BACKOFF_MAX_S)
                )

    async def _converse(self, stub: GoalStateStub) -> None:
        """Answer goal states until the stream ends."""
        state = await self._data_plane.Read(ReadRequest())
        self._held = Revision(epoch=state.revision.epoch, counter=state.revision.counter)
        stream = stub.Sync()
        try:
            hello = Hello(node=self._node, held=self._held, underlay_ip=self._underlay_ip)
            await stream.write(AgentMessage(hello=hello))
            async for message in stream:
                self._outage, self._failures = "", 0
                await stream.write(await self._answer(message))
        finally:
            stream.cancel()

    async def _answer(self, message: ControllerMessage) -> AgentMessage:
        """Have the data plane hold a goal state; return the acknowledgement or the refusal."""
        try:
            goal.check(message)
            await self._apply(message)
        except (ApiError, ValueError) as fault:
            extra = {"revision": _text(message.revision), "error": str(fault)}
            log.warning("goal state refused", extra=extra)
            return AgentMessage(nack=Nack(refused=message.revision, reason=str(fault)))
        except Exception as fault:  # a push's boundary: whatever broke, a snapshot is tried next
            log.exception("goal state broke", extra={"revision": _text(message.revision)})
            return AgentMessage(nack=Nack(refused=message.revision, reason=repr(fault)))
        self._held = message.revision
        self._remember(message)
        return AgentMessage(ack=Ack(held=message.revision))

    async def _apply(self, message: ControllerMessage) -> None:
        if not message.HasField("base"):
            held = await self._data_plane.Apply(goal.node_state(message, self._underlay_ip))
        elif message.base == self._held:
            held = await self._data_plane.Update(goal.delta(message))
        else:
            held_text, base_text = _text(self._held), _text(message.base)
            raise ValueError(f"the maps hold {held_text}, the delta is for {base_text}")
        if held.revision != mizar_pb2.Revision(
            epoch=message.revision.epoch, counter=message.revision.counter
        ):
            raise ValueError(f"the maps hold the newer {_text(held.revision)}")

    def _remember(self, message: ControllerMessage) -> None:
        """Keep the ports of this node, and wake who waits for one."""
        if not message.HasField("base"):
            self._ports.clear()
            self._ids.clear()
        for columns in (message.removed_ports, message.ports):
            for address in zip(columns.vni, columns.ip, strict=True):
                if (port_id := self._ids.pop(address, None)) is not None:
                    del self._ports[port_id]
        for port in goal.local_ports(message.ports):
            port_id = (port.device, port.nic)
            self._ports[port_id] = port
            self._ids[port.vni, port.ip.packed] = port_id
        self._synced.set()
        self._news.set()
        self._news.clear()

    async def synced(self) -> None:
        """Wait until the first goal state is held."""
        await self._synced.wait()

    def port_of(self, pod_uid: str, nic: str) -> LocalPort | None:
        return self._ports.get((pod_uid, nic))

    async def wait_for_port(self, pod_uid: str, nic: str, timeout_s: float) -> LocalPort:
        """Return the pod's port once the maps hold it. TimeoutError says why they do not."""
        try:
            async with asyncio.timeout(timeout_s):
                while (port := self.port_of(pod_uid, nic)) is None:
                    await self._news.wait()
        except TimeoutError as fault:
            raise TimeoutError(self._why_not(pod_uid, nic, timeout_s)) from fault
        return port

    def _why_not(self, pod_uid: str, nic: str, timeout_s: float) -> str:
        if self._outage:
            return (
                f"after {timeout_s:g} s the network controller {self._controller} still has not "
                f"told the port of pod {pod_uid}, interface {nic}: {self._outage}"
            )
        return (
            f"after {timeout_s:g} s the goal state of node {self._node} (revision "
            f"{_text(self._held)}) has no port for pod {pod_uid}, interface {nic}: look at the "
            "conditions of the pod's Port"
        )


def _text(revision: Revision | mizar_pb2.Revision) -> str:
    return f"{revision.epoch}.{revision.counter}"


def _credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    with open(tls.key, "rb") as key, open(tls.cert, "rb") as cert, open(tls.ca, "rb") as ca:
        return grpc.ssl_channel_credentials(ca.read(), key.read(), cert.read())
