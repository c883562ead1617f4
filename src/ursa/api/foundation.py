"""Bring about, at start, what must be there before anybody can do anything (bootstrap.py).

The documents go the way of every other write: defaults, admission, validation, one commit.
"""

from __future__ import annotations

from typing import Any

from ursa.api import bootstrap
from ursa.api.app import App
from ursa.api.call import Call
from ursa.api.documents import Document
from ursa.api.message import Headers, Request
from ursa.api.paths import Target
from ursa.api.rbac import AUTHENTICATED, MASTERS
from ursa.api.request import SYSTEM_TENANT, Attributes, User
from ursa.api.verbs import change, create_document
from ursa.kinds import registry
from ursa.kinds.part import Scope
from ursa.kinds.rbac import GROUP as RBAC

SERVER = User("system:apiserver", SYSTEM_TENANT, (MASTERS, AUTHENTICATED))


async def lay(app: App) -> None:
    """Create what is missing; set roles and bindings back to what this release needs."""
    for doc in bootstrap.documents():
        call = _call(doc)
        held = app.store.newest(call.key)
        if held is None:
            await create_document(app, call, doc)
        elif call.resource.group == RBAC:
            await change(app, call, lambda current, doc=doc: _restored(current, doc))  # type: ignore[misc]


def _restored(current: Document, doc: Document) -> Document:
    return current | {key: value for key, value in doc.items() if key != "metadata"}


def _call(doc: dict[str, Any]) -> Call:
    group, _, version = doc["apiVersion"].rpartition("/")
    resource = registry.find_kind(group, version, doc["kind"])
    assert resource is not None, f"{doc['kind']} is not registered"
    metadata = doc["metadata"]
    tenant = "" if resource.scope is Scope.CLUSTER else SYSTEM_TENANT
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    attributes = Attributes(
        user=SERVER,
        verb="create",
        group=group,
        version=version,
        resource=resource.plural,
        tenant=tenant,
        namespace=namespace,
        name=name,
    )
    request = Request("POST", b"/", Headers())
    return Call(request, Target(resource, tenant, namespace, name), attributes)
