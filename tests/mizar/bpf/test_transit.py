"""What transit does to one packet of the uplink, in the kernel (BPF_PROG_TEST_RUN)."""

import asyncio

import pytest

from data_plane import TC_OK, TC_REDIRECT, TC_SHOT, Bench
from packets import DONT_FRAGMENT, UDP, eth, geneve, ip, ipv4, mac, tunnelled, udp
from ursa.mizar.layout import ENDPOINT_KEY, LEARNED
from ursa.proto.mizar_pb2 import Attachment, Endpoint, Network, NodeState

pytestmark = pytest.mark.root

HERE, THERE, BOUNCER, STRANGER = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.66"
VNI = 7
POD, POD_MAC = "10.0.0.5", "02:00:00:00:00:05"
AWAY, AWAY_MAC = "10.0.0.6", "02:00:00:00:00:06"
SENDER, SENDER_MAC = "10.0.0.4", "02:00:00:00:00:04"
NEIGHBOUR_MAC = "02:75:72:73:61:01"
UNDERLAY = eth("02:00:00:00:aa:01", "02:00:00:00:aa:02")
FRESH, RETURNED, BOUNCED = 0xC123, 0x8123, 0x4123  # source ports by forwardings left


def endpoint(address: str, hardware: str, host: str) -> Endpoint:
    return Endpoint(vni=VNI, ip=ip(address), mac=mac(hardware), host=ip(host))


def state(*endpoints: Endpoint, bouncers: tuple[str, ...] = (BOUNCER,)) -> NodeState:
    network = Network(
        vni=VNI,
        prefix=ip("10.0.0.0"),
        prefix_length=24,
        bouncers=[ip(host) for host in bouncers],
    )
    peers = [ip(host) for host in (HERE, THERE, BOUNCER)]
    return NodeState(endpoints=endpoints, networks=[network], peers=peers)


@pytest.fixture
def transit(bench: Bench) -> Bench:
    """A host with one attached pod."""
    bench.apply(state(endpoint(POD, POD_MAC, HERE)))
    attachment = Attachment(interface="lo", vni=VNI, ip=ip(POD), mac=mac(POD_MAC), tap=True)
    asyncio.run(bench.transit.Attach(attachment))
    return bench


@pytest.fixture
def bouncer(bench: Bench) -> Bench:
    """A host that is the network's bouncer and has none of its endpoints."""
    bench.apply(state(endpoint(AWAY, AWAY_MAC, THERE), bouncers=(HERE,)))
    return bench


def frame(dst: str = POD, dst_mac: str = NEIGHBOUR_MAC) -> bytes:
    return eth(dst_mac, SENDER_MAC) + ipv4(SENDER, dst, UDP, udp(1000, 53, b"hello"))


def packet(dst: str = POD, *, vni: int = VNI, src: str = THERE, sport: int = FRESH) -> bytes:
    return UNDERLAY + tunnelled(src, HERE, vni, frame(dst), sport=sport)


def test_a_local_endpoint_gets_the_inner_frame_with_its_own_mac(transit: Bench) -> None:
    assert transit.run("transit", packet()) == (TC_REDIRECT, frame(dst_mac=POD_MAC))
    assert transit.paths() == {"delivered": 1}


def test_the_same_address_in_another_vpc_is_dropped_and_counted(transit: Bench) -> None:
    assert transit.run("transit", packet(vni=VNI + 1))[0] == TC_SHOT
    assert transit.drops() == {"no_network": 1}


def test_a_tunnel_packet_from_a_stranger_is_dropped_and_counted(transit: Bench) -> None:
    assert transit.run("transit", packet(src=STRANGER))[0] == TC_SHOT
    assert transit.drops() == {"unknown_peer": 1}


def test_a_tunnel_packet_in_this_hosts_own_name_is_dropped_and_counted(transit: Bench) -> None:
    assert transit.run("transit", packet(src=HERE))[0] == TC_SHOT
    assert transit.drops() == {"unknown_peer": 1}


