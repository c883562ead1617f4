"""Lists: their revision, their pages, their selectors, their forms."""

import pytest

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def five(api):
    """Configmaps a…e, of which b and d are `odd`."""
    for name in "abcde":
        labels = {"kind": "odd" if name in "bd" else "even", "name": name}
        await api("POST", CONFIGMAPS, {"metadata": {"name": name, "labels": labels}})
    return api


async def names(api, query: str, path: str = CONFIGMAPS) -> str:
    answer = await api("GET", f"{path}?{query}")
    assert answer.status == 200, answer.raw
    return "".join(item["metadata"]["name"] for item in answer.doc["items"])


async def test_a_list_has_a_kind_and_the_newest_revision(five):
    made = await five("POST", CONFIGMAPS, {"metadata": {"name": "f"}})
    answer = await five("GET", CONFIGMAPS)
    assert answer.doc["kind"] == "ConfigMapList"
    revision = made.doc["metadata"]["resourceVersion"]
    assert answer.doc["metadata"] == {"resourceVersion": revision}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("labelSelector=kind%3Dodd", "bd"),
        ("labelSelector=kind+in+(odd,even),name+notin+(a)", "bcde"),
        ("labelSelector=kind%3Dnone", ""),
        ("labelSelector=!kind", ""),
        ("fieldSelector=metadata.name%3Dc", "c"),
        ("fieldSelector=metadata.name!%3Dc", "abde"),
        ("fieldSelector=metadata.name%3Dc&labelSelector=kind%3Dodd", ""),
        ("fieldSelector=metadata.tenant%3Dsystem", "abcde"),
        ("fieldSelector=metadata.tenant%3Dacme", ""),
    ],
)
async def test_selectors_choose(five, query, expected):
    assert await names(five, query) == expected


async def test_wrong_parameters_are_named(five):
    for query, text in (
        ("labelSelector=a%3Db%3Dc", "unable to parse"),
        ("fieldSelector=spec.x%3D1", "field label not supported"),
        ("limit=many", "limit"),
        ("continue=zzz", "continue"),
        ("resourceVersion=new", "resourceVersion"),
        ("resourceVersionMatch=Exact", "resourceVersionMatch"),
        ("resourceVersion=1&resourceVersionMatch=Nearly", "resourceVersionMatch"),
    ):
        answer = await five("GET", f"{CONFIGMAPS}?{query}")
        assert answer.status == 400 and text in answer.doc["message"], (query, answer.raw)


async def test_pages_are_of_one_revision_whatever_is_written_meanwhile(five):
    first = (await five("GET", f"{CONFIGMAPS}?limit=2")).doc
    assert first["metadata"]["remainingItemCount"] == 3
    await five("DELETE", f"{CONFIGMAPS}/c")
    await five("POST", CONFIGMAPS, {"metadata": {"name": "bb"}})
    await five.patch(f"{CONFIGMAPS}/e", {"data": {"new": "1"}})
    seen, page = [], first
    while True:
        seen += page["items"]
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        if not (token := page["metadata"].get("continue")):
            break
        page = (await five("GET", f"{CONFIGMAPS}?limit=2&continue={token}")).doc
    assert [item["metadata"]["name"] for item in seen] == list("abcde")
    assert "data" not in seen[-1]


async def test_an_exact_revision_is_what_was_there_and_a_compacted_one_is_expired(server, five):
    revision = server.app.cache.revision
    await five("DELETE", f"{CONFIGMAPS}/a")
    query = f"resourceVersion={revision}&resourceVersionMatch=Exact"
    assert await names(five, query) == "abcde"
    assert await names(five, f"resourceVersion={revision}") == "bcde"
    token = (await five("GET", f"{CONFIGMAPS}?limit=1")).doc["metadata"]["continue"]
    await five("POST", CONFIGMAPS, {"metadata": {"name": "z"}})
    newest = server.app.cache.revision
    await server.app.store.compact(newest)
    server.app.cache.forget(newest)
    for gone in (query, f"limit=1&continue={token}"):
        answer = await five("GET", f"{CONFIGMAPS}?{gone}")
        assert (answer.status, answer.doc["reason"]) == (410, "Expired")


