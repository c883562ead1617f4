"""A day of work with unmodified clients: kubectl of four releases, Helm, four Python libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from cloud import Cloud, until
from ursa.onebox import tools

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def tenant(onebox: Cloud):
    """A tenant whose administrator works with unmodified clients."""
    document = {"apiVersion": "v1", "kind": "Tenant", "metadata": {"name": "clients"}}
    onebox.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))
    onebox.kubectl("wait", "--for=condition=Ready", "tenant/clients", "--timeout=30s")
    yield "clients"
    onebox.kubectl("delete", "tenant", "clients", "--timeout=60s")


def web(name: str) -> str:
    return textwrap.dedent(f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: {name}}}
        spec:
          replicas: 1
          selector: {{matchLabels: {{app: {name}}}}}
          template:
            metadata: {{labels: {{app: {name}}}}}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
              - name: web
                image: busybox
                command: [sh, -c, "echo started; exec sleep 3600"]
    """)


@pytest.mark.parametrize("version", [30, 31, 32, 33])
def test_a_day_with_kubectl(onebox: Cloud, tenant: str, version: int):
    def kubectl(*words: str, stdin: str = "") -> str:
        return onebox.kubectl(*words, tenant=tenant, version=version, stdin=stdin)

    name = f"day{version}"
    assert f"deployment.apps/{name} created" in kubectl("apply", "-f", "-", stdin=web(name))
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=web(name))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    assert "started" in kubectl("logs", f"deployment/{name}")
    assert "hello" in kubectl("exec", f"deployment/{name}", "--", "echo", "hello")
    assert "piped" in kubectl("exec", "-i", f"deployment/{name}", "--", "cat", stdin="piped")
    kubectl("set", "env", f"deployment/{name}", "A=1")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    kubectl("rollout", "undo", f"deployment/{name}")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    assert "REVISION" in kubectl("rollout", "history", f"deployment/{name}")
    kubectl("scale", f"deployment/{name}", "--replicas=0")
    kubectl("label", "deployment", name, "tier=web")
    assert name in kubectl("get", "deployments", "-l", "tier=web")
    kubectl("annotate", "deployment", name, "note=x")
    kubectl(
        "patch",
        "deployment",
        name,
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/metadata/labels/tier"}]',
    )
    assert "replicas" in kubectl("explain", "deployment.spec")
    assert "Replicas" in kubectl("describe", "deployment", name)
    assert kubectl("auth", "can-i", "create", "pods").strip() == "yes"
    assert "pods" in kubectl("api-resources")
    kubectl("create", "configmap", f"{name}-c", "--from-literal=a=b")
    assert kubectl("get", "configmap", f"{name}-c", "-o", "jsonpath={.data.a}") == "b"
    kubectl("delete", "configmap", f"{name}-c")
    kubectl("delete", "deployment", name, "--timeout=60s")


def test_an_exit_code_comes_through_exec(onebox: Cloud, tenant: str):
    onebox.kubectl("run", "code", "--image=busybox", "--", "sleep", "3600", tenant=tenant)
    onebox.kubectl("wait", "--for=condition=Ready", "pod/code", "--timeout=60s", tenant=tenant)
    said = onebox.kubectl("exec", "code", "--", "sh", "-c", "exit 7", tenant=tenant, check=False)
    assert "exit code 7" in said
    onebox.kubectl("delete", "pod", "code", "--grace-period=1", tenant=tenant)


