"""How many requests does one API server answer, durably and over TLS?

One server on SQLite with an empty data directory; the load is another process, with one mutual
TLS connection a client, each sending its next request when the last is answered. create_cN_per_s:
ConfigMaps of 1 KiB with distinct names by N clients, each answered after its fsync. get_c64_per_s:
GETs of one object by 64 clients. list_5000_ms: one LIST of 5,000 such ConfigMaps, to its last
byte, over a connection that stands. Beside each rate, *_cpu_us is the server's CPU time, of all
its threads, per request of the same runs, and *_client_cpu_us the load's. What limits is the
larger of the two where one core has each: 1e6 / cpu_us is what the server could answer; if the
rate is far below both, something else took the cores, or (creates by few clients) the wait for
the disk does. Handshakes and warm-up are in none of them. Budget: SPECIFICATION.md, "API server".
`--quick` is one short run of each, to see that it works.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from harness import emit, machine
from ursa.base import pki

RUNS, RUN_S, WARM_UP_S = 7, 2.0, 0.5
QUICK_RUNS, QUICK_RUN_S = 1, 1.0
LISTED, FILLERS, FILL_S_MAX = 5_000, 10, 60.0
READ_BYTES = 64 << 10
HOST = "127.0.0.1"
CONFIGMAPS = "/api/v1/tenants/system/namespaces/{}/configmaps"
DATA = {"data": {"payload": "x" * 900}}


class Client:
    """One connection that sends a request as soon as the last is answered.

    TLS by hand over a bare socket: a third of what a client of uvloop takes from the machine
    that the server shares.
    """

    def __init__(self, port: int, context: ssl.SSLContext, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""
        self._shake_hands()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self) -> bool:
        """Send the next request; False if there is none."""
        request = next(self._requests, None)
        if request is None:
            return False
        self._tls.write(request)
        self._socket.sendall(self._outgoing.read())
        return True

    def receive(self) -> bool:
        """Take what has arrived; True if that completes the answer."""
        self._incoming.write(self._socket.recv(READ_BYTES))
        while self._incoming.pending or self._tls.pending():
            try:
                self._answer += self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
        head, mark, body = self._answer.partition(b"\r\n\r\n")
        if not mark:
            return False
        if head[9:12] not in (b"200", b"201"):
            raise AssertionError(self._answer.decode())
        if len(body) < int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            return False
        self._answer = b""
        return True

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._incoming.write(self._socket.recv(READ_BYTES))
            else:
                self._socket.sendall(self._outgoing.read())
                return


def head(method: str, path: str, more: str = "") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}"


def gets(path: str) -> Iterator[bytes]:
    request = f"{head('GET', path)}\r\n".encode()
    while True:
        yield request


def creates(namespace: str, prefix: str) -> Iterator[bytes]:
    """Yield creations of distinct names; only the name is put in, so they cost next to nothing."""
    number = 0
    name = f"{prefix}-{number:06}"
    body = json.dumps({"metadata": {"name": name}} | DATA)
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = (head("POST", CONFIGMAPS.format(namespace), more) + body).encode()
    before, after = request.split(name.encode())
    while True:
        yield b"%b%b-%06d%b" % (before, prefix.encode(), number, after)
        number += 1


class Load(NamedTuple):
    """What was measured in a run, warm-up and handshakes left out."""

    per_s: float
    server_us: float  # CPU of the server per request
    client_us: float  # CPU of the load per request


def load(pipe: Connection, port: int, pid: int, folder: str) -> None:
    """The load process: answers (kind, clients, seconds, namespace) with a Load."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
    while (order := pipe.recv()) is not None:
        kind, number, seconds, namespace = order
        clients = [Client(port, context, r) for r in requests_of(kind, number, namespace)]
        pipe.send(drive(clients, pid, seconds))
        for client in clients:
            client.close()


def requests_of(kind: str, clients: int, namespace: str) -> Iterator[Iterator[bytes]]:
    for number in range(clients):
        match kind:
            case "fill":
                yield islice(creates(namespace, f"listed-{number}"), LISTED // clients)
            case "create":
                yield creates(namespace, f"{time.time_ns()}-{number}")
            case _:
                yield gets(f"{CONFIGMAPS.format(namespace)}/one")


def drive(clients: list[Client], pid: int, seconds: float) -> Load:
    """Warm up, then run until the time is over or no client has more to send."""
    with select.epoll() as epoll:
        for client in clients:
            epoll.register(client, select.EPOLLIN)
            client.send()
        busy = {client.fileno(): client for client in clients}
        answered(epoll, busy, time.monotonic() + WARM_UP_S)
        began_s, server_s, client_s = time.monotonic(), cpu_s(pid), time.process_time()
        done = max(1, answered(epoll, busy, began_s + seconds))
        took_s = time.monotonic() - began_s
        server_us = (cpu_s(pid) - server_s) * 1e6 / done
        return Load(done / took_s, server_us, (time.process_time() - client_s) * 1e6 / done)


def answered(epoll: select.epoll, busy: dict[int, Client], until_s: float) -> int:
    """Send and receive until a time; return how many requests were answered."""
    done = 0
    while busy and time.monotonic() < until_s:
        for descriptor, _ in epoll.poll(0.1):
            if not busy[descriptor].receive():
                continue
            done += 1
            if not busy[descriptor].send():
                epoll.unregister(descriptor)
                del busy[descriptor]
    return done


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
    """Plain requests between the runs, over one connection that is kept."""

    def __init__(self, port: int, folder: Path) -> None:
        context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
        context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
        self._connection = http.client.HTTPSConnection(HOST, port, context=context)

    def request(self, method: str, path: str, body: object = None) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise AssertionError(content.decode())
        return content

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
        target=load, args=(there, port, pid, str(folder))
    )
    loader.start()
    for name in ("created", "listed", "got"):
        operator.namespace(name)
    operator.request("POST", CONFIGMAPS.format("got"), {"metadata": {"name": "one"}} | DATA)

    def order(kind: str, clients: int, seconds: float, namespace: str) -> Load:
        here.send((kind, clients, seconds, namespace))
        result: Load = here.recv()
        return result

    def rate(name: str, kind: str, clients: int, namespace: str) -> None:
        loads = [order(kind, clients, run_s, namespace) for _ in range(runs)]
        emit(f"{name}_per_s", [load.per_s for load in loads], "1/s")
        emit(f"{name}_cpu_us", [load.server_us for load in loads], "us")
        emit(f"{name}_client_cpu_us", [load.client_us for load in loads], "us")

    for clients in (1, 16, 64):
        rate(f"create_c{clients}", "create", clients, "created")
    rate("get_c64", "get", 64, "got")
    order("fill", FILLERS, FILL_S_MAX, "listed")
    list_ms(operator)
    emit("list_5000_ms", [list_ms(operator) for _ in range(max(runs, 3))], "ms")
    here.send(None)
    loader.join()


if __name__ == "__main__":
    main()
