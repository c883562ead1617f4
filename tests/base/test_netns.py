import os
import subprocess

import pytest

from ursa.base import netns


@pytest.fixture
def namespace():
    name = f"ursa-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


def inode() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


@pytest.mark.root
def test_only_the_call_runs_in_the_namespace(namespace):
    outside = inode()
    assert netns.run_in(namespace, inode) == os.stat(namespace).st_ino
    assert inode() == outside


@pytest.mark.root
def test_what_the_call_raises_reaches_the_caller(namespace):
    with pytest.raises(ZeroDivisionError):
        netns.run_in(namespace, lambda: 1 // 0)


@pytest.mark.root
def test_a_missing_namespace_is_named():
    with pytest.raises(OSError, match="nowhere"):
        netns.run_in("/run/netns/nowhere", inode)
