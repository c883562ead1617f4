"""Unmodified kubectls make the same objects, whether they speak JSON (1.30) or protobuf (1.32)."""

import asyncio
from typing import Any

import pytest

from apiserver import Running, admin, serving
from ursa.onebox.tools import kubectl

SPEAKS_JSON = 30
SENT_PROTOBUF = "Content-Type: application/vnd.kubernetes.protobuf"
# kubectl's words, and the URL of what they make; "" where the answer is not stored.
COMMANDS = (
    ("create namespace dev", "/api/v1/namespaces/dev"),
    (
        "create deployment web --image=nginx --replicas=2 --port=80",
        "/apis/apps/v1/namespaces/default/deployments/web",
    ),
    (
        "create configmap words --from-literal=a=b --from-literal=nothing=",
        "/api/v1/namespaces/default/configmaps/words",
    ),
    (
        "create secret generic hidden --from-literal=a=b",
        "/api/v1/namespaces/default/secrets/hidden",
    ),
    ("create serviceaccount ci", "/api/v1/namespaces/default/serviceaccounts/ci"),
    (
        "create service clusterip web --tcp=80:8080",
        "/api/v1/namespaces/default/services/web",
    ),
    (
        "create role reader --verb=get,list --resource=pods",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/reader",
    ),
    (
        "create rolebinding r --role=reader --serviceaccount=default:ci",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/r",
    ),
    (
        "create clusterrole sum --aggregation-rule=rbac.example.org/a=b",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/sum",
    ),
    (
        "create priorityclass high --value=5 --description=x",
        "/apis/scheduling.k8s.io/v1/priorityclasses/high",
    ),
    ("create token ci --duration=10m", ""),
    ("auth can-i list pods", ""),
)
# Commands that go through kubectl's JSON path, on objects that protobuf made.
FOLLOWING = (
    ("expose deployment web --name=out --port=80", "/api/v1/namespaces/default/services/out"),
    ("run one --image=nginx --labels=a=b --port=80", "/api/v1/namespaces/default/pods/one"),
    (
        "set image deployment/web nginx=nginx:2",
        "/apis/apps/v1/namespaces/default/deployments/web",
    ),
)
GIVEN_BY_SERVER = ("uid", "creationTimestamp", "resourceVersion", "managedFields")


async def run(server: Running, version: int, words: str, home: str) -> tuple[int, str]:
    """Return the exit code, and all that kubectl said, requests included."""
    tls = admin()
    process = await asyncio.create_subprocess_exec(
        str(kubectl(version)),
        *("--server", server.url, "--certificate-authority", tls.ca, "--v=8"),
        *("--client-certificate", tls.cert, "--client-key", tls.key, *words.split()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"HOME": home},
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def objects_made(version: int, home: str) -> dict[str, Any]:
    """Run every command against a server of its own; return the objects by URL."""
    made = {}
    async with serving() as server:
        for words, url in (*COMMANDS, *FOLLOWING):
            code, said = await run(server, version, words, home)
            assert code == 0, said
            if (words, url) in COMMANDS:
                assert (SENT_PROTOBUF in said) is (version != SPEAKS_JSON), words
            if url:
                answer = await server.admin("GET", url)
                assert answer.status == 200
                made[url] = comparable(answer.doc)
    return made


def comparable(doc: Any) -> Any:
    """Return an object without what differs from server to server."""
    for name in GIVEN_BY_SERVER:
        doc["metadata"].pop(name, None)
    for name in ("clusterIP", "clusterIPs"):
        doc.get("spec", {}).pop(name, None)
    return doc


@pytest.mark.parametrize("version", [32, 33])
async def test_kubectl_makes_the_same_objects_by_protobuf_as_by_json(version, tmp_path):
    by_json = await objects_made(SPEAKS_JSON, str(tmp_path))
    assert await objects_made(version, str(tmp_path)) == by_json


async def test_a_kind_that_is_not_served_is_not_found(tmp_path):
    async with serving() as server:
        made = await run(server, 33, "create deployment web --image=nginx", str(tmp_path))
        assert made[0] == 0
        for words in ("autoscale deployment/web --max=3", "create job one --image=busybox"):
            code, said = await run(server, 33, words, str(tmp_path))
            assert code == 1 and "the server could not find the requested resource" in said
