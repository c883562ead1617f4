"""Whether a conformed and defaulted document means something: every fault, with its path.

The table names for each kind the syntax of its names and its rules; a kind without rules of
its own keeps those of metadata alone. Messages are Kubernetes' own where there is one.
Source: Kubernetes, pkg/apis/*/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ursa.base.errors import FieldError
from ursa.kinds import (
    data_rules,
    network_rules,
    object_rules,
    pod_rules,
    rbac_rules,
    service_rules,
    syntax,
    workload_rules,
)
from ursa.kinds.faults import Document, Faults
from ursa.kinds.metadata_rules import metadata_faults
from ursa.kinds.rbac import GROUP as RBAC
from ursa.kinds.resource import Resource
from ursa.kinds.vpc import GROUP as NETWORK


def _none(_doc: Document, _old: Document | None) -> Faults:
    return iter(())


class _Rules(NamedTuple):
    name_check: syntax.Check
    faults: Callable[[Document, Document | None], Faults] = _none


def validate(resource: Resource, doc: Document, old: Document | None) -> Iterator[FieldError]:
    """Yield every fault of `doc`, and of its difference to `old` if that is given.

    `doc` conforms to its schema, is defaulted, and has gone through strategy.prepare_*.
    """
    rules = _TABLE.get((resource.group, resource.kind), _ANY)
    yield from metadata_faults(doc["metadata"], rules.name_check)
    yield from rules.faults(doc, old)


_ANY = _Rules(syntax.dns_subdomain)
_TABLE: dict[tuple[str, str], _Rules] = {
    ("", "Tenant"): _Rules(syntax.dns_label, network_rules.tenant_faults),
    ("", "Namespace"): _Rules(syntax.dns_label),
    ("", "Node"): _Rules(syntax.dns_subdomain, object_rules.node_faults),
    ("", "Pod"): _Rules(syntax.dns_subdomain, pod_rules.pod_faults),
    ("", "ConfigMap"): _Rules(syntax.dns_subdomain, data_rules.config_map_faults),
    ("", "Secret"): _Rules(syntax.dns_subdomain, data_rules.secret_faults),
    ("", "Service"): _Rules(syntax.dns_1035_label, service_rules.service_faults),
    ("", "Endpoints"): _Rules(syntax.dns_subdomain, service_rules.endpoints_faults),
    ("", "Event"): _Rules(syntax.dns_subdomain, object_rules.event_faults),
    ("apps", "Deployment"): _Rules(syntax.dns_subdomain, workload_rules.deployment_faults),
    ("apps", "ReplicaSet"): _Rules(syntax.dns_subdomain, workload_rules.replica_set_faults),
    ("coordination.k8s.io", "Lease"): _Rules(syntax.dns_subdomain, object_rules.lease_faults),
    ("discovery.k8s.io", "EndpointSlice"): _Rules(
        syntax.dns_subdomain, service_rules.endpoint_slice_faults
    ),
    ("scheduling.k8s.io", "PriorityClass"): _Rules(
        syntax.dns_subdomain, object_rules.priority_class_faults
    ),
    (RBAC, "Role"): _Rules(syntax.path_segment, rbac_rules.role_faults),
    (RBAC, "ClusterRole"): _Rules(syntax.path_segment, rbac_rules.cluster_role_faults),
    (RBAC, "RoleBinding"): _Rules(syntax.path_segment, rbac_rules.role_binding_faults),
    (RBAC, "ClusterRoleBinding"): _Rules(
        syntax.path_segment, rbac_rules.cluster_role_binding_faults
    ),
    (NETWORK, "Vpc"): _Rules(syntax.dns_label, network_rules.vpc_faults),
    (NETWORK, "Subnet"): _Rules(syntax.dns_label, network_rules.subnet_faults),
    (NETWORK, "Port"): _Rules(syntax.dns_label, network_rules.port_faults),
}
