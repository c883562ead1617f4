"""A request's way to its verb, and every refusal's way back as a Status.

    path ─▶ caller ─▶ tenant ─▶ verb ─▶ rights ─▶ VERBS | subresource | plain path ─▶ Response

A verb that only reads memory answers at once; one that writes is awaited. Errors of either
become a Status here, at the edge, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from ursa.api import nodes, reads, removal, subresources, verbs
from ursa.api.app import App
from ursa.api.call import Call
from ursa.api.message import Request, Response, failure
from ursa.api.metrics import Labels, Metrics
from ursa.api.paths import (
    POD_SUBRESOURCES_UNSERVED,
    Plain,
    Target,
    missing,
    parse,
    scope_tenant,
)
from ursa.api.request import Attributes, User
from ursa.base.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotImplementedByServer,
    ServiceUnavailable,
)
from ursa.store.engine import StoreError

log = logging.getLogger(__name__)

Answer = Response | Awaitable[Response]
_UNKNOWN: Labels = ("", "", "")  # what a request asked for that named nothing we have
Verb = Callable[[App, Call], Answer]

VERBS: dict[str, Verb] = {
    "get": reads.get,
    "list": reads.list_,
    "watch": reads.watch_,
    "create": verbs.create,
    "update": verbs.update,
    "patch": verbs.patch,
    "delete": removal.delete,
    "deletecollection": removal.deletecollection,
}
_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_SUBRESOURCE = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}


def _log(app: App, call: Call) -> Answer:
    return nodes.log(app.agents, call)


async def _exec(app: App, call: Call) -> Response:
    pod = app.cache.get(call.resource, call.tenant, call.namespace, call.name)
    await app.admission.validate("connect", call.resource, None, pod, call.attributes)
    return await nodes.exec_(app.agents, call)


# What each subresource is answered by, and with which HTTP methods.
SUBRESOURCES: dict[str, tuple[str, Verb | None]] = {
    "status": ("GET PUT PATCH", None),  # the object's own verbs
    "finalize": ("PUT", None),
    "scale": ("GET PUT PATCH", subresources.scale),
    "binding": ("POST", subresources.bind),
    "eviction": ("POST", subresources.evict),
    "token": ("POST", subresources.token),
    "log": ("GET", _log),
    "exec": ("GET POST", _exec),
}


class PlainHandler(Protocol):
    """Answers what addresses no resource: discovery, OpenAPI, health, metrics."""

    def answer(self, request: Request, path: Plain, user: User) -> Response | None:
        """Return the answer, or None where there is nothing at the path."""
        ...


class Dispatcher:
    def __init__(self, app: App, plain: PlainHandler, metrics: Metrics) -> None:
        self._app = app
        self._plain = plain
        self._metrics = metrics

    def handle(self, request: Request) -> Answer:
        """Answer a request; what it raises is an ApiError's Status. Never raises."""
        started_s = self._metrics.now_s()
        labels = _UNKNOWN
        try:
            user = self._authenticate(request)
            path = parse(request.raw_path)
            if isinstance(path, Plain):
                labels = request.method, "", ""
                answer: Answer = self._answer_plain(request, path, user)
            else:
                attributes = attributes_of(request, path, user)
                labels = attributes.verb, path.resource.plural, path.subresource
                self._app.authorizer.authorize(attributes)
                answer = answer_call(self._app, Call(request, path, attributes))
        except Exception as fault:  # the boundary of a request: see `refusal`
            answer = refusal(fault)
        if isinstance(answer, Response):
            self._metrics.observe(labels, answer.status, started_s)
            return answer
        return self._finish(answer, labels, started_s)

    async def _finish(
        self, answer: Awaitable[Response], labels: Labels, started_s: float
    ) -> Response:
        try:
            response = await answer
        except Exception as fault:  # the boundary of a request: see `refusal`
            response = refusal(fault)
        self._metrics.observe(labels, response.status, started_s)
        return response

    def _authenticate(self, request: Request) -> User:
        headers = request.headers
        return self._app.authenticator.authenticate(
            request.certificate, headers.get("authorization"), headers
        )

    def _answer_plain(self, request: Request, path: Plain, user: User) -> Response:
        method = request.method.lower()
        tenant = path.tenant or ""
        self._app.authorizer.authorize(
            Attributes(user=user, verb=method, path=path.path, tenant=tenant)
        )
        if method not in ("get", "head"):
            raise MethodNotAllowed(f"{request.method} is not served at {path.path}")
        response = self._plain.answer(request, path, user)
        if response is None:
            raise missing()
        return response


def attributes_of(request: Request, path: Target, user: User) -> Attributes:
    """Return what is asked, as access control sees it."""
    return Attributes(
        user=user,
        verb=verb_of(request, path),
        path=request.raw_path.decode("latin-1"),
        group=path.resource.group,
        version=path.resource.version,
        resource=path.resource.plural,
        subresource=path.subresource,
        tenant=scope_tenant(path, user.tenant),
        namespace=path.namespace,
        name=path.name,
    )


def verb_of(request: Request, path: Target) -> str:
    """Return Kubernetes' verb for a method on a target. Raises MethodNotAllowed."""
    methods = _SUBRESOURCE if path.subresource else _OBJECT if path.name else _COLLECTION
    verb = methods.get(request.method)
    if verb is None:
        raise MethodNotAllowed(f"the server does not allow {request.method} on this resource")
    if request.query and verb in ("get", "list") and request.flag("watch"):
        return "watch"
    return verb


def answer_call(app: App, call: Call) -> Answer:
    """Answer an authorized request."""
    reads.only_reads_span_tenants(call)
    resource, subresource = call.resource, call.target.subresource
    if subresource:
        if subresource in POD_SUBRESOURCES_UNSERVED:
            raise NotImplementedByServer(f"{resource.plural}/{subresource} is not served yet")
        methods, verb = SUBRESOURCES[subresource]
        if call.request.method not in methods.split():
            raise MethodNotAllowed(
                f"{call.request.method} is not allowed on {resource.plural}/{subresource}"
            )
        if verb is not None:
            return verb(app, call)
    elif call.attributes.verb not in resource.verbs:
        raise MethodNotAllowed(f"{call.attributes.verb} is not allowed on {resource.plural}")
    if resource.is_virtual:
        return subresources.review(app, call)
    return VERBS[call.attributes.verb](app, call)


def refusal(fault: Exception) -> Response:
    """Return the Status of a failed request. What is no ApiError is logged: it is ours to mend."""
    if isinstance(fault, ApiError):
        return failure(fault)
    if isinstance(fault, StoreError):
        log.error("the store refuses writes", extra={"fault": str(fault)})
        return failure(ServiceUnavailable(str(fault), details={"retryAfterSeconds": 1}))
    if isinstance(fault, RecursionError):
        return failure(BadRequest("the document is nested too deeply"))
    log.error("request failed", exc_info=fault)
    return failure(InternalError(f"Internal error occurred: {type(fault).__name__}"))
