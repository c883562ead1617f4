"""OpenAPI v3: one document for each group version, and their index.

Clients read from it: kubectl explain (paths by kind, then schemas), kubectl apply (patch
metadata), and whether the server validates fields (a query parameter of patch). Paths are
those of Kubernetes, without a tenant: they mean the caller's. Version 2 is not served:
kubectl since 1.28 does without.
Source: Kubernetes, KEP-2896; kube-openapi, pkg/spec3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from ursa.base.errors import NotAcceptable
from ursa.kinds.definitions import documented
from ursa.kinds.part import Scope
from ursa.kinds.registry import RESOURCES, SUBRESOURCES, Resource

Document = dict[str, Any]

INDEX = "/openapi/v3"
_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_PATCH = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
# verb of the API → HTTP method, action
_COLLECTION = {
    "list": ("get", "list"),
    "create": ("post", "post"),
    "deletecollection": ("delete", "deletecollection"),
}
_OBJECT = {
    "get": ("get", "get"),
    "update": ("put", "put"),
    "patch": ("patch", "patch"),
    "delete": ("delete", "delete"),
}
_LIST_PARAMETERS = {
    "labelSelector": "string",
    "fieldSelector": "string",
    "limit": "integer",
    "continue": "string",
    "resourceVersion": "string",
    "resourceVersionMatch": "string",
    "timeoutSeconds": "integer",
    "watch": "boolean",
    "allowWatchBookmarks": "boolean",
    "sendInitialEvents": "boolean",
}
_WRITE_PARAMETERS = {"dryRun": "string", "fieldManager": "string", "fieldValidation": "string"}
_DELETE_PARAMETERS = {
    "dryRun": "string",
    "gracePeriodSeconds": "integer",
    "propagationPolicy": "string",
}


def document(path: str, accept: str) -> bytes | None:
    """Return the document at `path` as JSON; None if there is none.

    Raises NotAcceptable if the client takes no JSON: kubectl then asks again, or does without.
    """
    body = _bodies().get(path) if path.startswith(INDEX) else None
    if body is not None and accept and not _takes_json(accept):
        raise NotAcceptable(f"only application/json is served at {path}")
    return body


def _takes_json(accept: str) -> bool:
    types = {part.split(";")[0].strip() for part in accept.split(",")}
    return not types.isdisjoint({"application/json", "application/*", "*/*"})


@cache
def _bodies() -> dict[str, bytes]:
    definitions = documented()
    bodies, index = {}, {}
    for name, resources in _by_group_version().items():
        body = msgspec.json.encode(_group_version(resources, definitions))
        path = f"{INDEX}/{name}"
        bodies[path] = body
        digest = hashlib.sha256(body).hexdigest()[:32].upper()
        index[name] = {"serverRelativeURL": f"{path}?hash={digest}"}
    bodies[INDEX] = msgspec.json.encode({"paths": index})
    return bodies


def _by_group_version() -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for resource in RESOURCES:
        found.setdefault(_prefix(resource).lstrip("/"), []).append(resource)
    return found


def _prefix(resource: Resource) -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    return f"{root}/{resource.version}"


def _group_version(resources: list[Resource], definitions: dict[str, Document]) -> Document:
    paths: Document = {}
    for resource in resources:
        paths |= _paths(resource)
    roots = [r.schema for r in resources] + [f"{r.schema}List" for r in resources]
    kept = _reachable([*roots, _STATUS, _DELETE_OPTIONS, _PATCH], definitions)
    schemas = {name: _published(definitions[name]) for name in sorted(kept)}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Ursa Major", "version": "v1.32.0+ursa"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _reachable(roots: list[str], definitions: dict[str, Document]) -> set[str]:
    kept: set[str] = set()
    waiting = [name for name in roots if name in definitions]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting.extend(_references(definitions[name]))
    return kept


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)


def _published(node: Any) -> Any:
    """Return a definition as Kubernetes publishes it: a reference stands in an allOf."""
    if isinstance(node, list):
        return [_published(item) for item in node]
    if not isinstance(node, dict):
        return node
    copied = {key: _published(value) for key, value in node.items() if key != "$ref"}
    if isinstance(node.get("$ref"), str):
        copied["allOf"] = [_reference(node["$ref"])]
    elif "$ref" in node:  # a field of that name
        copied["$ref"] = _published(node["$ref"])
    return copied


def _reference(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _paths(resource: Resource) -> Iterator[tuple[str, Document]]:
    place = "/namespaces/{namespace}" if resource.scope is Scope.NAMESPACE else ""
    collection = f"{_prefix(resource)}{place}/{resource.plural}"
    yield collection, _path_item(resource, collection, _COLLECTION)
    if resource.is_virtual:
        return
    yield f"{collection}/{{name}}", _path_item(resource, f"{collection}/{{name}}", _OBJECT)
    if place:
        everywhere = f"{_prefix(resource)}/{resource.plural}"
        yield everywhere, _path_item(resource, everywhere, {"list": _COLLECTION["list"]})
    for name in resource.subresources:
        below = f"{collection}/{{name}}/{name}"
        yield below, _subresource_item(resource, below, name)


def _path_item(resource: Resource, path: str, methods: dict[str, tuple[str, str]]) -> Document:
    item: Document = {"parameters": _path_parameters(path)}
    kind = _kind(resource.group, resource.version, resource.kind)
    for verb, (method, action) in methods.items():
        if verb in resource.verbs:
            schema = _answered(resource, verb)
            item[method] = _operation(resource, path, action, schema, kind)
    return item


def _answered(resource: Resource, verb: str) -> str:
    """Return the definition of what a verb answers with."""
    match verb:
        case "list" | "deletecollection":
            return f"{resource.schema}List"
        case "delete" if not resource.returns_deleted:
            return _STATUS
    return resource.schema


def _subresource_item(resource: Resource, path: str, name: str) -> Document:
    below = SUBRESOURCES[name]
    kind = _kind(below.group, below.version, below.kind)
    schema = ""
    if not below.kind:
        kind, schema = _kind(resource.group, resource.version, resource.kind), resource.schema
    item: Document = {"parameters": _path_parameters(path)}
    for verb in below.verbs:
        method, action = (_OBJECT | {"create": ("post", "post")})[verb]
        item[method] = _operation(resource, path, action, schema, kind)
    return item


def _operation(resource: Resource, path: str, action: str, schema: str, kind: Document) -> Document:
    """Return one operation; without a schema (another group's kind) any object is the body."""
    content = {"application/json": {"schema": _reference(schema) if schema else _ANY}}
    operation: Document = {
        "operationId": _operation_id(path, action),
        "tags": [resource.api_version.replace("/", "_")],
        "parameters": [_query(n, t) for n, t in _parameters(action).items()],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    }
    if action in ("post", "put"):
        operation["requestBody"] = {
            "required": True,
            "content": {"*/*": content["application/json"]},
        }
    elif action == "patch":
        patch = {"schema": _reference(_PATCH)}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(_PATCH_TYPES, patch)}
    return operation


_ANY: Document = {"type": "object"}


def _operation_id(path: str, action: str) -> str:
    words = [word.strip("{}") for word in path.split("/") if word]
    return action + "".join(f"{w[:1].upper()}{w[1:]}" for word in words for w in word.split("."))


def _parameters(action: str) -> dict[str, str]:
    match action:
        case "list":
            return _LIST_PARAMETERS
        case "post" | "put" | "patch":
            return _WRITE_PARAMETERS
        case "delete":
            return _DELETE_PARAMETERS
        case "deletecollection":
            return _DELETE_PARAMETERS | _LIST_PARAMETERS
    return {}


def _query(name: str, type_: str) -> Document:
    return {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}


def _path_parameters(path: str) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("namespace", "name")
        if f"{{{name}}}" in path
    ]


def _kind(group: str, version: str, kind: str) -> Document:
    return {"group": group, "version": version, "kind": kind}
