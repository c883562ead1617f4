"""What a URL's path addresses. It is matched exactly: what does not fit is 404.

    /api/v1 | /apis/{group}/{version}            then, each optional,
        /tenants/{tenant} /namespaces/{namespace}    then
        /{plural}[/{name}[/{subresource}]]
    /tenants/{tenant}/…                          the same, and everything else, as one tenant

Each segment is decoded once, by itself, and never normalised: a segment that is empty, `.` or
`..`, or holds a slash, a per cent sign or a control character once decoded, fits nothing. So
no spelling of a path reaches another tenant than the one that it names.
Source: Kubernetes, apiserver/pkg/endpoints/request/requestinfo.go; reference of Arktos 1.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from ursa.api.request import ALL_TENANTS, SYSTEM_TENANT
from ursa.base.errors import NotFound
from ursa.kinds.part import Scope
from ursa.kinds.registry import Resource, find

PATHS_CACHED = 4096
PATH_BYTES_MAX = 4096
# Subresources of Kubernetes that answer "not implemented" and not "not found".
POD_SUBRESOURCES_UNSERVED = ("attach", "portforward", "ephemeralcontainers", "resize")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/%\\]")
# Of a Tenant or Namespace object; anything else after its name is a resource inside it.
_CONTAINER_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, one object of it, or one subresource of that."""

    resource: Resource
    tenant: str | None  # None: the caller's
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Plain:
    """A path that addresses no resource: discovery, health, metrics."""

    path: str  # below the prefix, without a trailing slash
    tenant: str | None  # of the prefix


def missing() -> NotFound:
    return NotFound("the server could not find the requested resource")


@lru_cache(PATHS_CACHED)
def parse(raw: bytes) -> Target | Plain:
    """Return what a raw path addresses. Raises NotFound."""
    segments = _segments(raw)
    tenant = None
    if segments[0] == "tenants" and len(segments) > 2:
        tenant = _tenant(segments[1])
        segments = segments[2:]
    rest = _below_version(segments)
    if rest is None:
        return Plain("/" + "/".join(segments).removesuffix("/"), tenant)
    group, version, parts = rest
    return _target(group, version, parts, tenant)


def _segments(raw: bytes) -> list[str]:
    """Return the decoded segments; the last one may be empty (a trailing slash)."""
    if not raw.startswith(b"/") or len(raw) > PATH_BYTES_MAX:
        raise missing()
    parts = raw[1:].split(b"/")
    return [_segment(part) for part in parts[:-1]] + [_segment(parts[-1]) if parts[-1] else ""]


def _segment(raw: bytes) -> str:
    try:
        text = unquote_to_bytes(raw).decode() if b"%" in raw else raw.decode("ascii")
    except UnicodeDecodeError as fault:
        raise missing() from fault
    escapes = len(_ESCAPE.findall(raw))
    if text in ("", ".", "..") or raw.count(b"%") != escapes or _FORBIDDEN.search(text):
        raise missing()
    return text


def _below_version(segments: list[str]) -> tuple[str, str, list[str]] | None:
    """Return (group, version, the rest) of a path into resources; None for any other path."""
    match segments:
        case ["api", "v1", first, *rest] if first:
            return "", "v1", [first, *rest]
        case ["apis", group, version, first, *rest] if first:
            return group, version, [first, *rest]
    return None


def _target(group: str, version: str, parts: list[str], prefix: str | None) -> Target:
    tenant = prefix
    if parts[0] == "tenants" and _is_container(parts):
        tenant = _tenant(parts[1])
        if prefix is not None and tenant != prefix:
            raise missing()
        explicit, parts = True, parts[2:]
    else:
        explicit = prefix is not None and prefix != SYSTEM_TENANT
    namespace = ""
    if parts[0] == "namespaces" and _is_container(parts):
        namespace, parts = parts[1], parts[2:]
    if "" in parts or len(parts) > 3:
        raise missing()
    plural, name, subresource = [*parts, "", ""][:3]
    resource = find(group, version, plural)
    if resource is None or not _fits(resource, explicit, namespace, name, subresource):
        raise missing()
    return Target(resource, tenant, namespace, name, subresource)


def _is_container(parts: list[str]) -> bool:
    """Return whether `tenants/x/…` or `namespaces/x/…` leads into x, not to the object x."""
    return len(parts) > 2 and not (len(parts) == 3 and parts[2] in _CONTAINER_SUBRESOURCES)


def _fits(
    resource: Resource, has_tenant: bool, namespace: str, name: str, subresource: str
) -> bool:
    if has_tenant and resource.scope is Scope.CLUSTER:
        return False
    if namespace and resource.scope is not Scope.NAMESPACE:
        return False
    if name and not namespace and resource.scope is Scope.NAMESPACE:
        return False
    return not subresource or subresource in (*resource.subresources, *_unserved(resource))


def _unserved(resource: Resource) -> tuple[str, ...]:
    return POD_SUBRESOURCES_UNSERVED if resource.plural == "pods" else ()


def _tenant(name: str) -> str:
    if _LABEL.fullmatch(name) is None:
        raise missing()
    return name


def scope_tenant(target: Target, own: str) -> str:
    """Return the tenant in which a request acts: "" for what belongs to the cluster."""
    if target.resource.scope is Scope.CLUSTER:
        return ""
    return own if target.tenant is None else target.tenant


def spans_tenants(tenant: str) -> bool:
    return tenant == ALL_TENANTS
