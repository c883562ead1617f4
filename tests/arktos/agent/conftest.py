"""Fixtures: a node's folders and cgroups, and a containerd that holds busybox and pause."""

from __future__ import annotations

import ipaddress
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from agent_node import CONFLIST, PLUGIN, Containerd
from ursa.base import cgroup
from ursa.onebox import containerd, images
from ursa.onebox.layout import Cluster


@pytest.fixture(scope="session")
def node():
    folder = Path(tempfile.mkdtemp(prefix="ursa-ag-", dir="/tmp"))
    cluster = Cluster(folder, os.urandom(3).hex(), 0, ipaddress.IPv4Network("100.64.0.0/24"), 1)
    node = cluster.nodes[0]
    for part in ("cni/bin", "cni/net.d"):
        (node.dir / part).mkdir(parents=True)
    for name in ("ursa-test", "loopback"):
        plugin = node.dir / "cni/bin" / name
        plugin.write_text(PLUGIN)
        plugin.chmod(0o755)
    (node.dir / "cni/net.d/10-test.conflist").write_text(CONFLIST)
    for name in ("sys", "pods"):
        cgroup.make(f"{node.cgroup}/{name}")
    yield node
    containerd.clear_remains(node)
    cgroup.remove(node.cgroup)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def containerd_node(node):
    """A running containerd that holds busybox and pause."""
    running = Containerd(node)
    running.start()
    for name, build in (("pause", images.build_pause), ("busybox", images.build_busybox)):
        tar = node.dir / f"{name}.tar"
        build(tar)
        _retry(lambda tar=tar: containerd.import_image(node, tar))
    yield running
    running.kill()


def _retry(call) -> None:
    for attempt in range(50):
        try:
            call()
            return
        except Exception:
            if attempt == 49:
                raise
            time.sleep(0.1)
