"""Hosts in network namespaces on one bridge, each with its own transit daemon, and their pods."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeVar

import grpc

from data_plane import mounted_bpffs, objects
from packets import ip, mac
from ursa.base import ethtool, netns
from ursa.mizar.drops import read_drops, read_paths
from ursa.proto.mizar_pb2 import Attachment, Endpoint, Network, NodeState, Revision
from ursa.proto.mizar_pb2_grpc import TransitStub

UNTUNNELLABLE = ("tx-udp-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")
POD_MTU, UNDERLAY_MTU = 1500, 1550
READY_S = 10.0

T = TypeVar("T")
_CLOUDS = count()


def sh(command: str) -> str:
    """Run a command. AssertionError carries what it said."""
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def eventually(check: Callable[[], bool], what: str) -> None:
    """Wait until `check` is true; AssertionError after READY_S."""
    until = time.monotonic() + READY_S
    while not check():
        assert time.monotonic() < until, f"not within {READY_S} s: {what}"
        time.sleep(0.01)


@dataclass
class Namespace:
    name: str

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    def sh(self, command: str) -> str:
        return sh(f"nsenter --net={self.path} {command}")

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["nsenter", f"--net={self.path}", *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, call: Callable[[], T]) -> T:
        return netns.run_in(self.path, call)

    def lost(self, address: str, count: int = 3) -> int:
        """Ping; return how many of the answers did not come."""
        command = f"ping -n -q -i 0.02 -W 1 -c {count} {address}"
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *command.split()],
            capture_output=True,
            text=True,
            check=False,
        )
        return lost_in(done.stdout)


def lost_in(ping_output: str) -> int:
    words = ping_output.replace(",", "").split()
    sent = int(words[words.index("packets") - 1])
    return sent - int(words[words.index("received") - 1])


@dataclass
class Host(Namespace):
    address: str
    dir: Path
    bpffs: Path
    daemon: subprocess.Popen[bytes] | None = None
    revision: int = 0
    _before: dict[str, int] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def start_daemon(self) -> None:
        ready = self.dir / "ready"
        config = {
            "name": "transitd",
            "ready_file": str(ready),
            "bpffs": str(self.bpffs),
            "objects": str(objects()),
            "socket": str(self.dir / "sock"),
            "netns": self.path,
        }
        (self.dir / "config.json").write_text(json.dumps(config))
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ursa", "transitd", "--config", self.dir / "config.json"]
        log = self._stack.enter_context((self.dir / "log").open("ab"))
        source = str(Path(__file__).parents[2] / "src")
        env = os.environ | {"PYTHONPATH": source}
        self.daemon = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        eventually(ready.exists, f"{self.name} ready: {(self.dir / 'log').read_text()}")

    def kill_daemon(self) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.daemon = None

    @property
    def stub(self) -> TransitStub:
        channel = grpc.insecure_channel(f"unix:{self.dir / 'sock'}")
        self._stack.callback(channel.close)
        return TransitStub(channel)

    def apply(self, state: NodeState) -> None:
        """Apply a state at this host's next revision."""
        self.revision += 1
        state.revision.CopyFrom(Revision(epoch=1, counter=self.revision))
        assert self.stub.Apply(state).revision == state.revision

    def forget_counts(self) -> None:
        self._before = read_drops(self.bpffs) | read_paths(self.bpffs)

    def drops(self) -> dict[str, int]:
        """What was dropped since counts were forgotten; no zeros."""
        return {reason: count for reason, count in self._since(read_drops(self.bpffs)) if count}

    def paths(self) -> dict[str, int]:
        return dict(self._since(read_paths(self.bpffs)))

    def _since(self, counts: dict[str, int]) -> Iterator[tuple[str, int]]:
        return ((name, count - self._before.get(name, 0)) for name, count in counts.items())

    def close(self) -> None:
        if self.daemon is not None:
            self.kill_daemon()
        self._stack.close()


@dataclass
class Pod(Namespace):
    host: Host
    vni: int
    address: str
    mac: str
    interface: str

    def endpoint(self) -> Endpoint:
        return Endpoint(
            vni=self.vni, ip=ip(self.address), mac=mac(self.mac), host=ip(self.host.address)
        )

    def attach(self, **fields: int) -> None:
        attachment = Attachment(
            interface=self.interface, vni=self.vni, ip=ip(self.address), mac=mac(self.mac), **fields
        )
        self.host.stub.Attach(attachment)


