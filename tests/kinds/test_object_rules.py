"""Rules of events and priority classes."""

from documents import faults, named


def test_an_event_lives_where_its_object_does():
    (fault,) = faults("Event", named(involvedObject={"namespace": "prod"}))
    assert (
        fault == 'involvedObject.namespace: Invalid value: "prod": does not match event.namespace'
    )


def test_system_priorities_are_reserved():
    (fault,) = faults("PriorityClass", named(value=2_000_000_000))
    assert fault.startswith("value: Forbidden: maximum allowed value")
    (fault,) = faults("PriorityClass", named("system-mine", value=1))
    assert "reserved for system use only" in fault
