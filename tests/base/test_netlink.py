"""Our netlink encoder against the kernel, with `ip` as the judge. Needs root."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from ursa.base import ethtool, netlink, netns

pytestmark = pytest.mark.root
MAC = bytes.fromhex("020000000005")
FEATURE = "tx-udp-segmentation"


def ip(*words: str) -> Any:
    done = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


@pytest.fixture
def spaces() -> Iterator[tuple[str, str]]:
    names = (f"nltest-{os.getpid()}-a", f"nltest-{os.getpid()}-b")
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=True)


def make_pair(here: str, there: str) -> None:
    with (
        open(f"/run/netns/{there}") as peer,
        netns.run_in(f"/run/netns/{here}", netlink.Netlink) as link,
    ):
        link.request(
            netlink.new_veth("host0", "eth0", peer.fileno(), MAC, 1450),
            netlink.set_alias("host0", "box/eth0"),
            netlink.no_link_local("host0"),
        )


def test_a_veth_is_made_straight_into_the_other_namespace(spaces: tuple[str, str]) -> None:
    here, there = spaces
    make_pair(here, there)
    with netns.run_in(f"/run/netns/{there}", netlink.Netlink) as inside:
        inside.request(netlink.set_up("eth0"))
    inner = ip("-n", there, "link", "show", "eth0")[0]
    assert (inner["address"], inner["mtu"]) == ("02:00:00:00:00:05", 1450)
    assert "UP" in inner["flags"]
    outer = ip("-n", here, "link", "show", "host0")[0]
    assert outer["ifalias"] == "box/eth0"
    assert ip("-n", here, "-6", "addr", "show", "host0") in ([], [{}])


def test_addresses_and_routes_are_read_back_as_written(spaces: tuple[str, str]) -> None:
    make_pair(*spaces)
    gateway = IPv4Address("10.0.0.1")
    address = IPv4Interface("10.0.0.5/32")
    with netns.run_in(f"/run/netns/{spaces[1]}", netlink.Netlink) as inside:
        link = inside.link("eth0")
        assert link is not None and link.kind == "veth" and link.mac == MAC
        inside.request(netlink.set_up("eth0"))
        for _ in range(2):
            inside.request(
                netlink.new_address(link.index, address),
                netlink.new_route(link.index, IPv4Network("10.0.0.1/32")),
                netlink.new_route(link.index, IPv4Network("0.0.0.0/0"), gateway),
            )
        assert inside.addresses(link.index) == [address]
        assert inside.default_gateways(link.index) == [gateway]


def test_a_refusal_says_what_and_why(spaces: tuple[str, str]) -> None:
    with netns.run_in(f"/run/netns/{spaces[0]}", netlink.Netlink) as link:
        with pytest.raises(netlink.NetlinkError, match="cannot delete nothing0") as fault:
            link.request(netlink.delete_link("nothing0"))
        assert netlink.is_missing(fault.value)
        route = netlink.new_route(1, IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.1"))
        with pytest.raises(netlink.NetlinkError, match="cannot add route"):
            link.request(netlink.set_up("lo"), route)


def test_offloads_are_switched_by_name(spaces: tuple[str, str]) -> None:
    make_pair(*spaces)
    path = f"/run/netns/{spaces[1]}"
    netns.run_in(path, lambda: ethtool.disable("eth0", [FEATURE, "no-such-feature"]))
    assert FEATURE in netns.run_in(path, lambda: ethtool.disabled("eth0"))
