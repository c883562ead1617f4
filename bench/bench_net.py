"""How fast is one TCP stream, and how long a round trip, between pods of two hosts?

tcp_gbps: iperf3, one stream, cubic, after 1 s of warm-up. rr_p50_us: a byte to and fro over
one TCP connection, both ends in Python. Hosts and pods are namespaces with the interfaces that
the onebox makes; client on CPU 0, server on CPU 1. Budget: SPECIFICATION.md, "Network".
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path

from harness import emit, machine
from hosts import Pod, cloud, eventually

RUNS = 7
STREAM_S = 1
ROUND_TRIPS = 5_000
WARM_UP = 500
VNI = 7


def tcp_gbps(client: Pod, server: Pod) -> float:
    """Return the rate at which one run's bytes arrived."""
    listener = server.start("taskset -c 1 iperf3 --server --one-off --json")
    eventually(lambda: listens(server), "iperf3 listens")
    said = client.sh(
        f"taskset -c 0 iperf3 --client {server.address} --json --congestion cubic "
        f"--time {STREAM_S} --omit 1"
    )
    listener.communicate()
    report = json.loads(said)  # sum_received is what the server counted
    assert "error" not in report, report["error"]
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9


def listens(server: Pod) -> bool:
    """Whether something listens (state 0A) at iperf3's port, 5201."""
    sockets = server.sh("cat /proc/net/tcp6").splitlines()
    return any(":1451 " in line and " 0A " in line for line in sockets)


def rr_p50_us(client: Pod, server: Pod) -> float:
    listener = server.run(lambda: socket.create_server((server.address, 0)))
    if (child := os.fork()) == 0:  # no thread: two would share the interpreter lock
        os.sched_setaffinity(0, {1})
        echo(listener)
        os._exit(0)
    address = listener.getsockname()
    listener.close()
    with client.run(lambda: socket.create_connection(address, 10)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took_us = round_trips(connection)
    os.waitpid(child, 0)
    return statistics.median(took_us)


def echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(1):
        connection.send(data)


def round_trips(connection: socket.socket) -> list[float]:
    took_us = []
    for _ in range(WARM_UP + ROUND_TRIPS):
        began_ns = time.perf_counter_ns()
        connection.send(b"x")
        connection.recv(1)
        took_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return took_us[WARM_UP:]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, cloud(Path(scratch)) as hosts:
        client = hosts.add_pod(hosts.hosts[0], VNI, "10.0.0.4")
        server = hosts.add_pod(hosts.hosts[1], VNI, "10.0.0.5")
        hosts.settle()
        os.sched_setaffinity(0, {0})
        emit("tcp_gbps", [tcp_gbps(client, server) for _ in range(RUNS)], "Gbit/s")
        emit("rr_p50_us", [rr_p50_us(client, server) for _ in range(RUNS)], "us")
    machine()


if __name__ == "__main__":
    main()
