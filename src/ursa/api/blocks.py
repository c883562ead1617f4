"""Header blocks of plain GETs, as the parser read them: the same bytes need not be parsed again.

A client sends the same header block with each request; only the request line differs. A block
is kept when it was all that followed the line of one request that the parser took as whole, so
what is found here is what the parser would say. A GET without a body then takes one split and
one lookup; the parser's callbacks take 15 µs, a quarter of the request.
"""

from __future__ import annotations

import re

from ursa.api.message import Headers, Request

BLOCKS_MAX = 1024  # remembered
BLOCK_BYTES_MAX = 2 << 10
METHOD = b"GET "

_LINE = re.compile(rb"GET (/[!-~]*) HTTP/1\.1")
# A request with one of these is more than a request line and fields: the parser's business.
_FRAMING = frozenset(("connection", "content-length", "expect", "transfer-encoding", "upgrade"))


class HeaderBlocks:
    def __init__(self) -> None:
        self._blocks: dict[bytes, Headers] = {}

    def request(self, data: bytes, certificate: bytes | None) -> Request | None:
        """Return the request that `data` is as a whole, or None: ask the parser."""
        line, _, block = data.partition(b"\r\n")
        headers = self._blocks.get(block)
        if headers is None or (match := _LINE.fullmatch(line)) is None:
            return None
        return Request("GET", match[1], headers, b"", certificate)

    def remember(self, data: bytes, headers: Headers) -> None:
        """Keep the block of a GET that was all of `data`, unless it frames a body."""
        block = data.partition(b"\r\n")[2]
        if not block.endswith(b"\r\n\r\n") or len(block) > BLOCK_BYTES_MAX:
            return
        if not _FRAMING.isdisjoint(headers):
            return
        if len(self._blocks) >= BLOCKS_MAX:
            self._blocks.clear()
        self._blocks[block] = headers
