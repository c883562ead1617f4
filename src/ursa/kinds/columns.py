"""The printer columns of every kind, in Kubernetes' order and words.

Source: Kubernetes, pkg/printers/internalversion/printers.go (AddHandlers); kinds that have no
handler there get the default of apiserver/pkg/registry/rest/table.go.
"""

from __future__ import annotations

from ursa.kinds.resource import Column

NAME = Column("Name", ".metadata.name", format="name")
AGE = Column("Age", "age")
STATUS = Column("Status", ".status.phase")

DEFAULT = (NAME, Column("Created At", ".metadata.creationTimestamp", "date"))
PHASED = (NAME, STATUS, AGE)

TENANT = (*PHASED, Column("Display Name", ".spec.displayName", priority=1))
POD = (
    NAME,
    Column("Ready", "pod_ready"),
    Column("Status", "pod_status"),
    Column("Restarts", "pod_restarts"),
    AGE,
    Column("IP", "pod_ip", priority=1),
    Column("Node", "pod_node", priority=1),
    Column("Nominated Node", "pod_nominated_node", priority=1),
    Column("Readiness Gates", "pod_readiness_gates", priority=1),
)
NODE = (
    NAME,
    Column("Status", "node_status"),
    Column("Roles", "node_roles"),
    AGE,
    Column("Version", ".status.nodeInfo.kubeletVersion"),
    Column("Internal-IP", "node_internal_ip", priority=1),
    Column("External-IP", "node_external_ip", priority=1),
    Column("OS-Image", "node_os_image", priority=1),
    Column("Kernel-Version", "node_kernel_version", priority=1),
    Column("Container-Runtime", "node_container_runtime", priority=1),
)
CONFIG_MAP = (NAME, Column("Data", "config_map_data"), AGE)
SECRET = (NAME, Column("Type", ".type"), Column("Data", "secret_data"), AGE)
SERVICE_ACCOUNT = (NAME, Column("Secrets", "service_account_secrets"), AGE)
SERVICE = (
    NAME,
    Column("Type", ".spec.type"),
    Column("Cluster-IP", "service_cluster_ip"),
    Column("External-IP", "service_external_ip"),
    Column("Port(s)", "service_ports"),
    AGE,
    Column("Selector", "service_selector", priority=1),
)
ENDPOINTS = (NAME, Column("Endpoints", "endpoints"), AGE)
ENDPOINT_SLICE = (
    NAME,
    Column("AddressType", ".addressType"),
    Column("Ports", "slice_ports"),
    Column("Endpoints", "slice_endpoints"),
    AGE,
)
EVENT = (
    Column("Last Seen", "event_last_seen"),
    Column("Type", ".type"),
    Column("Reason", ".reason"),
    Column("Object", "event_object"),
    Column("Subobject", ".involvedObject.fieldPath", priority=1),
    Column("Source", "event_source", priority=1),
    Column("Message", "event_message"),
    Column("First Seen", "event_first_seen", priority=1),
    Column("Count", "event_count", priority=1),
    Column("Name", ".metadata.name", priority=1, format="name"),
)
_WORKLOAD = (
    Column("Containers", "template_containers", priority=1),
    Column("Images", "template_images", priority=1),
    Column("Selector", "selector", priority=1),
)
DEPLOYMENT = (
    NAME,
    Column("Ready", "deployment_ready"),
    Column("Up-to-date", "deployment_updated"),
    Column("Available", "deployment_available"),
    AGE,
    *_WORKLOAD,
)
REPLICA_SET = (
    NAME,
    Column("Desired", "replicas_desired", "integer"),
    Column("Current", "replicas_current", "integer"),
    Column("Ready", "replicas_ready", "integer"),
    AGE,
    *_WORKLOAD,
)
LEASE = (NAME, Column("Holder", ".spec.holderIdentity"), AGE)
PRIORITY_CLASS = (
    NAME,
    Column("Value", ".value", "integer"),
    Column("Global-Default", "priority_class_default", "boolean"),
    AGE,
    Column("PreemptionPolicy", ".preemptionPolicy"),
)
BINDING = (
    NAME,
    Column("Role", "binding_role"),
    AGE,
    Column("Users", "binding_users", priority=1),
    Column("Groups", "binding_groups", priority=1),
    Column("ServiceAccounts", "binding_service_accounts", priority=1),
)
VPC = (
    NAME,
    Column("CIDR", ".spec.cidr"),
    Column("VNI", ".status.vni", "integer"),
    STATUS,
    AGE,
    Column("MTU", ".spec.mtuBytes", "integer", priority=1),
)
SUBNET = (
    NAME,
    Column("VPC", ".spec.vpc"),
    Column("CIDR", ".spec.cidr"),
    STATUS,
    AGE,
    Column("Gateway", ".status.gateway", priority=1),
    Column("Allocated", ".status.allocated", "integer", priority=1),
)
PORT = (
    NAME,
    Column("Device", ".spec.device.name"),
    Column("IP", ".status.ip"),
    Column("Node", ".spec.nodeName"),
    STATUS,
    AGE,
    Column("MAC", ".status.mac", priority=1),
    Column("VNI", ".status.vni", "integer", priority=1),
)
