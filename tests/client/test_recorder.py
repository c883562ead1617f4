"""Events as users read them, and as their writers survive them."""

import pytest

from tiny_api import TinyApi, serving
from ursa.base.errors import Forbidden, ServiceUnavailable
from ursa.client import Client, Recorder
from ursa.kinds.part import ObjectMeta, Part, Scope, kind


@kind("test.ursa.dev/v1", plural="things", scope=Scope.NAMESPACE)
class Thing(Part):
    metadata: ObjectMeta = ObjectMeta()


THING = Thing(metadata=ObjectMeta(tenant="acme", namespace="dev", name="a", uid="u1"))


@pytest.fixture
async def api():
    return TinyApi("events")


@pytest.fixture
async def client(api):
    async with serving(api) as url, Client(url) as client:
        yield client


async def test_an_event_lies_beside_its_object_and_names_it(client, api):
    await Recorder(client, "tester").event(THING, "Warning", "Broken", "it broke")
    assert api.requests == [("POST", "/api/v1/tenants/acme/namespaces/dev/events")]
    (event,) = api.documents.values()
    assert event["involvedObject"]["uid"] == "u1" and event["involvedObject"]["tenant"] == "acme"
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Broken", "it broke")


async def test_the_same_event_is_counted_up_also_by_a_successor(client, api):
    first = Recorder(client, "tester")
    for recorder in (first, first, Recorder(client, "tester")):
        await recorder.event(THING, "Normal", "Seen", "there")
    (event,) = api.documents.values()
    assert event["count"] == 3


async def test_other_words_are_another_event(client, api):
    recorder = Recorder(client, "tester")
    await recorder.event(THING, "Normal", "Seen", "here")
    await recorder.event(THING, "Normal", "Seen", "there")
    assert len(api.documents) == 2


@pytest.mark.parametrize("error", [Forbidden("no"), ServiceUnavailable("down")])
async def test_a_lost_event_is_counted_and_not_raised(client, api, error):
    recorder = Recorder(client, "tester")
    api.refuse = [error]
    await recorder.event(THING, "Normal", "Seen", "there")
    assert recorder.failures == 1 and api.documents == {}


async def test_an_event_that_expired_is_made_again(client, api):
    recorder = Recorder(client, "tester")
    await recorder.event(THING, "Normal", "Seen", "there")
    api.documents.clear()
    await recorder.event(THING, "Normal", "Seen", "there")
    (event,) = api.documents.values()
    assert event["count"] == 1 and recorder.failures == 0
