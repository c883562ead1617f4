"""Pod network: a Port for each interface of each bound pod.

A pod that is bound and not on its host's network has one Port per NIC, or one for `eth0`.
The network controller gives it addresses; the pod cannot start before its node has it. A
Port's name depends on pod, uid and NIC alone, so it is made once. Its pod owns it: the
garbage collector removes it when the pod is gone, and not while the pod says good-bye.
What the network controller refuses is told as an event of the pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ursa.arktos.controllers.conditions import condition
from ursa.arktos.controllers.ownership import owner_key, reference_to
from ursa.arktos.controllers.runtime import (
    Controller,
    Result,
    each,
    own_key,
    refusal,
)
from ursa.base.ids import child_name
from ursa.client import Client, Key, Lister, Recorder
from ursa.kinds.part import ObjectMeta
from ursa.kinds.pod import Pod
from ursa.kinds.port import FAILED, Port, PortDevice, PortSpec
from ursa.kinds.vm import Nic

WORKERS = 16  # each waits for one durable write; a burst of pods shares the store's commits
FIRST_NIC = "eth0"


@dataclass(frozen=True, slots=True)
class Plan:
    create: tuple[Port, ...]
    failures: tuple[str, ...]  # of the ports that the network controller refuses


def plan(pod: Pod, ports: Sequence[Port]) -> Plan:
    """Return the writes that bring `ports` (all that `pod` controls) to the pod's interfaces."""
    have = {port.metadata.name for port in ports}
    return Plan(
        create=tuple(port for port in ports_of(pod) if port.metadata.name not in have),
        failures=tuple(failure(port) for port in ports if port.status.phase == FAILED),
    )


def ports_of(pod: Pod) -> list[Port]:
    """Return the ports that `pod` needs; none before it is bound or once it is ending."""
    if pod.spec.host_network or not pod.spec.node_name:
        return []
    if pod.metadata.deletion_timestamp or pod.is_finished:
        return []
    nics = pod.spec.nics or (Nic(name=FIRST_NIC),)
    return [port_of(pod, nic, nic.name or f"eth{slot}") for slot, nic in enumerate(nics)]


def port_of(pod: Pod, nic: Nic, name: str) -> Port:
    metadata = pod.metadata
    return Port(
        metadata=ObjectMeta(
            name=child_name(metadata.name, metadata.uid, name),
            tenant=metadata.tenant,
            namespace=metadata.namespace,
            owner_references=(reference_to(pod),),
        ),
        spec=PortSpec(
            vpc=pod.spec.vpc,
            subnet=nic.subnet_name,
            node_name=pod.spec.node_name,
            device=PortDevice(kind="Pod", name=metadata.name, uid=metadata.uid),
            nic=name,
            ip=nic.ip_address,
        ),
    )


def failure(port: Port) -> str:
    """Return why the network controller refuses `port`."""
    ready = condition(port.status.conditions, "Ready")
    why = ready.message if ready and ready.message else "the network controller refuses the port"
    return f"Interface {port.spec.nic}: {why}"


class PodNetworkReconciler:
    def __init__(
        self, client: Client, pods: Lister[Pod], ports: Lister[Port], recorder: Recorder
    ) -> None:
        self._client = client
        self._pods = pods
        self._ports = ports
        self._recorder = recorder
        self._told: dict[Key, tuple[str, ...]] = {}  # failures that are events already

    def controller(self) -> Controller[Key]:
        controller = Controller("podnetwork", self.reconcile, workers=WORKERS)
        controller.watch(self._pods, own_key)
        controller.watch(self._ports, lambda _, port: owner_key("Pod", port))
        return controller

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None:
            self._told.pop(key, None)
            return Result()
        step = plan(pod, self._ports.controlled_by(pod))
        fault = await refusal(
            each(self._client.create(port, exist_ok=True) for port in step.create)
        )
        await self._tell(key, pod, step.failures)
        if fault is not None:
            raise fault
        return Result()

    async def _tell(self, key: Key, pod: Pod, failures: tuple[str, ...]) -> None:
        """Record each failure once, not at every change of the pod."""
        told = self._told.get(key, ())
        self._told[key] = failures
        for text in failures:
            if text not in told:
                await self._recorder.event(pod, "Warning", "NetworkPortFailed", text)
