"""Two nodes in namespaces, each with the real netd, plugin and data plane. Needs root.

The controller's half is in this process: a world that the test fills, and its hub.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alcor_world import network, port, until
from ursa.alcor.controller.server import Hub
from ursa.alcor.controller.world import World
from ursa.base import netns, pki
from ursa.base.config import TlsFiles
from ursa.cmd.netd import NetdConfig
from ursa.mizar.loader import build_objects

pytestmark = pytest.mark.root
PORT = 17443
NETD_MAX_MIB = 70
TAG = f"nd{os.getpid() % 100000}"
UNDERLAY = f"100.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
NODES = ("n1", "n2")


def sh(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


@dataclass
class NodeBox:
    name: str
    number: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def netns(self) -> str:
        return f"{TAG}-{self.name}"

    @property
    def address(self) -> str:
        return f"{UNDERLAY}.{self.number + 1}"

    @property
    def ready(self) -> Path:
        return self.folder / "ready"

    def start(self, config: NetdConfig) -> None:
        """Start netd in the node's namespace."""
        file = self.folder / "netd.json"
        file.write_bytes(msgspec.json.encode(config))
        argv = [sys.executable, "-m", "ursa", "netd", "--config", str(file)]
        with (self.folder / "netd.log").open("ab") as log:
            self.process = netns.run_in(
                f"/run/netns/{self.netns}",
                lambda: subprocess.Popen(argv, stdout=log, stderr=log),
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self) -> str:
        return (self.folder / "netd.log").read_text()


@dataclass
class Lab:
    folder: Path
    boxes: dict[str, NodeBox]
    authority: pki.Authority
    objects: Path
    world: World = field(default_factory=World)
    pods: list[str] = field(default_factory=list)

    def tls(self, identity: pki.Identity) -> TlsFiles:
        stem = self.folder / identity.user.replace(":", "-")
        cert, key = pki.issue(self.authority, identity)
        pki.save(stem.with_suffix(".crt"), cert, secret=False)
        pki.save(stem.with_suffix(".key"), key, secret=True)
        pki.save(self.folder / "ca.crt", self.authority.cert_pem(), secret=False)
        return TlsFiles(ca=str(self.folder / "ca.crt"), cert=f"{stem}.crt", key=f"{stem}.key")

    def start(self, box: NodeBox) -> None:
        box.start(
            NetdConfig(
                name=f"netd-{box.name}",
                ready_file=str(box.ready),
                node=box.name,
                cluster_id="0ddba1",
                controller=f"{UNDERLAY}.1:{PORT}",
                tls=self.tls(pki.Identity(f"system:netd:{box.name}", ["system:netds"])),
                uplink="eth0",
                underlay_ip=box.address,
                bpffs=str(box.folder / "bpf"),
                objects=str(self.objects),
                cni_bin_dir=str(box.folder / "bin"),
                cni_conf_dir=str(box.folder / "net.d"),
            )
        )

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[Hub]:
        hub = Hub(self.world, epoch=1000)
        tls = self.tls(pki.Identity("system:alcor", addresses=[f"{UNDERLAY}.1"]))
        server = hub.bind((f"{UNDERLAY}.1:{PORT}",), tls)
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(hub.serve(server, ready.set))
            await ready.wait()
            yield hub
            serving.cancel()

    def pod(self, name: str) -> str:
        space = f"{TAG}-{name}"
        sh(f"ip netns add {space}")
        self.pods.append(space)
        return space


def underlay(boxes: dict[str, NodeBox]) -> None:
    sh(f"ip link add {TAG}br mtu 1600 type bridge")
    sh(f"ip address add {UNDERLAY}.1/24 dev {TAG}br")
    sh(f"ip link set {TAG}br up")
    for box in boxes.values():
        box.folder.mkdir()
        (box.folder / "bpf").mkdir()
        sh(f"mount -t bpf bpf {box.folder}/bpf")
        sh(f"ip netns add {box.netns}")
        outer = f"{TAG}{box.name}"
        sh(f"ip link add {outer} mtu 1600 type veth peer name eth0 mtu 1600 netns {box.netns}")
        sh(f"ip link set {outer} master {TAG}br up")
        sh(f"ip -n {box.netns} link set lo up")
        sh(f"ip -n {box.netns} address add {box.address}/24 dev eth0")
        sh(f"ip -n {box.netns} link set eth0 up")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture
