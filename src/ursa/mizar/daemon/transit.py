"""The RPC of proto/mizar.proto: one method a call, whose errors are ApiErrors.

Rows and revision are read from the pinned maps, never remembered; attachments are, because
this daemon is their one writer. Around every change of rows the maps carry a mark, so that a
daemon that dies in the middle is seen by the next: it answers with revision zero until a
snapshot has mended the rows. All calls take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ursa.base.errors import BadRequest, Conflict, NotFound
from ursa.mizar.daemon import apply
from ursa.mizar.daemon.apply import MAPS, Local, Rows, Write
from ursa.mizar.layout import (
    ATTACHMENT,
    ATTACHMENT_TAP,
    ATTACHMENTS_MAX,
    INTERFACE_MAX,
    OVERHEAD_BYTES,
)
from ursa.proto import mizar_pb2 as pb
from ursa.proto.mizar_pb2_grpc import TransitServicer

ATTACHMENTS = "attachments"


class HeldState(NamedTuple):
    """What the maps hold: `revision` in full, or in part if `is_writing`."""

    revision: tuple[int, int]  # epoch, counter
    is_writing: bool


@dataclass(frozen=True, slots=True)
class Interface:
    index: int
    mtu_bytes: int


class Maps(Protocol):
    """The kernel's maps, or a simulation's. Only the real one uses a thread."""

    async def held(self) -> HeldState: ...

    async def read(self, names: tuple[str, ...]) -> Mapping[str, Rows]:
        """Return all rows of some maps; of an array those that are not zero."""
        ...

    async def get(self, name: str, key: bytes) -> bytes | None: ...

    async def write(self, writes: list[Write], revision: tuple[int, int] | None) -> None:
        """Do the writes in order. With a revision: mark, write, record the revision, unmark."""
        ...

    async def drops(self) -> Mapping[str, int]: ...


class Links(Protocol):
    """The interfaces of this node."""

    @property
    def own_ip(self) -> bytes: ...

    async def uplink_mtu_bytes(self) -> int: ...

    async def find(self, name: str) -> Interface | None: ...

    async def attach(self, index: int) -> None:
        """Put the agent on an interface; again is no fault."""
        ...

    async def detach(self, index: int) -> None:
        """Take the agent off; nothing to do if it, or the interface, is gone."""
        ...


class Transit(TransitServicer):
    def __init__(self, maps: Maps, links: Links, attachments: Mapping[str, bytes]) -> None:
        """`attachments` are the rows of the map of that name by interface."""
        self._maps = maps
        self._links = links
        self._attachments = dict(attachments)
        self._maps_lock = asyncio.Lock()

    async def Apply(self, request: pb.NodeState, context: object = None) -> pb.Held:
        """Apply the state unless the maps hold a newer one; acknowledge what they hold."""
        async with self._maps_lock:
            held = await self._maps.held()
            wanted = _order(request.revision)
            if wanted > held.revision or (wanted == held.revision and held.is_writing):
                await self._become(request, wanted)
            return await self._held()

    async def Update(self, request: pb.Delta, context: object = None) -> pb.Held:
        """Add and remove rows. Conflict unless the maps hold the delta's base, or the delta."""
        async with self._maps_lock:
            held = await self._maps.held()
            wanted = _order(request.revision)
            if held.is_writing or held.revision not in (wanted, _order(request.base)):
                raise Conflict(
                    f"the maps hold {_text(held)}, the delta is for "
                    f"{request.base.epoch}.{request.base.counter}: send a snapshot"
                )
            if wanted < held.revision:
                raise BadRequest("a delta's revision is not below its base")
            if wanted > held.revision:
                await self._change(request, wanted)
            return await self._held()

    async def Read(self, request: pb.ReadRequest, context: object = None) -> pb.NodeState:
        async with self._maps_lock:
            held = await self._held()
            return apply.unpack(await self._maps.read(MAPS), self._links.own_ip, held.revision)

    async def Attach(self, request: pb.Attachment, context: object = None) -> pb.Attached:
        """Make an interface the attachment of an address. Idempotent; a changed one is replaced.

        NotFound if there is no such interface, Conflict if another one has the address, the
        underlay's MTU is too small, or the interface's index collides: make it anew then.
        """
        key = apply.endpoint_key(request.vni, request.ip)
        if len(request.mac) != 6:
            raise BadRequest(f"attachment {request.interface}: mac has {len(request.mac)} bytes")
        if not 0 < len(request.interface.encode()) < INTERFACE_MAX:
            raise BadRequest(f"interface {request.interface!r}: 1 to {INTERFACE_MAX - 1} bytes")
        async with self._maps_lock:
            interface = await self._links.find(request.interface)
            if interface is None:
                raise NotFound(f"interface {request.interface} is not on this node")
            await self._check_mtu(request, interface)
            await self._check_rivals(request, interface, key)
            row = _pack_attachment(request, interface.index)
            await self._forget(request.interface, unless=row)
            await self._maps.write([Write(ATTACHMENTS, _slot(interface.index), row)], None)
            self._attachments[request.interface] = row
            await self._localise(key)
            await self._links.attach(interface.index)
            return pb.Attached(ifindex=interface.index)

    async def Detach(self, request: pb.DetachRequest, context: object = None) -> pb.DetachReply:
        async with self._maps_lock:
            row = self._attachments.get(request.interface)
            if row is not None:
                await self._links.detach(_ifindex(row))
                await self._forget(request.interface)
            return pb.DetachReply()

    async def ListAttachments(
        self, request: pb.ListAttachmentsRequest, context: object = None
    ) -> pb.Attachments:
        async with self._maps_lock:
            rows = [self._attachments[name] for name in sorted(self._attachments)]
            return pb.Attachments(attachments=[_unpack_attachment(row) for row in rows])

    async def Drops(self, request: pb.DropsRequest, context: object = None) -> pb.DropCounts:
        return pb.DropCounts(packets=await self._maps.drops())

    async def _become(self, state: pb.NodeState, revision: tuple[int, int]) -> None:
        have = await self._maps.read(MAPS)
        own = self._links.own_ip
        want = apply.pack(state, own, have["peer_indexes"], self._locals())
        await self._maps.write(apply.diff(have, want), revision)

    async def _change(self, delta: pb.Delta, revision: tuple[int, int]) -> None:
        own = self._links.own_ip
        if delta.peers_changed:  # who is still needed as a peer, only all rows can tell
            have = apply.unpack(await self._maps.read(MAPS), own, pb.Revision())
            await self._become(apply.changed_by(delta, have), revision)
            return
        peers = await self._peers_for(delta)
        await self._maps.write(apply.plan_delta(delta, own, peers, self._locals()), revision)

    async def _peers_for(self, delta: pb.Delta) -> Rows:
        """Return the rows of the hosts that a delta names, or of all if one of them is new."""
        rows = {}
        for host in apply.named_by(delta, self._links.own_ip):
            row = await self._maps.get("peer_indexes", host)
            if row is None:
                return (await self._maps.read(("peer_indexes",)))["peer_indexes"]
            rows[host] = row
        return rows

    async def _held(self) -> pb.Held:
        held = await self._maps.held()
        epoch, counter = (0, 0) if held.is_writing else held.revision
        return pb.Held(revision=pb.Revision(epoch=epoch, counter=counter))

    async def _check_mtu(self, request: pb.Attachment, interface: Interface) -> None:
        """Refuse what would lose full frames silently: GSO hides it from TCP alone."""
        inner = request.mtu_bytes or interface.mtu_bytes
        outer = await self._links.uplink_mtu_bytes()
        if outer < inner + OVERHEAD_BYTES:
            raise Conflict(
                f"interface {request.interface}: its MTU {inner} and the tunnel's "
                f"{OVERHEAD_BYTES} bytes do not fit the underlay's {outer}: raise the "
                f"underlay's MTU to {inner + OVERHEAD_BYTES}, or lower the VPC's mtuBytes to "
                f"{outer - OVERHEAD_BYTES}"
            )

    async def _check_rivals(self, request: pb.Attachment, mine: Interface, key: bytes) -> None:
        """Refuse an address or a slot that another interface has; forget those that are gone."""
        for name, row in list(self._attachments.items()):
            same_slot = _ifindex(row) % ATTACHMENTS_MAX == mine.index % ATTACHMENTS_MAX
            if name == request.interface or not (_key(row) == key or same_slot):
                continue
            other = await self._links.find(name)
            if other is None or other.index != _ifindex(row):
                await self._forget(name)
            elif _key(row) == key:
                raise Conflict(
                    f"vni {request.vni} ip {apply.text(request.ip)} is the address of interface "
                    f"{name}: detach that first"
                )
            else:
                raise Conflict(
                    f"interface {request.interface}: its index {mine.index} collides with "
                    f"{name}'s {other.index}: make the interface anew"
                )

    async def _forget(self, name: str, unless: bytes = b"") -> None:
        """Remove the attachment of an interface, but not if it is `unless` already."""
        row = self._attachments.get(name)
        if row is None or row == unless:
            return
        del self._attachments[name]
        # First the endpoint: a daemon that dies in between leaves the attachment, by which the
        # next one finds the endpoint.
        await self._localise(_key(row))
        await self._maps.write([Write(ATTACHMENTS, _slot(_ifindex(row)), None)], None)

    async def _localise(self, key: bytes) -> None:
        """Make an endpoint's row, if it is there and this node's, say what its attachment is."""
        row = await self._maps.get("endpoints", key)
        if row is None:
            return
        localised = apply.localised(row, self._locals().get(key, apply.NOT_ATTACHED))
        if localised != row:
            await self._maps.write([Write("endpoints", key, localised)], None)

    def _locals(self) -> dict[bytes, Local]:
        return locals_of(self._attachments.values())


