"""The CNI server in netd: plugs pods into their ports, over a unix socket that root alone opens.

    plugin ── call ──▶ ADD: wait for the port ─▶ make the interface ─▶ attach it ─▶ result
                       DEL: end a running ADD ─▶ detach ─▶ delete the interface

Every command is idempotent and looks at the kernel, never at a memory of earlier calls. An
interface is attached after its port is in the maps, so a container cannot start before its
network works. Calls for one interface run one after another.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ursa.base import netns
from ursa.cni import interface
from ursa.cni.install import LOOPBACK, PLUGIN
from ursa.cni.interface import Owner, Plug
from ursa.cni.wire import (
    DEFAULT_VERSION,
    REQUEST_MAX,
    VERSIONS,
    Call,
    CniError,
    Code,
    failed,
    parse,
    succeeded,
)
from ursa.proto.mizar_pb2 import (
    Attached,
    Attachment,
    Attachments,
    DetachReply,
    DetachRequest,
    ListAttachmentsRequest,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

PORT_TIMEOUT_S = 15.0  # the runtime retries a sandbox that fails; a user sees why in an event
REQUEST_TIMEOUT_S = 5.0  # for the plugin to send its request
CALLS_MAX = 512  # at once; 4 × the pods that a node holds


class LocalPort(Plug, Protocol):
    @property
    def vni(self) -> int: ...
    @property
    def prefix_length(self) -> int: ...


class Ports(Protocol):
    """The ports of this node that the data plane's maps hold."""

    async def synced(self) -> None:
        """Wait until the ports are known."""

    async def wait_for_port(self, pod_uid: str, nic: str, timeout_s: float) -> LocalPort:
        """TimeoutError says why there is none."""

    def port_of(self, pod_uid: str, nic: str) -> LocalPort | None: ...


class DataPlane(Protocol):
    def Attach(self, request: Attachment) -> Awaitable[Attached]: ...
    def Detach(self, request: DetachRequest) -> Awaitable[DetachReply]: ...
    def ListAttachments(self, request: ListAttachmentsRequest) -> Awaitable[Attachments]: ...


