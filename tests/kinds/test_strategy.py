import copy

import pytest

from documents import BY_KIND, CONTAINER, deployment, merged, named, pod, stored
from ursa.kinds import strategy
from ursa.kinds.registry import RESOURCES


def updated(kind, old, changes):
    doc = merged(old, changes)
    before = copy.deepcopy(old)
    strategy.prepare_update(BY_KIND[kind], doc, old)
    assert old == before
    return doc


def test_a_client_cannot_create_an_object_with_a_status():
    made = stored("Pod", pod() | {"status": {"phase": "Running", "podIP": "10.0.0.9"}})
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert made["metadata"]["generation"] == 1


def test_a_node_registers_with_its_status():
    made = stored("Node", named("node-1", status={"capacity": {"cpu": "2"}}))
    assert made["status"] == {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}


@pytest.mark.parametrize(("kind", "token"), [("Namespace", "kubernetes"), ("Tenant", "ursa")])
def test_containers_of_objects_start_active_and_with_a_finalizer(kind, token):
    made = stored(kind, named("acme"))
    assert made["spec"]["finalizers"] == [token]
    assert made["status"] == {"phase": "Active"}


def test_server_owned_metadata_is_not_taken_from_a_create():
    doc = named(data={})
    doc["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}]}
    made = stored("ConfigMap", doc)
    assert made["metadata"].keys() == {"name", "namespace", "tenant"}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_kind_can_be_prepared(resource):
    doc = named()
    strategy.prepare_create(resource, doc)
    changed = copy.deepcopy(doc)
    strategy.prepare_update(resource, changed, doc)
    strategy.prepare_status(resource, changed, doc)
    assert changed == doc


def test_an_update_changes_neither_status_nor_what_the_server_owns():
    old = stored("Deployment", deployment())
    old["metadata"] |= {"uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    old["status"] = {"replicas": 3}
    changes = {
        "metadata": {"uid": "u2", "creationTimestamp": None, "labels": {"a": "b"}},
        "status": {"replicas": 9},
    }
    doc = updated("Deployment", old, changes)
    assert doc == merged(old, {"metadata": {"labels": {"a": "b"}}})


@pytest.mark.parametrize(
    ("changes", "generation"),
    [
        ({"spec": {"replicas": 5}}, 2),
        ({"metadata": {"annotations": {"a": "b"}}}, 1),
        ({"status": {"replicas": 5}}, 1),
        ({}, 1),
    ],
)
def test_generation_counts_changes_of_spec(changes, generation):
    old = stored("Deployment", deployment())
    assert updated("Deployment", old, changes)["metadata"]["generation"] == generation


@pytest.mark.parametrize("kind", ["Namespace", "Tenant"])
def test_an_update_cannot_take_the_finalizer_off_but_finalize_can(kind):
    old = stored(kind, named("acme"))
    assert updated(kind, old, {"spec": {"finalizers": []}}) == old
    doc = merged(old, {"spec": {"finalizers": []}, "metadata": {"labels": {"x": "y"}}})
    strategy.prepare_finalize(doc, old)
    assert doc == merged(old, {"spec": {"finalizers": []}})


def test_a_status_write_takes_status_alone():
    old = stored("Pod", pod())
    doc = merged(old, {"spec": {"nodeName": "n"}, "status": {"phase": "Running", "qosClass": "x"}})
    strategy.prepare_status(BY_KIND["Pod"], doc, old)
    assert doc == merged(old, {"status": {"phase": "Running"}})


@pytest.mark.parametrize(
    ("containers", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        (
            [{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}],
            "Guaranteed",
        ),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}}], "Burstable"),
        ([{"limits": {"example.com/gpu": "1"}}], "BestEffort"),
    ],
)
def test_a_pod_s_quality_of_service_follows_from_its_resources(containers, qos):
    listed = [
        CONTAINER | {"name": f"c{index}", "resources": resources}
        for index, resources in enumerate(containers)
    ]
    assert stored("Pod", pod(containers=listed))["status"]["qosClass"] == qos
