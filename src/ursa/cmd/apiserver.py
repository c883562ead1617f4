"""`ursa apiserver`: the API server as one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import socket
from pathlib import Path

from ursa.api import foundation
from ursa.api.admission import Admission
from ursa.api.app import App
from ursa.api.authentication import Authenticator
from ursa.api.authorization import Authorizer
from ursa.api.cache import Cache
from ursa.api.http import Counts
from ursa.api.nodes import Agents
from ursa.api.reviews import Reviews
from ursa.api.server import Server
from ursa.api.tls import server_context
from ursa.api.tokens import ServiceAccountTokens, StaticTokens, load_static_tokens
from ursa.api.watch import Hub
from ursa.base.clock import WallClock
from ursa.base.config import Config, ConfigError, TlsFiles, load
from ursa.cmd.run import run
from ursa.kinds.registry import RESOURCES
from ursa.store.engine import Store, StoreError
from ursa.store.sqlite import SqliteStore

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000  # allocations between collections; the default 700 costs 5 % under load


class ApiServerConfig(Config):
    name: str
    ready_file: str
    """Made when the server answers; gone while it does not."""
    listen: tuple[str, ...]
    """Addresses, `ip:port`."""
    store_dir: str
    tls: TlsFiles
    """The serving identity; also who this server is to the nodes' agents."""
    client_ca: str
    """PEM file of the authority of clients' certificates."""
    service_account_key: str
    """PEM file of the P-256 key that signs service accounts' tokens."""
    static_tokens: str = ""
    """File of `token,user,uid,"groups",,tenant`; empty: none."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa apiserver", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file; see ApiServerConfig")
    path = parser.parse_args(argv).config
    try:
        config = load(ApiServerConfig, path)
        run(lambda: serve(config))
    except (ConfigError, StoreError) as fault:
        raise SystemExit(f"ursa apiserver: {fault}") from fault


async def serve(config: ApiServerConfig) -> None:
    """Open the store, lay the foundation, and serve until cancelled."""
    sockets = [bind(text) for text in config.listen]
    context = server_context(config.tls.cert, config.tls.key, config.client_ca)
    ready_file = Path(config.ready_file)
    ready_file.unlink(missing_ok=True)  # noqa: ASYNC240  before anything waits
    store = await SqliteStore.open(Path(config.store_dir))
    try:
        counts = Counts()
        app = build(config, store, counts)
        await foundation.lay(app)
        tune_collector()
        await _run(Server(app, counts, context), sockets, ready_file)
    finally:
        ready_file.unlink(missing_ok=True)  # noqa: ASYNC240
        await store.close()


async def _run(server: Server, sockets: list[socket.socket], ready_file: Path) -> None:
    async def tell() -> None:
        await ready.wait()
        part = ready_file.with_name(ready_file.name + ".part")
        part.touch()
        part.replace(ready_file)

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell())
        await server.run(sockets, ready)


def build(config: ApiServerConfig, store: Store, counts: Counts) -> App:
    """Construct the API on a store."""
    clock = WallClock()
    cache = Cache(store, [r for r in RESOURCES if not r.is_virtual])
    authorizer = Authorizer(cache)
    key = _read(config.service_account_key)
    tokens = ServiceAccountTokens(key, cache, clock)
    static: StaticTokens | None = None
    if config.static_tokens:
        static = load_static_tokens(Path(config.static_tokens))
    authenticator = Authenticator(authorizer, service_accounts=tokens, static=static)
    return App(
        store=store,
        cache=cache,
        hub=Hub(cache, counts.by_reason, random.Random()),
        authenticator=authenticator,
        authorizer=authorizer,
        admission=Admission(cache, authorizer, clock),
        reviews=Reviews(cache, authenticator, authorizer, tokens),
        agents=Agents(cache, config.tls),
        clock=clock,
    )


def bind(address: str) -> socket.socket:
    """Return a socket bound to `ip:port`. Raises ConfigError."""
    host, port = parse_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as fault:
        raise ConfigError(f"cannot listen on {address}: {fault.strerror}") from fault


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of `10.0.0.1:6443` or `[::1]:6443`. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"listen: {text!r} is no ip:port")
    return host.strip("[]"), int(port)


def tune_collector() -> None:
    """Keep the cyclic collector away from what lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as fault:
        raise ConfigError(f"{path}: {fault.strerror}") from fault
