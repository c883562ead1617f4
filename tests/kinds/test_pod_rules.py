# A message stands whole, so that a search finds it.
# ruff: noqa: E501
"""One line a rule of pods: a document, and the fault that it has."""

import pytest

from documents import CONTAINER, faults, merged, pod, vm_pod
from ursa.kinds.vm import USER_DATA_BYTES_MAX

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
PORT_RANGE = "must be between 1 and 65535, inclusive"


def volume(**source):
    return pod(volumes=[{"name": "v", **source}])


def container(**fields):
    return pod(containers=[merged(CONTAINER, fields)])


@pytest.mark.parametrize(
    ("doc", "fault"),
    [
        (pod(containers=None), "spec.containers: Required value"),
        (pod(containers=[]), "spec.containers: Required value"),
        (container(name=None), "spec.containers[0].name: Required value"),
        (container(name="A"), f'spec.containers[0].name: Invalid value: "A": {LABEL}'),
        (container(image=None), "spec.containers[0].image: Required value"),
        (
            pod(containers=[CONTAINER, CONTAINER]),
            'spec.containers[1].name: Duplicate value: "c"',
        ),
        (
            container(imagePullPolicy="Sometimes"),
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: '
            '"Always", "IfNotPresent", "Never"',
        ),
        (
            container(ports=[{"containerPort": 70000}]),
            f"spec.containers[0].ports[0].containerPort: Invalid value: 70000: {PORT_RANGE}",
        ),
        (
            container(ports=[{"name": "a"}]),
            "spec.containers[0].ports[0].containerPort: Required value",
        ),
        (
            container(ports=[{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]),
            'spec.containers[0].ports[1].name: Duplicate value: "a"',
        ),
        (container(env=[{"value": "x"}]), "spec.containers[0].env[0].name: Required value"),
        (
            container(env=[{"name": "A", "valueFrom": {}}]),
            'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, '
            "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        (
            container(
                env=[
                    {
                        "name": "A",
                        "value": "x",
                        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                    }
                ]
            ),
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when '
            "`value` is not empty",
        ),
        (
            container(envFrom=[{"secretRef": {}}]),
            "spec.containers[0].envFrom[0].secretRef.name: Required value",
        ),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        ),
        (
            container(resources={"requests": {"cpu": "-1"}}),
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or '
            "equal to 0",
        ),
        (
            container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal '
            "to cpu limit of 1",
        ),
        (
            container(resources={"requests": {"speed": "1"}}),
            'spec.containers[0].resources.requests[speed]: Invalid value: "speed": must be a standard '
            "resource for containers",
        ),
        (
            container(livenessProbe={}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            container(livenessProbe={"tcpSocket": {"port": 80}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            container(readinessProbe={"tcpSocket": {"port": 0}}),
            f"spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: 0: {PORT_RANGE}",
        ),
        (
            container(readinessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 "
            "handler type",
        ),
        (
            pod(initContainers=[{"name": "i", "image": "x", "lifecycle": {}}]),
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without "
            "restartPolicy=Always",
        ),
        (
            pod(restartPolicy="Perhaps"),
            'spec.restartPolicy: Unsupported value: "Perhaps": supported values: "Always", "Never", '
            '"OnFailure"',
        ),
        (
            pod(activeDeadlineSeconds=0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            pod(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
            'spec.tolerations[0].operator: Invalid value: {"key":"a","operator":"Exists","value":"b"}: '
            "value must be empty when `operator` is 'Exists'",
        ),
        (
            pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone"}]),
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Required value",
        ),
        (
            pod(
                affinity={
                    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}
                }
            ),
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]."
            "topologyKey: Required value: can not be empty",
        ),
        (volume(configMap={}), "spec.volumes[0].configMap.name: Required value"),
        (volume(secret={}), "spec.volumes[0].secret.secretName: Required value"),
        (
            volume(hostPath={"path": "/a/../b"}),
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            volume(configMap={"name": "c", "items": [{"key": "k", "path": "/etc"}]}),
            'spec.volumes[0].configMap.items[0].path: Invalid value: "/etc": must be a relative path',
        ),
        (
            volume(configMap={"name": "c", "defaultMode": 0o1000}),
            "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 "
            "and 0777 (octal), both inclusive",
        ),
        (
            volume(emptyDir={}, secret={"secretName": "s"}),
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        (
            volume(nfs={"server": "s", "path": "/"}),
            "spec.volumes[0].nfs: Forbidden: no node can fill this type of volume: use one of "
            "configMap, downwardAPI, emptyDir, hostPath, projected, secret",
        ),
        (
            pod(volumes=[{"name": "v"}, {"name": "v"}]),
            'spec.volumes[1].name: Duplicate value: "v"',
        ),
        (
            pod(nics=[{"name": "eth0"}, {"name": "eth0"}]),
            'spec.nics[1].name: Duplicate value: "eth0"',
        ),
        (
            pod(nics=[{"name": "eth0", "ipAddress": "10.0.0"}]),
            'spec.nics[0].ipAddress: Invalid value: "10.0.0": must be a valid IP address, '
            "(e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
    ],
)
def test_a_pod_is_checked(doc, fault):
    assert faults("Pod", doc) == [fault]


@pytest.mark.parametrize(
    ("doc", "fault"),
    [
        (
            merged(vm_pod(), {"spec": {"containers": [CONTAINER]}}),
            "spec.containers,virtualMachine: Forbidden: containers and virtualMachine workloads in "
            "same pod",
        ),
        (
            merged(vm_pod(), {"spec": {"containers": []}}),
            "spec.containers,virtualMachine: Forbidden: containers and virtualMachine workloads in "
            "same pod",
        ),
        (
            vm_pod(name=None),
            "spec.virtualMachine.name: Required value: virtual machine name cannot be empty",
        ),
        (vm_pod(image=None), "spec.virtualMachine.image: Required value"),
        (
            vm_pod(powerSpec="running"),
            'spec.virtualMachine.powerSpec: Unsupported value: "running": supported values: "Paused", '
            '"Running", "Shutdown", "Suspended"',
        ),
        (
            vm_pod(userData="A" * 4 * (USER_DATA_BYTES_MAX // 3 + 1)),
            "spec.virtualMachine.userData: Too long: may not be more than 65535 bytes",
        ),
        (
            vm_pod(userData="MQ==", cloudInitUserDataScript="#!/bin/sh"),
            "spec.virtualMachine.cloudInitUserDataScript: Forbidden: may not be specified together "
            "with `userData`",
        ),
        (
            vm_pod(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            'spec.virtualMachine.volumeMounts[0].name: Not found: "v"',
        ),
    ],
)
def test_a_virtual_machine_is_checked(doc, fault):
    assert faults("Pod", doc) == [fault]


def test_every_fault_of_a_document_is_told():
    doc = pod(containers=[{"name": "A"}, {"image": "x"}], restartPolicy="No")
    assert [fault.split(":")[0] for fault in faults("Pod", doc)] == [
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.containers[1].name",
        "spec.restartPolicy",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"containers": [CONTAINER | {"image": "other"}]},
        {"activeDeadlineSeconds": 10},
        {"tolerations": [{"key": "a", "operator": "Exists"}]},
    ],
)
def test_a_pod_may_get_another_image_a_deadline_and_more_tolerations(change):
    assert faults("Pod", pod(**change), pod()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"nodeName": "n"},
        {"hostNetwork": True},
        {"containers": [CONTAINER | {"command": ["sh"]}]},
        {"containers": [CONTAINER, {"name": "d", "image": "x"}]},
        {"serviceAccountName": "other"},
    ],
)
def test_nothing_else_of_a_pod_may_change(change):
    (fault,) = faults("Pod", pod(**change), pod())
    assert fault.startswith("spec: Forbidden: pod updates may not change fields other than")


def test_the_power_of_a_machine_may_change_and_its_image_not():
    assert faults("Pod", vm_pod(powerSpec="Shutdown"), vm_pod()) == []
    assert len(faults("Pod", vm_pod(image="other"), vm_pod())) == 1
