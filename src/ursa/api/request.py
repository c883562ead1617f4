"""What a request is, once its path and its caller are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

ALL_TENANTS = "all"
SYSTEM_TENANT = "system"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Two tenants' users may share a name: `tenant` is part of the identity."""

    name: str
    tenant: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Attributes(msgspec.Struct, frozen=True):
    """What is asked, as authorization and admission see it.

    A Struct: one is made for each request, in 0.5 µs; a frozen dataclass takes 4.

    `tenant` is where the request acts: from the URL, else the caller's; ALL_TENANTS spans all.
    It is "" for cluster-scoped resources. A request for no resource has `path` alone.
    """

    user: User
    verb: str  # get list watch create update patch delete deletecollection; else the HTTP method
    path: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""  # plural; "" for a request of no resource
    subresource: str = ""
    tenant: str = ""
    namespace: str = ""
    name: str = ""
