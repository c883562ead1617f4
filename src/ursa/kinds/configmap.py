"""ConfigMap: configuration as keys and values. Source: Kubernetes, api/core/v1/types.go."""

from __future__ import annotations

from ursa.kinds.part import ObjectMeta, Part, Scope, kind

DATA_BYTES_MAX = 1 << 20  # Kubernetes, api/core/v1/types.go (MaxSecretSize)


@kind("v1", plural="configmaps", scope=Scope.NAMESPACE)
class ConfigMap(Part):
    metadata: ObjectMeta
    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}
    """Base64."""
    immutable: bool | None = None
