"""Event: what happened to an object, for people. Source: Kubernetes, api/core/v1/types.go."""

from __future__ import annotations

from ursa.kinds.part import ObjectMeta, ObjectReference, Part, Scope, kind


class EventSource(Part):
    component: str = ""
    host: str = ""


@kind("v1", plural="events", scope=Scope.NAMESPACE)
class Event(Part):
    metadata: ObjectMeta
    involved_object: ObjectReference = ObjectReference()
    reason: str = ""
    """CamelCase, for machines."""
    message: str = ""
    source: EventSource = EventSource()
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    count: int = 0
    type: str = ""
    """Normal or Warning."""
    event_time: str | None = None
    action: str = ""
    reporting_component: str = ""
    reporting_instance: str = ""
