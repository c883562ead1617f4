"""Probes and hooks: ask a container over HTTP, TCP or by a command.

`Tally` is pure: it turns single outcomes into a verdict by the probe's thresholds. Addresses of
tenants overlap, so a socket is made inside the pod's network namespace; it then belongs there,
whoever uses it.
Source: Kubernetes, pkg/kubelet/prober, pkg/probe (http: 200..399 is success).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ursa.arktos.agent import cri
from ursa.base import netns
from ursa.kinds.container import (
    Container,
    ExecAction,
    HttpGetAction,
    IntOrString,
    LifecycleHandler,
    Probe,
    TcpSocketAction,
)

BODY_MAX_BYTES: Final = 10 << 10  # of an answer or a command's output that is quoted
QUOTED_MAX = 256
HEAD_MAX_BYTES: Final = 16 << 10


class Failed(Exception):
    """The container answered wrongly or not at all; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach one container."""

    runtime: cri.Runtime
    container_id: str
    container: Container
    ip: str
    netns: str
    """Path of the pod's network namespace; empty: this node's own."""


@dataclass(slots=True)
class Tally:
    """Outcomes in a row, and the verdict they make: `passed` changes at a threshold."""

    probe: Probe
    passed: bool
    run: int = 0
    last: bool | None = None

    def count(self, success: bool) -> bool:
        """Count one outcome; return whether this one reached its threshold."""
        self.run = self.run + 1 if success == self.last else 1
        self.last = success
        probe = self.probe
        needed = probe.success_threshold if success else probe.failure_threshold
        if self.run < max(1, needed):
            return False
        self.passed = success
        return True


async def ask(target: Target, probe: Probe) -> None:
    """Carry out a probe once; Failed says why it failed."""
    timeout_s = float(max(1, probe.timeout_seconds))
    try:
        async with asyncio.timeout(timeout_s + 0.5):
            if probe.exec:
                await _exec(target, probe.exec, timeout_s)
            elif probe.http_get:
                async with asyncio.timeout(timeout_s):
                    await _http(target, probe.http_get)
            elif probe.tcp_socket:
                async with asyncio.timeout(timeout_s):
                    await _tcp(target, probe.tcp_socket)
            else:
                raise Failed("this node carries out exec, httpGet and tcpSocket probes only")
    except TimeoutError as fault:
        raise Failed(f"no answer within {timeout_s:.0f}s") from fault
    except OSError as fault:
        raise Failed(fault.strerror or str(fault)) from fault


async def carry_out(target: Target, handler: LifecycleHandler, timeout_s: float) -> None:
    """Carry out a lifecycle hook; Failed says why it failed."""
    try:
        async with asyncio.timeout(timeout_s):
            if handler.exec:
                await _exec(target, handler.exec, timeout_s)
            elif handler.http_get:
                await _http(target, handler.http_get)
            elif handler.sleep:
                await asyncio.sleep(handler.sleep.seconds)
            elif handler.tcp_socket:
                raise Failed("tcpSocket is no hook of Kubernetes' any more: use exec or httpGet")
    except TimeoutError as fault:
        raise Failed(f"not done within {timeout_s:.0f}s") from fault
    except OSError as fault:
        raise Failed(fault.strerror or str(fault)) from fault


async def _exec(target: Target, action: ExecAction, timeout_s: float) -> None:
    try:
        done = await target.runtime.exec_sync(target.container_id, action.command, timeout_s)
    except cri.RuntimeRefused as refused:
        raise Failed(str(refused)) from refused
    if done.exit_code != 0:
        output = done.output[:BODY_MAX_BYTES].decode(errors="replace").strip()
        raise Failed(output[:QUOTED_MAX] or f"exit code {done.exit_code}")


async def _tcp(target: Target, action: TcpSocketAction) -> None:
    host, port = action.host or target.ip, port_number(target.container, action.port)
    try:
        connection = await connect(target.netns, host, port)
    except OSError as fault:
        raise Failed(f"dial tcp {host}:{port}: {fault.strerror or fault}") from fault
    connection.close()


async def _http(target: Target, action: HttpGetAction) -> None:
    host, port = action.host or target.ip, port_number(target.container, action.port)
    url = f"{action.scheme.lower() or 'http'}://{host}:{port}{action.path or '/'}"
    try:
        connection = await connect(target.netns, host, port)
    except OSError as fault:
        raise Failed(f'Get "{url}": dial tcp {host}:{port}: {fault.strerror or fault}') from fault
    context = _unverified() if action.scheme == "HTTPS" else None
    reader, writer = await asyncio.open_connection(
        sock=connection, ssl=context, server_hostname="" if context else None, limit=HEAD_MAX_BYTES
    )
    try:
        writer.write(_request(action, host, port))
        line = await reader.readline()
        code = _status_code(line)
    finally:
        writer.close()
    if not 200 <= code < 400:
        raise Failed(f"HTTP probe failed with statuscode: {code}")


def _request(action: HttpGetAction, host: str, port: int) -> bytes:
    headers = {"host": f"{host}:{port}", "user-agent": "kube-probe/1.32", "accept": "*/*"}
    headers |= {h.name.lower(): h.value for h in action.http_headers} | {"connection": "close"}
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _status_code(line: bytes) -> int:
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise Failed(f"malformed HTTP response {line[:QUOTED_MAX]!r}")
    return int(words[1])


def _unverified() -> ssl.SSLContext:
    """Return a context that accepts any certificate: a probe asks for life, not for identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def port_number(container: Container, port: IntOrString) -> int:
    """Return a port given by number or by the name of one of the container's. Failed if unknown."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    named = next((p.container_port for p in container.ports if p.name == port), None)
    if named is None:
        raise Failed(f"container {container.name} has no port named {port!r}")
    return named


async def connect(netns_path: str, host: str, port: int) -> socket.socket:
    """Return a socket connected from inside a network namespace. OSError if refused."""
    made = await asyncio.to_thread(_in_namespace(netns_path, _stream_socket(host)))
    try:
        await asyncio.get_running_loop().sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    return made


def _in_namespace(path: str, call: Callable[[], socket.socket]) -> Callable[[], socket.socket]:
    return (lambda: netns.run_in(path, call)) if path else call


def _stream_socket(host: str) -> Callable[[], socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def make() -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setblocking(False)
        return made

    return make
