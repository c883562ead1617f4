"""What the ledger refuses, and in which words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from alcor_world import port as row
from ursa.alcor.controller.ledger import Ledger, Refusal, network_of, subnet_fault
from ursa.alcor.controller.world import NetworkKey
from ursa.kinds.part import ObjectMeta
from ursa.kinds.port import Port, PortSpec
from ursa.kinds.subnet import Subnet, SubnetSpec, SubnetStatus
from ursa.kinds.vpc import Vpc, VpcSpec

VPC = Vpc(metadata=ObjectMeta(name="blue"), spec=VpcSpec(cidr="10.0.0.0/16"))
KEY = NetworkKey(7, IPv4Network("10.0.0.0/24"))


def subnet(name: str, cidr: str, *, gateway: str = "", ready: bool = False) -> Subnet:
    return Subnet(
        metadata=ObjectMeta(name=name, uid=name, creation_timestamp=f"2026-01-01T00:00:0{name}Z"),
        spec=SubnetSpec(vpc="blue", cidr=cidr, gateway=gateway),
        status=SubnetStatus(phase="Ready" if ready else ""),
    )


def port(uid: str, *, ip: str = "", mac: str = "") -> Port:
    return Port(metadata=ObjectMeta(uid=uid), spec=PortSpec(ip=ip, mac=mac))


@pytest.mark.parametrize(
    ("cidr", "gateway", "reason"),
    [
        ("10.0.0.0", "", "InvalidCIDR"),
        ("10.0.0.1/24", "", "InvalidCIDR"),
        ("10.0.0.0/31", "", "InvalidCIDR"),
        ("10.0.0.0/24", "10.0.1.1", "InvalidGateway"),
        ("10.0.0.0/24", "10.0.0.255", "InvalidGateway"),
        ("10.0.0.0/24", "nonsense", "InvalidGateway"),
    ],
)
def test_a_malformed_subnet_is_refused(cidr, gateway, reason):
    fault = network_of(subnet("1", cidr, gateway=gateway), 7)
    assert isinstance(fault, Refusal) and fault.reason == reason


def test_the_first_address_is_the_gateway_unless_another_is_named():
    assert network_of(subnet("1", "10.0.0.0/24"), 7) == (KEY, IPv4Address("10.0.0.1"))
    named = network_of(subnet("1", "10.0.0.0/24", gateway="10.0.0.9"), 7)
    assert named == (KEY, IPv4Address("10.0.0.9"))


def test_of_two_subnets_that_overlap_the_ready_or_else_the_elder_stays():
    elder, younger = subnet("1", "10.0.0.0/20"), subnet("2", "10.0.4.0/24")
    assert subnet_fault(elder, VPC, [younger]) is None
    fault = subnet_fault(younger, VPC, [elder])
    assert fault is not None and "overlaps 10.0.0.0/20 of subnet 1" in fault.message
    settled = subnet("2", "10.0.4.0/24", ready=True)
    assert subnet_fault(settled, VPC, [elder]) is None
    assert subnet_fault(elder, VPC, [settled]) is not None


def test_a_subnet_lies_inside_its_vpc():
    fault = subnet_fault(subnet("1", "10.1.0.0/24"), VPC, [])
    assert fault is not None and fault.reason == "OutsideVpc"


def test_a_vpc_keeps_its_vni_and_no_other_gets_it():
    ledger = Ledger()
    vni = ledger.allocate_vni("a", ())
    assert vni == ledger.allocate_vni("a", ())
    assert not isinstance(vni, Refusal)
    assert not ledger.adopt_vni(vni, "b")
    assert not ledger.adopt_vni(0, "b") and not ledger.adopt_vni(1 << 24, "b")
    ledger.release_vni("a")
    assert ledger.adopt_vni(vni, "b")
    assert ledger.allocate_vni("a", ()) != vni


def test_a_mac_is_given_once():
    ledger = Ledger()
    ledger.open(KEY, IPv4Address("10.0.0.1"))
    given = ledger.allocate(port("a", mac="02:00:00:00:00:aa"), KEY)
    assert given == (IPv4Address("10.0.0.2"), bytes.fromhex("0200000000aa"))
    refused = ledger.allocate(port("b", mac="02:00:00:00:00:aa"), KEY)
    assert isinstance(refused, Refusal) and refused.reason == "MacInUse"
    refused = ledger.allocate(port("c", mac="03:00:00:00:00:aa"), KEY)
    assert isinstance(refused, Refusal) and refused.reason == "InvalidMAC"
    assert ledger.used(KEY) == 1, "what is refused takes no address"


def test_of_two_ports_that_claim_one_address_the_first_to_be_entered_has_it():
    ledger = Ledger()
    ledger.open(KEY, IPv4Address("10.0.0.1"))
    first, second = row(7, 0, 5, "n1", uid="first"), row(7, 0, 5, "n2", uid="second")
    assert ledger.adopt(first) and ledger.adopt(first) and not ledger.adopt(second)
    ledger.release(second)
    assert not ledger.adopt(second)
    ledger.release(first)
    assert ledger.adopt(second)
