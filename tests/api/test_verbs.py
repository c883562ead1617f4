"""Writes, by real requests."""

import asyncio

import pytest

from apiserver import tenant_admin

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def configmap(name: str = "one", **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} | more


def deployment(name: str = "web", replicas: int = 1):
    labels = {"app": name}
    container = {"name": "main", "image": "busybox"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def test_a_created_object_is_stamped_and_is_what_get_returns(api):
    made = await api("POST", CONFIGMAPS, configmap(data={"a": "b"}))
    assert made.status == 201
    metadata = made.doc["metadata"]
    assert metadata["tenant"] == "system" and metadata["namespace"] == "default"
    assert metadata["uid"] and metadata["creationTimestamp"] and int(metadata["resourceVersion"])
    got = await api("GET", f"{CONFIGMAPS}/one")
    assert (got.status, got.raw) == (200, made.raw)


async def test_names_are_generated(api):
    body = {"metadata": {"generateName": "job-"}}
    names = {(await api("POST", CONFIGMAPS, body)).doc["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5 and all(n.startswith("job-") and len(n) == 9 for n in names)


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "must be an object"),
        (b"", 400, "no body"),
        (b'{"metadata": 7}', 400, "cannot unmarshal number"),
        (b'{"metadata": {}}', 400, "name"),
        (b'{"metadata": {"name": "Not_A_Name"}}', 422, "metadata.name"),
        (b'{"metadata": {"name": "x"}, "data": {"a": 1}}', 400, "cannot unmarshal number"),
        (b'{"kind": "Secret", "metadata": {"name": "x"}}', 400, "does not match"),
        (b'{"apiVersion": "v2", "metadata": {"name": "x"}}', 400, "does not match"),
        (b'{"metadata": {"name": "x", "namespace": "kube-system"}}', 400, "namespace"),
        (b'{"metadata": {"name": "x", "tenant": "acme"}}', 400, "tenant"),
        (b'{"metadata": {"name": "x", "resourceVersion": "1"}}', 400, "resourceVersion"),
        (b"[" * 100_000, 400, ""),
    ],
)
async def test_a_body_that_is_no_such_object_is_refused_with_its_reason(api, body, code, text):
    answer = await api("POST", CONFIGMAPS, body)
    assert answer.status == code, answer.raw
    assert answer.doc["kind"] == "Status" and text in answer.doc["message"]


async def test_an_unknown_namespace_and_tenant_are_named(api):
    nowhere = await api("POST", "/api/v1/namespaces/nope/configmaps", configmap())
    assert nowhere.status == 404 and '"nope" not found' in nowhere.doc["message"]
    tenant = await api("POST", "/api/v1/tenants/nope/namespaces", {"metadata": {"name": "x"}})
    assert tenant.status == 404 and '"nope" not found' in tenant.doc["message"]


async def test_yaml_is_taken_and_given(api):
    body = b"metadata:\n  name: y\ndata:\n  when: '2026-01-01'\n"
    made = await api("POST", CONFIGMAPS, body, content_type="application/yaml")
    assert made.status == 201 and made.doc["data"] == {"when": "2026-01-01"}
    got = await api("GET", f"{CONFIGMAPS}/y", accept="application/yaml")
    assert got.headers["content-type"] == "application/yaml" and b"name: y\n" in got.raw
    bomb = b"a: &a [x]\nb: [*a, *a]\n"
    refused = await api("POST", CONFIGMAPS, bomb, content_type="application/yaml")
    assert refused.status == 400 and "aliases" in refused.doc["message"]


