"""What the runtime is asked for: a pod's sandbox and containers as CRI messages. Pure.

A virtual machine is a sandbox and one container whose annotations `vm.ursa.dev/…` carry what
containers do not have: cloud-init data, keys, vCPUs.
Source: Kubernetes, kuberuntime_sandbox.go, kuberuntime_container_linux.go; CRI v1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cri_api.v1 import api_pb2 as cri_pb

from ursa.arktos.agent import cri, resources
from ursa.arktos.agent.podstate import ANNOTATION_CRASHES, ANNOTATION_IMAGE
from ursa.arktos.agent.references import ConfigFault, expand
from ursa.arktos.agent.resources import PERIOD_US, Limits
from ursa.kinds.container import Capabilities, Container, SeccompProfile, SecurityContext
from ursa.kinds.pod import Pod

HOSTNAME_MAX = 63
ANNOTATION_GRACE = "ursa.dev/termination-grace-seconds"
VM_PREFIX = "vm.ursa.dev/"
CLUSTER_DOMAIN = "cluster.local"

# Paths that Kubernetes hides from unprivileged containers (the runtime's defaults of OCI).
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)


def hostname(pod: Pod) -> str:
    return (pod.spec.hostname or pod.metadata.name)[:HOSTNAME_MAX].rstrip("-.")


def labels(pod: Pod) -> dict[str, str]:
    metadata = pod.metadata
    return {
        cri.LABEL_NAME: metadata.name,
        cri.LABEL_NAMESPACE: metadata.namespace,
        cri.LABEL_UID: metadata.uid,
        cri.LABEL_TENANT: metadata.tenant,
    }


def sandbox_config(
    pod: Pod, attempt: int, log_dir: Path, cgroup_parent: str
) -> cri_pb.PodSandboxConfig:
    """Return the sandbox's message. Host network leaves the hostname empty, or runc refuses."""
    metadata, spec = pod.metadata, pod.spec
    return cri_pb.PodSandboxConfig(
        metadata=cri_pb.PodSandboxMetadata(
            name=metadata.name, uid=metadata.uid, namespace=metadata.namespace, attempt=attempt
        ),
        hostname="" if spec.host_network else hostname(pod),
        log_directory=str(log_dir),
        dns_config=_dns(pod),
        labels=metadata.labels | labels(pod),
        annotations={ANNOTATION_GRACE: str(spec.termination_grace_period_seconds)},
        linux=cri_pb.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent,
            sysctls=_sysctls(pod),
            security_context=cri_pb.LinuxSandboxSecurityContext(
                namespace_options=_namespaces(pod),
                privileged=_is_privileged(pod),
                seccomp=_seccomp(None),
            ),
        ),
    )


def _sysctls(pod: Pod) -> dict[str, str]:
    context = pod.spec.security_context
    return {s.name: s.value for s in context.sysctls} if context else {}


def _dns(pod: Pod) -> cri_pb.DNSConfig | None:
    """Return the pod's resolv.conf. Cluster names have no server yet, so ClusterFirst is the
    host's file with the cluster's search list left out; None keeps the runtime's default.
    """
    config = pod.spec.dns_config
    if config is None and pod.spec.dns_policy != "None":
        return None
    return cri_pb.DNSConfig(
        servers=config.nameservers if config else (),
        searches=config.searches if config else (),
        options=[f"{o.name}:{o.value}" if o.value else o.name for o in config.options]
        if config
        else (),
    )


def _namespaces(pod: Pod) -> cri_pb.NamespaceOption:
    spec = pod.spec
    shared, own, node = cri_pb.POD, cri_pb.CONTAINER, cri_pb.NODE
    pid = node if spec.host_pid else shared if spec.share_process_namespace else own
    return cri_pb.NamespaceOption(
        network=node if spec.host_network else shared,
        pid=pid,
        ipc=node if spec.host_ipc else shared,
    )


def _is_privileged(pod: Pod) -> bool:
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    return any(c.security_context and c.security_context.privileged for c in containers)


@dataclass(frozen=True, slots=True)
class Given:
    """What a container gets beside its spec."""

    attempt: int
    crashes: int
    env: Mapping[str, str]
    mounts: Sequence[cri_pb.Mount]
    limits: Limits
    image_user: str
    machine_bytes: int


def container_config(
    pod: Pod,
    container: Container,
    given: Given,
) -> cri_pb.ContainerConfig:
    """Return a container's message. ConfigFault if it must not run as it is."""
    env, limits, attempt = given.env, given.limits, given.attempt
    qos = resources.qos_class(resources.workloads(pod))
    return cri_pb.ContainerConfig(
        metadata=cri_pb.ContainerMetadata(name=container.name, attempt=attempt),
        image=cri_pb.ImageSpec(image=container.image),
        command=[expand(word, env) for word in container.command],
        args=[expand(word, env) for word in container.args],
        working_dir=container.working_dir,
        envs=[cri_pb.KeyValue(key=key, value=value) for key, value in env.items()],
        mounts=given.mounts,
        labels=labels(pod) | {cri.LABEL_CONTAINER: container.name},
        annotations={ANNOTATION_CRASHES: str(given.crashes), ANNOTATION_IMAGE: container.image},
        log_path=f"{container.name}/{attempt}.log",
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        tty=container.tty,
        linux=cri_pb.LinuxContainerConfig(
            resources=cri_pb.LinuxContainerResources(
                cpu_period=PERIOD_US,
                cpu_quota=limits.cpu_quota_us,
                cpu_shares=limits.cpu_shares,
                memory_limit_in_bytes=limits.memory_bytes,
                oom_score_adj=resources.oom_score_adj(
                    qos, container.resources, given.machine_bytes
                ),
            ),
            security_context=_security(pod, container, given.image_user),
        ),
    )


