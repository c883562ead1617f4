"""Pod: the unit that is scheduled; containers that share a network, or one virtual machine.

`spec` is written by users (and `nodeName` by the scheduler, once); `status` by the node agent.
The views hold every field that a stored pod can have, so a pod made from a template loses
nothing. Source: Kubernetes, api/core/v1/types.go; Arktos for `virtualMachine`, `nics`, `vpc`.
"""

from __future__ import annotations

from typing import Any

from msgspec import field
from msgspec.structs import replace

from ursa.kinds.container import (
    Container,
    ResourceList,
    ResourceRequirements,
    SeccompProfile,
    SeLinuxOptions,
    WindowsOptions,
)
from ursa.kinds.part import Condition, ObjectMeta, Part, Scope, kind
from ursa.kinds.placement import Affinity, Toleration, TopologySpreadConstraint
from ursa.kinds.vm import Nic, NicStatus, VirtualMachine, VirtualMachineStatus
from ursa.kinds.volume import Volume

PENDING, RUNNING, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"


class Sysctl(Part):
    name: str = ""
    value: str = ""


class PodSecurityContext(Part):
    """Defaults for the containers' own security contexts, and what the whole pod shares."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: str | None = None
    se_linux_options: SeLinuxOptions | None = None
    se_linux_change_policy: str | None = None
    windows_options: WindowsOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: SeccompProfile | None = None
    sysctls: tuple[Sysctl, ...] = ()


class LocalObjectReference(Part):
    name: str = ""


class PodDnsOption(Part):
    name: str = ""
    value: str | None = None


class PodDnsConfig(Part):
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDnsOption, ...] = ()


class HostAlias(Part):
    ip: str = ""
    hostnames: tuple[str, ...] = ()


class ReadinessGate(Part):
    condition_type: str = ""


class SchedulingGate(Part):
    name: str = ""


class PodOs(Part):
    name: str = ""


class PodSpec(Part):
    """Exactly one of `containers` and `virtual_machine` is asked for.

    Of a machine's pod, `containers` holds the machine's mirror, see vm_mirror.py: whoever runs
    or counts a pod looks at `virtual_machine` first.
    """

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[dict[str, Any], ...] = ()
    virtual_machine: VirtualMachine | None = None
    vpc: str = ""
    """Name of a Vpc of the pod's tenant; empty: its `default`."""
    nics: tuple[Nic, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: str = "Always"
    """Always, OnFailure or Never."""
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    dns_policy: str = "ClusterFirst"
    dns_config: PodDnsConfig | None = None
    node_name: str = ""
    """Empty until bound."""
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    scheduler_name: str = "default-scheduler"
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    priority_class_name: str = ""
    priority: int | None = None
    preemption_policy: str | None = None
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    host_network: bool = False
    host_pid: bool = field(name="hostPID", default=False)
    host_ipc: bool = field(name="hostIPC", default=False)
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext | None = None
    hostname: str = ""
    subdomain: str = ""
    set_hostname_as_fqdn: bool | None = field(name="setHostnameAsFQDN", default=None)
    host_aliases: tuple[HostAlias, ...] = ()
    readiness_gates: tuple[ReadinessGate, ...] = ()
    runtime_class_name: str | None = None
    enable_service_links: bool | None = None
    overhead: ResourceList = {}
    os: PodOs | None = None
    resource_claims: tuple[dict[str, Any], ...] = ()
    resources: ResourceRequirements | None = None


class ContainerStateWaiting(Part):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(Part):
    started_at: str | None = None


class ContainerStateTerminated(Part):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str = field(name="containerID", default="")


class ContainerState(Part):
    """At most one is set; none means waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Part):
    name: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = field(name="imageID", default="")
    container_id: str = field(name="containerID", default="")
    """`containerd://<id>`."""
    started: bool | None = None


class PodIp(Part):
    ip: str = ""


class PodStatus(Part):
    phase: str = ""
    """Pending, Running, Succeeded, Failed or Unknown; stored pods always have one."""
    conditions: tuple[Condition, ...] = ()
    message: str = ""
    reason: str = ""
    nominated_node_name: str = ""
    host_ip: str = field(name="hostIP", default="")
    host_ips: tuple[PodIp, ...] = field(name="hostIPs", default=())
    pod_ip: str = field(name="podIP", default="")
    pod_ips: tuple[PodIp, ...] = field(name="podIPs", default=())
    start_time: str | None = None
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: str = ""
    virtual_machine_status: VirtualMachineStatus | None = None
    nic_statuses: tuple[NicStatus, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


@kind("v1", plural="pods", scope=Scope.NAMESPACE)
class Pod(Part):
    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_finished(self) -> bool:
        """Whether it will never run again."""
        return self.status.phase in (SUCCEEDED, FAILED)

    @property
    def is_active(self) -> bool:
        """Whether it counts as a replica: neither finished nor on its way out."""
        return not self.is_finished and self.metadata.deletion_timestamp is None


class TemplateMeta(Part):
    name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class PodTemplate(Part):
    """What a controller makes pods from: `pod_from`."""

    metadata: TemplateMeta = TemplateMeta()
    spec: PodSpec = PodSpec()


def pod_from(template: PodTemplate, metadata: ObjectMeta) -> Pod:
    """Return a pod of `template` whose name, place and owners are those of `metadata`.

    Labels, annotations and finalizers are the template's.
    """
    made = template.metadata
    labelled = replace(
        metadata, labels=made.labels, annotations=made.annotations, finalizers=made.finalizers
    )
    return Pod(metadata=labelled, spec=template.spec)
