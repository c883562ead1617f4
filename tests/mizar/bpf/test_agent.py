"""What the agent does to one frame of its endpoint, in the kernel (BPF_PROG_TEST_RUN)."""

import asyncio

import pytest

from data_plane import LOOPBACK, TC_REDIRECT, TC_SHOT, Bench
from packets import (
    ETH_IPV6,
    ICMP,
    TCP,
    UDP,
    arp_reply,
    arp_request,
    eth,
    geneve,
    ip,
    ipv4,
    mac,
    tcp,
    tunnelled,
    udp,
)
from ursa.mizar.layout import ENDPOINT_KEY, LEARNED
from ursa.proto.mizar_pb2 import Attachment, Endpoint, Network, NodeState

pytestmark = pytest.mark.root

HERE, THERE, BOUNCER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
VNI = 0x00ABCD
POD, POD_MAC = "10.0.0.4", "02:00:00:00:00:04"
NEAR, NEAR_MAC = "10.0.0.5", "02:00:00:00:00:05"
FAR, FAR_MAC = "10.0.0.6", "02:00:00:00:00:06"
GATEWAY, GATEWAY_MAC = "10.0.0.1", "02:00:00:00:00:01"
NEIGHBOUR_MAC = "02:75:72:73:61:01"


def endpoint(address: str, hardware: str, host: str, vni: int = VNI) -> Endpoint:
    return Endpoint(vni=vni, ip=ip(address), mac=mac(hardware), host=ip(host))


def network(bouncers: tuple[str, ...] = (BOUNCER,), vni: int = VNI) -> Network:
    return Network(
        vni=vni,
        prefix=ip("10.0.0.0"),
        prefix_length=24,
        gateway=ip(GATEWAY),
        gateway_mac=mac(GATEWAY_MAC),
        bouncers=[ip(host) for host in bouncers],
    )


def state(*endpoints: Endpoint, networks: tuple[Network, ...] = (network(),)) -> NodeState:
    mine = endpoint(POD, POD_MAC, HERE)
    peers = [ip(host) for host in (HERE, THERE, BOUNCER)]
    return NodeState(endpoints=[mine, *endpoints], networks=networks, peers=peers)


@pytest.fixture
def agent(bench: Bench) -> Bench:
    """The pod's agent, its goal state applied."""
    bench.apply(state(endpoint(FAR, FAR_MAC, THERE)))
    asyncio.run(
        bench.transit.Attach(Attachment(interface="lo", vni=VNI, ip=ip(POD), mac=mac(POD_MAC)))
    )
    return bench


def frame(
    dst: str = FAR,
    *,
    src: str = POD,
    src_mac: str = POD_MAC,
    dst_mac: str = NEIGHBOUR_MAC,
    ttl: int = 64,
    fragment: int = 0,
) -> bytes:
    payload = ipv4(src, dst, UDP, udp(1000, 53, b"hello"), ttl=ttl, fragment=fragment)
    return eth(dst_mac, src_mac) + payload


def outer_of(packet: bytes) -> bytes:
    """The packet behind its outer Ethernet header, which the kernel's neighbour table fills in."""
    return packet[14:]


def sport_of(packet: bytes) -> int:
    return int.from_bytes(packet[34:36])


def test_a_frame_for_another_host_is_wrapped_in_geneve_to_the_byte(agent: Bench) -> None:
    verdict, sent = agent.run("agent", frame())
    assert verdict == TC_REDIRECT
    assert outer_of(sent) == tunnelled(HERE, THERE, VNI, frame(), sport=sport_of(sent))
    assert len(sent) == len(frame()) + 50
    assert agent.paths() == {"direct": 1}


def test_the_source_port_is_dynamic_and_differs_between_flows(agent: Bench) -> None:
    frames = [
        eth(NEIGHBOUR_MAC, POD_MAC) + ipv4(POD, FAR, TCP, tcp(40000 + i, 80)) for i in range(64)
    ]
    ports = [sport_of(agent.run("agent", each)[1]) for each in frames]
    assert min(ports) >= 49152
    assert len(set(ports)) > 60
    assert sport_of(agent.run("agent", frames[0])[1]) == ports[0]


