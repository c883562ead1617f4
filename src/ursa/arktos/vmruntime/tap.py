"""Open a tap device that exists already, by its name, in this process's network namespace.

Source: Linux, Documentation/networking/tuntap.rst; include/uapi/linux/if_tun.h and sockios.h.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from ursa.base.errors import ServiceUnavailable

TUNSETIFF = 0x400454CA
SIOCGIFMTU = 0x8921
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000  # checksum and segmentation offload cross the tap
_REQUEST = struct.Struct("16sH22x")  # ifreq: name, flags
_MTU = struct.Struct("16si20x")  # ifreq: name, mtu


def open_tap(name: str) -> int:
    """Return a descriptor of the tap's queue. ServiceUnavailable if it is gone or in use."""
    if not exists(name):  # TUNSETIFF would make one that nobody connects
        raise ServiceUnavailable(f"tap {name} is gone: the sandbox must be made again")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(descriptor, TUNSETIFF, _REQUEST.pack(name.encode(), flags))
    except OSError as fault:
        os.close(descriptor)
        raise ServiceUnavailable(f"tap {name}: {fault.strerror}") from fault
    return descriptor


def exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def mtu_bytes(name: str) -> int:
    """Return the largest IP packet that the device takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFMTU, _MTU.pack(name.encode(), 0))
    mtu: int = _MTU.unpack(answer)[1]
    return mtu
