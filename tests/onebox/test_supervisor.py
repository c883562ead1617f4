import asyncio
import gc
import ipaddress
import os
import signal
import sys

import pytest

from ursa.base import cgroup
from ursa.onebox import process
from ursa.onebox.components import Component
from ursa.onebox.layout import Cluster
from ursa.onebox.supervisor import LOG_KEPT, Supervisor, backoff_s, read_state, rotate

GROUP = f"/ursa-testsup-{os.getpid()}"


@pytest.fixture
def cluster(tmp_path):
    cgroup.make(GROUP)
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    made = Cluster(tmp_path, "0a0b0c", 6443, ipaddress.IPv4Network("100.64.7.0/24"), 1)
    yield made
    identity = read_state(made, "part").process
    if identity is not None:
        process.end(identity, grace_s=1)
    cgroup.remove(GROUP)


def part(cluster, code="import time; time.sleep(60)"):
    ready = cluster.ready_file("part")
    return Component("part", (sys.executable, "-c", code), GROUP, ready)


async def until(condition):
    async with asyncio.timeout(20):
        while not (found := condition()):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    return found


async def running(supervisor):
    return asyncio.create_task(supervisor.run())


async def stop(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def no_warning_of_children_left_running(monkeypatch):
    """A supervisor leaves its children running on purpose; subprocess warns of each."""
    monkeypatch.setattr("subprocess.Popen.__del__", lambda self: None)
    yield
    gc.collect()


@pytest.mark.root
async def test_a_component_that_dies_is_restarted_and_said_so(cluster):
    task = await running(Supervisor(cluster, (part(cluster),)))
    first = await until(lambda: read_state(cluster, "part").process)
    os.kill(first.pid, signal.SIGKILL)
    second = await until(lambda: (s := read_state(cluster, "part")).restarts == 1 and s.process)
    assert second != first
    assert read_state(cluster, "part").last_exit == "signal 9"
    await stop(task)


@pytest.mark.root
async def test_the_next_supervisor_adopts_what_runs(cluster):
    task = await running(Supervisor(cluster, (part(cluster),)))
    first = await until(lambda: read_state(cluster, "part").process)
    await stop(task)
    assert process.is_alive(first)
    task = await running(Supervisor(cluster, (part(cluster),)))
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: read_state(cluster, "part").restarts == 1)
    assert read_state(cluster, "part").process != first
    await stop(task)


@pytest.mark.root
async def test_one_that_cannot_run_is_backed_off(cluster):
    task = await running(Supervisor(cluster, (part(cluster, "raise SystemExit(3)"),)))
    state = await until(lambda: (s := read_state(cluster, "part")).next_start_at > 0 and s)
    assert state.last_exit == "exit 3"
    await stop(task)


def test_back_off_begins_after_the_second_failure_and_is_bounded():
    assert [backoff_s(n) for n in (0, 1, 2, 3)] == [0.0, 0.0, 0.1, 0.2]
    assert backoff_s(1000) == 30.0


def test_rotation_keeps_the_newest_and_the_writer_goes_on(tmp_path):
    file = tmp_path / "a.log"
    with file.open("ab", buffering=0) as writer:
        for number in range(LOG_KEPT + 2):
            writer.write(b"%d" % number)
            rotate(file)
        writer.write(b"live")
    kept = [(tmp_path / f"a.log.{i}").read_bytes() for i in range(1, LOG_KEPT + 1)]
    assert kept == [b"4", b"3", b"2"] and file.read_bytes() == b"live"
