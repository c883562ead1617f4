"""Rules for pods and pod templates: containers or one virtual machine.

A machine's keyPairName and publicKey are optional, where Arktos demands one of them: a guest
may be reached by its console, by what its user-data sets up, or not at all.
Source: Kubernetes, pkg/apis/core/validation/validation.go; Arktos, the same file
(validateVirtualMachine).
"""

from __future__ import annotations

import base64
import binascii

from ursa.kinds import syntax
from ursa.kinds.container_rules import (
    PULL_POLICIES,
    containers_faults,
    identity_faults,
    init_containers_faults,
    mounts_faults,
    name_faults,
    named,
    resources_faults,
)
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    forbidden,
    invalid,
    not_negative,
    one_of,
    required,
    too_long,
    unique,
)
from ursa.kinds.placement_rules import placement_faults
from ursa.kinds.vm import USER_DATA_BYTES_MAX
from ursa.kinds.vm_mirror import is_mirror
from ursa.kinds.volume_rules import volumes_faults

RESTART_POLICIES = ("Always", "Never", "OnFailure")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
POWER_SPECS = ("Paused", "Running", "Shutdown", "Suspended")
SHUTDOWN_BEHAVIORS = ("stop", "terminate")
_MIXED = "containers and virtualMachine workloads in same pod"
_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be "
    "set to 1 if it was previously negative),`spec.virtualMachine.powerSpec`"
)


def pod_faults(doc: Document, old: Document | None) -> Faults:
    spec = doc.get("spec", {})
    yield from pod_spec_faults("spec", spec)
    if old is None:
        if spec.get("ephemeralContainers"):
            yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    else:
        yield from _update_faults(spec, old.get("spec", {}))


def pod_spec_faults(path: str, spec: Document) -> Faults:
    volumes = spec.get("volumes", [])
    yield from volumes_faults(f"{path}.volumes", volumes)
    yield from _workload_faults(path, spec, frozenset(v.get("name", "") for v in volumes))
    policy = spec.get("restartPolicy")
    yield from one_of(f"{path}.restartPolicy", policy, RESTART_POLICIES)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    grace_s = spec.get("terminationGracePeriodSeconds")
    yield from not_negative(f"{path}.terminationGracePeriodSeconds", grace_s)
    deadline_s = spec.get("activeDeadlineSeconds")
    if deadline_s is not None and not 1 <= deadline_s < 2**31:
        detail = "must be between 1 and 2147483647, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", deadline_s, detail)
    yield from placement_faults(path, spec)
    yield from identity_faults(f"{path}.securityContext", spec.get("securityContext", {}))
    yield from _names_faults(path, spec)
    yield from _nics_faults(f"{path}.nics", spec.get("nics", []))
    if spec.get("hostNetwork"):
        yield from _host_port_faults(path, spec)


def _workload_faults(path: str, spec: Document, volumes: frozenset[str]) -> Faults:
    containers, inits = spec.get("containers"), spec.get("initContainers", [])
    if "virtualMachine" in spec:
        mixed = containers is not None and not is_mirror(containers, spec["virtualMachine"])
        if mixed or inits:
            yield forbidden(f"{path}.containers,virtualMachine", _MIXED)
        here = f"{path}.virtualMachine"
        yield from virtual_machine_faults(here, spec["virtualMachine"], volumes)
        return
    if not containers:
        yield required(f"{path}.containers")
        return
    yield from init_containers_faults(f"{path}.initContainers", inits, volumes)
    yield from containers_faults(f"{path}.containers", containers, volumes)
    names = [*named(f"{path}.initContainers", inits), *named(f"{path}.containers", containers)]
    yield from unique(names)


def virtual_machine_faults(path: str, machine: Document, volumes: frozenset[str]) -> Faults:
    if not machine.get("name"):
        yield required(f"{path}.name", "virtual machine name cannot be empty")
    else:
        yield from name_faults(f"{path}.name", machine["name"])
    if not machine.get("image"):
        yield required(f"{path}.image")
    for field, choices in (
        ("imagePullPolicy", PULL_POLICIES),
        ("powerSpec", POWER_SPECS),
        ("shutdownBehavior", SHUTDOWN_BEHAVIORS),
    ):
        yield from one_of(f"{path}.{field}", machine.get(field), choices)
    yield from resources_faults(f"{path}.resources", machine.get("resources", {}))
    yield from mounts_faults(f"{path}.volumeMounts", machine.get("volumeMounts", ()), volumes)
    yield from _user_data_faults(path, machine)


def _user_data_faults(path: str, machine: Document) -> Faults:
    data = machine.get("userData", "")
    if data and machine.get("cloudInitUserDataScript"):
        detail = "may not be specified together with `userData`"
        yield forbidden(f"{path}.cloudInitUserDataScript", detail)
    try:
        size_bytes = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as fault:
        yield invalid(f"{path}.userData", data, f"must be base64: {fault}")
        return
    if size_bytes > USER_DATA_BYTES_MAX:
        yield too_long(f"{path}.userData", USER_DATA_BYTES_MAX)


def _names_faults(path: str, spec: Document) -> Faults:
    for field, check in (
        ("nodeName", syntax.dns_subdomain),
        ("serviceAccountName", syntax.dns_subdomain),
        ("priorityClassName", syntax.dns_subdomain),
        ("schedulerName", syntax.dns_subdomain),
        ("runtimeClassName", syntax.dns_subdomain),
        ("hostname", syntax.dns_label),
        ("subdomain", syntax.dns_label),
        ("vpc", syntax.dns_label),
    ):
        if name := spec.get(field):
            yield from each_invalid(f"{path}.{field}", name, check(name))
    for index, secret in enumerate(spec.get("imagePullSecrets", ())):
        if not secret.get("name"):
            yield required(f"{path}.imagePullSecrets[{index}].name")


def _nics_faults(path: str, nics: list[Document]) -> Faults:
    for index, nic in enumerate(nics):
        here = f"{path}[{index}]"
        yield from name_faults(f"{here}.name", nic.get("name"))
        if len(nic.get("name", "")) > 15:  # IFNAMSIZ less the end
            yield invalid(f"{here}.name", nic["name"], "must be no more than 15 characters")
        if subnet := nic.get("subnetName"):
            yield from each_invalid(f"{here}.subnetName", subnet, syntax.dns_label(subnet))
        if address := nic.get("ipAddress"):
            yield from each_invalid(f"{here}.ipAddress", address, syntax.ip_address(address))
    yield from unique(named(path, nics))


def _host_port_faults(path: str, spec: Document) -> Faults:
    for place, container in enumerate(spec.get("containers", ())):
        for index, port in enumerate(container.get("ports", ())):
            if port.get("hostPort") != port.get("containerPort"):
                here = f"{path}.containers[{place}].ports[{index}].hostPort"
                detail = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(here, port.get("hostPort", 0), detail)


def _update_faults(spec: Document, old: Document) -> Faults:
    tolerations = spec.get("tolerations", [])
    if any(toleration not in tolerations for toleration in old.get("tolerations", ())):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", detail)
    if _settled(spec) != _settled(old):
        yield forbidden("spec", _FROZEN)


def _settled(spec: Document) -> Document:
    """Return the part of a pod's spec that no update may change."""
    kept = {
        field: value
        for field, value in spec.items()
        if field not in ("activeDeadlineSeconds", "tolerations")
    }
    for field in ("containers", "initContainers"):
        if field in spec:
            kept[field] = [container | {"image": ""} for container in spec[field]]
    if "virtualMachine" in spec:
        kept["virtualMachine"] = spec["virtualMachine"] | {"powerSpec": ""}
    return kept
