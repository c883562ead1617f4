"""The verbs that read: get, list, watch. None of them waits, but a watch's stream.

Source: Kubernetes API concepts, "Resource versions" (what each parameter means), and
"Retrieving large results sets in chunks".
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ursa.api import selectors, watch
from ursa.api.app import App
from ursa.api.call import Call
from ursa.api.forms import PIECE_BYTES, Form, answer
from ursa.api.items import Item, Name, Selection
from ursa.api.message import Response, Stream
from ursa.api.request import ALL_TENANTS
from ursa.api.watch import Start
from ursa.base.errors import BadRequest, Expired, GatewayTimeout, MethodNotAllowed
from ursa.store.log import Compacted

WHOLE_ITEMS_MAX = 64  # a longer list, or a larger one, is sent in pieces
LIMIT_MAX = 1 << 31


def get(app: App, call: Call) -> Response:
    """GET …/{plural}/{name} → 200 and the object."""
    if call.request.query:
        _check_revision(app, _revision(call.request.query.get("resourceVersion", "")))
    item = app.cache.collection(call.resource).get(call.tenant, call.namespace, call.name)
    if item is None:
        raise call.missing()
    return app.rendered(call, 200, item.value, item.revision)


def list_(app: App, call: Call) -> Response:
    """GET …/{plural} → 200 and a list at one revision, or a page of it."""
    selection = selection_of(call)
    renderer = app.renderer(call)
    page = _page(app, call, selection)
    body = renderer.listed(page.items, page.metadata)
    if _is_short(page.items) or renderer.form in (Form.TABLE, Form.YAML):
        return answer(200, b"".join(body), renderer.form)
    return Response(200, stream=lambda out: _send(out, body))


def _is_short(items: Sequence[Item]) -> bool:
    return len(items) <= WHOLE_ITEMS_MAX and sum(len(item.value) for item in items) <= PIECE_BYTES


def watch_(app: App, call: Call) -> Response:
    """GET …/{plural}?watch=true → 200 and events until the time is over."""
    query = call.request.query
    selection = selection_of(call)
    if call.name:  # one object by its URL
        name = selectors.FieldRequirement("metadata.name", call.name, True)
        selection = selection._replace(fields=(*selection.fields, name))
    return watch.respond(
        app.hub,
        app.cache.collection(call.resource),
        selection,
        app.renderer(call),
        _start(app, query),
        timeout_s=_number(query, "timeoutSeconds"),
        bookmarks=call.request.flag("allowWatchBookmarks"),
    )


def selection_of(call: Call) -> Selection:
    """Return what the request selects. Raises BadRequest."""
    query = call.request.query
    fields = selectors.fields(query.get("fieldSelector", ""))
    selectors.check_fields(call.resource, fields)
    labels = selectors.labels(query.get("labelSelector", ""))
    return Selection(call.tenant, call.namespace, labels, fields)


def only_reads_span_tenants(call: Call) -> None:
    """Raise MethodNotAllowed for a verb, or a name, that needs one tenant."""
    if call.tenant != ALL_TENANTS:
        return
    if call.attributes.verb not in ("list", "watch") or call.name:
        raise MethodNotAllowed("tenants/all is for lists and watches: name one tenant")


class _Page(NamedTuple):
    items: Sequence[Item]
    metadata: dict[str, object]


class _Continue(msgspec.Struct):
    """Where a list goes on: after `start`, as it was at `revision`."""

    revision: int
    start: Name


def _page(app: App, call: Call, selection: Selection) -> _Page:
    query = call.request.query
    limit = int(_number(query, "limit") or 0)
    token = _token(query.get("continue", ""))
    items, revision = _items(app, call, selection, token)
    first = bisect_right(items, token.start, key=_name) if token else 0
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if limit == 0 or first + limit >= len(items):
        return _Page(items[first:] if first else items, metadata)
    page = items[first : first + limit]
    follows = msgspec.json.encode(_Continue(revision, page[-1].key))
    metadata["continue"] = base64.urlsafe_b64encode(follows).decode()
    if selection.is_whole:
        metadata["remainingItemCount"] = len(items) - first - limit
    return _Page(page, metadata)


def _items(
    app: App, call: Call, selection: Selection, token: _Continue | None
) -> tuple[Sequence[Item], int]:
    """Return what is selected and the revision that it is of."""
    query = call.request.query
    collection = app.cache.collection(call.resource)
    asked = _revision(query.get("resourceVersion", ""))
    match = query.get("resourceVersionMatch", "")
    _check_match(match, query)
    if token is not None:
        if asked:
            raise BadRequest("specifying resource version is not allowed when using continue")
        exact: int | None = token.revision
    else:
        _check_revision(app, asked)
        exact = asked if match == "Exact" else None
    if exact is None or exact == app.cache.revision:
        return collection.select(selection), app.cache.revision
    try:
        app.cache.check_kept(exact)
    except Compacted as fault:
        raise _too_old(fault, token is not None) from fault
    return collection.at(exact, selection), exact


def _too_old(fault: Compacted, is_continued: bool) -> Expired:
    if is_continued:
        return Expired(
            "The provided continue parameter is too old to display a consistent list result. "
            "You must start a new list without the continue parameter."
        )
    return watch.expired(fault)


def _check_match(match: str, query: dict[str, str]) -> None:
    if match == "":
        return
    if match not in ("Exact", "NotOlderThan"):
        raise BadRequest(f'resourceVersionMatch "{match}" is neither Exact nor NotOlderThan')
    if "resourceVersion" not in query:
        raise BadRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and query["resourceVersion"] == "0":
        raise BadRequest('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
    if query.get("continue"):
        raise BadRequest("resourceVersionMatch is forbidden with continue")


def _check_revision(app: App, asked: int) -> None:
    """Raise a Timeout for a revision that is not there yet: the client knows another past."""
    newest = app.cache.revision
    if asked > newest:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise GatewayTimeout(
            f"Too large resource version: {asked}, current: {newest}",
            details={"causes": [cause], "retryAfterSeconds": 1},
        )


def _start(app: App, query: dict[str, str]) -> Start:
    text = query.get("resourceVersion", "")
    revision = _revision(text)
    if query.get("sendInitialEvents") is not None:
        if query.get("resourceVersionMatch") != "NotOlderThan":
            raise BadRequest("sendInitialEvents needs resourceVersionMatch=NotOlderThan")
        _check_revision(app, revision)
        if query["sendInitialEvents"].lower() in ("true", "1"):
            return Start(None, ends_initial=query.get("allowWatchBookmarks") in ("true", "1"))
        return Start(revision or app.cache.revision)
    if query.get("resourceVersionMatch"):
        raise BadRequest("resourceVersionMatch is forbidden for watch unless sendInitialEvents")
    return Start(revision) if revision else Start(None)


def _token(text: str) -> _Continue | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Continue)
    except (ValueError, msgspec.DecodeError) as fault:
        raise BadRequest("continue is no token of this server") from fault


def _revision(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest(f'resourceVersion: Invalid value: "{text}": must be a decimal number')
    return int(text)


def _number(query: dict[str, str], name: str) -> float | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > LIMIT_MAX:
        raise BadRequest(f'{name}: Invalid value: "{text}": must be a number of 0 to 2^31')
    return float(text)


async def _send(out: Stream, parts: Iterator[bytes]) -> None:
    for part in parts:
        await out.send(part)


def _name(item: Item) -> Name:
    return item.key
