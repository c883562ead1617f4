"""Logs and exec through the API server to an agent: a small server of the agent's wire."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from apiserver import HOST, admin, client_context, identity, serving, tenant_admin
from ursa.api.nodes import Place, handshake

POD = "/api/v1/namespaces/default/pods/p"
SUBPROTOCOL = "v5.channel.k8s.io"


class Agent:
    """Answers as an agent does; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.peers: list[str] = []
        self.follow = asyncio.Event()

    async def logs(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if request.query.get("previous") == "true":
            return web.Response(status=400, text="previous terminated container not found")
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one\n")
        if request.query.get("follow") == "true":
            await self.follow.wait()
            await answer.write(b"two\n")
        return answer

    async def exec(self, request: web.Request) -> web.WebSocketResponse:
        self._note(request)
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await socket.prepare(request)
        async for message in socket:
            if message.data == b"\x00bye":
                break
            await socket.send_bytes(b"\x01" + message.data[1:])
        await socket.close()
        return socket

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.path, request.query_string))
        subject = request.transport.get_extra_info("peercert")["subject"]
        self.peers += [value for ((name, value),) in subject if name == "commonName"]

    @asynccontextmanager
    async def listening(self):
        app = web.Application()
        app.router.add_get("/containerLogs/{place:.*}", self.logs)
        app.router.add_get("/exec/{place:.*}", self.exec)
        tls = identity("system:node:n1", "system:nodes", addresses=(HOST,))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert, tls.key)
        context.load_verify_locations(tls.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0, ssl_context=context)
        await site.start()
        yield site._server.sockets[0].getsockname()[1]
        await runner.cleanup()


@pytest.fixture
async def agent():
    return Agent()


@pytest.fixture
async def server(agent):
    """An API server with pod p on node n1, whose agent listens."""
    async with serving() as running, agent.listening() as port:
        status = {
            "addresses": [{"type": "InternalIP", "address": HOST}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        api = running.admin
        await api("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}, "status": status})
        spec = {"nodeName": "n1", "containers": [{"name": "main", "image": "busybox"}]}
        made = await api("POST", POD.removesuffix("/p"), {"metadata": {"name": "p"}, "spec": spec})
        assert made.status == 201, made.raw
        yield running


async def test_a_log_is_the_agents_answer(server, agent):
    answer = await server.admin("GET", f"{POD}/log?tailLines=5&junk=x")
    assert (answer.status, answer.raw) == (200, b"one\n")
    assert answer.headers["Content-Type"] == "text/plain"
    assert agent.asked == [("/containerLogs/system/default/p/main", "tailLines=5")]
    assert agent.peers == ["system:apiserver"]


async def test_a_followed_log_comes_as_it_grows(server, agent):
    api = server.admin
    async with api.session.get(f"{server.url}{POD}/log?follow=true", ssl=api.context) as answer:
        assert await answer.content.readline() == b"one\n"
        agent.follow.set()
        assert await answer.content.readline() == b"two\n"


async def test_the_agents_refusal_becomes_a_status(server):
    answer = await server.admin("GET", f"{POD}/log?previous=true")
    assert answer.status == 400 and "previous terminated container" in answer.doc["message"]


async def test_a_node_that_does_not_listen_is_named(server, agent):
    node = "/api/v1/nodes/n1/status"
    await server.admin.patch(
        node, {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
    )
    answer = await server.admin("GET", f"{POD}/log")
    assert answer.status == 503 and f"{HOST}:1" in answer.doc["message"]


@asynccontextmanager
async def exec_socket(server, tls=None, query="command=cat&stdin=true&stdout=true"):
    url = f"{server.url}{POD}/exec?{query}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, ssl=client_context(tls or admin()), protocols=[SUBPROTOCOL], autoclose=False
        ) as socket,
    ):
        yield socket


async def test_exec_bytes_go_both_ways_unchanged(server, agent):
    async with exec_socket(server) as socket:
        assert socket.protocol == SUBPROTOCOL
        for size in (1, 70_000, 500_000):
            payload = bytes(range(256)) * (size // 256 + 1)
            await socket.send_bytes(b"\x00" + payload)
            answer = await socket.receive(5)
            assert answer.data == b"\x01" + payload
        await socket.send_bytes(b"\x00bye")
        assert (await socket.receive(5)).type is aiohttp.WSMsgType.CLOSE
    assert agent.asked == [("/exec/system/default/p/main", "command=cat&stdin=true&stdout=true")]


async def test_exec_needs_its_own_right(server):
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with exec_socket(server, tenant_admin("acme")):
            pass
    assert caught.value.status in (403, 404)


async def test_a_client_that_goes_away_frees_the_agent(server, agent):
    async with exec_socket(server) as socket:
        await socket.send_bytes(b"\x00x")
        await socket.receive(5)
        socket._response.connection.transport.abort()
    assert (await server.admin("GET", "/readyz")).status == 200


def test_the_handshake_carries_nothing_of_the_clients_identity():
    headers = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "abc",
        "authorization": "Bearer secret",
        "cookie": "x",
    }
    place = Place("10.0.0.1", 10250, "/t/ns/p/c")
    text = handshake(place, [("command", "ls"), ("command", "-l a")], headers).decode()
    assert text.startswith(
        "GET /exec/t/ns/p/c?command=ls&command=-l+a HTTP/1.1\r\nHost: 10.0.0.1\r\n"
    )
    assert "secret" not in text and "cookie" not in text and text.endswith("\r\n\r\n")
