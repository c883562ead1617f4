"""The subresources that are documents of another kind: scale, binding, eviction, token.

Source: Kubernetes, api/autoscaling/v1 (Scale), pkg/registry/core/pod/storage (binding,
eviction).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ursa.api import patch as patches
from ursa.api.app import App
from ursa.api.call import Call
from ursa.api.documents import Document, decode_object, parse
from ursa.api.message import Response, json_response
from ursa.api.removal import delete_object, options_from
from ursa.api.verbs import change
from ursa.base.clock import rfc3339
from ursa.base.errors import BadRequest, Conflict, FieldError, Invalid
from ursa.kinds.schema import conform_as

SCALE = "io.k8s.api.autoscaling.v1.Scale"
BINDING = "io.k8s.api.core.v1.Binding"
SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


async def scale(app: App, call: Call) -> Response:
    """GET, PUT, PATCH …/{name}/scale → 200 and autoscaling/v1 Scale."""
    if call.request.method == "GET":
        item = app.cache.collection(call.resource).get(call.tenant, call.namespace, call.name)
        if item is None:
            raise call.missing()
        return json_response(200, scale_of(parse(item.value, item.revision)))
    rescale = _rescale(call)
    stored = await change(app, call, rescale)
    return json_response(200, scale_of(parse(stored.value, stored.revision)))


def scale_of(doc: Document) -> Document:
    """Return the Scale of a workload."""
    metadata, spec, status = doc["metadata"], doc["spec"], doc.get("status") or {}
    kept = ("name", "namespace", "tenant", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {
            "replicas": status.get("replicas", 0),
            "selector": selector_text(spec.get("selector") or {}),
        },
    }


def selector_text(selector: Document) -> str:
    """Return a LabelSelector in the grammar of labelSelector."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for requirement in selector.get("matchExpressions") or ():
        key, values = requirement["key"], ",".join(requirement.get("values") or ())
        match requirement["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _rescale(call: Call) -> Any:
    """Return what the request makes of the workload: another number of replicas."""
    content_type = call.request.headers.get("content-type", "")
    if call.request.method == "PATCH":
        apply = patches.parse(call.request.body, content_type, SCALE)
    else:
        wanted = decode_object(call.request.body, content_type)

        def apply(_: Document) -> Document:
            return wanted

    def rescale(current: Document) -> Document:
        asked = apply(scale_of(current))
        conform_as(SCALE, asked, kind="Scale", version="v1")
        metadata = asked.get("metadata") or {}
        if metadata.get("name", call.name) != call.name:
            raise BadRequest(f"the name of the scale is not that on the URL ({call.name})")
        replicas = (asked.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            fault = FieldError("spec.replicas", "must be greater than or equal to 0")
            raise Invalid("Scale.autoscaling", call.name, [fault])
        current["spec"]["replicas"] = replicas
        for name in ("resourceVersion", "uid"):
            current["metadata"][name] = metadata.get(name, "")
        return current

    return rescale


async def bind(app: App, call: Call) -> Response:
    """POST …/pods/{name}/binding → 201: the pod is the node's from here."""
    binding = decode_object(call.request.body, call.request.headers.get("content-type", ""))
    conform_as(BINDING, binding, kind="Binding", version="v1")
    node, uid = _node(call, binding), (binding.get("metadata") or {}).get("uid")

    def bound(pod: Document) -> Document:
        pod["metadata"]["resourceVersion"] = ""
        if uid:
            pod["metadata"]["uid"] = uid
        if pod["metadata"].get("deletionTimestamp"):
            raise _refused(call, "pod is being deleted, cannot be assigned to a host")
        if current := pod["spec"].get("nodeName"):
            raise _refused(call, f'pod {call.name} is already assigned to node "{current}"')
        pod["spec"]["nodeName"] = node
        _schedule(pod.setdefault("status", {}), app.clock.now_s())
        return pod

    await change(app, call, bound)
    return json_response(201, SUCCESS | {"code": 201})


def _node(call: Call, binding: Document) -> str:
    target = binding.get("target") or {}
    if target.get("kind", "Node") != "Node" or not target.get("name"):
        fault = FieldError("target.name", "must name a Node", "FieldValueRequired")
        raise Invalid("Binding", call.name, [fault])
    if (binding.get("metadata") or {}).get("name", call.name) != call.name:
        raise BadRequest(f"the name of the binding is not that on the URL ({call.name})")
    return str(target["name"])


def _schedule(status: Document, now_s: float) -> None:
    others = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(now_s)}
    status["conditions"] = [*others, scheduled]


def _refused(call: Call, why: str) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on pods/binding "{call.name}": {why}',
        details={"name": call.name, "kind": "pods/binding"},
    )


async def evict(app: App, call: Call) -> Response:
    """POST …/pods/{name}/eviction → 201: the pod is deleted. No disruption budget is kept yet."""
    eviction = decode_object(call.request.body, call.request.headers.get("content-type", ""))
    options = options_from(eviction.get("deleteOptions") or {}, call.request.query)
    await delete_object(app, call, options)
    return json_response(201, SUCCESS | {"code": 201})


async def token(app: App, call: Call) -> Response:
    """POST …/serviceaccounts/{name}/token → 201 and a TokenRequest with its token."""
    asked = decode_object(call.request.body, call.request.headers.get("content-type", ""))
    schema = "io.k8s.api.authentication.v1.TokenRequest"
    conform_as(schema, asked, kind="TokenRequest", version="v1")
    return json_response(201, app.reviews.create(call.resource, asked, call.attributes))


async def review(app: App, call: Call) -> Response:
    """POST of a kind that is a question: 201 and the answer; nothing is stored."""
    asked = decode_object(call.request.body, call.request.headers.get("content-type", ""))
    resource = call.resource
    conform_as(resource.schema, asked, kind=resource.kind, version=resource.version)
    asked |= {"apiVersion": resource.api_version, "kind": resource.kind}
    return Response(201, msgspec.json.encode(app.reviews.create(resource, asked, call.attributes)))
