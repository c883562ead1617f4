"""This node's own object: registered, its status kept true, its lease renewed.

`node_status` is pure. A node is Ready while any of its runtimes is; ContainerRuntimeReady and
VmRuntimeReady say which pods it can take, so that a dead runtime costs only its own pods.
Source: Kubernetes, pkg/kubelet/kubelet_node_status.go, KEP-589 (leases); Arktos, partial runtime
readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from ursa.arktos.agent.cri import Kind
from ursa.base.clock import Clock, rfc3339, rfc3339_micro
from ursa.base.errors import AlreadyExists, ApiError, Conflict, NotFound
from ursa.client.client import Client
from ursa.client.key import Key
from ursa.kinds.container import ResourceList
from ursa.kinds.lease import Lease, LeaseSpec
from ursa.kinds.node import (
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
)
from ursa.kinds.part import Condition, ObjectMeta

log = logging.getLogger(__name__)

LEASE_S: Final = 40  # kubelet's; a node that misses it is taken for dead
RENEW_S: Final = 10.0
REPORT_S: Final = 300.0  # an unchanged status is written this often (kubelet's)
SILENCE_S: Final = 20.0  # two renewals missed: half of what makes a node Unknown
FIRST_REPORT_S: Final = 1.0  # how long registration waits for a runtime's first word
RETRY_S: Final = 1.0
LEASE_NAMESPACE: Final = "kube-node-lease"
KUBELET_VERSION: Final = "v1.32.0"  # the behaviour that this agent follows
MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OS_RELEASE = Path("/etc/os-release")

CONDITION_OF = {Kind.CONTAINER: "ContainerRuntimeReady", Kind.VM: "VmRuntimeReady"}
PRESSURES = {
    "MemoryPressure": "kubelet has sufficient memory available",
    "DiskPressure": "kubelet has no disk pressure",
    "PIDPressure": "kubelet has sufficient PID available",
}


@dataclass(frozen=True, slots=True)
class RuntimeHealth:
    """What a runtime said when it was last asked. No fault: it is ready."""

    kind: Kind
    faults: tuple[str, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the agent runs."""

    name: str
    address: str
    port: int
    capacity: ResourceList
    allocatable: ResourceList


def labels(name: str) -> dict[str, str]:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
    }


def node_status(
    machine: Machine,
    info: NodeSystemInfo,
    health: Mapping[str, RuntimeHealth],
    before: Sequence[Condition],
    now_s: float,
) -> NodeStatus:
    """Return the node's status. Conditions that others own are kept."""
    own = [*_runtime_conditions(health), *_pressure_conditions()]
    names = {condition.type for condition in own}
    stamped = [_stamped(condition, before, now_s) for condition in own]
    others = [condition for condition in before if condition.type not in names]
    return NodeStatus(
        capacity=machine.capacity,
        allocatable=machine.allocatable,
        conditions=(*stamped, *others),
        addresses=(
            NodeAddress(type="InternalIP", address=machine.address),
            NodeAddress(type="Hostname", address=machine.name),
        ),
        daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=machine.port)),
        node_info=replace(info, container_runtime_version=_versions(health)),
    )


def _runtime_conditions(health: Mapping[str, RuntimeHealth]) -> list[Condition]:
    conditions = []
    for kind, name in CONDITION_OF.items():
        of_kind = [h for h in health.values() if h.kind == kind]
        ready = any(not h.faults for h in of_kind)
        faults = "; ".join(fault for h in of_kind for fault in h.faults)
        message = (
            f"At least one {kind} runtime is ready"
            if ready
            else f"None of {kind} runtime is ready" + (f": {faults}" if faults else "")
        )
        conditions.append(_condition(name, ready, message))
    ready = any(not h.faults for h in health.values())
    message = "; ".join(c.message for c in conditions)
    return [_condition("Ready", ready, message), *conditions]


def _condition(name: str, ready: bool, message: str) -> Condition:
    reason = "RuntimeReady" if ready else "RuntimeNotReady"
    if name == "Ready":
        reason = "KubeletReady" if ready else "KubeletNotReady"
    return Condition(type=name, status="True" if ready else "False", reason=reason, message=message)


def _pressure_conditions() -> list[Condition]:
    """Return the conditions that Kubernetes' clients expect; eviction is not here yet."""
    return [
        Condition(type=name, status="False", reason=f"KubeletHasNo{name}", message=message)
        for name, message in PRESSURES.items()
    ]


