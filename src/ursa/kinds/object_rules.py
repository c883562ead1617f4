"""Rules for the kinds that have few: nodes, events, leases, priority classes.

Source: Kubernetes, pkg/apis/{core,coordination,scheduling}/validation.
"""

from __future__ import annotations

from ursa.kinds.faults import (
    Document,
    Faults,
    forbidden,
    invalid,
    not_negative,
    unchanged,
    unsupported,
)
from ursa.kinds.placement_rules import taints_faults

USER_PRIORITY_MAX = 1_000_000_000  # Kubernetes, apis/scheduling/types.go
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PREEMPTION_POLICIES = ("Never", "PreemptLowerPriority")


def node_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    yield from taints_faults("spec.taints", spec.get("taints", []))
    before = (old or {}).get("spec", {}).get("providerID")
    if before and spec.get("providerID") != before:
        detail = 'node updates may not change providerID except from "" to valid'
        yield forbidden("spec.providerID", detail)


def event_faults(doc: Document, _old: Document | None) -> Faults:
    namespace = doc["metadata"].get("namespace", "")
    involved = doc.get("involvedObject", {}).get("namespace", "")
    if involved and involved != namespace:
        detail = "does not match event.namespace"
        yield invalid("involvedObject.namespace", involved, detail)
    elif not involved and namespace not in ("default", "kube-system"):
        detail = "must be in the namespace default: the object has none"
        yield invalid("metadata.namespace", namespace, detail)


def lease_faults(doc: Document, _old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    duration_s = spec.get("leaseDurationSeconds")
    if duration_s is not None and duration_s <= 0:
        yield invalid("spec.leaseDurationSeconds", duration_s, "must be greater than 0")
    yield from not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def priority_class_faults(doc: Document, old: Document | None) -> Faults:
    name, value = doc["metadata"].get("name", ""), doc.get("value", 0)
    if name.startswith("system-") and SYSTEM_CLASSES.get(name) != value:
        detail = "priority class names with 'system-' prefix are reserved for system use only"
        yield forbidden("metadata.name", detail)
    elif value > USER_PRIORITY_MAX and name not in SYSTEM_CLASSES:
        detail = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        yield forbidden("value", detail)
    policy = doc.get("preemptionPolicy", "")
    if policy not in PREEMPTION_POLICIES:
        yield unsupported("preemptionPolicy", policy, PREEMPTION_POLICIES)
    if old is not None:
        yield from unchanged("value", value, old.get("value", 0))
