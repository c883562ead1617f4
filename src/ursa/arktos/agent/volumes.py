"""A pod's volumes on the node: made before its containers, kept current, removed with it.

    <pod dir>/volumes/<name>/          emptyDir, configMap, secret, downwardAPI, projected
    <pod dir>/subpaths/<container>/<n> what a mount's subPath names, bound safely

`files` is pure: what a volume of configuration shows. `Volumes` writes it, again and again as
the objects change. Secrets and tokens lie on tmpfs, never on a disk.
Source: Kubernetes, pkg/volume (emptydir, configmap, secret, downwardapi, projected, hostpath).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ursa.arktos.agent import atomicdir, mounts
from ursa.arktos.agent.atomicdir import File
from ursa.arktos.agent.references import (
    CONFIG_MAP,
    SECRET,
    ConfigFault,
    Objects,
    Place,
    Reference,
    expand,
    field_value,
    lookup,
    resource_value,
)
from ursa.base import quantity
from ursa.kinds.container import Container, VolumeMount
from ursa.kinds.pod import Pod
from ursa.kinds.volume import (
    DownwardFile,
    HostPathSource,
    KeyToPath,
    TokenProjection,
    Volume,
    VolumeProjection,
)

TOKEN_MODE = 0o600


class MountFault(Exception):
    """A volume that cannot be made; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a volume's content is made from."""

    objects: Objects
    place: Place
    tokens: Mapping[TokenProjection, str]


def is_configuration(volume: Volume) -> bool:
    """Return whether the volume's content comes from the API and follows it."""
    return bool(volume.config_map or volume.secret or volume.downward_api or volume.projected)


def is_secret(volume: Volume) -> bool:
    sources = volume.projected.sources if volume.projected else ()
    return volume.secret is not None or any(s.secret or s.service_account_token for s in sources)


def tokens_of(volumes: Iterable[Volume]) -> list[TokenProjection]:
    """Return the service-account tokens that volumes ask for."""
    return [
        source.service_account_token
        for volume in volumes
        if volume.projected
        for source in volume.projected.sources
        if source.service_account_token
    ]


def files(pod: Pod, volume: Volume, sources: Sources) -> dict[str, File]:
    """Return what a volume of configuration shows. ConfigFault names what is missing."""
    objects, place = sources.objects, sources.place
    if source := volume.config_map:
        reference = Reference(CONFIG_MAP, source.name)
        keys = lookup(objects, reference, bool(source.optional))
        return _items(keys, source.items, source.default_mode, reference, bool(source.optional))
    if secret := volume.secret:
        reference = Reference(SECRET, secret.secret_name)
        keys = lookup(objects, reference, bool(secret.optional))
        return _items(keys, secret.items, secret.default_mode, reference, bool(secret.optional))
    if downward := volume.downward_api:
        return _downward(pod, downward.items, downward.default_mode, place)
    assert volume.projected is not None, "is_configuration"
    merged: dict[str, File] = {}
    for part in volume.projected.sources:
        merged |= _projected(pod, part, volume.projected.default_mode, sources)
    return merged


def _projected(pod: Pod, part: VolumeProjection, mode: int, sources: Sources) -> dict[str, File]:
    for kind, source in ((CONFIG_MAP, part.config_map), (SECRET, part.secret)):
        if source is not None:
            reference = Reference(kind, source.name)
            keys = lookup(sources.objects, reference, bool(source.optional))
            return _items(keys, source.items, mode, reference, bool(source.optional))
    if part.downward_api is not None:
        return _downward(pod, part.downward_api.items, mode, sources.place)
    if part.service_account_token is not None:
        token = part.service_account_token
        return {token.path: File(sources.tokens[token].encode(), TOKEN_MODE)}
    return {}


