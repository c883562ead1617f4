"""Watches, by real streams."""

import asyncio
import random

import pytest

from apiserver import serving
from ursa.api import watch
from ursa.store.sqlite import SqliteStore

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
WATCH = f"{CONFIGMAPS}?watch=true"


async def make(api, name: str, **metadata):
    answer = await api("POST", CONFIGMAPS, {"metadata": {"name": name} | metadata})
    assert answer.status == 201, answer.raw
    return answer.doc["metadata"]["resourceVersion"]


async def test_a_watch_without_a_revision_begins_with_what_is_there(api):
    await make(api, "a")
    async with api.watching(WATCH) as events:
        assert await events.take(1) == [("ADDED", "a")]
        await make(api, "b")
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "y"}})
        await api("DELETE", f"{CONFIGMAPS}/a")
        assert await events.take(3) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_from_a_revision_gets_exactly_what_came_after(api):
    await make(api, "a")
    revision = await make(api, "b")
    await make(api, "c")
    async with api.watching(f"{WATCH}&resourceVersion={revision}") as events:
        await make(api, "d")
        assert await events.take(2) == [("ADDED", "c"), ("ADDED", "d")]


async def test_a_deletion_carries_the_last_state_and_its_own_revision(api):
    revision = await make(api, "a")
    async with api.watching(f"{WATCH}&resourceVersion={revision}") as events:
        await api("DELETE", f"{CONFIGMAPS}/a")
        event = await events.next()
    assert event["type"] == "DELETED" and event["object"]["kind"] == "ConfigMap"
    assert int(event["object"]["metadata"]["resourceVersion"]) == int(revision) + 1


async def test_objects_enter_and_leave_what_is_selected(api):
    revision = await make(api, "a")
    query = f"{WATCH}&resourceVersion={revision}&labelSelector=on%3Dyes"
    async with api.watching(query) as events:
        await make(api, "other")
        for value in ("yes", "yes", "no"):
            body = {"metadata": {"labels": {"on": value}}, "data": {"n": str(random.random())}}
            await api.patch(f"{CONFIGMAPS}/a", body)
        seen = await events.take(3)
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_stays_in_its_tenant_and_namespace(api):
    await api("POST", "/api/v1/tenants", {"metadata": {"name": "acme"}})
    await api("POST", "/api/v1/tenants/acme/namespaces", {"metadata": {"name": "default"}})
    acme = "/api/v1/tenants/acme/namespaces/default/configmaps"
    async with (
        api.watching(f"{acme}?watch=1") as in_acme,
        api.watching("/api/v1/tenants/all/configmaps?watch=1") as everywhere,
        api.watching("/api/v1/namespaces/kube-system/configmaps?watch=1") as elsewhere,
    ):
        await make(api, "a")
        await api("POST", acme, {"metadata": {"name": "b"}})
        assert await in_acme.take(1) == [("ADDED", "b")]
        assert await everywhere.take(2) == [("ADDED", "a"), ("ADDED", "b")]
        await api("POST", "/api/v1/namespaces/kube-system/configmaps", {"metadata": {"name": "c"}})
        assert await elsewhere.take(1) == [("ADDED", "c")]


async def test_one_object_can_be_watched_by_its_url(api):
    await make(api, "a")
    await make(api, "b")
    async with api.watching(f"{CONFIGMAPS}/b?watch=1") as events:
        await api("DELETE", f"{CONFIGMAPS}/a")
        await api("DELETE", f"{CONFIGMAPS}/b")
        assert await events.take(2) == [("ADDED", "b"), ("DELETED", "b")]


