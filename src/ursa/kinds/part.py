"""The building blocks of every kind's typed view, and the registry that the views join.

Typed views are what controllers, scheduler and agents decode. They are frozen and may be
shared; a field's default is what absence means on the wire. They drop fields that they do
not know, so a change goes back to the server as a patch, never as a whole view.
Source: Kubernetes API conventions, "Metadata"; Arktos for `tenant`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

import msgspec
from msgspec import field


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A piece of a wire document."""


class OwnerReference(Part):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Part):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    """Empty for tenant-scoped and cluster-scoped kinds."""
    tenant: str = ""
    """Empty for cluster-scoped kinds alone; immutable."""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    """Counts changes of spec; status and metadata do not move it."""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class Condition(Part):
    """metav1.Condition, and the older conditions that share its shape."""

    type: str = ""
    status: str = "Unknown"
    """True, False or Unknown."""
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: str | None = None
    last_heartbeat_time: str | None = None
    last_update_time: str | None = None
    last_probe_time: str | None = None


class ObjectReference(Part):
    kind: str = ""
    api_version: str = ""
    tenant: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class LabelSelectorRequirement(Part):
    key: str
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: tuple[str, ...] = ()


class LabelSelector(Part):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether `labels` satisfy every requirement; an empty selector matches all."""
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            _satisfies(requirement, labels) for requirement in self.match_expressions
        )


def _satisfies(requirement: LabelSelectorRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"label selector operator {requirement.operator!r} is unknown")


class Scope(StrEnum):
    CLUSTER = "cluster"  # metadata.tenant and metadata.namespace are empty
    TENANT = "tenant"  # metadata.tenant is set
    NAMESPACE = "namespace"  # both are set


@dataclass(frozen=True, slots=True)
class View:
    """How a typed view is addressed: everything a client needs for its URLs."""

    group: str  # "" for core
    version: str
    kind: str
    plural: str
    scope: Scope

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


VIEWS: dict[type[Any], View] = {}

T = TypeVar("T", bound=Part)


def kind(api_version: str, *, plural: str, scope: Scope) -> Callable[[type[T]], type[T]]:
    """Register a typed view under the name of its class: `@kind("apps/v1", plural=…)`."""
    group, _, version = api_version.rpartition("/")

    def register(cls: type[T]) -> type[T]:
        VIEWS[cls] = View(group, version, cls.__name__, plural, scope)
        return cls

    return register


def view_of(cls: type[Any]) -> View:
    return VIEWS[cls]