def lab(tmp_path: Path, objects: Path) -> Iterator[Lab]:
    boxes = {name: NodeBox(name, i + 1, tmp_path / name) for i, name in enumerate(NODES)}
    lab = Lab(tmp_path, boxes, pki.new_authority("test"), objects)
    try:
        underlay(boxes)
        for box in boxes.values():
            lab.world.put_node(box.name, box.address)
        lab.world.put_network(network(7, 0))
        yield lab
    finally:
        for box in boxes.values():
            box.kill()
        for space in [*lab.pods, *(box.netns for box in boxes.values())]:
            subprocess.run(["ip", "netns", "del", space], check=False)
        for box in boxes.values():
            subprocess.run(["umount", str(box.folder / "bpf")], check=False)
        subprocess.run(["ip", "link", "del", f"{TAG}br"], check=False)


def pss_mib(box: NodeBox) -> float:
    """The memory of a node's netd: its proportional share, in MiB."""
    assert box.process is not None
    rollup = Path(f"/proc/{box.process.pid}/smaps_rollup").read_text()
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


async def cni(box: NodeBox, command: str, pod: str, uid: str) -> tuple[int, Any]:
    """Run the plugin as containerd does: in the node's namespace."""
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": pod,
        "CNI_NETNS": f"/run/netns/{pod}",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": f"K8S_POD_UID={uid}",
    }
    conf = {"cniVersion": "0.4.0", "name": "x", "type": "ursa-cni"}
    process = await asyncio.create_subprocess_exec(
        box.folder / "bin" / "ursa-cni",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps(conf).encode())
    return process.returncode or 0, json.loads(output) if output else None


async def pings(pod: str, address: str, tries: int = 20) -> bool:
    """Whether one of some pings is answered."""
    for _ in range(tries):
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", pod, "ping", "-c1", "-W1", address),
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() == 0:
            return True
    return False


async def plug(lab: Lab, hub: Hub, node: str, host: int, vni: int = 7) -> str:
    """Add a port and a pod in it; return the pod's namespace."""
    row = port(vni, 0, host, node)
    lab.world.put_port(row)
    hub.flush()
    pod = lab.pod(f"p{vni}-{host}")
    code, answer = await cni(lab.boxes[node], "ADD", pod, row.device)
    assert code == 0, answer
    return pod


async def test_pods_of_two_nodes_reach_each_other_and_no_other_tenant(lab: Lab) -> None:
    lab.world.put_network(network(8, 0))
    for box in lab.boxes.values():
        lab.start(box)
    async with lab.controller() as hub:
        for box in lab.boxes.values():
            await until(box.ready.exists)
        first = await plug(lab, hub, "n1", 2)
        second = await plug(lab, hub, "n2", 3)
        third = await plug(lab, hub, "n1", 4)
        stranger = await plug(lab, hub, "n2", 5, vni=8)
        assert await pings(first, "10.0.0.3"), "across nodes"
        assert await pings(second, "10.0.0.2"), "and back"
        assert await pings(first, "10.0.0.4"), "on one node"
        assert not await pings(stranger, "10.0.0.2", tries=1), "another VPC with one prefix"
        # netd is killed: forwarding goes on, and the next one takes over.
        box = lab.boxes["n1"]
        box.kill()
        box.ready.unlink()
        assert await pings(first, "10.0.0.3", tries=1), "with netd dead"
        code, answer = await cni(box, "ADD", third, port(7, 0, 4, "n1").device)
        assert code == 1 and answer["code"] == 11
        lab.start(box)
        await until(box.ready.exists)
        assert await pings(first, "10.0.0.3", tries=1), "after netd's return"
        assert pss_mib(box) <= NETD_MAX_MIB
        late = await plug(lab, hub, "n1", 6)
        assert await pings(late, "10.0.0.3")
        assert (await cni(box, "CHECK", third, port(7, 0, 4, "n1").device)) == (0, None)
        assert (await cni(box, "DEL", third, port(7, 0, 4, "n1").device)) == (0, None)
        assert not await pings(first, "10.0.0.4", tries=1), "a deleted pod"
