"""The cache follows the server through every way in which a watch ends. Over real HTTP."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tiny_api import TinyApi, serving
from ursa.base.errors import ServiceUnavailable
from ursa.client import Client, Key, Lister
from ursa.client import lister as lister_module
from ursa.kinds.part import ObjectMeta, Part, Scope, kind


@kind("test.ursa.dev/v1", plural="widgets", scope=Scope.NAMESPACE)
class Widget(Part):
    metadata: ObjectMeta = ObjectMeta()
    colour: str = ""


def key(name: str) -> Key:
    return Key("acme", "dev", name)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lister_module, "BACKOFF_MIN_S", 0.001)
    monkeypatch.setattr(lister_module, "WATCH_MIN_S", 0.0)


@asynccontextmanager
async def following(api: TinyApi):
    """Yield a lister that has synced and runs."""
    async with serving(api) as url, Client(url) as client, asyncio.TaskGroup() as tasks:
        lister = Lister(client, Widget)
        task = tasks.create_task(lister.run())
        await lister.synced()
        yield lister
        task.cancel()


async def caught_up(lister: Lister, api: TinyApi) -> None:
    """Wait for the server's newest revision, by the lister's own notice of it."""
    async with asyncio.timeout(5):
        while lister.revision < api.revision:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_what_is_there_and_what_changes_is_held():
    api = TinyApi("widgets")
    api.put("old")
    async with following(api) as lister:
        assert lister.get(key("old")) is not None
        api.put("new", colour="red")
        api.remove("old")
        await caught_up(lister, api)
        assert lister.get(key("old")) is None
        assert [widget.colour for widget in lister.list()] == ["red"]
        assert lister.in_namespace("acme", "dev") == lister.list()
        assert lister.in_namespace("beta", "dev") == []


async def test_a_watch_that_ends_is_resumed_without_a_list():
    api = TinyApi("widgets")
    async with following(api) as lister:
        api.end_watches()
        api.put("a")
        await caught_up(lister, api)
        assert lister.get(key("a")) is not None and api.lists == 1


async def test_a_compacted_revision_lists_again_and_finds_the_deleted():
    api = TinyApi("widgets")
    api.put("gone")
    api.put("kept")
    async with following(api) as lister:
        seen = []
        lister.on_change(lambda k, before, after: seen.append((k.name, after is None)))
        seen.clear()
        api.history.clear()
        del api.documents["gone"]  # its event is lost with the history
        api.revision += 1
        api.compact()
        await caught_up(lister, api)
        assert lister.get(key("gone")) is None and lister.get(key("kept")) is not None
        assert seen == [("gone", True)] and api.lists == 2


async def test_a_bookmark_moves_the_revision_and_nothing_else():
    api = TinyApi("widgets")
    async with following(api) as lister:
        api.bookmark()
        await caught_up(lister, api)
        assert lister.revision == api.revision and lister.list() == []


async def test_a_failing_server_is_asked_again():
    api = TinyApi("widgets")
    api.refuse = [ServiceUnavailable("starting"), ServiceUnavailable("starting")]
    async with asyncio.timeout(5), following(api) as lister:
        api.put("a")
        await caught_up(lister, api)
        assert lister.get(key("a")) is not None


async def test_objects_are_found_by_their_controller():
    api = TinyApi("widgets")
    owner = Widget(metadata=ObjectMeta(name="o", uid="u1"))
    references = [{"uid": "u0"}, {"uid": "u1", "controller": True}]
    api.put("mine", metadata={"ownerReferences": references})
    api.put("other")
    async with following(api) as lister:
        assert [w.metadata.name for w in lister.controlled_by(owner)] == ["mine"]
        api.put("mine", metadata={"ownerReferences": []})
        await caught_up(lister, api)
        assert lister.controlled_by(owner) == []


async def test_every_reader_of_changes_starts_with_what_is_there_and_sees_a_key_once():
    api = TinyApi("widgets")
    api.put("a")
    async with following(api) as lister:
        for _ in range(2):
            keys = lister.changes()
            assert await anext(keys) == key("a")
            api.put("b")
            api.put("c")
            api.put("b")
            await caught_up(lister, api)
            assert [await anext(keys), await anext(keys)] == [key("b"), key("c")]
            api.remove("b")
            api.remove("c")
            await caught_up(lister, api)
            await keys.aclose()


async def test_an_object_that_does_not_fit_its_view_leaves_the_cache_and_stops_nothing():
    api = TinyApi("widgets")
    api.put("a")
    async with following(api) as lister:
        api.put("a", colour=7)
        api.put("b")
        await caught_up(lister, api)
        assert [w.metadata.name for w in lister.list()] == ["b"]