class Cloud:
    """`hosts`, and pods made by `add_pod`. The last host is every network's bouncer.

    Hosts may serve one test after the other: `fresh` removes the pods and forgets the counts.
    """

    def __init__(self, prefix: str, hosts: list[Host]) -> None:
        self.hosts = hosts
        self.pods: list[Pod] = []
        self._prefix = prefix
        self._made = 0
        self._stack = ExitStack()

    @contextmanager
    def fresh(self) -> Iterator[Cloud]:
        for host in self.hosts:
            host.forget_counts()
        try:
            yield self
        finally:
            self.pods.clear()
            self._stack.close()

    @property
    def bouncer(self) -> Host:
        return self.hosts[-1]

    def add_pod(self, host: Host, vni: int, address: str, *, gateway: str = "") -> Pod:
        self._made += 1
        pod = Pod(
            name=f"{self._prefix}p{self._made}",
            host=host,
            vni=vni,
            address=address,
            mac=f"02:00:00:00:{vni:02x}:{self._made:02x}",
            interface=f"pod{self._made}",
        )
        self._stack.enter_context(namespace(pod))
        sh(
            f"ip -n {host.name} link add {pod.interface} mtu {POD_MTU} type veth "
            f"peer name eth0 mtu {POD_MTU} address {pod.mac} netns {pod.name}"
        )
        sh(f"ip -n {host.name} link set {pod.interface} addrgenmode none up")
        pod.run(lambda: ethtool.disable("eth0", UNTUNNELLABLE))
        sh(f"ip -n {pod.name} link set lo up")
        sh(f"ip -n {pod.name} address add {address}/24 dev eth0")
        sh(f"ip -n {pod.name} link set eth0 addrgenmode none up")
        if gateway:
            sh(f"ip -n {pod.name} route add default via {gateway}")
        self.pods.append(pod)
        return pod

    def networks(self) -> list[Network]:
        """A /24 a VPC and third octet; its gateway is .1."""
        prefixes = {(pod.vni, ip(pod.address)[:3] + b"\0") for pod in self.pods}
        return [
            Network(
                vni=vni,
                prefix=prefix,
                prefix_length=24,
                gateway=prefix[:3] + b"\1",
                gateway_mac=mac("02:00:00:00:ff:01"),
                bouncers=[ip(self.bouncer.address)],
            )
            for vni, prefix in sorted(prefixes)
        ]

    def state(self, host: Host) -> NodeState:
        """What a controller tells a host: its own endpoints; all of them to the bouncer."""
        return NodeState(
            host=ip(host.address),
            networks=self.networks(),
            endpoints=[pod.endpoint() for pod in self.pods if host in (pod.host, self.bouncer)],
            peers=[ip(each.address) for each in self.hosts],
        )

    def settle(self) -> None:
        """Give every host its state and attach every pod."""
        for host in self.hosts:
            host.apply(self.state(host))
        for pod in self.pods:
            pod.attach()


@contextmanager
def namespace(space: Namespace) -> Iterator[None]:
    sh(f"ip netns add {space.name}")
    try:
        yield
    finally:
        sh(f"ip netns delete {space.name}")


@contextmanager
def cloud(directory: Path, *, hosts: int = 3, underlay_mtu: int = UNDERLAY_MTU) -> Iterator[Cloud]:
    """Make hosts on a bridge in a namespace of its own; remove all of it afterwards."""
    prefix = f"mz{os.getpid():x}{next(_CLOUDS)}"
    with ExitStack() as stack:
        fabric = Namespace(f"{prefix}f")
        stack.enter_context(namespace(fabric))
        sh(f"ip -n {fabric.name} link add br0 mtu {underlay_mtu} type bridge")
        sh(f"ip -n {fabric.name} link set br0 up")
        made = []
        for number in range(1, hosts + 1):
            host_dir = directory / f"h{number}"
            host_dir.mkdir()
            bpffs = stack.enter_context(mounted_bpffs(host_dir / "bpf"))
            host = Host(f"{prefix}h{number}", f"192.0.2.{number}", host_dir, bpffs)
            stack.enter_context(namespace(host))
            sh(
                f"ip -n {fabric.name} link add h{number} mtu {underlay_mtu} type veth "
                f"peer name eth0 mtu {underlay_mtu} netns {host.name}"
            )
            sh(f"ip -n {fabric.name} link set h{number} master br0 up")
            sh(f"ip -n {host.name} link set lo up")
            sh(f"ip -n {host.name} address add {host.address}/24 dev eth0")
            sh(f"ip -n {host.name} link set eth0 up")
            stack.callback(host.close)
            host.start_daemon()
            made.append(host)
        whole = Cloud(prefix, made)
        with whole.fresh():
            yield whole
