"""The VM runtime: sandboxes and machines under one lock a sandbox, and what runs beside them.

Ids are functions of what they name (pod uid and attempt, machine name and attempt), so a call
that is repeated finds what the first made. A call that has begun is carried to its end even
if the caller goes away: half a machine is nobody's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ursa.arktos.vmruntime import accelerator
from ursa.arktos.vmruntime.cni import Cni, CniError
from ursa.arktos.vmruntime.command import Accelerator
from ursa.arktos.vmruntime.images import Images
from ursa.arktos.vmruntime.machines import Machines
from ursa.arktos.vmruntime.records import (
    MachineRecord,
    Records,
    SandboxRecord,
    SandboxState,
)
from ursa.arktos.vmruntime.request import MachineRequest, SandboxRequest
from ursa.arktos.vmruntime.sandboxes import Sandboxes
from ursa.base.clock import Clock
from ursa.base.errors import Conflict

ID_LENGTH = 32  # hexadecimal digits: 128 bits, and short enough for a socket's path

SWEEP_EVERY_S = 1.0  # how late a port that could not be removed is tried again

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the runtime keeps what it makes."""

    state_dir: Path
    run_dir: Path
    cgroup_parent: str  # of sandboxes that name none


def derived_id(*parts: object) -> str:
    text = "/".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


class Runtime:
    def __init__(self, places: Places, images: Images, network: Cni, clock: Clock) -> None:
        self.images = images
        self.network = network
        self.ready = asyncio.Event()
        """Set once what was there before is known: calls may come."""
        self._memory = places.state_dir / "accelerator.json"
        self._choice: asyncio.Future[Accelerator] | None = None
        sandboxes = Records(places.state_dir / "sandboxes", SandboxRecord)
        machines = Records(places.state_dir / "machines", MachineRecord)
        self._records = (sandboxes, machines)
        self.sandboxes = Sandboxes(sandboxes, network, clock, places.cgroup_parent)
        self.machines = Machines(machines, images, places.run_dir, clock, self.accelerator)
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Recover, then serve calls until cancelled; machines run on."""
        for records in self._records:
            records.load()
        self.images.clear_scratch(self._clock.now_s())
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._choice = asyncio.get_running_loop().create_future()
            tasks.create_task(self._choose())
            self.sandboxes.recover()
            await self.machines.recover(tasks)
            tasks.create_task(self._sweep())
            self.ready.set()
            await asyncio.Event().wait()

    async def _choose(self) -> None:
        assert self._choice is not None
        self._choice.set_result(await accelerator.choose(self.images, self._memory))

    async def accelerator(self) -> Accelerator:
        """Return how this host runs machines; waits for the probe, at most its bound."""
        assert self._choice is not None, "run comes first"
        return await asyncio.shield(self._choice)

    async def run_sandbox(self, request: SandboxRequest, handler: str) -> str:
        sandbox_id = derived_id(request.uid, request.attempt)
        await self._finish(sandbox_id, self.sandboxes.run(sandbox_id, request, handler))
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """End the sandbox's machines and remove its port; idempotent."""
        await self._finish(sandbox_id, self._stop_sandbox(sandbox_id))

    async def _stop_sandbox(self, sandbox_id: str) -> None:
        for record in self.machines.of_sandbox(sandbox_id):
            await self.machines.stop(record.id, 0)
        await self.sandboxes.stop(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove the sandbox and its machines; idempotent."""
        await self._finish(sandbox_id, self._remove_sandbox(sandbox_id))

    async def _remove_sandbox(self, sandbox_id: str) -> None:
        await self._stop_sandbox(sandbox_id)
        for record in self.machines.of_sandbox(sandbox_id):
            await self.machines.remove(record.id)
        self.sandboxes.remove(sandbox_id)

    async def create_machine(self, sandbox_id: str, request: MachineRequest) -> str:
        return await self._finish(sandbox_id, self._create_machine(sandbox_id, request))

    async def _create_machine(self, sandbox_id: str, request: MachineRequest) -> str:
        sandbox = self._ready_sandbox(sandbox_id)
        machine_id = derived_id(sandbox_id, request.name, request.attempt)
        disk_dir = Path(request.disk_dir or self.sandboxes.disk_dir(sandbox_id))
        await self.machines.create(machine_id, sandbox, request, disk_dir)
        return machine_id

    async def start_machine(self, machine_id: str) -> None:
        record = self.machines.require(machine_id)
        await self._finish(record.sandbox_id, self._start_machine(record))

    async def _start_machine(self, record: MachineRecord) -> None:
        await self.machines.start(record.id, self._ready_sandbox(record.sandbox_id))

    def _ready_sandbox(self, sandbox_id: str) -> SandboxRecord:
        sandbox = self.sandboxes.require(sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise Conflict(f"sandbox {sandbox.name} is not ready: run another attempt of it")
        return sandbox

    async def stop_machine(self, machine_id: str, timeout_s: float) -> None:
        """Power the machine off. The lock is not held meanwhile: a shorter stop may come."""
        record = self.machines.get(machine_id)
        if record is None:
            return
        async with self._lock(record.sandbox_id):  # a start that has begun comes first
            pass
        await self.machines.stop(machine_id, timeout_s)

    async def remove_machine(self, machine_id: str) -> None:
        """Remove the machine, ending it if need be; idempotent."""
        record = self.machines.get(machine_id)
        if record is not None:
            await self._finish(record.sandbox_id, self.machines.remove(machine_id))

    async def _sweep(self) -> None:
        """Remove, for ever, the ports that may be left; the network may be late."""
        while True:
            for sandbox_id in self.sandboxes.left():
                try:
                    await self._finish(sandbox_id, self.sandboxes.discard(sandbox_id))
                except CniError as fault:
                    fields = {"sandbox": sandbox_id, "fault": str(fault)}
                    log.warning("port not removed yet", extra=fields)
            await asyncio.sleep(SWEEP_EVERY_S)

    def _lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    async def _finish(self, sandbox_id: str, operation: Coroutine[Any, Any, T]) -> T:
        """Carry the operation to its end under the sandbox's lock, and return its result."""
        assert self._tasks is not None, "run comes first"
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(_settle(self._lock(sandbox_id), operation, outcome))
        return await asyncio.shield(outcome)


async def _settle(
    lock: asyncio.Lock, operation: Coroutine[Any, Any, T], outcome: asyncio.Future[T]
) -> None:
    async with lock:
        try:
            outcome.set_result(await operation)
        except Exception as fault:  # the caller's, not the task group's
            outcome.set_exception(fault)
