"""Node: a machine, or a share of one, that runs pods.

`spec` belongs to operators and the node life-cycle controller (taints); `status` to the
node's own agent. Source: Kubernetes, api/core/v1/types.go (Node).
"""

from __future__ import annotations

from msgspec import field

from ursa.kinds.container import ResourceList
from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind
from ursa.kinds.placement import Taint


class NodeSpec(Part):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    provider_id: str = field(name="providerID", default="")
    pod_cidr: str = field(name="podCIDR", default="")
    pod_cidrs: tuple[str, ...] = field(name="podCIDRs", default=())


class NodeAddress(Part):
    type: str = ""
    """InternalIP (the underlay address), Hostname …"""
    address: str = ""


class DaemonEndpoint(Part):
    port: int = field(name="Port", default=0)


class NodeDaemonEndpoints(Part):
    kubelet_endpoint: DaemonEndpoint | None = None


class NodeSystemInfo(Part):
    machine_id: str = field(name="machineID", default="")
    system_uuid: str = field(name="systemUUID", default="")
    boot_id: str = field(name="bootID", default="")
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""
    operating_system: str = ""
    architecture: str = ""


class ContainerImage(Part):
    names: tuple[str, ...] = ()
    size_bytes: int = 0


class NodeStatus(Part):
    capacity: ResourceList = {}
    allocatable: ResourceList = {}
    """What pods may request: capacity minus what the node keeps."""
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    daemon_endpoints: NodeDaemonEndpoints = NodeDaemonEndpoints()
    node_info: NodeSystemInfo | None = None
    images: tuple[ContainerImage, ...] = ()

    @property
    def internal_ip(self) -> str:
        """The underlay address, or "" before the agent has reported."""
        return next((a.address for a in self.addresses if a.type == "InternalIP"), "")

    @property
    def ready(self) -> bool:
        """Whether condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


@kind("v1", plural="nodes", scope=Scope.CLUSTER)
class Node(Part):
    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