def test_later_fragments_have_no_ports_to_read(agent: Bench) -> None:
    first, second = (
        eth(NEIGHBOUR_MAC, POD_MAC) + ipv4(POD, FAR, UDP, body, fragment=0x2000 | 3)
        for body in (b"abcdefgh", b"ijklmnop")
    )
    assert sport_of(agent.run("agent", first)[1]) == sport_of(agent.run("agent", second)[1])


def test_an_unknown_owner_is_asked_for_at_the_bouncer(agent: Bench) -> None:
    verdict, sent = agent.run("agent", frame("10.0.0.77"))
    assert verdict == TC_REDIRECT
    expected = tunnelled(HERE, BOUNCER, VNI, frame("10.0.0.77"), sport=sport_of(sent))
    assert outer_of(sent) == expected
    assert agent.paths() == {"to_bouncer": 1}


def test_a_learned_owner_is_sent_to_directly(agent: Bench) -> None:
    learn(agent, "10.0.0.77", THERE)
    _, sent = agent.run("agent", frame("10.0.0.77"))
    assert sent[30:34] == ip(THERE)
    assert agent.paths()["direct"] == 1


def test_a_learned_owner_is_not_believed_for_ever(agent: Bench) -> None:
    learn(agent, "10.0.0.77", THERE, age_jiffies=1 << 30)
    _, sent = agent.run("agent", frame("10.0.0.77"))
    assert sent[30:34] == ip(BOUNCER)


def test_a_learned_owner_on_a_host_that_is_no_peer_any_more_is_forgotten_at_once(
    agent: Bench,
) -> None:
    learn(agent, "10.0.0.77", THERE)
    gone = state()
    del gone.peers[1]
    agent.apply(gone)
    _, sent = agent.run("agent", frame("10.0.0.77"))
    assert sent[30:34] == ip(BOUNCER)


def test_goal_state_comes_before_what_was_learned(agent: Bench) -> None:
    learn(agent, FAR, BOUNCER)
    _, sent = agent.run("agent", frame(FAR))
    assert sent[30:34] == ip(THERE)


def test_an_endpoint_that_leaves_the_goal_state_is_not_remembered_as_learned(agent: Bench) -> None:
    learn(agent, FAR, THERE)
    agent.apply(state())
    _, sent = agent.run("agent", frame(FAR))
    assert sent[30:34] == ip(BOUNCER)


def learn(agent: Bench, address: str, host: str, age_jiffies: int = 0) -> None:
    """Write what transit would have learned; it ages from the newest moment that jiffies allow."""
    mapped = bytes(10) + b"\xff\xff" + ip(host)
    index = agent.map("peer_indexes").get(mapped)
    assert index is not None
    seen = (jiffies(agent) - age_jiffies) % 2**32
    row = LEARNED.pack(int.from_bytes(index, "little"), ip(host), seen)
    agent.map("learned").put({ENDPOINT_KEY.pack(VNI.to_bytes(4), ip(address)): row})


def jiffies(agent: Bench) -> int:
    """The kernel's jiffies, read off an entry that transit makes for a packet of a peer."""
    inner = eth(POD_MAC, FAR_MAC) + ipv4("10.0.0.99", POD, UDP, udp(1, 2, b""))
    agent.run("transit", eth(POD_MAC, FAR_MAC) + tunnelled(THERE, HERE, VNI, inner))
    row = agent.map("learned").get(ENDPOINT_KEY.pack(VNI.to_bytes(4), ip("10.0.0.99")))
    assert row is not None
    return int(LEARNED.unpack(row)[2])


def test_a_neighbour_on_this_host_gets_the_frame_as_it_is(agent: Bench) -> None:
    attach_near(agent)
    verdict, sent = agent.run("agent", frame(NEAR))
    assert (verdict, sent) == (TC_REDIRECT, frame(NEAR, dst_mac=NEAR_MAC))
    assert agent.paths() == {"same_host": 1}


def attach_near(agent: Bench) -> None:
    from ursa.mizar.daemon.transit import Interface

    agent.apply(state(endpoint(NEAR, NEAR_MAC, HERE)))
    agent.links.interfaces["near"] = Interface(LOOPBACK + 1, 1500)
    attachment = Attachment(interface="near", vni=VNI, ip=ip(NEAR), mac=mac(NEAR_MAC), tap=True)
    asyncio.run(agent.transit.Attach(attachment))


