"""What a status stands for; nonsense in one stands for nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from alcor_world import port
from ursa.alcor.controller.rows import address_of, row_of
from ursa.alcor.controller.status import placed_port
from ursa.kinds.node import Node, NodeAddress, NodeStatus
from ursa.kinds.part import ObjectMeta
from ursa.kinds.port import Port, PortDevice, PortSpec

ROW = port(7, 0, 5, "n1")


def placed() -> Port:
    obj = Port(
        metadata=ObjectMeta(uid=ROW.uid, tenant=ROW.tenant, namespace=ROW.namespace, name=ROW.name),
        spec=PortSpec(node_name=ROW.node, device=PortDevice(uid=ROW.device)),
    )
    return replace(obj, status=placed_port(obj, ROW, "100.64.0.1", is_held=False, now="now"))


def test_a_row_written_to_a_status_is_read_back_as_it_was():
    assert row_of(placed()) == ROW


@pytest.mark.parametrize(
    "change",
    [
        {"vni": None},
        {"ip": ""},
        {"ip": "10.0.0.999"},
        {"prefix_length": 0},
        {"prefix_length": 40},
        {"gateway": "10.9.0.1"},
        {"mac": "02:00"},
        {"mac": "nonsense"},
    ],
)
def test_a_status_that_makes_no_sense_stands_for_nothing(change):
    obj = placed()
    assert row_of(replace(obj, status=replace(obj.status, **change))) is None


@pytest.mark.parametrize(("told", "address"), [("100.64.0.1", "100.64.0.1"), ("x", ""), ("", "")])
def test_a_node_without_a_sound_address_has_none(told, address):
    status = NodeStatus(addresses=(NodeAddress(type="InternalIP", address=told),))
    assert address_of(Node(metadata=ObjectMeta(name="n"), status=status)) == address
