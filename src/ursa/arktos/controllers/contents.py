"""Empty a place: delete every object of a tenant or of a namespace, and see what remains.

Deletion is asked for kind by kind, by discovery, so a kind that this code has never heard
of goes too. What remains is what is on its way out (pods in their grace period) or held by
a finalizer; the caller tells it in a status and looks again.
Source: Kubernetes, pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from ursa.arktos.controllers.conditions import Conditions, with_condition
from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.runtime import each, refusal
from ursa.base.errors import NotFound
from ursa.client import Client, Key, key_of
from ursa.client.key import meta_of
from ursa.client.paths import collection_path, object_path
from ursa.kinds.part import ObjectMeta, Part, Scope, View, view_of

BACKGROUND = msgspec.json.encode(
    {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
)


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a place after everything in it was told to go."""

    objects: Counter[str] = field(default_factory=Counter)  # by qualified plural
    finalizers: Counter[str] = field(default_factory=Counter)
    faults: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.objects and not self.faults


class _Item(msgspec.Struct):
    metadata: ObjectMeta


class _List(msgspec.Struct):
    items: list[_Item] | None = None


async def is_going(client: Client, place: Part) -> bool:
    """Ask the server, not a cache, whether this very place is being deleted.

    A cache may lag behind a successor of the same name, which must not be emptied.
    """
    try:
        live = meta_of(await client.get(type(place), key_of(place)))
    except NotFound:
        return False
    return live.uid == meta_of(place).uid and live.deletion_timestamp is not None


async def empty(
    client: Client, kinds: Iterable[Served], tenant: str, namespace: str = ""
) -> Remains:
    """Delete the objects of `kinds` in a tenant, or in its namespace. Return what remains."""
    remains = Remains()
    faults = []
    for served in kinds:
        left, fault = await _empty_of(client, served, tenant, namespace)
        if fault:
            faults.append(f"{served.qualified}: {fault}")
        if left:
            remains.objects[served.qualified] = len(left)
            remains.finalizers.update(name for metadata in left for name in metadata.finalizers)
    return Remains(remains.objects, remains.finalizers, tuple(faults))


async def _empty_of(
    client: Client, served: Served, tenant: str, namespace: str
) -> tuple[Sequence[ObjectMeta], str]:
    """Delete one kind's objects. Return those that remain and why they were not deleted."""
    there = await _listed(client, served.view, tenant, namespace)
    staying = [metadata for metadata in there if metadata.deletion_timestamp is None]
    if not staying:
        return there, ""
    fault = await refusal(_delete(client, served, staying, tenant, namespace))
    left = await _listed(client, served.view, tenant, namespace)
    return left, fault.message if fault else ""


async def _listed(client: Client, view: View, tenant: str, namespace: str) -> Sequence[ObjectMeta]:
    answer = await client.request("GET", collection_path(view, tenant, namespace))
    return [item.metadata for item in msgspec.json.decode(answer, type=_List).items or ()]


async def _delete(
    client: Client, served: Served, staying: Iterable[ObjectMeta], tenant: str, namespace: str
) -> None:
    if "deletecollection" in served.verbs and (namespace or served.view.scope is Scope.TENANT):
        path = collection_path(served.view, tenant, namespace)
        await client.request("DELETE", path, BACKGROUND)
        return
    await each(_delete_one(client, served.view, metadata) for metadata in staying)


async def _delete_one(client: Client, view: View, metadata: ObjectMeta) -> None:
    key = Key(metadata.tenant, metadata.namespace, metadata.name)
    try:
        await client.request("DELETE", object_path(view, key), BACKGROUND)
    except NotFound:
        return


def told(conditions: Conditions, remains: Remains, prefix: str, now_s: float) -> Conditions:
    """Return `conditions` with those that say what remains, in Kubernetes' words.

    `prefix` is the kind of the place: Namespace or Tenant.
    """
    objects = ", ".join(
        f"{name} has {number} resource instances" for name, number in remains.objects.items()
    )
    finalizers = ", ".join(
        f"{name} in {number} resource instances" for name, number in remains.finalizers.items()
    )
    table = (
        (
            f"{prefix}DeletionContentFailure",
            "; ".join(remains.faults),
            ("ContentDeletionFailed", "Failed to delete all resource types, {} remaining: {}"),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        (
            f"{prefix}ContentRemaining",
            objects,
            ("SomeResourcesRemain", "Some resources are remaining: {1}"),
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            f"{prefix}FinalizersRemaining",
            finalizers,
            ("SomeFinalizersRemain", "Some content has finalizers remaining: {1}"),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    )
    for type_, what, (bad, text), (good, reassurance) in table:
        message = text.format(len(remains.faults), what) if what else reassurance
        said = ("True", bad, message) if what else ("False", good, message)
        conditions = with_condition(conditions, type_, *said, now_s=now_s)
    return conditions


async def finalize(client: Client, place: Part, finalizer: str) -> None:
    """Take `finalizer` off a Namespace's or Tenant's spec, and with the last one the object."""
    view, key = view_of(type(place)), key_of(place)
    try:
        document = msgspec.json.decode(await client.request("GET", object_path(view, key)))
        if document["metadata"]["uid"] != meta_of(place).uid:
            return
        left = [name for name in document["spec"].get("finalizers", ()) if name != finalizer]
        document["spec"]["finalizers"] = left
        body = msgspec.json.encode(document)
        await client.request("PUT", object_path(view, key, "finalize"), body)
    except NotFound:
        return
