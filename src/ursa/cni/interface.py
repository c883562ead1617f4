"""A pod's interface in the kernel: a veth pair into its namespace, or a tap for a VM.

The node's side is named `u<cluster id><8 hex digits>` by container and interface, and its
alias tells the owner: `<container id>/<interface>/<pod uid>`. So whatever is found can be
told from strangers' and matched to its sandbox with every process of ours dead.

A container's address is a /32 whose one neighbour is the gateway: a neighbour entry a peer
would fill the kernel's table, which all namespaces of a machine share (gc_thresh3, 1024).

Everything here blocks (about 1 ms) and runs in the node's network namespace.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import NamedTuple, Protocol

from ursa.base import ethtool, netlink, netns
from ursa.base.netlink import Link, Netlink

# Offloads of a pod's interface that the tunnel cannot carry (kernel 6.18): a UDP super-frame's
# datagrams are lost silently after decapsulation, and a pod's own tunnel is dropped.
UNTUNNELLABLE = ("tx-udp-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")

_TUN = "/dev/net/tun"
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x2, 0x1000, 0x4000
_ANYWHERE = IPv4Network("0.0.0.0/0")


class Plug(Protocol):
    """What an interface needs to know of its port."""

    @property
    def ip(self) -> IPv4Address: ...
    @property
    def gateway(self) -> IPv4Address: ...
    @property
    def mac(self) -> bytes: ...
    @property
    def mtu_bytes(self) -> int: ...


class Owner(NamedTuple):
    container_id: str
    ifname: str
    pod_uid: str

    def __str__(self) -> str:
        return "/".join(self)


def link_name(cluster_id: str, container_id: str, ifname: str) -> str:
    """Return the name of the node's side: 15 characters."""
    digest = hashlib.sha256(f"{container_id}/{ifname}".encode()).hexdigest()
    return f"u{cluster_id}{digest[:8]}"


def links() -> list[Link]:
    with Netlink() as node:
        return node.links()


def owned(cluster_id: str, links: Iterable[Link]) -> dict[Owner, Link]:
    """Return the interfaces of this cluster among `links`, by their owner."""
    found = {}
    for link in links:
        words = link.alias.split("/")
        if link.name.startswith(f"u{cluster_id}") and len(words) == len(Owner._fields):
            found[Owner(*words)] = link
    return found


def make_veth(name: str, owner: Owner, pod_netns: str, plug: Plug) -> None:
    """Make the pair; the pod's side has address and routes. OSError leaves nothing behind.

    A pair that is complete already is kept; one that is not is made again.
    """
    with Netlink() as node:
        if _is_complete(node, name, owner, pod_netns, plug):
            return
        _delete(node, name)
        descriptor = os.open(pod_netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            node.request(
                netlink.new_veth(name, owner.ifname, descriptor, plug.mac, plug.mtu_bytes),
                netlink.set_alias(name, str(owner)),
            )
            _still_ipv6(node, name)
            netns.run_in(pod_netns, lambda: _configure(owner.ifname, plug))
        except OSError:
            _delete(node, name)
            raise
        finally:
            os.close(descriptor)


def _is_complete(node: Netlink, name: str, owner: Owner, pod_netns: str, plug: Plug) -> bool:
    link = node.link(name)
    return (
        link is not None
        and link.alias == str(owner)
        and netns.run_in(pod_netns, lambda: fault_of(owner.ifname, plug)) == ""
    )


def _configure(ifname: str, plug: Plug) -> None:
    """Give the pod's side its address and routes; in the pod's namespace."""
    ethtool.disable(ifname, UNTUNNELLABLE)
    with Netlink() as pod:
        _still_ipv6(pod, ifname)
        link = pod.link(ifname)
        assert link is not None, "made a moment ago"
        pod.request(
            netlink.set_up(ifname),
            netlink.new_address(link.index, IPv4Interface((plug.ip, 32))),
            netlink.new_route(link.index, IPv4Network(plug.gateway)),
            netlink.new_route(link.index, _ANYWHERE, plug.gateway),
        )


def fault_of(ifname: str, plug: Plug) -> str:
    """Return what is wrong with the pod's side, or ""; in the pod's namespace."""
    with Netlink() as pod:
        link = pod.link(ifname)
        if link is None:
            return f"the pod has no interface {ifname}"
        if link.mac != plug.mac:
            return f"{ifname} has MAC {link.mac.hex(':')}, its port {plug.mac.hex(':')}"
        if not link.is_up:
            return f"{ifname} is down"
        if plug.ip not in [address.ip for address in pod.addresses(link.index)]:
            return f"{ifname} lacks its address {plug.ip}"
        if plug.gateway not in pod.default_gateways(link.index):
            return f"{ifname} has no default route by {plug.gateway}"
        return ""


def make_tap(name: str, owner: Owner, plug: Plug) -> None:
    """Make a persistent tap in this namespace, up; one that is there already is kept."""
    with Netlink() as node:
        link = node.link(name)
        if link is not None and link.alias == str(owner):
            return
        try:
            _persist_tap(name)
            node.request(
                netlink.set_alias(name, str(owner)),
                netlink.set_up(name, plug.mtu_bytes),
            )
            _still_ipv6(node, name)
        except OSError:
            _delete(node, name)
            raise


def _persist_tap(name: str) -> None:
    descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("=16sH22x", name.encode(), flags))
        fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    finally:
        os.close(descriptor)


def remove(name: str) -> None:
    """Delete the node's side, and with it the pod's; nothing to do if there is none."""
    with Netlink() as node:
        _delete(node, name)


def _delete(node: Netlink, name: str) -> None:
    try:
        node.request(netlink.delete_link(name))
    except OSError as fault:
        if not netlink.is_missing(fault):
            raise


def bring_up_loopback(pod_netns: str) -> None:
    def up() -> None:
        with Netlink() as pod:
            pod.request(netlink.set_up("lo"))

    netns.run_in(pod_netns, up)


def _still_ipv6(link: Netlink, name: str) -> None:
    """Keep the kernel from speaking IPv6 on an interface that has only IPv4 addresses."""
    if not Path("/proc/net/if_inet6").exists():
        return
    try:
        link.request(netlink.no_link_local(name))
    except OSError as fault:
        if fault.errno != errno.EAFNOSUPPORT:  # IPv6 is off in this namespace
            raise
