"""Every resource that the API serves, as data: a new kind is a row, not code.

A kind is here only if something acts on it or people keep data in it; what nothing serves
answers 404, so that a chart that needs it fails at once and not in silence.
"""

from __future__ import annotations

from functools import partial

from ursa.kinds import columns
from ursa.kinds.part import Scope
from ursa.kinds.resource import (
    ALL_VERBS,
    SUBRESOURCES,
    VIRTUAL_VERBS,
    Column,
    Resource,
    Subresource,
)

__all__ = [
    "ALL_VERBS",
    "RESOURCES",
    "SUBRESOURCES",
    "Column",
    "Resource",
    "Subresource",
    "find",
    "find_kind",
]

CLUSTER, TENANT, NAMESPACE = Scope
NO_COLLECTION_DELETE = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

_core = partial(Resource, "", "v1")
_apps = partial(Resource, "apps", "v1")
_coordination = partial(Resource, "coordination.k8s.io", "v1")
_rbac = partial(Resource, "rbac.authorization.k8s.io", "v1", columns=columns.DEFAULT)
_discovery = partial(Resource, "discovery.k8s.io", "v1")
_scheduling = partial(Resource, "scheduling.k8s.io", "v1")
_authentication = partial(Resource, "authentication.k8s.io", "v1", verbs=VIRTUAL_VERBS)
_authorization = partial(Resource, "authorization.k8s.io", "v1", verbs=VIRTUAL_VERBS)
_network = partial(Resource, "network.ursa.dev", "v1", subresources=("status",))

_K8S = "io.k8s.api"
_URSA = "dev.ursa"

# fmt: off
RESOURCES: tuple[Resource, ...] = (
    _core("Tenant", "tenants", CLUSTER, "tenant", ("te",), verbs=NO_COLLECTION_DELETE,
          subresources=("status", "finalize"), columns=columns.TENANT,
          schema=f"{_URSA}.core.v1.Tenant"),
    _core("Namespace", "namespaces", TENANT, "namespace", ("ns",), verbs=NO_COLLECTION_DELETE,
          subresources=("status", "finalize"), columns=columns.PHASED,
          schema=f"{_K8S}.core.v1.Namespace"),
    _core("Node", "nodes", CLUSTER, "node", ("no",), subresources=("status",),
          columns=columns.NODE, schema=f"{_K8S}.core.v1.Node"),
    _core("Pod", "pods", NAMESPACE, "pod", ("po",), ("all",),
          subresources=("status", "log", "exec", "binding", "eviction"), columns=columns.POD,
          schema=f"{_K8S}.core.v1.Pod", returns_deleted=True),
    _core("ConfigMap", "configmaps", NAMESPACE, "configmap", ("cm",), columns=columns.CONFIG_MAP,
          schema=f"{_K8S}.core.v1.ConfigMap"),
    _core("Secret", "secrets", NAMESPACE, "secret", columns=columns.SECRET,
          schema=f"{_K8S}.core.v1.Secret"),
    _core("ServiceAccount", "serviceaccounts", NAMESPACE, "serviceaccount", ("sa",),
          subresources=("token",), columns=columns.SERVICE_ACCOUNT,
          schema=f"{_K8S}.core.v1.ServiceAccount", returns_deleted=True),
    _core("Service", "services", NAMESPACE, "service", ("svc",), ("all",),
          subresources=("status",), columns=columns.SERVICE, schema=f"{_K8S}.core.v1.Service",
          returns_deleted=True),
    _core("Endpoints", "endpoints", NAMESPACE, "endpoints", ("ep",), columns=columns.ENDPOINTS,
          schema=f"{_K8S}.core.v1.Endpoints"),
    _core("Event", "events", NAMESPACE, "event", ("ev",), columns=columns.EVENT,
          schema=f"{_K8S}.core.v1.Event"),
    _apps("Deployment", "deployments", NAMESPACE, "deployment", ("deploy",), ("all",),
          subresources=("status", "scale"), columns=columns.DEPLOYMENT,
          schema=f"{_K8S}.apps.v1.Deployment"),
    _apps("ReplicaSet", "replicasets", NAMESPACE, "replicaset", ("rs",), ("all",),
          subresources=("status", "scale"), columns=columns.REPLICA_SET,
          schema=f"{_K8S}.apps.v1.ReplicaSet"),
    _coordination("Lease", "leases", NAMESPACE, "lease", columns=columns.LEASE,
                  schema=f"{_K8S}.coordination.v1.Lease"),
    _discovery("EndpointSlice", "endpointslices", NAMESPACE, "endpointslice",
               columns=columns.ENDPOINT_SLICE, schema=f"{_K8S}.discovery.v1.EndpointSlice"),
    _scheduling("PriorityClass", "priorityclasses", CLUSTER, "priorityclass", ("pc",),
                columns=columns.PRIORITY_CLASS, schema=f"{_K8S}.scheduling.v1.PriorityClass"),
    _rbac("Role", "roles", NAMESPACE, "role", schema=f"{_K8S}.rbac.v1.Role"),
    _rbac("RoleBinding", "rolebindings", NAMESPACE, "rolebinding", columns=columns.BINDING,
          schema=f"{_K8S}.rbac.v1.RoleBinding"),
    _rbac("ClusterRole", "clusterroles", TENANT, "clusterrole",
          schema=f"{_K8S}.rbac.v1.ClusterRole"),
    _rbac("ClusterRoleBinding", "clusterrolebindings", TENANT, "clusterrolebinding",
          columns=columns.BINDING, schema=f"{_K8S}.rbac.v1.ClusterRoleBinding"),
    _authentication("TokenReview", "tokenreviews", TENANT, "tokenreview",
                    schema=f"{_K8S}.authentication.v1.TokenReview"),
    _authentication("SelfSubjectReview", "selfsubjectreviews", TENANT, "selfsubjectreview",
                    schema=f"{_K8S}.authentication.v1.SelfSubjectReview"),
    _authorization("SubjectAccessReview", "subjectaccessreviews", TENANT, "subjectaccessreview",
                   schema=f"{_K8S}.authorization.v1.SubjectAccessReview"),
    _authorization("SelfSubjectAccessReview", "selfsubjectaccessreviews", TENANT,
                   "selfsubjectaccessreview",
                   schema=f"{_K8S}.authorization.v1.SelfSubjectAccessReview"),
    _authorization("SelfSubjectRulesReview", "selfsubjectrulesreviews", TENANT,
                   "selfsubjectrulesreview",
                   schema=f"{_K8S}.authorization.v1.SelfSubjectRulesReview"),
    _authorization("LocalSubjectAccessReview", "localsubjectaccessreviews", NAMESPACE,
                   "localsubjectaccessreview",
                   schema=f"{_K8S}.authorization.v1.LocalSubjectAccessReview"),
    _network("Vpc", "vpcs", TENANT, "vpc", columns=columns.VPC,
             schema=f"{_URSA}.network.v1.Vpc"),
    _network("Subnet", "subnets", TENANT, "subnet", columns=columns.SUBNET,
             schema=f"{_URSA}.network.v1.Subnet"),
    _network("Port", "ports", NAMESPACE, "port", columns=columns.PORT,
             schema=f"{_URSA}.network.v1.Port"),
)
# fmt: on


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource served at /apis/{group}/{version}/…/{plural}, if there is one."""
    return _BY_PATH.get((group, version, plural))


def find_kind(group: str, version: str, kind: str) -> Resource | None:
    """Return the resource whose documents are of this kind, if it is served."""
    return _BY_KIND.get((group, version, kind))


_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
_BY_KIND = {(r.group, r.version, r.kind): r for r in RESOURCES}
