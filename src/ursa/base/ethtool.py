"""Switch an interface's offloads by name, as `ethtool -K` does.

Source: Linux include/uapi/linux/ethtool.h (ETHTOOL_GSSET_INFO, GSTRINGS, SFEATURES).
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable

_SIOCETHTOOL = 0x8946
_GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES_SET = 4  # ETH_SS_FEATURES
_STRING_BYTES = 32  # ETH_GSTRING_LEN
_IFREQ = struct.Struct("@16sP8x")


def disable(interface: str, features: Iterable[str]) -> None:
    """Turn `features` off. Unknown ones are skipped: a kernel without one needs no cure.

    Works in the calling thread's network namespace. OSError if there is no such interface.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        names = _names(channel.fileno(), interface)
        valid = [0] * _blocks(names)
        for feature in features:
            if feature in names:
                bit = names.index(feature)
                valid[bit // 32] |= 1 << bit % 32
        command = struct.pack("=II", _SFEATURES, len(valid))
        command += b"".join(struct.pack("=II", block, 0) for block in valid)  # valid, requested
        _call(channel.fileno(), interface, bytearray(command))


def disabled(interface: str) -> set[str]:
    """Return the features that are off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        names = _names(channel.fileno(), interface)
        command = struct.pack("=II", _GFEATURES, _blocks(names)) + bytes(16 * _blocks(names))
        answer = _call(channel.fileno(), interface, bytearray(command))
        # Four words a block: available, requested, active, never changed.
        active = [
            word
            for i in range(_blocks(names))
            for word in struct.unpack_from("=8xI4x", answer, 8 + 16 * i)
        ]
        return {name for bit, name in enumerate(names) if not active[bit // 32] >> bit % 32 & 1}


def _blocks(names: list[str]) -> int:
    return (len(names) + 31) // 32


def _names(descriptor: int, interface: str) -> list[str]:
    """Return the kernel's features in the order of their bits."""
    query = struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _FEATURES_SET, 0)
    (count,) = struct.unpack_from("=I", _call(descriptor, interface, bytearray(query)), 16)
    query = struct.pack("=III", _GSTRINGS, _FEATURES_SET, count)
    answer = _call(descriptor, interface, bytearray(query + bytes(count * _STRING_BYTES)))
    return [
        bytes(answer[12 + i * _STRING_BYTES :][:_STRING_BYTES]).split(b"\0")[0].decode()
        for i in range(count)
    ]


def _call(descriptor: int, interface: str, command: bytearray) -> bytearray:
    """Do one ioctl; return its buffer as the kernel left it."""
    buffer = (ctypes.c_char * len(command)).from_buffer(command)
    request = _IFREQ.pack(interface.encode(), ctypes.addressof(buffer))
    fcntl.ioctl(descriptor, _SIOCETHTOOL, request)
    return command
