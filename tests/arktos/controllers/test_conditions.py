"""How conditions move."""

from msgspec.structs import replace

from controllers_objects import NOW_S
from ursa.arktos.controllers.conditions import condition, touched, with_condition
from ursa.base.clock import rfc3339

FIRST = with_condition((), "Ready", "True", "Fine", "", now_s=NOW_S)


def test_the_same_condition_again_changes_nothing():
    assert with_condition(FIRST, "Ready", "True", "Fine", "", now_s=NOW_S + 9) is FIRST


def test_a_transition_is_a_change_of_status_alone():
    reworded = with_condition(FIRST, "Ready", "True", "Better", "", now_s=NOW_S + 9)
    turned = with_condition(FIRST, "Ready", "False", "Bad", "", now_s=NOW_S + 9)
    assert condition(reworded, "Ready").last_transition_time == rfc3339(NOW_S)
    assert condition(turned, "Ready").last_transition_time == rfc3339(NOW_S + 9)


def test_what_another_writer_keeps_in_a_condition_survives():
    beating = tuple(replace(c, last_heartbeat_time="then") for c in FIRST)
    (turned,) = with_condition(beating, "Ready", "Unknown", "Silent", "", now_s=NOW_S)
    assert turned.last_heartbeat_time == "then"


def test_only_what_differs_is_touched():
    more = with_condition(FIRST, "Other", "True", "", "", now_s=NOW_S)
    kept, fresh = touched(more, FIRST, now_s=NOW_S + 1)
    assert kept.last_update_time is None
    assert fresh.last_update_time == rfc3339(NOW_S + 1)
