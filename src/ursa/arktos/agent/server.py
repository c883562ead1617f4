"""The node's HTTPS server: a container's log, a command in a container.

    GET /containerLogs/{tenant}/{namespace}/{pod}/{container}?follow&tailLines&sinceSeconds…
    GET /exec/{tenant}/{namespace}/{pod}/{container}?command=…&stdin&stdout&stderr&tty  (WebSocket)
    GET /healthz

Only the API server may ask: it has authenticated and authorised the user. One request a
connection, for each is long or rare.
Source: Kubernetes, pkg/kubelet/server; Arktos for the tenant in the path.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from cri_api.v1 import api_pb2 as cri_pb

from ursa.arktos.agent import cri, logs, podstate, remotecommand
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.pod import PodTask
from ursa.arktos.agent.remotecommand import Session, Wanted
from ursa.base.clock import parse_rfc3339
from ursa.base.config import TlsFiles
from ursa.base.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    NotFound,
    ServiceUnavailable,
    not_found,
)
from ursa.client.key import Key

log = logging.getLogger(__name__)

API_SERVER: Final = "system:apiserver"
HEAD_MAX_BYTES: Final = 32 << 10  # a command of many words comes in the URL
HEAD_TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 256


class Tasks(Protocol):
    def task(self, key: Key) -> PodTask | None: ...


@dataclass(frozen=True, slots=True)
class Request:
    head: bytes
    """The request line and headers as they came."""
    path: tuple[str, ...]
    query: dict[str, list[str]]

    def text(self, name: str) -> str:
        return self.query.get(name, [""])[0]

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not text.isdigit():
            raise BadRequest(f"{name}={text}: must be a number, 0 or above")
        return int(text)


class NodeServer:
    def __init__(self, tasks: Tasks, host: Host, tls: TlsFiles) -> None:
        self.listening = asyncio.Event()
        self.port = 0  # the one it listens on
        self._tasks = tasks
        self._host = host
        self._tls = tls
        self._connections = 0

    async def run(self, address: str, port: int) -> None:
        """Serve until cancelled."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self._tls.ca)
        context.load_cert_chain(self._tls.cert, self._tls.key)
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(
            self._connected, address, port, ssl=context, limit=HEAD_MAX_BYTES
        )
        self.port = server.sockets[0].getsockname()[1]
        self.listening.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            await self._serve(reader, writer)
        except* (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            pass  # the client has gone
        except* Exception:  # a boundary: one bad request must not stop the server
            log.exception("request failed")
        finally:
            self._connections -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._connections > CONNECTIONS_MAX:
                raise ServiceUnavailable(f"this node serves {CONNECTIONS_MAX} requests at most")
            request = await _read(reader)
            _check_peer(writer)
            await self._route(request, reader, writer)
        except ApiError as refusal:
            body = msgspec.json.encode(refusal.status())
            writer.write(_head(refusal.code, "application/json", length=len(body)) + body)
            await writer.drain()

    async def _route(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match request.path:
            case ("healthz",):
                writer.write(_head(200, "text/plain", length=2) + b"ok")
                await writer.drain()
            case ("containerLogs", tenant, namespace, pod, container):
                task = self._find(Key(tenant, namespace, pod))
                chunks = self._log(task, container, request)
                await _until_gone(reader, _stream(writer, chunks))
            case ("exec", tenant, namespace, pod, container):
                task = self._find(Key(tenant, namespace, pod))
                await self._exec(task, container, request, reader, writer)
            case _:
                raise NotFound("the node serves /containerLogs and /exec")

    def _find(self, key: Key) -> PodTask:
        task = self._tasks.task(key)
        if task is None:
            raise not_found("pods", key.name)
        return task

    def _log(self, task: PodTask, name: str, request: Request) -> AsyncIterator[bytes]:
        previous = request.flag("previous")
        held = container_of(task, name, previous=previous)
        path = logs.path_of(self._host.pod_dir(task.uid), name, held.attempt)

        async def is_running() -> bool:
            newest = next((c for c in task.facts.containers if c.id == held.id), None)
            return newest is not None and newest.state == cri.State.RUNNING

        return logs.read(path, self._options(request, previous=previous), is_running)

    def _options(self, request: Request, *, previous: bool) -> logs.Options:
        since_s = None
        if (seconds := request.number("sinceSeconds")) is not None:
            since_s = self._host.clock.now_s() - seconds
        elif text := request.text("sinceTime"):
            try:
                since_s = parse_rfc3339(text)
            except ValueError as fault:
                raise BadRequest(f"sinceTime={text}: {fault}") from fault
        return logs.Options(
            follow=request.flag("follow") and not previous,
            tail_lines=request.number("tailLines"),
            since_s=since_s,
            timestamps=request.flag("timestamps"),
            limit_bytes=request.number("limitBytes"),
            stream={"Stdout": "stdout", "Stderr": "stderr"}.get(request.text("stream"), ""),
        )

    async def _exec(
        self,
        task: PodTask,
        name: str,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        held = container_of(task, name)
        if held.state != cri.State.RUNNING:
            raise BadRequest(f'container "{name}" of pod "{task.pod.metadata.name}" is not running')
        session = Session(request.head, reader, writer)
        wanted = Wanted(*(request.flag(n) for n in ("stdin", "stdout", "stderr", "tty")))
        upstream = await remotecommand.connect(await _exec_url(task, held, request, wanted), wanted)
        await session.run(upstream)


async def _exec_url(
    task: PodTask, container: cri.Container, request: Request, wanted: Wanted
) -> str:
    message = cri_pb.ExecRequest(
        container_id=container.id,
        cmd=request.query.get("command", []),
        tty=wanted.tty,
        stdin=wanted.stdin,
        stdout=wanted.stdout,
        stderr=wanted.stderr and not wanted.tty,
    )
    try:
        return await task.runtime.exec_url(message)
    except cri.RuntimeUnavailable as fault:
        raise ServiceUnavailable(str(fault)) from fault
    except cri.RuntimeRefused as refused:
        raise InternalError(str(refused)) from refused


def container_of(task: PodTask, name: str, *, previous: bool = False) -> cri.Container:
    """Return the container of a pod that a user names. BadRequest in Kubernetes' words."""
    pod = task.pod
    specs = (*podstate.main_containers(pod), *pod.spec.init_containers)
    if all(spec.name != name for spec in specs):
        raise BadRequest(f"container {name} is not valid for pod {pod.metadata.name}")
    held = task.facts.of(name)
    if previous:
        ended = [
            c for c in held[0 if _is_waiting(task, name) else 1 :] if c.state == cri.State.EXITED
        ]
        if not ended:
            raise BadRequest(
                f'previous terminated container "{name}" in pod "{pod.metadata.name}" not found'
            )
        return ended[0]
    if not held:
        reason = _wait_reason(task, name)
        raise BadRequest(
            f'container "{name}" in pod "{pod.metadata.name}" is waiting to start: {reason}'
        )
    return held[0]


def _is_waiting(task: PodTask, name: str) -> bool:
    status = podstate.previous_status(task.pod, name)
    return status is not None and status.state.waiting is not None


def _wait_reason(task: PodTask, name: str) -> str:
    status = podstate.previous_status(task.pod, name)
    waiting = status.state.waiting if status else None
    return (waiting.reason if waiting else "") or "ContainerCreating"


async def _read(reader: asyncio.StreamReader) -> Request:
    """Return the request. BadRequest if it is none."""
    try:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as fault:
        raise BadRequest(f"the request's head exceeds {HEAD_MAX_BYTES} bytes") from fault
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest("the request is no HTTP/1.1")
    if words[0] not in ("GET", "POST"):
        raise BadRequest(f"method {words[0]} is not served here")
    parts = urlsplit(words[1])
    path = tuple(unquote(part) for part in parts.path.split("/")[1:])
    return Request(head, path, parse_qs(parts.query, keep_blank_values=True))


def _check_peer(writer: asyncio.StreamWriter) -> None:
    subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
    names = [value for part in subject for kind, value in part if kind == "commonName"]
    if names != [API_SERVER]:
        raise Forbidden(f"only {API_SERVER} is served here: ask the API server")


_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


def _head(code: int, content_type: str, length: int | None = None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [
        f"HTTP/1.1 {code} {_REASONS.get(code, 'Error')}",
        f"Content-Type: {content_type}",
        size,
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def _stream(writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes]) -> None:
    """Answer with what `chunks` yields, as it comes and as fast as it is read."""
    writer.write(_head(200, "text/plain"))
    await writer.drain()
    async for chunk in chunks:
        writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _until_gone(reader: asyncio.StreamReader, work: Coroutine[Any, Any, None]) -> None:
    """Carry out `work` unless the client goes first: a quiet log would never notice."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        leaving = tasks.create_task(_gone(reader))
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        leaving.cancel()


async def _gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass
