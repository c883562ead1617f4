"""One node's session: any order of messages, with loss and repeats, ends at the newest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alcor_world import NODES, Replica, address, network, network_key, port, wanted
from ursa.alcor.controller.session import IN_FLIGHT_MAX, Session
from ursa.alcor.controller.world import Touched, World
from ursa.proto.alcor_pb2 import Revision

EPOCH = 1000


def flush(world: World, sessions: dict[str, Session]) -> None:
    rows, peers = world.take_touched()
    for node, touched in rows.items():
        sessions[node].touch(touched)
    for session in sessions.values():
        session.touch(Touched(peers=peers))


def deliver(world: World, session: Session, replica: Replica) -> None:
    """Exchange messages until there is nothing to say."""
    while (message := session.next_message(world)) is not None:
        if replica.take(message):
            session.ack(replica.revision)
        else:
            session.nack(message.revision, "gap")


STEPS = st.one_of(
    st.tuples(st.just("port"), st.integers(0, 2), st.integers(2, 9), st.sampled_from(NODES)),
    st.tuples(st.just("unport"), st.integers(0, 2), st.integers(2, 9), st.none()),
    st.tuples(st.just("network"), st.integers(0, 2), st.none(), st.none()),
    st.tuples(st.just("unnetwork"), st.integers(0, 2), st.none(), st.none()),
    st.tuples(st.just("node"), st.none(), st.none(), st.sampled_from(NODES)),
    st.tuples(st.just("unnode"), st.none(), st.none(), st.sampled_from(NODES)),
    st.tuples(st.just("candidates"), st.none(), st.none(), st.sets(st.sampled_from(NODES))),
    st.tuples(st.just("deliver"), st.none(), st.none(), st.sampled_from(NODES)),
    st.tuples(st.just("lose"), st.none(), st.integers(0, 3), st.sampled_from(NODES)),
    st.tuples(st.just("reconnect"), st.none(), st.none(), st.sampled_from(NODES)),
    st.tuples(st.just("restart"), st.none(), st.none(), st.sampled_from(NODES)),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=80), st.integers(1, 2))
def test_every_node_ends_with_what_it_wants(steps, vnis):
    world = World()
    sessions = {node: Session(node, EPOCH) for node in NODES}
    replicas = {node: Replica() for node in NODES}
    for what, number, host, who in steps:
        vni = 1 + (host or 0) % vnis
        session, replica = sessions.get(str(who)), replicas.get(str(who))
        match what:
            case "port":
                world.put_network(network(vni, number))
                world.put_port(port(vni, number, host, who))
            case "unport":
                world.remove_port(port(vni, number, host, "n1").key)
            case "network":
                world.put_network(network(vni, number))
            case "unnetwork" if not world.has_ports(network_key(vni, number)):
                world.remove_network(network_key(vni, number))
            case "node":
                world.put_node(who, address(who))
            case "unnode":
                world.remove_node(who)
            case "candidates":
                world.set_candidates(who)
            case "deliver":
                flush(world, sessions)
                deliver(world, session, replica)
            case "lose":  # messages are sent, the first `host` are taken, then the stream breaks
                flush(world, sessions)
                messages = []
                while (message := session.next_message(world)) is not None:
                    messages.append(message)
                for message in messages[:host]:
                    replica.take(message)
                session.disconnect()
                session.connect(replica.revision)
            case "reconnect":
                session.disconnect()
                session.connect(replica.revision)
            case "restart":  # of the node: its maps are gone
                replicas[who] = Replica()
                session.disconnect()
                session.connect(Revision())
    flush(world, sessions)
    for node in NODES:
        deliver(world, sessions[node], replicas[node])
        replica = replicas[node]
        assert (replica.networks, replica.ports, replica.peers) == wanted(world, node)


def one_node() -> tuple[World, Session, Replica]:
    world = World()
    world.put_node("n1", address("n1"))
    world.put_network(network(7, 0))
    return world, Session("n1", EPOCH), Replica()


def put(world: World, session: Session, host: int) -> None:
    world.put_port(port(7, 0, host, "n1"))
    flush(world, {"n1": session})


def test_a_port_is_held_once_its_revision_is_acknowledged_and_not_before():
    world, session, replica = one_node()
    session.connect(Revision())
    deliver(world, session, replica)
    held: list[bool] = []
    put(world, session, 2)
    session.expect(held.append)
    message = session.next_message(world)
    assert message is not None and list(message.ports.vni) == [7]
    session.ack(replica.revision)  # of the message before: late
    assert held == []
    assert replica.take(message)
    session.ack(replica.revision)
    assert held == [True]


def test_who_waits_when_the_stream_breaks_is_told_by_the_next_snapshot():
    world, session, replica = one_node()
    session.connect(Revision())
    held: list[bool] = []
    put(world, session, 2)
    session.expect(held.append)
    assert session.next_message(world) is not None  # lost
    session.disconnect()
    session.connect(Revision())
    deliver(world, session, replica)
    assert held == [True]


def test_a_node_that_is_gone_keeps_nobody_waiting():
    world, session, _ = one_node()
    held: list[bool] = []
    put(world, session, 2)
    session.expect(held.append)
    session.give_up()
    assert held == [False]


def test_what_a_slow_node_has_not_taken_becomes_one_message():
    world, session, replica = one_node()
    session.connect(Revision())
    messages = [session.next_message(world)]
    for host in range(2, 100):
        put(world, session, host)
        messages.append(session.next_message(world))
    sent = [message for message in messages if message is not None]
    assert len(sent) == IN_FLIGHT_MAX
    for message in sent:
        assert replica.take(message)
    session.ack(replica.revision)
    last = session.next_message(world)
    assert last is not None and len(last.ports.vni) == 98 - (IN_FLIGHT_MAX - 1)


def test_a_revision_is_above_what_the_node_holds_even_from_another_clock():
    world, session, replica = one_node()
    session.connect(Revision(epoch=EPOCH + 5, counter=9))
    message = session.next_message(world)
    assert message is not None and not message.HasField("base")
    assert (message.revision.epoch, message.revision.counter) > (EPOCH + 5, 9)
    assert replica.take(message)
    session.ack(replica.revision)
    assert session.refusal == ""


def test_an_acknowledgement_of_what_was_never_sent_brings_a_snapshot():
    world, session, replica = one_node()
    session.connect(Revision())
    deliver(world, session, replica)
    session.ack(Revision(epoch=EPOCH, counter=77))
    assert session.refusal
    message = session.next_message(world)
    assert message is not None and not message.HasField("base")
