"""The verbs that write an object: create, update, patch.

A function reads top to bottom as the path of one request. A document is decoded once, changed
as a document and encoded once: those bytes are what the store holds and every reader gets.
Source: Kubernetes API conventions, "Verbs on Resources"; apiserver/pkg/registry/generic.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

from ursa.api import patch as patches
from ursa.api.app import App
from ursa.api.cache import store_key
from ursa.api.call import Call, warning_headers
from ursa.api.documents import Document, encode, parse
from ursa.api.incoming import check_name, check_place, checked, received, stamp_new
from ursa.api.message import Response
from ursa.base.errors import AlreadyExists, Conflict, Invalid, MethodNotAllowed
from ursa.kinds import strategy, validation
from ursa.kinds.defaults import default
from ursa.kinds.part import Scope
from ursa.kinds.registry import Resource
from ursa.store.log import ABSENT, Record, Stale, Write

ATTEMPTS_MAX = 8  # of a change that does not say which revision it is of

Change = Callable[[Document], Document]  # the current document, which it may change → the wanted
Prepare = Callable[[Resource, Document, Document], None]


class Stored(NamedTuple):
    value: bytes
    revision: int


async def create(app: App, call: Call) -> Response:
    """POST …/{plural} → 201 and the object as stored.

    Raises Forbidden 403 (admission), AlreadyExists 409, Invalid 422 with every fault.
    """
    if call.resource.scope is Scope.NAMESPACE and not call.namespace:
        raise MethodNotAllowed("create needs a namespace in the URL")
    doc, warnings = received(call)
    stored = await create_document(app, call, doc)
    response = app.rendered(call, 201, stored.value, stored.revision)
    response.headers = warning_headers(warnings)
    return response


async def create_document(app: App, call: Call, doc: Document) -> Stored:
    """Store a new document; it has been held against its schema."""
    resource = call.resource
    stamp_new(call, doc, app.ids, app.clock.now_s())
    default(resource, doc)
    name = doc["metadata"]["name"]
    await app.admission.mutate("create", resource, doc, None, call.attributes)
    strategy.prepare_create(resource, doc)
    if faults := list(validation.validate(resource, doc, None)):
        raise Invalid(resource.group_kind, name, faults)
    await app.admission.validate("create", resource, doc, None, call.attributes)
    value = encode(resource, doc)
    key = store_key(resource, call.tenant, call.namespace, name)
    if call.is_dry_run:
        if app.store.newest(key) is not None:
            raise _exists(call, name)
        return Stored(value, 0)
    try:
        return Stored(value, await app.store.commit([Write(key, value)], {key: ABSENT}))
    except Stale as fault:
        raise _exists(call, name) from fault


async def update(app: App, call: Call) -> Response:
    """PUT …/{name}[/status|/finalize] → 200 and the object as stored."""
    doc, warnings = received(call)
    check_name(call, doc)
    check_place(call, doc)
    stored = await change(app, call, lambda _: doc)
    response = app.rendered(call, 200, stored.value, stored.revision)
    response.headers = warning_headers(warnings)
    return response


async def patch(app: App, call: Call) -> Response:
    """PATCH …/{name}[/status] → 200 and the object as stored."""
    content_type = call.request.headers.get("content-type", "")
    apply = patches.parse(call.request.body, content_type, call.resource.schema)
    warnings: list[str] = []

    def wanted(current: Document) -> Document:
        doc = apply(current)
        warnings[:] = checked(call, doc)
        check_name(call, doc)
        check_place(call, doc)
        return doc

    stored = await change(app, call, wanted)
    response = app.rendered(call, 200, stored.value, stored.revision)
    response.headers = warning_headers(warnings)
    return response


async def change(app: App, call: Call, wanted: Change) -> Stored:
    """Bring an object to what `wanted` makes of it; made again if another write comes first.

    Raises Conflict when the wanted document names a revision, or a uid, that is not current.
    """
    for _ in range(ATTEMPTS_MAX):
        newest = app.store.newest(call.key)
        if newest is None:
            raise call.missing()
        old = parse(newest.value, newest.revision)
        new = wanted(deepcopy(old))
        _check_identity(call, new, old)
        value = await _admitted(app, call, new, old)
        try:
            return await _store(app, call, value, newest, new)
        except Stale as fault:
            stale = fault
    raise conflict(call) from stale


async def _admitted(app: App, call: Call, new: Document, old: Document) -> bytes:
    """Return the bytes of an update that may be made."""
    resource = call.resource
    default(resource, new)
    await app.admission.mutate("update", resource, new, old, call.attributes)
    prepare_of(call)(resource, new, old)
    is_binding = call.target.subresource == "binding"  # which alone may set spec.nodeName
    if not is_binding and (faults := list(validation.validate(resource, new, old))):
        raise Invalid(resource.group_kind, call.name, faults)
    await app.admission.validate("update", resource, new, old, call.attributes)
    return encode(resource, new)


async def _store(app: App, call: Call, value: bytes, newest: Record, new: Document) -> Stored:
    unchanged = value == newest.value and newest.revision <= app.store.revision
    if unchanged or call.is_dry_run:
        return Stored(value, newest.revision)
    compare = {call.key: newest.revision}
    if is_finished(new):
        revision = await app.store.commit([Write(call.key, None)], compare)
    else:
        revision = await app.store.commit([Write(call.key, value)], compare)
    return Stored(value, revision)


def prepare_of(call: Call) -> Prepare:
    """Return what takes from a wanted document what a write to this URL may change."""
    return _PREPARE.get(call.target.subresource, strategy.prepare_update)


def _finalize(_: Resource, doc: Document, old: Document) -> None:
    strategy.prepare_finalize(doc, old)


def _bind(_: Resource, doc: Document, old: Document) -> None:
    """A binding's change is the server's own: it stands as it is."""


_PREPARE: dict[str, Prepare] = {
    "status": strategy.prepare_status,
    "finalize": _finalize,
    "binding": _bind,
}


def is_finished(doc: Document) -> bool:
    """Return whether a deleted object waits for nothing more."""
    metadata = doc["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False
    return not (doc["kind"] in ("Namespace", "Tenant") and doc["spec"].get("finalizers"))


def conflict(call: Call) -> Conflict:
    resource = call.resource
    return Conflict(
        f'Operation cannot be fulfilled on {resource.group_resource} "{call.name}": the object '
        "has been modified; please apply your changes to the latest version and try again",
        details={"name": call.name, "group": resource.group, "kind": resource.plural},
    )


def _check_identity(call: Call, new: Document, old: Document) -> None:
    """Raise Conflict if the wanted document is of another revision or another object."""
    wanted, current = new["metadata"], old["metadata"]
    if wanted.get("resourceVersion") not in (None, "", current["resourceVersion"]):
        raise conflict(call)
    if wanted.get("uid") not in (None, "", current["uid"]):
        raise Conflict(
            f'Operation cannot be fulfilled on {call.resource.group_resource} "{call.name}": '
            f"Precondition failed: UID in precondition: {wanted['uid']}, "
            f"UID in object meta: {current['uid']}"
        )


def _exists(call: Call, name: str) -> AlreadyExists:
    resource = call.resource
    return AlreadyExists(
        f'{resource.group_resource} "{name}" already exists',
        details={"name": name, "group": resource.group, "kind": resource.plural},
    )