def chart(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: site\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("replicas: 1\n")
    template = web("site").replace("replicas: 1", "replicas: {{ .Values.replicas }}")
    (folder / "templates" / "web.yaml").write_text(template)
    (folder / "templates" / "note.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: site}\ndata: {n: '{{ .Values.replicas }}'}\n"
    )
    return folder


def test_helm_installs_upgrades_rolls_back_and_uninstalls(onebox: Cloud, tenant: str, tmp_path):
    folder = chart(tmp_path / "site")

    def helm(*words: str) -> str:
        command = [str(tools.helm()), "--kubeconfig", str(onebox.kubeconfig(tenant)), *words]
        environment = os.environ | {"HOME": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"helm {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def replicas() -> int:
        found = onebox.get("deployment", "site", tenant=tenant)
        return int(found["status"].get("readyReplicas", 0))

    helm("install", "site", str(folder), "--wait", "--timeout", "60s")
    assert replicas() == 1
    helm("upgrade", "site", str(folder), "--set", "replicas=2", "--wait", "--timeout", "60s")
    assert replicas() == 2
    helm("rollback", "site", "1", "--wait", "--timeout", "60s")
    until(lambda: replicas() == 1)
    assert "site" in helm("list")
    helm("uninstall", "site", "--wait", "--timeout", "60s")
    assert "NotFound" in onebox.kubectl("get", "deployment", "site", tenant=tenant, check=False)


SCRIPTS = {
    "kubernetes": """
        from kubernetes import client, config, watch
        config.load_kube_config(path)
        core = client.CoreV1Api()
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="k8s", labels={"a": "b"}), data={"x": "1"})
        core.create_namespaced_config_map("default", body)
        core.patch_namespaced_config_map("k8s", "default", {"data": {"x": "2"}})
        found = core.list_namespaced_config_map("default", label_selector="a=b")
        assert found.items[0].data == {"x": "2"}
        for event in watch.Watch().stream(core.list_namespaced_config_map, "default", label_selector="a=b", timeout_seconds=20):
            assert event["type"] == "ADDED"
            break
        core.delete_namespaced_config_map("k8s", "default")
        try:
            core.read_namespaced_config_map("k8s", "default")
        except client.ApiException as fault:
            assert fault.status == 404
        else:
            raise AssertionError("still there")
    """,
    "lightkube": """
        from lightkube import Client, KubeConfig
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import ConfigMap
        client = Client(config=KubeConfig.from_file(path))
        client.create(ConfigMap(metadata=ObjectMeta(name="light", namespace="default"), data={"x": "1"}))
        client.patch(ConfigMap, "light", {"data": {"y": "2"}}, namespace="default")
        assert client.get(ConfigMap, "light", namespace="default").data == {"x": "1", "y": "2"}
        assert "light" in [c.metadata.name for c in client.list(ConfigMap, namespace="default")]
        for kind, found in client.watch(ConfigMap, namespace="default"):
            assert kind == "ADDED"
            break
        client.delete(ConfigMap, "light", namespace="default")
    """,
    "kr8s": """
        import kr8s
        from kr8s.objects import ConfigMap, Pod
        api = kr8s.api(kubeconfig=path)
        made = ConfigMap({"metadata": {"name": "kr8s", "namespace": "default"}, "data": {"x": "1"}}, api=api)
        made.create()
        made.patch({"data": {"x": "2"}})
        found = ConfigMap.get("kr8s", namespace="default", api=api)
        assert found.data["x"] == "2"
        assert "kr8s" in [c.name for c in api.get("configmaps", namespace="default")]
        found.delete()
        pod = Pod({"metadata": {"name": "kr8s", "namespace": "default"},
                   "spec": {"terminationGracePeriodSeconds": 1, "containers": [
                       {"name": "c", "image": "busybox", "command": ["sleep", "3600"]}]}}, api=api)
        pod.create()
        pod.wait("condition=Ready", timeout=60)
        pod.delete()
    """,
}


@pytest.mark.parametrize("library", sorted(SCRIPTS))
def test_a_python_client_works_unmodified(onebox: Cloud, tenant: str, library: str):
    path = onebox.kubeconfig(tenant)
    script = f"path = {str(path)!r}\n" + textwrap.dedent(SCRIPTS[library])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


OPERATOR = """
import kopf

@kopf.on.create("configmaps", labels={"greet": kopf.PRESENT})
def greet(body, patch, **_):
    patch.setdefault("data", {})["greeting"] = "hello " + body["metadata"]["labels"]["greet"]

"""


def test_a_kopf_operator_reconciles(onebox: Cloud, tenant: str, tmp_path):
    (tmp_path / "operator.py").write_text(OPERATOR)
    environment = os.environ | {"KUBECONFIG": str(onebox.kubeconfig(tenant)), "PYTHONPATH": ""}
    kopf = Path(sys.prefix, "bin", "kopf")
    with (tmp_path / "log").open("w") as log:
        command = [str(kopf), "run", str(tmp_path / "operator.py"), "-n", "default", "--standalone"]
        operator = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        onebox.kubectl("create", "configmap", "greeted", tenant=tenant)
        onebox.kubectl("label", "configmap", "greeted", "greet=ann", tenant=tenant)
        until(lambda: greeting(onebox, tenant) == "hello ann", timeout_s=60)
    except AssertionError as fault:
        raise AssertionError((tmp_path / "log").read_text()[-3000:]) from fault
    finally:
        operator.terminate()
        operator.wait(timeout=30)


def greeting(onebox: Cloud, tenant: str) -> str:
    found = onebox.get("configmap", "greeted", tenant=tenant)
    return str(found.get("data", {}).get("greeting", ""))
