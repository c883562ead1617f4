"""HTTP/1.1 over a TLS link: requests in, responses out in the same order.

    received ─▶ parser ─▶ Request ─▶ waiting ─▶ handler ─▶ Response or Awaitable[Response]
                                        ▲                       │
                                        └── answered, next ◀────┘

One request of a connection is answered at a time; while another waits, the connection is not
read. A handler that needs not wait returns its Response at once, without a task. Every limit is
a constant here; what breaks one is answered with a Status and the connection is closed.
Source: RFC 9112 (framing, pipelining, persistence), RFC 9110 10.1.1 (Expect).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import httptools

from ursa.api.blocks import METHOD, HeaderBlocks
from ursa.api.message import Headers, Request, Response, failure
from ursa.api.streams import ChunkedStream, RawSocket
from ursa.api.tls import Link
from ursa.base.errors import ApiError, BadRequest, TooLarge

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 3 << 20  # as Kubernetes
DISCARD_BYTES_MAX = 64 << 20  # of a refused body; a client that sends more is cut off
HEAD_BYTES_MAX = 64 << 10  # request line and headers
REQUEST_TIMEOUT_S = 60.0  # from a request's first byte to its last
HANDSHAKE_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 180.0  # between requests
STALL_TIMEOUT_S = 30.0  # a peer that does not read a response

Handler = Callable[[Request], Response | Awaitable[Response]]

_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_BODY = frozenset((101, 204, 304))


@lru_cache(64)
def _content_line(content_type: str) -> bytes:
    return f"Content-Type: {content_type}\r\nCache-Control: no-cache, private\r\n".encode()


@lru_cache(256)
def _header_name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


class Counts:
    """What was cut off or refused below the API, by reason."""

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self.connections = 0


class Shared:
    """What the connections of a server have in common."""

    def __init__(self, handler: Handler, tasks: asyncio.TaskGroup, counts: Counts) -> None:
        self.handler = handler
        self.tasks = tasks
        self.counts = counts
        self.connections: set[Connection] = set()
        self.blocks = HeaderBlocks()
        self.date = b""
        self.now_s = 0.0
        self.draining = False
        self.emptied: asyncio.Future[None] | None = None  # done when the last connection is gone

    def discard(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections and self.emptied is not None and not self.emptied.done():
            self.emptied.set_result(None)

    def tick(self, now_s: float) -> None:
        """Advance the Date header and end what is overdue; called once a second."""
        self.now_s = now_s
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in [c for c in self.connections if c.deadline_s < now_s]:
            self.counts.by_reason[connection.waits_for] += 1
            connection.abort()


class Connection:
    """One client's connection; the inner side of a TLS link."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_certificate",
        "_closing",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_in_message",
        "_is_held",
        "_link",
        "_messages",
        "_parser",
        "_refused",
        "_shared",
        "_socket",
        "_stream",
        "_task",
        "_url",
        "_waiting",
        "_writable",
        "deadline_s",
        "waits_for",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._link: Link | None = None
        self._certificate: bytes | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._head_bytes = 0
        self._in_head = True
        self._in_message = False
        self._messages = 0  # begun
        self._is_held = False  # not read, because a request waits
        self._url = b""
        self._headers = Headers()
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._refused = -1  # bytes of a refused body seen so far; -1: not refused
        self._waiting: deque[tuple[Request, bool]] = deque()  # the first is being answered
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._stream: ChunkedStream | None = None
        self._socket: RawSocket | None = None
        self._writable: asyncio.Future[None] | None = None  # set while the peer does not read
        self._expect("handshake", HANDSHAKE_TIMEOUT_S)
        shared.connections.add(self)

    # The link's side

    def secured(self, link: Link, peer_certificate: bytes | None) -> None:
        self._link = link
        self._certificate = peer_certificate
        self._expect("idle", IDLE_TIMEOUT_S)

    def received(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            return
        if self._closing:
            return
        is_get = not self._in_message and data.startswith(METHOD)
        if is_get and not self._waiting:
            request = self._shared.blocks.request(data, self._certificate)
            if request is not None:
                self._waiting.append((request, True))
                self._go_on()
                return
        if self._in_head:
            self._head_bytes += len(data)
        before = self._messages
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._closing = True  # the parser stops here, upgraded or not
            if self._socket is not None:
                self._socket.feed(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as fault:
            raise fault.__context__ or fault from None
        except httptools.HttpParserError as fault:
            self._refuse(BadRequest(f"the request is not HTTP/1.1: {fault}"))
        else:
            self._check_head()
            if is_get and not self._in_message and self._messages == before + 1:
                self._shared.blocks.remember(data, self._headers)

    def paused(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()
            self._expect("stalled reader", STALL_TIMEOUT_S)

    def resumed(self) -> None:
        writable, self._writable = self._writable, None
        self.deadline_s = math.inf
        if writable is not None and not writable.done():
            writable.set_result(None)
        if self._stream is not None and self._stream.on_writable is not None:
            self._stream.on_writable()
        if self._task is None:
            self._go_on()

    def lost(self) -> None:
        self._shared.discard(self)
        self._link = None
        self._closing = True
        self._waiting.clear()
        if self._socket is not None:
            self._socket.feed(b"")
        if self._writable is not None and not self._writable.done():
            self._writable.cancel()
        if self._task is not None and self._stream is not None:
            self._task.cancel()  # nobody reads the stream; a plain write goes on to its end

    # The parser's side

    def on_message_begin(self) -> None:
        self._in_message = True
        self._messages += 1
        self._url = b""
        self._headers = Headers()
        self._body = []
        self._body_bytes = 0
        self._in_head = True
        if not self._waiting:
            self._expect("request", REQUEST_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = _header_name(name), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known},{text}"

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_BYTES_MAX:
            self._refuse_body()
        elif self._headers.get("expect", "").lower() == "100-continue" and not self._waiting:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._refused >= 0:
            self._refused += len(data)
            if self._refused > DISCARD_BYTES_MAX:
                self.abort()
            return
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > BODY_BYTES_MAX:
            self._refuse_body()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._in_message = False
        if self._refused >= 0:
            self._end_after_answer()
            return
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            target=self._url,
            headers=self._headers,
            body=b"".join(self._body),
            certificate=self._certificate,
            has_upgrade=self._parser.should_upgrade(),
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        if len(self._waiting) == 1:
            self._go_on()
        elif self._link is not None:
            self._is_held = True
            self._link.pause_reading()

    # Answering

    def _go_on(self) -> None:
        """Answer the oldest request and, while answers come at once, the next ones.

        Nothing is answered while the peer does not read what it has been sent already.
        """
        while self._link is not None and self._writable is None:
            if not self._waiting:
                if self._is_held:
                    self._is_held = False
                    self._link.resume_reading()
                self._expect("idle", IDLE_TIMEOUT_S)
                return
            self.deadline_s = math.inf
            request, keeps_alive = self._waiting[0]
            answer = self._shared.handler(request)
            if not isinstance(answer, Response) or answer.stream or answer.splice:
                self._task = self._shared.tasks.create_task(self._answer_later(answer, keeps_alive))
                return
            self._send_whole(request, answer, keeps_alive)
            self._answered(keeps_alive)

    async def _answer_later(self, answer: Response | Awaitable[Response], keep: bool) -> None:
        keeps_alive = False
        try:
            response = answer if isinstance(answer, Response) else await answer
            if self._link is None:
                return
            if response.stream is not None:
                await self._send_stream(response, keep)
            elif response.splice is not None:
                self._socket = RawSocket(self)
                await response.splice(self._socket)
                return
            else:
                self._send_whole(self._waiting[0][0], response, keep)
            keeps_alive = keep
        except Exception:  # a boundary: one connection's fault must not end the server
            log.exception("response failed")
            self._shared.counts.by_reason["response failed"] += 1
            self.abort()
        finally:
            self._task = None
            self._stream = None
            if self._link is not None:
                self._answered(keeps_alive)
                self._go_on()

    def _answered(self, keeps_alive: bool) -> None:
        self._waiting.popleft()
        if not keeps_alive or self._shared.draining or (self._closing and not self._waiting):
            self._waiting.clear()
            self.close()

    def _send_whole(self, request: Request, response: Response, keeps_alive: bool) -> None:
        body = response.body
        head = self._head(response, keeps_alive)
        if response.status not in _NO_BODY:
            head += b"Content-Length: %d\r\n" % len(body)
        self.write(head + b"\r\n" + (b"" if request.method == "HEAD" else body))

    async def _send_stream(self, response: Response, keeps_alive: bool) -> None:
        self.write(self._head(response, keeps_alive) + b"Transfer-Encoding: chunked\r\n\r\n")
        self._stream = ChunkedStream(self)
        assert response.stream is not None
        await response.stream(self._stream)
        self.write(b"0\r\n\r\n")

    def _head(self, response: Response, keeps_alive: bool) -> bytes:
        line = _LINES.get(response.status) or f"HTTP/1.1 {response.status} -\r\n".encode()
        head = line + self._shared.date + _content_line(response.content_type)
        for name, value in response.headers:
            head += f"{name}: {value}\r\n".encode("latin-1")
        return head if keeps_alive else head + b"Connection: close\r\n"

    # Refusing

    def _check_head(self) -> None:
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._shared.counts.by_reason["head too large"] += 1
            self._refuse(TooLarge(f"the request's headers exceed {HEAD_BYTES_MAX} bytes"))

    def _refuse_body(self) -> None:
        """Answer 413 at once; then read on to the body's end, so that the answer is read."""
        self._refused = 0
        self._body = []
        self._shared.counts.by_reason["body too large"] += 1
        if not self._waiting:
            limit = TooLarge(f"the request's body exceeds {BODY_BYTES_MAX} bytes (3 MiB)")
            self._send_whole(Request("POST", b"", Headers()), failure(limit), keeps_alive=False)

    def _end_after_answer(self) -> None:
        self._closing = True
        if not self._waiting:
            self.close()

    def _refuse(self, error: ApiError) -> None:
        if not self._waiting:
            self._send_whole(Request("GET", b"", Headers()), failure(error), keeps_alive=False)
        self._end_after_answer()

    # What streams and sockets use

    def write(self, data: bytes) -> None:
        if self._link is not None:
            self._link.write(data)

    @property
    def is_paused(self) -> bool:
        return self._writable is not None

    @property
    def is_lost(self) -> bool:
        return self._link is None

    async def writable(self) -> None:
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def pause_reading(self) -> None:
        if self._link is not None:
            self._link.pause_reading()

    def resume_reading(self) -> None:
        if self._link is not None:
            self._link.resume_reading()

    def close(self) -> None:
        self._closing = True
        if self._link is not None:
            self._expect("closing", STALL_TIMEOUT_S)
            self._link.close()

    def abort(self) -> None:
        self._closing = True
        if self._link is not None:
            self._link.abort()

    def end_soon(self) -> None:
        """End a stream, or a connection that waits for nothing; an answer may finish."""
        if self._stream is not None or self._socket is not None:
            self.cancel()
        elif not self._waiting:
            self.close()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _expect(self, what: str, within_s: float) -> None:
        self.waits_for = what
        self.deadline_s = self._shared.now_s + within_s