def test_a_local_endpoint_without_interface_is_a_counted_drop(agent: Bench) -> None:
    agent.apply(state(endpoint(NEAR, NEAR_MAC, HERE)))
    assert agent.run("agent", frame(NEAR))[0] == TC_SHOT
    assert agent.drops() == {"not_attached": 1}


def test_a_frame_through_the_gateway_is_one_hop_older(agent: Bench) -> None:
    _, sent = agent.run("agent", frame(dst_mac=GATEWAY_MAC, ttl=64))
    inner = sent[14 + 36 :]
    assert inner == frame(dst_mac=GATEWAY_MAC, ttl=63)


@pytest.mark.parametrize("ttl", [0, 1])
def test_a_frame_at_its_last_hop_is_not_routed(agent: Bench, ttl: int) -> None:
    assert agent.run("agent", frame(dst_mac=GATEWAY_MAC, ttl=ttl))[0] == TC_SHOT
    assert agent.drops() == {"ttl_expired": 1}


@pytest.mark.parametrize(
    ("spoofed", "reason"),
    [
        (frame(src_mac="02:00:00:00:00:99"), "spoofed_mac"),
        (frame(src="10.0.0.99"), "spoofed_ip"),
        (arp_request("02:00:00:00:00:99", POD, GATEWAY), "spoofed_mac"),
        (arp_request(POD_MAC, "10.0.0.99", GATEWAY), "spoofed_ip"),
    ],
)
def test_nobody_speaks_in_anothers_name(agent: Bench, spoofed: bytes, reason: str) -> None:
    assert agent.run("agent", spoofed)[0] == TC_SHOT
    assert agent.drops() == {reason: 1}


def test_an_arp_body_with_anothers_mac_is_spoofed(agent: Bench) -> None:
    request = arp_request(POD_MAC, POD, GATEWAY)
    spoofed = request[:22] + mac("02:00:00:00:00:99") + request[28:]
    assert agent.run("agent", spoofed)[0] == TC_SHOT
    assert agent.drops() == {"spoofed_mac": 1}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(GATEWAY, GATEWAY_MAC), (FAR, NEIGHBOUR_MAC), ("10.0.0.77", NEIGHBOUR_MAC)],
)
def test_arp_is_answered_here(agent: Bench, asked: str, answer: str) -> None:
    verdict, reply = agent.run("agent", arp_request(POD_MAC, POD, asked))
    assert (verdict, reply) == (TC_REDIRECT, arp_reply(answer, asked, POD_MAC, POD))
    assert agent.paths() == {"arp_answered": 1}


def test_a_probe_for_a_free_address_is_answered_to_nobody(agent: Bench) -> None:
    verdict, reply = agent.run("agent", arp_request(POD_MAC, "0.0.0.0", GATEWAY))
    assert (verdict, reply) == (TC_REDIRECT, arp_reply(GATEWAY_MAC, GATEWAY, POD_MAC, "0.0.0.0"))


@pytest.mark.parametrize("sender", ["0.0.0.0", POD])
def test_an_endpoint_that_looks_for_its_own_address_finds_no_rival(
    agent: Bench, sender: str
) -> None:
    assert agent.run("agent", arp_request(POD_MAC, sender, POD))[0] == TC_SHOT
    assert agent.drops() == {"bad_arp": 1}


def test_arp_for_an_address_of_no_network_is_a_counted_drop(agent: Bench) -> None:
    assert agent.run("agent", arp_request(POD_MAC, POD, "10.0.1.1"))[0] == TC_SHOT
    assert agent.drops() == {"arp_no_network": 1}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (frame("10.9.9.9"), "no_network"),
        (frame(dst_mac="01:00:5e:00:00:fb", dst=FAR), "multicast"),
        (eth(NEIGHBOUR_MAC, POD_MAC, ETH_IPV6) + bytes(40), "protocol"),
        (eth(NEIGHBOUR_MAC, POD_MAC, 0x8100) + bytes(40), "protocol"),
        (eth(NEIGHBOUR_MAC, POD_MAC) + b"\x65" + frame()[15:], "bad_inner"),  # version 6
        (eth(NEIGHBOUR_MAC, POD_MAC) + b"\x44" + frame()[15:], "bad_inner"),  # header of 16
        (frame()[:16] + b"\xff\xff" + frame()[18:], "bad_inner"),  # longer than the frame
        (frame()[:16] + b"\0\x10" + frame()[18:], "bad_inner"),  # shorter than its header
    ],
)
def test_what_cannot_be_forwarded_is_a_counted_drop(agent: Bench, sent: bytes, reason: str) -> None:
    assert agent.run("agent", sent)[0] == TC_SHOT
    assert agent.drops() == {reason: 1}