async def test_other_encodings_are_refused(api):
    protobuf = "application/vnd.kubernetes.protobuf"
    sent = await api("POST", CONFIGMAPS, b"x", content_type="text/plain")
    assert sent.status == 415 and "application/json" in sent.doc["message"]
    asked = await api("GET", CONFIGMAPS, accept=protobuf)
    assert asked.status == 406
    either = await api("GET", CONFIGMAPS, accept=f"{protobuf},application/json")
    assert either.status == 200 and either.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("validation", "status"), [("Ignore", 201), ("Warn", 201), ("", 201), ("Strict", 400)]
)
async def test_unknown_fields_are_treated_as_asked(api, validation, status):
    body = configmap(colour="red")
    answer = await api("POST", f"{CONFIGMAPS}?fieldValidation={validation}", body)
    assert answer.status == status
    warned = 'unknown field \\"colour\\"' in answer.headers.get("Warning", "")
    assert warned is (validation in ("Warn", ""))
    if status == 201:
        assert "colour" not in answer.doc
    else:
        assert 'strict decoding error: unknown field "colour"' in answer.doc["message"]


async def test_a_field_given_twice_is_refused_when_strict(api):
    body = b'{"metadata": {"name": "x"}, "data": {"a": "1"}, "data": {"a": "2"}}'
    answer = await api("POST", f"{CONFIGMAPS}?fieldValidation=Strict", body)
    assert answer.status == 400 and 'duplicate field "data"' in answer.doc["message"]


async def test_of_equal_creates_at_once_one_is_made(api):
    answers = await asyncio.gather(*(api("POST", CONFIGMAPS, configmap()) for _ in range(12)))
    assert sorted(a.status for a in answers) == [201] + [409] * 11
    refused = next(a for a in answers if a.status == 409)
    assert refused.doc["reason"] == "AlreadyExists"
    assert refused.doc["details"] == {"name": "one", "group": "", "kind": "configmaps"}


async def test_an_update_needs_the_current_revision_if_it_names_one(api):
    made = (await api("POST", CONFIGMAPS, configmap())).doc
    second = await api("PUT", f"{CONFIGMAPS}/one", made | {"data": {"a": "1"}})
    assert second.status == 200
    stale = await api("PUT", f"{CONFIGMAPS}/one", made | {"data": {"a": "2"}})
    assert stale.status == 409 and "has been modified" in stale.doc["message"]
    made["metadata"].pop("resourceVersion")
    free = await api("PUT", f"{CONFIGMAPS}/one", made | {"data": {"a": "3"}})
    assert free.status == 200 and free.doc["data"] == {"a": "3"}


