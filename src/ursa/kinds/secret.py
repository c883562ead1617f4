"""Secret: keys and values that fewer may read. Source: Kubernetes, api/core/v1/types.go."""

from __future__ import annotations

from ursa.kinds.part import ObjectMeta, Part, Scope, kind

OPAQUE = "Opaque"


@kind("v1", plural="secrets", scope=Scope.NAMESPACE)
class Secret(Part):
    metadata: ObjectMeta
    data: dict[str, str] = {}
    """Base64."""
    type: str = OPAQUE
    """Immutable."""
    immutable: bool | None = None
