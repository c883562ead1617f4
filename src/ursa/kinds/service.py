"""Service: one address for many pods. Source: Kubernetes, api/core/v1/types.go (Service)."""

from __future__ import annotations

from typing import Any

from msgspec import field

from ursa.kinds.container import IntOrString
from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind


class ServicePort(Part):
    port: int = 0
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: IntOrString | None = None
    node_port: int = 0


class ServiceSpec(Part):
    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    type: str = "ClusterIP"
    """ClusterIP, NodePort, LoadBalancer or ExternalName."""
    cluster_ip: str = field(name="clusterIP", default="")
    """Allocated on create, per tenant; "None" is a headless service."""
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    external_name: str = ""
    session_affinity: str = "None"
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str = ""
    publish_not_ready_addresses: bool = False
    load_balancer_ip: str = field(name="loadBalancerIP", default="")
    allocate_load_balancer_node_ports: bool | None = None


class ServiceStatus(Part):
    load_balancer: dict[str, Any] = {}
    conditions: tuple[Condition, ...] = ()


@kind("v1", plural="services", scope=Scope.NAMESPACE)
class Service(Part):
    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
