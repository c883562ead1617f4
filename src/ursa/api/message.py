"""A request as it came in, and a response as it goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from ursa.base.errors import ApiError

JSON = "application/json"


class Headers(dict[str, str]):
    """Header fields by their lower-case names. Repeated ones are joined by a comma."""


class Request:
    """One HTTP request, whole. `target` is as sent: nothing of it is decoded."""

    __slots__ = (
        "body",
        "certificate",
        "has_upgrade",
        "headers",
        "method",
        "query",
        "query_items",
        "raw_path",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Headers,
        body: bytes = b"",
        certificate: bytes | None = None,
        *,
        has_upgrade: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.certificate = certificate  # the peer's, DER, verified
        self.has_upgrade = has_upgrade
        self.raw_path, _, query = target.partition(b"?")
        self.query_items = _query(query) if query else []
        self.query = dict(self.query_items)  # the last value of each parameter

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")


class Stream(Protocol):
    """The body of a response that is sent piece by piece."""

    on_writable: Callable[[], None] | None
    """Called when the peer reads again, after an offer that was not taken."""

    async def send(self, data: bytes) -> None:
        """Send, and wait while the peer does not read."""
        ...

    def offer(self, data: bytes) -> bool:
        """Send without waiting; False if the peer has stopped reading: try later or give up."""
        ...

    def abort(self) -> None:
        """Cut the connection."""
        ...


class Socket(Stream, Protocol):
    """A connection that has left HTTP behind."""

    async def receive(self) -> bytes:
        """Return the next bytes from the peer; empty at the end."""
        ...


def _query(raw: bytes) -> list[tuple[str, str]]:
    return parse_qsl(raw.decode("latin-1"), keep_blank_values=True)


class Response(msgspec.Struct, eq=False):
    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    stream: Callable[[Stream], Awaitable[None]] | None = None  # instead of `body`
    splice: Callable[[Socket], Awaitable[None]] | None = None  # sends its own status line


def json_response(status: int, document: object) -> Response:
    return Response(status, msgspec.json.encode(document))


def failure(error: ApiError) -> Response:
    headers: tuple[tuple[str, str], ...] = ()
    if seconds := error.details.get("retryAfterSeconds"):
        headers = (("Retry-After", str(seconds)),)
    return Response(error.code, msgspec.json.encode(error.status()), headers=headers)


def pieces(bodies: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
    """Join bodies to pieces of about a size."""
    held: list[bytes] = []
    size = 0
    for body in bodies:
        held.append(body)
        size += len(body)
        if size >= size_bytes:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
