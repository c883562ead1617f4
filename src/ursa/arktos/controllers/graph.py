"""Who owns whom, over every kind: objects by uid, and the edges from owner to dependent.

An edge is kept whether or not its owner is known: the dependents of what was never seen are
found all the same. Objects are the listers' own, so a vertex costs two entries in dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ursa.client import Key, key_of
from ursa.client.key import meta_of
from ursa.kinds.part import OwnerReference, Part, Scope, View, view_of


class Graph:
    def __init__(self) -> None:
        self._objects: dict[str, Part] = {}
        self._dependents: dict[str, dict[str, None]] = {}

    def get(self, uid: str) -> Part | None:
        return self._objects.get(uid)

    def dependents(self, uid: str) -> list[Part]:
        """Return the objects that name `uid` among their owners."""
        return [self._objects[dependent] for dependent in self._dependents.get(uid, {})]

    def put(self, obj: Part) -> None:
        uid = meta_of(obj).uid
        self.remove(uid)
        self._objects[uid] = obj
        for owner in meta_of(obj).owner_references:
            self._dependents.setdefault(owner.uid, {})[uid] = None

    def remove(self, uid: str) -> None:
        obj = self._objects.pop(uid, None)
        if obj is None:
            return
        for owner in meta_of(obj).owner_references:
            edges = self._dependents.get(owner.uid, {})
            edges.pop(uid, None)
            if not edges:
                self._dependents.pop(owner.uid, None)


class Kinds:
    """The kinds that an owner reference may name."""

    def __init__(self, views: Iterable[View]) -> None:
        self._views: Mapping[tuple[str, str], View] = {(v.group, v.kind): v for v in views}

    def view_of_owner(self, owner: OwnerReference) -> View | None:
        """Return the owner's kind, in the version that is watched; None if it is not served."""
        group = owner.api_version.rpartition("/")[0]
        return self._views.get((group, owner.kind))


def owner_key(view: View, name: str, dependent: Part) -> Key | None:
    """Return where an owner of this kind must be: in the dependent's own namespace or tenant.

    None if there is no such place: what has no namespace cannot have an owner in one.
    """
    own = key_of(dependent)
    match view.scope:
        case Scope.CLUSTER:
            return Key("", "", name)
        case Scope.TENANT:
            return Key(own.tenant, "", name) if own.tenant else None
        case Scope.NAMESPACE:
            return Key(own.tenant, own.namespace, name) if own.namespace else None


def is_at(obj: Part, view: View, key: Key) -> bool:
    """Return whether `obj` is of this kind and at this place."""
    own = view_of(type(obj))
    return (own.group, own.kind) == (view.group, view.kind) and key_of(obj) == key
