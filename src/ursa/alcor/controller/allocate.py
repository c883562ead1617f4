"""Give out VNIs, addresses and MACs: plain bookkeeping, no I/O.

The ledger is rebuilt from the objects' status at every start, so it holds what is durable and
what is about to be. An address stays taken until the port's node has let go of it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Container
from ipaddress import IPv4Address, IPv4Network

VNI_MAX = (1 << 24) - 1  # RFC 8926 §3.4: 24 bits; 0 is the underlay's
_LOCAL_UNICAST = 0x02  # first byte of a locally administered unicast MAC


def choose_vni(uid: str, taken: Container[int]) -> int | None:
    """Return the first free VNI from a place that `uid` alone decides; None if all are taken."""
    start = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8]) % VNI_MAX
    for step in range(VNI_MAX):
        vni = (start + step) % VNI_MAX + 1
        if vni not in taken:
            return vni
    return None


def derive_mac(vni: int, ip: IPv4Address) -> bytes:
    """Return the MAC of an address: different for every address of a VPC, stable for ever."""
    return bytes((_LOCAL_UNICAST, (vni ^ vni >> 8 ^ vni >> 16) & 0xFF)) + ip.packed


def choose_mac(vni: int, ip: IPv4Address, taken: Container[bytes]) -> bytes:
    """Return the derived MAC, or where a port has asked for that very one, a near one."""
    mac = derive_mac(vni, ip)
    for step in range(256):
        candidate = bytes((_LOCAL_UNICAST, (mac[1] + step) & 0xFF)) + mac[2:]
        if candidate not in taken:
            return candidate
    raise AssertionError(f"256 ports of vni {vni} asked for MACs that end in {ip.packed.hex()}")


class Pool:
    """The addresses of one subnet, by owner: without network, broadcast and gateway address."""

    def __init__(self, cidr: IPv4Network, gateway: IPv4Address) -> None:
        self.cidr = cidr
        self._gateway = int(gateway)
        self._last = int(cidr.broadcast_address) - 1
        self._next = int(cidr.network_address) + 1  # every address from here on: see _owners
        self._freed: list[int] = []  # a heap of addresses below _next that were given back
        self._owners: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def owner(self, ip: IPv4Address) -> str | None:
        return self._owners.get(int(ip))

    def is_usable(self, ip: IPv4Address) -> bool:
        first = int(self.cidr.network_address) + 1
        return first <= int(ip) <= self._last and int(ip) != self._gateway

    def take(self, ip: IPv4Address, owner: str) -> bool:
        """Make `ip` the owner's. False if another has it."""
        return self._owners.setdefault(int(ip), owner) == owner

    def take_lowest(self, owner: str) -> IPv4Address | None:
        """Return the lowest free address, made the owner's; None if the subnet is full."""
        while self._freed:
            if (number := heapq.heappop(self._freed)) not in self._owners:
                return self._give(number, owner)
        while self._next <= self._last:
            number = self._next
            self._next += 1
            if number not in self._owners and number != self._gateway:
                return self._give(number, owner)
        return None

    def release(self, ip: IPv4Address, owner: str) -> None:
        """Give `ip` back; nothing happens unless it is the owner's."""
        number = int(ip)
        if self._owners.get(number) != owner:
            return
        del self._owners[number]
        if number < self._next and self.is_usable(ip):
            heapq.heappush(self._freed, number)

    def _give(self, number: int, owner: str) -> IPv4Address:
        self._owners[number] = owner
        return IPv4Address(number)
