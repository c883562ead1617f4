"""One pod's task on a real containerd."""

from __future__ import annotations

import time

import pytest

from agent_node import POD_IP, SLEEP, running_pod, until
from ursa.base import cgroup

pytestmark = pytest.mark.root


async def test_a_pod_runs_and_leaves_nothing_behind(containerd_node):
    begun = time.monotonic()
    async with running_pod(containerd_node, containers=[SLEEP]) as side:
        await until(lambda: side.pod().status.ready)
        print("ready after", time.monotonic() - begun)
        status = side.pod().status
        assert (status.phase, status.pod_ip, status.qos_class) == ("Running", POD_IP, "BestEffort")
        assert status.container_statuses[0].state.running.started_at
        group = side.host.pod_cgroup(side.task.uid)
        assert cgroup.pids(group)
        side.delete(grace_s=1)
        await until(lambda: "web" not in side.api.documents)
        assert not cgroup.exists(group)
        assert not side.host.pod_dir(side.task.uid).exists()
        assert await side.runtime.pods(side.task.uid) == ([], [])