def test_a_bouncer_asks_nobody_else(agent: Bench) -> None:
    agent.apply(state(networks=(network(bouncers=(HERE, BOUNCER)),)))
    assert agent.run("agent", frame("10.0.0.77"))[0] == TC_SHOT
    assert agent.drops() == {"no_endpoint": 1}


def test_a_network_without_bouncers_is_a_counted_drop(agent: Bench) -> None:
    agent.apply(state(networks=(network(bouncers=()),)))
    assert agent.run("agent", frame("10.0.0.77"))[0] == TC_SHOT
    assert agent.drops() == {"no_bouncer": 1}


def test_an_interface_without_attachment_may_send_nothing(bench: Bench) -> None:
    bench.apply(state())
    assert bench.run("agent", frame())[0] == TC_SHOT
    assert bench.drops() == {"not_attached": 1}


def test_the_same_address_of_another_vpc_is_not_reached(agent: Bench) -> None:
    agent.apply(
        state(
            endpoint("10.0.0.77", FAR_MAC, THERE, vni=VNI + 1),
            networks=(network(), network(vni=VNI + 1)),
        )
    )
    _, sent = agent.run("agent", frame("10.0.0.77"))
    assert sent[30:34] == ip(BOUNCER)
    assert sent[46:49] == VNI.to_bytes(3)


def test_a_bouncer_that_joins_moves_only_its_share(agent: Bench) -> None:
    destinations = [f"10.0.0.{i}" for i in range(100, 228)]

    def choices(*bouncers: str) -> list[bytes]:
        agent.apply(state(networks=(network(bouncers=bouncers),)))
        return [agent.run("agent", frame(each))[1][30:34] for each in destinations]

    before, after = choices(BOUNCER, THERE), choices(BOUNCER, THERE, "192.0.2.4")
    assert all(new in (old, ip("192.0.2.4")) for old, new in zip(before, after, strict=True))
    assert 20 < after.count(ip("192.0.2.4")) < 70
    assert 40 < before.count(ip(THERE)) < 90


def test_a_pods_own_tunnel_is_carried(agent: Bench) -> None:
    nested = ipv4(POD, FAR, UDP, udp(4789, 4789, geneve(1, frame())))
    verdict, sent = agent.run("agent", eth(NEIGHBOUR_MAC, POD_MAC) + nested)
    assert verdict == TC_REDIRECT
    assert sent[50:] == eth(NEIGHBOUR_MAC, POD_MAC) + nested


def test_icmp_has_no_ports_and_is_carried(agent: Bench) -> None:
    echo = eth(NEIGHBOUR_MAC, POD_MAC) + ipv4(POD, FAR, ICMP, b"\x08\0" + bytes(6))
    verdict, sent = agent.run("agent", echo)
    assert (verdict, sent[50:]) == (TC_REDIRECT, echo)


# A test run refuses IPv4 frames without a whole IPv4 header; ARP ones it takes from 14 bytes on.
def test_a_truncated_frame_is_a_counted_drop(agent: Bench) -> None:
    lengths_bytes = range(34, len(frame()))
    verdicts = {agent.run("agent", frame()[:length_bytes])[0] for length_bytes in lengths_bytes}
    assert verdicts == {TC_SHOT}
    assert agent.drops() == {"bad_inner": len(lengths_bytes)}


def test_a_truncated_arp_request_is_a_counted_drop(agent: Bench) -> None:
    request = arp_request(POD_MAC, POD, GATEWAY)
    lengths_bytes = range(14, len(request))
    verdicts = {agent.run("agent", request[:length_bytes])[0] for length_bytes in lengths_bytes}
    assert verdicts == {TC_SHOT}
    assert agent.drops() == {"truncated": len(lengths_bytes)}
