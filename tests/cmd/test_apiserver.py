"""`ursa apiserver` as a process: it starts, says so, survives kill -9, and explains itself."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import msgspec
import pytest

from apiserver import HOST, admin, client_context, folder, identity
from ursa.base.config import ConfigError
from ursa.cmd.apiserver import ApiServerConfig, parse_address

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@pytest.fixture
def config(tmp_path):
    """Return the config file's path and the port."""
    port = free_port()
    tls = identity("system:apiserver", "system:masters", addresses=(HOST,))
    made = ApiServerConfig(
        name="apiserver",
        ready_file=str(tmp_path / "ready"),
        listen=(f"{HOST}:{port}",),
        store_dir=str(tmp_path / "store"),
        tls=tls,
        client_ca=tls.ca,
        service_account_key=str(folder() / "sa.key"),
    )
    path = tmp_path / "apiserver.json"
    path.write_bytes(msgspec.json.encode(made))
    return path, port


class Process:
    def __init__(self, config, port: int) -> None:
        self._command = [sys.executable, "-m", "ursa", "apiserver", "--config", str(config)]
        self._ready = config.with_name("ready")
        self.port = port
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self._ready.unlink(missing_ok=True)  # a killed one could not
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            while not self._ready.exists():
                assert self.process.returncode is None, await self.process.stderr.read()
                await asyncio.sleep(0.02)

    async def end(self, number: int) -> int:
        self.process.send_signal(number)
        await self.process.stderr.read()
        return await self.process.wait()

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict]:
        context = client_context(admin())
        reader, writer = await asyncio.open_connection(HOST, self.port, ssl=context)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), msgspec.json.decode(answer)


async def test_what_was_acknowledged_outlives_kill_9_and_revisions_go_on(config):
    server = Process(*config)
    await server.start()
    made = [
        await server.request("POST", CONFIGMAPS, b'{"metadata":{"name":"n%d"}}' % i)
        for i in range(20)
    ]
    assert {status for status, _ in made} == {201}
    await server.end(signal.SIGKILL)

    await server.start()
    _, listed = await server.request("GET", CONFIGMAPS)
    assert sorted(i["metadata"]["uid"] for i in listed["items"]) == sorted(
        doc["metadata"]["uid"] for _, doc in made
    )
    last = int(made[-1][1]["metadata"]["resourceVersion"])
    status, after = await server.request("POST", CONFIGMAPS, b'{"metadata":{"name":"after"}}')
    assert status == 201 and int(after["metadata"]["resourceVersion"]) == last + 1
    watch = f"{CONFIGMAPS}?watch=1&timeoutSeconds=1&resourceVersion={last}"
    reader, writer = await asyncio.open_connection(HOST, server.port, ssl=client_context(admin()))
    writer.write(f"GET {watch} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert b'"name":"after"' in await reader.read(), "a watch resumes across the restart"
    writer.close()
    assert await server.end(signal.SIGTERM) == 0
    assert not config[0].with_name("ready").exists()


async def test_a_second_start_lays_the_same_foundation_and_writes_nothing(config):
    server = Process(*config)
    revisions = []
    for _ in range(2):
        await server.start()
        _, listed = await server.request("GET", "/api/v1/namespaces")
        revisions.append(listed["metadata"]["resourceVersion"])
        assert await server.end(signal.SIGTERM) == 0
    assert revisions[0] == revisions[1]
    names = [item["metadata"]["name"] for item in listed["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]


def run(path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ursa", "apiserver", "--config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_why_it_cannot_start_is_one_line(config, tmp_path):
    path, port = config
    with socket.create_server((HOST, port)):
        taken = run(path)
    assert taken.returncode == 1 and f"cannot listen on {HOST}:{port}" in taken.stderr
    os.unlink(path)
    missing = run(path)
    assert missing.returncode == 1 and "No such file" in missing.stderr
    for said in (taken, missing):
        assert len(said.stderr.strip().splitlines()) == 1, said.stderr


@pytest.mark.parametrize("text", ["", "6443", "host:", ":6443", "1.2.3.4:x", "1.2.3.4:70000"])
def test_what_is_no_address_is_named(text):
    with pytest.raises(ConfigError, match="ip:port"):
        parse_address(text)


def test_an_address_may_be_of_ipv6():
    assert parse_address("[::1]:6443") == ("::1", 6443)
