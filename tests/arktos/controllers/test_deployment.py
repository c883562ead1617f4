"""What a Deployment writes: rollouts carried out step by step, by table and property."""

import pytest
from msgspec.structs import replace

from controllers_objects import controlled, template
from controllers_rollout import World, deployment, is_work
from ursa.arktos.controllers.progress import NO_DEADLINE_S
from ursa.arktos.controllers.revision import HASH_LABEL, HISTORY, REVISION
from ursa.kinds.deployment import DeploymentStrategy
from ursa.kinds.part import Condition, LabelSelector
from ursa.kinds.replicaset import ReplicaSetStatus

RECREATE = DeploymentStrategy(type="Recreate")


def rolled_out(**fields):
    world = World(deployment(**fields))
    world.settle()
    return world


def test_the_first_pass_makes_a_set_of_the_template_with_all_replicas():
    world = World(deployment(3, annotations={"kubernetes.io/change-cause": "first"}))
    created = world.step().create
    digest = created.metadata.labels[HASH_LABEL]
    assert created.metadata.name == f"web-{digest}"
    assert created.spec.selector.match_labels == {"app": "web", HASH_LABEL: digest}
    assert created.spec.template.metadata.labels == {"app": "web", HASH_LABEL: digest}
    assert created.spec.replicas == 3
    assert created.metadata.annotations["kubernetes.io/change-cause"] == "first"
    assert created.metadata.annotations[REVISION] == "1"
    assert world.deployment.metadata.annotations[REVISION] == "1"


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
def test_a_finished_rollout_is_complete_and_leaves_nothing_to_do(strategy):
    world = rolled_out(**({"strategy": RECREATE} if strategy == "recreate" else {}))
    world.change(template=template("v2"))
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": 3}
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")
    assert world.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert not is_work(world.plan())
    assert world.plan().status == world.deployment.status


@pytest.mark.parametrize("replicas", [1, 2, 3, 10])
@pytest.mark.parametrize(
    ("surge", "unavailable"), [("25%", "25%"), (1, 0), (0, 1), ("100%", "50%"), (0, "10%")]
)
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_rolling_update_never_leaves_its_limits(replicas, surge, unavailable, at_once):
    world = rolled_out(replicas=replicas, surge=surge, unavailable=unavailable)
    pods_max, available_min = rounded(surge, unavailable, replicas)
    world.change(template=template("v2"))
    for _ in range(100):
        world.step()
        assert sum(world.sizes().values()) <= pods_max
        available = sum(
            min(rs.status.available_replicas, rs.spec.replicas) for rs in world.sets.values()
        )
        assert available >= available_min
        world.make_available(at_once)
    assert world.sizes() == {"v1": 0, "v2": replicas}