def _security(
    pod: Pod, container: Container, image_user: str
) -> cri_pb.LinuxContainerSecurityContext:
    own = container.security_context or SecurityContext()
    shared = pod.spec.security_context
    user = own.run_as_user
    group = own.run_as_group
    must_not_be_root = own.run_as_non_root
    seccomp = own.seccomp_profile
    supplemental: tuple[int, ...] = ()
    if shared is not None:
        user = shared.run_as_user if user is None else user
        group = shared.run_as_group if group is None else group
        must_not_be_root = shared.run_as_non_root if must_not_be_root is None else must_not_be_root
        seccomp = seccomp or shared.seccomp_profile
        supplemental = shared.supplemental_groups
        supplemental += (shared.fs_group,) if shared.fs_group is not None else ()
    if must_not_be_root:
        _refuse_root(container, user, image_user)
    privileged = bool(own.privileged)
    message = cri_pb.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=_namespaces(pod),
        capabilities=_capabilities(own.capabilities),
        readonly_rootfs=bool(own.read_only_root_filesystem),
        no_new_privs=own.allow_privilege_escalation is False,
        supplemental_groups=supplemental,
        masked_paths=() if privileged or own.proc_mount == "Unmasked" else MASKED_PATHS,
        readonly_paths=() if privileged or own.proc_mount == "Unmasked" else READONLY_PATHS,
        seccomp=_unconfined() if privileged else _seccomp(seccomp),
    )
    if user is None and group is not None:
        user = int(image_user or 0) if (image_user or "0").isdigit() else 0
    if user is not None:
        message.run_as_user.value = user
    if group is not None:
        message.run_as_group.value = group
    return message


def _refuse_root(container: Container, user: int | None, image_user: str) -> None:
    if user == 0 or (user is None and image_user in ("", "0", "root")):
        raise ConfigFault(
            f"container {container.name} has runAsNonRoot and would run as root: set runAsUser"
        )
    if user is None and not image_user.isdigit():
        raise ConfigFault(
            f"container {container.name} has runAsNonRoot and image user {image_user!r} is no "
            "number, so that it cannot be verified: set runAsUser"
        )


def _capabilities(wanted: Capabilities | None) -> cri_pb.Capability | None:
    if wanted is None:
        return None
    return cri_pb.Capability(add_capabilities=wanted.add, drop_capabilities=wanted.drop)


def _seccomp(profile: SeccompProfile | None) -> cri_pb.SecurityProfile:
    """Return the profile; without one, the runtime's default."""
    kinds = cri_pb.SecurityProfile
    if profile is None or profile.type == "RuntimeDefault":
        return cri_pb.SecurityProfile(profile_type=kinds.RuntimeDefault)
    if profile.type == "Unconfined":
        return _unconfined()
    raise ConfigFault(
        f"seccomp profile type {profile.type!r}: this node has RuntimeDefault and Unconfined"
    )


def _unconfined() -> cri_pb.SecurityProfile:
    return cri_pb.SecurityProfile(profile_type=cri_pb.SecurityProfile.Unconfined)


def machine_config(
    pod: Pod, *, attempt: int, crashes: int, disk_dir: Path
) -> cri_pb.ContainerConfig:
    """Return the message of a pod's virtual machine.

    The root disk lies in `disk_dir`: it outlives sandbox and machine, and goes with the pod.
    """
    vm = pod.spec.virtual_machine
    assert vm is not None
    limits = resources.container_limits(vm.resources)
    millicores = resources.cpu_millicores(vm.resources.limits) or resources.cpu_millicores(
        vm.resources.requests
    )
    memory_bytes = limits.memory_bytes or resources.memory_bytes(vm.resources.requests)
    annotations = {
        "name": vm.name,
        "hostname": hostname(pod),
        "user-data": vm.user_data,
        "user-data-script": vm.cloud_init_user_data_script,
        "public-key": vm.public_key,
        "disk-dir": str(disk_dir),
        "vcpus": str(max(1, math.ceil(millicores / 1000))),
        "memory-bytes": str(memory_bytes) if memory_bytes else "",
    }
    config = cri_pb.ContainerConfig(
        metadata=cri_pb.ContainerMetadata(name=vm.name, attempt=attempt),
        image=cri_pb.ImageSpec(image=vm.image),
        labels=labels(pod) | {cri.LABEL_CONTAINER: vm.name},
        annotations={ANNOTATION_CRASHES: str(crashes), ANNOTATION_IMAGE: vm.image}
        | {VM_PREFIX + key: value for key, value in annotations.items() if value},
        log_path=f"{vm.name}/{attempt}.log",
        tty=True,
        stdin=True,
    )
    config.linux.resources.cpu_period = PERIOD_US
    config.linux.resources.cpu_quota = limits.cpu_quota_us
    config.linux.resources.cpu_shares = limits.cpu_shares
    config.linux.resources.memory_limit_in_bytes = memory_bytes
    return config


def hosts_file(pod: Pod, ip: str) -> bytes:
    """Return the pod's /etc/hosts: loopback, itself, its aliases."""
    lines = [
        "# The node agent writes this file for each pod.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
    ]
    if ip and not pod.spec.host_network:
        names = [hostname(pod)]
        if pod.spec.subdomain:
            domain = f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{CLUSTER_DOMAIN}"
            names.insert(0, f"{names[0]}.{domain}")
        lines.append("\t".join([ip, *names]))
    lines += ["\t".join([alias.ip, *alias.hostnames]) for alias in pod.spec.host_aliases]
    return ("\n".join(lines) + "\n").encode()
