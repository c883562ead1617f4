"""The node's own status."""

from __future__ import annotations

import pytest

from ursa.arktos.agent.cri import Kind
from ursa.arktos.agent.node import Machine, RuntimeHealth, labels, node_status, system_info

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
