"""A pod's virtual machine and its network interfaces.

A pod holds either containers or one virtual machine; all else about it is the same.
Source: Arktos, api/core/v1/types.go (VirtualMachine, Nic, VirtualMachineStatus).
"""

from __future__ import annotations

from msgspec import field

from ursa.kinds.container import ResourceRequirements, VolumeDevice, VolumeMount
from ursa.kinds.part import Part

USER_DATA_BYTES_MAX = 65535


class VirtualMachine(Part):
    name: str = ""
    """DNS label; the name under which the machine appears in status."""
    image: str = ""
    """Reference or URL of a disk image, as the VM runtime understands it."""
    resources: ResourceRequirements = ResourceRequirements()
    """limits.cpu is the number of vCPUs (rounded up), limits.memory the machine's memory."""
    image_pull_policy: str = ""
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: tuple[VolumeDevice, ...] = ()
    key_pair_name: str = ""
    public_key: str = ""
    """SSH public key that cloud-init installs. Optional here, required (or a pair's name) by
    Arktos: a machine may as well be reached by its console, or not at all."""
    user_data: str = ""
    """cloud-init user-data, base64, at most USER_DATA_BYTES_MAX when decoded."""
    cloud_init_user_data_script: str = ""
    """A shell script that cloud-init runs; instead of `user_data`."""
    trusted_image_certificate: tuple[str, ...] = ()
    shutdown_behavior: str = "stop"
    """What the guest's own power-off means: stop or terminate."""
    boot_volume: str = ""
    power_spec: str = "Running"
    """Running, Paused, Shutdown or Suspended."""


class Nic(Part):
    name: str = ""
    """Interface name in the pod; default eth0."""
    subnet_name: str = ""
    port_id: str = ""
    ip_address: str = ""
    tag: str = ""
    ipv6_enabled: bool = False


class VirtualMachineStatus(Part):
    name: str = ""
    virtual_machine_id: str = ""
    image: str = ""
    image_id: str = ""
    state: str = ""
    """active, paused, suspended, stopped, deleted or error."""
    power_state: str = ""
    """nostate, running, paused, shutdown, crashed or suspended."""
    last_termination_state: str = ""
    ready: bool = False
    restart_count: int = 0
    resources: ResourceRequirements | None = None


class NicStatus(Part):
    name: str = ""
    port_id: str = field(name="portID", default="")
    state: str = ""
    """Unknown, InProgress, Ready or Failed."""
    reason: str = ""
