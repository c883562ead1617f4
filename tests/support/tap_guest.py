"""A guest behind a tap, as far as a test needs one: it answers pings, and says what it got."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hosts import Namespace, sh
from packets import ETH_IPV4, ICMP, arp_request, checksum, ip, mac

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000
VNET_HEADER_BYTES = 10
ECHO_REQUEST = 8


class TapGuest:
    def __init__(self, descriptor: int, address: str, hardware: str) -> None:
        self.frames: list[bytes] = []
        self._descriptor = descriptor
        self._ip = ip(address)
        self._mac = mac(hardware)

    def send(self, frame: bytes) -> None:
        os.write(self._descriptor, bytes(VNET_HEADER_BYTES) + frame)

    def ask_for(self, address: str) -> None:
        """Send an ARP request."""
        mine = ".".join(map(str, self._ip))
        self.send(arp_request(self._mac.hex(":"), mine, address))

    def serve(self, stop: int) -> None:
        """Answer pings until `stop` is readable."""
        while True:
            readable, _, _ = select.select([self._descriptor, stop], [], [])
            if stop in readable:
                return
            frame = os.read(self._descriptor, 1 << 17)[VNET_HEADER_BYTES:]
            self.frames.append(frame)
            if int.from_bytes(frame[12:14]) == ETH_IPV4 and frame[23] == ICMP:
                self._answer(frame)

    def _answer(self, frame: bytes) -> None:
        assert frame[:6] == self._mac, "delivered with the endpoint's own MAC"
        echo = frame[34:]
        if echo[0] == ECHO_REQUEST:
            body = echo[4:]
            reply = bytes(2) + checksum(bytes(4) + body).to_bytes(2) + body
            header = frame[14:26] + frame[30:34] + frame[26:30]  # addresses change places
            self.send(frame[6:12] + self._mac + frame[12:14] + header + reply)


@contextmanager
def tap_guest(space: Namespace, name: str, address: str, hardware: str) -> Iterator[TapGuest]:
    """Make tap `name` in a namespace, with a guest behind it."""

    def opened() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("=16sH22x", name.encode(), flags))
        return descriptor

    descriptor = space.run(opened)
    sh(f"ip -n {space.name} link set {name} addrgenmode none up")
    guest = TapGuest(descriptor, address, hardware)
    waiting, stop = os.pipe()
    thread = threading.Thread(target=guest.serve, args=(waiting,))
    thread.start()
    try:
        yield guest
    finally:
        os.close(stop)  # its other end reads as ended
        thread.join()
        os.close(waiting)
        os.close(descriptor)
