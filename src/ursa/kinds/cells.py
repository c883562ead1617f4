"""What kubectl shows of an object in a column that is no plain field.

A cell function takes the document and the time, and returns a JSON scalar.
Source: Kubernetes, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ursa.kinds import pod_cells, selector
from ursa.kinds.ages import UNKNOWN, age
from ursa.kinds.pod_cells import NONE

Document = dict[str, Any]
Cell = Callable[[Document, float], Any]

ENDPOINTS_SHOWN_MAX = 3
_ROLE_LABEL, _ROLE_PREFIX = "kubernetes.io/role", "node-role.kubernetes.io/"


def _age(doc: Document, now_s: float) -> str:
    return age(doc["metadata"].get("creationTimestamp"), now_s)


def _count(*fields: str) -> Cell:
    return lambda doc, _now_s: sum(len(doc.get(field, ())) for field in fields)


def _number(part: str, field: str) -> Cell:
    return lambda doc, _now_s: doc.get(part, {}).get(field, 0)


def _joined(items: Iterable[str], separator: str = ",") -> str:
    return separator.join(items) or NONE


def _node_status(node: Document, _now_s: float) -> str:
    status = "Unknown"
    for condition in node.get("status", {}).get("conditions", ()):
        if condition.get("type") == "Ready":
            status = "Ready" if condition.get("status") == "True" else "NotReady"
    is_cordoned = node.get("spec", {}).get("unschedulable")
    return f"{status},SchedulingDisabled" if is_cordoned else status


def _node_roles(node: Document, _now_s: float) -> str:
    labels = node["metadata"].get("labels", {})
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get(_ROLE_LABEL, ""))
    return _joined(sorted(roles - {""}))


def _node_address(kind: str) -> Cell:
    def cell(node: Document, _now_s: float) -> str:
        addresses = node.get("status", {}).get("addresses", ())
        return next((a["address"] for a in addresses if a.get("type") == kind), NONE)

    return cell


def _node_info(field: str) -> Cell:
    def cell(node: Document, _now_s: float) -> str:
        return node.get("status", {}).get("nodeInfo", {}).get(field) or UNKNOWN

    return cell


def _service_cluster_ip(service: Document, _now_s: float) -> str:
    spec = service.get("spec", {})
    return (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] or NONE


def _service_external_ip(service: Document, _now_s: float) -> str:
    spec = service.get("spec", {})
    external = spec.get("externalIPs", [])
    match spec.get("type"):
        case "ExternalName":
            return spec.get("externalName", "")
        case "LoadBalancer":
            ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
            given = [i.get("ip") or i.get("hostname", "") for i in ingress]
            return ",".join([*given, *external]) or "<pending>"
    return _joined(external)


def _service_ports(service: Document, _now_s: float) -> str:
    return _joined(
        f"{port['port']}:{port['nodePort']}/{port.get('protocol', 'TCP')}"
        if port.get("nodePort")
        else f"{port['port']}/{port.get('protocol', 'TCP')}"
        for port in service.get("spec", {}).get("ports", ())
    )


def _service_selector(service: Document, _now_s: float) -> str:
    return selector.text({"matchLabels": service.get("spec", {}).get("selector", {})})


def _endpoints(doc: Document, _now_s: float) -> str:
    shown = [
        f"{address.get('ip', '')}:{port['port']}" if port else address.get("ip", "")
        for subset in doc.get("subsets", ())
        for port in subset.get("ports") or [None]
        for address in subset.get("addresses", ())
    ]
    return _first(shown)


def _slice_ports(doc: Document, _now_s: float) -> str:
    ports = [str(port.get("port", "*")) for port in doc.get("ports", ())]
    return _first(ports) if ports else "<unset>"


def _slice_endpoints(doc: Document, _now_s: float) -> str:
    shown = [a for endpoint in doc.get("endpoints", ()) for a in endpoint.get("addresses", ())]
    return _first(shown) if shown else "<unset>"


def _first(items: list[str]) -> str:
    text = _joined(items[:ENDPOINTS_SHOWN_MAX])
    more = len(items) - ENDPOINTS_SHOWN_MAX
    return f"{text} + {more} more..." if more > 0 else text


def _event_first_seen(event: Document, now_s: float) -> str:
    return age(event.get("firstTimestamp") or event.get("eventTime"), now_s)


def _event_last_seen(event: Document, now_s: float) -> str:
    if "series" in event:
        return age(event["series"].get("lastObservedTime"), now_s)
    if last := event.get("lastTimestamp"):
        return age(last, now_s)
    return _event_first_seen(event, now_s)


def _event_count(event: Document, _now_s: float) -> int:
    return event.get("series", {}).get("count") or event.get("count") or 1


def _event_object(event: Document, _now_s: float) -> str:
    involved = event.get("involvedObject", {})
    kind = involved.get("kind", "").lower()
    return f"{kind}/{involved['name']}" if involved.get("name") else kind


def _event_source(event: Document, _now_s: float) -> str:
    source = event.get("source", {})
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else component


def _event_message(event: Document, _now_s: float) -> str:
    return event.get("message", "").strip()


def _deployment_ready(doc: Document, _now_s: float) -> str:
    ready = doc.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{doc.get('spec', {}).get('replicas', 0)}"


def _template(field: str) -> Cell:
    def cell(doc: Document, _now_s: float) -> str:
        spec = doc.get("spec", {}).get("template", {}).get("spec", {})
        items = [spec["virtualMachine"]] if "virtualMachine" in spec else spec.get("containers", ())
        return ",".join(item.get(field, "") for item in items)

    return cell


def _selector(doc: Document, _now_s: float) -> str:
    return selector.text(doc.get("spec", {}).get("selector", {}))


def _priority_class_default(doc: Document, _now_s: float) -> bool:
    return doc.get("globalDefault", False)


def _binding_role(doc: Document, _now_s: float) -> str:
    role = doc.get("roleRef", {})
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _subjects(kind: str) -> Cell:
    def cell(doc: Document, _now_s: float) -> str:
        chosen = [s for s in doc.get("subjects", ()) if s.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{s.get('namespace', '')}/{s['name']}" for s in chosen)
        return ", ".join(s["name"] for s in chosen)

    return cell


CELLS: dict[str, Cell] = {
    "age": _age,
    "pod_ready": pod_cells.ready,
    "pod_status": pod_cells.reason,
    "pod_restarts": pod_cells.restarts,
    "pod_ip": pod_cells.ip,
    "pod_node": pod_cells.node,
    "pod_nominated_node": pod_cells.nominated_node,
    "pod_readiness_gates": pod_cells.readiness_gates,
    "node_status": _node_status,
    "node_roles": _node_roles,
    "node_internal_ip": _node_address("InternalIP"),
    "node_external_ip": _node_address("ExternalIP"),
    "node_os_image": _node_info("osImage"),
    "node_kernel_version": _node_info("kernelVersion"),
    "node_container_runtime": _node_info("containerRuntimeVersion"),
    "config_map_data": _count("data", "binaryData"),
    "secret_data": _count("data"),
    "service_account_secrets": _count("secrets"),
    "service_cluster_ip": _service_cluster_ip,
    "service_external_ip": _service_external_ip,
    "service_ports": _service_ports,
    "service_selector": _service_selector,
    "endpoints": _endpoints,
    "slice_ports": _slice_ports,
    "slice_endpoints": _slice_endpoints,
    "event_last_seen": _event_last_seen,
    "event_first_seen": _event_first_seen,
    "event_count": _event_count,
    "event_object": _event_object,
    "event_source": _event_source,
    "event_message": _event_message,
    "deployment_ready": _deployment_ready,
    "deployment_updated": _number("status", "updatedReplicas"),
    "deployment_available": _number("status", "availableReplicas"),
    "replicas_desired": _number("spec", "replicas"),
    "replicas_current": _number("status", "replicas"),
    "replicas_ready": _number("status", "readyReplicas"),
    "template_containers": _template("name"),
    "template_images": _template("image"),
    "selector": _selector,
    "priority_class_default": _priority_class_default,
    "binding_role": _binding_role,
    "binding_users": _subjects("User"),
    "binding_groups": _subjects("Group"),
    "binding_service_accounts": _subjects("ServiceAccount"),
}
