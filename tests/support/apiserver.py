"""A real API server on a loopback port, over the memory engine, and a small client for it."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import aiohttp

from ursa.api import foundation
from ursa.api.app import App
from ursa.api.http import Counts
from ursa.api.server import Server
from ursa.api.tls import server_context
from ursa.base import pki
from ursa.base.config import TlsFiles
from ursa.cmd.apiserver import ApiServerConfig, build
from ursa.store.engine import Store
from ursa.store.memory import MemoryStore

HOST = "127.0.0.1"


@cache
def authority() -> pki.Authority:
    return pki.new_authority("test")


@cache
def folder() -> Path:
    """Where this test run's certificates are."""
    made = Path(mkdtemp(prefix="ursa-test-api-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    pki.save(made / "ca.crt", authority().cert_pem(), secret=False)
    pki.save(made / "sa.key", pki.authority_key_pem(authority()), secret=True)
    return made


@cache
def identity(
    user: str, *groups: str, tenant: str | None = None, addresses: tuple[str, ...] = ()
) -> TlsFiles:
    """Return the files of a certificate for a user."""
    stem = f"{user}.{tenant}.{'.'.join(groups)}".replace("/", "_").replace(":", "_")
    cert, key = pki.issue(authority(), pki.Identity(user, groups, tenant, addresses=addresses))
    files = folder() / f"{stem}.crt", folder() / f"{stem}.key"
    pki.save(files[0], cert, secret=False)
    pki.save(files[1], key, secret=True)
    return TlsFiles(ca=str(folder() / "ca.crt"), cert=str(files[0]), key=str(files[1]))


def admin() -> TlsFiles:
    return identity("admin", "system:masters")


def tenant_admin(tenant: str) -> TlsFiles:
    return identity("admin", tenant=tenant)


def client_context(tls: TlsFiles | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder() / "ca.crt"))
    if tls is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


@dataclass
class Answer:
    status: int
    headers: Any
    raw: bytes

    @property
    def doc(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Api:
    """A client with one identity."""

    url: str
    session: aiohttp.ClientSession
    context: ssl.SSLContext

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Make one request; a body that is not bytes is sent as JSON. `_` in names is `-`."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named.setdefault("content-type", "application/json")
        url = aiohttp.client.URL(self.url + path, encoded=True)
        async with self.session.request(
            method, url, data=data, headers=named, ssl=self.context
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def patch(self, path: str, body: Any, kind: str = "merge") -> Answer:
        types = {"strategic": "strategic-merge-patch", "merge": "merge-patch", "json": "json-patch"}
        return await self("PATCH", path, body, content_type=f"application/{types[kind]}+json")

    @asynccontextmanager
    async def watching(self, path: str, **headers: str) -> AsyncIterator[Events]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.session.get(
            self.url + path, ssl=self.context, headers=named, timeout=timeout
        ) as answer:
            assert answer.status == 200, await answer.text()
            yield Events(answer.content)


@dataclass
class Events:
    content: aiohttp.StreamReader

    async def next(self, within_s: float = 5) -> dict[str, Any]:
        async with asyncio.timeout(within_s):
            return json.loads(await self.content.readline())

    async def take(self, number: int) -> list[tuple[str, str]]:
        """Return the next events as (type, name)."""
        events = [await self.next() for _ in range(number)]
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]


@dataclass
class Running:
    """A server and the clients made for it."""

    app: App
    port: int
    counts: Counts
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def api(self, tls: TlsFiles | None) -> Api:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.sessions.append(session)
        return Api(self.url, session, client_context(tls))

    @property
    def admin(self) -> Api:
        return self.api(admin())


@asynccontextmanager
async def serving(store: Store | None = None) -> AsyncIterator[Running]:
    """Run a server until the block ends."""
    tls = identity("system:apiserver", "system:masters", addresses=(HOST,))
    config = ApiServerConfig(
        name="apiserver",
        ready_file="",
        listen=(f"{HOST}:0",),
        store_dir="",
        tls=tls,
        client_ca=tls.ca,
        service_account_key=str(folder() / "sa.key"),
    )
    counts = Counts()
    app = build(config, store or MemoryStore(), counts)
    await foundation.lay(app)
    server = Server(app, counts, server_context(tls.cert, tls.key, tls.ca))
    ready = asyncio.Event()
    bound = socket.create_server((HOST, 0))
    port = bound.getsockname()[1]
    task = asyncio.ensure_future(server.run([bound], ready))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        task.result()
    running = Running(app, port, counts)
    try:
        yield running
    finally:
        for session in running.sessions:
            await session.close()
        task.cancel()
        await asyncio.wait([task])
