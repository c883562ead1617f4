"""Rules for the volumes of a pod.

Volume types that no node can fill are refused here, by name, rather than left to a pod that
never starts. Source: Kubernetes, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable

from ursa.base import quantity
from ursa.kinds.container_rules import (
    field_ref_faults,
    name_faults,
    named,
    relative_path_faults,
    resource_ref_faults,
)
from ursa.kinds.faults import (
    NOT_NEGATIVE,
    Document,
    Faults,
    forbidden,
    invalid,
    required,
    unique,
    unsupported,
)

MODE_MAX = 0o777
TOKEN_LIFETIME_MIN_S = 600  # Kubernetes, validation.go (validateProjectionSources)
HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)


def volumes_faults(path: str, volumes: list[Document]) -> Faults:
    for index, volume in enumerate(volumes):
        yield from _volume_faults(f"{path}[{index}]", volume)
    yield from unique(named(path, volumes))


def _volume_faults(path: str, volume: Document) -> Faults:
    yield from name_faults(f"{path}.name", volume.get("name"))
    kinds = [field for field in volume if field != "name"]
    if not kinds:
        yield required(path, "must specify a volume type")
    for extra in kinds[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    for kind in kinds:
        rule = _RULES.get(kind)
        if rule is None:
            listed = ", ".join(sorted(_RULES))
            detail = f"no node can fill this type of volume: use one of {listed}"
            yield forbidden(f"{path}.{kind}", detail)
        else:
            yield from rule(f"{path}.{kind}", volume[kind])


def _empty_dir(path: str, source: Document) -> Faults:
    if source.get("medium", "") not in ("", "Memory"):
        yield unsupported(f"{path}.medium", source["medium"], ["", "Memory"])
    if quantity.parse(source.get("sizeLimit", 0)) < 0:
        yield invalid(f"{path}.sizeLimit", source["sizeLimit"], NOT_NEGATIVE)


def _config_map(path: str, source: Document) -> Faults:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from _items(path, source)


def _secret(path: str, source: Document) -> Faults:
    if not source.get("secretName"):
        yield required(f"{path}.secretName")
    yield from _items(path, source)


def _host_path(path: str, source: Document) -> Faults:
    place = source.get("path", "")
    if not place:
        yield required(f"{path}.path")
    elif ".." in place.split("/"):
        yield invalid(f"{path}.path", place, "must not contain '..'")
    if source.get("type", "") not in HOST_PATH_TYPES:
        yield unsupported(f"{path}.type", source["type"], HOST_PATH_TYPES)


def _downward(path: str, source: Document) -> Faults:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items", ())):
        here = f"{path}.items[{index}]"
        yield from _file_path(f"{here}.path", item.get("path", ""))
        yield from _mode(f"{here}.mode", item.get("mode"))
        if "fieldRef" in item and "resourceFieldRef" in item:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid(here, "resource", detail)
        elif "fieldRef" in item:
            yield from field_ref_faults(f"{here}.fieldRef", item["fieldRef"])
        elif "resourceFieldRef" in item:
            yield from resource_ref_faults(f"{here}.resourceFieldRef", item["resourceFieldRef"])
        else:
            yield required(f"{here}.fieldRef", "one of fieldRef and resourceFieldRef is required")


def _projected(path: str, source: Document) -> Faults:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, projection in enumerate(source.get("sources", ())):
        here = f"{path}.sources[{index}]"
        for extra in list(projection)[1:]:
            yield forbidden(f"{here}.{extra}", "may not specify more than 1 volume type")
        for kind, below in projection.items():
            rule = _PROJECTIONS.get(kind)
            if rule is None:
                yield forbidden(f"{here}.{kind}", "no node can project this source")
            else:
                yield from rule(f"{here}.{kind}", below)


def _token(path: str, source: Document) -> Faults:
    yield from _file_path(f"{path}.path", source.get("path", ""))
    lifetime_s = source.get("expirationSeconds", TOKEN_LIFETIME_MIN_S)
    if lifetime_s < TOKEN_LIFETIME_MIN_S:
        detail = "may not specify a duration less than 10 minutes"
        yield invalid(f"{path}.expirationSeconds", lifetime_s, detail)


def _items(path: str, source: Document) -> Faults:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items", ())):
        here = f"{path}.items[{index}]"
        if not item.get("key"):
            yield required(f"{here}.key")
        yield from _file_path(f"{here}.path", item.get("path", ""))
        yield from _mode(f"{here}.mode", item.get("mode"))


def _file_path(path: str, value: str) -> Faults:
    if not value:
        yield required(path)
    else:
        yield from relative_path_faults(path, value)


def _mode(path: str, mode: int | None) -> Faults:
    if mode is not None and not 0 <= mode <= MODE_MAX:
        detail = "must be a number between 0 and 0777 (octal), both inclusive"
        yield invalid(path, mode, detail)


_Rule = Callable[[str, Document], Faults]
_RULES: dict[str, _Rule] = {
    "emptyDir": _empty_dir,
    "configMap": _config_map,
    "secret": _secret,
    "hostPath": _host_path,
    "downwardAPI": _downward,
    "projected": _projected,
}
_PROJECTIONS: dict[str, _Rule] = {
    "configMap": _config_map,
    "secret": _config_map,  # a projected secret is named by `name`
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
}
