"""A small server of the resource API's wire, for tests of its client: list, watch, CRUD.

It keeps one collection of documents in memory with one revision order, and lets a test
compact the history, end the watches, and refuse the next requests.
"""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

from aiohttp import web

from ursa.base.errors import AlreadyExists, ApiError, Expired, NotFound


class TinyApi:
    """Serves every path by its last segments: …/{plural} and …/{plural}/{name}[/{sub}]."""

    def __init__(self, plural: str) -> None:
        self.plural = plural
        self.documents: dict[str, dict] = {}
        self.revision = 100
        self.history: list[tuple[int, str, dict]] = []
        self.compacted = 0
        self.requests: list[tuple[str, str]] = []  # method, path
        self.refuse: list[ApiError] = []  # raised by the next requests, in order
        self.lists = 0
        self._changed = asyncio.Event()
        self._watch_epoch = 0

    def put(self, name: str, **fields) -> dict:
        """Store a document at the next revision and tell the watches."""
        self.revision += 1
        kind = "MODIFIED" if name in self.documents else "ADDED"
        metadata = {
            "name": name,
            "tenant": "acme",
            "namespace": "dev",
            "uid": f"uid-{name}",
            **fields.pop("metadata", {}),
            "resourceVersion": str(self.revision),
        }
        document = {"metadata": metadata, **fields}
        self.documents[name] = document
        self._tell(kind, document)
        return document

    def remove(self, name: str) -> None:
        self.revision += 1
        document = self.documents.pop(name)
        document["metadata"]["resourceVersion"] = str(self.revision)
        self._tell("DELETED", document)

    def compact(self) -> None:
        """Forget the history: a watch from before is Expired."""
        self.compacted = self.revision
        self.end_watches()

    def end_watches(self) -> None:
        self._watch_epoch += 1
        self._wake()

    def bookmark(self) -> None:
        self.revision += 1
        self._tell("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}})

    def _tell(self, kind: str, document: dict) -> None:
        self.history.append((self.revision, kind, json.loads(json.dumps(document))))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path))
        try:
            if self.refuse:
                raise self.refuse.pop(0)
            return await self._answer(request)
        except ApiError as refusal:
            return web.json_response(refusal.status(), status=refusal.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        *_, parent, last = request.path.split("/")
        if last == self.plural and request.query.get("watch") == "true":
            return await self._watch(request)
        if last == self.plural and request.method == "GET":
            self.lists += 1
            metadata = {"resourceVersion": str(self.revision)}
            items = list(self.documents.values())
            return web.json_response({"metadata": metadata, "items": items})
        if last == self.plural:
            document = await request.json()
            name = document["metadata"]["name"]
            if name in self.documents:
                raise AlreadyExists(f'{self.plural} "{name}" already exists')
            return web.json_response(self.put(name, **document), status=201)
        name = last if parent == self.plural else parent
        if name not in self.documents:
            raise NotFound(f'{self.plural} "{name}" not found')
        if request.method == "PATCH":
            changed = merge(self.documents[name], await request.json())
            return web.json_response(self.put(name, **changed))
        if request.method == "DELETE":
            self.remove(name)
            return web.json_response({"kind": "Status", "status": "Success"})
        return web.json_response(self.documents[name])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        revision = int(request.query["resourceVersion"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        epoch = self._watch_epoch
        if revision < self.compacted:
            event = {"type": "ERROR", "object": Expired("too old resource version").status()}
            await answer.write(json.dumps(event).encode() + b"\n")
            return answer
        while epoch == self._watch_epoch:
            changed = self._changed
            for at, kind, document in list(self.history):
                if at > revision:
                    revision = at
                    event = {"type": kind, "object": document}
                    await answer.write(json.dumps(event).encode() + b"\n")
            await changed.wait()
        return answer


def merge(document, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


@asynccontextmanager
async def serving(api: TinyApi, ssl_context: ssl.SSLContext | None = None):
    """Yield the server's URL on a free port of the loopback."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if ssl_context else 'http'}://127.0.0.1:{port}"
    finally:
        api.end_watches()
        await runner.cleanup()
