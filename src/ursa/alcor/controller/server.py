"""The goal-state server: one stream per node, kept by who the node's certificate says it is.

A stream has a reader (acknowledgements) and a writer (goal states), and ends with either. The
newest stream of a node replaces its elder. A node is a candidate for bouncer while its stream
stands and a grace time after, so that a restart on either side moves no role.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID
from grpc import aio

from ursa.alcor.controller.session import EPOCH_MAX, Held, Session
from ursa.alcor.controller.world import Touched, World
from ursa.base.config import TlsFiles
from ursa.proto.alcor_pb2 import AgentMessage, Hello
from ursa.proto.alcor_pb2_grpc import GoalStateServicer, add_GoalStateServicer_to_server

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 5.0
BOUNCER_GRACE_S = 10.0  # a netd is restarted in 1 s; a machine that boots may lose its roles
CANDIDATES_EVERY_S = 1.0
REFUSED_DELAY_S = 1.0  # before a node that refused a goal state is sent a snapshot
MESSAGE_MAX_BYTES = 64 * 2**20  # a snapshot of a million ports
NETD_USER = "system:netd:"
NETD_GROUP = "system:netds"
SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second controller must fail to bind, not share the nodes
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)


class Hub(GoalStateServicer):
    """All sessions, and the world that they speak of."""

    def __init__(self, world: World, epoch: int) -> None:
        self._world = world
        self._epoch = epoch
        self._sessions: dict[str, Session] = {}
        self._streams: dict[str, asyncio.Task[Any]] = {}
        self._seen_at: dict[str, float] = {}  # loop time; of nodes without a stream

    def session(self, node: str) -> Session:
        if node not in self._sessions:
            self._sessions[node] = Session(node, self._epoch)
        return self._sessions[node]

    def flush(self) -> None:
        """Tell every session what has been touched."""
        rows, peers = self._world.take_touched()
        for node, touched in rows.items():
            self.session(node).touch(touched)
        if peers:
            for session in self._sessions.values():
                session.touch(Touched(peers=True))

    def expect(self, node: str, held: Held) -> None:
        """Call `held(True)` once the node holds all that was flushed, `held(False)` if it is gone.

        That may be at once: a node without an object and without a stream is gone.
        """
        session = self.session(node)
        if node in self._world.nodes or session.is_connected:
            session.expect(held)
        else:
            held(False)

    def node_gone(self, node: str) -> None:
        """A node has no object any more: unless its netd speaks, nobody waits for it."""
        session = self._sessions.get(node)
        if session is not None and not session.is_connected:
            del self._sessions[node]
            session.give_up()

    def refresh_candidates(self) -> None:
        """Choose who can be a bouncer: nodes that speak, or did a moment ago."""
        now = asyncio.get_running_loop().time()
        self._seen_at = {node: self._seen_at.get(node, now) for node in self._world.nodes}
        for node, session in self._sessions.items():
            if session.is_connected and node in self._seen_at:
                self._seen_at[node] = now
        self._world.set_candidates(
            node for node, seen_at in self._seen_at.items() if now - seen_at < BOUNCER_GRACE_S
        )
        self.flush()

    def bind(self, listen: tuple[str, ...], tls: TlsFiles) -> aio.Server:
        """Return a server that holds its addresses and answers nobody yet.

        OSError if one is taken, by another controller perhaps: two must not allocate at once,
        so a controller binds before it begins.
        """
        server = aio.server(options=SERVER_OPTIONS)
        add_GoalStateServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        credentials = _credentials(tls)
        for address in listen:
            try:
                server.add_secure_port(address, credentials)
            except RuntimeError as fault:
                raise OSError(f"cannot listen on {address}: {fault}") from fault
        return server

    async def serve(self, server: aio.Server, ready: Callable[[], None]) -> None:
        """Answer nodes until cancelled; call `ready` once it does."""
        await server.start()
        ready()
        try:
            while True:
                self.refresh_candidates()
                await asyncio.sleep(CANDIDATES_EVERY_S)
        finally:
            await server.stop(grace=None)

    async def Sync(
        self, requests: AsyncIterator[AgentMessage], context: aio.ServicerContext[Any, Any]
    ) -> None:
        node = node_of(context.auth_context())
        if node is None:
            message = f"only certificates of {NETD_USER}<node> in {NETD_GROUP} may ask"
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, message)
            raise AssertionError("abort raises")
        hello = await self._hello(node, requests, context)
        if (elder := self._streams.get(node)) is not None:
            elder.cancel()
        task = asyncio.current_task()
        assert task is not None
        self._streams[node] = task
        session = self.session(node)
        session.connect(hello.held)
        self.refresh_candidates()
        log.info("node connected", extra={"node": node})
        try:
            await self._converse(session, requests, context)
        finally:
            if self._streams.get(node) is task:  # else a younger stream has the session
                del self._streams[node]
                session.disconnect()
                log.info("node disconnected", extra={"node": node})
                if node not in self._world.nodes:
                    self.node_gone(node)

    async def _hello(
        self,
        node: str,
        requests: AsyncIterator[AgentMessage],
        context: aio.ServicerContext[Any, Any],
    ) -> Hello:
        """Return the first message, once it is what it must be; end the stream otherwise."""
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = (await anext(aiter(requests))).hello
        except (TimeoutError, StopAsyncIteration):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message is hello")
            raise AssertionError("abort raises") from None
        if fault := self._fault(node, hello):
            code, message = fault
            log.warning("node refused", extra={"node": node, "error": message})
            await context.abort(code, message)
        return hello

    def _fault(self, node: str, hello: Hello) -> tuple[grpc.StatusCode, str] | None:
        if hello.node != node:
            message = f"the certificate is node {node!r}'s, the hello says {hello.node!r}"
            return grpc.StatusCode.PERMISSION_DENIED, message
        if hello.held.epoch > EPOCH_MAX:
            return grpc.StatusCode.INVALID_ARGUMENT, f"epoch {hello.held.epoch} is out of range"
        known = self._world.nodes.get(node)
        if known and known != hello.underlay_ip:
            message = f"node {node} has InternalIP {known}, its netd says {hello.underlay_ip!r}"
            return grpc.StatusCode.FAILED_PRECONDITION, message
        return None

    async def _converse(
        self,
        session: Session,
        requests: AsyncIterator[AgentMessage],
        context: aio.ServicerContext[Any, Any],
    ) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(session, context))
                tasks.create_task(_read(session, requests))
        except* _Ended:
            log.info("node closed its stream", extra={"node": session.node})

    async def _write(self, session: Session, context: aio.ServicerContext[Any, Any]) -> None:
        while True:
            await session.wake.wait()
            session.wake.clear()
            if session.refusal:
                extra = {"node": session.node, "reason": session.refusal}
                log.warning("node refused a goal state", extra=extra)
                await asyncio.sleep(REFUSED_DELAY_S)
                session.refusal = ""
            while (message := session.next_message(self._world)) is not None:
                await context.write(message)


class _Ended(Exception):
    """The node has closed its stream."""


async def _read(session: Session, requests: AsyncIterator[AgentMessage]) -> None:
    async for message in requests:
        match message.WhichOneof("message"):
            case "ack":
                session.ack(message.ack.held)
            case "nack":
                session.nack(message.nack.refused, message.nack.reason)
    raise _Ended


def node_of(auth: Any) -> str | None:
    """Return the node that a peer's certificate speaks for; None if it is no netd's.

    The organisation counts as much as the name: a tenant names its users as it likes.
    """
    (pem,) = auth.get("x509_pem_cert", [b""])
    if not pem:
        return None
    subject = x509.load_pem_x509_certificate(pem).subject
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if len(names) != 1 or not names[0].startswith(NETD_USER) or groups != [NETD_GROUP]:
        return None
    return names[0].removeprefix(NETD_USER) or None


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    with open(tls.key, "rb") as key, open(tls.cert, "rb") as cert, open(tls.ca, "rb") as ca:
        pair = (key.read(), cert.read())
        return grpc.ssl_server_credentials([pair], ca.read(), require_client_auth=True)