def _items(
    keys: Mapping[str, bytes],
    items: Iterable[KeyToPath],
    mode: int,
    reference: Reference,
    optional: bool,
) -> dict[str, File]:
    if not items:
        return {key: File(value, mode) for key, value in keys.items()}
    chosen = {}
    for item in items:
        if item.key in keys:
            chosen[item.path] = File(keys[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise ConfigFault(f"{reference.kind} {reference.name} has no key {item.key}")
    return chosen


def _downward(pod: Pod, items: Iterable[DownwardFile], mode: int, place: Place) -> dict[str, File]:
    shown = {}
    for item in items:
        if item.field_ref:
            text = field_value(pod, item.field_ref.field_path, place)
        elif item.resource_field_ref:
            text = resource_value(pod, item.resource_field_ref, place)
        else:
            raise ConfigFault(f"downward API file {item.path} names no field")
        shown[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
    return shown


class Volumes:
    """The volumes of one pod below `folder`. All methods block; run them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ensure(self, pod: Pod, sources: Sources) -> None:
        """Make every volume and bring its content up to date; idempotent."""
        context = pod.spec.security_context
        gid = context.fs_group if context else None
        for volume in pod.spec.volumes:
            try:
                self._ensure_one(pod, volume, sources, gid)
            except (OSError, ValueError) as fault:
                raise MountFault(f'volume "{volume.name}": {fault}') from fault
            except ConfigFault as fault:
                raise MountFault(
                    f'MountVolume.SetUp failed for volume "{volume.name}" : {fault}'
                ) from fault

    def _ensure_one(self, pod: Pod, volume: Volume, sources: Sources, gid: int | None) -> None:
        path = self.path(volume.name)
        if is_configuration(volume):
            if is_secret(volume):
                mounts.tmpfs(path, mode=0o755)
            atomicdir.publish(path, files(pod, volume, sources), gid)
        elif volume.host_path:
            _check_host_path(volume.host_path)
        elif volume.empty_dir:
            if volume.empty_dir.medium == "Memory":
                size_bytes = quantity.whole(volume.empty_dir.size_limit or 0)
                mounts.tmpfs(path, size_bytes=size_bytes)
            path.mkdir(parents=True, exist_ok=True)
            if gid is not None:
                os.chown(path, -1, gid)
            path.chmod(0o2777 if gid is not None else 0o777)
        else:
            raise MountFault(f'volume "{volume.name}" is of a type that this node cannot mount')

    def path(self, name: str) -> Path:
        return self._folder / "volumes" / name

    def source(self, pod: Pod, container: Container, index: int, env: Mapping[str, str]) -> Path:
        """Return the host's path for the container's mount number `index`."""
        mount = container.volume_mounts[index]
        volume = next((v for v in pod.spec.volumes if v.name == mount.name), None)
        if volume is None:
            raise MountFault(f'mount {mount.mount_path}: there is no volume "{mount.name}"')
        root = Path(volume.host_path.path) if volume.host_path else self.path(volume.name)
        inner = _sub_path(mount, env)
        if not inner:
            return root
        target = self._folder / "subpaths" / container.name / str(index)
        try:
            mounts.unmount_below(target)
            mounts.bind_beneath(root, inner, target)
        except OSError as fault:
            raise MountFault(f'subPath "{inner}" of volume "{mount.name}": {fault}') from fault
        return target


def remove(folder: Path) -> None:
    """Remove a pod's folder with all its volumes; idempotent. Blocking.

    Mounts go first: a host's directory that is bound below must not be emptied.
    """
    if not folder.exists():
        return
    mounts.unmount_below(folder)
    assert not mounts.below(folder), f"{folder} has mounts"
    shutil.rmtree(folder)


def _sub_path(mount: VolumeMount, env: Mapping[str, str]) -> str:
    path = expand(mount.sub_path_expr, env) if mount.sub_path_expr else mount.sub_path
    if path.startswith("/") or ".." in Path(path).parts:
        raise MountFault(f'subPath "{path}" must lie inside its volume')
    return path


_HOST_PATH_KINDS = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def _check_host_path(source: HostPathSource) -> None:
    """Make or check what a hostPath names, as its type asks. OSError or MountFault if unfit."""
    path = Path(source.path)
    if source.type == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    elif source.type == "FileOrCreate":
        path.touch(mode=0o644, exist_ok=True)
    is_fit = _HOST_PATH_KINDS.get(source.type.removesuffix("OrCreate"))
    if is_fit is not None and not is_fit(path.stat().st_mode):
        raise MountFault(f"hostPath type check failed: {path} is not a {source.type}")
