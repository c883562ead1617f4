"""From Alcor's columns to Mizar's rows."""

from __future__ import annotations

import pytest

from alcor_world import address, network, port
from ursa.alcor.agent import goal
from ursa.alcor.controller.compile import compile_message
from ursa.alcor.controller.world import Touched, World
from ursa.proto.alcor_pb2 import ControllerMessage, Revision


def world() -> World:
    world = World()
    for node in ("n1", "n2"):
        world.put_node(node, address(node))
    world.set_candidates(["n1"])
    world.put_network(network(7, 0))
    world.put_port(port(7, 0, 2, "n1"))
    world.put_port(port(7, 0, 3, "n2"))
    return world


def snapshot(node: str) -> ControllerMessage:
    tables = world()
    message = compile_message(tables, node, tables.whole(node))
    message.revision.CopyFrom(Revision(epoch=5, counter=1))
    return message


def test_a_snapshot_has_the_network_its_bouncer_and_the_endpoints():
    state = goal.node_state(snapshot("n1"), address("n1"))
    assert (state.revision.epoch, state.revision.counter) == (5, 1)
    (subnet,) = state.networks
    assert (subnet.vni, bytes(subnet.prefix), subnet.prefix_length) == (7, bytes((10, 0, 0, 0)), 24)
    assert list(subnet.bouncers) == [bytes((100, 64, 0, 1))] and len(subnet.gateway_mac) == 6
    assert {e.ip[3]: e.host[3] for e in state.endpoints} == {2: 1, 3: 2}
    assert [peer[3] for peer in state.peers] == [1, 2]


def test_a_node_that_is_no_bouncer_has_its_own_ports_alone():
    state = goal.node_state(snapshot("n2"), address("n2"))
    assert [e.ip[3] for e in state.endpoints] == [3]
    assert len(state.networks) == 1


def test_only_a_nodes_own_ports_are_for_its_cni_server():
    (own,) = goal.local_ports(snapshot("n1").ports)
    assert (own.device, own.nic, str(own.ip), own.mtu_bytes) == (
        "pod-7-10.0.0.2", "eth0", "10.0.0.2", 1500,
    )  # fmt: skip


def test_a_delta_names_what_goes_by_its_key():
    tables = world()
    tables.remove_port(port(7, 0, 2, "n1").key)
    gone = Touched(ports={port(7, 0, 2, "n1").key}, networks={network(9, 0).key})
    delta = goal.delta(compile_message(tables, "n1", gone))
    assert [(e.vni, e.ip[3]) for e in delta.remove_endpoints] == [(7, 2)]
    assert [(n.vni, n.prefix_length) for n in delta.remove_networks] == [(9, 24)]
    assert not delta.put_endpoints and not delta.peers_changed


def test_columns_of_different_length_are_refused():
    message = snapshot("n1")
    message.ports.mac.append(b"123456")
    with pytest.raises(ValueError, match="columns of ports differ"):
        goal.check(message)


@pytest.mark.parametrize("text", ["10.0.0.0/99", "10.0.0.5/24", "nonsense"])
def test_a_prefix_that_is_none_is_refused(text):
    message = snapshot("n1")
    message.networks.cidr[0] = text
    with pytest.raises(ValueError):
        goal.node_state(message, address("n1"))