@pytest.mark.parametrize(
    "other",
    [
        UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), port=53),
        UNDERLAY + tunnelled(THERE, "192.0.2.9", VNI, frame()),
        UNDERLAY + ipv4(THERE, HERE, 6, bytes(60)),
        UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), fragment=100),  # no UDP header to read
        UNDERLAY[:12] + b"\x08\x06" + bytes(46),
        UNDERLAY + ipv4(THERE, HERE, UDP, b""),
    ],
)
def test_what_is_no_tunnel_packet_goes_to_the_host_untouched(transit: Bench, other: bytes) -> None:
    assert transit.run("transit", other) == (TC_OK, other)


def test_options_are_stepped_over_as_tlvs(transit: Bench) -> None:
    options = bytes.fromhex("0102 03 02 deadbeef cafebabe".replace(" ", "")) + bytes(4)
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), options=options)
    assert transit.run("transit", sent) == (TC_REDIRECT, frame(dst_mac=POD_MAC))


def test_the_longest_options_are_stepped_over(transit: Bench) -> None:
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), options=bytes(63 * 4))
    assert transit.run("transit", sent) == (TC_REDIRECT, frame(dst_mac=POD_MAC))


@pytest.mark.parametrize("flags", [0x80, 0x40])
def test_control_packets_and_critical_options_are_refused(transit: Bench, flags: int) -> None:
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), flags=flags)
    assert transit.run("transit", sent)[0] == TC_SHOT
    assert transit.drops() == {"bad_geneve": 1}


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x40), (2, 0x08)], ids=["version 1", "another payload"]
)
def test_another_geneve_is_refused(transit: Bench, at: int, value: int) -> None:
    sent = bytearray(packet())
    sent[14 + 28 + at] = value
    assert transit.run("transit", bytes(sent))[0] == TC_SHOT
    assert transit.drops() == {"bad_geneve": 1}


def test_a_first_outer_fragment_is_a_counted_drop(transit: Bench) -> None:
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, frame(), fragment=0x2000)
    assert transit.run("transit", sent)[0] == TC_SHOT
    assert transit.drops() == {"outer_fragment": 1}


def test_a_sender_is_learned_and_a_reply_goes_there_directly(transit: Bench) -> None:
    transit.run("transit", packet())
    assert learned_host(transit) == ip(THERE)
    reply = eth(NEIGHBOUR_MAC, POD_MAC) + ipv4(POD, SENDER, UDP, udp(53, 1000, b"hello"))
    _, sent = transit.run("agent", reply)
    assert sent[30:34] == ip(THERE)


def test_a_sender_that_moved_is_learned_anew(transit: Bench) -> None:
    transit.run("transit", packet(src=THERE))
    transit.run("transit", packet(src=BOUNCER))
    assert learned_host(transit) == ip(BOUNCER)


def test_a_sender_of_the_goal_state_is_not_learned(transit: Bench) -> None:
    transit.apply(state(endpoint(POD, POD_MAC, HERE), endpoint(SENDER, SENDER_MAC, BOUNCER)))
    transit.run("transit", packet(src=THERE))
    assert learned_host(transit) is None


def learned_host(transit: Bench) -> bytes | None:
    row = transit.map("learned").get(ENDPOINT_KEY.pack(VNI.to_bytes(4), ip(SENDER)))
    return None if row is None else bytes(LEARNED.unpack(row)[1])


def test_a_bouncer_rewrites_the_outer_header_in_place(bouncer: Bench) -> None:
    verdict, sent = bouncer.run("transit", packet(AWAY))
    assert verdict == TC_REDIRECT
    expected = tunnelled(THERE, THERE, VNI, frame(AWAY), sport=BOUNCED, ttl=63)
    assert sent[14:] == expected
    assert bouncer.paths() == {"bounced": 1}


def test_a_bouncer_forwards_once(bouncer: Bench) -> None:
    assert bouncer.run("transit", packet(AWAY, sport=RETURNED))[0] == TC_REDIRECT
    assert bouncer.run("transit", packet(AWAY, sport=BOUNCED))[0] == TC_SHOT
    assert bouncer.drops() == {"misdelivered": 1}


