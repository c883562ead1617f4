import copy

import msgspec
import pytest

from documents import BY_KIND, CONTAINER, deployment, named, pod, service, stored, vm_pod
from ursa.kinds.defaults import default
from ursa.kinds.deployment import Deployment
from ursa.kinds.pod_defaults import pull_policy
from ursa.kinds.schema import conform

RICH_CONTAINER = {
    "name": "c",
    "image": "busybox:1.36",
    "command": ["sh"],
    "env": [
        {"name": "A", "value": "1"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
    ],
    "envFrom": [{"configMapRef": {"name": "cm"}}],
    "ports": [{"containerPort": 80, "name": "http"}],
    "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
    "livenessProbe": {"httpGet": {"port": "http"}, "failureThreshold": 5},
    "readinessProbe": {"tcpSocket": {"port": 80}},
    "startupProbe": {"exec": {"command": ["true"]}},
    "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    "securityContext": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}},
}
RICH_SPEC = {
    "containers": [RICH_CONTAINER],
    "volumes": [
        {"name": "tmp"},
        {"name": "cm", "configMap": {"name": "cm"}},
        {"name": "host", "hostPath": {"path": "/etc"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "x"}}]}},
                ]
            },
        },
    ],
    "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 0}],
    "affinity": {"podAntiAffinity": {}},
    "terminationGracePeriodSeconds": 0,
    "automountServiceAccountToken": False,
    "securityContext": {"fsGroup": 0},
}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("registry:5000/busybox", "Always"),
        ("registry:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:00", "IfNotPresent"),
    ],
)
def test_an_image_without_a_fixed_tag_is_always_pulled(image, policy):
    assert pull_policy(image) == policy


def test_a_pod_gets_kubernetes_defaults():
    spec = stored("Pod", pod())["spec"]
    assert {key: spec[key] for key in spec if key != "containers"} == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
    }
    assert spec["containers"] == [
        CONTAINER
        | {
            "resources": {},
            "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]


def test_probes_ports_and_sources_get_kubernetes_defaults():
    made = stored("Pod", pod(**RICH_SPEC))["spec"]
    (container,) = made["containers"]
    assert container["livenessProbe"] == {
        "httpGet": {"port": "http", "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 5,
    }
    assert container["ports"] == [{"containerPort": 80, "name": "http", "protocol": "TCP"}]
    assert container["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["env"][2]["valueFrom"]["resourceFieldRef"]["divisor"] == "0"
    assert container["lifecycle"]["preStop"]["httpGet"]["path"] == "/"
    empty, config_map, host, projected = made["volumes"]
    assert empty == {"name": "tmp", "emptyDir": {}}
    assert config_map["configMap"]["defaultMode"] == 0o644
    assert host["hostPath"]["type"] == ""
    token = projected["projected"]["sources"][0]["serviceAccountToken"]
    assert token["expirationSeconds"] == 3600


@pytest.mark.parametrize("kind", ["container", "machine"])
def test_requests_are_taken_from_limits(kind):
    limits, requests = {"cpu": "2", "memory": "1Gi"}, {"cpu": "1"}
    resources = {"limits": limits, "requests": requests}
    if kind == "container":
        made = stored("Pod", pod(containers=[CONTAINER | {"resources": resources}]))
        (workload,) = made["spec"]["containers"]
    else:
        workload = stored("Pod", vm_pod(resources=resources))["spec"]["virtualMachine"]
    assert workload["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


def test_requests_in_a_template_are_left_to_its_pods():
    container = CONTAINER | {"resources": {"limits": {"cpu": "2"}}}
    made = stored("Deployment", deployment(template={"spec": {"containers": [container]}}))
    (workload,) = made["spec"]["template"]["spec"]["containers"]
    assert workload["resources"] == {"limits": {"cpu": "2"}}


def test_a_virtual_machine_gets_arktos_defaults():
    machine = stored("Pod", vm_pod())["spec"]["virtualMachine"]
    assert machine == {
        "name": "vm",
        "image": "tiny",
        "resources": {},
        "imagePullPolicy": "IfNotPresent",
        "shutdownBehavior": "stop",
        "powerSpec": "Running",
    }


def test_interfaces_without_a_name_are_numbered():
    made = stored("Pod", pod(nics=[{"subnetName": "a"}, {"subnetName": "b"}]))
    assert [nic["name"] for nic in made["spec"]["nics"]] == ["eth0", "eth1"]


def test_host_network_ports_are_host_ports():
    container = CONTAINER | {"ports": [{"containerPort": 80}]}
    made = stored("Pod", pod(hostNetwork=True, containers=[container]))
    assert made["spec"]["containers"][0]["ports"][0]["hostPort"] == 80


def test_a_deployment_gets_kubernetes_defaults():
    spec = stored("Deployment", deployment())["spec"]
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)


def test_a_recreated_deployment_has_no_rolling_update():
    spec = stored("Deployment", deployment(strategy={"type": "Recreate"}))["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


def test_a_service_gets_kubernetes_defaults():
    assert stored("Service", service())["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"app": "web"},
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }


def test_plain_text_of_a_secret_is_stored_as_base64():
    doc = named(data={"a": "MQ==", "b": "MQ=="}, stringData={"b": "two"})
    made = stored("Secret", doc)
    assert made["data"] == {"a": "MQ==", "b": "dHdv"} and "stringData" not in made
    assert made["type"] == "Opaque"


def test_a_namespace_is_labelled_with_its_name():
    labels = stored("Namespace", named("dev"))["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "dev"}


def test_tenants_networks_and_bindings_get_their_defaults():
    tenant = stored("Tenant", named("acme"))["spec"]
    assert (tenant["defaultVpcCidr"], tenant["serviceCidr"]) == ("10.0.0.0/16", "10.96.0.0/16")
    assert stored("Vpc", named(spec={"cidr": "10.0.0.0/16"}))["spec"]["mtuBytes"] == 1500
    doc = named(
        roleRef={"kind": "Role", "name": "r"},
        subjects=[{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}],
    )
    made = stored("RoleBinding", doc)
    group = "rbac.authorization.k8s.io"
    assert made["roleRef"]["apiGroup"] == group
    assert [subject.get("apiGroup") for subject in made["subjects"]] == [group, None]


@pytest.mark.parametrize(
    ("kind", "doc"),
    [
        ("Pod", pod(**RICH_SPEC)),
        ("Pod", vm_pod(resources={"limits": {"cpu": "1"}})),
        ("Deployment", deployment(template={"spec": RICH_SPEC})),
        ("Service", service(type="LoadBalancer", sessionAffinity="ClientIP")),
        ("Secret", named(stringData={"a": "b"})),
    ],
)
def test_defaulting_twice_changes_nothing(kind, doc):
    once = stored(kind, doc)
    twice = copy.deepcopy(once)
    default(BY_KIND[kind], twice)
    assert twice == once


def test_a_template_read_by_a_view_and_written_back_is_the_same_template():
    made = stored("Deployment", deployment(template={"spec": RICH_SPEC}))
    view = msgspec.convert(made, Deployment)
    back = {
        "metadata": made["metadata"],
        "spec": msgspec.json.decode(msgspec.json.encode(view.spec)),
    }
    assert conform(BY_KIND["Deployment"], back) == []
    default(BY_KIND["Deployment"], back)
    assert back["spec"] == made["spec"]
