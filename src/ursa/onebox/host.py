"""What the onebox makes on the host: the underlay, the nodes' namespaces, cgroups, mounts.

    host ── bridge u<id>br (first address) ─┬─ u<id>n1 ═ eth0 in netns ursa-<id>-node-1
                                            └─ u<id>n2 ═ eth0 in netns ursa-<id>-node-2

`ensure` is idempotent and makes whatever is missing, also after a reboot. `remove` finds all
that carries the cluster's id and removes it, whatever state it is in.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ursa.base import cgroup
from ursa.onebox.errors import UserError
from ursa.onebox.layout import Cluster, Node

UNDERLAY_POOL = ipaddress.IPv4Network("100.64.0.0/10")  # RFC 6598: no tenant's, no site's
UNDERLAY_PREFIX_LENGTH = 24
UNDERLAY_MTU_BYTES = 1600  # a pod's 1500 and Geneve's 70 over IPv6, and room
MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words: str, netns: str = "") -> str:
    """Return what `ip` printed. UserError with its words if it refuses."""
    command = ["ip", *(("-n", netns) if netns else ()), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return done.stdout


def choose_underlay(seed: str) -> ipaddress.IPv4Network:
    """Return a /24 of the pool that overlaps no address or route of this host."""
    taken = _host_prefixes()
    candidates = list(UNDERLAY_POOL.subnets(new_prefix=UNDERLAY_PREFIX_LENGTH))
    start = int(seed, 16) % len(candidates)
    for candidate in candidates[start:] + candidates[:start]:
        if not any(candidate.overlaps(prefix) for prefix in taken):
            return candidate
    raise UserError(f"no /{UNDERLAY_PREFIX_LENGTH} of {UNDERLAY_POOL} is free for the underlay")


def _host_prefixes() -> list[ipaddress.IPv4Network]:
    routes = json.loads(ip("-j", "-4", "route", "show", "table", "all") or "[]")
    texts = {route.get("dst", "") for route in routes} - {"", "default"}
    return [ipaddress.IPv4Network(text, strict=False) for text in texts]


def ensure_underlay(cluster: Cluster) -> None:
    """Make the bridge with the host's underlay address."""
    bridge = cluster.bridge
    if not _link_exists(bridge):
        ip("link", "add", bridge, "mtu", str(UNDERLAY_MTU_BYTES), "type", "bridge")
    prefix = cluster.underlay.prefixlen
    ip("address", "replace", f"{cluster.host_address}/{prefix}", "dev", bridge)
    ip("link", "set", bridge, "up")


def ensure_node(node: Node) -> None:
    """Make a node's namespace, uplink, cgroups and bpffs."""
    if not Path(node.netns_path).exists():
        ip("netns", "add", node.netns)
    if not _link_exists("eth0", netns=node.netns):
        _add_uplink(node)
    for name in ("sys", "pods"):
        cgroup.make(f"{node.cgroup}/{name}")
    node.bpffs.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(node.bpffs):
        _mount_bpffs(node.bpffs)


def _add_uplink(node: Node) -> None:
    mtu = str(UNDERLAY_MTU_BYTES)
    if _link_exists(node.host_link):
        ip("link", "del", node.host_link)
    peer = ("peer", "name", "eth0", "mtu", mtu, "netns", node.netns)
    ip("link", "add", node.host_link, "mtu", mtu, "type", "veth", *peer)
    ip("link", "set", node.host_link, "master", node.cluster.bridge, "up")
    ip("link", "set", "lo", "up", netns=node.netns)
    prefix = node.cluster.underlay.prefixlen
    ip("address", "add", f"{node.address}/{prefix}", "dev", "eth0", netns=node.netns)
    ip("link", "set", "eth0", "up", netns=node.netns)
    ip("route", "add", "default", "via", node.cluster.host_address, netns=node.netns)


def remove_links(cluster: Cluster) -> None:
    """Delete every namespace and link that carries the cluster's id."""
    for netns in _namespaces(f"ursa-{cluster.id}-"):
        ip("netns", "del", netns)
    for link in _links(f"u{cluster.id}"):
        _delete_link(link)


def _delete_link(name: str) -> None:
    """Delete a link that may vanish meanwhile: a veth goes with its peer's namespace."""
    try:
        ip("link", "del", name)
    except UserError:
        if _link_exists(name):
            raise


def unmount_below(folder: Path) -> None:
    """Detach every mount below `folder`, deepest first."""
    for mount in mounts_below(folder):
        if _libc.umount2(os.fsencode(mount), MNT_DETACH) != 0:
            code = ctypes.get_errno()
            if os.path.ismount(mount):
                raise UserError(f"cannot unmount {mount}: {os.strerror(code)}")


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points at or below `folder`, deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(folder) or point.startswith(f"{folder}/"):
            points.append(point)
    return sorted(points, key=len, reverse=True)


def _mount_bpffs(folder: Path) -> None:
    if _libc.mount(b"bpf", os.fsencode(folder), b"bpf", 0, b"mode=0700") != 0:
        code = ctypes.get_errno()
        raise UserError(f"cannot mount a bpffs at {folder}: {os.strerror(code)}")


def _link_exists(name: str, netns: str = "") -> bool:
    command = ["ip", *(("-n", netns) if netns else ()), "link", "show", "dev", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _links(prefix: str) -> Iterable[str]:
    return [name for name in os.listdir("/sys/class/net") if name.startswith(prefix)]


def _namespaces(prefix: str) -> Iterable[str]:
    folder = Path("/run/netns")
    names = os.listdir(folder) if folder.exists() else []
    return [name for name in names if name.startswith(prefix)]
