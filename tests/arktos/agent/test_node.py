"""The node's own status."""

from __future__ import annotations

import asyncio

import pytest

import apiserver
from ursa.arktos.agent import node as node_module
from ursa.arktos.agent.cri import Kind
from ursa.arktos.agent.node import (
    Machine,
    NodeKeeper,
    RuntimeHealth,
    labels,
    node_status,
    system_info,
)
from ursa.base.clock import WallClock
from ursa.client.client import Client

NOW_S = 1_800_000_000.0
MACHINE = Machine("node-1", "100.64.0.2", 10250, {"cpu": "2"}, {"cpu": "2"})
UP = RuntimeHealth(Kind.CONTAINER, (), "containerd://1.6")
VM_UP = RuntimeHealth(Kind.VM, (), "ursa-vm://1")


def status(**health):
    return node_status(MACHINE, system_info(), health, (), NOW_S)


def truths(made) -> dict[str, str]:
    return {c.type: c.status for c in made.conditions}


@pytest.mark.parametrize(
    ("health", "ready", "containers", "machines"),
    [
        ({"c": UP, "v": VM_UP}, "True", "True", "True"),
        ({"c": UP, "v": RuntimeHealth(Kind.VM, ("down",))}, "True", "True", "False"),
        ({"c": RuntimeHealth(Kind.CONTAINER, ("down",)), "v": VM_UP}, "True", "False", "True"),
        ({"c": RuntimeHealth(Kind.CONTAINER, ("down",))}, "False", "False", "False"),
        ({}, "False", "False", "False"),
    ],
)
def test_a_dead_runtime_costs_only_the_pods_of_its_kind(health, ready, containers, machines):
    found = truths(status(**health))
    assert found["Ready"] == ready
    assert (found["ContainerRuntimeReady"], found["VmRuntimeReady"]) == (containers, machines)


def test_the_message_says_what_the_runtime_said():
    made = status(c=RuntimeHealth(Kind.CONTAINER, ("NetworkReady: cni config uninitialized",)))
    condition = next(c for c in made.conditions if c.type == "ContainerRuntimeReady")
    assert "cni config uninitialized" in condition.message


def test_transition_times_stay_while_the_status_stays():
    first = status(c=UP)
    later = node_status(MACHINE, system_info(), {"c": UP}, first.conditions, NOW_S + 100)
    times = {c.type: (c.last_transition_time, c.last_heartbeat_time) for c in later.conditions}
    before = {c.type: c.last_transition_time for c in first.conditions}
    assert all(times[name][0] == before[name] != times[name][1] for name in before)


def test_a_node_says_where_it_is_and_what_runs_on_it():
    made = status(c=UP, v=VM_UP)
    assert made.internal_ip == "100.64.0.2"
    assert made.daemon_endpoints.kubelet_endpoint.port == 10250
    assert made.node_info.container_runtime_version == "containerd://1.6,ursa-vm://1"
    assert labels("n")["kubernetes.io/hostname"] == "n"


async def test_a_node_that_was_given_up_reports_at_once_when_it_is_heard_again(monkeypatch):
    """Every renewal counts as one after a silence here."""
    monkeypatch.setattr(node_module, "RENEW_S", 0.05)
    monkeypatch.setattr(node_module, "SILENCE_S", 0.01)
    files = apiserver.identity("system:node:node-1", "system:nodes")
    path = "/api/v1/nodes/node-1"
    async with apiserver.serving() as server, Client(server.url, files) as client:
        keeper = NodeKeeper(client, MACHINE, WallClock())
        keeper.report("c", UP)
        running = asyncio.create_task(keeper.run())
        await keeper.registered.wait()
        given_up = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
        answer = await server.admin.patch(f"{path}/status", given_up)
        assert answer.status == 200
        async with asyncio.timeout(10):
            while truths_of((await server.admin("GET", path)).doc)["Ready"] != "True":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def truths_of(doc) -> dict[str, str]:
    return {c["type"]: c["status"] for c in doc["status"]["conditions"]}