class Server:
    def __init__(self, socket: Path, cluster_id: str, ports: Ports, data_plane: DataPlane) -> None:
        self._socket = socket
        self._cluster_id = cluster_id
        self._ports = ports
        self._data_plane = data_plane
        self._calls = 0
        self._adding: dict[str, asyncio.Task[Any]] = {}  # by link name
        self._turns: dict[str, _Turn] = {}  # by link name

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer on the socket while the block runs."""
        self._socket.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._answer, self._socket, limit=REQUEST_MAX)
        finally:
            os.umask(mask)
        try:
            yield
        finally:
            server.close()  # who still waits for a port is told by the end of its connection

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                request = await _read(reader)
            writer.write(await self.call(request))
            await writer.drain()
        except (OSError, TimeoutError) as fault:  # the plugin was killed: nobody waits
            log.warning("a plugin went away", extra={"error": str(fault)})
        finally:
            writer.close()

    async def call(self, request: bytes) -> bytes:
        """Return the answer to one request of the plugin."""
        version = DEFAULT_VERSION
        try:
            call = parse(request)
            version = call.version if call.version in VERSIONS else DEFAULT_VERSION
            if self._calls >= CALLS_MAX:
                raise CniError(Code.TRY_AGAIN, f"netd carries out {CALLS_MAX} calls already")
            self._calls += 1
            try:
                return succeeded(await self._carry_out(call))
            finally:
                self._calls -= 1
        except CniError as fault:
            extra = {"code": int(fault.code), "error": fault.message, "details": fault.details}
            log.warning("call failed", extra=extra)
            return failed(fault, version)
        except Exception as fault:  # a request's boundary: the runtime gets an error, not silence
            log.exception("call broke")
            return failed(CniError(Code.IO_FAILURE, "netd failed: see its log", repr(fault)))

    async def _carry_out(self, call: Call) -> dict[str, Any] | None:
        kind = call.config.get("type", PLUGIN)
        match call.command, kind:
            case "VERSION", _:
                return {"cniVersion": DEFAULT_VERSION, "supportedVersions": [*VERSIONS]}
            case "STATUS", _:
                return None
            case _, kind if kind == LOOPBACK:
                return await _loopback(call)
            case _, kind if kind != PLUGIN:
                message = f"plugin type {kind!r} is unknown"
                raise CniError(Code.INVALID_CONFIGURATION, message, f"use {PLUGIN} or {LOOPBACK}")
            case "ADD", _:
                return await self._add(call)
            case "CHECK", _:
                await self._check(call)
            case "DEL", _:
                await self._delete(self._name(call))
            case "GC", _:
                await self._collect(_valid(call))
        return None

    async def _add(self, call: Call) -> dict[str, Any]:
        name = self._name(call)
        async with self._turn_of(name):
            task = asyncio.current_task()
            assert task is not None
            self._adding[name] = task
            try:
                return await self._plug(name, call)
            except asyncio.CancelledError:
                if name in self._adding:
                    raise  # netd stops
                task.uncancel()
                message = f"the sandbox {call.container_id} was deleted meanwhile"
                raise CniError(Code.UNKNOWN_CONTAINER, message) from None
            finally:
                self._adding.pop(name, None)

    async def _plug(self, name: str, call: Call) -> dict[str, Any]:
        owner = Owner(call.container_id, call.ifname, _pod_uid(call))
        is_tap = call.args.get("URSA_INTERFACE") == "tap"
        try:
            port = await self._ports.wait_for_port(owner.pod_uid, owner.ifname, PORT_TIMEOUT_S)
        except TimeoutError as fault:
            raise CniError(Code.TRY_AGAIN, "the pod has no port yet", str(fault)) from fault
        await self._make(name, owner, call.netns, port, is_tap=is_tap)
        return _result(call, name, port, is_tap=is_tap)

    async def _make(
        self, name: str, owner: Owner, pod_netns: str, port: LocalPort, *, is_tap: bool
    ) -> None:
        """Make the interface and attach it. What cannot be attached is removed again."""
        await self._supersede(owner, port)
        if is_tap:
            await _in_kernel(interface.make_tap, name, owner, port)
        else:
            await _in_kernel(interface.make_veth, name, owner, pod_netns, port)
        attachment = Attachment(
            interface=name,
            vni=port.vni,
            ip=port.ip.packed,
            mac=port.mac,
            tap=is_tap,
            mtu_bytes=port.mtu_bytes,
        )
        try:
            await self._data_plane.Attach(attachment)
        except Exception as fault:  # a call's boundary: the kernel's refusals are of many kinds
            log.warning("attach failed", extra={"interface": name, "error": str(fault)})
            await _in_kernel(interface.remove, name)
            message = f"the data plane refuses {name}"
            raise CniError(Code.IO_FAILURE, message, str(fault)) from fault

    async def _supersede(self, owner: Owner, port: LocalPort) -> None:
        """Unplug who has this port's address: the goal state says that it is this pod's.

        An elder sandbox of the pod that died half-made would have it for ever; a pod whose port
        is deleted, and its address given on, may be a moment from its end.
        """
        held = await self._data_plane.ListAttachments(ListAttachmentsRequest())
        former = {a.interface for a in held.attachments if (a.vni, a.ip) == _address(port)}
        links = await _in_kernel(interface.links)
        for other, link in interface.owned(self._cluster_id, links).items():
            is_elder = (other.pod_uid, other.ifname) == (owner.pod_uid, owner.ifname)
            if other != owner and (is_elder or link.name in former):
                log.info("superseded", extra={"link": link.name, "owner": str(other)})
                await self._delete(link.name)

    async def _check(self, call: Call) -> None:
        name = self._name(call)
        port = self._ports.port_of(_pod_uid(call), call.ifname)
        if port is None:
            raise CniError(Code.CHECK_FAILED, "the pod has no port on this node")
        if call.args.get("URSA_INTERFACE") != "tap":
            path = call.netns
            fault = await _in_kernel(
                lambda: netns.run_in(path, lambda: interface.fault_of(call.ifname, port))
            )
            if fault:
                raise CniError(Code.CHECK_FAILED, fault)
        held = await self._data_plane.ListAttachments(ListAttachmentsRequest())
        wanted = (name, port.vni, port.ip.packed, port.mac)
        if wanted not in [(a.interface, a.vni, a.ip, a.mac) for a in held.attachments]:
            raise CniError(Code.CHECK_FAILED, f"{name} is not attached to the data plane")

    async def _delete(self, name: str) -> None:
        """Unplug; a sandbox that was never plugged, or not since a reboot, is unplugged."""
        if (adding := self._adding.pop(name, None)) is not None:
            adding.cancel()
        async with self._turn_of(name):
            await self._unplug(name)

    async def _unplug(self, name: str) -> None:
        try:
            await self._data_plane.Detach(DetachRequest(interface=name))
        except Exception as fault:  # a call's boundary: the interface goes, its attachment with it
            log.warning("detach failed", extra={"interface": name, "error": str(fault)})
        await _in_kernel(interface.remove, name)

    async def _collect(self, valid: set[tuple[str, str]]) -> None:
        """Unplug every interface of ours whose (container id, interface) is not in `valid`."""
        links = await _in_kernel(interface.links)
        for owner, link in interface.owned(self._cluster_id, links).items():
            if (owner.container_id, owner.ifname) not in valid:
                await self._delete(link.name)

    async def collect_remains(self) -> None:
        """Once the ports are known: unplug what no sandbox can be using any more.

        A veth goes with its pod's namespace by itself. A tap stays: it is removed if its pod
        has no port here and nobody holds it open. Attachments without an interface end.
        """
        await self._ports.synced()
        # Attachments first: one whose interface is not found afterwards has lost it for good.
        held = await self._data_plane.ListAttachments(ListAttachmentsRequest())
        links = await _in_kernel(interface.links)
        present = {link.name for link in links}
        for attachment in held.attachments:
            if attachment.interface not in present:
                await self._delete(attachment.interface)
        for owner, link in interface.owned(self._cluster_id, links).items():
            is_known = self._ports.port_of(owner.pod_uid, owner.ifname) is not None
            if link.kind == "tun" and not is_known and not link.has_carrier:
                log.info("removed a tap of no pod", extra={"link": link.name, "owner": str(owner)})
                await self._delete(link.name)

    def _name(self, call: Call) -> str:
        return interface.link_name(self._cluster_id, call.container_id, call.ifname)

    @asynccontextmanager
    async def _turn_of(self, name: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if turn.users == 0:
                del self._turns[name]


@dataclass(slots=True)
class _Turn:
    """Calls for one interface run one after another; gone once nobody waits."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while part := await reader.read(REQUEST_MAX):
        data += part
        if len(data) > REQUEST_MAX:
            raise OSError(errno.EMSGSIZE, f"a request exceeds {REQUEST_MAX} bytes")
    return bytes(data)


