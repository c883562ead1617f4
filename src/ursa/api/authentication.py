"""Who is asking? A client certificate, a bearer token, or nobody; then, perhaps, on behalf of
whom.

    certificate ──▶ token ──▶ anonymous        (the first that is shown decides)
                        └──▶ impersonation, if asked for and allowed

The user's tenant is part of every way in. Whoever shows a credential that is no good is
refused, never taken for anonymous.
Source: Kubernetes "Authenticating"; RFC 5280; base/pki.py for the form of our certificates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from cryptography import x509
from cryptography.x509.oid import NameOID

from ursa.api.authorization import Authorizer, refusal
from ursa.api.rbac import AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, UNAUTHENTICATED
from ursa.api.request import ALL_TENANTS, SYSTEM_TENANT, Attributes, User
from ursa.api.tokens import ServiceAccountTokens, StaticTokens, service_account_groups
from ursa.base.errors import BadRequest, Unauthorized

ANONYMOUS = User("system:anonymous", SYSTEM_TENANT, (UNAUTHENTICATED,))
CERTIFICATES_MAX = 4096  # parsed certificates remembered; parsing one costs about 30 µs
TENANT_FORM = "tenant:"
IMPERSONATE = "impersonate-"
EXTRA = "impersonate-extra-"
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Authenticator:
    def __init__(
        self,
        authorizer: Authorizer,
        *,
        service_accounts: ServiceAccountTokens | None = None,
        static: StaticTokens | None = None,
    ) -> None:
        self._authorizer = authorizer
        self._service_accounts = service_accounts
        self._static = static
        self._certificates: dict[bytes, User] = {}

    def authenticate(
        self, cert_der: bytes | None, authorization: str | None, headers: Mapping[str, str]
    ) -> User:
        """Return who asks. Unauthorized for a bad credential, Forbidden for a bad disguise.

        `cert_der` is verified against the client authority by TLS; header names are lower
        case, repeated headers are joined by commas.
        """
        user = self._credential(cert_der, authorization)
        # One search spares nearly every request the walk over its headers.
        if IMPERSONATE in "\n".join(headers) and any(n.startswith(IMPERSONATE) for n in headers):
            return self._impersonate(user, headers)
        return user

    def token_user(self, token: str, audiences: tuple[str, ...] = ()) -> User:
        """Return whom a bearer token speaks for; `audiences` empty means this server."""
        if self._static is not None and (user := self._static.user(token)) is not None:
            return _known(user)
        if self._service_accounts is None:
            raise Unauthorized("invalid bearer token")
        if audiences:
            return _known(self._service_accounts.user(token, audiences))
        return _known(self._service_accounts.user(token))

    def _credential(self, cert_der: bytes | None, authorization: str | None) -> User:
        if cert_der is not None:
            return self._certificate(cert_der)
        if authorization is None:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("the Authorization header is no bearer token")
        return self.token_user(token.strip())

    def _certificate(self, der: bytes) -> User:
        user = self._certificates.get(der)
        if user is None:
            user = _known(certificate_user(der))
            if len(self._certificates) >= CERTIFICATES_MAX:
                self._certificates.clear()
            self._certificates[der] = user
        return user

    def _impersonate(self, user: User, headers: Mapping[str, str]) -> User:
        asked = impersonated(user, headers)
        for attributes in impersonation_requests(user, asked):
            if not self._authorizer.allows(attributes):
                raise refusal(attributes)
        namespace, _, account = asked.name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
        if asked.name.startswith(SERVICE_ACCOUNT_PREFIX) and account and not asked.groups:
            asked = replace(asked, groups=service_account_groups(namespace))
        if asked.name == ANONYMOUS.name:
            return ANONYMOUS
        return _known(asked)


def certificate_user(der: bytes) -> User:
    """Return the user of a verified client certificate. Unauthorized if its subject is unclear."""
    subject = x509.load_der_x509_certificate(der).subject
    organizations = _values(subject, NameOID.ORGANIZATION_NAME)
    name = next(iter(_values(subject, NameOID.COMMON_NAME)), "")
    if not name:
        raise Unauthorized("the client certificate has no common name")
    tenants = [o for o in organizations if o.startswith(TENANT_FORM)]
    if not tenants:
        return User(name, SYSTEM_TENANT, tuple(organizations))
    if len(organizations) > 1:
        raise Unauthorized("the client certificate has multiple organizations beside its tenant")
    tenant = tenants[0].removeprefix(TENANT_FORM)
    if ":" in tenant:
        raise Unauthorized("the client certificate names multiple tenants")
    units = _values(subject, NameOID.ORGANIZATIONAL_UNIT_NAME)
    return User(name, tenant, tuple(units))


def impersonated(user: User, headers: Mapping[str, str]) -> User:
    """Return whom the Impersonate-* headers ask for: in the caller's tenant unless they say."""
    name = headers.get("impersonate-user", "")
    if not name:
        raise BadRequest("impersonation needs the header Impersonate-User")
    groups = [group.strip() for group in headers.get("impersonate-group", "").split(",")]
    extra = {
        header.removeprefix(EXTRA): tuple(value.strip() for value in values.split(","))
        for header, values in headers.items()
        if header.startswith(EXTRA)
    }
    return User(
        name=name,
        tenant=headers.get("impersonate-tenant", user.tenant),
        groups=tuple(group for group in groups if group),
        uid=headers.get("impersonate-uid", ""),
        extra=extra,
    )


def impersonation_requests(user: User, asked: User) -> list[Attributes]:
    """Return what the caller must be allowed, one for each claim of the disguise.

    They act in the tenant of the disguise, so the tenant wall keeps tenants' users inside.
    """

    def request(resource: str, name: str, group: str = "", **more: str) -> Attributes:
        return Attributes(
            user=user,
            verb="impersonate",
            group=group,
            version="v1",
            resource=resource,
            name=name,
            tenant=asked.tenant,
            **more,
        )

    rest = asked.name.removeprefix(SERVICE_ACCOUNT_PREFIX)
    namespace, _, account = rest.partition(":")
    if asked.name.startswith(SERVICE_ACCOUNT_PREFIX) and account:
        requests = [request("serviceaccounts", account, namespace=namespace)]
    else:
        requests = [request("users", asked.name)]
    requests += [request("groups", group) for group in asked.groups]
    if asked.uid:
        requests.append(request("uids", asked.uid, "authentication.k8s.io"))
    for key, values in asked.extra.items():
        requests += [
            request("userextras", value, "authentication.k8s.io", subresource=key)
            for value in values
        ]
    return requests


def _known(user: User) -> User:
    """Return the user as one of system:authenticated. Unauthorized if its tenant is none."""
    if user.tenant == ALL_TENANTS or not _DNS_LABEL.fullmatch(user.tenant):
        raise Unauthorized(f'"{user.tenant}" is no tenant\'s name')
    groups = tuple(group for group in user.groups if group != UNAUTHENTICATED)
    if AUTHENTICATED in groups:
        return replace(user, groups=groups)
    return replace(user, groups=(*groups, AUTHENTICATED))


def _values(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]
