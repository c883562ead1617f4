import os
import subprocess

import pytest

from ursa.base import cgroup

GROUP = f"/ursa-test-{os.getpid()}"


@pytest.fixture
def group():
    cgroup.make(f"{GROUP}/pods")
    yield f"{GROUP}/pods"
    cgroup.remove(GROUP)


@pytest.mark.root
def test_a_group_holds_what_entered_it_in_every_tree_and_goes_when_empty(group):
    sleeper = subprocess.Popen(["sleep", "60"])
    cgroup.enter(group, sleeper.pid)
    assert cgroup.pids(GROUP) == {sleeper.pid}
    assert not cgroup.remove(GROUP)
    sleeper.kill()
    sleeper.wait()
    assert cgroup.pids(GROUP) == set()
    assert cgroup.remove(GROUP)
    assert not cgroup.exists(GROUP)


@pytest.mark.root
def test_making_a_group_twice_changes_nothing(group):
    cgroup.make(group)
    assert cgroup.exists(group)
    assert GROUP in cgroup.children("/ursa-test-")
