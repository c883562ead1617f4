"""Which pods nobody else removes."""

from controllers_objects import meta, pod, ready_condition
from ursa.arktos.controllers.podgc import OUT_OF_SERVICE, QUARANTINE_S, Absences, plan
from ursa.kinds.node import Node, NodeSpec, NodeStatus
from ursa.kinds.placement import Taint

GOING = "2026-01-01T00:00:00Z"


def node(name="n1", *, ready=True, taints=()):
    return Node(
        metadata=meta(name, tenant="", namespace=""),
        spec=NodeSpec(taints=tuple(Taint(key=key, effect="NoExecute") for key in taints)),
        status=NodeStatus(conditions=(ready_condition(ready=ready),)),
    )


def removed(pods, nodes=(), vanished=(), finished_max=100):
    found = plan(pods, {n.metadata.name: n for n in nodes}, vanished, finished_max)
    return [(p.metadata.name, why) for p, why in found]


def test_a_running_pod_of_a_node_that_is_there_stays():
    assert removed([pod("a")], [node()]) == []


def test_pods_of_a_vanished_node_go():
    assert removed([pod("a"), pod("b", node="n2")], [node("n2")], {"n1"}) == [
        ("a", "node no longer exists")
    ]


def test_a_pod_that_ends_on_a_silent_node_stays_until_the_node_is_out_of_service():
    ending = pod("a", deletion_timestamp=GOING)
    assert removed([ending], [node(ready=False)]) == []
    out = node(ready=False, taints=[OUT_OF_SERVICE])
    assert removed([ending], [out]) == [("a", "node is out of service")]
    assert removed([pod("a")], [out]) == []


def test_a_pod_that_ends_before_it_was_bound_goes():
    ending = pod("a", node="", deletion_timestamp=GOING, deletion_grace_period_seconds=30)
    assert removed([ending]) == [("a", "unscheduled and terminating")]
    held = pod("a", node="", deletion_timestamp=GOING, deletion_grace_period_seconds=0)
    assert removed([held]) == []


def test_beyond_the_threshold_the_oldest_finished_pods_go():
    pods = [pod(f"p{age}", phase="Succeeded", created_s=1e9 - age) for age in range(5)]
    assert removed([*pods, pod("running")], [node()], finished_max=3) == [
        ("p4", "too many finished pods"),
        ("p3", "too many finished pods"),
    ]


def test_a_node_has_vanished_only_when_it_is_missing_for_the_whole_quarantine():
    absences = Absences()
    assert absences.look({"n1", ""}, {}, 0) == set()
    assert absences.look({"n1"}, {"n1"}, QUARANTINE_S - 1) == set()
    assert absences.look({"n1"}, {}, QUARANTINE_S) == set()
    assert absences.look({"n1"}, {}, 2 * QUARANTINE_S) == {"n1"}
