"""What an absent field means, written once, when a document is stored.

`default` is idempotent: admission may change a document, and it is defaulted again.
Source: Kubernetes, pkg/apis/*/v1/defaults.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from ursa.kinds import rbac, tenant, vpc
from ursa.kinds.pod_defaults import default_pod, default_template
from ursa.kinds.resource import Resource

Document = dict[str, Any]

CLIENT_IP_AFFINITY_S = (
    10_800  # Kubernetes, api/core/v1/types.go (DefaultClientIPServiceAffinitySeconds)
)
_BALANCED = ("NodePort", "LoadBalancer")


def default(resource: Resource, doc: Document) -> None:
    """Fill `doc` in place. Its schema has been conformed to."""
    doc.setdefault("metadata", {})
    if rule := _RULES.get((resource.group, resource.kind)):
        rule(doc)


def _deployment(doc: Document) -> None:
    spec = doc.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    default_template(spec)


def _replica_set(doc: Document) -> None:
    spec = doc.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec)


def _service(doc: Document) -> None:
    spec = doc.setdefault("spec", {})
    kind = spec.setdefault("type", "ClusterIP")
    if spec.setdefault("sessionAffinity", "None") == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", CLIENT_IP_AFFINITY_S)
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port", 0))
    if kind in _BALANCED:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")


def _namespace(doc: Document) -> None:
    labels = doc["metadata"].setdefault("labels", {})
    if name := doc["metadata"].get("name"):  # a generated one is not known yet
        labels["kubernetes.io/metadata.name"] = name


def _tenant(doc: Document) -> None:
    spec = doc.setdefault("spec", {})
    spec.setdefault("defaultVpcCidr", tenant.DEFAULT_VPC_CIDR)
    spec.setdefault("serviceCidr", tenant.DEFAULT_SERVICE_CIDR)


def _secret(doc: Document) -> None:
    doc.setdefault("type", "Opaque")
    plain = doc.pop("stringData", {})
    if plain:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        doc["data"] = doc.get("data", {}) | encoded


def _node(doc: Document) -> None:
    doc.setdefault("spec", {})
    status = doc.setdefault("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def _endpoints(doc: Document) -> None:
    for subset in doc.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def _endpoint_slice(doc: Document) -> None:
    doc.setdefault("endpoints", [])
    for port in doc.get("ports", ()):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _priority_class(doc: Document) -> None:
    doc.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _role_binding(doc: Document) -> None:
    role = doc.setdefault("roleRef", {})
    role["apiGroup"] = role.get("apiGroup") or rbac.GROUP
    for subject in doc.get("subjects", ()):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", rbac.GROUP)


def _vpc(doc: Document) -> None:
    doc.setdefault("spec", {}).setdefault("mtuBytes", vpc.DEFAULT_MTU_BYTES)


def _port(doc: Document) -> None:
    spec = doc.setdefault("spec", {})
    spec.setdefault("nic", "eth0")
    spec.setdefault("device", {}).setdefault("kind", "Pod")


_RULES: dict[tuple[str, str], Callable[[Document], None]] = {
    ("", "Pod"): default_pod,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("", "Tenant"): _tenant,
    ("", "Secret"): _secret,
    ("", "Node"): _node,
    ("", "Endpoints"): _endpoints,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    (rbac.GROUP, "RoleBinding"): _role_binding,
    (rbac.GROUP, "ClusterRoleBinding"): _role_binding,
    (vpc.GROUP, "Vpc"): _vpc,
    (vpc.GROUP, "Port"): _port,
}
