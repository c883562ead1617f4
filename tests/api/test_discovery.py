import msgspec
import pytest

from ursa.api.discovery import VERSION, aggregated_version, answer
from ursa.api.message import Headers, Request
from ursa.base.errors import MethodNotAllowed
from ursa.kinds.registry import RESOURCES

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
KUBECTL_1_32 = f"{V2},{V2BETA1},application/json"
KUBECTL_1_27 = f"{V2BETA1},application/json"
KINDS_OF_NO_TENANT = {"nodes", "tenants", "priorityclasses"}


def ask(path, accept="application/json", *, for_tenant=False, method="GET", **headers):
    given = Headers({"accept": accept} | headers)
    return answer(Request(method, path.encode(), given), path, for_tenant=for_tenant)


def document(path, accept="application/json", *, for_tenant=False):
    return msgspec.json.decode(ask(path, accept, for_tenant=for_tenant).body)


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        (KUBECTL_1_32, "v2"),
        (KUBECTL_1_27, "v2beta1"),
        (f"application/json,{V2}", ""),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*", ""),
        ("application/json;g=other;v=v2;as=APIGroupDiscoveryList", ""),
        ("text/html", ""),
    ],
)
def test_the_form_that_the_client_names_first_is_the_one_it_gets(accept, version):
    assert aggregated_version(accept) == version


@pytest.mark.parametrize(
    ("accept", "version", "content_type"),
    [(KUBECTL_1_32, "v2", V2), (KUBECTL_1_27, "v2beta1", V2BETA1)],
)
def test_aggregated_discovery_says_which_version_it_is(accept, version, content_type):
    for path in ("/api", "/apis"):
        response = ask(path, accept)
        made = msgspec.json.decode(response.body)
        assert made["apiVersion"] == f"apidiscovery.k8s.io/{version}"
        assert response.content_type == content_type


def test_every_resource_is_found_by_aggregated_discovery():
    found = {
        (group["metadata"].get("name", ""), version["version"], resource["resource"])
        for path in ("/api", "/apis")
        for group in document(path, V2)["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    assert found == {(r.group, r.version, r.plural) for r in RESOURCES}


def test_every_resource_is_found_by_the_plain_lists():
    groups = [group["preferredVersion"]["groupVersion"] for group in document("/apis")["groups"]]
    paths = [f"/apis/{group_version}" for group_version in groups]
    paths += [f"/api/{version}" for version in document("/api")["versions"]]
    found = {
        (made["groupVersion"], resource["name"])
        for made in map(document, paths)
        for resource in made["resources"]
        if "/" not in resource["name"]
    }
    assert found == {(r.api_version, r.plural) for r in RESOURCES}


def test_a_deployment_is_described_as_kubernetes_describes_it():
    entries = {entry["name"]: entry for entry in document("/apis/apps/v1")["resources"]}
    assert entries["deployments"] == {
        "name": "deployments",
        "singularName": "deployment",
        "namespaced": True,
        "tenanted": True,
        "kind": "Deployment",
        "verbs": [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
        "shortNames": ["deploy"],
        "categories": ["all"],
    }
    scale = entries["deployments/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_a_kind_of_the_tenant_is_cluster_scoped_to_kubernetes_clients():
    (core,) = document("/api", V2)["items"]
    scopes = {r["resource"]: r["scope"] for r in core["versions"][0]["resources"]}
    assert (scopes["namespaces"], scopes["pods"]) == ("Cluster", "Namespaced")


def test_a_tenant_s_caller_is_not_shown_the_kinds_of_no_tenant():
    (core,) = document("/api", V2, for_tenant=True)["items"]
    listed = {entry["name"] for entry in document("/api/v1", for_tenant=True)["resources"]}
    aggregated = {r["resource"] for r in core["versions"][0]["resources"]}
    assert not (listed | aggregated) & KINDS_OF_NO_TENANT
    assert aggregated >= {"pods", "namespaces"}
    assert {entry["name"] for entry in document("/api/v1")["resources"]} >= {"nodes", "tenants"}


def test_the_version_is_one_that_clients_can_compare():
    assert document("/version") == VERSION
    assert VERSION["gitVersion"].startswith("v1.32.")


def test_a_group_names_its_versions():
    assert document("/apis/apps")["versions"] == [{"groupVersion": "apps/v1", "version": "v1"}]


@pytest.mark.parametrize("path", ["/", "/apis/nope", "/apis/apps/v2", "/openapi/v2", "/api/v1/x"])
def test_other_paths_are_not_discovery_s(path):
    assert ask(path) is None


def test_a_client_that_has_the_document_is_not_sent_it_again():
    first = ask("/apis", V2)
    etag = dict(first.headers)["ETag"]
    again = ask("/apis", V2, **{"if-none-match": etag})
    assert (again.status, again.body) == (304, b"")
    assert ask("/apis", V2BETA1, **{"if-none-match": etag}).status == 200


def test_discovery_is_read_only():
    with pytest.raises(MethodNotAllowed):
        ask("/apis", method="POST")
