"""The config maps and secrets that a pod reads, and what the downward API says. Pure.

`needed` names the objects; the shell fetches them into `Objects`; everything else looks them up
there. A missing object or key is a ConfigFault unless it is optional: the user mends it, and
the agent tries again.
Source: Kubernetes, pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/fieldpath.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from ursa.base import quantity
from ursa.kinds.configmap import ConfigMap
from ursa.kinds.container import (
    Container,
    EnvVarSource,
    KeySelector,
    ResourceFieldSelector,
    ResourceList,
)
from ursa.kinds.pod import Pod
from ursa.kinds.secret import Secret
from ursa.kinds.volume import Volume

CONFIG_MAP, SECRET = "configmap", "secret"


class ConfigFault(Exception):
    """What the pod refers to is not there; the message names it."""


class Reference(NamedTuple):
    kind: str
    name: str


Objects = Mapping[Reference, Mapping[str, bytes] | None]
"""What was fetched: the object's keys, or None if there is no such object."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pod runs: what the downward API tells beside the pod itself."""

    node_name: str
    host_ip: str
    pod_ip: str
    allocatable: ResourceList


def keys_of(found: ConfigMap | Secret) -> dict[str, bytes]:
    """Return an object's keys with their values as bytes."""
    if isinstance(found, Secret):
        return {key: base64.b64decode(value) for key, value in found.data.items()}
    binary = {key: base64.b64decode(value) for key, value in found.binary_data.items()}
    return binary | {key: value.encode() for key, value in found.data.items()}


def needed_by_environment(container: Container) -> set[Reference]:
    return {reference for reference, _ in _environment_references(container)}


def _environment_references(container: Container) -> Iterator[tuple[Reference, str]]:
    for source in container.env_from:
        if source.config_map_ref:
            yield Reference(CONFIG_MAP, source.config_map_ref.name), ""
        if source.secret_ref:
            yield Reference(SECRET, source.secret_ref.name), ""
    for variable in container.env:
        source_ = variable.value_from
        if source_ and source_.config_map_key_ref:
            yield Reference(CONFIG_MAP, source_.config_map_key_ref.name), variable.name
        if source_ and source_.secret_key_ref:
            yield Reference(SECRET, source_.secret_key_ref.name), variable.name


def needed_by_volumes(volumes: Iterable[Volume]) -> set[Reference]:
    found: set[Reference] = set()
    for volume in volumes:
        if volume.config_map:
            found.add(Reference(CONFIG_MAP, volume.config_map.name))
        if volume.secret:
            found.add(Reference(SECRET, volume.secret.secret_name))
        for source in volume.projected.sources if volume.projected else ():
            if source.config_map:
                found.add(Reference(CONFIG_MAP, source.config_map.name))
            if source.secret:
                found.add(Reference(SECRET, source.secret.name))
    return found


def environment(pod: Pod, container: Container, objects: Objects, place: Place) -> dict[str, str]:
    """Return the container's variables, references resolved and `$(NAME)` expanded."""
    values: dict[str, str] = {}
    for source in container.env_from:
        for reference, optional in (
            (
                source.config_map_ref and Reference(CONFIG_MAP, source.config_map_ref.name),
                source.config_map_ref and source.config_map_ref.optional,
            ),
            (
                source.secret_ref and Reference(SECRET, source.secret_ref.name),
                source.secret_ref and source.secret_ref.optional,
            ),
        ):
            if reference:
                keys = lookup(objects, reference, bool(optional))
                values |= {f"{source.prefix}{key}": _text(v) for key, v in keys.items()}
    for variable in container.env:
        if variable.value_from is None:
            values[variable.name] = expand(variable.value, values)
            continue
        value = _from_source(pod, container, variable.value_from, objects, place)
        if value is not None:
            values[variable.name] = value
    return values


def lookup(objects: Objects, reference: Reference, optional: bool) -> Mapping[str, bytes]:
    """Return an object's keys; nothing if it is missing and optional."""
    keys = objects.get(reference)
    if keys is not None:
        return keys
    if optional:
        return {}
    raise ConfigFault(f'{reference.kind} "{reference.name}" not found')


def _from_source(
    pod: Pod, container: Container, source: EnvVarSource, objects: Objects, place: Place
) -> str | None:
    if source.config_map_key_ref:
        return _key(objects, CONFIG_MAP, source.config_map_key_ref)
    if source.secret_key_ref:
        return _key(objects, SECRET, source.secret_key_ref)
    if source.field_ref:
        return field_value(pod, source.field_ref.field_path, place)
    if source.resource_field_ref:
        return resource_value(pod, source.resource_field_ref, place, container.name)
    raise ConfigFault("a variable's valueFrom names no source")


def _key(objects: Objects, kind: str, selector: KeySelector) -> str | None:
    optional = bool(selector.optional)
    keys = lookup(objects, Reference(kind, selector.name), optional)
    if selector.key in keys:
        return _text(keys[selector.key])
    if optional:
        return None
    raise ConfigFault(f"couldn't find key {selector.key} in {kind} {selector.name}")


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable's value; `$$` is a literal `$`; unknown names stay."""

    def replaced(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group(0))

    return _REFERENCE.sub(replaced, text)


_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def field_value(pod: Pod, path: str, place: Place) -> str:
    """Return what a fieldRef says; ConfigFault for a path that there is not."""
    metadata = pod.metadata
    if match := _SUBSCRIPT.fullmatch(path):
        held = metadata.labels if match.group(1) == "labels" else metadata.annotations
        return held.get(match.group(2), "")
    values = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.tenant": metadata.tenant,
        "metadata.uid": metadata.uid,
        "metadata.labels": _lines(metadata.labels),
        "metadata.annotations": _lines(metadata.annotations),
        "spec.nodeName": place.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": place.host_ip,
        "status.hostIPs": place.host_ip,
        "status.podIP": place.pod_ip,
        "status.podIPs": place.pod_ip,
    }
    if path not in values:
        raise ConfigFault(f"unsupported fieldPath: {path}")
    return values[path]


def _lines(pairs: Mapping[str, str]) -> str:
    """Return `key="value"` lines, sorted, as Kubernetes writes labels into files."""
    quoted = ((k, v.replace("\\", "\\\\").replace('"', '\\"')) for k, v in sorted(pairs.items()))
    return "\n".join(f'{key}="{value}"'.replace("\n", "\\n") for key, value in quoted)


def resource_value(
    pod: Pod, selector: ResourceFieldSelector, place: Place, default_container: str = ""
) -> str:
    """Return a container's limit or request in units of the divisor, rounded up.

    A missing limit is what the node can allocate; a missing request 0.
    """
    name = selector.container_name or default_container
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    container = next((c for c in containers if c.name == name), None)
    if container is None:
        raise ConfigFault(f"container {name} not found")
    bound, _, resource = selector.resource.partition(".")
    if bound not in ("limits", "requests") or not resource:
        raise ConfigFault(f"unsupported container resource: {selector.resource}")
    amounts = container.resources.limits if bound == "limits" else container.resources.requests
    default = place.allocatable.get(resource, 0) if bound == "limits" else 0
    amount = quantity.parse(amounts.get(resource, default))
    divisor = quantity.parse(selector.divisor) or Decimal(1)
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))
