"""Protobuf's wire format: bytes to numbered values. What the numbers mean is protobuf.py's.

Every fault of the bytes is a Malformed. No value is larger than the bytes that it came from, and
nothing here recurses.
Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

Wire = int | bytes  # a varint, unsigned; or the bytes of what has a length

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BITS_MAX = 64
_VARINT_BYTES_MAX = 10


class Malformed(ValueError):
    """The bytes are no protobuf, or another message than expected."""


def fields(data: bytes) -> Iterator[tuple[int, Wire]]:
    """Yield (field number, value) in the order of the bytes.

    Fixed-width numbers are skipped: no message that we read has one.
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("a field has the number 0")
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise Malformed(f"field {number} is of the unknown wire type {wire_type}")
        if length > end - position:
            raise Malformed(f"it ends in the middle of field {number}")
        if wire_type == _BYTES:
            yield number, data[position : position + length]
        position += length


def parts(wire: Wire, *zeros: Wire) -> list[Wire]:
    """Return the values of a small message's fields 1, 2 …; an absent one is its zero.

    A zero also says of which type the value must be.
    """
    found = list(zeros)
    for number, value in fields(as_bytes(wire)):
        if number <= len(found):
            check = as_bytes if isinstance(zeros[number - 1], bytes) else as_varint
            found[number - 1] = check(value)
    return found


def integers(wire: Wire) -> Iterator[int]:
    """Yield the integers of one occurrence of a repeated field: one, or a packed run."""
    if isinstance(wire, int):
        yield as_integer(wire)
        return
    position = 0
    while position < len(wire):
        value, position = _varint(wire, position)
        yield as_integer(value)


def as_bytes(wire: Wire) -> bytes:
    if not isinstance(wire, bytes):
        raise Malformed("a number stands where text or a message should be")
    return wire


def as_varint(wire: Wire) -> int:
    if not isinstance(wire, int):
        raise Malformed("text or a message stands where a number should be")
    return wire


def as_integer(wire: Wire) -> int:
    """Return an int32 or int64: both are on the wire in two's complement of 64 bits."""
    value = as_varint(wire)
    return value - (1 << 64) if value >= 1 << 63 else value


def as_text(wire: Wire) -> str:
    try:
        return as_bytes(wire).decode()
    except UnicodeDecodeError as fault:
        raise Malformed("a text is not UTF-8") from fault


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a varint and the position behind it."""
    if position < len(data) and data[position] < 0x80:  # most are of one byte
        return data[position], position + 1
    value = shift = 0
    for byte in data[position : position + _VARINT_BYTES_MAX]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if value >> _VARINT_BITS_MAX:
                raise Malformed("a number is longer than 64 bits")
            return value, position + shift // 7
    cut = len(data) - position < _VARINT_BYTES_MAX
    raise Malformed("it ends in the middle of a number" if cut else "a number has no end")
