"""Rules for containers and for what they share with virtual machines.

Source: Kubernetes, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ursa.base import quantity
from ursa.kinds import syntax
from ursa.kinds.faults import (
    NOT_NEGATIVE,
    Document,
    Faults,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    not_negative,
    one_of,
    required,
    unique,
    unsupported,
)

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
STANDARD_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_FOR_INIT = (*_PROBES, "lifecycle")
_FIELD_PATHS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.tenant",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_KEYED_PATH = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_RESOURCE_FIELDS = frozenset(
    f"{side}.{name}"
    for side in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)


def containers_faults(path: str, containers: list[Document], volumes: frozenset[str]) -> Faults:
    for index, container in enumerate(containers):
        yield from container_faults(f"{path}[{index}]", container, volumes)


def init_containers_faults(
    path: str, containers: list[Document], volumes: frozenset[str]
) -> Faults:
    for index, container in enumerate(containers):
        here = f"{path}[{index}]"
        yield from container_faults(here, container, volumes)
        if container.get("restartPolicy") not in (None, "Always"):
            yield unsupported(f"{here}.restartPolicy", container["restartPolicy"], ["Always"])
        if container.get("restartPolicy") != "Always":
            for field in _NOT_FOR_INIT:
                if field in container:
                    detail = "may not be set for init containers without restartPolicy=Always"
                    yield forbidden(f"{here}.{field}", detail)


def container_faults(path: str, container: Document, volumes: frozenset[str]) -> Faults:
    yield from name_faults(f"{path}.name", container.get("name"))
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        detail = "must not have leading or trailing whitespace"
        yield invalid(f"{path}.image", image, detail)
    policy = container.get("terminationMessagePolicy", "File")
    yield from one_of(f"{path}.terminationMessagePolicy", policy, ("FallbackToLogsOnError", "File"))
    yield from one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    yield from _ports_faults(f"{path}.ports", container.get("ports", ()))
    yield from _env_faults(path, container)
    yield from mounts_faults(f"{path}.volumeMounts", container.get("volumeMounts", ()), volumes)
    yield from resources_faults(f"{path}.resources", container.get("resources", {}))
    for name in _PROBES:
        if name in container:
            yield from _probe_faults(f"{path}.{name}", container[name], name)
    for hook, handler in container.get("lifecycle", {}).items():
        if hook in ("postStart", "preStop"):
            yield from _action_faults(f"{path}.lifecycle.{hook}", handler, _HOOK_ACTIONS)
    yield from identity_faults(f"{path}.securityContext", container.get("securityContext", {}))


def name_faults(path: str, name: str | None) -> Faults:
    if not name:
        yield required(path)
    else:
        yield from each_invalid(path, name, syntax.dns_label(name))


def identity_faults(path: str, context: Document) -> Faults:
    """Check the numbers of a security context."""
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(field)
        if value is not None and not 0 <= value < 2**31:
            yield invalid(f"{path}.{field}", value, "must be between 0 and 2147483647, inclusive")
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield invalid(path, context, detail)


def _ports_faults(path: str, ports: list[Document]) -> Faults:
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        number = port.get("containerPort", 0)
        if number == 0:
            yield required(f"{here}.containerPort")
        else:
            yield from each_invalid(f"{here}.containerPort", number, syntax.port_number(number))
        if host := port.get("hostPort", 0):
            yield from each_invalid(f"{here}.hostPort", host, syntax.port_number(host))
        if name := port.get("name"):
            yield from each_invalid(f"{here}.name", name, syntax.port_name(name))
        yield from one_of(f"{here}.protocol", port.get("protocol"), PROTOCOLS)
    yield from unique(
        (f"{path}[{index}].name", port["name"])
        for index, port in enumerate(ports)
        if port.get("name")
    )


def _env_faults(path: str, container: Document) -> Faults:
    for index, variable in enumerate(container.get("env", ())):
        here = f"{path}.env[{index}]"
        name = variable.get("name", "")
        if not name:
            yield required(f"{here}.name")
        elif details := syntax.env_name(name):
            yield from each_invalid(f"{here}.name", name, details)
        if "valueFrom" in variable:
            yield from _source_faults(f"{here}.valueFrom", variable)
    for index, source in enumerate(container.get("envFrom", ())):
        here = f"{path}.envFrom[{index}]"
        refs = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        if len(refs) != 1:
            yield invalid(here, "", "must specify one of: `configMapRef` or `secretRef`")
        for kind in refs:
            if not source[kind].get("name"):
                yield required(f"{here}.{kind}.name")


def _source_faults(path: str, variable: Document) -> Faults:
    source = variable["valueFrom"]
    given = [kind for kind in _SOURCES if kind in source]
    if variable.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    if not given:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, "
            "`configMapKeyRef` or `secretKeyRef`"
        )
        yield invalid(path, "", detail)
    elif len(given) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")
    if "fieldRef" in source:
        yield from field_ref_faults(f"{path}.fieldRef", source["fieldRef"])
    if "resourceFieldRef" in source:
        yield from resource_ref_faults(f"{path}.resourceFieldRef", source["resourceFieldRef"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            yield from _key_ref_faults(f"{path}.{kind}", source[kind])


def _key_ref_faults(path: str, ref: Document) -> Faults:
    if not ref.get("name"):
        yield required(f"{path}.name")
    if not ref.get("key"):
        yield required(f"{path}.key")
    else:
        yield from each_invalid(f"{path}.key", ref["key"], syntax.config_key(ref["key"]))


def field_ref_faults(path: str, ref: Document) -> Faults:
    field = ref.get("fieldPath", "")
    if not field:
        yield required(f"{path}.fieldPath")
    elif not _KEYED_PATH.fullmatch(field) and field not in _FIELD_PATHS:
        yield unsupported(f"{path}.fieldPath", field, _FIELD_PATHS)


def resource_ref_faults(path: str, ref: Document) -> Faults:
    resource = ref.get("resource", "")
    if not resource:
        yield required(f"{path}.resource")
    elif resource not in _RESOURCE_FIELDS:
        yield unsupported(f"{path}.resource", resource, _RESOURCE_FIELDS)


def mounts_faults(path: str, mounts: list[Document], volumes: frozenset[str]) -> Faults:
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{here}.name")
        elif name not in volumes:
            yield not_found(f"{here}.name", name)
        if not place:
            yield required(f"{here}.mountPath")
        for field in ("subPath", "subPathExpr"):
            if value := mount.get(field):
                yield from relative_path_faults(f"{here}.{field}", value)
    places = [(f"{path}[{i}].mountPath", m.get("mountPath", "")) for i, m in enumerate(mounts)]
    for fault in unique(places):
        yield invalid(fault.path, dict(places)[fault.path], "must be unique")


def relative_path_faults(path: str, value: str) -> Faults:
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def resources_faults(path: str, resources: Document) -> Faults:
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if name not in STANDARD_RESOURCES:
                yield from _resource_name_faults(f"{path}.{side}[{name}]", name)
            if quantity.parse(amount) < 0:
                yield invalid(f"{path}.{side}[{name}]", amount, NOT_NEGATIVE)
    for name, amount in requests.items():
        if name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid(f"{path}.requests", amount, detail)


def _resource_name_faults(path: str, name: str) -> Faults:
    details = syntax.qualified_name(name)
    yield from each_invalid(path, name, details)
    if not details and "/" not in name and not name.startswith("hugepages-"):
        yield invalid(path, name, "must be a standard resource for containers")


def _probe_faults(path: str, probe: Document, name: str) -> Faults:
    yield from _action_faults(path, probe, _ACTIONS)
    for field in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        yield from not_negative(f"{path}.{field}", probe.get(field))
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    grace_s = probe.get("terminationGracePeriodSeconds")
    if grace_s is not None and name == "readinessProbe":
        detail = "must not be set for readinessProbes"
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace_s, detail)
    elif grace_s is not None and grace_s <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace_s, "must be greater than 0")


def _action_faults(path: str, handler: Document, actions: tuple[str, ...]) -> Faults:
    given = [action for action in actions if action in handler]
    if not given:
        yield required(path, "must specify a handler type")
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if "exec" in handler and not handler["exec"].get("command"):
        yield required(f"{path}.exec.command")
    if "httpGet" in handler:
        get = handler["httpGet"]
        if not get.get("path"):
            yield required(f"{path}.httpGet.path")
        yield from one_of(f"{path}.httpGet.scheme", get.get("scheme"), ("HTTP", "HTTPS"))
    for action in ("httpGet", "tcpSocket", "grpc"):
        if action in handler:
            yield from port_faults(f"{path}.{action}.port", handler[action].get("port", 0))


def port_faults(path: str, port: int | str) -> Faults:
    """Check a port given by number or by name."""
    details = syntax.port_number(port) if isinstance(port, int) else syntax.port_name(port)
    yield from each_invalid(path, port, details)


def named(path: str, items: list[Document]) -> Iterator[tuple[str, str]]:
    """Yield (path, name) of each item that has a name: what `unique` takes."""
    for index, item in enumerate(items):
        if item.get("name"):
            yield f"{path}[{index}].name", item["name"]
