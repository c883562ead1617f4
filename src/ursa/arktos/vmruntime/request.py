"""What a caller asks for, read from CRI messages and checked: nothing unchecked goes inward.

The machine's hardware and first words come as annotations of the container, because CRI has
no fields for them. Every fault is named at once.
Source: Kubernetes cri-api v1 (PodSandboxConfig, ContainerConfig).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cri_api.v1 import api_pb2 as cri

from ursa.arktos.vmruntime.nocloud import USER_DATA_BYTES_MAX
from ursa.arktos.vmruntime.records import Limits
from ursa.base.errors import BadRequest

PREFIX = "vm.ursa.dev/"
USER_DATA = PREFIX + "user-data"
"""cloud-init user-data, base64."""
USER_DATA_SCRIPT = PREFIX + "user-data-script"
"""A script, as it is; instead of user-data."""
PUBLIC_KEY = PREFIX + "public-key"
"""SSH public keys, one a line."""
VCPUS = PREFIX + "vcpus"
MEMORY_BYTES = PREFIX + "memory-bytes"
HOSTNAME = PREFIX + "hostname"
"""Default: the sandbox's host name, else the pod's name."""
DISK_DIR = PREFIX + "disk-dir"
"""Folder of the root disk, which its owner removes; without it the disk goes with the sandbox."""

VCPUS_MAX = 255  # as the x86 local APIC of q35 takes them
MEMORY_DEFAULT_BYTES = 512 << 20
MEMORY_MIN_BYTES = 64 << 20  # a kernel and its initramfs


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    name: str
    namespace: str
    uid: str
    attempt: int
    hostname: str
    log_directory: str
    cgroup_parent: str  # empty: the runtime's own
    nameservers: tuple[str, ...]
    searches: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MachineRequest:
    name: str
    attempt: int
    image: str
    log_path: str  # below the sandbox's log directory; empty for none
    vcpus: int
    memory_bytes: int
    hostname: str
    public_keys: tuple[str, ...]
    user_data: bytes
    disk_dir: str
    limits: Limits
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def sandbox_request(config: Any) -> SandboxRequest:
    """Return what a PodSandboxConfig asks for. BadRequest if a machine cannot have it."""
    metadata = config.metadata
    if not metadata.uid or not metadata.name:
        raise BadRequest("sandbox: metadata.name and metadata.uid are required")
    namespaces = config.linux.security_context.namespace_options
    if namespaces.network == cri.NODE:
        raise BadRequest(f"sandbox {metadata.name}: a VM has a port of its own: no hostNetwork")
    return SandboxRequest(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        attempt=metadata.attempt,
        hostname=config.hostname,
        log_directory=config.log_directory,
        cgroup_parent=config.linux.cgroup_parent,
        nameservers=tuple(config.dns_config.servers),
        searches=tuple(config.dns_config.searches),
        labels=dict(config.labels),
        annotations=dict(config.annotations),
    )


def machine_request(config: Any) -> MachineRequest:
    """Return what a ContainerConfig asks for. BadRequest names every fault."""
    notes = dict(config.annotations)
    resources = config.linux.resources
    faults: list[str] = []
    memory_bytes = resources.memory_limit_in_bytes or MEMORY_DEFAULT_BYTES
    request = MachineRequest(
        name=config.metadata.name,
        attempt=config.metadata.attempt,
        image=config.image.image,
        log_path=config.log_path,
        vcpus=_number(notes, VCPUS, 1, range(1, VCPUS_MAX + 1), faults),
        memory_bytes=_number(
            notes, MEMORY_BYTES, memory_bytes, range(MEMORY_MIN_BYTES, 1 << 50), faults
        ),
        hostname=notes.get(HOSTNAME, ""),
        public_keys=tuple(filter(None, map(str.strip, notes.get(PUBLIC_KEY, "").splitlines()))),
        user_data=_user_data(notes, faults),
        disk_dir=notes.get(DISK_DIR, ""),
        limits=Limits(
            cpu_quota_us=resources.cpu_quota,
            cpu_period_us=resources.cpu_period,
            cpu_shares=resources.cpu_shares,
        ),
        labels=dict(config.labels),
        annotations=notes,
    )
    for is_wrong, fault in _CHECKS.items():
        if is_wrong(request):
            faults.append(fault)
    if faults:
        raise BadRequest(f"machine {request.name or '?'}: {'; '.join(faults)}")
    return request


_CHECKS: Mapping[Callable[[MachineRequest], bool], str] = {
    lambda r: not r.name: "metadata.name is required",
    lambda r: not r.image: "image is required",
    lambda r: ".." in Path(r.log_path).parts: "log_path leaves the log directory",
    lambda r: bool(r.disk_dir) and not Path(r.disk_dir).is_absolute(): f"{DISK_DIR} is relative",
}


def _number(
    notes: Mapping[str, str], key: str, default: int, allowed: range, faults: list[str]
) -> int:
    text = notes.get(key, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) not in allowed:
        faults.append(f"{key}: {text!r} is outside {allowed.start}..{allowed.stop - 1}")
        return default
    return int(text)


def _user_data(notes: Mapping[str, str], faults: list[str]) -> bytes:
    script, encoded = notes.get(USER_DATA_SCRIPT, ""), notes.get(USER_DATA, "")
    if script and encoded:
        faults.append(f"give {USER_DATA} or {USER_DATA_SCRIPT}, not both")
    data = script.encode()
    if script and not script.startswith("#!"):
        data = b"#!/bin/sh\n" + data
    if encoded:
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error as fault:
            faults.append(f"{USER_DATA} is not base64: {fault}")
    if len(data) > USER_DATA_BYTES_MAX:
        faults.append(f"user-data has {len(data)} bytes, at most {USER_DATA_BYTES_MAX} are taken")
    return data
