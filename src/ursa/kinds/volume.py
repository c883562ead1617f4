"""The volumes of a pod: those that the node agent can fill.

Other types are refused by validation, so a view never drops one.
Source: Kubernetes, api/core/v1/types.go (Volume).
"""

from __future__ import annotations

from msgspec import field

from ursa.kinds.container import ObjectFieldSelector, Quantity, ResourceFieldSelector
from ursa.kinds.part import Part

DEFAULT_MODE = 0o644


class EmptyDirSource(Part):
    medium: str = ""
    """"" is the node's disk, Memory a tmpfs."""
    size_limit: Quantity | None = None


class KeyToPath(Part):
    key: str = ""
    path: str = ""
    mode: int | None = None


class ConfigMapSource(Part):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    """Empty: every key under its own name."""
    default_mode: int = DEFAULT_MODE
    optional: bool | None = None


class SecretSource(Part):
    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = DEFAULT_MODE
    optional: bool | None = None


class HostPathSource(Part):
    path: str = ""
    type: str = ""
    """"", DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice."""


class DownwardFile(Part):
    path: str = ""
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardSource(Part):
    items: tuple[DownwardFile, ...] = ()
    default_mode: int = DEFAULT_MODE


class ConfigMapProjection(Part):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class DownwardProjection(Part):
    items: tuple[DownwardFile, ...] = ()


class TokenProjection(Part):
    path: str = ""
    audience: str = ""
    expiration_seconds: int = 3600


class VolumeProjection(Part):
    config_map: ConfigMapProjection | None = None
    secret: ConfigMapProjection | None = None
    downward_api: DownwardProjection | None = field(name="downwardAPI", default=None)
    service_account_token: TokenProjection | None = None


class ProjectedSource(Part):
    sources: tuple[VolumeProjection, ...] = ()
    default_mode: int = DEFAULT_MODE


class Volume(Part):
    """Exactly one source is set."""

    name: str = ""
    empty_dir: EmptyDirSource | None = None
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    host_path: HostPathSource | None = None
    downward_api: DownwardSource | None = field(name="downwardAPI", default=None)
    projected: ProjectedSource | None = None
