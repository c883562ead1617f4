"""What the client sends, and what it makes of the answers. Over real HTTP and HTTPS."""

import ssl

import pytest

from tiny_api import TinyApi, serving
from ursa.base import pki
from ursa.base.config import TlsFiles
from ursa.base.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServiceUnavailable,
)
from ursa.client import Client, Key, Ref
from ursa.client.documents import merge_patch
from ursa.kinds.part import ObjectMeta, Part, Scope, kind


class GadgetStatus(Part):
    ready: int = 0
    phase: str = ""
    counts: dict[str, int] = {}  # noqa: RUF012  a struct's field


@kind("test.ursa.dev/v1", plural="gadgets", scope=Scope.NAMESPACE)
class Gadget(Part):
    metadata: ObjectMeta = ObjectMeta()
    colour: str = ""
    status: GadgetStatus = GadgetStatus()


def gadget(name: str, **fields) -> Gadget:
    return Gadget(metadata=ObjectMeta(tenant="acme", namespace="dev", name=name), **fields)


@pytest.fixture
async def api():
    return TinyApi("gadgets")


@pytest.fixture
async def client(api):
    async with serving(api) as url, Client(url) as client:
        yield client


BASE = "/apis/test.ursa.dev/v1/tenants/acme/namespaces/dev/gadgets"


async def test_an_object_created_is_read_back_by_key(client, api):
    created = await client.create(gadget("a", colour="red"))
    assert created.metadata.resource_version == "101"
    assert (await client.get(Gadget, Key("acme", "dev", "a"))) == created
    assert (await client.get(Gadget, tenant="acme", namespace="dev", name="a")) == created
    assert api.requests[:2] == [("POST", BASE), ("GET", f"{BASE}/a")]
    assert api.documents["a"]["kind"] == "Gadget"
    assert api.documents["a"]["apiVersion"] == "test.ursa.dev/v1"


async def test_a_name_is_one_segment_whatever_it_holds(client, api):
    with pytest.raises(NotFound):
        await client.get(Gadget, Key("acme", "dev", "../../x y"))
    assert api.requests == [("GET", f"{BASE}/..%2F..%2Fx%20y")]


async def test_an_empty_tenant_namespace_or_name_is_never_sent(client, api):
    for key in (Key("", "dev", "a"), Key("acme", "", "a"), Key("acme", "dev", "")):
        with pytest.raises(ValueError):
            await client.get(Gadget, key)
    assert api.requests == []


async def test_a_list_carries_its_revision(client, api):
    api.put("a")
    api.put("b")
    items, revision = await client.list(Gadget, tenant="acme")
    assert [item.metadata.name for item in items] == ["a", "b"] and revision == 102


async def test_an_object_that_does_not_fit_its_view_is_left_out(client, api):
    api.put("good")
    api.put("bad", colour=7)
    items, _ = await client.list(Gadget)
    assert [item.metadata.name for item in items] == ["good"]


async def test_a_repeated_create_returns_the_one_that_exists(client):
    first = await client.create(gadget("a"))
    assert await client.create(gadget("a"), exist_ok=True) == first
    with pytest.raises(AlreadyExists):
        await client.create(gadget("a"))


async def test_a_status_update_sends_what_differs_and_its_revision(client, api):
    api.put("a", status={"ready": 3, "phase": "Up", "unknown": 1})
    stored = await client.get(Gadget, Key("acme", "dev", "a"))
    after = await client.update_status(stored, GadgetStatus(ready=0, phase="Up"))
    assert after.status == GadgetStatus(ready=0, phase="Up")
    assert api.documents["a"]["status"] == {"ready": 0, "phase": "Up", "unknown": 1}
    assert api.requests[-1] == ("PATCH", f"{BASE}/a/status")


async def test_an_equal_status_is_no_request(client, api):
    await client.update_status(gadget("a"), GadgetStatus())
    assert api.requests == []


def test_a_merge_patch_clears_what_the_new_map_lacks():
    old, new = GadgetStatus(counts={"a": 1, "b": 2}), GadgetStatus(counts={"b": 3})
    assert merge_patch(old, new) == {"counts": {"b": 3, "a": None}}


async def test_a_missing_object_is_deleted_without_complaint_if_asked(client):
    await client.delete(Ref(Gadget, Key("acme", "dev", "a")), missing_ok=True)
    with pytest.raises(NotFound):
        await client.delete(Ref(Gadget, Key("acme", "dev", "a")))


@pytest.mark.parametrize("error", [Forbidden("no"), Conflict("changed"), NotFound("gone")])
async def test_a_status_is_raised_as_the_error_it_stands_for(client, api, error):
    api.refuse = [error]
    with pytest.raises(type(error), match=error.message):
        await client.list(Gadget)


async def test_the_faults_of_an_invalid_object_reach_the_caller(client, api):
    api.refuse = [Invalid("Gadget", "a", [])]
    with pytest.raises(Invalid, match='Gadget "a" is invalid'):
        await client.create(gadget("a"))


async def test_an_unreachable_server_is_service_unavailable():
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1"):
            await client.list(Gadget)


async def test_both_ends_of_tls_show_a_certificate(api, tmp_path):
    tls, context = tls_of(tmp_path)
    async with serving(api, context) as url, Client(url, tls) as client:
        await client.create(gadget("a"))
        await client.get(Gadget, Key("acme", "dev", "a"))


async def test_a_server_of_another_authority_is_refused(api, tmp_path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    _, context = tls_of(tmp_path / "theirs")
    tls, _ = tls_of(tmp_path / "ours")
    async with serving(api, context) as url, Client(url, tls) as client:
        with pytest.raises(ServiceUnavailable, match="certificate"):
            await client.list(Gadget)
    assert api.requests == []


def tls_of(folder) -> tuple[TlsFiles, ssl.SSLContext]:
    """Return a client's files and a server's context, of one authority."""
    authority = pki.new_authority("test")
    (folder / "ca.crt").write_bytes(authority.cert_pem())
    identities = {
        "server": pki.Identity("server", addresses=["127.0.0.1"]),
        "client": pki.Identity("ann", tenant="acme"),
    }
    for name, identity in identities.items():
        cert, key = pki.issue(authority, identity)
        (folder / f"{name}.crt").write_bytes(cert)
        (folder / f"{name}.key").write_bytes(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    context.load_cert_chain(str(folder / "server.crt"), str(folder / "server.key"))
    context.verify_mode = ssl.CERT_REQUIRED
    files = (str(folder / name) for name in ("ca.crt", "client.crt", "client.key"))
    ca, cert_path, key_path = files
    return TlsFiles(ca=ca, cert=cert_path, key=key_path), context
