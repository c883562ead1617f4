"""What becomes of objects whose owners go, by table and on generated graphs."""

import random

import pytest
from msgspec.structs import replace

from controllers_objects import meta
from ursa.arktos.controllers.garbage import (
    FOREGROUND,
    ORPHAN,
    Delete,
    DropFinalizer,
    DropOwners,
    Keep,
    Owner,
    plan,
)
from ursa.arktos.controllers.graph import Graph, Kinds, owner_key
from ursa.client import Key
from ursa.kinds.configmap import ConfigMap
from ursa.kinds.part import ObjectMeta, OwnerReference, view_of
from ursa.kinds.tenant import Tenant
from ursa.kinds.vpc import Vpc

SOLID, WAITING, ABSENT = Owner.SOLID, Owner.WAITING, Owner.ABSENT
GOING = "2026-01-01T00:00:00Z"


def thing(name="it", *, owners=(), finalizers=(), going=False, blocking=True):
    references = tuple(
        OwnerReference(
            api_version="v1",
            kind="ConfigMap",
            name=owner,
            uid=f"uid-{owner}",
            block_owner_deletion=blocking,
        )
        for owner in owners
    )
    return ConfigMap(
        metadata=meta(
            name,
            owner_references=references,
            finalizers=tuple(finalizers),
            deletion_timestamp=GOING if going else None,
        )
    )


CHILD = thing("child", owners=["it"])
LOOSE_CHILD = thing("child", owners=["it"], blocking=False)


@pytest.mark.parametrize(
    ("owners", "dependents", "action"),
    [
        ({}, [CHILD], Keep()),
        ({"a": SOLID}, [], Keep()),
        ({"a": SOLID, "b": ABSENT}, [], DropOwners(frozenset({"b"}))),
        ({"a": SOLID, "b": WAITING}, [], DropOwners(frozenset({"b"}))),
        ({"a": ABSENT}, [], Delete("Background")),
        ({"a": ABSENT, "b": ABSENT}, [CHILD], Delete("Background")),
        ({"a": WAITING}, [], Delete("Background")),
        ({"a": WAITING}, [CHILD], Delete("Foreground")),
    ],
)
def test_an_object_goes_only_when_no_owner_stays(owners, dependents, action):
    assert plan(thing(owners=owners), owners, dependents) == action


@pytest.mark.parametrize(
    ("finalizer", "propagation"), [(ORPHAN, "Orphan"), (FOREGROUND, "Foreground")]
)
def test_a_deletion_keeps_the_policy_that_the_object_has(finalizer, propagation):
    obj = thing(owners=["a"], finalizers=[finalizer])
    assert plan(obj, {"a": ABSENT}, []) == Delete(propagation)


@pytest.mark.parametrize(
    ("finalizers", "dependents", "action"),
    [
        ([], [CHILD], Keep()),
        (["mine"], [CHILD], Keep()),
        ([FOREGROUND], [CHILD], Keep()),
        ([FOREGROUND], [LOOSE_CHILD], DropFinalizer(FOREGROUND)),
        ([FOREGROUND], [], DropFinalizer(FOREGROUND)),
        ([ORPHAN], [CHILD, LOOSE_CHILD], DropFinalizer(ORPHAN, (CHILD, LOOSE_CHILD))),
    ],
)
def test_a_deleted_object_waits_for_what_its_finalizer_says(finalizers, dependents, action):
    assert plan(thing(finalizers=finalizers, going=True), {}, dependents) == action


def test_an_owner_is_looked_for_only_in_the_dependents_own_place():
    namespaced = thing()
    tenants_own = Vpc(metadata=ObjectMeta(name="v", tenant="acme"))
    assert owner_key(view_of(ConfigMap), "o", namespaced) == Key("acme", "default", "o")
    assert owner_key(view_of(Vpc), "o", namespaced) == Key("acme", "", "o")
    assert owner_key(view_of(Tenant), "o", namespaced) == Key("", "", "o")
    assert owner_key(view_of(ConfigMap), "o", tenants_own) is None


def test_an_owners_version_does_not_matter_but_its_group_does():
    kinds = Kinds([view_of(Vpc)])
    newer = OwnerReference(api_version="network.ursa.dev/v9", kind="Vpc")
    assert kinds.view_of_owner(newer) == view_of(Vpc)
    assert kinds.view_of_owner(replace(newer, api_version="v1")) is None


def test_edges_are_kept_also_for_an_owner_that_was_never_seen():
    graph = Graph()
    graph.put(CHILD)
    assert graph.dependents("uid-it") == [CHILD]
    graph.remove("uid-child")
    assert graph.dependents("uid-it") == []


def test_a_graph_forgets_the_edges_that_an_object_no_longer_has():
    graph = Graph()
    graph.put(CHILD)
    graph.put(thing("child"))
    assert graph.dependents("uid-it") == []


@pytest.mark.parametrize("seed", range(30))
def test_after_collection_only_what_a_root_still_holds_is_left(seed):
    """A generated forest loses some roots; what remains is what has an owner that remains."""
    rng = random.Random(seed)
    objects = {}
    for number in range(40):
        owners = rng.sample(sorted(objects), min(len(objects), rng.choice([0, 0, 1, 1, 2])))
        objects[f"o{number}"] = thing(f"o{number}", owners=owners)
    lost = {name for name, o in objects.items() if not o.metadata.owner_references}
    lost = set(rng.sample(sorted(lost), len(lost) // 2))
    expected = held(objects, lost)

    graph = Graph()
    for name in sorted(objects, key=lambda _: rng.random()):
        if name not in lost:
            graph.put(objects[name])
    collect(graph, objects)
    assert {name for name in objects if graph.get(f"uid-{name}")} == expected


def held(objects, lost):
    left = set()
    for name, obj in objects.items():
        owners = {o.name for o in obj.metadata.owner_references}
        if name not in lost and (not owners or owners & left):
            left.add(name)
    return left


def collect(graph, objects):
    """Carry plans out until none asks for anything."""
    changed = True
    while changed:
        changed = False
        for name in objects:
            obj = graph.get(f"uid-{name}")
            if obj is None:
                continue
            owners = {
                o.uid: SOLID if graph.get(o.uid) else ABSENT for o in obj.metadata.owner_references
            }
            match plan(obj, owners, graph.dependents(obj.metadata.uid)):
                case Delete():
                    graph.remove(obj.metadata.uid)
                    changed = True
                case DropOwners(uids):
                    left = tuple(o for o in obj.metadata.owner_references if o.uid not in uids)
                    graph.put(replace(obj, metadata=replace(obj.metadata, owner_references=left)))
                    changed = True
