"""Deletion, by real requests."""

import pytest

from ursa.api.removal import Options, marked
from ursa.kinds.registry import find

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


async def make_pod(api, name: str = "p", node: str = "", **spec):
    container = {"name": "main", "image": "busybox"}
    body = {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    if node:
        body["spec"]["nodeName"] = node
    answer = await api("POST", PODS, body)
    assert answer.status == 201, answer.raw
    return answer.doc


async def test_what_waits_for_nothing_goes_at_once(api):
    made = (await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})).doc
    gone = await api("DELETE", f"{CONFIGMAPS}/a")
    assert gone.status == 200 and gone.doc["status"] == "Success"
    assert gone.doc["details"]["uid"] == made["metadata"]["uid"]
    assert (await api("GET", f"{CONFIGMAPS}/a")).status == 404
    assert (await api("DELETE", f"{CONFIGMAPS}/a")).status == 404


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(api):
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["x.dev/y"]}})
    marked_ = await api("DELETE", f"{CONFIGMAPS}/a")
    assert marked_.status == 200 and marked_.doc["metadata"]["deletionTimestamp"]
    again = await api("DELETE", f"{CONFIGMAPS}/a")
    assert again.doc["metadata"]["resourceVersion"] == marked_.doc["metadata"]["resourceVersion"]
    freed = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}})
    assert freed.status == 200
    assert (await api("GET", f"{CONFIGMAPS}/a")).status == 404


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Orphan", ["orphan"]), ("Foreground", ["foregroundDeletion"]), ("Background", None)],
)
async def test_a_propagation_policy_is_left_to_the_collector(api, policy, finalizers):
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    await api("DELETE", f"{CONFIGMAPS}/a", {"propagationPolicy": policy})
    left = await api("GET", f"{CONFIGMAPS}/a")
    assert (left.status == 404) is (finalizers is None)
    if finalizers:
        assert left.doc["metadata"]["finalizers"] == finalizers


async def test_preconditions_protect_a_successor_of_the_same_name(api):
    made = (await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})).doc["metadata"]
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        refused = await api("DELETE", f"{CONFIGMAPS}/a", {"preconditions": wrong})
        assert refused.status == 409 and "Precondition failed" in refused.doc["message"]
    right = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
    assert (await api("DELETE", f"{CONFIGMAPS}/a", {"preconditions": right})).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"propagationPolicy": "Sideways"},
        {"gracePeriodSeconds": -1},
        {"gracePeriodSeconds": "soon"},
        {"kind": "Pod"},
        {"preconditions": 7},
    ],
)
async def test_options_that_mean_nothing_are_refused(api, body):
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    assert (await api("DELETE", f"{CONFIGMAPS}/a", body)).status == 400
    assert (await api("GET", f"{CONFIGMAPS}/a")).status == 200


async def test_a_pod_that_runs_nowhere_goes_at_once(api):
    await make_pod(api)
    gone = await api("DELETE", f"{PODS}/p")
    assert gone.status == 200 and gone.doc["kind"] == "Pod"
    assert (await api("GET", f"{PODS}/p")).status == 404


async def test_a_bound_pod_ends_in_its_grace_and_goes_when_the_agent_says(api):
    await make_pod(api, node="n1", terminationGracePeriodSeconds=20)
    first = (await api("DELETE", f"{PODS}/p")).doc["metadata"]
    assert first["deletionGracePeriodSeconds"] == 20 and first["deletionTimestamp"]
    longer = (await api("DELETE", f"{PODS}/p?gracePeriodSeconds=60")).doc["metadata"]
    assert longer["deletionGracePeriodSeconds"] == 20
    shorter = (await api("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})).doc["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < first["deletionTimestamp"]
    assert (await api("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})).status == 200
    assert (await api("GET", f"{PODS}/p")).status == 404


def test_a_finished_pod_needs_no_grace():
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Succeeded"},
    }
    gone = marked(find("", "v1", "pods"), pod, Options(), 1_000.0)
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert "deletionTimestamp" not in pod["metadata"]


async def test_a_namespace_ends_by_its_finalizer(api):
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "dev"}})
    path = "/api/v1/namespaces/dev"
    ending = (await api("DELETE", path)).doc
    assert ending["status"]["phase"] == "Terminating" and ending["metadata"]["deletionTimestamp"]
    again = await api("DELETE", path)
    assert again.status == 409 and "ensuring all content is removed" in again.doc["message"]
    refused = await api("POST", f"{path}/configmaps", {"metadata": {"name": "late"}})
    assert refused.status == 403
    ending["spec"]["finalizers"] = []
    assert (await api("PUT", f"{path}/finalize", ending)).status == 200
    assert (await api("GET", path)).status == 404


async def test_a_collection_is_deleted_as_far_as_it_is_selected(api):
    for name in "abc":
        labels = {"x": "y"} if name != "b" else {}
        await api("POST", CONFIGMAPS, {"metadata": {"name": name, "labels": labels}})
    gone = await api("DELETE", f"{CONFIGMAPS}?labelSelector=x%3Dy")
    assert [item["metadata"]["name"] for item in gone.doc["items"]] == ["a", "c"]
    left = (await api("GET", CONFIGMAPS)).doc["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]
