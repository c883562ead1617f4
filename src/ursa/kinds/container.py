"""The containers of a pod, as the node agent reads them.

Every field of Kubernetes' Container that this cloud keeps is here, so that a pod made from a
template loses nothing on the way through a view (tests/kinds/test_views.py compares with the
schema). Source: Kubernetes, api/core/v1/types.go (Container and what it holds).
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from ursa.kinds.part import Part

Quantity = str | int | float  # see base/quantity.py
IntOrString = int | str
ResourceList = dict[str, Quantity]
"""Resource name → quantity: cpu in cores, memory and ephemeral-storage in bytes."""


class ResourceRequirements(Part):
    limits: ResourceList = {}
    requests: ResourceList = {}
    claims: tuple[dict[str, Any], ...] = ()


class KeySelector(Part):
    """One key of a ConfigMap or a Secret of the pod's namespace."""

    name: str = ""
    key: str = ""
    optional: bool | None = None
    """True: a missing object or key leaves the variable out; else the container waits."""


class ObjectFieldSelector(Part):
    field_path: str = ""
    """`metadata.name`, `status.podIP`, `metadata.labels['app']` …"""
    api_version: str = "v1"


class ResourceFieldSelector(Part):
    resource: str = ""
    """`limits.cpu`, `requests.memory` …"""
    container_name: str = ""
    divisor: Quantity = "0"
    """Unit of the value; 0 means 1."""


class EnvVarSource(Part):
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class EnvVar(Part):
    name: str = ""
    value: str = ""
    """May refer to earlier variables as `$(NAME)`."""
    value_from: EnvVarSource | None = None


class EnvFromRef(Part):
    name: str = ""
    optional: bool | None = None


class EnvFromSource(Part):
    prefix: str = ""
    config_map_ref: EnvFromRef | None = None
    secret_ref: EnvFromRef | None = None


class ContainerPort(Part):
    container_port: int = 0
    host_port: int = 0
    name: str = ""
    protocol: str = "TCP"
    host_ip: str = field(name="hostIP", default="")


class VolumeMount(Part):
    name: str = ""
    mount_path: str = ""
    read_only: bool = False
    sub_path: str = ""
    sub_path_expr: str = ""
    mount_propagation: str | None = None
    recursive_read_only: str | None = None


class VolumeDevice(Part):
    name: str = ""
    device_path: str = ""


class ExecAction(Part):
    command: tuple[str, ...] = ()


class HttpHeader(Part):
    name: str = ""
    value: str = ""


class HttpGetAction(Part):
    port: IntOrString = 0
    """A number, or the name of one of the container's ports."""
    path: str = ""
    host: str = ""
    """Default: the pod's address."""
    scheme: str = ""
    """HTTP or HTTPS."""
    http_headers: tuple[HttpHeader, ...] = ()


class TcpSocketAction(Part):
    port: IntOrString = 0
    host: str = ""


class GrpcAction(Part):
    port: int = 0
    service: str | None = None


class SleepAction(Part):
    seconds: int = 0


class Probe(Part):
    """How to ask a container whether it is alive, ready or started. Exactly one action is set."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    grpc: GrpcAction | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(Part):
    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Part):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


class Capabilities(Part):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SeLinuxOptions(Part):
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompProfile(Part):
    type: str = ""
    """RuntimeDefault, Unconfined or Localhost."""
    localhost_profile: str | None = None


class WindowsOptions(Part):
    gmsa_credential_spec_name: str | None = None
    gmsa_credential_spec: str | None = None
    run_as_user_name: str | None = None
    host_process: bool | None = None


class SecurityContext(Part):
    """A container's; what is None here is taken from the pod's."""

    capabilities: Capabilities | None = None
    privileged: bool | None = None
    se_linux_options: SeLinuxOptions | None = None
    windows_options: WindowsOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: str | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: SeccompProfile | None = None


class ContainerResizePolicy(Part):
    resource_name: str = ""
    restart_policy: str = ""


class Container(Part):
    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    """Replaces the image's entry point; empty: the image's own."""
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    """Read before `env`, which overrides."""
    resources: ResourceRequirements = ResourceRequirements()
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    restart_policy: str | None = None
    """Always makes an init container a sidecar; None elsewhere."""
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: tuple[VolumeDevice, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"
    """File, or FallbackToLogsOnError."""
    image_pull_policy: str = ""
    """Always, IfNotPresent or Never; stored documents always carry it."""
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
