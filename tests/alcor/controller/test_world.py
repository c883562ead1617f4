"""Which node is told what, and that a change costs what it should."""

from __future__ import annotations

from alcor_world import NODES, address, network, network_key, port, wanted
from ursa.alcor.controller.world import BOUNCERS_MAX, World


def world_of(nodes=NODES) -> World:
    world = World()
    for node in nodes:
        world.put_node(node, address(node))
    world.set_candidates(nodes)
    return world


def test_a_port_touches_its_node_and_its_bouncers_alone():
    world = world_of()
    world.put_network(network(7, 0))
    for host in range(2, 200):
        world.put_port(port(7, 0, host, NODES[host % 3]))
    world.take_touched()
    row = port(7, 0, 200, "n1")
    world.put_port(row)
    touched, peers = world.take_touched()
    assert not peers
    assert set(touched) == {"n1", *world.bouncers(row.network)}
    assert all(t.ports == {row.key} and not t.networks and not t.peers for t in touched.values())


def test_the_first_port_of_a_vpc_brings_all_its_networks():
    world = world_of()
    for number in range(3):
        world.put_network(network(7, number))
    world.set_candidates(["n1", "n2"])
    outsider = "n3"
    world.take_touched()
    world.put_port(port(7, 0, 2, outsider))
    assert len(world.take_touched()[0][outsider].networks) == 3
    world.remove_port(port(7, 0, 2, outsider).key)
    assert len(world.take_touched()[0][outsider].networks) == 3
    assert wanted(world, outsider)[0] == {}


def test_a_network_has_two_bouncers_that_its_key_alone_decides():
    first, second = world_of(), world_of(NODES[::-1])
    for world in (first, second):
        world.put_network(network(7, 0))
    assert len(first.bouncers(network_key(7, 0))) == BOUNCERS_MAX
    assert first.bouncers(network_key(7, 0)) == second.bouncers(network_key(7, 0))


def test_a_lost_node_moves_only_its_own_roles():
    world = world_of()
    for number in range(50):
        world.put_network(network(7, number))
    before = {key: world.bouncers(key) for key in world.networks}
    world.set_candidates(["n1", "n2"])
    for key, chosen in before.items():
        kept = [node for node in chosen if node != "n3"]
        assert set(kept) <= set(world.bouncers(key))
        assert "n3" not in world.bouncers(key)
    world.set_candidates(NODES)
    assert {key: set(world.bouncers(key)) for key in world.networks} == {
        key: set(chosen) for key, chosen in before.items()
    }


def test_tenants_with_one_prefix_do_not_see_each_other():
    world = world_of(["n1", "n2"])
    for vni in (7, 8):
        world.put_network(network(vni, 0))
    world.put_port(port(7, 0, 5, "n1"))
    world.put_port(port(8, 0, 5, "n2"))
    world.set_candidates([])
    assert {vni for vni, _ in wanted(world, "n1")[0]} == {7}
    assert {key.vni for key in world.whole("n1").networks} == {7}
    assert {key.vni for key in world.whole("n2").ports} == {8}
