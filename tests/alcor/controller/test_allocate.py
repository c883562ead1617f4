"""Allocation: nothing is given out twice, and what is given back is given again."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from ursa.alcor.controller.allocate import VNI_MAX, Pool, choose_mac, choose_vni, derive_mac

CIDR = IPv4Network("10.0.0.0/28")
GATEWAY = IPv4Address("10.0.0.1")
OWNERS = st.sampled_from([f"port-{i}" for i in range(20)])
ADDRESSES = st.integers(0, 15).map(lambda i: CIDR[i])


def test_the_lowest_free_address_comes_first_and_the_gateway_never():
    pool = Pool(CIDR, GATEWAY)
    given_out = [pool.take_lowest(f"port-{i}") for i in range(13)]
    assert given_out == [CIDR[i] for i in range(2, 15)]
    assert pool.take_lowest("one-too-many") is None
    pool.release(CIDR[7], "port-5")
    assert pool.take_lowest("late") == CIDR[7]


def test_only_the_owner_gives_back():
    pool = Pool(CIDR, GATEWAY)
    ip = pool.take_lowest("a")
    assert ip is not None
    pool.release(ip, "b")
    assert pool.owner(ip) == "a"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("lowest"), OWNERS, st.none()),
            st.tuples(st.just("take"), OWNERS, ADDRESSES),
            st.tuples(st.just("release"), OWNERS, ADDRESSES),
        ),
        max_size=60,
    )
)
def test_an_address_has_one_owner_whatever_happens(steps):
    pool, owners = Pool(CIDR, GATEWAY), {}
    for what, owner, ip in steps:
        if what == "lowest":
            free = [a for a in CIDR.hosts() if a not in owners and a != GATEWAY]
            got = pool.take_lowest(owner)
            assert got == (min(free) if free else None)
            if got is not None:
                owners[got] = owner
        elif what == "take":
            if not pool.is_usable(ip):
                continue
            assert pool.take(ip, owner) == (owners.setdefault(ip, owner) == owner)
        else:
            pool.release(ip, owner)
            if owners.get(ip) == owner:
                del owners[ip]
        assert len(pool) == len(owners)


@given(st.lists(st.uuids().map(str), unique=True, max_size=50))
def test_vnis_are_in_range_and_differ(uids):
    taken: set[int] = set()
    for uid in uids:
        vni = choose_vni(uid, taken)
        assert vni is not None and 1 <= vni <= VNI_MAX and vni not in taken
        taken.add(vni)


def test_a_vni_is_the_same_again_after_its_owner_is_forgotten():
    assert choose_vni("a", set()) == choose_vni("a", set()) != choose_vni("b", set())


@given(st.integers(1, VNI_MAX), st.sets(ADDRESSES, max_size=16))
def test_macs_are_local_unicast_and_differ_in_a_vpc(vni, addresses):
    macs = {derive_mac(vni, ip) for ip in addresses}
    assert len(macs) == len(addresses)
    assert all(mac[0] & 3 == 2 and len(mac) == 6 for mac in macs)


def test_a_mac_that_somebody_asked_for_is_not_derived_again():
    derived = derive_mac(7, GATEWAY)
    assert choose_mac(7, GATEWAY, {derived}) not in (derived, None)
