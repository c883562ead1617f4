"""Logs and exec over the node's HTTPS server, from a real container."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest

from agent_node import running_pod, until
from ursa.arktos.agent.server import NodeServer
from ursa.base import pki
from ursa.base.config import TlsFiles
from ursa.base.pki import Identity

pytestmark = pytest.mark.root

PATH = "acme/dev/web/main"
TALK = "for i in 1 2 3; do echo line $i; done; echo oops >&2; trap 'exit 0' TERM; sleep 1000 & wait"
TALKER = {"name": "main", "image": "busybox", "command": ["sh", "-c", TALK]}


class OneTask:
    def __init__(self, task) -> None:
        self._task = task

    def task(self, key):
        return self._task if key.name == "web" else None


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """Files of the node, the API server and a stranger, of one authority."""
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.new_authority("test")
    pki.save(folder / "ca.crt", authority.cert_pem(), secret=False)
    found = {}
    for name, user in {"node": "system:node:n", "api": "system:apiserver", "eve": "eve"}.items():
        cert, key = pki.issue(authority, Identity(user, addresses=["127.0.0.1"]))
        pki.save(folder / f"{name}.crt", cert, secret=False)
        pki.save(folder / f"{name}.key", key, secret=True)
        files = {"cert": str(folder / f"{name}.crt"), "key": str(folder / f"{name}.key")}
        found[name] = TlsFiles(ca=str(folder / "ca.crt"), **files)
    return found


@asynccontextmanager
async def served(containerd_node, identities, who="api", **spec):
    """Yield a pod with its server, and a client session of one identity."""
    spec = spec or {"containers": [TALKER]}
    async with running_pod(containerd_node, **spec) as side, asyncio.TaskGroup() as tasks:
        await until(lambda: side.pod().status.ready)
        server = NodeServer(OneTask(side.task), side.host, identities["node"])
        run = tasks.create_task(server.run("127.0.0.1", 0))
        await server.listening.wait()
        context = ssl.create_default_context(cafile=identities[who].ca)
        context.load_cert_chain(identities[who].cert, identities[who].key)
        base = f"https://127.0.0.1:{server.port}"
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(base, connector=connector) as session:
            yield side, session
        run.cancel()


async def test_a_log_is_read_whole_tailed_stamped_and_limited(containerd_node, identities):
    async with served(containerd_node, identities) as (_, session):
        whole = "line 1\nline 2\nline 3\n"

        async def get(query: str) -> str:
            async with session.get(f"/containerLogs/{PATH}?{query}") as answer:
                return await answer.text()

        assert await until(lambda: _contains(get, "oops"))
        assert (await get("stream=Stdout")) == whole
        assert (await get("tailLines=2&stream=Stdout")).splitlines()[0] in ("line 2", "line 3")
        assert (await get("limitBytes=6&stream=Stdout")) == "line 1"
        assert (await get("timestamps=true")).splitlines()[0].startswith("20")
        assert (await get("sinceSeconds=3600")).count("\n") == 4
        assert (await get("sinceTime=2100-01-01T00:00:00Z")) == ""


async def _contains(get, text: str) -> bool:
    return text in await get("")


async def test_a_followed_log_ends_with_its_container(containerd_node, identities):
    script = "echo first; sleep 0.5; echo last"
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    spec = {"containers": [container], "restartPolicy": "Never"}
    async with (
        served(containerd_node, identities, **spec) as (_, session),
        session.get(f"/containerLogs/{PATH}?follow=true") as answer,
    ):
        assert await asyncio.wait_for(answer.text(), 10) == "first\nlast\n"


async def test_refusals_name_what_is_wrong(containerd_node, identities):
    async with served(containerd_node, identities) as (_, session):
        for path, code, text in (
            ("/containerLogs/acme/dev/other/main", 404, 'pods "other" not found'),
            ("/containerLogs/acme/dev/web/side", 400, "container side is not valid for pod web"),
            (f"/containerLogs/{PATH}?previous=true", 400, "previous terminated container"),
            (f"/containerLogs/{PATH}?tailLines=x", 400, "must be a number"),
            (f"/exec/{PATH}?command=ls&stdout=1", 400, "WebSocket"),
            ("/pods", 404, "serves /containerLogs and /exec"),
        ):
            async with session.get(path) as answer:
                status = await answer.json()
                assert (answer.status, status["code"]) == (code, code)
                assert text in status["message"]


async def test_only_the_api_server_is_served(containerd_node, identities):
    async with (
        served(containerd_node, identities, who="eve") as (_, session),
        session.get(f"/containerLogs/{PATH}") as answer,
    ):
        assert answer.status == 403


@asynccontextmanager
async def execute(session, *command: str, protocol="v5.channel.k8s.io", **flags):
    query = [("command", word) for word in command]
    query += [(name, "true") for name, value in flags.items() if value]
    async with session.ws_connect(f"/exec/{PATH}", params=query, protocols=(protocol,)) as socket:
        assert socket.protocol == protocol
        yield socket


async def outcome(socket) -> tuple[dict[int, bytes], dict]:
    """Return everything received by channel, and the status."""
    channels: dict[int, bytes] = {}
    async with asyncio.timeout(20):
        async for message in socket:
            channels[message.data[0]] = channels.get(message.data[0], b"") + message.data[1:]
    return channels, json.loads(channels.pop(3))


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_a_command_gives_output_and_exit_code(containerd_node, identities, protocol):
    async with served(containerd_node, identities) as (_, session):
        command = ("sh", "-c", "echo out; echo err >&2; exit 3")
        flags = {"stdout": True, "stderr": True}
        async with execute(session, *command, protocol=protocol, **flags) as socket:
            channels, status = await outcome(socket)
        assert channels == {1: b"out\n", 2: b"err\n"}
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_stdin_is_closed_alone_and_the_answer_still_comes(containerd_node, identities):
    async with served(containerd_node, identities) as (_, session):
        async with execute(session, "sort", stdin=True, stdout=True) as socket:
            await socket.send_bytes(b"\0b\na\n")
            await socket.send_bytes(b"\xff\0")
            channels, status = await outcome(socket)
        assert channels == {1: b"a\nb\n"}
        assert status["status"] == "Success"


async def test_a_megabyte_passes_in_both_directions(containerd_node, identities):
    async with served(containerd_node, identities) as (_, session):
        async with execute(session, "cat", stdin=True, stdout=True) as socket:

            async def feed() -> None:
                for _ in range(64):
                    await socket.send_bytes(b"\0" + b"x" * 16384)
                await socket.send_bytes(b"\xff\0")

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed())
                channels, _ = await outcome(socket)
        assert len(channels[1]) == 1 << 20


async def test_a_terminal_has_the_size_that_was_sent(containerd_node, identities):
    async with served(containerd_node, identities) as (_, session):
        flags = {"stdin": True, "stdout": True, "tty": True}
        command = ("sh", "-c", "read x; stty size")
        async with execute(session, *command, **flags) as socket:
            await socket.send_bytes(b"\x04" + json.dumps({"Width": 101, "Height": 33}).encode())
            await asyncio.sleep(0.3)  # the runtime resizes in a task of its own
            await socket.send_bytes(b"\0\n")
            channels, status = await outcome(socket)
        assert b"33 101" in channels[1]
        assert status["status"] == "Success"
