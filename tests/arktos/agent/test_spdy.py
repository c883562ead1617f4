"""SPDY frames."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.arktos.agent import spdy
from ursa.arktos.agent.spdy import Codec, Data, GoAway, Ping, ProtocolFault, Reset


def control(kind: int, body: bytes) -> bytes:
    return struct.pack("!HHI", 0x8003, kind, len(body)) + body


@given(
    st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.binary(max_size=50), st.booleans())),
    st.integers(1, 20),
)
def test_frames_survive_any_cut_of_the_stream(sent, size):
    stream = b"".join(Codec.data(s, payload, is_last=last) for s, payload, last in sent)
    codec = Codec()
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert [f for piece in pieces for f in codec.feed(piece)] == [Data(*f) for f in sent]


def test_streams_are_opened_with_lower_case_headers_in_one_zlib_stream():
    codec, inflate = Codec(), zlib.decompressobj()
    for number in (1, 3):
        stream, frame = codec.open({"StreamType": "stdin"})
        assert stream == number
        block = inflate.decompress(frame[18:])
        assert block == struct.pack("!II", 1, 10) + b"streamtype" + struct.pack("!I", 5) + b"stdin"


def test_what_the_peer_says_of_the_connection():
    stream = control(spdy.PING, struct.pack("!I", 7)) + control(3, struct.pack("!II", 5, 1))
    stream += control(2, struct.pack("!I", 1)) + control(7, bytes(8))
    assert list(Codec().feed(stream)) == [Ping(7), Reset(5), GoAway()]
    assert list(Codec().feed(Codec.pong(Ping(7)))) == [Ping(7)]


@pytest.mark.parametrize(
    "stream",
    [b"\x80\x02\x00\x01\x00\x00\x00\x00", b"\x00\x00\x00\x01\x00\xff\xff\xff", control(6, b"")],
)
def test_what_is_no_spdy_is_refused(stream):
    with pytest.raises(ProtocolFault):
        list(Codec().feed(stream))
