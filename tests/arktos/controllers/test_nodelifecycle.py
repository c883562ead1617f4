"""When a node counts as lost, what that writes, and when its pods leave."""

import pytest
from msgspec.structs import replace

from controllers_objects import NOW_S, meta, pod, ready_condition
from ursa.arktos.controllers.nodelifecycle import Heartbeats, Patience, plan
from ursa.arktos.controllers.taints import NOT_READY, UNREACHABLE, leaves_in_s, taints_of
from ursa.base.clock import rfc3339
from ursa.kinds.node import Node, NodeSpec, NodeStatus
from ursa.kinds.part import Condition
from ursa.kinds.placement import Taint, Toleration

PATIENCE = Patience(grace_s=40, eviction_s=300, period_s=5)


def node(*conditions, taints=(), unschedulable=False):
    return Node(
        metadata=meta("n1", tenant="", namespace=""),
        spec=NodeSpec(taints=taints, unschedulable=unschedulable),
        status=NodeStatus(conditions=conditions or (ready_condition(),)),
    )


def step(made, pods=(), *, silent_s=0.0, alone=False, now_s=NOW_S):
    return plan(made, pods, PATIENCE, silent_s=silent_s, alone=alone, now_s=now_s)


def carried_out(made, done):
    return replace(
        made,
        spec=replace(made.spec, taints=done.taints),
        status=replace(made.status, conditions=done.conditions),
    )


def keys(taints):
    return [(t.key, t.effect) for t in taints]


def tolerant(*tolerations):
    made = pod("p")
    return replace(made, spec=replace(made.spec, tolerations=tolerations))


def test_a_node_that_is_heard_and_ready_is_left_alone():
    made = node()
    assert (step(made).conditions, step(made).taints) == (made.status.conditions, ())


def test_a_silent_node_is_unknown_and_tainted_and_its_pods_are_not_ready():
    done = step(node(), [pod("p"), pod("q", ready=False)], silent_s=41)
    assert [(c.type, c.status) for c in done.conditions] == [("Ready", "Unknown")]
    assert keys(done.taints) == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    assert [p.metadata.name for p in done.unready] == ["p"]
    assert done.evict == ()


def test_only_what_the_node_itself_reports_becomes_unknown():
    own = Condition(type="VmRuntimeReady", status="True", last_heartbeat_time="then")
    anothers = Condition(type="NetworkUnavailable", status="False")
    done = step(node(ready_condition(), own, anothers), silent_s=41)
    assert [c.status for c in done.conditions] == ["Unknown", "Unknown", "False"]


@pytest.mark.parametrize("silent_s", [0, 41])
@pytest.mark.parametrize("ready", ["True", "False", "Unknown"])
def test_a_plan_carried_out_leaves_nothing_to_write(silent_s, ready):
    made = node(Condition(type="Ready", status=ready))
    first = step(made, silent_s=silent_s)
    made = carried_out(made, first)
    again = step(made, silent_s=silent_s, now_s=NOW_S + 60)
    assert (again.conditions, again.taints) == (first.conditions, first.taints)


def test_a_node_that_returns_loses_its_taints_and_keeps_the_users():
    users = Taint(key="dedicated", value="db", effect="NoSchedule")
    lost = node(taints=(users,))
    lost = carried_out(lost, step(lost, silent_s=41))
    back = replace(lost, status=NodeStatus(conditions=(ready_condition(),)))
    assert step(back).taints == (users,)


def test_the_last_node_that_falls_silent_throws_nobody_out():
    done = step(node(), [pod("p")], silent_s=41, alone=True)
    assert keys(done.taints) == [(UNREACHABLE, "NoSchedule")]


def test_a_node_that_says_it_is_not_ready_is_tainted_as_such():
    done = step(node(ready_condition(ready=False)))
    assert keys(done.taints) == [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]
    assert done.unready == ()


def test_pressure_and_cordon_keep_new_pods_away():
    made = node(
        ready_condition(), Condition(type="MemoryPressure", status="True"), unschedulable=True
    )
    assert keys(taints_of(made, made.status.conditions, evicts=True, now_s=NOW_S)) == [
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]


def test_pods_leave_a_lost_node_after_the_patience_that_nobody_changed():
    lost = node()
    lost = carried_out(lost, step(lost, silent_s=41))
    early = step(lost, [pod("p")], silent_s=300, now_s=NOW_S + 298)
    late = step(lost, [pod("p")], silent_s=400, now_s=NOW_S + 301)
    assert (early.evict, early.requeue_after_s) == ((), 2)
    assert [p.metadata.name for p in late.evict] == ["p"]


TAINT = Taint(key=UNREACHABLE, effect="NoExecute", time_added=rfc3339(NOW_S - 10))
FOREVER = Toleration(key=UNREACHABLE, operator="Exists")
FOR_15_S = Toleration(key=UNREACHABLE, operator="Exists", toleration_seconds=15)


@pytest.mark.parametrize(
    ("tolerations", "taint", "wait"),
    [
        ((FOREVER,), TAINT, None),
        ((FOR_15_S,), TAINT, 5),
        ((FOREVER, FOR_15_S), TAINT, 5),
        ((Toleration(operator="Exists"),), TAINT, None),
        ((replace(FOR_15_S, toleration_seconds=0),), TAINT, 0),
        ((), TAINT, 290),
        ((), Taint(key="drain", effect="NoExecute"), 0),
        ((FOREVER,), Taint(key="drain", effect="NoExecute"), 0),
        ((), Taint(key="drain", effect="NoSchedule"), None),
    ],
)
def test_a_pod_bears_a_taint_as_long_as_it_tolerates_it(tolerations, taint, wait):
    made = tolerant(*tolerations)
    assert leaves_in_s(made, (taint,), unless_told_s=300, now_s=NOW_S) == wait


def test_a_pod_that_is_leaving_is_not_evicted_again():
    lost = node(taints=(TAINT, Taint(key="drain", effect="NoExecute")))
    leaving = pod("p", deletion_timestamp="2026-01-01T00:00:00Z")
    assert step(lost, [leaving], silent_s=400).evict == ()


def test_silence_is_counted_from_the_last_change_that_was_seen():
    beats = Heartbeats()
    assert beats.silent_s("n1", "renewed long ago", 100) == 0
    assert beats.silent_s("n1", "renewed long ago", 130) == 30
    assert beats.silent_s("n1", "renewed", 135) == 0
    assert not beats.all_silent(["n1"], 40, 170)
    assert beats.all_silent(["n1"], 40, 176)


def test_what_is_written_about_a_silent_node_is_no_heartbeat():
    ready = replace(ready_condition(), last_heartbeat_time="then")
    done = step(node(ready), silent_s=41)
    assert {c.last_heartbeat_time for c in done.conditions if c.type == "Ready"} == {"then"}
