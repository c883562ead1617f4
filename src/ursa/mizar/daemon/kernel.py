"""The real maps and interfaces of one node, and how a data plane is opened on them.

Everything that blocks is a plain method; the async ones put it on a thread. Threads inherit
the network namespace of the thread that starts them, so the process must be in the node's.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from ursa.base.netlink import Netlink
from ursa.mizar import hook
from ursa.mizar.daemon import apply
from ursa.mizar.daemon.apply import Rows, Write
from ursa.mizar.daemon.transit import (
    ATTACHMENTS,
    HeldState,
    Interface,
    Transit,
    interface_of,
    locals_of,
)
from ursa.mizar.drops import read_drops
from ursa.mizar.layout import ATTACHMENT, HELD, NODE, PEER_SELF
from ursa.mizar.loader import load
from ursa.mizar.maps import Map

log = logging.getLogger(__name__)

LEARNED_MAX_S = 5.0  # an owner not heard of for so long is asked for again, at a bouncer
SEEN_STEP_S = 0.25  # how exact that is; each step costs one store in a shared cache line
_INLINE_WRITES_MAX = 64  # rows: 5 µs each, where a thread costs 100 µs
_SIOCGIFMTU = 0x8921  # linux/sockios.h
_IFREQ = struct.Struct("@16si20x")  # struct ifreq with ifr_mtu
_HELD, _ONLY = "held", bytes(4)  # the map and its one key


class DataPlaneError(Exception):
    """The data plane cannot be opened here; the message says what to do."""


def open_data_plane(*, bpffs: Path, objects: Path, uplink: str) -> Transit:
    """Return the transit daemon of this network namespace, forwarding. Blocking, 50 ms.

    Takes over what is pinned in `bpffs`. DataPlaneError if there is no bpffs or no uplink with
    an IPv4 address, BpfError if the kernel refuses a program.
    """
    if not os.path.ismount(bpffs):
        raise DataPlaneError(f"{bpffs} is no mount: run 'mount -t bpf bpf {bpffs}' first")
    index, own = _uplink(uplink)
    node = pack_node(own, index)
    agent = load(objects, "agent", node, bpffs)
    transit = load(objects, "transit", node, bpffs)
    maps = KernelMaps(bpffs)
    links = KernelLinks(uplink, own, agent)
    maps.adopt_address(own)
    attachments = _renew(maps, links)
    hook.attach(index, transit)
    os.close(transit)  # the hook holds it
    return Transit(maps, links, attachments)


def pack_node(own: bytes, uplink: int) -> bytes:
    """Return the programs' constants: layout.NODE."""
    # The coarse clock ticks with jiffies, so its resolution is one.
    jiffies_per_s = round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE))
    learned_max, seen_step = LEARNED_MAX_S * jiffies_per_s, SEEN_STEP_S * jiffies_per_s
    return NODE.pack(own, uplink, int(learned_max), max(1, int(seen_step)))


_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; the time module does not name it


def _uplink(name: str) -> tuple[int, bytes]:
    """Return the uplink's index and its first IPv4 address."""
    with Netlink() as netlink:
        link = netlink.link(name)
        if link is None:
            raise DataPlaneError(f"uplink {name} is not in this network namespace")
        addresses = netlink.addresses(link.index)
    if not addresses:
        raise DataPlaneError(f"uplink {name} has no IPv4 address: give it its underlay address")
    return link.index, addresses[0].ip.packed


def _renew(maps: KernelMaps, links: KernelLinks) -> dict[str, bytes]:
    """Put this agent on every interface attached by an earlier daemon; forget those that went.

    Return the attachments by interface. Endpoint rows are made to agree with them.
    """
    attachments: dict[str, bytes] = {}
    writes: list[Write] = []
    with Netlink() as netlink:
        indexes = {link.name: link.index for link in netlink.links()}
    rows = maps.rows(ATTACHMENTS)
    for key, row in rows.items():
        name = interface_of(row)
        if indexes.get(name) == ATTACHMENT.unpack(row)[0]:
            attachments[name] = row
        else:
            writes.append(Write(ATTACHMENTS, key, None))
    locals_ = locals_of(attachments.values())
    for endpoint in locals_of(rows.values()):
        held = maps.get_now("endpoints", endpoint)
        if held is not None:
            localised = apply.localised(held, locals_.get(endpoint, apply.NOT_ATTACHED))
            writes.insert(0, Write("endpoints", endpoint, localised))
    maps.write_all(writes, None)
    for name in attachments:
        hook.attach(indexes[name], links.agent)
    if rows:
        extra = {"attached": len(attachments), "gone": len(rows) - len(attachments)}
        log.info("took over attachments", extra=extra)
    return attachments


