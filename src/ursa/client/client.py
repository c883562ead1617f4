"""Client: typed reads and writes of the resource API, over one pool of connections.

Each call is one request. What the server refuses is raised as the ApiError that its Status
stands for; a server that cannot be reached is ServiceUnavailable, one that does not answer
in time GatewayTimeout. Nothing is retried here: whoever calls looks again and decides.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from ursa.base.config import TlsFiles
from ursa.base.errors import (
    AlreadyExists,
    ApiError,
    GatewayTimeout,
    NotFound,
    ServiceUnavailable,
    from_status,
)
from ursa.client.documents import Envelope, WatchEvent, decode, decode_or_drop, encode, merge_patch
from ursa.client.key import Key, Ref, key_of, meta_of
from ursa.client.paths import collection_path, object_path
from ursa.kinds.part import Part, view_of

T = TypeVar("T", bound=Part)

REQUEST_TIMEOUT_S = 30.0  # a list of 100,000 pods takes about 3 s; a stuck server is told apart
CONNECT_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 100  # of one process; its watches hold one each
KEEPALIVE_S = 60.0  # a new mutual TLS handshake costs about 2 ms of CPU on each side
WATCH_S = 300  # the server ends a watch after this, and the client resumes it
WATCH_GRACE_S = 15.0  # silence past WATCH_S: the peer has vanished
EVENT_BYTES_MAX = 16 * 2**20  # above every object's bound; protects from a peer's nonsense

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class Listed(NamedTuple):
    items: list[Any]
    revision: int
    """What the list was read at; a watch from here misses nothing."""


class Client:
    """Used as `async with Client(api_url, tls) as client`."""

    def __init__(self, api_url: str, tls: TlsFiles | None = None) -> None:
        self._base = api_url.rstrip("/")
        self._tls = tls
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            keepalive_timeout=KEEPALIVE_S,
            ssl=_ssl_context(self._tls) if self._tls else True,
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            read_bufsize=2**18,
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http is not None
        await self._http.close()

    async def get(
        self,
        cls: type[T],
        key: Key | None = None,
        *,
        tenant: str = "",
        namespace: str = "",
        name: str = "",
    ) -> T:
        """Return the object named by `key`, or by its parts. NotFound where there is none."""
        path = object_path(view_of(cls), key or Key(tenant, namespace, name))
        return decode(cls, await self.request("GET", path))

    async def list(
        self,
        cls: type[T],
        *,
        tenant: str = "all",
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listed:
        """Return (items, revision) of one tenant, or of all, at one revision."""
        params = _selectors(label_selector, field_selector)
        path = collection_path(view_of(cls), tenant, namespace)
        envelope = msgspec.json.decode(
            await self.request("GET", path, params=params), type=Envelope
        )
        views = (decode_or_drop(cls, raw)[0] for raw in envelope.items or ())
        items = [view for view in views if view is not None]
        return Listed(items, int(envelope.metadata.resource_version))

    async def create(self, obj: T, *, exist_ok: bool = False) -> T:
        """Return the object as stored. AlreadyExists, or with `exist_ok` the one that exists."""
        cls, key = type(obj), key_of(obj)
        path = collection_path(view_of(cls), key.tenant, key.namespace)
        try:
            return decode(cls, await self.request("POST", path, encode(obj)))
        except AlreadyExists:
            if not exist_ok:
                raise
            return await self.get(cls, key)

    async def patch(
        self,
        cls: type[T],
        ref: Key | Part,
        body: Any,
        *,
        subresource: str = "",
        kind: str = "merge",
    ) -> T:
        """Return the object after the patch; `kind` is a key of PATCH_TYPES."""
        key = ref if isinstance(ref, Key) else key_of(ref)
        path = object_path(view_of(cls), key, subresource)
        answer = await self.request(
            "PATCH", path, msgspec.json.encode(body), content_type=PATCH_TYPES[kind]
        )
        return decode(cls, answer)

    async def update_status(self, obj: T, status: Part) -> T:
        """Make `status` the object's status. Conflict if the object has changed since `obj`.

        Only what differs from `obj.status` is sent; an equal status is no request at all.
        """
        change = merge_patch(getattr(obj, "status"), status)  # noqa: B009  views declare it
        if not change:
            return obj
        revision = meta_of(obj).resource_version
        body = {"metadata": {"resourceVersion": revision}, "status": change}
        return await self.patch(type(obj), obj, body, subresource="status")

    async def delete(
        self,
        target: Part | Ref,
        *,
        missing_ok: bool = False,
        uid: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete the object. A view is deleted by its uid: never its successor of one name.

        `propagation` is Background, Foreground or Orphan; empty leaves it to the server.
        """
        cls, key = target if isinstance(target, Ref) else (type(target), key_of(target))
        if not isinstance(target, Ref):
            uid = uid or meta_of(target).uid
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if propagation:
            options["propagationPolicy"] = propagation
        try:
            await self.request(
                "DELETE", object_path(view_of(cls), key), msgspec.json.encode(options)
            )
        except NotFound:
            if not missing_ok:
                raise

    async def bind(self, pod: Part, node_name: str) -> None:
        """Bind the pod, identified by its uid, to the node. Conflict if it is bound already."""
        metadata = meta_of(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "tenant": metadata.tenant,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
        }
        path = object_path(view_of(type(pod)), key_of(pod), "binding")
        await self.request("POST", path, msgspec.json.encode(binding))

    async def watch(
        self,
        cls: type[Part],
        *,
        revision: int,
        tenant: str = "all",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the events after `revision`, bookmarks included, until the server ends it.

        Expired if `revision` is compacted; close the iterator to end the watch.
        """
        params = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(revision),
            "timeoutSeconds": str(WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT_S, sock_read=WATCH_S + WATCH_GRACE_S
        )
        url = self._url(collection_path(view_of(cls), tenant))
        try:
            async with self._session.get(url, params=params, timeout=timeout) as answer:
                if answer.status >= 400:
                    raise _refusal(answer.status, await answer.read())
                async for line in _lines(answer.content):
                    event = msgspec.json.decode(line, type=WatchEvent)
                    if event.type == "ERROR":
                        raise from_status(msgspec.json.decode(event.object))
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise self._outage("GET", url, fault) from fault

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Return the body of the answer to one request; raise what the server refuses."""
        url = self._url(path)
        headers = {"Content-Type": content_type} if body is not None else None
        try:
            async with self._session.request(
                method, url, data=body, params=params, headers=headers
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise self._outage(method, url, fault) from fault
        if answer.status >= 400:
            raise _refusal(answer.status, content)
        return content

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "use the client as a context manager"
        return self._http

    def _url(self, path: str) -> URL:
        return URL(self._base + path, encoded=True)

    def _outage(self, method: str, url: URL, fault: Exception) -> ApiError:
        if isinstance(fault, TimeoutError):
            return GatewayTimeout(f"{method} {url}: no answer in time")
        return ServiceUnavailable(f"{method} {url}: {fault or type(fault).__name__}")


def _ssl_context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.cert, tls.key)
    return context


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    asked = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: text for name, text in asked.items() if text}


def _refusal(code: int, content: bytes) -> ApiError:
    """Return the error of an answer, whether or not its body is a Status."""
    try:
        status = msgspec.json.decode(content)
    except msgspec.DecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"code": code, "message": content[:200].decode(errors="replace") or f"HTTP {code}"}
    return from_status(status)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a stream; several that arrive together are split at once."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > EVENT_BYTES_MAX:
            raise ServiceUnavailable(f"a watch event exceeds {EVENT_BYTES_MAX} bytes")
        for line in lines:
            if line:
                yield line
