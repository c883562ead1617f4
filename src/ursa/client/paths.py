"""The URLs of the resource API, by kind. The tenant is always spelt out.

Source: Kubernetes API concepts, "Resource URIs"; Arktos' tenant segment.
"""

from __future__ import annotations

from urllib.parse import quote

from ursa.client.key import Key
from ursa.kinds.part import Scope, View


def collection_path(view: View, tenant: str, namespace: str = "") -> str:
    """Return where objects are listed and created; no namespace means all of the tenant's."""
    path = f"/apis/{view.group}/{view.version}" if view.group else f"/api/{view.version}"
    if view.scope is not Scope.CLUSTER:
        path += f"/tenants/{_segment(tenant)}"
    if view.scope is Scope.NAMESPACE and namespace:
        path += f"/namespaces/{_segment(namespace)}"
    return f"{path}/{view.plural}"


def object_path(view: View, key: Key, subresource: str = "") -> str:
    if view.scope is Scope.NAMESPACE and not key.namespace:
        raise ValueError(f"{view.kind} {key}: a namespaced object is named with its namespace")
    path = f"{collection_path(view, key.tenant, key.namespace)}/{_segment(key.name)}"
    return f"{path}/{subresource}" if subresource else path


def _segment(text: str) -> str:
    if not text:
        raise ValueError("a URL's tenant, namespace and name must not be empty")
    return quote(text, safe="")