def _stamped(condition: Condition, before: Sequence[Condition], now_s: float) -> Condition:
    old = next((c for c in before if c.type == condition.type), None)
    since = old.last_transition_time if old and old.status == condition.status else None
    now = rfc3339(now_s)
    return replace(condition, last_transition_time=since or now, last_heartbeat_time=now)


def _versions(health: Mapping[str, RuntimeHealth]) -> str:
    return ",".join(h.version for h in health.values() if h.version)


def system_info() -> NodeSystemInfo:
    """Return what this machine says of itself. Blocking, a few files."""
    release = dict(line.split("=", 1) for line in _text(OS_RELEASE).splitlines() if "=" in line)
    machine_id = _text(MACHINE_ID)
    return NodeSystemInfo(
        machine_id=machine_id,
        system_uuid=machine_id,
        boot_id=_text(BOOT_ID),
        kernel_version=os.uname().release,
        os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
        kubelet_version=KUBELET_VERSION,
        operating_system="linux",
        architecture=labels("")["kubernetes.io/arch"],
    )


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class NodeKeeper:
    """Keeps the Node object and its Lease. `report` is called when a runtime's health changes."""

    def __init__(self, client: Client, machine: Machine, clock: Clock) -> None:
        self.registered = asyncio.Event()
        self._client = client
        self._machine = machine
        self._clock = clock
        self._info = system_info()
        self._health: dict[str, RuntimeHealth] = {}
        self._changed = asyncio.Event()
        self._node: Node | None = None

    def report(self, runtime: str, health: RuntimeHealth) -> None:
        if self._health.get(runtime) != health:
            self._health[runtime] = health
            self._changed.set()

    async def run(self) -> None:
        """Register, then keep status and lease, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_status())
            tasks.create_task(self._keep_lease())

    async def _keep_status(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_REPORT_S):
                await self._changed.wait()
        while True:
            self._changed.clear()
            try:
                await self._write_status()
                self.registered.set()
                delay_s = REPORT_S
            except (Conflict, NotFound):
                self._node = None  # changed or deleted by others: read it again
                delay_s = 0.0
            except ApiError as fault:
                log.warning("node status not written", extra={"error": str(fault)})
                delay_s = RETRY_S
            try:
                async with asyncio.timeout(delay_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _write_status(self) -> None:
        node = self._node or await self._register()
        before = node.status.conditions
        now_s = self._clock.now_s()
        status = node_status(self._machine, self._info, self._health, before, now_s)
        kept = replace(status, images=node.status.images)
        self._node = await self._client.update_status(node, kept)

    async def _register(self) -> Node:
        """Return this node's object, made if it is not there, its labels as they must be."""
        name = self._machine.name
        wanted = Node(metadata=ObjectMeta(name=name, labels=labels(name)))
        node = await self._client.create(wanted, exist_ok=True)
        if node.metadata.labels.items() >= labels(name).items():
            return node
        body = {"metadata": {"labels": labels(name)}}
        return await self._client.patch(Node, Key("", "", name), body)

    async def _keep_lease(self) -> None:
        """Renew the lease. After a silence report at once: the node may have been given up."""
        loop = asyncio.get_running_loop()
        renewed_s = loop.time()
        while True:
            try:
                await self._renew()
                if loop.time() - renewed_s > SILENCE_S:
                    self._node = None  # as it is now, not as this agent left it
                    self._changed.set()
                renewed_s = loop.time()
                delay_s = RENEW_S
            except ApiError as fault:
                log.warning("lease not renewed", extra={"error": str(fault)})
                delay_s = RETRY_S
            await asyncio.sleep(delay_s)

    async def _renew(self) -> None:
        """Renew the lease, made if it is not there."""
        name, now = self._machine.name, rfc3339_micro(self._clock.now_s())
        spec = LeaseSpec(holder_identity=name, lease_duration_seconds=LEASE_S, renew_time=now)
        key = Key("system", LEASE_NAMESPACE, name)
        try:
            body = {"spec": {"renewTime": now, "holderIdentity": name}}
            await self._client.patch(Lease, key, body)
        except NotFound:
            metadata = ObjectMeta(tenant=key.tenant, namespace=key.namespace, name=name)
            try:
                await self._client.create(Lease(metadata=metadata, spec=spec))
            except AlreadyExists:
                return
