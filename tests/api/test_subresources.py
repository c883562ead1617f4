"""Scale, binding, eviction, tokens, and what is not served."""

import asyncio

import pytest

from ursa.api.subresources import selector_text

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def web(api):
    labels = {"app": "web"}
    container = {"name": "main", "image": "busybox"}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    await api("POST", DEPLOYMENT.removesuffix("/web"), body)
    return api


async def test_a_scale_shows_and_changes_the_replicas(web):
    scale = (await web("GET", f"{DEPLOYMENT}/scale")).doc
    assert scale["kind"] == "Scale" and scale["apiVersion"] == "autoscaling/v1"
    assert scale["spec"] == {"replicas": 2} and scale["status"]["selector"] == "app=web"
    scale["spec"]["replicas"] = 5
    assert (await web("PUT", f"{DEPLOYMENT}/scale", scale)).doc["spec"] == {"replicas": 5}
    stale = await web("PUT", f"{DEPLOYMENT}/scale", scale)
    assert stale.status == 409
    patched = await web.patch(f"{DEPLOYMENT}/scale", {"spec": {"replicas": 0}})
    assert patched.doc["spec"] == {"replicas": 0}
    assert (await web("GET", DEPLOYMENT)).doc["metadata"]["generation"] == 3
    negative = await web.patch(f"{DEPLOYMENT}/scale", {"spec": {"replicas": -1}})
    assert negative.status == 422
    other = await web("PUT", f"{DEPLOYMENT}/scale", {"metadata": {"name": "db"}, "spec": {}})
    assert other.status == 400
    assert (await web("GET", f"{DEPLOYMENT}x/scale")).status == 404


def test_a_selector_is_written_in_the_grammar_of_lists():
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "a=1,b=2,c in (x,y),d notin (z),e,!f"


@pytest.fixture
async def pod(api):
    container = {"name": "main", "image": "busybox"}
    body = {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    return (await api("POST", PODS, body)).doc


def binding(node: str = "n1", **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"} | metadata,
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


async def test_a_binding_gives_the_pod_its_node_once(api, pod):
    wrong = await api("POST", f"{PODS}/p/binding", binding(uid="other"))
    assert wrong.status == 409
    bound = await api("POST", f"{PODS}/p/binding", binding(uid=pod["metadata"]["uid"]))
    assert bound.status == 201 and bound.doc["status"] == "Success"
    now = (await api("GET", f"{PODS}/p")).doc
    assert now["spec"]["nodeName"] == "n1"
    condition = next(c for c in now["status"]["conditions"] if c["type"] == "PodScheduled")
    assert condition["status"] == "True"
    again = await api("POST", f"{PODS}/p/binding", binding("n2"))
    assert again.status == 409 and 'already assigned to node "n1"' in again.doc["message"]


async def test_of_bindings_at_once_one_wins(api, pod):
    nodes = [f"n{i}" for i in range(8)]
    answers = await asyncio.gather(
        *(api("POST", f"{PODS}/p/binding", binding(node)) for node in nodes)
    )
    assert sorted(a.status for a in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, 422), ({"target": {"kind": "Pod", "name": "x"}}, 422), ({"target": 7}, 400)],
)
async def test_a_binding_to_nothing_is_refused(api, pod, body, code):
    assert (await api("POST", f"{PODS}/p/binding", body)).status == code


async def test_an_eviction_deletes(api, pod):
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert (await api("POST", f"{PODS}/p/eviction", body)).status == 201
    assert (await api("GET", f"{PODS}/p")).status == 404


async def test_a_service_accounts_token_is_its_identity(server, api):
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await api("POST", accounts, {"metadata": {"name": "bot"}})
    asked = await api("POST", f"{accounts}/bot/token", {"spec": {"expirationSeconds": 600}})
    assert asked.status == 201
    bearer = f"Bearer {asked.doc['status']['token']}"
    anonymous = server.api(None)
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = await anonymous("POST", path, {}, authorization=bearer)
    assert who.status == 201
    assert who.doc["status"]["userInfo"]["username"] == "system:serviceaccount:default:bot"
    assert (await anonymous("GET", PODS, authorization=bearer)).status == 403
    assert (await anonymous("GET", PODS, authorization=bearer + "x")).status == 401


@pytest.mark.parametrize("name", ["attach", "portforward", "ephemeralcontainers", "resize"])
async def test_what_is_not_there_yet_says_so(api, pod, name):
    answer = await api("GET", f"{PODS}/p/{name}")
    assert answer.status == 501 and answer.doc["reason"] == "NotImplemented"


async def test_logs_and_exec_of_a_pod_without_a_node_say_so(api, pod):
    log = await api("GET", f"{PODS}/p/log")
    assert log.status == 400 and "does not have a host" in log.doc["message"]
    assert (await api("GET", f"{PODS}/nope/log")).status == 404
    wrong = await api("GET", f"{PODS}/p/log?container=other")
    assert wrong.status == 400 and "container other is not valid" in wrong.doc["message"]
    spdy = await api(
        "POST", f"{PODS}/p/exec?command=ls", b"", upgrade="SPDY/3.1", connection="upgrade"
    )
    assert spdy.status == 400 and "kubectl 1.30" in spdy.doc["message"]
    plain = await api("GET", f"{PODS}/p/exec?command=ls")
    assert plain.status == 400 and "Upgrade request required" in plain.doc["message"]