def rounded(surge, unavailable, replicas):
    """Return (pods at most, available at least) as the documentation words it."""
    number = {
        "25%": (-(-replicas // 4), replicas // 4),
        "50%": (-(-replicas // 2), replicas // 2),
        "100%": (replicas, replicas),
        "10%": (-(-replicas // 10), replicas // 10),
    }
    more = number[surge][0] if isinstance(surge, str) else surge
    less = number[unavailable][1] if isinstance(unavailable, str) else unavailable
    return replicas + more, replicas - (less or (0 if more else 1))


def test_a_plan_made_twice_asks_for_the_same_writes():
    world = rolled_out()
    world.change(template=template("v2"))
    assert world.plan() == world.plan()


def test_recreate_waits_for_the_last_old_pod_also_a_terminating_one():
    world = rolled_out(strategy=RECREATE)
    world.change(template=template("v2"))
    (old,) = world.sets.values()
    world.pods = {old.metadata.uid: 1}
    for _ in range(3):
        world.step()
        world.make_available(100)
    assert world.sizes() == {"v1": 0}
    world.pods = {}
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": 3}


def test_undo_takes_the_old_set_back_as_the_next_revision():
    world = rolled_out()
    world.change(template=template("v2"))
    world.settle()
    world.change(template=template("v1"))
    world.settle()
    assert world.sizes() == {"v1": 3, "v2": 0}
    first = next(rs for rs in world.sets.values() if rs.spec.replicas)
    assert first.metadata.annotations[REVISION] == "3"
    assert first.metadata.annotations[HISTORY] == "1"
    assert world.deployment.metadata.annotations[REVISION] == "3"


def test_history_keeps_only_the_newest_old_sets():
    world = rolled_out(revision_history_limit=2)
    for number in range(2, 7):
        world.change(template=template(f"v{number}"))
        world.settle()
    assert world.sizes() == {"v4": 0, "v5": 0, "v6": 3}


def test_a_paused_deployment_scales_and_rolls_only_when_resumed():
    world = rolled_out()
    world.change(paused=True, template=template("v2"), replicas=5)
    world.settle()
    assert world.sizes() == {"v1": 5}
    assert world.condition("Progressing") == ("Unknown", "DeploymentPaused")
    world.change(paused=False)
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": 5}
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions():
    """Kubernetes' documented example: 10 replicas, surge 3, unavailable 2, scaled to 15."""
    world = rolled_out(replicas=10, surge=3, unavailable=2)
    world.change(template=template("broken"))
    for _ in range(5):
        world.step()
        world.make_available(0)
    assert world.sizes() == {"v1": 8, "broken": 5}
    world.change(replicas=15)
    world.step()
    assert world.sizes() == {"v1": 11, "broken": 7}


@pytest.mark.parametrize("replicas", [0, 1, 7, 40])
def test_scaling_ends_at_the_replicas_asked_for(replicas):
    world = rolled_out(replicas=10)
    world.change(template=template("v2"))
    world.step()
    world.change(replicas=replicas)
    world.settle()
    assert world.sizes() == {"v1": 0, "v2": replicas}


def test_a_rollout_that_does_not_move_for_the_deadline_has_failed_until_it_moves():
    world = rolled_out(progress_deadline_seconds=60)
    world.change(template=template("broken"))
    world.step()
    for _ in range(3):
        world.make_available(0)
        world.step()
    assert world.condition("Progressing")[1] != "ProgressDeadlineExceeded"
    wait_s = world.plan().requeue_after_s
    assert 0 < wait_s <= 61
    world.now_s += wait_s
    world.step()
    assert world.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    world.settle()
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_every_movement_starts_the_deadline_anew():
    world = rolled_out(replicas=6, progress_deadline_seconds=60, surge=1, unavailable=0)
    world.change(template=template("slow"))
    for _ in range(30):
        world.step()
        world.now_s += 50
        world.make_available(1)
        assert world.condition("Progressing")[1] != "ProgressDeadlineExceeded"
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_without_a_deadline_there_is_no_progressing_condition():
    world = rolled_out(progress_deadline_seconds=NO_DEADLINE_S)
    assert world.condition("Progressing") is None


def test_a_finished_rollout_that_loses_pods_does_not_run_into_the_deadline():
    world = rolled_out(progress_deadline_seconds=10)
    (name, rs), *_ = world.sets.items()
    world.sets[name] = replace(rs, status=ReplicaSetStatus(replicas=3))
    world.now_s += 1000
    world.step()
    assert world.condition("Available") == ("False", "MinimumReplicasUnavailable")
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_a_failure_of_a_set_is_repeated_and_does_not_move_by_itself():
    world = rolled_out()
    (name, rs), *_ = world.sets.items()
    failure = Condition(
        type="ReplicaFailure", status="True", reason="FailedCreate", message="quota"
    )
    world.sets[name] = replace(rs, status=replace(rs.status, conditions=(failure,)))
    world.step()
    assert world.condition("ReplicaFailure") == ("True", "FailedCreate")
    world.now_s += 100
    assert world.plan().status == world.deployment.status
    world.sets[name] = rs
    world.step()
    assert world.condition("ReplicaFailure") is None


def test_min_ready_seconds_reaches_the_set_without_a_new_revision():
    world = rolled_out()
    world.change(min_ready_seconds=7)
    world.settle()
    (rs,) = world.sets.values()
    assert rs.spec.min_ready_seconds == 7
    assert rs.metadata.annotations[REVISION] == "1"


def test_an_orphaned_set_of_the_template_is_adopted_instead_of_making_another():
    world = rolled_out()
    (name, rs), *_ = world.sets.items()
    orphan = replace(rs, metadata=replace(rs.metadata, owner_references=()))
    world.sets[name] = orphan
    made = world.plan()
    assert made.claim.adopt == (orphan,)
    assert made.create is None


def test_a_set_of_another_owner_is_left_alone():
    world = rolled_out()
    (name, rs), *_ = world.sets.items()
    world.sets = {
        name: replace(rs, metadata=replace(rs.metadata, owner_references=controlled("X", "x")))
    }
    made = world.plan()
    assert made.change == ()
    assert made.create is not None


def test_a_set_that_the_selector_no_longer_matches_is_released():
    world = rolled_out()
    world.change(selector=LabelSelector(match_labels={"app": "other"}))
    assert len(world.plan().claim.release) == 1


def test_a_taken_name_is_avoided_by_the_count_of_collisions():
    world = World(deployment())
    first = world.plan().create.metadata.name
    status = replace(world.deployment.status, collision_count=1)
    world.deployment = replace(world.deployment, status=status)
    assert world.plan().create.metadata.name != first
