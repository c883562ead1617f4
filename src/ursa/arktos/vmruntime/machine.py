"""One machine: its QEMU process, found by cgroup, steered by QMP.

    start ──▶ QEMU in its own session and cgroup, answering on QMP
    watch ──▶ End, when the guest powers off or panics (QMP) or QEMU is gone (pidfd)

QEMU belongs to nobody: this process may die and come back, and finds it in its cgroup.
Source: QEMU 7.2, docs/interop/qmp-intro.txt and qapi/run-state.json (RunState, ShutdownCause).
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen

from qemu.qmp import QMPClient, QMPError

from ursa.arktos.vmruntime import limits
from ursa.arktos.vmruntime.records import End
from ursa.base import cgroup
from ursa.base.errors import InternalError

log = logging.getLogger(__name__)

LAUNCH_TIMEOUT_S = 20.0  # QEMU answers within 0.1 s; a full machine takes longer
WORDS_MAX = 1000  # characters of QEMU's messages in an answer
QMP_RETRY_S = 0.2
ASK_EVERY_S = 10.0  # finds a lost connection too
PRESS_EVERY_S = 1.0  # a guest that has not loaded its button's driver misses a press
QUIT_TIMEOUT_S = 2.0  # QEMU writes back its disks' caches
KILL_TIMEOUT_S = 5.0
POLL_S = 0.02
KILLED = 137  # 128 + SIGKILL, as a container's exit code
EVENTS = ("SHUTDOWN", "STOP", "GUEST_PANICKED")
POWERED_OFF = End(exit_code=0, reason="Completed")
PANICKED = End(exit_code=1, reason="Error", message="the guest's kernel panicked: see its log")
BROKEN = End(exit_code=KILLED, reason="Error", message="QEMU met an internal error")
ENDS = {"shutdown": POWERED_OFF, "guest-panicked": PANICKED, "internal-error": BROKEN}
# Enters every given cgroup by itself and becomes QEMU: nothing of it runs outside its limits.
LAUNCHER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


async def start(
    command: Sequence[str], group: str, tap_fd: int | None, words: Path, qmp_path: Path
) -> Popen[bytes]:
    """Start QEMU in the cgroup, which exists, and return it once it answers on QMP.

    What it says goes to the file `words`. InternalError quotes it if QEMU refuses.
    """
    entries = [str(tree / group.lstrip("/") / "cgroup.procs") for tree in cgroup.trees()]
    with words.open("ab") as said:
        child = Popen(  # noqa: ASYNC220 back within 2 ms; an asyncio child dies with its loop
            ["/bin/sh", "-c", LAUNCHER, "launcher", *entries, "--", *command],
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=said,
            pass_fds=() if tap_fd is None else (tap_fd,),
            start_new_session=True,
            cwd="/",
        )
    try:
        await _await_qmp(child, qmp_path)
    except BaseException as fault:
        child.kill()
        child.wait()
        if isinstance(fault, EOFError | TimeoutError):
            raise InternalError(f"QEMU did not start: {last_words(words) or fault}") from fault
        raise
    return child


async def _await_qmp(child: Popen[bytes], qmp_path: Path) -> None:
    """Return when QEMU has made the machine and listens. EOFError if it ends instead."""
    async with asyncio.timeout(LAUNCH_TIMEOUT_S):
        while True:
            qmp = QMPClient("ursa-start")
            try:
                await qmp.connect(str(qmp_path))
                return
            except (QMPError, OSError):
                if child.poll() is not None:
                    raise EOFError(f"exit code {child.returncode}") from None
            finally:
                await _disconnect(qmp)
            await asyncio.sleep(POLL_S)


def last_words(words: Path) -> str:
    """Return the end of what QEMU said, or "" if it said nothing."""
    try:
        return words.read_text(errors="replace").strip()[-WORDS_MAX:]
    except OSError:
        return ""


def find(group: str) -> int | None:
    """Return the pid of the QEMU in the cgroup, if one lives there."""
    return next(iter(living(group)), None)


def living(group: str) -> list[int]:
    return sorted(pid for pid in cgroup.pids(group) if _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


async def clear(group: str) -> None:
    """End whatever lives in the cgroup and remove it; idempotent."""
    async with asyncio.timeout(KILL_TIMEOUT_S):
        while True:
            for pid in living(group):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if cgroup.remove(group):  # zombies hold it until they are reaped
                return
            await asyncio.sleep(POLL_S)


class Machine:
    """A running machine of this host. One task runs `watch`; the others steer."""

    def __init__(
        self, group: str, pid: int, qmp_path: Path, words: Path, child: Popen[bytes] | None
    ) -> None:
        self._group = group
        self._pidfd = os.pidfd_open(pid)
        self._words = words
        self._child = child  # None if another process started it
        self._qmp_path = qmp_path
        self._qmp: QMPClient | None = None
        self._gone = asyncio.Event()
        self._asked = ""
        self.ended = asyncio.Event()
        """Set by its owner once the end is recorded and nothing of the machine is left."""

    async def watch(self) -> End:
        """Return how the machine ended, once it has; its QEMU may be left, paused."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pidfd, self._gone.set)
        gone = loop.create_task(self._gone.wait())
        told = loop.create_task(self._told())
        try:
            await asyncio.wait((gone, told), return_when=asyncio.FIRST_COMPLETED)
            return told.result() if told.done() else self._death()
        finally:
            loop.remove_reader(self._pidfd)
            for task in (gone, told):
                task.cancel()
            await asyncio.wait((gone, told))

    def _death(self) -> End:
        if limits.was_out_of_memory(self._group):
            return End(exit_code=KILLED, reason="OOMKilled", message="QEMU needed more memory")
        said = last_words(self._words)
        message = self._asked or f"QEMU ended without being asked{said and ': ' + said}"
        return End(exit_code=KILLED, reason="Error", message=message)

    async def _told(self) -> End:
        """Return the end that QEMU tells of; connects for as long as it takes."""
        while True:
            qmp = QMPClient("ursa")
            qmp.events.names = set(EVENTS)  # others would pile up unread
            try:
                await qmp.connect(str(self._qmp_path))
                self._qmp = qmp
                while (end := ENDS.get(await _status(qmp))) is None:
                    await _news(qmp)
                return end
            except (QMPError, OSError) as fault:
                log.debug("QMP lost", extra={"cgroup": self._group, "fault": str(fault)})
            finally:
                self._qmp = None
                await _disconnect(qmp)
            await asyncio.sleep(QMP_RETRY_S)

    async def power_down(self, timeout_s: float) -> bool:
        """Press the power button until the machine has ended; return whether it has."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ended.is_set():
                    await self._tell("system_powerdown")
                    await self._await_end(PRESS_EVERY_S)
        except TimeoutError:
            return False
        return True

    async def quit(self, why: str) -> None:
        """End QEMU: by SIGTERM, at which it writes back its caches, then by SIGKILL."""
        self._asked = why
        self._signal(signal.SIGTERM)
        gone, _, _ = await asyncio.to_thread(select.select, [self._pidfd], [], [], QUIT_TIMEOUT_S)
        if not gone:
            self._signal(signal.SIGKILL)
        if self._child is not None:
            await asyncio.to_thread(self._child.wait)

    def _signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        os.close(self._pidfd)

    async def _await_end(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self.ended.wait()
        except TimeoutError:
            return

    async def _tell(self, command: str) -> None:
        """Send a command; a QEMU that cannot hear it is found dead by `watch`."""
        qmp = self._qmp
        if qmp is None:
            return
        try:
            await qmp.execute(command)
        except (QMPError, OSError) as fault:
            log.debug("QMP command lost", extra={"command": command, "fault": str(fault)})


async def _news(qmp: QMPClient) -> None:
    """Return at the next event; without one after a while, for events can be missed."""
    try:
        async with asyncio.timeout(ASK_EVERY_S):
            await qmp.events.get()
    except TimeoutError:
        return


async def _status(qmp: QMPClient) -> str:
    answer = await qmp.execute("query-status")
    assert isinstance(answer, dict)
    return str(answer["status"])


async def _disconnect(qmp: QMPClient) -> None:
    try:
        await qmp.disconnect()
    except (QMPError, OSError, EOFError):
        return
