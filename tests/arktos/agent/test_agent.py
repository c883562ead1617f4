"""The agent as a process, on a real API server and a real containerd; killed and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

import apiserver
from agent_node import SLEEP, until
from ursa.arktos.agent.cri import Kind, Runtime
from ursa.base import cgroup
from ursa.cmd.agent import AgentConfig, RuntimeConfig

pytestmark = pytest.mark.root

NODE = "/api/v1/nodes/node-1"
PODS = "/api/v1/tenants/system/namespaces/default/pods"
BOUND = {"nodeName": "node-1", "terminationGracePeriodSeconds": 1}
SRC = Path(__file__).parents[3] / "src"


class AgentProcess:
    """`ursa agent` on one node; `kill` and `start` as often as a test likes."""

    def __init__(self, containerd, url: str) -> None:
        node = containerd.node
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.ready = node.dir / "agent.ready"
        self.pods_dir = node.dir / "agent-pods"
        self.group = f"{node.cgroup}/pods"
        self.log = node.dir / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.config = node.dir / "agent.json"
        config = AgentConfig(
            name="agent",
            ready_file=str(self.ready),
            api_url=url,
            tls=apiserver.identity("system:node:node-1", "system:nodes", addresses=("127.0.0.1",)),
            node="node-1",
            address="127.0.0.1",
            port=port,
            runtimes=(
                RuntimeConfig(name="containerd", kind=Kind.CONTAINER, endpoint=containerd.socket),
            ),
            pods_dir=str(self.pods_dir),
            cgroup=self.group,
            cpu_millicores=1500,
            memory_bytes=1 << 30,
            pods_max=110,
            starts_dir=str(node.dir / "starts"),
        )
        self.config.write_bytes(msgspec.json.encode(config))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ursa", "agent", "--config", str(self.config)],
                env=os.environ | {"PYTHONPATH": str(SRC)},
                stdout=log,
                stderr=log,
            )

    async def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.ready.exists()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.ready.unlink(missing_ok=True)


@asynccontextmanager
async def cloud(containerd):
    """Yield an API client of the operator, and the agent of the only node."""
    async with apiserver.serving() as api:
        agent = AgentProcess(containerd, api.url)
        agent.start()
        try:
            await until(agent.is_ready, 30)
            yield api.admin, agent
        finally:
            agent.kill()
            await _remove_all(containerd)
            shutil.rmtree(agent.pods_dir, ignore_errors=True)


async def _remove_all(containerd) -> None:
    """Remove what a failed test left, so that the next begins with nothing."""
    runtime = Runtime("containerd", Kind.CONTAINER, containerd.socket)
    for sandbox in (await runtime.pods())[0]:
        await runtime.stop_sandbox(sandbox.id)
        await runtime.remove_sandbox(sandbox.id)
        cgroup.remove(f"{containerd.node.cgroup}/pods/{sandbox.pod.uid}")
    await runtime.close()


async def create(api, name: str = "web", **spec):
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {**BOUND, "containers": [SLEEP]} | spec,
    }
    answer = await api("POST", PODS, body)
    assert answer.status == 201, answer.raw
    return answer.doc


async def pod(api, name: str = "web"):
    answer = await api("GET", f"{PODS}/{name}")
    return answer.doc if answer.status == 200 else None


async def is_ready(api, name: str = "web"):
    doc = await pod(api, name)
    conditions = {c["type"]: c["status"] for c in doc["status"].get("conditions", ())}
    return doc if conditions.get("Ready") == "True" else None


async def test_a_node_registers_runs_a_pod_and_lets_it_go(containerd_node):
    async with cloud(containerd_node) as (api, agent):
        node = (await api("GET", NODE)).doc
        assert node["status"]["allocatable"] == {"cpu": "1500m", "memory": "1Gi", "pods": "110"}
        await until(lambda: _node_ready(api))
        lease = "/apis/coordination.k8s.io/v1/tenants/system/namespaces/kube-node-lease/leases"
        assert (await api("GET", f"{lease}/node-1")).doc["spec"]["holderIdentity"] == "node-1"
        made = await create(api)
        doc = await until(lambda: is_ready(api))
        assert doc["status"]["phase"] == "Running"
        log = await api("GET", f"{PODS}/web/log")
        assert (log.status, log.raw) == (200, b"")
        await api("DELETE", f"{PODS}/web?gracePeriodSeconds=1")
        await until(lambda: _is_gone(api))
        assert not (agent.pods_dir / made["metadata"]["uid"]).exists()
        events = (await api("GET", PODS.replace("pods", "events"))).doc["items"]
        assert {"Pulled", "Created", "Started", "Killing"} <= {e["reason"] for e in events}


async def _node_ready(api) -> bool:
    node = (await api("GET", NODE)).doc
    truths = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    return truths["Ready"] == truths["ContainerRuntimeReady"] == "True"


async def _is_gone(api, name: str = "web") -> bool:
    return await pod(api, name) is None


async def test_an_agent_killed_and_back_disturbs_no_pod_and_finishes_what_was_begun(
    containerd_node,
):
    """A pod is deleted and another made while the agent is away."""
    async with cloud(containerd_node) as (api, agent):
        for name in ("stays", "goes", "vanishes"):
            await create(api, name)
        for name in ("stays", "goes", "vanishes"):
            before = await until(lambda name=name: is_ready(api, name))
        before = await pod(api, "stays")
        agent.kill()
        await api("DELETE", f"{PODS}/goes?gracePeriodSeconds=1")
        await api("DELETE", f"{PODS}/vanishes?gracePeriodSeconds=0")
        await create(api, "comes")
        agent.start()
        await until(lambda: is_ready(api, "comes"), 30)
        await until(lambda: _is_gone(api, "goes"))
        after = await pod(api, "stays")
        assert after["status"] == before["status"]
        uids = {after["metadata"]["uid"], (await pod(api, "comes"))["metadata"]["uid"]}
        await until(lambda: _remains(agent) == uids)


def _remains(agent) -> set[str]:
    """The pods that have a folder or a cgroup on the node."""
    tree = cgroup.controller("memory") / agent.group.lstrip("/")
    groups = {entry.name for entry in tree.iterdir() if entry.is_dir()}
    return {entry.name for entry in agent.pods_dir.iterdir()} | groups


async def test_after_the_loss_of_every_process_pods_run_again(containerd_node):
    from ursa.onebox import containerd

    async with cloud(containerd_node) as (api, agent):
        await create(api, "again")
        await create(api, "once", restartPolicy="Never")
        for name in ("again", "once"):
            await until(lambda name=name: is_ready(api, name))
        agent.kill()
        containerd_node.kill()
        node = containerd_node.node
        containerd.kill_and_wait(
            lambda: containerd.shims(node).keys() | cgroup.pids(f"{node.cgroup}/pods")
        )
        await asyncio.to_thread(containerd_node.start)
        agent.start()
        doc = await until(lambda: _restarted(api), 30)
        assert doc["status"]["containerStatuses"][0]["restartCount"] == 1
        await until(lambda: _phase_is(api, "once", "Failed"))


async def _restarted(api):
    doc = await is_ready(api, "again")
    return doc if doc and doc["status"]["containerStatuses"][0]["restartCount"] else None


async def _phase_is(api, name: str, phase: str) -> bool:
    return (await pod(api, name))["status"]["phase"] == phase


async def test_a_pod_starts_fast(containerd_node):
    """Far from a benchmark; it fails when something on the path waits for a time to pass."""
    async with cloud(containerd_node) as (api, _):
        times = []
        for number in range(5):
            name = f"fast-{number}"
            begun = time.monotonic()
            await create(api, name)
            await until(lambda name=name: is_ready(api, name))
            times.append(time.monotonic() - begun)
        print("create → ready", [round(t, 3) for t in times])
        assert sorted(times)[2] < 1.0
