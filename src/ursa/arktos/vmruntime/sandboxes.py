"""The sandboxes of a node: a sandbox is a port of the tenant's network and a place for machines.

creating ──▶ ready ──▶ notready ──▶ gone
    └ a crash or a refusal here: removing, until the port is surely gone
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ursa.arktos.vmruntime import cni, tap
from ursa.arktos.vmruntime.cni import Attachment, Cni, CniError
from ursa.arktos.vmruntime.records import Nic, Records, SandboxRecord, SandboxState
from ursa.arktos.vmruntime.request import SandboxRequest
from ursa.base.clock import Clock
from ursa.base.errors import Conflict, not_found

log = logging.getLogger(__name__)

NO_RESULT = b"{}"


class Sandboxes:
    def __init__(
        self, records: Records[SandboxRecord], network: Cni, clock: Clock, cgroup_parent: str
    ) -> None:
        self._records = records
        self._network = network
        self._clock = clock
        self._cgroup_parent = cgroup_parent

    def recover(self) -> None:
        """Undo what was not finished; notice ports that went with the host's last boot."""
        for record in self._records:
            if record.state is SandboxState.CREATING:
                self._records.put(replace(record, state=SandboxState.REMOVING))
            elif record.state is SandboxState.READY and not _has_tap(record):
                self._records.put(replace(record, state=SandboxState.NOT_READY))

    def __iter__(self) -> Iterator[SandboxRecord]:
        """Yield the sandboxes that are made and not removed."""
        hidden = (SandboxState.CREATING, SandboxState.REMOVING)
        return (record for record in self._records if record.state not in hidden)

    def get(self, sandbox_id: str) -> SandboxRecord | None:
        return next((record for record in self if record.id == sandbox_id), None)

    def require(self, sandbox_id: str) -> SandboxRecord:
        record = self.get(sandbox_id)
        if record is None:
            raise not_found("sandbox", sandbox_id)
        return record

    def disk_dir(self, sandbox_id: str) -> Path:
        """Return where disks lie that go with the sandbox."""
        return self._records.folder(sandbox_id) / "disk"

    async def run(self, sandbox_id: str, request: SandboxRequest, handler: str) -> None:
        """Make the sandbox and its port; one that is ready is left alone."""
        held = self._records.get(sandbox_id)
        if held is not None and held.state is SandboxState.READY:
            return
        if held is not None and held.state is SandboxState.NOT_READY:
            raise Conflict(f"sandbox {request.name} attempt {request.attempt} was stopped")
        await self.discard(sandbox_id)
        draft = self._records.put(self._draft(sandbox_id, request, handler))
        try:
            nic = await self._plug(draft)
        except BaseException:
            await self._give_up(draft)
            raise
        self._records.put(replace(draft, state=SandboxState.READY, nic=nic))

    def _draft(self, sandbox_id: str, request: SandboxRequest, handler: str) -> SandboxRecord:
        return SandboxRecord(
            id=sandbox_id,
            name=request.name,
            namespace=request.namespace,
            uid=request.uid,
            attempt=request.attempt,
            state=SandboxState.CREATING,
            created_ns=int(self._clock.now_s() * 1e9),
            hostname=request.hostname,
            log_directory=request.log_directory,
            cgroup_parent=request.cgroup_parent or self._cgroup_parent,
            nameservers=request.nameservers,
            searches=request.searches,
            labels=dict(request.labels),
            annotations=dict(request.annotations),
            runtime_handler=handler,
        )

    async def _plug(self, record: SandboxRecord) -> Nic:
        result = await self._network.add(_attachment(record))
        parsed = cni.parse(result)
        device = parsed.interfaces[0]
        if not tap.exists(device.name):
            raise CniError(f"the CNI plugin names the tap {device.name}, which is not there")
        return Nic(
            tap=device.name,
            mac=device.mac,
            mtu_bytes=tap.mtu_bytes(device.name),
            addresses=tuple(ip.address for ip in parsed.ips),
            gateways=tuple(ip.gateway for ip in parsed.ips if ip.gateway),
            result=msgspec.Raw(result),
        )

    async def _give_up(self, record: SandboxRecord) -> None:
        self._records.put(replace(record, state=SandboxState.REMOVING))
        try:
            await self.discard(record.id)
        except CniError as fault:
            log.warning("port not removed yet", extra={"sandbox": record.id, "fault": str(fault)})

    async def _unplug(self, record: SandboxRecord) -> None:
        result = bytes(record.nic.result) if record.nic else NO_RESULT
        await self._network.delete(_attachment(record), result)

    async def stop(self, sandbox_id: str) -> None:
        """Remove the port of a sandbox whose machines are stopped; idempotent."""
        record = self.get(sandbox_id)
        if record is None or (record.state is SandboxState.NOT_READY and record.nic is None):
            return
        record = self._records.put(replace(record, state=SandboxState.NOT_READY))
        await self._unplug(record)
        self._records.put(replace(record, nic=None))

    def remove(self, sandbox_id: str) -> None:
        """Forget a stopped sandbox, with the disks that lie in it; idempotent."""
        self._records.remove(sandbox_id)

    def left(self) -> list[str]:
        """Return the sandboxes whose port may be left somewhere: `discard` is due."""
        return [r.id for r in self._records if r.state is SandboxState.REMOVING]

    async def discard(self, sandbox_id: str) -> None:
        """Remove a sandbox that was never finished; CniError while the network is away."""
        record = self._records.get(sandbox_id)
        if record is not None and record.state is SandboxState.REMOVING:
            await self._unplug(record)
            self._records.remove(sandbox_id)


def _has_tap(record: SandboxRecord) -> bool:
    return record.nic is not None and tap.exists(record.nic.tap)


def _attachment(record: SandboxRecord) -> Attachment:
    return Attachment(record.id, record.name, record.namespace, record.uid)
