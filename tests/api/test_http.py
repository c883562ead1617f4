"""HTTP and TLS as such: framing, order, limits, timeouts, by raw bytes over real connections."""

import asyncio
import json
import ssl
from dataclasses import dataclass

import pytest

from apiserver import HOST, admin, client_context, folder, identity, tenant_admin
from ursa.api import http
from ursa.base import pki
from ursa.base.config import TlsFiles

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode("latin-1") if isinstance(text, str) else text)

    def get(self, path: str, more: str = "") -> None:
        self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")

    async def answer(self) -> Answer:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.strip().split("\r\n")
            headers = {k.lower(): v for k, _, v in (f.partition(": ") for f in fields)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)

    async def is_closed(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@pytest.fixture
async def connect(server):
    writers = []

    async def opened(tls: TlsFiles | None = None, **options) -> Wire:
        context = client_context(tls or admin())
        for name, value in options.items():
            setattr(context, name, value)
        reader, writer = await asyncio.open_connection(HOST, server.port, ssl=context)
        writers.append(writer)
        return Wire(reader, writer)

    yield opened
    for writer in writers:
        writer.transport.abort()


async def test_pipelined_requests_are_answered_in_order(connect):
    wire = await connect()
    body = json.dumps({"metadata": {"name": "one"}})
    post = f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    get = f"GET {CONFIGMAPS}/one HTTP/1.1\r\nHost: x\r\n\r\n"
    delete = f"DELETE {CONFIGMAPS}/one HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.send(get + post + get + delete + get)
    assert [(await wire.answer()).status for _ in range(5)] == [404, 201, 200, 200, 404]


async def test_a_request_may_come_byte_by_byte(connect):
    wire = await connect()
    for byte in b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n":
        wire.send(bytes([byte]))
        await wire.writer.drain()
        await asyncio.sleep(0)
    assert (await wire.answer()).body == b"ok"


async def test_a_connection_is_kept_and_closed_as_asked(connect):
    wire = await connect()
    for _ in range(3):
        wire.get("/readyz")
        assert (await wire.answer()).status == 200
    wire.get("/readyz", "Connection: close\r\n")
    assert (await wire.answer()).headers["connection"] == "close"
    assert await wire.is_closed()


async def test_http_1_0_is_answered_and_closed(connect):
    wire = await connect()
    wire.send("GET /readyz HTTP/1.0\r\n\r\n")
    assert (await wire.answer()).body == b"ok"
    assert await wire.is_closed()


async def test_a_client_may_wait_for_100_continue(connect):
    wire = await connect()
    body = b'{"metadata": {"name": "one"}}'
    wire.send(
        f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    assert (await wire.answer()).status == 100
    wire.send(body)
    assert (await wire.answer()).status == 201


async def test_a_body_may_come_in_chunks(connect):
    wire = await connect()
    wire.send(f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b'{"metadata":', b'{"name": "one"}}'):
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 201


@pytest.mark.parametrize("expects", [True, False])
async def test_a_body_of_10_mb_is_refused_with_a_status(connect, expects):
    wire = await connect()
    size = 10 << 20
    more = "Expect: 100-continue\r\n" if expects else ""
    wire.send(f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {size}\r\n\r\n")
    if not expects:
        wire.send(bytes(size))
    answer = await wire.answer()
    assert answer.status == 413
    assert json.loads(answer.body)["reason"] == "RequestEntityTooLarge"


async def test_a_chunked_body_is_bounded_too(connect):
    wire = await connect()
    wire.send(f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4):
        wire.send(b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20)))
    assert (await wire.answer()).status == 413


async def test_a_body_of_just_the_bound_is_read(connect):
    wire = await connect()
    head, tail = b'{"metadata": {"name": "one"}, "data": {"x": "', b'"}}'
    body = head + b"x" * (http.BODY_BYTES_MAX - len(head) - len(tail)) + tail
    wire.send(f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
    wire.send(body)
    assert (await wire.answer()).status != 413


@pytest.mark.parametrize(
    "head",
    [
        "GET /" + "x" * http.HEAD_BYTES_MAX,
        "GET / HTTP/1.1\r\nX: " + "x" * 2 * http.HEAD_BYTES_MAX,
        "GET / HTTP/1.1\r\n" + "X: y\r\n" * http.HEAD_BYTES_MAX,
    ],
)
async def test_a_head_is_bounded(connect, head):
    wire = await connect()
    wire.send(head)
    assert (await wire.answer()).status == 413
    assert await wire.is_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        "\x16\x03\x01 hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_bad_request_and_the_end(connect, garbage):
    wire = await connect()
    wire.send(garbage)
    assert (await wire.answer()).status == 400
    assert await wire.is_closed()


@pytest.mark.parametrize(
    ("begun", "reason"),
    [
        ("", b"idle"),
        ("GET / HTTP/1.1\r\nHost:", b"request"),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", b"request"),
    ],
)
async def test_a_peer_that_says_nothing_more_is_cut_off(
    connect, server, monkeypatch, begun, reason
):
    monkeypatch.setattr(http, "IDLE_TIMEOUT_S", -1.0)
    monkeypatch.setattr(http, "REQUEST_TIMEOUT_S", -1.0)
    wire = await connect()
    wire.send(begun)
    assert await wire.is_closed()
    monkeypatch.undo()
    wire = await connect()
    wire.get("/metrics")
    assert b'ursa_refused_total{reason="' + reason + b'"}' in (await wire.answer()).body


async def test_a_reader_that_stalls_is_held_back_and_then_cut_off(connect, server, monkeypatch):
    api = server.admin
    for number in range(60):
        body = {"metadata": {"name": f"n{number}"}, "data": {"x": "y" * 500_000}}
        assert (await api("POST", CONFIGMAPS, body)).status == 201
    wire = await connect()
    wire.writer.transport.pause_reading()
    wire.get(f"{CONFIGMAPS}?resourceVersion=0")
    wire.get(f"{CONFIGMAPS}?limit=70")
    monkeypatch.setattr(http, "STALL_TIMEOUT_S", 0.5)
    async with asyncio.timeout(10):
        while not server.counts.by_reason["stalled reader"]:  # noqa: ASYNC110  a counter
            await asyncio.sleep(0.05)


async def test_a_clients_certificate_decides_who_it_is(server):
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    for tls, user, tenant in (
        (admin(), "admin", "system"),
        (tenant_admin("acme"), "admin", "acme"),
        (None, "system:anonymous", "system"),
    ):
        answer = await server.api(tls)("POST", path, {})
        if tls is None:
            assert answer.status == 403
            continue
        info = answer.doc["status"]["userInfo"]
        assert (info["username"], info["tenant"]) == (user, tenant)


async def test_a_certificate_of_another_authority_is_refused_by_tls(connect, server):
    authority = pki.new_authority("stranger")
    cert, key = pki.issue(authority, pki.Identity("admin", ("system:masters",)))
    files = folder() / "stranger.crt", folder() / "stranger.key"
    pki.save(files[0], cert, secret=False)
    pki.save(files[1], key, secret=True)
    stranger = TlsFiles(ca=str(folder() / "ca.crt"), cert=str(files[0]), key=str(files[1]))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        wire = await connect(stranger)
        wire.get("/readyz")
        await wire.answer()


async def test_plain_http_is_refused_and_the_server_lives(server):
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        assert b"200" not in await reader.read()
    writer.close()
    assert (await server.admin("GET", "/readyz")).status == 200


async def test_only_http_1_1_is_negotiated(server):
    context = client_context(identity("admin", "system:masters"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection(HOST, server.port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.transport.abort()


async def test_an_upgrade_that_nobody_asked_for_is_an_ordinary_request(connect):
    wire = await connect()
    wire.get("/readyz", "Connection: Upgrade\r\nUpgrade: h2c\r\n")
    assert (await wire.answer()).body == b"ok"


async def test_health_and_version_need_no_identity_and_metrics_do(server):
    anonymous = server.api(None)
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await anonymous("GET", path)).status == 200
    assert (await anonymous("GET", "/metrics")).status == 403
    metrics = (await server.admin("GET", "/metrics")).raw.decode()
    assert 'apiserver_request_total{code="200",' in metrics
    assert "ursa_store_revision" in metrics and "apiserver_storage_objects" in metrics
