"""Conditions of a status: found by type, replaced without moving what has not changed.

Source: Kubernetes API conventions, "Typical status properties".
"""

from __future__ import annotations

from msgspec.structs import replace

from ursa.base.clock import rfc3339
from ursa.kinds.part import Condition

Conditions = tuple[Condition, ...]


def condition(conditions: Conditions, type_: str) -> Condition | None:
    return next((c for c in conditions if c.type == type_), None)


def with_condition(
    conditions: Conditions, type_: str, status: str, reason: str, message: str, *, now_s: float
) -> Conditions:
    """Return `conditions` with this one; lastTransitionTime moves only when its status does."""
    old = condition(conditions, type_)
    if old and (old.status, old.reason, old.message) == (status, reason, message):
        return conditions
    now = rfc3339(now_s)
    if old is None:
        made = Condition(type=type_, last_transition_time=now)
        return (*conditions, replace(made, status=status, reason=reason, message=message))
    since = old.last_transition_time if old.status == status else now
    made = replace(old, status=status, reason=reason, message=message, last_transition_time=since)
    return tuple(made if c is old else c for c in conditions)


def without_condition(conditions: Conditions, type_: str) -> Conditions:
    return tuple(c for c in conditions if c.type != type_)


def touched(conditions: Conditions, before: Conditions, *, now_s: float) -> Conditions:
    """Return `conditions` with lastUpdateTime set in those that differ from `before`."""
    return tuple(
        c if c in before else replace(c, last_update_time=rfc3339(now_s)) for c in conditions
    )
