"""Start, find again and end processes that outlive whoever started them.

A process is known by its pid and its start time (field 22 of /proc/<pid>/stat): a pid alone
may be another's by now.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ursa.base import cgroup, netns


class ProcessId(msgspec.Struct, frozen=True):
    pid: int
    start_ticks: int
    """Clock ticks from boot to its start."""


def identify(pid: int) -> ProcessId | None:
    """Return the identity of a live process; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else ProcessId(pid, int(fields[19]))


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def start(
    argv: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    group: str,
    namespace: str = "",
    cwd: Path,
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session, cgroup and network namespace, its output to `log`.

    A child inherits the namespace of the thread that forks it, so a thread enters first and
    nothing runs between fork and exec. The cgroup is entered from outside right after exec:
    an interpreter or a Go runtime has not forked by then.
    """

    def spawn() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )

    child = netns.run_in(namespace, spawn) if namespace else spawn()
    cgroup.enter(group, child.pid)
    return child


def end(process: ProcessId, *, grace_s: float) -> None:
    """SIGTERM, then after `grace_s` SIGKILL; returns when the process is gone. Blocking."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if not is_alive(process):
            return
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return
            if select.select([descriptor], [], [], wait_s)[0]:
                return
    finally:
        os.close(descriptor)
