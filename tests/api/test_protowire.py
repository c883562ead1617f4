"""Protobuf's wire format, by bytes written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.api import protowire
from ursa.api.protowire import Malformed


def test_fields_come_in_order_and_fixed_widths_are_skipped():
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4) + b"\x08\x00"
    assert list(protowire.fields(data)) == [(1, 150), (3, b"hi"), (1, 0)]


def test_parts_have_zeros_for_what_is_absent_and_ignore_the_rest():
    assert protowire.parts(b"\x12\x01x\x18\x05\x20\x01", 0, b"", 0) == [0, b"x", 5]


def test_integers_are_signed_alone_and_packed():
    minus_one = b"\xff" * 9 + b"\x01"
    assert list(protowire.integers(minus_one + b"\x02")) == [-1, 2]
    assert list(protowire.integers(2**64 - 1)) == [-1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x08", "in the middle of a number"),
        (b"\x08\x80", "in the middle of a number"),
        (b"\x08" + b"\x80" * 10, "has no end"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (b"\x0a\x02x", "in the middle of field 1"),
        (b"\x09" + bytes(7), "in the middle of field 1"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "in the middle of field 1"),
        (b"\x00\x00", "the number 0"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_what_is_malformed_says_why(data, said):
    with pytest.raises(Malformed, match=said):
        list(protowire.fields(data))


@given(st.binary(max_size=64))
def test_no_bytes_make_it_fail_otherwise(data):
    try:
        found = list(protowire.fields(data))
    except Malformed:
        return
    assert sum(len(value) for _, value in found if isinstance(value, bytes)) <= len(data)
