"""What an absent field of a pod, or of a pod template, means: written when it is stored.

Source: Kubernetes, pkg/apis/core/v1/defaults.go; Arktos for virtual machines, which there do
not get requests from limits and so are scheduled as if they asked for nothing: here they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ursa.kinds.vm_mirror import reflect
from ursa.kinds.volume import DEFAULT_MODE

Document = dict[str, Any]

TOKEN_LIFETIME_S = 3600
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_MODED = ("configMap", "secret", "downwardAPI", "projected")


def default_pod(pod: Document) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for workload in workloads(spec):
        _requests_from_limits(workload["resources"])


def default_template(owner_spec: Document) -> None:
    """Default the pod template of a Deployment's or ReplicaSet's spec."""
    template = owner_spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Document) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the older name mirrors the newer
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in containers(spec):
        _default_container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes", ()):
        _default_volume(volume)
    if "virtualMachine" in spec:
        _default_virtual_machine(spec["virtualMachine"])
        reflect(spec)
    for index, nic in enumerate(spec.get("nics", ())):
        nic.setdefault("name", f"eth{index}")


def containers(spec: Document) -> Iterator[Document]:
    """Yield init containers, then containers; a machine's mirror is none."""
    yield from spec.get("initContainers", ())
    if "virtualMachine" not in spec:
        yield from spec.get("containers", ())


def workloads(spec: Document) -> Iterator[Document]:
    """Yield whatever of a pod has an image and resources: containers, or its machine."""
    yield from containers(spec)
    if "virtualMachine" in spec:
        yield spec["virtualMachine"]


def _default_virtual_machine(machine: Document) -> None:
    machine.setdefault("resources", {})
    machine.setdefault("imagePullPolicy", "IfNotPresent")
    machine.setdefault("shutdownBehavior", "stop")
    machine.setdefault("powerSpec", "Running")


def _default_container(container: Document, *, host_network: bool) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
        if host_network:
            port.setdefault("hostPort", port.get("containerPort", 0))
    for variable in container.get("env", ()):
        _default_source(variable.get("valueFrom", {}))
    for name in _PROBES:
        if name in container:
            for field, value in _PROBE.items():
                container[name].setdefault(field, value)
            _default_action(container[name])
    for name in _HOOKS:
        _default_action(container.get("lifecycle", {}).get(name, {}))


def pull_policy(image: str) -> str:
    """Return Always for `:latest` and for no tag at all, else IfNotPresent."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_action(handler: Document) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in handler:
        handler["grpc"].setdefault("service", "")


def _default_source(source: Document) -> None:
    """Default a reference to the pod's own fields or resources."""
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "resourceFieldRef" in source:
        source["resourceFieldRef"].setdefault("divisor", "0")


def _default_volume(volume: Document) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for kind in _MODED:
        if kind in volume:
            volume[kind].setdefault("defaultMode", DEFAULT_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in volume.get("downwardAPI", {}).get("items", ()):
        _default_source(item)
    for source in volume.get("projected", {}).get("sources", ()):
        for item in source.get("downwardAPI", {}).get("items", ()):
            _default_source(item)
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", TOKEN_LIFETIME_S)


def _requests_from_limits(resources: Document) -> None:
    if limits := resources.get("limits"):
        resources["requests"] = limits | resources.get("requests", {})
