"""What a connection is to a response that takes time: a body in chunks, or a raw socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Peer(Protocol):
    """The connection, as its streams use it."""

    @property
    def is_paused(self) -> bool:
        """Whether the peer has stopped reading."""
        ...

    async def writable(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...


class ChunkedStream:
    """A response's body in chunks (RFC 9112 7.1)."""

    __slots__ = ("_connection", "on_writable")

    def __init__(self, connection: Peer) -> None:
        self._connection = connection
        self.on_writable: Callable[[], None] | None = None  # called when offers are taken again

    async def send(self, data: bytes) -> None:
        await self._connection.writable()
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    def offer(self, data: bytes) -> bool:
        if self._connection.is_paused:
            return False
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def abort(self) -> None:
        self._connection.abort()


class RawSocket:
    """The connection after an upgrade."""

    __slots__ = ("_arrived", "_connection", "_ended", "_held", "on_writable")
    HELD_BYTES_MAX = 1 << 20  # received and not taken; above it the peer is not read

    def __init__(self, connection: Peer) -> None:
        self._connection = connection
        self._held = bytearray()
        self._arrived = asyncio.Event()
        self._ended = False
        self.on_writable: Callable[[], None] | None = None

    def feed(self, data: bytes) -> None:
        self._held += data
        self._ended = self._ended or not data
        self._arrived.set()
        if len(self._held) > self.HELD_BYTES_MAX:
            self._connection.pause_reading()

    async def receive(self) -> bytes:
        while not self._held and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._held)
        self._held.clear()
        self._connection.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        await self._connection.writable()
        self._connection.write(data)

    def offer(self, data: bytes) -> bool:
        if self._connection.is_paused:
            return False
        self._connection.write(data)
        return True

    def abort(self) -> None:
        self._connection.abort()
