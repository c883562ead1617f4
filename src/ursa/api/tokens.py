"""Bearer tokens: those of a file, and the signed ones of service accounts.

A service account's token is a JWT, signed with the cluster's key (ES256), bound to the
account's uid and, if asked, to a pod's or a secret's: it dies with either. Its tenant is a
claim, because two tenants' accounts share their names.
Source: RFC 7519; Kubernetes, pkg/serviceaccount/claims.go; Kubernetes' static token file.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ursa.api.objects import Document, Objects, served
from ursa.api.rbac import SERVICE_ACCOUNT_PREFIX
from ursa.api.request import SYSTEM_TENANT, User
from ursa.base import ids
from ursa.base.clock import Clock
from ursa.base.config import ConfigError
from ursa.base.errors import Unauthorized
from ursa.kinds.part import Part

ISSUER = "https://kubernetes.default.svc.cluster.local"  # Kubernetes' default; also the audience
CLOCK_SKEW_S = 10  # the machine that issued may be ahead
VERIFIED_MAX = 4096  # tokens whose signature is remembered; a check costs about 100 µs
COLUMNS_MIN, TENANT_COLUMN = 3, 5  # token,user,uid,"groups",,tenant

SERVICE_ACCOUNTS = "system:serviceaccounts"


class BoundTo(Part):
    name: str
    uid: str


class Binding(Part):
    """The private claim `kubernetes.io`."""

    tenant: str
    namespace: str
    serviceaccount: BoundTo
    pod: BoundTo | None = None
    secret: BoundTo | None = None


class Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: list[str]
    exp: int
    nbf: int
    jti: str
    binding: Binding = msgspec.field(name="kubernetes.io")


class ServiceAccountTokens:
    def __init__(self, key_pem: bytes, objects: Objects, clock: Clock) -> None:
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError("the service account key is no P-256 key")
        self._key = key
        self._objects = objects
        self._clock = clock
        self._verified: dict[str, Claims] = {}
        self._bound_kinds = {
            "serviceaccount": served("", "serviceaccounts"),
            "pod": served("", "pods"),
            "secret": served("", "secrets"),
        }

    def issue(
        self,
        account: Document,
        *,
        audiences: Sequence[str],
        duration_s: int,
        bound_to: tuple[str, Document] | None = None,
    ) -> tuple[str, int]:
        """Return a token and when it expires; `bound_to` is ("pod" or "secret", its document)."""
        metadata, now_s = account["metadata"], int(self._clock.now_s())
        private: dict[str, Any] = {
            "tenant": metadata["tenant"],
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound_to is not None:
            kind, document = bound_to
            bound = document["metadata"]
            private[kind] = {"name": bound["name"], "uid": bound["uid"]}
        claims = {
            "iss": ISSUER,
            "aud": list(audiences) or [ISSUER],
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + duration_s,
            "jti": ids.uid(),
            "sub": f"{SERVICE_ACCOUNT_PREFIX}{metadata['namespace']}:{metadata['name']}",
            "kubernetes.io": private,
        }
        return jwt.encode(claims, self._key, algorithm="ES256"), now_s + duration_s

    def user(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> User:
        """Return whom the token speaks for. Unauthorized says what is wrong with it."""
        claims = self._verified.get(token) or self._verify(token)
        now_s = self._clock.now_s()
        if now_s >= claims.exp:
            raise Unauthorized("service account token has expired")
        if now_s < claims.nbf - CLOCK_SKEW_S:
            raise Unauthorized("service account token is not valid yet")
        if not set(audiences) & set(claims.aud):
            raise Unauthorized(f"token audiences {claims.aud!r} are not for this server")
        self._check_objects(claims.binding)
        return _account_user(claims)

    def audiences(self, token: str) -> list[str]:
        """Return whom a token that `user` has accepted is meant for."""
        return (self._verified.get(token) or self._verify(token)).aud

    def _verify(self, token: str) -> Claims:
        try:
            payload = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["ES256"],
                issuer=ISSUER,
                options={  # time and audience are checked at every use, by our clock
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "require": ["exp", "aud", "iss"],
                },
            )
            claims = msgspec.convert(payload, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError) as fault:
            raise Unauthorized(f"invalid bearer token: {fault}") from fault
        if len(self._verified) >= VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = claims
        return claims

    def _check_objects(self, binding: Binding) -> None:
        for kind, resource in self._bound_kinds.items():
            bound: BoundTo | None = getattr(binding, kind)
            if bound is None:
                continue
            found = self._objects.get(resource, binding.tenant, binding.namespace, bound.name)
            if found is None or found["metadata"]["uid"] != bound.uid:
                raise Unauthorized(f"the {kind} {bound.name} that the token is bound to is gone")


def _account_user(claims: Claims) -> User:
    binding = claims.binding
    extra: dict[str, tuple[str, ...]] = {
        "authentication.kubernetes.io/credential-id": (f"JTI={claims.jti}",)
    }
    if binding.pod is not None:
        extra["authentication.kubernetes.io/pod-name"] = (binding.pod.name,)
        extra["authentication.kubernetes.io/pod-uid"] = (binding.pod.uid,)
    return User(
        name=f"{SERVICE_ACCOUNT_PREFIX}{binding.namespace}:{binding.serviceaccount.name}",
        tenant=binding.tenant,
        groups=service_account_groups(binding.namespace),
        uid=binding.serviceaccount.uid,
        extra=extra,
    )


def service_account_groups(namespace: str) -> tuple[str, ...]:
    return (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}")


class StaticTokens:
    """Tokens of a file, held as digests, so that a look-up's time tells nothing of them."""

    def __init__(self, users: Mapping[bytes, User]) -> None:
        self._users = users

    def user(self, token: str) -> User | None:
        return self._users.get(_digest(token))


def load_static_tokens(path: Path) -> StaticTokens:
    """Read `token,user,uid,"group1,group2",,tenant`. ConfigError names the faulty line."""
    users: dict[bytes, User] = {}
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not row:
                continue
            if len(row) < COLUMNS_MIN or not (row[0] and row[1]):
                raise ConfigError(f"{path}:{number}: want token,user,uid[,groups[,,tenant]]")
            groups = row[3].split(",") if len(row) > COLUMNS_MIN and row[3] else []
            tenant = row[TENANT_COLUMN] if len(row) > TENANT_COLUMN else ""
            users[_digest(row[0])] = User(
                name=row[1], tenant=tenant or SYSTEM_TENANT, groups=tuple(groups), uid=row[2]
            )
    return StaticTokens(users)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
