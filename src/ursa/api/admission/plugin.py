"""What an admission plugin is, and what it is asked."""

from __future__ import annotations

from typing import Any

import msgspec

from ursa.api.objects import Document
from ursa.api.request import SYSTEM_TENANT, Attributes
from ursa.base.errors import Forbidden
from ursa.kinds.registry import Resource

CREATE, UPDATE, DELETE, CONNECT = "create", "update", "delete", "connect"


class Review(msgspec.Struct, frozen=True, eq=False):
    """One request, once it is authorized, with the documents that it is about."""

    operation: str  # CREATE, UPDATE, DELETE or CONNECT
    resource: Resource
    new: Document | None  # None on delete
    old: Document | None  # None on create
    attributes: Attributes

    @property
    def kind(self) -> tuple[str, str]:
        """The group and plural, without a subresource."""
        return self.resource.group, self.resource.plural

    @property
    def document(self) -> Document:
        return self.new or self.old or {}

    @property
    def name(self) -> str:
        metadata = self.document.get("metadata") or {}
        return self.attributes.name or metadata.get("name") or metadata.get("generateName") or ""

    @property
    def is_by_system(self) -> bool:
        """Whether an operator or a component asks, whatever tenant it acts in."""
        return self.attributes.user.tenant == SYSTEM_TENANT

    def writes(self, group: str, plural: str, *subresources: str) -> bool:
        """Return whether this creates or updates the kind itself, or one of `subresources`."""
        return (
            self.operation in (CREATE, UPDATE)
            and self.kind == (group, plural)
            and self.attributes.subresource in (subresources or ("",))
        )

    def spec(self) -> dict[str, Any]:
        """The document's own spec, which a mutating plugin may change."""
        spec: dict[str, Any] | None = self.document.get("spec")
        return {} if spec is None else spec


class Plugin:
    """Both hooks raise an ApiError to refuse; a plugin overrides those that it needs."""

    def mutate(self, review: Review) -> None:
        """Change `review.new` in place; runs before validation."""

    def validate(self, review: Review) -> None:
        """Judge the final documents; changes nothing."""


def forbidden(review: Review, why: str) -> Forbidden:
    resource = review.resource
    return Forbidden(
        f'{resource.group_resource} "{review.name}" is forbidden: {why}',
        details={"name": review.name, "group": resource.group, "kind": resource.plural},
    )
