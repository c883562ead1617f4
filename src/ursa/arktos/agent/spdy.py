"""SPDY/3.1 as a client of a runtime's streaming server speaks it: frames to and from bytes.

    control  1|version 3 (15)|type (16)|flags (8)|length (24)|…
    data     0|stream (31)           |flags (8)|length (24)|…

Only what remote command execution needs: streams are opened by us, answered, carry data, end.
Unlike containerd's WebSocket, a stream can be ended on its own: `exec -i` closes stdin and still
reads the answer. Headers are compressed without SPDY's preset dictionary: zlib says in its own
header whether one is used, so any receiver can read both. What the server's headers say is
not needed and not read. Neither side of Kubernetes sends or heeds window updates.
Source: SPDY Protocol, Draft 3.1; Kubernetes, apimachinery httpstream/spdy.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

VERSION: Final = 3
SYN_STREAM, RST_STREAM, PING, GOAWAY = 1, 3, 6, 7
FIN: Final = 1
FRAME_MAX_BYTES: Final = 1 << 20  # containerd writes at most 32 KiB at once
_HEAD = struct.Struct("!II")
_CONTROL = 1 << 31


class ProtocolFault(Exception):
    """The peer does not speak SPDY/3.1."""


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    payload: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To be sent back as it is."""

    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer takes no more streams."""


Frame = Data | Reset | Ping | GoAway


class Codec:
    """One connection, seen from the client: its streams have odd numbers."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._next_stream = 1
        self._rest = b""

    def open(self, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return the number of a fresh stream and the frame that opens it."""
        stream = self._next_stream
        self._next_stream += 2
        body = struct.pack("!IIH", stream, 0, 0) + self._header_block(headers)
        return stream, _control(SYN_STREAM, 0, body)

    def _header_block(self, headers: Mapping[str, str]) -> bytes:
        block = struct.pack("!I", len(headers))
        for name, value in headers.items():
            for word in (name.lower().encode(), value.encode()):
                block += struct.pack("!I", len(word)) + word
        return self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    @staticmethod
    def data(stream: int, payload: bytes, *, is_last: bool = False) -> bytes:
        flags = FIN if is_last else 0
        return _HEAD.pack(stream, flags << 24 | len(payload)) + payload

    @staticmethod
    def pong(ping: Ping) -> bytes:
        return _control(PING, 0, struct.pack("!I", ping.id))

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole. ProtocolFault if this is no SPDY/3."""
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            first, second = _HEAD.unpack_from(self._rest)
            length = second & 0xFFFFFF
            if length > FRAME_MAX_BYTES:
                raise ProtocolFault(f"a frame of {length} bytes exceeds {FRAME_MAX_BYTES}")
            end = _HEAD.size + length
            if len(self._rest) < end:
                return
            body, self._rest = self._rest[_HEAD.size : end], self._rest[end:]
            frame = _frame(first, second >> 24, body)
            if frame is not None:
                yield frame


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | VERSION << 16 | kind, flags << 24 | len(body)) + body


def _frame(first: int, flags: int, body: bytes) -> Frame | None:
    """Return a frame that matters, None for replies, settings and windows."""
    if not first & _CONTROL:
        return Data(first, body, is_last=bool(flags & FIN))
    if (first & ~_CONTROL) >> 16 != VERSION:
        raise ProtocolFault("the peer speaks another version of SPDY")
    kind = first & 0xFFFF
    if kind in (RST_STREAM, PING) and len(body) < 4:
        raise ProtocolFault(f"a control frame of type {kind} is cut short")
    if kind == RST_STREAM:
        return Reset(struct.unpack_from("!I", body)[0] & ~_CONTROL)
    if kind == PING:
        return Ping(struct.unpack_from("!I", body)[0])
    return GoAway() if kind == GOAWAY else None
