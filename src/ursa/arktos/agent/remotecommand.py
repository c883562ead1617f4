"""Run a command in a container for a distant client: WebSocket on one side, SPDY on the other.

    client ◀── v5.channel.k8s.io ──▶ this node ◀── SPDY/3.1, v4.channel.k8s.io ──▶ runtime

Channels: 0 stdin, 1 stdout, 2 stderr, 3 the Status at the end, 4 terminal size; 255 (v5) ends
the channel that its one byte names. Both sides' pace is kept: nothing is buffered without bound.
Source: Kubernetes, KEP-4006 and pkg/kubelet/cri/streaming/remotecommand.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ursa.arktos.agent import spdy
from ursa.base.errors import BadRequest, InternalError

STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SUBPROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
READ_BYTES: Final = 32 << 10
CONNECT_TIMEOUT_S: Final = 10.0
MESSAGE_MAX_BYTES: Final = 1 << 20
_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # the protocol tells of every connection
SUCCESS: Final = b'{"metadata":{},"status":"Success"}'


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams the client asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


@dataclass(slots=True)
class Upstream:
    """The runtime's end: a connection with one SPDY stream a channel."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    codec: spdy.Codec
    streams: dict[int, int]  # channel → stream

    def send(self, channel: int, payload: bytes, *, is_last: bool = False) -> None:
        stream = self.streams.get(channel)
        if stream is not None:
            self.writer.write(self.codec.data(stream, payload, is_last=is_last))


async def connect(url: str, wanted: Wanted) -> Upstream:
    """Return the runtime's end of a command. InternalError if the runtime refuses."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(_upgrade(parts.path, parts.netloc))
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as fault:
        raise InternalError(f"the runtime's streaming server does not answer: {fault}") from fault
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        writer.close()
        raise InternalError(f"the runtime refuses to stream: {head[:200].decode(errors='replace')}")
    upstream = Upstream(reader, writer, spdy.Codec(), {})
    names = {STATUS: "error"}
    names |= {STDIN: "stdin"} if wanted.stdin else {}
    names |= {STDOUT: "stdout"} if wanted.stdout else {}
    names |= {STDERR: "stderr"} if wanted.stderr and not wanted.tty else {}
    names |= {RESIZE: "resize"} if wanted.tty else {}
    for channel, name in names.items():
        upstream.streams[channel], frame = upstream.codec.open({"streamtype": name})
        writer.write(frame)
    return upstream


def _upgrade(path: str, host: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
        "X-Stream-Protocol-Version: v4.channel.k8s.io",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Session:
    """One client's WebSocket, from its request on."""

    def __init__(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._socket = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS],
            max_size=MESSAGE_MAX_BYTES,
            logger=_log,
        )
        self._socket.receive_data(head)
        requests = self._socket.events_received()
        if not requests:
            raise BadRequest("the request is no WebSocket handshake")
        self._answer = self._socket.accept(requests[0])  # type: ignore[arg-type]
        if self._answer.status_code != 101:
            offered = " or ".join(SUBPROTOCOLS)
            raise BadRequest(f"a WebSocket of subprotocol {offered} is needed here")

    async def run(self, upstream: Upstream) -> None:
        """Carry bytes both ways until the command or the client ends."""
        self._socket.send_response(self._answer)
        await self._flush()
        try:
            async with asyncio.TaskGroup() as tasks:
                down = tasks.create_task(self._down(upstream))
                up = tasks.create_task(self._up(upstream))
                await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
                down.cancel()
                up.cancel()
        except* spdy.ProtocolFault as faults:
            raise InternalError(str(faults.exceptions[0])) from faults
        finally:
            upstream.writer.close()

    async def _down(self, upstream: Upstream) -> None:
        """Carry what the runtime sends; at its end send the Status and close."""
        channels = {stream: channel for channel, stream in upstream.streams.items()}
        status = b""
        ended = False
        while not ended and (data := await upstream.reader.read(READ_BYTES)):
            for frame in upstream.codec.feed(data):
                if isinstance(frame, spdy.Ping):
                    upstream.writer.write(upstream.codec.pong(frame))
                if not isinstance(frame, spdy.Data):
                    continue
                channel = channels.get(frame.stream)
                if channel == STATUS:
                    status += frame.payload
                    ended = ended or frame.is_last
                elif channel is not None and frame.payload:
                    self._send(channel, frame.payload)
            await self._flush()
        # Output may still follow the status: the runtime closes when all of it is sent.
        await self._rest(upstream, channels)
        self._send(STATUS, status or (SUCCESS if ended else _lost()))
        self._socket.send_close(1000)
        await self._flush()

    async def _rest(self, upstream: Upstream, channels: dict[int, int]) -> None:
        while data := await upstream.reader.read(READ_BYTES):
            for frame in upstream.codec.feed(data):
                if isinstance(frame, spdy.Data) and frame.payload:
                    channel = channels.get(frame.stream, STATUS)
                    if channel != STATUS:
                        self._send(channel, frame.payload)
            await self._flush()

    async def _up(self, upstream: Upstream) -> None:
        """Carry what the client sends, until it closes."""
        while data := await self._reader.read(READ_BYTES):
            self._socket.receive_data(data)
            for event in self._socket.events_received():
                if isinstance(event, WebSocketFrame):
                    if event.opcode is Opcode.CLOSE:
                        await self._flush()
                        return
                    if event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT) and event.data:
                        _forward(upstream, bytes(event.data))
            await self._flush()  # answers to pings
            await upstream.writer.drain()

    def _send(self, channel: int, payload: bytes) -> None:
        self._socket.send_binary(bytes([channel]) + payload)

    async def _flush(self) -> None:
        self._writer.write(b"".join(self._socket.data_to_send()))
        await self._writer.drain()


def _forward(upstream: Upstream, message: bytes) -> None:
    channel, payload = message[0], message[1:]
    if channel == CLOSE and payload:
        upstream.send(payload[0], b"", is_last=True)
    elif channel in (STDIN, RESIZE):
        upstream.send(channel, payload)


def _lost() -> bytes:
    fault = InternalError("the runtime ended the stream without saying how the command ended")
    return msgspec.json.encode(fault.status())
