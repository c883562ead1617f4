"""For tests of the node agent: a containerd of their own, and one pod's task on it.

The API is a small server of its wire. The CNI plugin gives every pod one address.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import asynccontextmanager

import msgspec

from agent_objects import pod as pod_of
from tiny_api import TinyApi, serving
from ursa.arktos.agent.cri import Kind, Runtime
from ursa.arktos.agent.events import Events
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.pod import PodTask
from ursa.arktos.agent.starts import Starts
from ursa.base import ids
from ursa.base.clock import WallClock
from ursa.client.client import Client
from ursa.client.recorder import Recorder
from ursa.kinds.pod import Pod
from ursa.onebox import containerd
from ursa.onebox.layout import Node

POD_IP = "10.9.0.5"
PLUGIN = f"""#!/bin/sh
ip="nsenter --net=$CNI_NETNS ip"
[ "$CNI_COMMAND" = ADD ] || exit 0
$ip link set lo up
address=127.0.0.1/8
[ "$CNI_IFNAME" = lo ] || {{ address={POD_IP}/32; $ip addr add $address dev lo; }}
echo '{{"cniVersion":"0.4.0","interfaces":[{{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}}],
"ips":[{{"version":"4","interface":0,"address":"'$address'"}}]}}'
"""
CONFLIST = '{"cniVersion":"0.4.0","name":"ursa-test","plugins":[{"type":"ursa-test"}]}'


class Containerd:
    """One node's containerd; `kill` and `start` as often as a test likes."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.process: subprocess.Popen[bytes] | None = None
        self.config = containerd.write_config(node)

    @property
    def socket(self) -> str:
        return str(self.node.containerd_socket)

    def start(self) -> None:
        if not containerd.shims(self.node):
            containerd.clear_remains(self.node)
        self.node.containerd_socket.unlink(missing_ok=True)
        with (self.node.dir / "containerd.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["containerd", "--config", str(self.config), "--log-level", "warn"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while not self.node.containerd_socket.exists():
            assert time.monotonic() < deadline, (self.node.dir / "containerd.log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


async def until(condition, timeout_s: float = 20.0):
    """Return the first true value of `condition`, asked again and again."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


SLEEP = {"name": "main", "image": "busybox", "command": ["sleep", "1000"]}


class Running:
    """A pod task that runs, and the API's side of its pod."""

    def __init__(self, api: TinyApi, host: Host, runtime: Runtime) -> None:
        self.api, self.host, self.runtime = api, host, runtime
        self.task: PodTask | None = None

    def put(self, **spec) -> Pod:
        made = pod_of(uid=ids.uid(), **spec)
        document = msgspec.to_builtins(made)
        self.api.put("web", metadata=document.pop("metadata"), **document)
        return self.pod()

    def pod(self) -> Pod:
        return msgspec.convert(self.api.documents["web"], Pod)

    def delete(self, grace_s: int = 1) -> None:
        self.api.documents["web"]["metadata"] |= {
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": grace_s,
        }
        document = self.api.documents["web"]
        self.api.put("web", **document)
        self.task.update(self.pod())


@asynccontextmanager
async def running_pod(containerd, **spec):
    api = TinyApi("pods")
    runtime = Runtime("containerd", Kind.CONTAINER, containerd.socket)
    async with serving(api) as url, Client(url) as client, asyncio.TaskGroup() as tasks:
        node = containerd.node
        host = Host(
            node_name="node-1",
            address="100.64.0.2",
            pods_dir=node.dir / "pods",
            cgroup=f"{node.cgroup}/pods",
            allocatable={"cpu": "2", "memory": "1Gi"},
            memory_bytes=1 << 30,
            client=client,
            events=Events(Recorder(client, "kubelet")),
            pulls=asyncio.Semaphore(2),
            starts=Starts(node.dir / "starts", 4),
            clock=WallClock(),
        )
        side = Running(api, host, runtime)
        side.task = PodTask(host, runtime, side.put(**spec))
        run = tasks.create_task(side.task.run())
        relist = tasks.create_task(_relist(side.task))
        try:
            yield side
        finally:
            if "web" in api.documents:
                side.delete(grace_s=0)
                async with asyncio.timeout(20):
                    await run
            relist.cancel()
    await runtime.close()


async def _relist(task: PodTask) -> None:
    while True:
        await asyncio.sleep(0.1)
        task.wake()
