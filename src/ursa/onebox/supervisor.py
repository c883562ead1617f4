"""Keep the components running: start, adopt, restart with back-off, rotate logs.

What it knows of a component stands in run/<name>.json; so the supervisor may die at any
point, everything else runs on, and the next one adopts what runs. It waits on pidfds, which
work for adopted processes as for its own children.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import time
from pathlib import Path

import msgspec

from ursa.onebox import process
from ursa.onebox.components import Component, clear_before_start
from ursa.onebox.layout import Cluster, write_atomic
from ursa.onebox.process import ProcessId

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 30.0
STEADY_S = 30.0  # a component that ran this long starts again without back-off
LOG_MAX_BYTES = 16 << 20
LOG_KEPT = 3  # rotated files beside the live one
ROTATE_EVERY_S = 10.0
STOP_GRACE_S = 5.0  # our processes end in milliseconds; the API server drains its watches


class State(msgspec.Struct, frozen=True, kw_only=True):
    """run/<name>.json"""

    process: ProcessId | None = None
    started_at: float = 0.0
    """Seconds since the epoch."""
    restarts: int = 0
    last_exit: str = ""
    next_start_at: float = 0.0
    """While backing off; seconds since the epoch."""


def state_file(cluster: Cluster, name: str) -> Path:
    return cluster.path("run", f"{name}.json")


def read_state(cluster: Cluster, name: str) -> State:
    """Return what is recorded of a component; an empty state if nothing readable is."""
    try:
        return msgspec.json.decode(state_file(cluster, name).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return State()


def write_state(cluster: Cluster, name: str, state: State) -> None:
    write_atomic(state_file(cluster, name), msgspec.json.encode(state))


def backoff_s(failures: int) -> float:
    """Seconds to wait after the n-th short run in a row: none after the first, then doubling."""
    if failures <= 1:
        return 0.0
    return min(BACKOFF_MIN_S * 2.0 ** min(failures - 2, 20), BACKOFF_MAX_S)


class Supervisor:
    def __init__(self, cluster: Cluster, components: tuple[Component, ...]) -> None:
        self._cluster = cluster
        self._components = components
        self._children: dict[int, subprocess.Popen[bytes]] = {}  # by pid; adopted ones are none

    async def run(self) -> None:
        """Run until cancelled. The components run on: ending them is `down`'s work."""
        own = process.identify(os.getpid())
        write_state(self._cluster, "supervisor", State(process=own, started_at=time.time()))
        async with asyncio.TaskGroup() as tasks:
            for component in self._components:
                tasks.create_task(self._keep(component), name=component.name)
            tasks.create_task(self._rotate())

    async def _keep(self, component: Component) -> None:
        state = read_state(self._cluster, component.name)
        failures = 0
        while True:
            if state.process is None:
                state = await self._start(component, state, failures)
            assert state.process is not None
            began_s = time.monotonic()
            ending = await self._ended(state.process)
            steady = time.monotonic() - began_s > STEADY_S
            failures = 1 if steady else failures + 1
            log.warning(
                "component ended",
                extra={"component": component.name, "exit": ending, "failures": failures},
            )
            state = msgspec.structs.replace(
                state, process=None, restarts=state.restarts + 1, last_exit=ending
            )
            write_state(self._cluster, component.name, state)

    async def _start(self, component: Component, state: State, failures: int) -> State:
        delay_s = backoff_s(failures)
        if delay_s:
            waiting = msgspec.structs.replace(state, next_start_at=time.time() + delay_s)
            write_state(self._cluster, component.name, waiting)
            await asyncio.sleep(delay_s)
        child = await asyncio.to_thread(self._spawn, component)
        self._children[child.pid] = child
        identity = process.identify(child.pid) or ProcessId(child.pid, 0)
        state = msgspec.structs.replace(
            state, process=identity, started_at=time.time(), next_start_at=0.0
        )
        write_state(self._cluster, component.name, state)
        log.info("component started", extra={"component": component.name, "pid": child.pid})
        return state

    def _spawn(self, component: Component) -> subprocess.Popen[bytes]:
        clear_before_start(component)
        return process.start(
            component.argv,
            log=self._cluster.log(component.name),
            environment=os.environ | dict(component.environment),
            group=component.cgroup,
            namespace=component.netns,
            cwd=self._cluster.data_dir,
        )

    async def _ended(self, identity: ProcessId) -> str:
        """Wait for a process; return how it ended: `exit 1`, `signal 9`, or `gone` if adopted."""
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return self._exit_of(identity.pid)
        if not process.is_alive(identity):  # its pid may be another's by now
            os.close(descriptor)
            return self._exit_of(identity.pid)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._exit_of(identity.pid)

    def _exit_of(self, pid: int) -> str:
        child = self._children.pop(pid, None)
        if child is None:  # adopted: its exit code went to another parent
            return "gone"
        code = child.wait()
        return f"signal {-code}" if code < 0 else f"exit {code}"

    async def _rotate(self) -> None:
        while True:
            for file in self._cluster.path("logs").glob("*.log"):
                if file.stat().st_size > LOG_MAX_BYTES:
                    await asyncio.to_thread(rotate, file)
            await asyncio.sleep(ROTATE_EVERY_S)


def rotate(file: Path) -> None:
    """Keep the last LOG_KEPT copies. Copy and truncate: the writer has the file open to append."""
    for number in range(LOG_KEPT - 1, 0, -1):
        older = file.with_name(f"{file.name}.{number}")
        if older.exists():
            older.replace(file.with_name(f"{file.name}.{number + 1}"))
    file.with_name(f"{file.name}.1").write_bytes(file.read_bytes())
    os.truncate(file, 0)
