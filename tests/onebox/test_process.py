import os
import subprocess
import sys

import pytest

from ursa.base import cgroup
from ursa.onebox import process
from ursa.onebox.process import ProcessId

GROUP = f"/ursa-testproc-{os.getpid()}"


@pytest.fixture
def group():
    cgroup.make(GROUP)
    yield GROUP
    cgroup.remove(GROUP)


def test_a_process_is_alive_until_it_ends():
    child = subprocess.Popen(["sleep", "60"])
    identity = process.identify(child.pid)
    assert identity is not None and process.is_alive(identity)
    process.end(identity, grace_s=5)
    assert not process.is_alive(identity)
    child.wait()


def test_another_process_with_the_same_pid_is_not_it():
    own = process.identify(os.getpid())
    assert own is not None
    assert not process.is_alive(ProcessId(own.pid, own.start_ticks + 1))
    process.end(ProcessId(own.pid, own.start_ticks + 1), grace_s=1)  # and is not ended


def test_one_that_ignores_sigterm_is_killed():
    script = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    command = [sys.executable, "-c", f"{script}; time.sleep(60)"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    identity = process.identify(child.pid)
    assert identity is not None
    process.end(identity, grace_s=0.1)
    assert child.wait() == -9
    child.stdout.close()


@pytest.mark.root
def test_a_started_process_is_in_its_group_and_its_output_in_its_log(tmp_path, group):
    log = tmp_path / "x.log"
    child = process.start(
        ["sh", "-c", "echo hello; cat /proc/self/cgroup"],
        log=log,
        environment=os.environ,
        group=group,
        cwd=tmp_path,
    )
    assert child.wait() == 0
    assert "hello" in log.read_text()
