"""Rules for Services, Endpoints and EndpointSlices.

Source: Kubernetes, pkg/apis/core/validation/validation.go (ValidateService) and
pkg/apis/discovery/validation.
"""

from __future__ import annotations

from ursa.kinds import syntax
from ursa.kinds.container_rules import PROTOCOLS, port_faults
from ursa.kinds.faults import (
    Document,
    Faults,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    one_of,
    required,
    unchanged,
    unique,
)
from ursa.kinds.metadata_rules import label_faults

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
AFFINITY_MAX_S = 86_400
SLICE_ENDPOINTS_MAX, SLICE_PORTS_MAX = 1000, 20_000  # Kubernetes, discovery/validation
HEADLESS = "None"


def service_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    kind, cluster_ip = spec.get("type"), spec.get("clusterIP", "")
    yield from one_of("spec.type", kind, TYPES)
    yield from _ports_faults("spec.ports", spec, needed=kind != "ExternalName")
    yield from label_faults("spec.selector", spec.get("selector", {}))
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), AFFINITIES)
    yield from _affinity_faults(spec.get("sessionAffinityConfig", {}).get("clientIP"))
    yield from _address_faults(spec)
    if kind == "ExternalName":
        name = spec.get("externalName", "").removesuffix(".")
        if not name:
            yield required("spec.externalName")
        else:
            yield from each_invalid("spec.externalName", name, syntax.dns_subdomain(name))
    if kind in ("NodePort", "LoadBalancer") and cluster_ip == HEADLESS:
        detail = "may not be set to 'None' for this type of service"
        yield invalid("spec.clusterIP", cluster_ip, detail)
    if old is not None:
        yield from _update_faults(spec, old.get("spec", {}))


def _update_faults(spec: Document, old: Document) -> Faults:
    stays = "ExternalName" not in (spec.get("type"), old.get("type"))
    if stays and old.get("clusterIP"):
        yield from unchanged("spec.clusterIP", spec.get("clusterIP", ""), old["clusterIP"])


def _ports_faults(path: str, spec: Document, *, needed: bool) -> Faults:
    ports = spec.get("ports", [])
    if not ports and needed and spec.get("clusterIP") != HEADLESS:
        yield required(path)
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name, number = port.get("name", ""), port.get("port", 0)
        if not name and len(ports) > 1:
            yield required(f"{here}.name")
        elif name:
            yield from each_invalid(f"{here}.name", name, syntax.dns_label(name))
        yield from each_invalid(f"{here}.port", number, syntax.port_number(number))
        yield from one_of(f"{here}.protocol", port.get("protocol"), PROTOCOLS)
        yield from port_faults(f"{here}.targetPort", port.get("targetPort", number))
        if node_port := port.get("nodePort", 0):
            if spec.get("type") == "ClusterIP":
                detail = "may not be used when `type` is 'ClusterIP'"
                yield forbidden(f"{here}.nodePort", detail)
            yield from each_invalid(f"{here}.nodePort", node_port, syntax.port_number(node_port))
    names = ((f"{path}[{i}].name", port["name"]) for i, port in enumerate(ports) if "name" in port)
    yield from unique(names)
    seen = set()
    for index, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("port"))
        if pair in seen:
            shown = {"port": port.get("port"), "protocol": port.get("protocol")}
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(pair)


def _affinity_faults(client: Document | None) -> Faults:
    if client is not None and not 0 < client.get("timeoutSeconds", 0) <= AFFINITY_MAX_S:
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        detail = f"must be greater than 0 and less than {AFFINITY_MAX_S}"
        yield invalid(path, client.get("timeoutSeconds", 0), detail)


def _address_faults(spec: Document) -> Faults:
    for index, address in enumerate(spec.get("clusterIPs", ())):
        if address not in ("", HEADLESS):
            path = f"spec.clusterIPs[{index}]"
            yield from each_invalid(path, address, syntax.ip_address(address))
    for index, address in enumerate(spec.get("externalIPs", ())):
        path = f"spec.externalIPs[{index}]"
        yield from each_invalid(path, address, syntax.ip_address(address))
    first = spec.get("clusterIPs", [""])[:1]
    if spec.get("clusterIPs") and first != [spec.get("clusterIP", "")]:
        detail = "first value must match `clusterIP`"
        yield invalid("spec.clusterIPs", spec["clusterIPs"], detail)


def endpoints_faults(doc: Document, _old: Document | None) -> Faults:
    for index, subset in enumerate(doc.get("subsets", ())):
        here = f"subsets[{index}]"
        addresses, waiting = subset.get("addresses", []), subset.get("notReadyAddresses", [])
        if not addresses and not waiting:
            yield required(here, "must specify `addresses` or `notReadyAddresses`")
        for field, listed in (("addresses", addresses), ("notReadyAddresses", waiting)):
            for place, address in enumerate(listed):
                ip = address.get("ip", "")
                yield from each_invalid(f"{here}.{field}[{place}].ip", ip, syntax.ip_address(ip))
        yield from _endpoint_ports(f"{here}.ports", subset.get("ports", []), needed=True)


def endpoint_slice_faults(doc: Document, old: Document | None) -> Faults:
    kind, endpoints = doc.get("addressType"), doc.get("endpoints", [])
    yield from one_of("addressType", kind, ADDRESS_TYPES)
    if len(endpoints) > SLICE_ENDPOINTS_MAX:
        yield invalid("endpoints", len(endpoints), f"must have at most {SLICE_ENDPOINTS_MAX} items")
    for index, endpoint in enumerate(endpoints):
        here = f"endpoints[{index}].addresses"
        if not endpoint.get("addresses"):
            yield required(here, "must contain at least 1 address")
        for place, address in enumerate(endpoint.get("addresses", ())):
            check = syntax.dns_subdomain if kind == "FQDN" else syntax.ip_address
            yield from each_invalid(f"{here}[{place}]", address, check(address))
    yield from _endpoint_ports("ports", doc.get("ports", []), needed=False)
    if old is not None:
        yield from unchanged("addressType", kind, old.get("addressType"))


def _endpoint_ports(path: str, ports: list[Document], *, needed: bool) -> Faults:
    for index, port in enumerate(ports):
        here, number = f"{path}[{index}]", port.get("port")
        if number is not None:
            yield from each_invalid(f"{here}.port", number, syntax.port_number(number))
        elif needed:
            yield required(f"{here}.port")
        yield from one_of(f"{here}.protocol", port.get("protocol"), PROTOCOLS)
        if name := port.get("name"):
            yield from each_invalid(f"{here}.name", name, syntax.dns_label(name))
