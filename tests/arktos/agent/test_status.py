"""A pod's status, from what is wanted and what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_objects import container, facts, notes, pod, sandbox
from ursa.arktos.agent.facts import Facts, Health, Waiting
from ursa.arktos.agent.status import pod_status

HOST_IP = "100.64.0.2"


def status(wanted, found, **fields):
    return pod_status(wanted, found, notes(**fields), HOST_IP)


def conditions(made) -> dict[str, str]:
    return {c.type: c.status for c in made.conditions}


def test_a_bound_pod_waits_for_its_container_to_be_made():
    made = status(pod(), Facts())
    assert (made.phase, made.pod_ip, made.host_ip) == ("Pending", "", HOST_IP)
    assert made.container_statuses[0].state.waiting.reason == "ContainerCreating"
    assert conditions(made)["PodReadyToStartContainers"] == "False"


def test_a_running_pod_is_ready_with_its_address():
    made = status(pod(), facts(container()))
    assert (made.phase, made.pod_ip, made.ready) == ("Running", "10.0.0.5", True)
    assert made.container_statuses[0].started


def test_a_container_that_probes_have_not_passed_is_not_ready():
    made = status(pod(), facts(container()), health={"main-0": Health(ready=False)})
    assert (made.phase, made.ready) == ("Running", False)
    ready = next(c for c in made.conditions if c.type == "Ready")
    assert (ready.reason, ready.message) == (
        "ContainersNotReady",
        "containers with unready status: [main]",
    )


@pytest.mark.parametrize(
    ("policy", "exit_code", "phase"),
    [
        ("Never", 0, "Succeeded"),
        ("Never", 1, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 1, "Running"),
        ("Always", 0, "Running"),
    ],
)
def test_the_phase_of_an_ended_container(policy, exit_code, phase):
    ended = facts(container("exited", exit_code=exit_code))
    assert status(pod(restartPolicy=policy), ended).phase == phase


def test_a_crash_loop_is_named_with_the_last_end_kept():
    made = status(pod(), facts(container("exited", exit_code=3, crashes=2))).container_statuses[0]
    assert made.state.waiting.reason == "CrashLoopBackOff"
    assert made.state.waiting.message.startswith("back-off 20s")
    assert made.last_state.terminated.exit_code == 3


def test_why_a_start_failed_is_the_waiting_reason():
    waits = {"main": Waiting("ImagePullBackOff", "no such image", 5.0)}
    made = status(pod(), facts(), waiting=waits).container_statuses[0]
    assert (made.state.waiting.reason, made.state.waiting.message) == (
        "ImagePullBackOff",
        "no such image",
    )


def test_conditions_keep_their_time_and_those_of_others_stay():
    others = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    begun = pod(status={"phase": "Pending", "conditions": [others]})
    first = status(begun, facts(container()))
    assert conditions(first)["PodScheduled"] == "True"
    again = pod_status(
        replace_status(begun, first), facts(container()), notes(now_s=1_900_000_000.0), HOST_IP
    )
    assert again.conditions == first.conditions


def replace_status(wanted, made):
    from msgspec.structs import replace as changed

    return changed(wanted, status=made)


def test_the_same_situation_twice_gives_the_same_status():
    for found in (Facts(), facts(container()), facts(container("exited", exit_code=1))):
        first = status(pod(), found)
        assert status(replace_status(pod(), first), found) == first


def test_a_runtime_that_does_not_answer_for_long_makes_its_pods_unready():
    running = facts(container())
    assert status(pod(), running, unreachable_s=1.0).ready
    made = status(pod(), running, unreachable_s=10.0)
    assert not made.ready
    assert made.phase == "Running"
    ready = next(c for c in made.conditions if c.type == "Ready")
    assert ready.reason == "RuntimeUnavailable"


def test_a_container_lost_with_its_sandbox_counts_as_failed():
    before = {
        "name": "main",
        "containerID": "containerd://x",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    lost = pod(restartPolicy="Never", status={"phase": "Running", "containerStatuses": [before]})
    made = status(lost, Facts())
    assert made.phase == "Failed"
    assert made.container_statuses[0].state.terminated.reason == "ContainerStatusUnknown"


def test_a_readiness_gate_that_is_closed_keeps_the_pod_unready():
    gated = pod(readinessGates=[{"conditionType": "example.com/gate"}])
    made = status(gated, facts(container()))
    assert (made.ready, conditions(made)["ContainersReady"]) == (False, "True")


def test_a_pod_past_its_deadline_has_failed_and_says_why():
    late = pod(
        activeDeadlineSeconds=10,
        status={"phase": "Running", "startTime": "2020-01-01T00:00:00Z"},
    )
    made = status(late, facts(container()))
    assert (made.phase, made.reason) == ("Failed", "DeadlineExceeded")


VM = {"name": "vm", "image": "debian"}


def test_a_machine_has_a_status_of_its_own_and_no_containers():
    made = status(pod(virtualMachine=VM), facts(container(name="vm")), health={"vm-0": Health()})
    vm = made.virtual_machine_status
    assert (vm.name, vm.state, vm.power_state, vm.ready) == ("vm", "active", "running", True)
    assert vm.virtual_machine_id == "vm-0"
    assert made.container_statuses == ()
    assert conditions(made)["VirtualMachineReady"] == conditions(made)["Ready"] == "True"


def test_what_a_machine_waits_for_is_said_by_its_condition():
    waits = {"vm": Waiting("ErrImagePull", "VM image 'x' is not on this node", 5.0)}
    made = status(pod(virtualMachine=VM), facts(), waiting=waits)
    condition = next(c for c in made.conditions if c.type == "VirtualMachineReady")
    assert (condition.reason, condition.message) == (waits["vm"].reason, waits["vm"].message)


def test_a_machine_that_is_switched_off_is_stopped_and_the_pod_lives():
    off = pod(virtualMachine=VM | {"powerSpec": "Shutdown"})
    made = status(off, facts(container("exited", name="vm")))
    assert (made.virtual_machine_status.state, made.virtual_machine_status.power_state) == (
        "stopped",
        "shutdown",
    )
    assert (made.phase, made.ready) == ("Running", False)


def test_host_network_pods_have_the_nodes_address():
    bare = facts(container(), sandboxes=(replace(sandbox(), ip=""),))
    assert status(pod(hostNetwork=True), bare).pod_ip == HOST_IP