def test_a_bouncer_drops_what_nobody_owns(bouncer: Bench) -> None:
    assert bouncer.run("transit", packet("10.0.0.99"))[0] == TC_SHOT
    assert bouncer.drops() == {"no_endpoint": 1}


def test_a_packet_at_its_last_hop_is_not_bounced(bouncer: Bench) -> None:
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, frame(AWAY), ttl=1)
    assert bouncer.run("transit", sent)[0] == TC_SHOT
    assert bouncer.drops() == {"ttl_expired": 1}


def test_a_bouncer_drops_what_goes_to_a_host_that_is_no_peer(bouncer: Bench) -> None:
    index = bouncer.map("peer_indexes").get(bytes(10) + b"\xff\xff" + ip(THERE))
    assert index is not None
    bouncer.map("peers").put({index: bytes(16)})
    assert bouncer.run("transit", packet(AWAY, src=BOUNCER))[0] == TC_SHOT
    assert bouncer.drops() == {"no_peer": 1}


def test_an_outer_udp_checksum_does_not_survive_a_change_of_its_header(bouncer: Bench) -> None:
    sent = bytearray(packet(AWAY))
    sent[40:42] = b"\x12\x34"
    _, forwarded = bouncer.run("transit", bytes(sent))
    assert forwarded[40:42] == b"\0\0"


def test_an_endpoint_that_left_is_looked_for_at_the_bouncer(transit: Bench) -> None:
    verdict, sent = transit.run("transit", packet("10.0.0.9"))
    assert verdict == TC_REDIRECT
    expected = tunnelled(THERE, BOUNCER, VNI, frame("10.0.0.9"), sport=RETURNED, ttl=63)
    assert sent[14:] == expected
    assert transit.paths() == {"returned": 1}


@pytest.mark.parametrize("sport", [RETURNED, BOUNCED, 0x0123])
def test_what_was_forwarded_before_is_not_looked_for_again(transit: Bench, sport: int) -> None:
    assert transit.run("transit", packet("10.0.0.9", sport=sport))[0] == TC_SHOT
    assert transit.drops() == {"misdelivered": 1}


def test_an_endpoint_without_interface_is_a_counted_drop(bench: Bench) -> None:
    bench.apply(state(endpoint(POD, POD_MAC, HERE)))
    assert bench.run("transit", packet())[0] == TC_SHOT
    assert bench.drops() == {"not_attached": 1}


def test_a_truncated_packet_is_passed_or_dropped(transit: Bench) -> None:
    for length_bytes in range(34, len(packet())):
        headers_are_there = length_bytes >= 14 + 36
        expected = TC_SHOT if headers_are_there else TC_OK  # else it is for the host to judge
        assert transit.run("transit", packet()[:length_bytes])[0] == expected, length_bytes


def test_options_longer_than_the_packet_are_dropped(transit: Bench) -> None:
    for length_words in range(1, 64):
        sent = bytearray(packet())
        sent[14 + 28] = length_words
        assert transit.run("transit", bytes(sent))[0] == TC_SHOT, length_words


def test_the_longest_frame_that_was_bounced_is_delivered_whole(transit: Bench) -> None:
    inner = eth(NEIGHBOUR_MAC, SENDER_MAC) + ipv4(SENDER, POD, UDP, udp(1, 2, bytes(1472)))
    sent = UNDERLAY + tunnelled(THERE, HERE, VNI, inner, sport=BOUNCED, fragment=DONT_FRAGMENT)
    assert transit.run("transit", sent) == (TC_REDIRECT, mac(POD_MAC) + inner[6:])


def test_geneve_of_another_sender_is_understood(transit: Bench) -> None:
    """A UDP checksum, an identification, DF clear, a low source port: as other stacks write it."""
    payload = udp(4321, 6081, geneve(VNI, frame()))
    payload = payload[:6] + b"\xab\xcd" + payload[8:]
    sent = UNDERLAY + ipv4(THERE, HERE, UDP, payload)
    assert transit.run("transit", sent) == (TC_REDIRECT, frame(dst_mac=POD_MAC))
