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
from ursa.kinds.pod import ContainerStatus, Pod
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


class Apis:
    """A TinyApi for each kind that the agent reads or writes."""

    def __init__(self) -> None:
        kinds = ("pods", "configmaps", "secrets", "events")
        self.of = {plural: TinyApi(plural) for plural in kinds}

    async def handle(self, request):
        parts = request.path.split("/")
        plural = next(p for p in parts if p in self.of)
        return await self.of[plural].handle(request)

    def end_watches(self) -> None:
        for api in self.of.values():
            api.end_watches()


class Running:
    """A pod task that runs, and the API's side of its pod."""

    def __init__(self, apis: Apis, host: Host, runtime: Runtime) -> None:
        self.apis, self.api, self.host, self.runtime = apis, apis.of["pods"], host, runtime
        self.task: PodTask | None = None

    def put(self, **spec) -> Pod:
        made = pod_of(uid=ids.uid(), **spec)
        document = msgspec.to_builtins(made)
        self.api.put("web", metadata=document.pop("metadata"), **document)
        return self.pod()

    def pod(self) -> Pod:
        return msgspec.convert(self.api.documents["web"], Pod)

    @property
    def main(self):
        """The status of container `main`."""
        statuses = self.pod().status.container_statuses
        return next((c for c in statuses if c.name == "main"), ContainerStatus())

    def change(self, **spec) -> None:
        """Change fields of the pod's spec, as a user does."""
        document = self.api.documents["web"]
        self.api.put("web", **(document | {"spec": document["spec"] | spec}))
        self.task.update(self.pod())

    def reasons(self) -> list[str]:
        """The reasons of the events that were told, in their order."""
        return [e["reason"] for e in self.apis.of["events"].documents.values()]

    async def run_in(self, *command: str, name: str = "main") -> str:
        """Return what a command printed inside a container."""
        held = self.task.facts.newest(name)
        done = await self.runtime.exec_sync(held.id, command, 10)
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode()

    def delete(self, grace_s: int = 1) -> None:
        self.api.documents["web"]["metadata"] |= {
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": grace_s,
        }
        document = self.api.documents["web"]
        self.api.put("web", **document)
        self.task.update(self.pod())


@asynccontextmanager
async def running_pod(containerd, objects=None, **spec):
    """Yield a pod whose task runs on `containerd`; `objects`: plural → name → fields."""
    apis = Apis()
    api = apis.of["pods"]
    for kind, named in (objects or {}).items():
        for name, fields in named.items():
            apis.of[kind].put(name, **fields)
    runtime = Runtime("containerd", Kind.CONTAINER, containerd.socket)
    async with serving(apis) as url, Client(url) as client, asyncio.TaskGroup() as tasks:
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
        side = Running(apis, host, runtime)
        side.task = PodTask(host, runtime, side.put(**spec))
        run = tasks.create_task(side.task.run())
        others = [tasks.create_task(_relist(side.task)), tasks.create_task(host.events.run())]
        try:
            yield side
        finally:
            if "web" in api.documents:
                side.delete(grace_s=0)
                async with asyncio.timeout(20):
                    await run
            for task in others:
                task.cancel()
    await runtime.close()


async def _relist(task: PodTask) -> None:
    while True:
        await asyncio.sleep(0.1)
        task.wake()
