"""What the agent does next: tables of situations, and properties of runs to the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_objects import NOW_S, SANDBOX, container, facts, notes, pod, sandbox
from ursa.arktos.agent import cri
from ursa.arktos.agent.facts import Facts, Health, Waiting
from ursa.arktos.agent.moves import (
    CreateSandbox,
    Forget,
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from ursa.arktos.agent.podstate import CRASH_BACKOFF_MAX_S, crash_backoff_s, step

INIT = {"name": "init", "image": "busybox"}
SIDE = {"name": "side", "image": "busybox", "restartPolicy": "Always"}
MAIN = {"name": "main", "image": "busybox"}


def moves(*args, **fields) -> list[str]:
    """Return the kinds of the next actions, with the name where there is one."""
    found = step(*args, **fields).actions
    return [" ".join(filter(None, (type(a).__name__, getattr(a, "name", "")))) for a in found]


def start_of(found) -> StartContainer:
    (action,) = found.actions
    assert isinstance(action, StartContainer)
    return action


def test_a_bound_pod_gets_a_sandbox_then_its_container():
    assert step(pod(), Facts(), notes()).actions == (CreateSandbox(attempt=0),)
    start = start_of(step(pod(), facts(), notes()))
    assert (start.container.name, start.attempt, start.crashes) == ("main", 0, 0)
    assert moves(pod(), facts(container()), notes()) == []


def test_nothing_is_planned_for_a_busy_slot():
    assert moves(pod(), Facts(), notes(busy=frozenset({"sandbox"}))) == []
    assert moves(pod(), facts(), notes(busy=frozenset({"main"}))) == []


def test_containers_start_one_at_a_time_in_the_order_of_the_spec():
    two = pod(containers=[MAIN, MAIN | {"name": "second"}])
    assert start_of(step(two, facts(), notes())).container.name == "main"
    assert moves(two, facts(), notes(busy=frozenset({"main"}))) == []
    assert start_of(step(two, facts(container()), notes())).container.name == "second"


def test_a_container_in_back_off_holds_up_no_other():
    two = pod(containers=[MAIN, MAIN | {"name": "second"}])
    late = notes(waiting={"main": Waiting("ImagePullBackOff", "", 7.0)})
    found = step(two, facts(), late)
    assert start_of(found).container.name == "second"
    assert found.look_again_s == 7.0


@pytest.mark.parametrize(
    ("policy", "exit_code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy_decides_whether_an_ended_container_is_started(policy, exit_code, again):
    ended = facts(container("exited", exit_code=exit_code))
    found = step(pod(restartPolicy=policy), ended, notes())
    if again:
        assert start_of(found).attempt == 1
    else:
        assert found.actions == (StopSandbox(SANDBOX),)


def test_crash_back_off_begins_at_the_second_crash_and_doubles_to_its_bound():
    delays = [crash_backoff_s(container("exited", crashes=n)) for n in range(8)]
    assert delays == [0, 10, 20, 40, 80, 160, CRASH_BACKOFF_MAX_S, CRASH_BACKOFF_MAX_S]


def test_a_container_that_ran_long_has_not_crashed_in_a_row():
    ended = facts(container("exited", crashes=5, ran_s=700))
    assert start_of(step(pod(), ended, notes())).crashes == 0


def test_a_container_that_never_began_counts_as_a_crash():
    ended = replace(container("exited", exit_code=128, crashes=1), started_at_ns=0)
    found = step(pod(), facts(ended), notes())
    assert (found.actions, found.look_again_s) == ((), 10.0)


def test_a_crashed_container_waits_and_the_step_says_how_long():
    found = step(pod(), facts(container("exited", crashes=2, ended_s_ago=5.0)), notes())
    assert found.actions == ()
    assert found.look_again_s == pytest.approx(15.0)


def test_init_containers_run_in_order_before_the_main_ones():
    waits = pod(initContainers=[INIT, INIT | {"name": "init2"}])
    assert start_of(step(waits, facts(), notes())).container.name == "init"
    assert moves(waits, facts(container(name="init")), notes()) == []
    done = container("exited", name="init")
    assert start_of(step(waits, facts(done), notes())).container.name == "init2"
    both = facts(done, container("exited", name="init2"))
    assert start_of(step(waits, both, notes())).container.name == "main"


@pytest.mark.parametrize(("policy", "kind"), [("Always", StartContainer), ("Never", StopSandbox)])
def test_a_failed_init_container_is_tried_again_unless_the_policy_is_never(policy, kind):
    failed = facts(container("exited", name="init", exit_code=1))
    found = step(pod(initContainers=[INIT], restartPolicy=policy), failed, notes())
    assert [type(a) for a in found.actions] == [kind]


def test_a_sidecar_is_started_first_and_the_rest_wait_until_it_has_started():
    both = pod(initContainers=[SIDE])
    side = container(name="side")
    assert start_of(step(both, facts(), notes())).container.name == "side"
    slow = notes(health={"side-0": Health(started=False, ready=False)})
    assert moves(both, facts(side), slow) == []
    assert start_of(step(both, facts(side), notes())).container.name == "main"


def test_a_sidecar_that_ends_is_started_again_beside_the_main_container():
    both = pod(initContainers=[SIDE], restartPolicy="Never")
    found = step(both, facts(container(), container("exited", name="side")), notes())
    assert start_of(found).container.name == "side"


def test_sidecars_end_with_the_last_main_container():
    both = pod(initContainers=[SIDE], restartPolicy="Never")
    ended = facts(container("exited"), container(name="side"))
    assert moves(both, ended, notes()) == ["StopContainer side"]


def test_an_unhealthy_container_is_stopped_with_its_reason_and_the_probes_grace():
    probe = {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 3}
    ill = notes(health={"main-0": Health(unhealthy="failed liveness probe")})
    found = step(pod(containers=[MAIN | {"livenessProbe": probe}]), facts(container()), ill)
    why = "Container main failed liveness probe, will be restarted"
    assert found.actions == (StopContainer("main-0", "main", 3.0, why),)


def test_another_image_in_the_spec_restarts_the_container():
    running = replace(container(), annotations={"ursa.dev/image": "busybox:1.0"})
    assert moves(pod(), facts(running), notes()) == ["StopContainer main"]


def test_after_a_reboot_the_stale_sandbox_goes_before_the_next_attempt():
    dead = sandbox(ready=False)
    ended = container("exited", exit_code=255)
    assert step(pod(), facts(ended, sandboxes=(dead,)), notes()).actions == (
        RemoveSandbox(SANDBOX),
    )
    before = {"name": "main", "containerID": "containerd://main-0", "restartCount": 2}
    known = pod(status={"phase": "Running", "containerStatuses": [before]})
    assert moves(known, Facts(), notes()) == ["CreateSandbox"]
    assert start_of(step(known, facts(), notes())).attempt == 3


def test_after_a_reboot_a_pod_that_may_not_restart_is_over_and_keeps_its_logs():
    dead = facts(container("exited", exit_code=255), sandboxes=(sandbox(ready=False),))
    assert step(pod(restartPolicy="Never"), dead, notes()).actions == ()


def test_a_finished_pod_is_never_started_again():
    done = pod(status={"phase": "Succeeded"})
    assert step(done, Facts(), notes()).actions == ()


def test_a_container_that_was_created_and_not_started_is_removed():
    assert moves(pod(), facts(container("created")), notes()) == ["RemoveContainer main"]
    assert moves(pod(), facts(container("created")), notes(busy=frozenset({"main"}))) == []


def test_one_ended_container_is_kept_beside_the_newest():
    old = [container("exited", attempt=n) for n in range(3)]
    found = step(pod(), facts(*old, container(attempt=3)), notes()).actions
    assert {a.attempt for a in found if isinstance(a, RemoveContainer)} == {0, 1}


def test_a_pod_past_its_deadline_is_stopped():
    late = pod(
        activeDeadlineSeconds=10,
        status={"phase": "Running", "startTime": "2020-01-01T00:00:00Z"},
    )
    assert moves(late, facts(container()), notes()) == ["StopContainer main"]


def test_deletion_stops_containers_then_removes_sandboxes_then_forgets():
    going = notes(grace_left_s=30.0)
    assert step(pod(), facts(container()), going).actions == (
        StopContainer("main-0", "main", 30.0, ""),
    )
    assert step(pod(), facts(container("exited")), going).actions == (RemoveSandbox(SANDBOX),)
    assert step(pod(), Facts(), going).actions == (Forget(),)


def test_without_grace_the_sandbox_goes_at_once():
    assert moves(pod(), facts(container()), notes(grace_left_s=0.0)) == ["RemoveSandbox"]


def test_nothing_is_forgotten_while_an_action_is_in_flight():
    busy = notes(grace_left_s=0.0, busy=frozenset({"sandbox"}))
    assert step(pod(), Facts(), busy).actions == ()


def test_sidecars_are_stopped_after_the_main_containers():
    both = pod(initContainers=[SIDE])
    going = notes(grace_left_s=30.0)
    running = facts(container(), container(name="side"))
    assert moves(both, running, going) == ["StopContainer main"]
    later = facts(container("exited"), container(name="side"))
    assert moves(both, later, going) == ["StopContainer side"]


def test_what_an_orphan_runs_is_stopped_though_its_spec_is_unknown():
    orphan = pod(containers=[])
    going = notes(grace_left_s=5.0)
    assert moves(orphan, facts(container(name="other")), going) == ["StopContainer other"]


VM = {"name": "vm", "image": "debian", "powerSpec": "Running"}


def test_a_machine_that_is_switched_off_is_stopped_and_not_started_again():
    off = pod(virtualMachine=VM | {"powerSpec": "Shutdown"})
    assert moves(off, facts(container(name="vm")), notes()) == ["StopContainer vm"]
    assert moves(off, facts(container("exited", name="vm")), notes()) == []


def test_a_machine_that_is_switched_on_again_starts():
    ended = facts(container("exited", name="vm"))
    assert start_of(step(pod(virtualMachine=VM), ended, notes())).attempt == 1


@st.composite
def pods(draw):
    policy = draw(st.sampled_from(["Always", "OnFailure", "Never"]))
    inits = draw(st.lists(st.sampled_from([INIT, SIDE]), max_size=2, unique_by=lambda c: c["name"]))
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    mains = [MAIN | {"name": name} for name in names]
    return pod(containers=mains, initContainers=inits, restartPolicy=policy)


def carried_out(found: Facts, action, exit_codes) -> Facts:
    """Return what a runtime holds after an action; containers of init end at once."""
    match action:
        case CreateSandbox(attempt=attempt):
            made = sandbox(attempt=attempt, id=f"sandbox-{attempt}")
            return replace(found, sandboxes=(*found.sandboxes, made))
        case StartContainer(container=spec, attempt=attempt, sandbox=where):
            code = exit_codes.pop() if exit_codes and spec.name != "side" else 0
            ends = spec.name == "init" or code != 0
            made = container(
                "exited" if ends else "running",
                name=spec.name,
                attempt=attempt,
                exit_code=code,
                ended_s_ago=1000.0,
                sandbox_id=where.id,
            )
            return replace(found, containers=(*found.containers, made))
        case StopContainer(id=stopped):
            return replace(found, containers=tuple(_ended(c, stopped) for c in found.containers))
        case StopSandbox(id=stopped):
            sandboxes = [replace(s, ready=s.ready and s.id != stopped) for s in found.sandboxes]
            return replace(found, sandboxes=tuple(sandboxes))
        case RemoveSandbox(id=gone):
            return Facts(
                tuple(s for s in found.sandboxes if s.id != gone),
                tuple(c for c in found.containers if c.sandbox_id != gone),
            )
        case RemoveContainer(id=gone):
            return replace(found, containers=tuple(c for c in found.containers if c.id != gone))
    raise AssertionError(action)


def _ended(held: cri.Container, stopped: str) -> cri.Container:
    if held.id != stopped:
        return held
    return replace(held, state=cri.State.EXITED, finished_at_ns=int(NOW_S * 1e9) - 10**12)


class _All(dict):
    """Every container is healthy."""

    def get(self, key, default=None):
        return Health()


@given(pods(), st.lists(st.integers(0, 2), max_size=6))
def test_whatever_ends_and_how_the_pod_settles_and_deletion_leaves_nothing(wanted, exit_codes):
    found, codes = Facts(), list(exit_codes)
    for _ in range(60):
        actions = step(wanted, found, notes(health=_All())).actions
        if not actions:
            break
        for action in actions:
            found = carried_out(found, action, codes)
    else:
        raise AssertionError("the pod does not settle")
    going = notes(grace_left_s=1.0)
    for _ in range(20):
        actions = step(wanted, found, going).actions
        if actions == (Forget(),):
            break
        for action in actions:
            found = carried_out(found, action, codes)
    assert (found.sandboxes, found.containers) == ((), ())