async def test_a_streaming_list_says_where_it_ends(server, api):
    for name in "abc":
        await make(api, name)
    query = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with api.watching(WATCH + query) as events:
        assert await events.take(3) == [("ADDED", name) for name in "abc"]
        mark = await events.next()
    assert mark["type"] == "BOOKMARK" and mark["object"]["kind"] == "ConfigMap"
    metadata = mark["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert metadata["resourceVersion"] == str(server.app.cache.revision)
    refused = await api("GET", f"{WATCH}&sendInitialEvents=true")
    assert refused.status == 400


async def test_bookmarks_go_to_who_asked_and_name_a_revision_to_resume_at(server, api):
    async with (
        api.watching(f"{WATCH}&allowWatchBookmarks=true") as asked,
        api.watching(WATCH) as plain,
    ):
        await make(api, "a")
        await asked.take(1)
        await plain.take(1)
        await api("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
        server.app.hub.bookmark_all()
        mark = await asked.next()
        await make(api, "b")
        assert await plain.take(1) == [("ADDED", "b")]
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["resourceVersion"] == str(server.app.cache.revision - 1)


async def test_a_compacted_revision_is_gone(server, api):
    first = await make(api, "a")
    await make(api, "b")
    newest = server.app.cache.revision
    await server.app.store.compact(newest)
    server.app.cache.forget(newest)
    answer = await api("GET", f"{WATCH}&resourceVersion={first}")
    assert (answer.status, answer.doc["reason"]) == (410, "Expired")
    async with api.watching(f"{WATCH}&resourceVersion={newest}") as events:
        await make(api, "c")
        assert await events.take(1) == [("ADDED", "c")]


async def test_a_watch_ends_after_its_timeout(api):
    await make(api, "a")
    async with asyncio.timeout(5):
        answer = await api("GET", f"{WATCH}&timeoutSeconds=1")
    assert answer.status == 200 and answer.doc["type"] == "ADDED"


async def test_tables_are_watched_as_rows(api):
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    async with api.watching(WATCH, accept=table) as events:
        await make(api, "a")
        event = await events.next()
    assert event["object"]["kind"] == "Table" and event["object"]["rows"][0]["cells"][0] == "a"


async def test_a_watcher_that_does_not_read_is_cut_off_and_counted(server, api, monkeypatch):
    monkeypatch.setattr(watch, "PENDING_BYTES_MAX", 200_000)
    metrics = (await api("GET", "/metrics")).raw
    assert b'reason="slow watcher"' not in metrics
    async with api.watching(WATCH) as events:
        events.content._protocol.pause_reading()  # the client stops reading its socket
        for number in range(300):
            await make(api, f"n{number}", annotations={"x": "y" * 60_000})
            if server.app.hub.cut_off:
                break
        assert server.app.hub.cut_off == 1
    assert b'ursa_refused_total{reason="slow watcher"} 1.0' in (await api("GET", "/metrics")).raw


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_every_acknowledged_write_is_seen_once_in_order_by_every_watch(tmp_path, engine):
    """Invariant 2, over HTTP: writers race; watchers come, go, and resume where they were."""
    store = await SqliteStore.open(tmp_path) if engine == "sqlite" else None
    writes_each, writers, watchers = 25, 6, 4
    async with serving(store) as server:
        api = server.admin
        start = server.app.cache.revision
        rng = random.Random(7)

        async def write(number: int) -> list[int]:
            acknowledged = [int(await make(api, f"w{number}"))]
            path = f"{CONFIGMAPS}/w{number}"
            for i in range(writes_each - 2):
                answer = await api.patch(path, {"data": {"i": str(i)}})
                acknowledged.append(int(answer.doc["metadata"]["resourceVersion"]))
                read = await api("GET", path)
                assert int(read.doc["metadata"]["resourceVersion"]) == acknowledged[-1]
            assert (await api("DELETE", path)).status == 200
            return acknowledged

        async def follow() -> list[tuple[int, str]]:
            seen: list[tuple[int, str]] = []
            while len(seen) < writers * writes_each:
                last = seen[-1][0] if seen else start
                async with api.watching(f"{WATCH}&resourceVersion={last}") as events:
                    for _ in range(min(rng.randint(1, 40), writers * writes_each - len(seen))):
                        event = await events.next()
                        metadata = event["object"]["metadata"]
                        seen.append((int(metadata["resourceVersion"]), event["type"]))
            return seen

        following = [asyncio.ensure_future(follow()) for _ in range(watchers)]
        acknowledged = await asyncio.gather(*(write(number) for number in range(writers)))
        histories = await asyncio.wait_for(asyncio.gather(*following), 30)
    if store is not None:
        await store.close()
    revisions = [revision for revision, _ in histories[0]]
    assert revisions == sorted(set(revisions)) and len(revisions) == writers * writes_each
    assert {r for mine in acknowledged for r in mine} <= set(revisions)
    assert all(history == histories[0] for history in histories)
