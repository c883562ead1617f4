"""How many requests does one API server answer, durably and over TLS?

One server on SQLite with an empty data directory; the load is another process, with one mutual
TLS connection a client, each sending its next request when the last is answered. create_cN_per_s:
ConfigMaps of 1 KiB with distinct names by N clients, each answered after its fsync. get_c64_per_s:
GETs of one object by 64 clients. list_5000_ms: one LIST of 5,000 such ConfigMaps, to its last
byte. *_cpu_us is the server's CPU time, of all its threads, per request of the same runs: on a
machine of two cores the load has one of them, and limits GETs before the server does. Budget:
SPECIFICATION.md, "API server".
`--quick` is one short run of each, to see that it works.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from harness import emit, machine
from ursa.base import pki

RUNS, RUN_S, WARM_UP_S = 7, 2.0, 0.5
QUICK_RUNS, QUICK_RUN_S = 1, 1.0
LISTED, FILLERS = 5_000, 10
HOST = "127.0.0.1"
CONFIGMAPS = "/api/v1/tenants/system/namespaces/{}/configmaps"
DATA = {"data": {"payload": "x" * 900}}


class Client(asyncio.Protocol):
    """One connection that sends a request as soon as the last is answered."""

    def __init__(self, requests: Iterator[bytes], done: list[int]) -> None:
        self._requests = requests
        self._done = done
        self._left = -1  # bytes of the answer's body still to come; -1: in its head
        self._head = b""
        self.is_stopped = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is not None and not self.is_stopped:
            self._transport.write(request)  # type: ignore[attr-defined]
        elif not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if self._head[9:12] not in (b"200", b"201"):
                raise AssertionError(self._head.decode())
            at = self._head.index(b"Content-Length: ") + 16
            length = int(self._head[at : self._head.index(b"\r\n", at)])
            self._left = length - (len(self._head) - end - 4)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._left, self._head = -1, b""
            self._done[0] += 1
            self._send()


def head(method: str, path: str, more: str = "") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}"


def gets(path: str) -> Iterator[bytes]:
    request = f"{head('GET', path)}\r\n".encode()
    while True:
        yield request


def creates(namespace: str, prefix: str) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        body = json.dumps({"metadata": {"name": f"{prefix}-{number}"}} | DATA)
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        yield (head("POST", CONFIGMAPS.format(namespace), more) + body).encode()


def load(pipe: Connection, port: int, folder: str) -> None:
    """The load process: answers (kind, clients, seconds, namespace) with requests per second."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
    while (order := pipe.recv()) is not None:
        kind, clients, seconds, namespace = order
        if kind == "fill":
            pipe.send(uvloop.run(fill(port, context, namespace)))
        else:
            pipe.send(uvloop.run(drive(port, context, kind, clients, seconds, namespace)))


