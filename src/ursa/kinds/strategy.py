"""Which parts of a document a write may touch; the rest is the server's, or stays as it was.

    create    status is what a fresh object has; generation is 1
    update    status and what the server owns in metadata stay; generation counts spec changes
    status    only status (and the writer's labels, annotations, finalizers) is taken
    finalize  only spec.finalizers is taken

All functions change `doc` in place and leave `old` alone.
Source: Kubernetes, pkg/registry/*/*/strategy.go and apiserver/pkg/registry/rest.
"""

from __future__ import annotations

from typing import Any

from ursa.kinds import namespace, tenant
from ursa.kinds.qos import qos_class
from ursa.kinds.resource import Resource

Document = dict[str, Any]

# metadata that only the server writes, once or by deletion
SERVER_OWNED = (
    "name",
    "generateName",
    "namespace",
    "tenant",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)
NEVER_STORED = ("selfLink", "managedFields")
NOT_ON_CREATE = ("deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_FINALIZERS = {"Namespace": namespace.FINALIZER, "Tenant": tenant.FINALIZER}
_FIRST_PHASE = {
    "Namespace": "Active",
    "Tenant": "Active",
    "Vpc": "Pending",
    "Subnet": "Pending",
    "Port": "Pending",
}


def prepare_create(resource: Resource, doc: Document) -> None:
    metadata = doc.setdefault("metadata", {})
    for field in (*NEVER_STORED, *NOT_ON_CREATE):
        metadata.pop(field, None)
    if finalizer := _FINALIZERS.get(resource.kind):
        doc.setdefault("spec", {})["finalizers"] = [finalizer]
    if "status" in resource.subresources:
        metadata["generation"] = 1
        if resource.kind != "Node":  # a node's agent registers it with its status
            doc["status"] = _first_status(resource, doc)


def _first_status(resource: Resource, doc: Document) -> Document:
    match resource.kind:
        case "Pod":
            return {"phase": "Pending", "qosClass": qos_class(doc.get("spec", {}))}
        case "Service":
            return {"loadBalancer": {}}
        case "Deployment":
            return {}
        case "ReplicaSet":
            return {"replicas": 0}
    return {"phase": _FIRST_PHASE[resource.kind]}


def prepare_update(resource: Resource, doc: Document, old: Document) -> None:
    _keep_metadata(doc, old, SERVER_OWNED)
    if resource.kind in _FINALIZERS:
        _keep(doc.setdefault("spec", {}), old.get("spec", {}), "finalizers")
    if "status" in resource.subresources:
        _keep(doc, old, "status")
        if doc.get("spec") != old.get("spec"):
            doc["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def prepare_status(resource: Resource, doc: Document, old: Document) -> None:
    _keep_metadata(doc, old, (*SERVER_OWNED, "ownerReferences"))
    for field in doc.keys() | old.keys():
        if field not in ("metadata", "status"):
            _keep(doc, old, field)
    if resource.kind == "Pod":  # decided on create
        _keep(doc.setdefault("status", {}), old.get("status", {}), "qosClass")


def prepare_finalize(doc: Document, old: Document) -> None:
    """Leave of `doc` only spec.finalizers and put them into what is stored."""
    finalizers = doc.get("spec", {}).get("finalizers", [])
    doc.clear()
    doc.update(old)
    doc["spec"] = old.get("spec", {}) | {"finalizers": finalizers}


def _keep_metadata(doc: Document, old: Document, fields: tuple[str, ...]) -> None:
    metadata = doc.setdefault("metadata", {})
    for field in NEVER_STORED:
        metadata.pop(field, None)
    for field in fields:
        _keep(metadata, old["metadata"], field)


def _keep(doc: Document, old: Document, field: str) -> None:
    if field in old:
        doc[field] = old[field]
    else:
        doc.pop(field, None)
