"""The CNI server on the kernel: real namespaces, the real plugin. Needs root."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from ursa.base import ethtool, netlink, netns
from ursa.base.errors import BadRequest
from ursa.cni import install, interface
from ursa.cni.server import Server
from ursa.proto.mizar_pb2 import (
    Attached,
    Attachment,
    Attachments,
    DetachReply,
    DetachRequest,
    ListAttachmentsRequest,
)

pytestmark = pytest.mark.root
CLUSTER = "c0ffee"
POD_IP, GATEWAY = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.1")
BOX = "box1"
UID = "0f0e0d0c-0000-4000-8000-000000000001"
CONF = {"cniVersion": "0.4.0", "name": "net", "type": "ursa-cni"}


@dataclass(frozen=True)
class Plug:
    vni: int = 7
    ip: IPv4Address = POD_IP
    gateway: IPv4Address = GATEWAY
    mac: bytes = bytes.fromhex("020000000005")
    mtu_bytes: int = 1450
    prefix_length: int = 16


class Ports:
    """The ports of a node, known at once."""

    def __init__(self) -> None:
        self.known = {(UID, "eth0"): Plug()}
        self.asked = asyncio.Event()
        self.never = asyncio.Event()

    async def synced(self) -> None:
        return

    async def wait_for_port(self, pod_uid: str, nic: str, timeout_s: float) -> Plug:
        self.asked.set()
        if pod_uid == "late":
            await self.never.wait()
        if (pod_uid, nic) not in self.known:
            raise TimeoutError("no port after 0 s")
        return self.known[pod_uid, nic]

    def port_of(self, pod_uid: str, nic: str) -> Plug | None:
        return self.known.get((pod_uid, nic))


class DataPlane:
    """Attachments by interface, as the transit daemon holds them."""

    def __init__(self) -> None:
        self.held: dict[str, Attachment] = {}
        self.refuses = False

    async def Attach(self, request: Attachment) -> Attached:
        if self.refuses:
            raise BadRequest("underlay MTU 1500 is too small")
        self.held[request.interface] = request
        return Attached()

    async def Detach(self, request: DetachRequest) -> DetachReply:
        self.held.pop(request.interface, None)
        return DetachReply()

    async def ListAttachments(self, request: ListAttachmentsRequest) -> Attachments:
        return Attachments(attachments=self.held.values())


@dataclass
class Rig:
    server: Server
    ports: Ports
    data_plane: DataPlane
    plugin: Path
    pod: str  # path of the pod's namespace

    async def run(self, command: str, **changed: str) -> tuple[int, Any]:
        """Run the plugin as a container runtime does; return its exit code and its output."""
        conf = json.dumps(CONF | json.loads(changed.pop("conf", "{}")))
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": BOX,
            "CNI_NETNS": self.pod,
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_UID={UID}",
            "CNI_PATH": str(self.plugin.parent),
        } | changed
        process = await asyncio.create_subprocess_exec(
            self.plugin,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(conf.encode())
        assert process.returncode is not None
        return process.returncode, json.loads(output) if output else None


@pytest.fixture
def pod() -> Iterator[str]:
    name = f"cnitest-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


@contextmanager
def other_namespace() -> Iterator[str]:
    name = f"cnitest-{os.getpid()}-2"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture(params=["c", "python"])
async def rig(tmp_path: Path, pod: str, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    install.install(tmp_path / "bin", tmp_path / "net.d", "net")
    plugin = tmp_path / "bin" / install.PLUGIN
    if request.param == "python":
        plugin.write_bytes(install.TWIN.read_bytes())
    ports, data_plane = Ports(), DataPlane()
    server = Server(tmp_path / "bin" / install.SOCKET, CLUSTER, ports, data_plane)
    async with server.serving():
        yield Rig(server, ports, data_plane, plugin, pod)
    for link in interface.owned(CLUSTER, interface.links()).values():
        interface.remove(link.name)


def ours() -> list[str]:
    return [link.name for link in interface.owned(CLUSTER, interface.links()).values()]


async def test_add_gives_the_pod_its_address_and_route(rig: Rig) -> None:
    code, result = await rig.run("ADD")
    assert code == 0
    assert result["ips"] == [
        {"version": "4", "address": "10.0.0.5/32", "gateway": "10.0.0.1", "interface": 1}
    ]
    assert result["interfaces"][1]["mac"] == "02:00:00:00:00:05"
    name = result["interfaces"][0]["name"]
    assert ours() == [name] and len(name) == netlink.IFNAME_MAX
    attached = rig.data_plane.held[name]
    assert (attached.vni, attached.ip, attached.tap) == (7, bytes([10, 0, 0, 5]), False)
    with netns.run_in(rig.pod, netlink.Netlink) as inside:
        link = inside.link("eth0")
        assert link is not None and link.is_up and link.mtu_bytes == 1450
        assert inside.default_gateways(link.index) == [IPv4Address("10.0.0.1")]
    off = netns.run_in(rig.pod, lambda: ethtool.disabled("eth0"))
    assert set(interface.UNTUNNELLABLE) <= off


async def test_add_twice_changes_nothing(rig: Rig) -> None:
    first = await rig.run("ADD")
    before = interface.links()
    assert await rig.run("ADD") == first
    assert interface.links() == before
    assert (await rig.run("CHECK"))[0] == 0


async def test_del_leaves_nothing_and_may_be_repeated(rig: Rig) -> None:
    await rig.run("ADD")
    for _ in range(2):
        assert await rig.run("DEL") == (0, None)
    assert ours() == [] and rig.data_plane.held == {}
    assert await rig.run("DEL", CNI_NETNS="") == (0, None)
    assert await rig.run("DEL", CNI_NETNS="/run/netns/gone-since-a-reboot") == (0, None)


async def test_check_says_what_is_missing(rig: Rig) -> None:
    await rig.run("ADD")
    await asyncio.to_thread(
        netns.run_in,
        rig.pod,
        lambda: subprocess.run(["ip", "link", "set", "eth0", "down"], check=True),
    )
    code, fault = await rig.run("CHECK")
    assert (code, fault["code"]) == (1, 100) and "eth0 is down" in fault["msg"]


async def test_a_half_made_interface_is_made_again(rig: Rig) -> None:
    await rig.run("ADD")
    await asyncio.to_thread(
        netns.run_in,
        rig.pod,
        lambda: subprocess.run(["ip", "address", "flush", "dev", "eth0"], check=True),
    )
    assert (await rig.run("ADD"))[0] == 0
    assert (await rig.run("CHECK"))[0] == 0


async def test_a_pods_next_sandbox_takes_the_port_from_one_that_was_never_deleted(rig: Rig) -> None:
    _, first = await rig.run("ADD")
    with other_namespace() as pod:
        code, second = await rig.run("ADD", CNI_CONTAINERID="box2", CNI_NETNS=pod)
        assert code == 0
        assert ours() == [second["interfaces"][0]["name"]] != [first["interfaces"][0]["name"]]
        assert list(rig.data_plane.held) == ours()


async def test_an_address_given_on_leaves_the_pod_that_had_it(rig: Rig) -> None:
    await rig.run("ADD")
    rig.ports.known["heir", "eth0"] = rig.ports.known.pop((UID, "eth0"))
    with other_namespace() as pod:
        changed = {"CNI_CONTAINERID": "box2", "CNI_NETNS": pod, "CNI_ARGS": "K8S_POD_UID=heir"}
        code, result = await rig.run("ADD", **changed)
        assert code == 0
        assert ours() == [result["interfaces"][0]["name"]] == list(rig.data_plane.held)


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"CNI_CONTAINERID": "../x"}, 4, "no container id"),
        ({"CNI_IFNAME": "a/b"}, 4, "no interface name"),
        ({"CNI_IFNAME": "longer-than-15-characters"}, 4, "no interface name"),
        ({"CNI_ARGS": ""}, 4, "K8S_POD_UID"),
        ({"CNI_ARGS": "K8S_POD_UID=other"}, 11, "no port yet"),
        ({"CNI_NETNS": "/run/netns/none"}, 3, "/run/netns/none"),
        ({"conf": '{"cniVersion": "9.9.9"}'}, 1, "9.9.9"),
        ({"conf": '{"type": "bridge"}'}, 7, "bridge"),
        ({"CNI_COMMAND": "FLY"}, 4, "FLY"),
    ],
)
async def test_bad_input_is_refused_in_words(
    rig: Rig, changed: dict[str, str], code: int, words: str
) -> None:
    status, fault = await rig.run(changed.get("CNI_COMMAND", "ADD"), **changed)
    assert (status, fault["code"]) == (1, code)
    assert words in fault["msg"] + fault.get("details", "")
    assert ours() == []


async def test_a_refused_attachment_leaves_no_interface(rig: Rig) -> None:
    rig.data_plane.refuses = True
    status, fault = await rig.run("ADD")
    assert status == 1 and "MTU 1500 is too small" in fault["details"]
    assert ours() == []


async def test_a_deletion_ends_an_addition_that_still_waits(rig: Rig) -> None:
    adding = asyncio.create_task(rig.run("ADD", CNI_ARGS="K8S_POD_UID=late"))
    await rig.ports.asked.wait()
    assert await rig.run("DEL") == (0, None)
    status, fault = await adding
    assert (status, fault["code"]) == (1, 3) and "deleted meanwhile" in fault["msg"]
    assert ours() == []


async def test_a_vm_gets_a_tap_that_stays_until_del(rig: Rig) -> None:
    arguments = {
        "CNI_ARGS": f"K8S_POD_UID={UID};URSA_INTERFACE=tap",
        "CNI_NETNS": "/proc/self/ns/net",
    }
    code, result = await rig.run("ADD", **arguments)
    assert code == 0
    tap = result["interfaces"][0]
    assert (tap["mac"], tap["mtu"]) == ("02:00:00:00:00:05", 1450)
    assert result["ips"][0]["address"] == "10.0.0.5/16"
    assert rig.data_plane.held[tap["name"]].tap
    with Path("/dev/net/tun").open("r+b", buffering=0) as tun:  # noqa: ASYNC230 as QEMU's server opens it
        fcntl.ioctl(tun, 0x400454CA, struct.pack("=16sH22x", tap["name"].encode(), 0x5002))
        assert (await rig.run("ADD", **arguments))[1] == result
        rig.ports.known.clear()
        await rig.server.collect_remains()
        assert ours() == [tap["name"]], "a tap that somebody holds open stays"
    await rig.server.collect_remains()
    assert ours() == [] and rig.data_plane.held == {}
    assert await rig.run("DEL", **arguments) == (0, None)


async def test_gc_keeps_what_the_runtime_names(rig: Rig) -> None:
    await rig.run("ADD")
    valid = {"cni.dev/valid-attachments": [{"containerID": BOX, "ifname": "eth0"}]}
    assert (await rig.run("GC", conf=json.dumps(valid)))[0] == 0
    assert len(ours()) == 1
    assert (await rig.run("GC", conf='{"cni.dev/valid-attachments": []}'))[0] == 0
    assert ours() == []


async def test_loopback_comes_up(rig: Rig) -> None:
    conf = '{"type": "loopback", "cniVersion": "0.3.1"}'
    code, result = await rig.run("ADD", conf=conf, CNI_IFNAME="lo")
    assert code == 0 and result["cniVersion"] == "0.3.1"
    with netns.run_in(rig.pod, netlink.Netlink) as inside:
        lo = inside.link("lo")
        assert lo is not None and lo.is_up
    assert await rig.run("DEL", conf=conf, CNI_IFNAME="lo", CNI_NETNS="") == (0, None)


async def test_version_names_what_is_supported(rig: Rig) -> None:
    code, result = await rig.run("VERSION")
    assert code == 0 and "0.4.0" in result["supportedVersions"]


def test_without_netd_the_plugin_asks_to_try_again(tmp_path: Path) -> None:
    install.build_client(tmp_path / "ursa-cni")
    done = subprocess.run(
        [tmp_path / "ursa-cni"], input=b"{}", capture_output=True, check=False, env={}
    )
    assert done.returncode == 1 and json.loads(done.stdout)["code"] == 11


def test_install_may_be_repeated_and_is_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        install.install(tmp_path / "bin", tmp_path / "net.d", "ursa-c0ffee")
    assert (tmp_path / "bin" / "loopback").samefile(tmp_path / "bin" / "ursa-cni")
    names = sorted(path.name for path in (tmp_path / "bin").iterdir())
    assert names == ["loopback", "ursa-cni", "ursa-cni.sha256"]
    conf = json.loads((tmp_path / "net.d" / "10-ursa.conflist").read_text())
    assert conf["plugins"] == [{"type": "ursa-cni"}]
