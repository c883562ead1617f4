"""What reaches past the pod to its machine is for pods of tenant `system` only.

The rules are those of Kubernetes' pod security standard "baseline", and ours: no node of
one's own choice, no image from the node's disk, no binding by hand.
Source: Kubernetes "Pod Security Standards", Baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ursa.api.admission.plugin import CREATE, UPDATE, Plugin, Review, forbidden
from ursa.api.request import SYSTEM_TENANT

Spec = dict[str, Any]
LISTS = ("containers", "initContainers", "ephemeralContainers")
CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)


class PodPolicy(Plugin):
    def validate(self, review: Review) -> None:
        if review.attributes.tenant == SYSTEM_TENANT or review.operation not in (CREATE, UPDATE):
            return
        if review.kind == ("", "bindings") or review.writes("", "pods", "binding"):
            if not review.is_by_system:
                raise forbidden(review, "pods are bound to nodes by the scheduler")
        elif review.writes("", "pods", "", "ephemeralcontainers"):
            found = faults(review.spec())
            if review.operation == CREATE and review.spec().get("nodeName"):
                found.append("nodeName")
            if found:
                tenant = review.attributes.tenant
                raise forbidden(
                    review,
                    f'{", ".join(found)}: only for pods of tenant "{SYSTEM_TENANT}",'
                    f' not of tenant "{tenant}"',
                )


def faults(spec: Spec) -> list[str]:
    """Return what in a pod's spec reaches its machine, in the order of CHECKS."""
    return [fault for check in CHECKS for fault in check(spec)]


def _host_namespaces(spec: Spec) -> Iterator[str]:
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field))


def _host_paths(spec: Spec) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        if volume.get("hostPath") is not None:
            yield f'hostPath volume "{volume.get("name", "")}"'


def _host_ports(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            yield f"hostPort of {_named(container)}"


def _privileged(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        if (container.get("securityContext") or {}).get("privileged"):
            yield f"privileged {_named(container)}"


def _capabilities(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        context = container.get("securityContext") or {}
        added = set((context.get("capabilities") or {}).get("add") or ())
        if more := sorted(added - CAPABILITIES):
            yield f"capabilities {' '.join(more)} of {_named(container)}"


def _confinement(spec: Spec) -> Iterator[str]:
    named = [("the pod", spec)] + [(_named(c), c) for c in _containers(spec)]
    for name, holder in named:
        context = holder.get("securityContext") or {}
        for field in ("seccompProfile", "appArmorProfile"):
            if (context.get(field) or {}).get("type") == "Unconfined":
                yield f"{field} Unconfined of {name}"
        if context.get("procMount", "Default") != "Default":
            yield f"procMount of {name}"
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield f"hostProcess of {name}"


def _sysctls(spec: Spec) -> Iterator[str]:
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or ():
        if sysctl.get("name") not in SYSCTLS:
            yield f"sysctl {sysctl.get('name', '')}"


def _local_images(spec: Spec) -> Iterator[str]:
    machine = spec.get("virtualMachine")
    for workload in (*_containers(spec), *([machine] if machine else ())):
        image = str(workload.get("image") or "")
        if image.lower().startswith(("file:", "/")):
            yield f'image "{image}" on the node\'s disk'


CHECKS: tuple[Callable[[Spec], Iterator[str]], ...] = (
    _host_namespaces,
    _host_paths,
    _host_ports,
    _privileged,
    _capabilities,
    _confinement,
    _sysctls,
    _local_images,
)


def _containers(spec: Spec) -> Iterator[dict[str, Any]]:
    for name in LISTS:
        yield from spec.get(name) or ()


def _named(container: dict[str, Any]) -> str:
    return f'container "{container.get("name", "")}"'
