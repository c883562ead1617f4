"""What only a pod's node can answer: its logs, and commands run in it. Passed through.

The API server authenticates and authorizes; the node's agent is asked over mutual TLS, and its
answer reaches the client unchanged. For exec the client's WebSocket handshake goes through to
the agent, and from then on bytes are copied both ways.
Source: Kubernetes, pkg/registry/core/pod/rest/{log,subresources}.go; KEP-4006 (WebSockets).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlencode

import aiohttp

from ursa.api.cache import Cache
from ursa.api.call import Call
from ursa.api.documents import Document
from ursa.api.message import Response, Socket, Stream
from ursa.api.objects import served
from ursa.base.config import TlsFiles
from ursa.base.errors import (
    ApiError,
    BadRequest,
    GatewayTimeout,
    InternalError,
    NotFound,
    ServiceUnavailable,
)

CONNECT_TIMEOUT_S = 5.0
COPY_BYTES = 64 << 10
LOG_PARAMETERS: tuple[str, ...] = ("follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps")
LOG_PARAMETERS += ("previous", "limitBytes", "stream")
EXEC_PARAMETERS = ("command", "stdin", "stdout", "stderr", "tty")
# End-to-end headers of a WebSocket handshake (RFC 6455 4.1).
_HANDSHAKE: tuple[str, ...] = (
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
)
_HANDSHAKE += ("sec-websocket-protocol", "sec-websocket-extensions")


class Place(NamedTuple):
    """Where a container runs."""

    host: str
    port: int
    path: str  # /{tenant}/{namespace}/{pod}/{container}


@dataclass(slots=True)
class Agents:
    """Connections to the nodes' agents, under the API server's identity."""

    cache: Cache
    tls: TlsFiles | None
    _context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        if self.tls is None:
            raise ServiceUnavailable("this API server has no identity towards nodes' agents")
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self.tls.ca)
            self._context.load_cert_chain(self.tls.cert, self.tls.key)
            self._context.check_hostname = False  # agents are known by their node's address
        return self._context

    def place(self, call: Call) -> Place:
        """Return where the asked container runs. Raises NotFound, BadRequest, Unavailable."""
        pod = self.cache.get(call.resource, call.tenant, call.namespace, call.name)
        if pod is None:
            raise call.missing()
        container = container_of(call, pod)
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            raise BadRequest(f'pod "{call.name}" does not have a host assigned')
        node = self.cache.get(served("", "nodes"), "", "", node_name)
        if node is None:
            raise NotFound(f'the node "{node_name}" of pod "{call.name}" is gone')
        host, port = agent_address(node_name, node)
        parts = (call.tenant, call.namespace, call.name, container)
        return Place(host, port, "".join(f"/{quote(part, safe='')}" for part in parts))


def agent_address(name: str, node: Document) -> tuple[str, int]:
    status = node.get("status") or {}
    addresses = {a["type"]: a["address"] for a in status.get("addresses") or ()}
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    if "InternalIP" not in addresses or not endpoint.get("Port"):
        raise ServiceUnavailable(f'node "{name}" has not said where its agent listens')
    return addresses["InternalIP"], int(endpoint["Port"])


def container_of(call: Call, pod: Document) -> str:
    """Return the asked container, or the only one there is. Raises BadRequest."""
    spec = pod["spec"]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    names = [c["name"] for kind in kinds for c in spec.get(kind) or ()]
    if machine := spec.get("virtualMachine"):
        names.append(machine.get("name") or call.name)
    asked = call.request.query.get("container", "")
    if asked:
        if asked not in names:
            raise BadRequest(f"container {asked} is not valid for pod {call.name}")
        return asked
    annotations = pod["metadata"].get("annotations") or {}
    preferred = annotations.get("kubectl.kubernetes.io/default-container")
    if preferred in names:
        return str(preferred)
    runs = [c["name"] for c in spec.get("containers") or ()] or names
    if len(runs) != 1:
        raise BadRequest(
            f"a container name must be specified for pod {call.name}, choose one of: "
            f"[{' '.join(names)}]"
        )
    return str(runs[0])


async def log(agents: Agents, call: Call) -> Response:
    """GET …/pods/{name}/log → 200 and the container's log, followed if asked."""
    place = agents.place(call)
    query = {k: v for k, v in call.request.query.items() if k in LOG_PARAMETERS}
    url = f"https://{place.host}:{place.port}/containerLogs{place.path}?{urlencode(query)}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    session = aiohttp.ClientSession(timeout=timeout)
    try:
        answer = await session.get(url, ssl=agents.context())
    except (aiohttp.ClientError, OSError, TimeoutError) as fault:
        await session.close()
        raise _unreachable(call, place, fault) from fault
    except BaseException:
        await session.close()
        raise
    if answer.status != 200:
        text = (await answer.text())[:4096].strip()
        await session.close()
        raise _refusal(answer.status, text)

    async def stream(out: Stream) -> None:
        try:
            async for piece in _pieces(answer):
                await out.send(piece)
        finally:
            await session.close()

    return Response(200, content_type="text/plain", stream=stream)


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_any():
            yield piece
    except aiohttp.ClientError:  # the agent went away: the log ends here
        return


