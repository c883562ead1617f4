"""What the server offers: the documents by which clients find groups, kinds and verbs.

    /version   /api   /api/v1   /apis   /apis/{group}   /apis/{group}/{version}
    /openapi/v3   /openapi/v3/api/v1   /openapi/v3/apis/{group}/{version}   (openapi.py)

/api and /apis answer in one of three forms, exactly the one that the client names first:
aggregated v2, aggregated v2beta1 (kubectl before 1.30), or the plain lists. To Kubernetes'
clients a tenant-scoped kind is cluster-scoped: its tenant is their cluster. Callers of a
tenant other than `system` are not shown the kinds of no tenant.
Source: Kubernetes, apidiscovery/v2/types.go, KEP-3352; Arktos for `tenanted`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

import msgspec

from ursa.api import openapi
from ursa.api.message import JSON, Request, Response
from ursa.base.errors import MethodNotAllowed
from ursa.kinds.part import Scope
from ursa.kinds.registry import RESOURCES, SUBRESOURCES, Resource

Document = dict[str, Any]

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+ursa",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
AGGREGATED_VERSIONS = ("v2", "v2beta1")
ACCEPTS_CACHED = 256


def answer(request: Request, path: str, *, for_tenant: bool) -> Response | None:
    """Return the answer to a discovery or OpenAPI path; None if `path` is none.

    Raises NotAcceptable for an OpenAPI encoding that is not served.
    """
    found = _document(path, request.headers.get("accept", ""), for_tenant=for_tenant)
    if found is None:
        return None
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("discovery is read-only: use GET")
    body, content_type, etag = found
    headers = (("ETag", etag), ("Vary", "Accept"))
    if request.headers.get("if-none-match") == etag:
        return Response(304, b"", content_type, headers)
    return Response(200, body, content_type, headers)


def _document(path: str, accept: str, *, for_tenant: bool) -> tuple[bytes, str, str] | None:
    """Return body, content type and entity tag."""
    if path.startswith("/openapi/"):
        body = openapi.document(path, accept)
        return None if body is None else (body, JSON, _etag(path, for_tenant=False))
    version = aggregated_version(accept) if path in ("/api", "/apis") else ""
    body = _bodies(for_tenant).get((path, version))
    if body is None:
        return None
    return body, _content_type(version), _etag(path, version, for_tenant=for_tenant)


@lru_cache(ACCEPTS_CACHED)
def aggregated_version(accept: str) -> str:
    """Return the aggregated form that an Accept header names first; "" for the plain lists."""
    for part in accept.split(","):
        media_type, *texts = (text.strip() for text in part.split(";"))
        parameters = dict(text.partition("=")[::2] for text in texts)
        if parameters.get("as") == "APIGroupDiscoveryList":
            version = parameters.get("v", "")
            if parameters.get("g") == "apidiscovery.k8s.io" and version in AGGREGATED_VERSIONS:
                return version
        elif media_type in (JSON, "application/*", "*/*"):
            return ""
    return ""


def _content_type(version: str) -> str:
    if not version:
        return JSON
    return f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


@cache
def _etag(path: str, version: str = "", *, for_tenant: bool) -> str:
    body = openapi.document(path, "") or _bodies(for_tenant)[path, version]
    return f'"{hashlib.sha256(body).hexdigest()[:32].upper()}"'


@cache
def _bodies(for_tenant: bool) -> dict[tuple[str, str], bytes]:
    """Return every discovery document by its path and aggregated version."""
    shown = [r for r in RESOURCES if not (for_tenant and r.scope is Scope.CLUSTER)]
    documents: dict[tuple[str, str], Document] = {
        ("/version", ""): VERSION,
        ("/api", ""): {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        ("/apis", ""): _group_list(shown),
    }
    for group, resources in _by_group(shown):
        prefix = f"/apis/{group}" if group else "/api"
        if group:
            documents[prefix, ""] = {"kind": "APIGroup", "apiVersion": "v1"} | _group(
                group, resources
            )
        for version in _versions(resources):
            listed = [r for r in resources if r.version == version]
            documents[f"{prefix}/{version}", ""] = _resource_list(listed)
    for version in AGGREGATED_VERSIONS:
        core = [r for r in shown if not r.group]
        named = [r for r in shown if r.group]
        documents["/api", version] = _aggregated(core, version)
        documents["/apis", version] = _aggregated(named, version)
    return {key: msgspec.json.encode(document) for key, document in documents.items()}


def _by_group(resources: list[Resource]) -> Iterator[tuple[str, list[Resource]]]:
    for group, members in groupby(sorted(resources, key=_group_of), key=_group_of):
        yield group, list(members)


def _group_of(resource: Resource) -> str:
    return resource.group


def _versions(resources: list[Resource]) -> list[str]:
    """Return the group's versions, the preferred one first."""
    return list(dict.fromkeys(resource.version for resource in resources))


def _group_list(resources: list[Resource]) -> Document:
    groups = [_group(group, members) for group, members in _by_group(resources) if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(group: str, resources: list[Resource]) -> Document:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in _versions(resources)
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(resources: list[Resource]) -> Document:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resources[0].api_version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def _entries(resource: Resource) -> Iterator[Document]:
    """Yield the APIResource of a resource and of each of its subresources."""
    scope = {
        "namespaced": resource.scope is Scope.NAMESPACE,
        "tenanted": resource.scope is not Scope.CLUSTER,
    }
    entry = {
        "name": resource.plural,
        "singularName": resource.singular,
        **scope,
        "kind": resource.kind,
        "verbs": resource.verbs,
    }
    if resource.short_names:
        entry["shortNames"] = resource.short_names
    if resource.categories:
        entry["categories"] = resource.categories
    yield entry
    for name in resource.subresources:
        below = SUBRESOURCES[name]
        yield {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            **scope,
            **({"group": below.group, "version": below.version} if below.group else {}),
            "kind": below.kind or resource.kind,
            "verbs": below.verbs,
        }


def _aggregated(resources: list[Resource], version: str) -> Document:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {
                        "version": served,
                        "freshness": "Current",
                        "resources": [_discovered(r) for r in members if r.version == served],
                    }
                    for served in _versions(members)
                ],
            }
            for group, members in _by_group(resources)
        ],
    }


def _discovered(resource: Resource) -> Document:
    entry: Document = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.scope is Scope.NAMESPACE else "Cluster",
        "singularResource": resource.singular,
        "verbs": resource.verbs,
        "shortNames": resource.short_names,
        "categories": resource.categories,
        "subresources": [_discovered_below(resource, name) for name in resource.subresources],
    }
    return {key: value for key, value in entry.items() if value}


def _discovered_below(resource: Resource, name: str) -> Document:
    below = SUBRESOURCES[name]
    kind = _kind(below.group, below.version, below.kind)
    if not below.kind:
        kind = _kind(resource.group, resource.version, resource.kind)
    return {"subresource": name, "responseKind": kind, "verbs": below.verbs}


def _kind(group: str, version: str, kind: str) -> Document:
    return {"group": group, "version": version, "kind": kind}