async def _in_kernel(work: Callable[..., T], *args: Any) -> T:
    """Return `work(*args)` of a thread. A cancelled caller waits for it to end all the same.

    Otherwise a deletion might overtake the making that it cancels.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work, *args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
    except FileNotFoundError as fault:
        remedy = "a sandbox's namespace must exist until its DEL"
        raise CniError(Code.UNKNOWN_CONTAINER, f"there is no {fault.filename}", remedy) from fault
    except OSError as fault:
        raise CniError(
            Code.IO_FAILURE, "the kernel refuses", fault.strerror or str(fault)
        ) from fault


def _pod_uid(call: Call) -> str:
    uid = call.args.get("K8S_POD_UID", "")
    if not uid:
        message = "CNI_ARGS has no K8S_POD_UID: the runtime must say whose sandbox it is"
        raise CniError(Code.INVALID_ENVIRONMENT, message)
    return uid


def _address(port: LocalPort) -> tuple[int, bytes]:
    return port.vni, port.ip.packed


def _valid(call: Call) -> set[tuple[str, str]]:
    """Return the attachments that a GC call wants to keep."""
    entries = call.config.get("cni.dev/valid-attachments", call.config.get("cni.dev/attachments"))
    try:
        return {(str(entry["containerID"]), str(entry["ifname"])) for entry in entries or ()}
    except (TypeError, KeyError) as fault:
        message = "cni.dev/valid-attachments is no list of {containerID, ifname}"
        raise CniError(Code.INVALID_CONFIGURATION, message) from fault


def _result(call: Call, name: str, port: LocalPort, *, is_tap: bool) -> dict[str, Any]:
    """Return CNI's result. A tap is one interface, with its guest's MAC and prefix."""
    mac, mtu = port.mac.hex(":"), port.mtu_bytes
    if is_tap:
        interfaces = [{"name": name, "mac": mac, "mtu": mtu, "sandbox": call.netns}]
    else:
        inner = {"name": call.ifname, "mac": mac, "mtu": mtu, "sandbox": call.netns}
        interfaces = [{"name": name, "mtu": mtu}, inner]
    address = IPv4Interface((port.ip, port.prefix_length if is_tap else 32))
    gateway = str(port.gateway)
    ip = {"address": str(address), "gateway": gateway, "interface": len(interfaces) - 1}
    routes = [{"dst": "0.0.0.0/0", "gw": gateway}]
    return _versioned(call, {"interfaces": interfaces, "ips": [ip], "routes": routes, "dns": {}})


async def _loopback(call: Call) -> dict[str, Any] | None:
    if call.command != "ADD":
        return None
    await _in_kernel(interface.bring_up_loopback, call.netns)
    lo = {"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": call.netns}
    ip = {"address": "127.0.0.1/8", "interface": 0}
    return _versioned(call, {"interfaces": [lo], "ips": [ip], "routes": [], "dns": {}})


def _versioned(call: Call, result: dict[str, Any]) -> dict[str, Any]:
    """Before 1.0.0 an address says its family."""
    if call.version.startswith("0."):
        result["ips"] = [{"version": "4"} | ip for ip in result["ips"]]
    return {"cniVersion": call.version} | result
