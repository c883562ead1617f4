"""What every engine owes its user. Each test runs against each of them."""

import asyncio
import random

import pytest

from ursa.store.log import ABSENT, Compacted, Stale, Write
from ursa.store.memory import MemoryStore
from ursa.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    opened = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


async def put(store, key: str, value: bytes = b"v") -> int:
    return await store.commit([Write(key, value)], {})


async def test_a_commit_is_seen_by_reads_and_told_to_watches_before_it_returns(store):
    told = []
    store.watch("", 0, told.extend)
    revision = await put(store, "t/a")
    assert [(r.key, r.value, r.revision) for r in store.range("t/")] == [("t/a", b"v", revision)]
    assert [(e.key, e.revision) for e in told] == [("t/a", revision)]


async def test_a_failed_compare_writes_nothing_and_names_the_newest(store):
    revision = await put(store, "t/a")
    with pytest.raises(Stale) as caught:
        await store.commit([Write("t/a", b"w"), Write("t/b", b"w")], {"t/a": ABSENT})
    assert caught.value.newest.revision == revision
    assert [r.key for r in store.range("")] == ["t/a"]


async def test_of_equal_creates_at_once_exactly_one_succeeds(store):
    outcomes = await asyncio.gather(
        *(store.commit([Write("t/a", b"%d" % i)], {"t/a": ABSENT}) for i in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Stale) for outcome in outcomes) == 19


async def test_writes_of_one_commit_have_consecutive_revisions_and_the_last_is_returned(store):
    last = await store.commit([Write("t/a", b"1"), Write("t/b", b"2")], {})
    assert [r.revision for r in store.range("t/")] == [last - 1, last]


async def test_a_prefix_is_a_tenant_and_nothing_else(store):
    await put(store, "acme/x")
    await put(store, "acme2/x")
    assert [r.key for r in store.range("acme/")] == ["acme/x"]


async def test_a_deleted_key_is_gone_and_its_deletion_is_an_event(store):
    await put(store, "t/a")
    revision = await store.commit([Write("t/a", None)], {})
    assert store.range("") == [] and store.newest("t/a") is None
    told = []
    store.watch("", revision - 1, told.extend)
    assert [(e.value, e.previous.value) for e in told] == [(None, b"v")]


async def test_a_watch_from_a_revision_gets_what_came_after_it_once(store):
    first = await put(store, "t/a")
    await put(store, "t/b")
    told = []
    end = store.watch("t/", first, told.extend)
    await put(store, "t/c")
    await put(store, "u/d")
    end()
    await put(store, "t/e")
    assert [e.key for e in told] == ["t/b", "t/c"]


async def test_compacted_revisions_are_refused_and_the_present_stays(store):
    for _ in range(5):
        newest = await put(store, "t/a")
    await store.compact(newest - 1)
    with pytest.raises(Compacted):
        store.watch("", newest - 2, lambda events: None)
    with pytest.raises(Compacted):
        store.range("", newest - 2)
    assert store.compacted == newest - 1
    assert [r.revision for r in store.range("", newest - 1)] == [newest - 1]
    assert [r.revision for r in store.range("")] == [newest]


async def test_watches_see_every_acknowledged_write_once_in_order_under_load(store):
    """Invariant 2: writers race; watches come, go, and resume at the last revision they saw."""
    rng = random.Random(2)
    seen: list[list[int]] = [[] for _ in range(4)]

    async def watcher(mine: list[int]) -> None:
        while len(mine) < 600:
            last = mine[-1] if mine else 0
            end = store.watch("", last, lambda events: mine.extend(e.revision for e in events))
            await asyncio.sleep(rng.uniform(0, 0.003))
            end()

    async def writer(number: int) -> list[int]:
        return [await put(store, f"t/{number}/{i % 5}", b"%d" % i) for i in range(60)]

    watchers = [asyncio.ensure_future(watcher(mine)) for mine in seen]
    acknowledged = await asyncio.gather(*(writer(number) for number in range(10)))
    await asyncio.wait_for(asyncio.gather(*watchers), 10)
    assert sorted(r for mine in acknowledged for r in mine) == list(range(1, 601))
    assert all(mine == list(range(1, 601)) for mine in seen)