class KernelMaps:
    """The maps pinned in one bpffs."""

    def __init__(self, bpffs: Path) -> None:
        self._bpffs = bpffs
        names = (*apply.MAPS, apply.LEARNED, ATTACHMENTS, _HELD)
        self._maps = {name: Map.pinned(bpffs / name) for name in names}

    def adopt_address(self, own: bytes) -> None:
        """Write this node's own peer row. Under another address the old rows are worth nothing
        but as a start: the revision goes back to zero, so that a snapshot is sent."""
        row, key = apply.pack_host(own), apply.index_key(PEER_SELF)
        had = self._maps["peers"].get(key)
        if had == row:
            return
        writes = [Write("peers", key, row), Write("peer_indexes", row, key)]
        if had is not None and any(had):
            writes.append(Write("peer_indexes", had, None))
        self.write_all(writes, (0, 0))

    async def held(self) -> HeldState:
        row = self._maps[_HELD].get(_ONLY)
        epoch, counter, writing = HELD.unpack(row or bytes(HELD.size))
        return HeldState((epoch, counter), bool(writing))

    async def read(self, names: tuple[str, ...]) -> Mapping[str, Rows]:
        return await asyncio.to_thread(lambda: {name: self.rows(name) for name in names})

    async def get(self, name: str, key: bytes) -> bytes | None:
        return self.get_now(name, key)

    async def write(self, writes: list[Write], revision: tuple[int, int] | None) -> None:
        if len(writes) <= _INLINE_WRITES_MAX:
            self.write_all(writes, revision)
        else:
            await asyncio.to_thread(self.write_all, writes, revision)

    async def drops(self) -> Mapping[str, int]:
        return read_drops(self._bpffs)

    def get_now(self, name: str, key: bytes) -> bytes | None:
        return self._maps[name].get(key)

    def rows(self, name: str) -> Rows:
        """Return all rows of a map; of an array those that are not zero."""
        table = self._maps[name]
        rows = table.rows()
        if table.is_array:
            return {key: value for key, value in rows.items() if any(value)}
        return rows

    def write_all(self, writes: list[Write], revision: tuple[int, int] | None) -> None:
        """Do the writes in order, neighbours of one map in one call; then record the revision."""
        if revision is not None:
            self._mark()
        for (name, is_put), group in groupby(writes, lambda w: (w.map, w.value is not None)):
            if is_put:
                self._maps[name].put({w.key: w.value for w in group if w.value is not None})
            else:
                self._maps[name].delete([w.key for w in group])
        if revision is not None:
            self._maps[_HELD].put({_ONLY: HELD.pack(*revision, 0)})

    def _mark(self) -> None:
        epoch, counter, _ = HELD.unpack(self._maps[_HELD].get(_ONLY) or bytes(HELD.size))
        self._maps[_HELD].put({_ONLY: HELD.pack(epoch, counter, 1)})


class KernelLinks:
    """The interfaces of the network namespace that this process is in."""

    def __init__(self, uplink: str, own_ip: bytes, agent: int) -> None:
        self._uplink = uplink
        self._own_ip = own_ip
        self.agent = agent  # descriptor of the program

    @property
    def own_ip(self) -> bytes:
        return self._own_ip

    async def uplink_mtu_bytes(self) -> int:
        uplink = find_interface(self._uplink)
        if uplink is None:
            raise DataPlaneError(f"uplink {self._uplink} has gone")
        return uplink.mtu_bytes

    async def find(self, name: str) -> Interface | None:
        return find_interface(name)  # two ioctls, 10 µs

    async def attach(self, index: int) -> None:
        await asyncio.to_thread(hook.attach, index, self.agent)

    async def detach(self, index: int) -> None:
        await asyncio.to_thread(hook.detach, index)


def find_interface(name: str) -> Interface | None:
    request = bytearray(_IFREQ.pack(name.encode(), 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            index = socket.if_nametoindex(name)
            fcntl.ioctl(channel, _SIOCGIFMTU, request)
        except OSError as fault:
            if fault.errno in (errno.ENODEV, errno.ENXIO):
                return None
            raise
    return Interface(index, _IFREQ.unpack(request)[1])
