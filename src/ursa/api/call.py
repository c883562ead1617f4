"""One request to a resource, once it is known who asks for what."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ursa.api.cache import store_key
from ursa.api.message import Request
from ursa.api.paths import Target
from ursa.api.request import Attributes, User
from ursa.base.errors import BadRequest, NotFound, not_found
from ursa.kinds.registry import Resource


class Call(msgspec.Struct, frozen=True, eq=False):
    request: Request
    target: Target
    attributes: Attributes

    @property
    def resource(self) -> Resource:
        return self.target.resource

    @property
    def user(self) -> User:
        return self.attributes.user

    @property
    def tenant(self) -> str:
        """Where the request acts: "" for what belongs to the cluster."""
        return self.attributes.tenant

    @property
    def namespace(self) -> str:
        return self.target.namespace

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def key(self) -> str:
        return store_key(self.resource, self.tenant, self.namespace, self.name)

    @property
    def is_dry_run(self) -> bool:
        """Return whether nothing is to be stored. Raises BadRequest."""
        values = [value for name, value in self.request.query_items if name == "dryRun"]
        if any(value != "All" for value in values):
            raise BadRequest("dryRun must be All or absent")
        return bool(values)

    def missing(self) -> NotFound:
        return not_found(self.resource.plural, self.name, self.resource.group)


def warning_headers(warnings: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return Warning headers (RFC 7234 5.5), one for each text."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in warnings)
    return tuple(("Warning", f'299 - "{text}"') for text in quoted)