async def fill(port: int, context: ssl.SSLContext, namespace: str) -> tuple[float, int]:
    """Create LISTED objects."""
    done = [0]
    ended = []
    loop = asyncio.get_running_loop()
    for number in range(FILLERS):
        requests = islice(creates(namespace, f"listed-{number}"), LISTED // FILLERS)
        client = Client(requests, done)
        await loop.create_connection(lambda c=client: c, HOST, port, ssl=context)
        ended.append(client.ended)
    await asyncio.gather(*ended)
    return 0.0, done[0]


async def drive(
    port: int, context: ssl.SSLContext, kind: str, clients: int, seconds: float, namespace: str
) -> tuple[float, int]:
    """Return requests per second, and how many there were, warm-up included."""
    done = [0]
    mine = []
    loop = asyncio.get_running_loop()
    for number in range(clients):
        if kind == "create":
            requests = creates(namespace, f"{time.time_ns()}-{number}")
        else:
            requests = gets(f"{CONFIGMAPS.format(namespace)}/one")
        client = Client(requests, done)
        await loop.create_connection(lambda c=client: c, HOST, port, ssl=context)
        mine.append(client)
    await asyncio.sleep(WARM_UP_S)
    began_s, before = time.monotonic(), done[0]
    await asyncio.sleep(seconds)
    rate = (done[0] - before) / (time.monotonic() - began_s)
    for client in mine:
        client.is_stopped = True
    await asyncio.gather(*(client.ended for client in mine))
    return rate, done[0]


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """Run `ursa apiserver` on an empty store; yields its port and pid."""
    port = free_port()
    write_pki(folder)
    tls = {name: f"{folder}/apiserver.{name}" for name in ("cert", "key")}
    config = {
        "name": "apiserver",
        "ready_file": f"{folder}/ready",
        "listen": [f"{HOST}:{port}"],
        "store_dir": f"{folder}/store",
        "tls": {"ca": f"{folder}/ca.crt", "cert": f"{folder}/apiserver.crt", "key": tls["key"]},
        "client_ca": f"{folder}/ca.crt",
        "service_account_key": f"{folder}/sa.key",
    }
    (folder / "apiserver.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "ursa", "apiserver", "--config", f"{folder}/apiserver.json"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        while not (folder / "ready").exists():
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.02)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def write_pki(folder: Path) -> None:
    authority = pki.new_authority("bench")
    (folder / "ca.crt").write_bytes(authority.cert_pem())
    (folder / "sa.key").write_bytes(pki.authority_key_pem(authority))
    for name, identity in (
        ("admin", pki.Identity("admin", ("system:masters",))),
        ("apiserver", pki.Identity("system:apiserver", addresses=(HOST,))),
    ):
        cert, key = pki.issue(authority, identity)
        (folder / f"{name}.crt").write_bytes(cert)
        (folder / f"{name}.key").write_bytes(key)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Operator:
    """Plain requests between the runs."""

    def __init__(self, port: int, folder: Path) -> None:
        self._url = f"https://{HOST}:{port}"
        self._context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
        self._context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")

    def request(self, method: str, path: str, body: object = None) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(self._url + path, data, method=method)
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, context=self._context) as answer:
            return bytes(answer.read())

    def namespace(self, name: str) -> None:
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has taken, kernel included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def list_ms(operator: Operator) -> float:
    began_s = time.perf_counter()
    operator.request("GET", CONFIGMAPS.format("listed"))
    return (time.perf_counter() - began_s) * 1e3


def main() -> None:
    quick = "--quick" in sys.argv
    runs, run_s = (QUICK_RUNS, QUICK_RUN_S) if quick else (RUNS, RUN_S)
    folder = Path(tempfile.mkdtemp(prefix="ursa-bench-api-", dir=os.environ.get("TMPDIR")))
    try:
        with server(folder) as (port, pid):
            bench(Operator(port, folder), port, pid, folder, runs, run_s)
    finally:
        shutil.rmtree(folder)
    machine()


def bench(operator: Operator, port: int, pid: int, folder: Path, runs: int, run_s: float) -> None:
    here, there = multiprocessing.Pipe()
    loader = multiprocessing.get_context("spawn").Process(
        target=load, args=(there, port, str(folder))
    )
    loader.start()
    for name in ("created", "listed", "got"):
        operator.namespace(name)
    operator.request("POST", CONFIGMAPS.format("got"), {"metadata": {"name": "one"}} | DATA)

    def order(kind: str, clients: int, namespace: str) -> tuple[float, int]:
        here.send((kind, clients, run_s, namespace))
        result: tuple[float, int] = here.recv()
        return result

    def rate(name: str, kind: str, clients: int, namespace: str) -> None:
        rates, costs = [], []
        for _ in range(runs):
            before_s = cpu_s(pid)
            per_s, done = order(kind, clients, namespace)
            rates.append(per_s)
            costs.append((cpu_s(pid) - before_s) * 1e6 / done)
        emit(f"{name}_per_s", rates, "1/s")
        emit(f"{name}_cpu_us", costs, "us")

    for clients in (1, 16, 64):
        rate(f"create_c{clients}", "create", clients, "created")
    rate("get_c64", "get", 64, "got")
    order("fill", FILLERS, "listed")
    list_ms(operator)
    emit("list_5000_ms", [list_ms(operator) for _ in range(max(runs, 3))], "ms")
    here.send(None)
    loader.join()


if __name__ == "__main__":
    main()