def locals_of(attachments: Iterable[bytes]) -> dict[bytes, Local]:
    """Return what endpoints take from rows of attachments, by endpoint key."""
    found = {}
    for row in attachments:
        ifindex, vni, ip, _mac, flags, _interface = ATTACHMENT.unpack(row)
        found[vni + ip] = Local(ifindex, flags)
    return found


def interface_of(row: bytes) -> str:
    return bytes(ATTACHMENT.unpack(row)[5]).rstrip(b"\0").decode()


def _ifindex(row: bytes) -> int:
    return int(ATTACHMENT.unpack(row)[0])


def _key(row: bytes) -> bytes:
    _ifindex, vni, ip, *_ = ATTACHMENT.unpack(row)
    return bytes(vni + ip)


def _slot(ifindex: int) -> bytes:
    return apply.index_key(ifindex % ATTACHMENTS_MAX)


def _pack_attachment(request: pb.Attachment, ifindex: int) -> bytes:
    flags = ATTACHMENT_TAP if request.tap else 0
    vni = apply.pack_vni(request.vni)
    name = request.interface.encode()
    return ATTACHMENT.pack(ifindex, vni, request.ip, request.mac, flags, name)


def _unpack_attachment(row: bytes) -> pb.Attachment:
    _ifindex, vni, ip, mac, flags, _ = ATTACHMENT.unpack(row)
    return pb.Attachment(
        interface=interface_of(row),
        vni=int.from_bytes(vni),
        ip=ip,
        mac=mac,
        tap=bool(flags & ATTACHMENT_TAP),
    )


def _order(revision: pb.Revision) -> tuple[int, int]:
    return revision.epoch, revision.counter


def _text(held: HeldState) -> str:
    epoch, counter = held.revision
    return f"{epoch}.{counter}{' in part' if held.is_writing else ''}"
