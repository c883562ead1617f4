"""Each Service gets an address of its tenant's service prefix, unique in the tenant.

An address that was given out counts as taken at once, before its Service is stored, so that
two requests at one time never get the same; one whose request failed is free again later.
Source: Kubernetes, pkg/registry/core/service (allocation and its messages).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ursa.api.admission.plugin import Plugin, Review
from ursa.api.objects import Objects, served
from ursa.base.clock import Clock
from ursa.base.errors import FieldError, Invalid
from ursa.kinds.tenant import DEFAULT_SERVICE_CIDR

NONE = "None"  # the clusterIP of a headless service
PENDING_S = 30.0  # a request that took longer has failed
NOT_YET = ("NodePort", "LoadBalancer")
# Addresses that Kubernetes' clients expect at fixed places: `kubernetes` and DNS.
RESERVED_OFFSETS = (0, 1, 10)


class ServiceAddresses(Plugin):
    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._tenants = served("", "tenants")
        self._services = served("", "services")
        self._pending: dict[tuple[str, str], float] = {}  # (tenant, address) → given out at

    def mutate(self, review: Review) -> None:
        if not review.writes("", "services"):
            return
        spec = review.spec()
        _check_type(review, spec)
        if spec.get("type") == "ExternalName":
            _release(spec)
            return
        if not _keep(review, spec):
            asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
            spec["clusterIP"] = asked if asked == NONE else self._allocate(review, asked)
        _complete(spec)

    def _allocate(self, review: Review, asked: str) -> str:
        """Return the asked address, or a free one. Invalid if there is none to be had."""
        tenant = review.attributes.tenant
        prefix = self._prefix(tenant)
        taken = self._taken(tenant)
        address = asked or next(
            _candidates(prefix, review.attributes.namespace, review.name, taken), ""
        )
        if not address:
            raise _invalid(review, "clusterIPs", f"range is full: {prefix} has no free address")
        if asked:
            _check_asked(review, asked, prefix, taken)
        self._pending[tenant, address] = self._clock.now_s()
        return address

    def _prefix(self, tenant: str) -> IPv4Network:
        document = self._objects.get(self._tenants, "", "", tenant) or {}
        spec = document.get("spec") or {}
        return IPv4Network(spec.get("serviceCidr") or DEFAULT_SERVICE_CIDR)

    def _taken(self, tenant: str) -> set[str]:
        now_s = self._clock.now_s()
        for key in [k for k, at in self._pending.items() if now_s - at > PENDING_S]:
            del self._pending[key]
        taken = {address for owner, address in self._pending if owner == tenant}
        for service in self._objects.list(self._services, tenant):
            taken.update((service.get("spec") or {}).get("clusterIPs") or ())
        return taken


def _candidates(prefix: IPv4Network, namespace: str, name: str, taken: set[str]) -> Iterator[str]:
    """Yield the free addresses, from a place that depends on the name, so neighbours are rare."""
    digest = hashlib.sha256(f"{namespace}/{name}".encode()).digest()
    start, size = int.from_bytes(digest[:8]), prefix.num_addresses
    for step in range(size):
        offset = (start + step) % size
        address = str(prefix[offset])
        if offset not in RESERVED_OFFSETS and offset != size - 1 and address not in taken:
            yield address


def _check_type(review: Review, spec: dict[str, Any]) -> None:
    kind = spec.get("type", "ClusterIP")
    if kind in NOT_YET:
        why = f'Unsupported value: "{kind}": is not available yet: use ClusterIP'
        raise Invalid("Service", review.name, [FieldError("spec.type", why, _UNSUPPORTED)])


def _check_asked(review: Review, asked: str, prefix: IPv4Network, taken: set[str]) -> None:
    value = f'Invalid value: ["{asked}"]: failed to allocate IP {asked}'
    try:
        inside = IPv4Address(asked) in prefix
    except ValueError:
        raise _invalid(
            review, "clusterIPs[0]", f'Invalid value: "{asked}": must be an IPv4 address'
        ) from None
    if not inside:
        why = f"{value}: the provided IP ({asked}) is not in the valid range."
        raise _invalid(review, "clusterIPs", f"{why} The range of valid IPs is {prefix}")
    if asked in taken:
        raise _invalid(review, "clusterIPs", f"{value}: provided IP is already allocated")


def _keep(review: Review, spec: dict[str, Any]) -> bool:
    """Take over the stored address. Return False if there is none; Invalid if it would change."""
    old = (review.old or {}).get("spec") or {}
    held = old.get("clusterIP") if old.get("type") != "ExternalName" else ""
    if not held:
        return False
    asked = spec.get("clusterIP") or held
    if asked != held or (spec.get("clusterIPs") or [held])[0] != held:
        raise _invalid(
            review, "clusterIPs[0]", f'Invalid value: "{asked}": may not change once set'
        )
    spec["clusterIP"] = held
    return True


def _complete(spec: dict[str, Any]) -> None:
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _release(spec: dict[str, Any]) -> None:
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        spec.pop(field, None)


_UNSUPPORTED = "FieldValueNotSupported"


def _invalid(review: Review, field: str, why: str) -> Invalid:
    return Invalid("Service", review.name, [FieldError(f"spec.{field}", why)])
