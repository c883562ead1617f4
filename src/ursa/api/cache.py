"""Every object in memory, as stored bytes with what it is selected by; fed by the store alone.

    store ─events─▶ Cache.deliver ─▶ Collection.apply ─▶ indexes, history ─▶ watchers

The store delivers before a commit returns, so who has been answered finds its write here. One
Collection a resource; inside it tenant, then namespace, then name: there is no way to ask
without a tenant, but ALL_TENANTS. What a collection hands out is shared: never change it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from ursa.api.documents import Document
from ursa.api.items import (
    Change,
    Item,
    Name,
    Selection,
    Tell,
    envelope_type,
    text_of,
    value_at,
)
from ursa.api.request import ALL_TENANTS
from ursa.api.selectors import INDEXED_FIELDS, selectable
from ursa.kinds.registry import Resource
from ursa.store.engine import Store
from ursa.store.log import Compacted, Event


class Space:
    """The objects of one namespace of one tenant."""

    __slots__ = ("_order", "items")

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self._order: list[str] | None = None  # names in order; None after a name came or went

    def put(self, item: Item) -> None:
        if item.name not in self.items:
            self._order = None
        self.items[item.name] = item

    def drop(self, name: str) -> None:
        del self.items[name]
        self._order = None

    def in_order(self) -> Iterator[Item]:
        if self._order is None:
            self._order = sorted(self.items)
        return map(self.items.__getitem__, self._order)


class Collection:
    """All objects of one resource, with its indexes, its history and its watchers."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._watchers: dict[str, set[Tell]] = {}
        self.history: deque[Change] = deque()
        self.size = 0
        self.changes = 0  # applied since the start: moves whenever an object does
        self._fields = selectable(resource)
        self._indexed = [(i, f) for i, f in enumerate(self._fields) if f in INDEXED_FIELDS]
        self._envelope = msgspec.json.Decoder(envelope_type(self._fields))
        self._tenants: dict[str, dict[str, Space]] = {}
        # (label or field, value) → tenant → objects
        self._index: dict[tuple[str, str], dict[str, dict[Name, Item]]] = {}

    # Writing

    def apply(self, event: Event, name: Name) -> Change:
        old = self.get(*name)
        new = None
        if event.value is not None:
            labels, fields = self._selected_by(event.value)
            new = Item(*name, event.revision, event.value, labels, fields)
        if old is not None:
            self._unindex(old, new)
        if new is not None:
            self._put(new, old)
        elif old is not None:
            self._drop(old)
        change = Change(event.revision, old, new)
        self.history.append(change)
        self.changes += 1
        return change

    def watch(self, tenant: str, tell: Tell) -> Callable[[], None]:
        """Call `tell` with the changes of a tenant, or of ALL_TENANTS; returns what ends it."""
        watchers = self._watchers.setdefault(tenant, set())
        watchers.add(tell)

        def end() -> None:
            watchers.discard(tell)
            if not watchers and self._watchers.get(tenant) is watchers:
                del self._watchers[tenant]

        return end

    def publish(self, changes: Sequence[Change]) -> None:
        for tell in list(self._watchers.get(ALL_TENANTS, ())):
            tell(changes)
        for tenant in {change.item.tenant for change in changes} & self._watchers.keys():
            mine = [change for change in changes if change.item.tenant == tenant]
            for tell in list(self._watchers.get(tenant, ())):
                tell(mine)

    @property
    def watchers(self) -> int:
        return sum(map(len, self._watchers.values()))

    def forget(self, revision: int) -> None:
        while self.history and self.history[0].revision <= revision:
            self.history.popleft()

    def _selected_by(self, value: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
        envelope: Any = self._envelope.decode(value)
        fields = tuple(text_of(value_at(envelope, path)) for path in self._fields)
        return envelope.metadata.labels or {}, fields

    def _put(self, item: Item, old: Item | None) -> None:
        spaces = self._tenants.setdefault(item.tenant, {})
        space = spaces.get(item.namespace)
        if space is None:
            space = spaces[item.namespace] = Space()
        space.put(item)
        self.size += old is None
        for entry in self._entries(item):
            self._index.setdefault(entry, {}).setdefault(item.tenant, {})[item.key] = item

    def _drop(self, item: Item) -> None:
        spaces = self._tenants[item.tenant]
        spaces[item.namespace].drop(item.name)
        self.size -= 1
        if not spaces[item.namespace].items:
            del spaces[item.namespace]
            if not spaces:
                del self._tenants[item.tenant]

    def _unindex(self, old: Item, new: Item | None) -> None:
        kept = set(self._entries(new)) if new is not None else set()
        for entry in self._entries(old):
            if entry in kept:
                continue
            tenants = self._index[entry]
            del tenants[old.tenant][old.key]
            if not tenants[old.tenant]:
                del tenants[old.tenant]
                if not tenants:
                    del self._index[entry]

    def _entries(self, item: Item) -> Iterator[tuple[str, str]]:
        yield from item.labels.items()
        for position, field in self._indexed:
            if item.fields[position]:
                yield f"field:{field}", item.fields[position]

    # Reading

    def get(self, tenant: str, namespace: str, name: str) -> Item | None:
        spaces = self._tenants.get(tenant)
        space = spaces.get(namespace) if spaces is not None else None
        return space.items.get(name) if space is not None else None

    def select(self, selection: Selection) -> list[Item]:
        """Return what is selected, in order of tenant, namespace and name."""
        name = selection.value("metadata.name")
        if name is not None and selection.namespace and selection.tenant != ALL_TENANTS:
            found = self.get(selection.tenant, selection.namespace, name)
            return [found] if found is not None and self.matches(found, selection) else []
        candidates = self._candidates(selection)
        if candidates is not None:
            picked = [item for item in candidates if self.matches(item, selection)]
            return sorted(picked, key=_key)
        if selection.is_whole:
            return list(self._scope(selection))
        return [item for item in self._scope(selection) if self.matches(item, selection)]

    def at(self, revision: int, selection: Selection) -> list[Item]:
        """Return what was selected at a revision. Raises Compacted by way of `since`."""
        then: dict[Name, Item | None] = {}
        for change in self.since(revision):
            then.setdefault(change.item.key, change.old)
        if not then:
            return self.select(selection)
        found = [item for item in self.select(selection) if item.key not in then]
        found += [i for i in then.values() if i is not None and self.matches(i, selection)]
        return sorted(found, key=_key)

    def since(self, revision: int) -> Iterator[Change]:
        """Return the changes after a revision; the cache checks that they are all kept."""
        fresh = 0
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            fresh += 1
        return islice(self.history, len(self.history) - fresh, None)

    def matches(self, item: Item, selection: Selection) -> bool:
        if selection.tenant not in (ALL_TENANTS, item.tenant):
            return False
        if selection.namespace not in ("", item.namespace):
            return False
        if selection.labels and not all(r.holds(item.labels) for r in selection.labels):
            return False
        return all((self._field(item, r.field) == r.value) is r.is_equal for r in selection.fields)

    def _field(self, item: Item, field: str) -> str:
        match field:
            case "metadata.name":
                return item.name
            case "metadata.namespace":
                return item.namespace
            case "metadata.tenant":
                return item.tenant
        return item.fields[self._fields.index(field)]

    def _candidates(self, selection: Selection) -> Iterable[Item] | None:
        """Return the smallest index entry that holds all that is selected, if there is one."""
        entries: list[tuple[str, tuple[str, ...]]] = [
            (f"field:{r.field}", (r.value,))
            for r in selection.fields
            if r.is_equal and r.field in INDEXED_FIELDS and r.value
        ]
        entries += [(r.key, r.values) for r in selection.labels if r.operator == "in"]
        if not entries:
            return None
        options = [
            [bucket for value in values for bucket in self._buckets(key, value, selection.tenant)]
            for key, values in entries
        ]
        smallest = min(options, key=lambda buckets: sum(map(len, buckets)))
        return [item for bucket in smallest for item in bucket.values()]

    def _buckets(self, key: str, value: str, tenant: str) -> Iterable[dict[Name, Item]]:
        tenants = self._index.get((key, value), {})
        if tenant == ALL_TENANTS:
            return tenants.values()
        return [tenants[tenant]] if tenant in tenants else []

    def _scope(self, selection: Selection) -> Iterator[Item]:
        if selection.tenant == ALL_TENANTS:
            tenants = [self._tenants[tenant] for tenant in sorted(self._tenants)]
        else:
            tenants = [self._tenants.get(selection.tenant, {})]
        for spaces in tenants:
            for namespace in sorted(spaces):
                if selection.namespace in ("", namespace):
                    yield from spaces[namespace].in_order()


class Cache:
    def __init__(self, store: Store, resources: Iterable[Resource]) -> None:
        self._store = store
        self._collections = {(r.group, r.plural): Collection(r) for r in resources}
        then = store.compacted
        self.deliver([Event(r.revision, r.key, r.value, None) for r in store.range("", then)])
        for collection in self._collections.values():
            collection.forget(then)
        self._end = store.watch("", then, self.deliver)

    @property
    def revision(self) -> int:
        return self._store.revision

    def collection(self, resource: Resource) -> Collection:
        return self._collections[resource.group, resource.plural]

    @property
    def collections(self) -> Iterable[Collection]:
        return self._collections.values()

    def check_kept(self, revision: int) -> None:
        """Raise Compacted for a revision whose history is gone."""
        if revision < self._store.compacted:
            raise Compacted(revision, self._store.compacted)

    def forget(self, revision: int) -> None:
        for collection in self._collections.values():
            collection.forget(revision)

    def deliver(self, events: Sequence[Event]) -> None:
        changed: dict[tuple[str, str], list[Change]] = {}
        for event in events:
            tenant, group, plural, namespace, name = event.key.split("/", 4)
            collection = self._collections.get((group, plural))
            if collection is None:  # a kind that this release does not serve
                continue
            if event.value is None and event.previous is None:  # nothing was there
                continue
            change = collection.apply(event, (tenant, namespace, name))
            changed.setdefault((group, plural), []).append(change)
        for kind, changes in changed.items():
            self._collections[kind].publish(changes)

    # What authentication, authorization and admission read (api/objects.py)

    def get(self, resource: Resource, tenant: str, namespace: str, name: str) -> Document | None:
        item = self.collection(resource).get(tenant, namespace, name)
        return item.document() if item is not None else None

    def list(
        self, resource: Resource, tenant: str, namespace: str | None = None
    ) -> Iterable[Document]:
        selection = Selection(tenant, namespace or "")
        return (item.document() for item in self.collection(resource).select(selection))

    def changes(self, resource: Resource) -> int:
        return self.collection(resource).changes


def store_key(resource: Resource, tenant: str, namespace: str, name: str) -> str:
    """Return the key of an object: the tenant first, so that a tenant is a prefix."""
    return f"{tenant}/{resource.group}/{resource.plural}/{namespace}/{name}"


def _key(item: Item) -> Name:
    return item.key
