"""What a ReplicaSet writes, by table and property."""

import random

import pytest
from msgspec.structs import replace

from controllers_objects import APP, NOW_S, SELECTOR, meta, pod, template
from ursa.arktos.controllers.replicaset import BURST_MAX, DELETION_COST, plan, told
from ursa.base.errors import Forbidden
from ursa.kinds.replicaset import ReplicaSet, ReplicaSetSpec


def replica_set(replicas, *, min_ready_seconds=0):
    return ReplicaSet(
        metadata=meta("rs", generation=3),
        spec=ReplicaSetSpec(
            replicas=replicas,
            selector=SELECTOR,
            template=template(),
            min_ready_seconds=min_ready_seconds,
        ),
    )


def names(pods):
    return [p.metadata.name for p in pods]


@pytest.mark.parametrize(
    ("have", "want", "create", "delete"),
    [(0, 3, 3, 0), (3, 3, 0, 0), (5, 3, 0, 2), (3, 0, 0, 3), (0, 2 * BURST_MAX, BURST_MAX, 0)],
)
def test_plan_moves_towards_the_replicas_asked_for(have, want, create, delete):
    step = plan(replica_set(want), [pod(f"p{i}") for i in range(have)], NOW_S)
    assert (len(step.create), len(step.delete)) == (create, delete)


def test_a_plan_made_twice_from_one_cache_asks_for_the_same_writes():
    pods = [pod(f"p{i}") for i in range(5)]
    for want in (2, 8):
        first = plan(replica_set(want), pods, NOW_S)
        second = plan(replica_set(want), random.Random(1).sample(pods, 5), NOW_S)
        assert (first.create, first.delete) == (second.create, second.delete)


@pytest.mark.parametrize("have", range(0, 8))
@pytest.mark.parametrize("want", range(0, 8))
def test_a_plan_once_carried_out_leaves_nothing_to_do(have, want):
    pods = [pod(f"p{i}") for i in range(have)]
    step = plan(replica_set(want), pods, NOW_S)
    after = [p for p in pods if p not in step.delete] + [pod(name) for name in step.create]
    settled = plan(replica_set(want), after, NOW_S)
    assert (settled.create, settled.delete) == ((), ())


PAIRS = {
    "unassigned before assigned": ({"node": ""}, {}),
    "pending before running": ({"phase": "Pending", "ready": False}, {"ready": False}),
    "not ready before ready": ({"ready": False}, {}),
    "cheap before dear": ({}, {"annotations": {DELETION_COST: "10"}}),
    "shortly before long ready": ({"ready_since_s": NOW_S - 1}, {}),
    "often restarted before seldom": ({"restarts": 4}, {}),
    "young before old": ({"created_s": NOW_S - 5}, {}),
}


@pytest.mark.parametrize(("first", "last"), PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize(("first_name", "last_name"), [("a", "z"), ("z", "a")])
def test_surplus_pods_go_in_the_order_of_their_rank(first, last, first_name, last_name):
    step = plan(replica_set(1), [pod(last_name, **last), pod(first_name, **first)], NOW_S)
    assert names(step.delete) == [first_name]


def test_of_equal_pods_the_one_with_most_neighbours_on_its_node_goes():
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert names(plan(replica_set(2), pods, NOW_S).delete) == ["b"]


def test_a_deletion_cost_that_is_no_number_counts_as_none():
    pods = [pod("a", annotations={DELETION_COST: "-1"}), pod("b", annotations={DELETION_COST: "x"})]
    assert names(plan(replica_set(1), pods, NOW_S).delete) == ["a"]


@pytest.mark.parametrize(
    "gone", [{"phase": "Succeeded"}, {"deletion_timestamp": "2026-01-01T00:00:00Z"}]
)
def test_finished_and_terminating_pods_are_not_replicas(gone):
    step = plan(replica_set(1), [pod("done", **gone)], NOW_S)
    assert len(step.create) == 1
    assert step.status.replicas == 0
    assert step.status.observed_generation == 3


def test_the_name_of_a_terminating_pod_is_not_reused_while_it_is_there():
    (name,) = plan(replica_set(1), [], NOW_S).create
    terminating = pod(name, deletion_timestamp="2026-01-01T00:00:00Z")
    assert plan(replica_set(1), [terminating], NOW_S).create != (name,)


def test_an_orphan_that_the_selector_matches_is_adopted_and_counts():
    orphan = pod("stray", owner=None)
    step = plan(replica_set(1), [orphan], NOW_S)
    assert (step.claim.adopt, step.create, step.status.replicas) == ((orphan,), (), 1)


def test_another_owners_pod_and_another_labels_orphan_are_left_alone():
    step = plan(
        replica_set(1), [pod("x", owner="other"), pod("y", owner=None, labels={"app": "db"})], NOW_S
    )
    assert (step.claim.adopt, step.claim.release, len(step.create)) == ((), (), 1)


def test_a_pod_whose_labels_have_been_changed_is_released_and_replaced():
    changed = pod("debug", labels={"app": "debug"})
    step = plan(replica_set(1), [changed], NOW_S)
    assert (step.claim.release, len(step.create), step.delete) == ((changed,), 1, ())


def test_a_ready_pod_is_available_only_after_min_ready_seconds():
    pods = [pod("old"), pod("fresh", ready_since_s=NOW_S - 4), pod("unready", ready=False)]
    step = plan(replica_set(3, min_ready_seconds=10), pods, NOW_S)
    assert (step.status.ready_replicas, step.status.available_replicas) == (2, 1)
    assert step.requeue_after_s == 6


def test_only_pods_with_all_labels_of_the_template_are_fully_labelled():
    rs = replica_set(2)
    more = template(labels=APP | {"tier": "front"})
    rs = replace(rs, spec=replace(rs.spec, template=more))
    step = plan(rs, [pod("a"), pod("b", labels=APP | {"tier": "front"})], NOW_S)
    assert (step.status.replicas, step.status.fully_labeled_replicas) == (2, 1)


def test_a_refused_create_is_told_in_a_condition_until_one_succeeds():
    rs = replica_set(1)
    refused = told(plan(rs, [], NOW_S), Forbidden("exceeded quota"), NOW_S)
    (condition,) = refused.conditions
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "ReplicaFailure",
        "True",
        "FailedCreate",
        "exceeded quota",
    )
    again = plan(replace(rs, status=refused), [], NOW_S + 60)
    assert told(again, Forbidden("exceeded quota"), NOW_S + 60) == refused
    assert told(again, None, NOW_S + 60).conditions == ()
