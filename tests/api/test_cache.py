"""The cache against a model: whatever is written, selecting is filtering what is there."""

from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa.api.cache import Cache, store_key
from ursa.api.items import Selection
from ursa.api.request import ALL_TENANTS
from ursa.api.selectors import FieldRequirement, LabelRequirement
from ursa.kinds.registry import find
from ursa.store.log import Write
from ursa.store.memory import MemoryStore

PODS = find("", "v1", "pods")


class Step(NamedTuple):
    tenant: str
    namespace: str
    name: str
    labels: dict[str, str] | None  # None deletes
    node: str = ""


steps = st.builds(
    Step,
    tenant=st.sampled_from(["acme", "beta"]),
    namespace=st.sampled_from(["d", "e"]),
    name=st.sampled_from(["a", "b", "c"]),
    labels=st.none() | st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
    node=st.sampled_from(["", "n1", "n2"]),
)
selections = st.builds(
    Selection,
    tenant=st.sampled_from(["acme", "beta", "none", ALL_TENANTS]),
    namespace=st.sampled_from(["", "d", "e"]),
    labels=st.lists(
        st.builds(
            LabelRequirement,
            st.sampled_from("xy"),
            st.sampled_from(["in", "notin", "exists", "absent"]),
            st.sampled_from([("1",), ("1", "2")]),
        ),
        max_size=2,
    ).map(tuple),
    fields=st.lists(
        st.builds(
            FieldRequirement,
            st.sampled_from(["spec.nodeName", "metadata.name", "metadata.tenant"]),
            st.sampled_from(["", "n1", "a", "acme"]),
            st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
)


def pod(step: Step) -> bytes | None:
    if step.labels is None:
        return None
    metadata = {"name": step.name, "labels": step.labels}
    doc = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": step.node}}
    return msgspec.json.encode(doc)


def holds(step: Step, selection: Selection) -> bool:
    values = {
        "spec.nodeName": step.node,
        "metadata.name": step.name,
        "metadata.tenant": step.tenant,
    }
    return (
        selection.tenant in (ALL_TENANTS, step.tenant)
        and selection.namespace in ("", step.namespace)
        and all(r.holds(step.labels or {}) for r in selection.labels)
        and all((values[r.field] == r.value) is r.is_equal for r in selection.fields)
    )


def expected(state: dict[tuple[str, str, str], Step], selection: Selection):
    return sorted(key for key, step in state.items() if holds(step, selection))


async def written(history: list[Step]):
    """Return a cache that has seen the history, and the state after each revision."""
    store = MemoryStore()
    cache = Cache(store, [PODS])
    states: list[dict[tuple[str, str, str], Step]] = [{}]
    for step in history:
        key = step.tenant, step.namespace, step.name
        if step.labels is None and key not in states[-1]:
            continue
        await store.commit([Write(store_key(PODS, *key), pod(step))], {})
        state = dict(states[-1])
        state.pop(key, None)
        if step.labels is not None:
            state[key] = step
        states.append(state)
    return store, cache, states


@settings(deadline=None)
@given(st.lists(steps, max_size=20), selections, st.integers(0, 20))
async def test_a_selection_is_a_filter_at_every_revision(history, selection, revision):
    _, cache, states = await written(history)
    collection = cache.collection(PODS)
    assert [i.key for i in collection.select(selection)] == expected(states[-1], selection)
    assert collection.size == len(states[-1])
    then = min(revision, len(states) - 1)
    assert [i.key for i in collection.at(then, selection)] == expected(states[then], selection)


@settings(deadline=None)
@given(st.lists(steps, max_size=20), st.integers(0, 20))
async def test_a_cache_that_opens_later_holds_the_same(history, compacted):
    store, cache, states = await written(history)
    await store.compact(min(compacted, store.revision))
    cache.forget(store.compacted)
    again = Cache(store, [PODS])
    everything = Selection(ALL_TENANTS)
    for one in (cache, again):
        collection = one.collection(PODS)
        assert [i.key for i in collection.select(everything)] == sorted(states[-1])
        revisions = [change.revision for change in collection.since(store.compacted)]
        assert revisions == list(range(store.compacted + 1, store.revision + 1))


async def test_watchers_are_told_of_their_tenant_alone():
    store = MemoryStore()
    cache = Cache(store, [PODS])
    told: dict[str, list[str]] = {"acme": [], ALL_TENANTS: []}
    ends = [
        cache.collection(PODS).watch(
            tenant, lambda changes, mine=mine: mine.extend(c.item.tenant for c in changes)
        )
        for tenant, mine in told.items()
    ]
    for tenant in ("acme", "beta"):
        step = Step(tenant, "d", "a", {})
        await store.commit([Write(store_key(PODS, tenant, "d", "a"), pod(step))], {})
    assert told == {"acme": ["acme"], ALL_TENANTS: ["acme", "beta"]}
    assert cache.collection(PODS).watchers == 2
    for end in ends:
        end()
    assert cache.collection(PODS).watchers == 0
