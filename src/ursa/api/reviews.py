"""Reviews: questions about access, asked as objects and answered at once; nothing is stored.

Source: Kubernetes, api/authentication/v1 and api/authorization/v1; Arktos for `tenant`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ursa.api.authentication import Authenticator
from ursa.api.authorization import Authorizer
from ursa.api.noderights import node_of
from ursa.api.objects import Document, Objects, served
from ursa.api.request import SYSTEM_TENANT, Attributes, User
from ursa.api.tokens import ISSUER, ServiceAccountTokens
from ursa.base.clock import rfc3339
from ursa.base.errors import (
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    Unauthorized,
    not_found,
)
from ursa.kinds.part import Scope
from ursa.kinds.registry import RESOURCES, Resource

DURATION_MIN_S, DURATION_MAX_S, DURATION_DEFAULT_S = 600, 2**32, 3600  # Kubernetes' bounds
_OF_THE_CLUSTER = {(r.group, r.plural) for r in RESOURCES if r.scope is Scope.CLUSTER}
BOUND_KINDS = {"Pod": "pods", "Secret": "secrets"}


class Reviews:
    def __init__(
        self,
        objects: Objects,
        authenticator: Authenticator,
        authorizer: Authorizer,
        tokens: ServiceAccountTokens,
    ) -> None:
        self._objects = objects
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._tokens = tokens
        self._answers: dict[str, Callable[[Document, Attributes], Document]] = {
            "TokenReview": self._token,
            "SubjectAccessReview": self._subject_access,
            "LocalSubjectAccessReview": self._local_subject_access,
            "SelfSubjectAccessReview": self._self_access,
            "SelfSubjectRulesReview": self._self_rules,
            "SelfSubjectReview": self._self,
        }

    def create(self, resource: Resource, doc: Document, attributes: Attributes) -> Document:
        """Return `doc` with its answer as status.

        A service account's `token` subresource is asked with the resource serviceaccounts.
        """
        if attributes.resource == "serviceaccounts":
            return self._token_request(doc, attributes)
        return {**doc, "status": self._answers[resource.kind](doc, attributes)}

    def _token(self, doc: Document, attributes: Attributes) -> Document:
        spec = doc.get("spec") or {}
        audiences = tuple(spec.get("audiences") or ())
        try:
            user = self._authenticator.token_user(spec.get("token", ""), audiences)
        except Unauthorized as fault:
            return {"user": {}, "error": fault.message}
        if attributes.user.tenant not in (SYSTEM_TENANT, user.tenant):
            return {"user": {}, "error": "the token is of another tenant"}
        answer = {"authenticated": True, "user": user_info(user)}
        return answer | ({"audiences": list(audiences)} if audiences else {})

    def _subject_access(self, doc: Document, attributes: Attributes) -> Document:
        spec = doc.get("spec") or {}
        subject = _subject(spec, attributes.tenant)
        if attributes.user.tenant not in (SYSTEM_TENANT, subject.tenant):
            raise Forbidden(f'users of tenant "{subject.tenant}" are not for you to ask about')
        return self._access(access_asked(spec, subject, attributes.tenant))

    def _local_subject_access(self, doc: Document, attributes: Attributes) -> Document:
        spec = doc.get("spec") or {}
        namespace = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if namespace != attributes.namespace:
            raise BadRequest("spec.resourceAttributes.namespace must match metadata.namespace")
        return self._subject_access(doc, attributes)

    def _self_access(self, doc: Document, attributes: Attributes) -> Document:
        spec = doc.get("spec") or {}
        return self._access(access_asked(spec, attributes.user, attributes.tenant))

    def _access(self, asked: Attributes) -> Document:
        return {"allowed": True} if self._authorizer.allows(asked) else {"allowed": False}

    def _self_rules(self, doc: Document, attributes: Attributes) -> Document:
        namespace = (doc.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise BadRequest("spec.namespace must be set: rules are those of a namespace")
        rules = list(self._authorizer.rules(attributes.user, attributes.tenant, namespace))
        return {
            "resourceRules": [dict(rule) for rule in rules if rule.get("resources")],
            "nonResourceRules": [dict(rule) for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }

    def _self(self, doc: Document, attributes: Attributes) -> Document:
        return {"userInfo": user_info(attributes.user)}

    def _token_request(self, doc: Document, attributes: Attributes) -> Document:
        where = attributes.tenant, attributes.namespace
        account = self._objects.get(served("", "serviceaccounts"), *where, attributes.name)
        if account is None:
            raise not_found("serviceaccounts", attributes.name)
        spec = dict(doc.get("spec") or {})
        duration_s = spec.setdefault("expirationSeconds", DURATION_DEFAULT_S)
        if faults := list(_token_faults(spec)):
            raise Invalid("TokenRequest.authentication.k8s.io", "", faults)
        audiences = spec["audiences"] = spec.get("audiences") or [ISSUER]
        reference = spec.get("boundObjectRef")
        bound = self._bound(reference, *where, attributes.name) if reference else None
        _check_node(attributes.user, bound)
        token, expires_s = self._tokens.issue(
            account, audiences=audiences, duration_s=duration_s, bound_to=bound
        )
        status = {"token": token, "expirationTimestamp": rfc3339(expires_s)}
        return {**doc, "spec": spec, "status": status}

    def _bound(
        self, reference: Document, tenant: str, namespace: str, account: str
    ) -> tuple[str, Document]:
        """Return the kind and document that the token dies with."""
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = BOUND_KINDS[kind]
        document = self._objects.get(served("", plural), tenant, namespace, name)
        if document is None:
            raise not_found(plural, name)
        if reference.get("uid", "") not in ("", document["metadata"]["uid"]):
            raise Conflict(
                f'the UID in the bound object reference is not that of {plural} "{name}"'
            )
        if kind == "Pod" and document["spec"].get("serviceAccountName") != account:
            raise Forbidden(f'pod "{name}" does not run as service account "{account}"')
        return kind.lower(), document


def _check_node(user: User, bound: tuple[str, Document] | None) -> None:
    """Raise Forbidden if a node's identity asks for more than a token of one of its own pods."""
    node = node_of(user)
    if node is None:
        return
    kind, document = bound or ("", {})
    if kind != "pod" or document["spec"].get("nodeName") != node:
        raise Forbidden(f'node "{node}" may only request tokens bound to its own pods')


