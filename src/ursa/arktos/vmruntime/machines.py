"""The machines of a node: created, started, stopped, removed, and found again.

    creating ──▶ created ──▶ starting ──▶ running ──▶ exited
        └ a crash here: removed    └ a crash here: QEMU ended, created again

Callers hold the sandbox's lock around every change but a machine's end, which one task per
machine sees and records.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from subprocess import Popen

from msgspec.structs import replace

from ursa.arktos.vmruntime import limits, machine
from ursa.arktos.vmruntime.command import Accelerator, Files, command
from ursa.arktos.vmruntime.console import Console
from ursa.arktos.vmruntime.disk import link, make_disk
from ursa.arktos.vmruntime.images import Image, Images
from ursa.arktos.vmruntime.machine import Machine
from ursa.arktos.vmruntime.nocloud import Seed, write_disk
from ursa.arktos.vmruntime.records import (
    End,
    MachineRecord,
    MachineState,
    Records,
    SandboxRecord,
)
from ursa.arktos.vmruntime.request import MachineRequest
from ursa.arktos.vmruntime.tap import open_tap
from ursa.base import cgroup
from ursa.base.clock import Clock
from ursa.base.errors import Conflict, not_found

log = logging.getLogger(__name__)

PUMP_EVERY_S = 0.1  # how late a console line may be in the log
SOCKET_PATH_MAX = 107  # bytes of sun_path, without its end

UNBOOTABLE = (
    "image {image} has nothing to boot: it needs a boot loader on its disk, or a kernel beside it"
)


class Machines:
    def __init__(
        self,
        records: Records[MachineRecord],
        images: Images,
        run_dir: Path,
        clock: Clock,
        accelerator: Callable[[], Awaitable[Accelerator]],
    ) -> None:
        self._records = records
        self._images = images
        self._run_dir = run_dir
        self._clock = clock
        self._accelerator = accelerator
        self._running: dict[str, Machine] = {}
        self._consoles: dict[str, Console] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def recover(self, tasks: asyncio.TaskGroup) -> None:
        """Adopt what runs, finish what ended, undo what was not finished."""
        self._tasks = tasks
        for record in self._records:
            match record.state:
                case MachineState.CREATING:
                    self._records.remove(record.id)
                case MachineState.STARTING:
                    await self._clear(record)
                    self._records.put(replace(record, state=MachineState.CREATED))
                case MachineState.RUNNING:
                    await self._adopt(record)
                case MachineState.EXITED:
                    await self._clear(record)
        self._remove_stray_sockets()

    async def _adopt(self, record: MachineRecord) -> None:
        pid = machine.find(record.cgroup)
        if pid is not None:
            log.info("machine adopted", extra={"machine": record.id, "pid": pid})
            self._attend(record, pid, None)
            return
        self._drain(self._console(record))
        message = "QEMU ended while the VM runtime was away"
        self._finish(record, End(exit_code=machine.KILLED, reason="Error", message=message))
        await self._clear(record)

    def _remove_stray_sockets(self) -> None:
        for path in self._run_dir.glob("*.qmp"):
            if path.stem not in self._running:
                path.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[MachineRecord]:
        """Yield the machines that are made, whatever became of them."""
        return (r for r in self._records if r.state is not MachineState.CREATING)

    def get(self, machine_id: str) -> MachineRecord | None:
        record = self._records.get(machine_id)
        return None if record is None or record.state is MachineState.CREATING else record

    def require(self, machine_id: str) -> MachineRecord:
        record = self.get(machine_id)
        if record is None:
            raise not_found("container", machine_id)
        return record

    def of_sandbox(self, sandbox_id: str) -> list[MachineRecord]:
        return [record for record in self if record.sandbox_id == sandbox_id]

    async def create(
        self, machine_id: str, sandbox: SandboxRecord, request: MachineRequest, disk_dir: Path
    ) -> MachineRecord:
        """Make the machine's disks. Returns the one that is there if it has not started."""
        held = self._records.get(machine_id)
        if held is not None:
            if held.state is MachineState.CREATED:
                return held
            raise Conflict(f"machine {request.name} attempt {request.attempt} is {held.state}")
        image = self._images.require(request.image)
        draft = self._draft(machine_id, sandbox, request, image)
        self._records.put(draft)
        try:
            made = await self._make_files(draft, sandbox, request, image, disk_dir)
        except BaseException:
            self._records.remove(machine_id)
            raise
        return self._records.put(replace(made, state=MachineState.CREATED))

    def _draft(
        self, machine_id: str, sandbox: SandboxRecord, request: MachineRequest, image: Image
    ) -> MachineRecord:
        log_path = ""
        if request.log_path and sandbox.log_directory:
            log_path = str(Path(sandbox.log_directory, request.log_path))
        return MachineRecord(
            id=machine_id,
            sandbox_id=sandbox.id,
            name=request.name,
            attempt=request.attempt,
            state=MachineState.CREATING,
            created_ns=self._now_ns(),
            image=request.image,
            image_id=image.id,
            vcpus=request.vcpus,
            memory_bytes=request.memory_bytes,
            disk="",
            append=image.file.append,
            limits=request.limits,
            cgroup=f"{sandbox.cgroup_parent}/{machine_id}",
            log_path=log_path,
            labels=dict(request.labels),
            annotations=dict(request.annotations),
        )

    async def _make_files(
        self,
        draft: MachineRecord,
        sandbox: SandboxRecord,
        request: MachineRequest,
        image: Image,
        disk_dir: Path,
    ) -> MachineRecord:
        folder = self._records.folder(draft.id)
        seed = Seed(
            instance_id=sandbox.uid,
            hostname=request.hostname or sandbox.hostname or sandbox.name,
            public_keys=request.public_keys,
            user_data=request.user_data,
            nic=sandbox.nic,
            nameservers=sandbox.nameservers,
            searches=sandbox.searches,
        )
        await asyncio.to_thread(write_disk, folder / "seed.iso", seed)
        paths = {}
        for part in ("kernel", "initrd"):
            if name := getattr(image.file, part):
                link(image.folder / name, folder / part)
                paths[part] = str(folder / part)
        return replace(draft, disk=str(await make_disk(disk_dir, image)), **paths)

    async def start(self, machine_id: str, sandbox: SandboxRecord) -> None:
        """Start a created machine; a running one is left alone."""
        record = self.require(machine_id)
        if record.state is MachineState.RUNNING:
            return
        if record.state is not MachineState.CREATED:
            raise Conflict(f"machine {record.name} is {record.state}: create another attempt")
        if any(r.state is MachineState.RUNNING for r in self.of_sandbox(sandbox.id)):
            raise Conflict(f"sandbox {sandbox.name} has a running machine: stop it first")
        accelerator = await self._accelerator()
        record = self._records.put(replace(record, state=MachineState.STARTING))
        try:
            child = await self._launch(record, sandbox, accelerator)
        except BaseException:
            await self._clear(record)
            self._records.put(replace(record, state=MachineState.CREATED))
            raise
        running = replace(record, state=MachineState.RUNNING, started_ns=self._now_ns())
        self._attend(self._records.put(running), child.pid, child)
        log.info("machine started", extra={"machine": record.id, "accelerator": accelerator})

    async def _launch(
        self, record: MachineRecord, sandbox: SandboxRecord, accelerator: Accelerator
    ) -> Popen[bytes]:
        cgroup.make(record.cgroup)
        limits.apply(record.cgroup, record.memory_bytes, record.limits)
        tap_fd = None if sandbox.nic is None else open_tap(sandbox.nic.tap)
        try:
            files = self._files(record)
            files.qmp.unlink(missing_ok=True)
            argv = command(record, files, sandbox.nic, tap_fd or -1, accelerator)
            return await machine.start(argv, record.cgroup, tap_fd, files.words, files.qmp)
        finally:
            if tap_fd is not None:
                os.close(tap_fd)

    def _files(self, record: MachineRecord) -> Files:
        folder = self._records.folder(record.id)
        qmp = self._run_dir / f"{record.id}.qmp"
        assert len(os.fsencode(qmp)) <= SOCKET_PATH_MAX, "run_dir is checked at the start"
        return Files(
            seed=folder / "seed.iso",
            console=folder / "console.raw",
            words=folder / "qemu.log",
            qmp=qmp,
        )

    def _attend(self, record: MachineRecord, pid: int, child: Popen[bytes] | None) -> None:
        """Begin to follow a running machine."""
        assert self._tasks is not None, "recover comes first"
        files = self._files(record)
        running = Machine(record.cgroup, pid, files.qmp, files.words, child)
        self._running[record.id] = running
        self._tasks.create_task(self._follow(record, running))

    async def _follow(self, record: MachineRecord, running: Machine) -> None:
        """Log the machine's console until it ends; record the end; leave nothing of it.

        The record comes before QEMU is ended: QEMU is what a crash in between would be told by.
        """
        console = self._console(record)
        pump = asyncio.get_running_loop().create_task(self._pump(record, console, running))
        try:
            end = await running.watch()
        finally:
            pump.cancel()
            await asyncio.wait((pump,))
        self._drain(console)
        self._finish(record, end)
        await running.quit("it has ended")
        await self._clear(record)
        running.close()
        del self._running[record.id]
        running.ended.set()

    def _finish(self, record: MachineRecord, end: End) -> None:
        end = replace(end, finished_ns=self._now_ns())
        self._records.put(replace(record, state=MachineState.EXITED, end=end))
        fields = {"machine": record.id, "exit_code": end.exit_code, "detail": end.message}
        log.info("machine ended", extra=fields)

    def _console(self, record: MachineRecord) -> Console:
        if record.id not in self._consoles:
            folder = self._records.folder(record.id)
            log_file = Path(record.log_path) if record.log_path else folder / "console.log"
            mark = folder / "console.mark"
            self._consoles[record.id] = Console(folder / "console.raw", log_file, mark)
        return self._consoles[record.id]

    async def _pump(self, record: MachineRecord, console: Console, running: Machine) -> None:
        """Log the console for as long as there is one; end a machine that cannot boot."""
        while True:
            try:
                more = console.pump(self._now_ns())
            except OSError as fault:  # a full disk: the raw file keeps it until there is room
                log.warning("console not logged", extra={"fault": str(fault)})
                more = False
            if console.unbootable and not record.kernel:
                await running.quit(UNBOOTABLE.format(image=record.image))
                return
            await asyncio.sleep(0 if more else PUMP_EVERY_S)

    def _drain(self, console: Console) -> None:
        try:
            while console.pump(self._now_ns(), final=True):
                continue
        except OSError as fault:
            log.warning("console not logged", extra={"fault": str(fault)})
        console.close()

    async def stop(self, machine_id: str, timeout_s: float) -> None:
        """Power the machine off; after `timeout_s` end it. Returns once nothing of it is left."""
        running = self._running.get(machine_id)
        if running is None:
            return
        if timeout_s > 0 and await running.power_down(timeout_s):
            return
        await running.quit(f"the guest did not power off within {timeout_s:.0f} s: it was ended")
        await running.ended.wait()

    async def remove(self, machine_id: str) -> None:
        """Remove the machine and its files, ending it if need be; idempotent."""
        await self.stop(machine_id, 0)
        record = self._records.get(machine_id)
        if record is not None:
            await self._clear(record)
            self._records.remove(machine_id)
        console = self._consoles.pop(machine_id, None)
        if console is not None:
            console.close()

    async def _clear(self, record: MachineRecord) -> None:
        """Leave no process, cgroup or socket of the machine; idempotent."""
        try:
            await machine.clear(record.cgroup)
        except TimeoutError:  # a zombie holds the cgroup; removal tries again
            log.warning("cgroup stays", extra={"machine": record.id, "cgroup": record.cgroup})
        self._files(record).qmp.unlink(missing_ok=True)

    def reopen_log(self, machine_id: str) -> None:
        self._console(self.require(machine_id)).reopen()

    def _now_ns(self) -> int:
        return int(self._clock.now_s() * 1e9)
