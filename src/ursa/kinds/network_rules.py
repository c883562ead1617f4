"""Rules for tenants and for their networks: VPCs, subnets, ports.

What needs other objects (a subnet inside its VPC, apart from its siblings) is the network
controller's to say, by a condition: these rules see one document.
"""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address

from ursa.kinds import syntax
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    invalid,
    required,
    unchanged,
    unsupported,
)
from ursa.kinds.tenant import RESERVED_NAMES
from ursa.kinds.vpc import PREFIX_LENGTH_MAX, PREFIX_LENGTH_MIN

SUBNET_PREFIX_LENGTH_MAX = 29  # network, broadcast, gateway, bouncer's, and room for ports
SERVICE_PREFIX_LENGTHS = (12, 28)
MTU_BYTES_MIN, MTU_BYTES_MAX = 1280, 9000  # RFC 8200 §5; what jumbo frames carry
NIC_BYTES_MAX = 15  # IFNAMSIZ less the end
STORAGE_CLUSTERS_MAX = 64
DEVICE_KINDS = ("Pod",)


def tenant_faults(doc: Document, old: Document | None) -> Faults:
    name, spec = doc["metadata"].get("name", ""), doc.get("spec", {})
    if name in RESERVED_NAMES:
        yield invalid("metadata.name", name, "is not an acceptable tenant name")
    lengths = {
        "defaultVpcCidr": (PREFIX_LENGTH_MIN, PREFIX_LENGTH_MAX),
        "serviceCidr": SERVICE_PREFIX_LENGTHS,
    }
    for field, (shortest, longest) in lengths.items():
        cidr = spec.get(field, "")
        yield from each_invalid(f"spec.{field}", cidr, syntax.ipv4_prefix(cidr, shortest, longest))
    cluster = spec.get("storageClusterId", "")
    is_number = cluster.isascii() and cluster.isdigit() and int(cluster) < STORAGE_CLUSTERS_MAX
    if cluster and not is_number:
        yield invalid("spec.storageClusterId", cluster, "must be integer 0-63")
    yield from _unchanged_fields(doc, old, (*lengths, "storageClusterId"))


def vpc_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    yield from _cidr_faults(spec, PREFIX_LENGTH_MAX)
    mtu_bytes = spec.get("mtuBytes", 0)
    if not MTU_BYTES_MIN <= mtu_bytes <= MTU_BYTES_MAX:
        detail = f"must be between {MTU_BYTES_MIN} and {MTU_BYTES_MAX}, inclusive"
        yield invalid("spec.mtuBytes", mtu_bytes, detail)
    yield from _unchanged_fields(doc, old, ("cidr",))


def subnet_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    vpc = spec.get("vpc", "")
    if not vpc:
        yield required("spec.vpc")
    else:
        yield from each_invalid("spec.vpc", vpc, syntax.dns_label(vpc))
    faults = list(_cidr_faults(spec, SUBNET_PREFIX_LENGTH_MAX))
    yield from faults
    if not faults and (gateway := spec.get("gateway", "")):
        yield from _gateway_faults(gateway, IPv4Network(spec["cidr"]))
    yield from _unchanged_fields(doc, old, ("vpc", "cidr", "gateway"))


def port_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    for field, check in (
        ("vpc", syntax.dns_label),
        ("subnet", syntax.dns_label),
        ("nodeName", syntax.dns_subdomain),
        ("ip", syntax.ip_address),
        ("mac", syntax.mac_address),
    ):
        if value := spec.get(field, ""):
            yield from each_invalid(f"spec.{field}", value, check(value))
    device, nic = spec.get("device", {}), spec.get("nic", "")
    if device.get("kind") not in DEVICE_KINDS:
        yield unsupported("spec.device.kind", device.get("kind", ""), DEVICE_KINDS)
    for field in ("name", "uid"):
        if not device.get(field):
            yield required(f"spec.device.{field}")
    if not 0 < len(nic) <= NIC_BYTES_MAX:
        yield invalid("spec.nic", nic, f"must be 1 to {NIC_BYTES_MAX} characters")
    yield from each_invalid("spec.nic", nic, syntax.dns_label(nic))
    yield from _unchanged_fields(doc, old, tuple(spec))


def _cidr_faults(spec: Document, longest: int) -> Faults:
    cidr = spec.get("cidr", "")
    if not cidr:
        yield required("spec.cidr")
    else:
        details = syntax.ipv4_prefix(cidr, PREFIX_LENGTH_MIN, longest)
        yield from each_invalid("spec.cidr", cidr, details)


def _gateway_faults(gateway: str, network: IPv4Network) -> Faults:
    details = syntax.ip_address(gateway)
    yield from each_invalid("spec.gateway", gateway, details)
    ends = (network.network_address, network.broadcast_address)
    if not details and (ip_address(gateway) not in network or ip_address(gateway) in ends):
        yield invalid("spec.gateway", gateway, f"must be a host address of {network}")


def _unchanged_fields(doc: Document, old: Document | None, fields: tuple[str, ...]) -> Faults:
    if old is not None:
        new_spec, old_spec = doc.get("spec", {}), old.get("spec", {})
        for field in fields:
            yield from unchanged(f"spec.{field}", new_spec.get(field, ""), old_spec.get(field, ""))