def user_info(user: User) -> Document:
    """Return authentication.k8s.io UserInfo, with the tenant."""
    info: Document = {"username": user.name, "tenant": user.tenant, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def access_asked(spec: Document, user: User, tenant: str) -> Attributes:
    """Return the request that a review asks about; its tenant is `tenant` unless it says."""
    asked: dict[str, Any] | None = spec.get("resourceAttributes")
    path: dict[str, Any] | None = spec.get("nonResourceAttributes")
    if (asked is None) == (path is None):
        raise BadRequest("exactly one of resourceAttributes and nonResourceAttributes must be set")
    if path is not None:
        return Attributes(user=user, verb=path.get("verb", ""), path=path.get("path", ""))
    assert asked is not None
    return Attributes(
        user=user,
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        version=asked.get("version", ""),
        resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""),
        tenant=asked.get("tenant") or _tenant_of(asked, tenant),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )


def _tenant_of(asked: Document, tenant: str) -> str:
    """Return "" for a kind of the cluster: `can-i get nodes` is no question about a tenant."""
    kind = asked.get("group", ""), asked.get("resource", "")
    return "" if kind in _OF_THE_CLUSTER else tenant


def _subject(spec: Document, tenant: str) -> User:
    """Return whom a SubjectAccessReview asks about; of the review's tenant unless it says."""
    if not spec.get("user") and not spec.get("groups"):
        raise BadRequest("at least one of spec.user and spec.groups must be set")
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(
        name=spec.get("user", ""),
        tenant=spec.get("tenant") or tenant,
        groups=tuple(spec.get("groups") or ()),
        uid=spec.get("uid", ""),
        extra=extra,
    )


def _token_faults(spec: Document) -> Iterator[FieldError]:
    duration_s = spec["expirationSeconds"]
    value = f"Invalid value: {duration_s}"
    if duration_s < DURATION_MIN_S:
        why = f"{value}: may not specify a duration less than 10 minutes"
        yield FieldError("spec.expirationSeconds", why)
    if duration_s > DURATION_MAX_S:
        why = f"{value}: may not specify a duration larger than 2^32 seconds"
        yield FieldError("spec.expirationSeconds", why)
    kind = (spec.get("boundObjectRef") or {}).get("kind", "Pod")
    if kind not in BOUND_KINDS:
        why = f'Unsupported value: "{kind}": supported values: "Pod", "Secret"'
        yield FieldError("spec.boundObjectRef.kind", why, "FieldValueNotSupported")
