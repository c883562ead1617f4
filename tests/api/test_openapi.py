import re

import msgspec
import pytest

from ursa.api.openapi import INDEX, document
from ursa.base.errors import NotAcceptable
from ursa.kinds.registry import RESOURCES

JSON = "application/json"
PROTOBUF = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"


def get(path):
    return msgspec.json.decode(document(path, JSON))


def group_versions():
    return [entry["serverRelativeURL"] for entry in get(INDEX)["paths"].values()]


def operation(made, resource, *, method):
    """Return the operation by which a client finds a kind, as kubectl looks for it."""
    root = f"/apis/{resource.group}" if resource.group else "/api"
    for place in ("", "/namespaces/{namespace}"):
        for name in ("", "/{name}"):
            path = f"{root}/{resource.version}{place}/{resource.plural}{name}"
            if found := made["paths"].get(path, {}).get(method):
                return found
    return None


def test_the_index_leads_to_a_document_for_every_group_version():
    assert get(INDEX)["paths"].keys() == {
        f"apis/{r.api_version}" if r.group else f"api/{r.version}" for r in RESOURCES
    }
    for url in group_versions():
        path, _, digest = url.partition("?hash=")
        assert re.fullmatch("[0-9A-F]{32}", digest)
        assert get(path)["openapi"] == "3.0.0"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_a_kind_s_schema_is_found_by_its_path_and_its_name(resource):
    root = f"/apis/{resource.group}" if resource.group else "/api"
    made = get(f"/openapi/v3{root}/{resource.version}")
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    found = operation(made, resource, method="post" if resource.is_virtual else "get")
    assert found["x-kubernetes-group-version-kind"] == gvk
    assert gvk in made["components"]["schemas"][resource.schema]["x-kubernetes-group-version-kind"]


def test_a_patch_says_that_the_server_validates_fields():
    for url in group_versions():
        made = get(url.partition("?")[0])
        for path, item in made["paths"].items():
            for method in ("post", "put", "patch"):
                if method in item:
                    names = {parameter["name"] for parameter in item[method]["parameters"]}
                    assert names >= {"fieldValidation", "dryRun"}, path


def test_every_reference_leads_to_a_schema():
    for url in group_versions():
        body = document(url.partition("?")[0], JSON).decode()
        schemas = msgspec.json.decode(body)["components"]["schemas"]
        targets = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', body))
        assert targets <= schemas.keys()


def test_operations_have_ids_of_their_own():
    for url in group_versions():
        made = get(url.partition("?")[0])
        ids = [
            found["operationId"]
            for item in made["paths"].values()
            for method, found in item.items()
            if method != "parameters"
        ]
        assert len(ids) == len(set(ids))


def test_what_apply_needs_to_merge_lists_is_there():
    schemas = get("/openapi/v3/apis/apps/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    reference = {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}
    assert containers["items"]["allOf"] == [reference]


def test_a_machine_is_explained():
    schemas = get("/openapi/v3/api/v1")["components"]["schemas"]
    machine = schemas["dev.ursa.core.v1.VirtualMachine"]["properties"]["powerSpec"]
    assert machine["description"] == "Running, Paused, Shutdown or Suspended."


def test_an_encoding_that_is_not_served_is_refused():
    with pytest.raises(NotAcceptable):
        document(INDEX, PROTOBUF)
    assert document(INDEX, f"{PROTOBUF},application/json") is not None


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3/apis/nope/v1", "/openapi"])
def test_there_is_no_other_document(path):
    assert document(path, JSON) is None


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/v1/namespaces/{namespace}/pods/{name}", "io.k8s.api.core.v1.Pod"),
        (
            "/api/v1/namespaces/{namespace}/configmaps/{name}",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        ),
    ],
)
def test_a_deletion_says_what_it_answers_with(path, answer):
    responses = get("/openapi/v3/api/v1")["paths"][path]["delete"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": f"#/components/schemas/{answer}"}