async def test_a_revision_of_the_future_asks_to_wait(five):
    answer = await five("GET", f"{CONFIGMAPS}?resourceVersion=999999")
    assert answer.status == 504
    assert answer.doc["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer.headers["Retry-After"] == "1"


async def test_a_long_list_comes_in_pieces_and_whole(api):
    for number in range(150):
        await api(
            "POST", CONFIGMAPS, {"metadata": {"name": f"n{number:03}"}, "data": {"x": "y" * 3000}}
        )
    answer = await api("GET", CONFIGMAPS)
    assert answer.headers.get("Transfer-Encoding") == "chunked"
    assert [i["metadata"]["name"] for i in answer.doc["items"]] == [f"n{n:03}" for n in range(150)]


async def test_a_list_over_all_tenants_is_for_operators(server, five):
    await five("POST", "/api/v1/tenants", {"metadata": {"name": "acme"}})
    await five("POST", "/api/v1/tenants/acme/namespaces", {"metadata": {"name": "default"}})
    acme = "/api/v1/tenants/acme/namespaces/default/configmaps"
    await five("POST", acme, {"metadata": {"name": "a"}})
    everywhere = "/api/v1/tenants/all/configmaps"
    assert await names(five, "", everywhere) == "aabcde"
    assert await names(five, "", "/api/v1/tenants/all/namespaces/default/configmaps") == "aabcde"
    assert await names(five, "labelSelector=kind%3Dodd", everywhere) == "bd"
    assert await names(five, "", "/api/v1/tenants/acme/configmaps") == "a"
    assert await names(five, "", "/tenants/acme/api/v1/configmaps") == "a"
    assert (await five("GET", "/api/v1/tenants/all/namespaces/default/configmaps/a")).status == 405


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io"


async def test_tables_and_metadata_alone_are_given_when_asked_for(five):
    table = (await five("GET", CONFIGMAPS, accept=TABLE)).doc
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == list("abcde")
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    one = (await five("GET", f"{CONFIGMAPS}/a?includeObject=Object", accept=TABLE)).doc
    assert one["rows"][0]["object"]["kind"] == "ConfigMap"
    part = (await five("GET", f"{CONFIGMAPS}/a", accept=PARTIAL.format(""))).doc
    assert part["kind"] == "PartialObjectMetadata" and set(part) == {
        "kind",
        "apiVersion",
        "metadata",
    }
    assert part["metadata"]["resourceVersion"] and part["metadata"]["name"] == "a"
    parts = (await five("GET", CONFIGMAPS, accept=PARTIAL.format("List"))).doc
    assert parts["kind"] == "PartialObjectMetadataList" and len(parts["items"]) == 5


async def test_pods_are_found_by_their_node(server, api):
    pods = "/api/v1/namespaces/default/pods"
    container = {"name": "main", "image": "busybox"}
    for name, node in (("p", "n1"), ("q", "n2"), ("r", "")):
        spec = {"containers": [container]} | ({"nodeName": node} if node else {})
        made = await api("POST", pods, {"metadata": {"name": name}, "spec": spec})
        assert made.status == 201, made.raw
    assert await names(api, "fieldSelector=spec.nodeName%3Dn1", pods) == "p"
    assert await names(api, "fieldSelector=spec.nodeName!%3Dn1", pods) == "qr"
    assert await names(api, "fieldSelector=spec.nodeName%3D", pods) == "r"
    await api("POST", f"{pods}/r/binding", {"target": {"kind": "Node", "name": "n1"}})
    assert await names(api, "fieldSelector=spec.nodeName%3Dn1", "/api/v1/pods") == "pr"
    assert await names(api, "fieldSelector=status.phase%3DPending", pods) == "pqr"