async def exec_(agents: Agents, call: Call) -> Response:
    """GET or POST …/pods/{name}/exec with a WebSocket upgrade → the agent's own answer."""
    upgrade = call.request.headers.get("upgrade", "").lower()
    if upgrade.startswith("spdy/"):
        raise BadRequest(
            "exec over SPDY is not served: use kubectl 1.30 or newer, which speaks WebSocket"
        )
    if upgrade != "websocket":
        raise BadRequest("Upgrade request required: exec is a WebSocket (v5.channel.k8s.io)")
    if call.request.method != "GET":
        raise BadRequest("a WebSocket upgrade is a GET request (RFC 6455 4.1)")
    if not any(name == "command" for name, _ in call.request.query_items):
        raise BadRequest("you must specify at least 1 command for the container")
    place = agents.place(call)
    connecting = asyncio.open_connection(place.host, place.port, ssl=agents.context())
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await connecting
    except (OSError, TimeoutError) as fault:
        raise _unreachable(call, place, fault) from fault
    asked = [pair for pair in call.request.query_items if pair[0] in EXEC_PARAMETERS]
    writer.write(handshake(place, asked, call.request.headers))

    async def splice(client: Socket) -> None:
        await _copy_both(client, reader, writer)

    return Response(101, splice=splice)


def handshake(place: Place, query: list[tuple[str, str]], headers: Mapping[str, str]) -> bytes:
    """Return the client's WebSocket request as the agent is to see it."""
    lines = [f"GET /exec{place.path}?{urlencode(query)} HTTP/1.1", f"Host: {place.host}"]
    lines += [f"{name}: {headers[name]}" for name in _HANDSHAKE if name in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _copy_both(
    client: Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Copy until either side ends; then let go of both."""

    async def upward() -> None:
        while data := await client.receive():
            writer.write(data)
            await writer.drain()

    async def downward() -> None:
        while data := await reader.read(COPY_BYTES):
            await client.send(data)

    try:
        async with asyncio.TaskGroup() as tasks:
            copies = [tasks.create_task(upward()), tasks.create_task(downward())]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in copies:
                copy.cancel()
    except* (OSError, ssl.SSLError):  # either side has cut the connection
        pass
    finally:
        writer.transport.abort()


def _unreachable(call: Call, place: Place, fault: Exception) -> ApiError:
    where = f"{place.host}:{place.port}"
    if isinstance(fault, TimeoutError):
        return GatewayTimeout(f"the agent at {where} of pod {call.name} does not answer")
    return ServiceUnavailable(f"the agent at {where} of pod {call.name} cannot be reached: {fault}")


def _refusal(status: int, text: str) -> ApiError:
    known = {400: BadRequest, 404: NotFound, 503: ServiceUnavailable}
    return known.get(status, InternalError)(text or f"the node's agent answered {status}")
