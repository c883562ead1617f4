"""How a client names one object: by tenant, namespace and name, never by less."""

from __future__ import annotations

from typing import Any, NamedTuple

from ursa.kinds.part import ObjectMeta, Part


class Key(NamedTuple):
    tenant: str  # "" for cluster-scoped kinds
    namespace: str  # "" for cluster-scoped and tenant-scoped kinds
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Ref(NamedTuple):
    """One object by kind and key, where no view of it is at hand."""

    cls: type[Any]
    key: Key


def meta_of(obj: Part) -> ObjectMeta:
    """Return the metadata that every registered view has."""
    metadata: ObjectMeta = getattr(obj, "metadata")  # noqa: B009  Part itself has no metadata
    return metadata


def key_of(obj: Part) -> Key:
    metadata = meta_of(obj)
    return Key(metadata.tenant, metadata.namespace, metadata.name)