async def test_an_update_of_nothing_changes_no_revision(api):
    made = (await api("POST", CONFIGMAPS, configmap(data={"a": "1"}))).doc
    again = await api("PUT", f"{CONFIGMAPS}/one", made)
    assert again.doc["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_an_update_cannot_change_what_an_object_is(api):
    made = (await api("POST", CONFIGMAPS, configmap())).doc
    other_name = {**made, "metadata": made["metadata"] | {"name": "two"}}
    assert (await api("PUT", f"{CONFIGMAPS}/one", other_name)).status == 400
    other_uid = {**made, "metadata": made["metadata"] | {"uid": "x"}}
    assert (await api("PUT", f"{CONFIGMAPS}/one", other_uid)).status == 409
    other_tenant = {**made, "metadata": made["metadata"] | {"tenant": "acme"}}
    assert (await api("PUT", f"{CONFIGMAPS}/one", other_tenant)).status == 400
    missing = await api("PUT", f"{CONFIGMAPS}/none", configmap("none"))
    assert missing.status == 404 and missing.doc["details"]["name"] == "none"


async def test_patches_of_each_type_are_applied(api):
    await api("POST", CONFIGMAPS, configmap(data={"a": "1"}))
    path = f"{CONFIGMAPS}/one"
    assert (await api.patch(path, {"data": {"b": "2"}})).doc["data"] == {"a": "1", "b": "2"}
    step = [{"op": "remove", "path": "/data/a"}]
    assert (await api.patch(path, step, "json")).doc["data"] == {"b": "2"}
    labels = {"metadata": {"labels": {"x": "y"}}}
    patched = await api.patch(path, labels, "strategic")
    assert patched.doc["metadata"]["labels"] == {"x": "y"}
    failing = await api.patch(path, [{"op": "test", "path": "/data/b", "value": "9"}], "json")
    assert failing.status == 422
    applied = await api("PATCH", path, b"{}", content_type="application/apply-patch+yaml")
    assert applied.status == 415 and "server-side apply" in applied.doc["message"]


async def test_patches_that_race_all_take_effect(api):
    await api("POST", CONFIGMAPS, configmap(data={}))
    path = f"{CONFIGMAPS}/one"
    answers = await asyncio.gather(*(api.patch(path, {"data": {f"k{i}": "v"}}) for i in range(20)))
    assert {a.status for a in answers} == {200}
    assert len((await api("GET", path)).doc["data"]) == 20


async def test_a_dry_run_is_checked_and_not_stored(api):
    made = await api("POST", f"{CONFIGMAPS}?dryRun=All", configmap())
    assert made.status == 201 and made.doc["metadata"]["uid"]
    assert (await api("GET", f"{CONFIGMAPS}/one")).status == 404
    assert (await api("POST", f"{CONFIGMAPS}?dryRun=Some", configmap())).status == 400
    await api("POST", CONFIGMAPS, configmap())
    assert (await api("POST", f"{CONFIGMAPS}?dryRun=All", configmap())).status == 409
    assert (await api("DELETE", f"{CONFIGMAPS}/one?dryRun=All")).status == 200
    patched = await api.patch(f"{CONFIGMAPS}/one?dryRun=All", {"data": {"a": "b"}})
    assert patched.doc["data"] == {"a": "b"}
    assert "data" not in (await api("GET", f"{CONFIGMAPS}/one")).doc


async def test_status_is_written_through_its_own_path_alone(api):
    await api("POST", DEPLOYMENTS, deployment())
    path = f"{DEPLOYMENTS}/web"
    await api.patch(path, {"status": {"replicas": 5}})
    assert "replicas" not in (await api("GET", path)).doc["status"]
    body = {"spec": {"replicas": 9}, "status": {"replicas": 5}}
    patched = (await api.patch(f"{path}/status", body)).doc
    assert patched["status"]["replicas"] == 5 and patched["spec"]["replicas"] == 1
    assert patched["metadata"]["generation"] == 1
    scaled = (await api.patch(path, {"spec": {"replicas": 2}})).doc
    assert scaled["metadata"]["generation"] == 2 and scaled["status"]["replicas"] == 5


async def test_writes_stay_in_their_tenant(server, api):
    await api("POST", "/api/v1/tenants", {"metadata": {"name": "acme"}})
    await api("POST", "/api/v1/tenants/acme/namespaces", {"metadata": {"name": "default"}})
    in_acme = "/api/v1/tenants/acme/namespaces/default/configmaps"
    assert (await api("POST", in_acme, configmap(data={"of": "acme"}))).status == 201
    assert (await api("POST", CONFIGMAPS, configmap(data={"of": "system"}))).status == 201
    prefixed = await api("GET", f"/tenants/acme{CONFIGMAPS}/one")
    assert prefixed.doc["data"] == {"of": "acme"}
    assert (await api("GET", f"{CONFIGMAPS}/one")).doc["data"] == {"of": "system"}
    beta = server.api(tenant_admin("beta"))
    assert (await beta("GET", f"{in_acme}/one")).status == 403
    assert (await api("POST", "/api/v1/tenants/all/namespaces", configmap())).status == 405


async def test_methods_that_are_not_served_are_refused(api):
    assert (await api("POST", f"{CONFIGMAPS}/one", configmap())).status == 405
    assert (await api("PUT", CONFIGMAPS, configmap())).status == 405
    assert (await api("POST", "/api/v1/configmaps", configmap())).status == 405
    assert (await api("DELETE", "/api/v1/tenants")).status == 405
    assert (await api("POST", "/readyz", b"{}")).status in (403, 405)
