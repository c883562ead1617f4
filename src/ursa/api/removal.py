"""Deletion: at once, or marked and finished by whoever holds a finalizer or runs the pod.

    delete ─▶ preconditions ─▶ admission ─▶ plan ─▶ Remove | Mark
    a later write that leaves a marked object with nothing to wait for removes it (verbs.change)

Source: Kubernetes, apiserver/pkg/registry/rest/delete.go and pod/strategy.go (grace);
"Garbage Collection" (propagation policies).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace as replaced

from ursa.api.app import App
from ursa.api.call import Call
from ursa.api.documents import Document, decode_object, encode, parse
from ursa.api.forms import Renderer
from ursa.api.message import JSON, Response, json_response
from ursa.api.paths import Target
from ursa.api.reads import selection_of
from ursa.api.verbs import ATTEMPTS_MAX, conflict, is_finished
from ursa.base.clock import parse_rfc3339, rfc3339
from ursa.base.errors import BadRequest, Conflict, NotFound
from ursa.kinds.registry import Resource
from ursa.kinds.schema import conform_as
from ursa.store.log import Stale, Write

DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
GRACE_DEFAULT_S = 30  # of a pod that does not say
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"  # the collector's finalizers
_POLICIES = {"": (), "Background": (), "Orphan": (ORPHAN,), "Foreground": (FOREGROUND,)}


@dataclass(frozen=True, slots=True)
class Options:
    """metav1.DeleteOptions."""

    grace_s: int | None = None
    policy: str = ""
    uid: str = ""
    revision: str = ""


async def delete(app: App, call: Call) -> Response:
    """DELETE …/{name} → 200 and what was removed or marked, or a Status."""
    options = options_of(call)
    removed, value, revision = await delete_object(app, call, options)
    if removed and not call.resource.returns_deleted:
        return json_response(200, _success(call.resource, parse(value, revision)))
    return app.rendered(call, 200, value, revision)


async def deletecollection(app: App, call: Call) -> Response:
    """DELETE …/{plural} → 200 and a list of what was removed or marked."""
    options = options_of(call)
    items = app.cache.collection(call.resource).select(selection_of(call))
    for item in items:
        target = Target(call.resource, item.tenant, item.namespace, item.name)
        attributes = replaced(call.attributes, namespace=item.namespace, name=item.name)
        try:
            await delete_object(app, Call(call.request, target, attributes), options)
        except NotFound:  # gone meanwhile: what was asked for
            continue
    metadata: dict[str, object] = {"resourceVersion": str(app.cache.revision)}
    body = Renderer(call.resource, app.renderer(call).form, app.clock.now_s)
    return Response(200, b"".join(body.listed(items, metadata)), JSON)


async def delete_object(app: App, call: Call, options: Options) -> tuple[bool, bytes, int]:
    """Remove or mark one object; return whether it is gone, its last bytes and revision."""
    for _ in range(ATTEMPTS_MAX):
        newest = app.store.newest(call.key)
        if newest is None:
            raise call.missing()
        old = parse(newest.value, newest.revision)
        _check_preconditions(call, options, old)
        await app.admission.validate("delete", call.resource, None, old, call.attributes)
        new = marked(call.resource, old, options, app.clock.now_s())
        value = encode(call.resource, new)
        gone = is_finished(new)
        if not gone and _is_container(call.resource) and old["metadata"].get("deletionTimestamp"):
            raise _still_ending(call)
        if (value == newest.value and not gone) or call.is_dry_run:
            return gone, value, newest.revision
        write = Write(call.key, None if gone else value)
        try:
            return gone, value, await app.store.commit([write], {call.key: newest.revision})
        except Stale as fault:
            stale = fault
    raise conflict(call) from stale


def marked(resource: Resource, old: Document, options: Options, now_s: float) -> Document:
    """Return the object as its deletion leaves it; `is_finished` says whether it may go."""
    new = deepcopy(old)
    metadata = new["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if options.policy:
        finalizers = [f for f in finalizers if f not in (ORPHAN, FOREGROUND)]
        finalizers += _POLICIES[options.policy]
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    _mark(metadata, _grace_s(resource, old, options), now_s)
    if _is_container(resource):
        new.setdefault("status", {})["phase"] = "Terminating"
    return new


def _mark(metadata: Document, grace_s: int, now_s: float) -> None:
    """Set the deletion's time and grace; a later deletion may shorten them, never lengthen."""
    marked_s = metadata.get("deletionGracePeriodSeconds")
    if metadata.get("deletionTimestamp"):
        if marked_s is None or grace_s >= marked_s:
            return
        now_s = parse_rfc3339(metadata["deletionTimestamp"]) - marked_s
    elif "generation" in metadata:
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = rfc3339(now_s + grace_s)
    metadata["deletionGracePeriodSeconds"] = grace_s


def _grace_s(resource: Resource, doc: Document, options: Options) -> int:
    """Return how long a pod may take to end: 0 for what runs nowhere, and for all other kinds."""
    if (resource.group, resource.plural) != ("", "pods"):
        return 0
    spec, phase = doc.get("spec") or {}, (doc.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if options.grace_s is not None:
        return options.grace_s
    own = spec.get("terminationGracePeriodSeconds")
    return GRACE_DEFAULT_S if own is None else int(own)


def options_of(call: Call) -> Options:
    """Return the DeleteOptions of body and query. Raises BadRequest."""
    body: Document = {}
    if call.request.body:
        body = decode_object(call.request.body, call.request.headers.get("content-type", ""))
        if body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise BadRequest(f"the body of a delete is DeleteOptions, not {body['kind']}")
    return options_from(body, call.request.query)


def options_from(body: Document, query: dict[str, str]) -> Options:
    conform_as(DELETE_OPTIONS, body, kind="DeleteOptions", version="v1")
    policy = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    orphan = body.get("orphanDependents")
    if not policy and orphan is not None:
        policy = "Orphan" if orphan else "Background"
    if policy not in _POLICIES:
        raise BadRequest(f'propagationPolicy "{policy}" is none of {", ".join(_POLICIES)[2:]}')
    preconditions = body.get("preconditions") or {}
    return Options(
        grace_s=_grace(body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))),
        policy=policy,
        uid=preconditions.get("uid") or "",
        revision=preconditions.get("resourceVersion") or "",
    )


def _grace(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest("gracePeriodSeconds must be a number of at least 0")
    return value


def _check_preconditions(call: Call, options: Options, doc: Document) -> None:
    metadata = doc["metadata"]
    for what, wanted, current in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.revision, metadata["resourceVersion"]),
    ):
        if wanted not in ("", current):
            raise Conflict(
                f"Operation cannot be fulfilled on {call.resource.group_resource} "
                f'"{call.name}": Precondition failed: {what} in precondition: {wanted}, '
                f"{what} in object meta: {current}"
            )


def _is_container(resource: Resource) -> bool:
    return resource.group == "" and resource.plural in ("namespaces", "tenants")


def _still_ending(call: Call) -> Conflict:
    what = call.resource.singular
    return Conflict(
        f'Operation cannot be fulfilled on {call.resource.plural} "{call.name}": The system is '
        f"ensuring all content is removed from this {what}. Upon completion, this {what} will "
        "automatically be purged by the system."
    )


def _success(resource: Resource, doc: Document) -> Document:
    details = {
        "name": doc["metadata"]["name"],
        "group": resource.group,
        "kind": resource.plural,
        "uid": doc["metadata"]["uid"],
    }
    if not resource.group:
        del details["group"]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
