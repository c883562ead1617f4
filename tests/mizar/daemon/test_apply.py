"""Packing, comparing and planning rows: tables and properties, no kernel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packets import ip
from ursa.base.errors import BadRequest
from ursa.mizar.daemon.apply import Local, diff, index_peers, pack, pack_host, plan_delta, unpack
from ursa.mizar.layout import ENDPOINT, PEER_SELF
from ursa.proto.mizar_pb2 import Delta, Endpoint, Network, NodeState, Revision

OWN = ip("192.0.2.1")
HOSTS = [ip(f"192.0.2.{i}") for i in range(1, 6)]
EMPTY: dict[str, dict[bytes, bytes]] = {
    "peers": {},
    "peer_indexes": {},
    "networks": {},
    "endpoints": {},
}


def endpoint(vni: int = 7, address: str = "10.0.0.4", host: bytes = OWN, **fields) -> Endpoint:
    return Endpoint(**{"vni": vni, "ip": ip(address), "mac": bytes(6), "host": host} | fields)


def network(vni: int = 7, bouncers: tuple[bytes, ...] = (), **fields) -> Network:
    given = {"vni": vni, "prefix": ip("10.0.0.0"), "prefix_length": 24, "bouncers": bouncers}
    return Network(**given | fields)


endpoints = st.builds(
    endpoint,
    vni=st.integers(1, 3),
    address=st.sampled_from([f"10.0.0.{i}" for i in range(1, 5)]),
    host=st.sampled_from(HOSTS),
    mac=st.binary(min_size=6, max_size=6),
)
networks = st.builds(
    network,
    vni=st.integers(1, 3),
    prefix=st.sampled_from([ip("10.0.0.0"), ip("10.0.1.0")]),
    bouncers=st.lists(st.sampled_from(HOSTS), max_size=4, unique=True),
)
states = st.builds(
    NodeState,
    networks=st.lists(networks, unique_by=lambda n: (n.vni, n.prefix)),
    endpoints=st.lists(endpoints, unique_by=lambda e: (e.vni, e.ip)),
    peers=st.lists(st.sampled_from(HOSTS), unique=True),
)


def after(have, writes):
    """The rows once the writes are done."""
    rows = {name: dict(table) for name, table in have.items()}
    for write in writes:
        if write.value is None:
            rows.get(write.map, {}).pop(write.key, None)
        else:
            rows[write.map][write.key] = write.value
    return rows


def rows_of(state, have=EMPTY, locals_=None):
    return pack(state, OWN, have["peer_indexes"], locals_ or {})


@given(states, states)
def test_a_diff_carried_out_leaves_nothing_to_do(first, second):
    have = after(EMPTY, diff(EMPTY, rows_of(first)))
    want = rows_of(second, have)
    have = after(have, diff(have, want))
    assert have == want
    assert diff(have, rows_of(second, have)) == []


@given(states)
def test_what_was_packed_is_unpacked(state):
    read = unpack(rows_of(state), OWN, Revision(counter=1))
    assert sorted(map(str, read.endpoints)) == sorted(map(str, state.endpoints))
    assert sorted((n.vni, n.prefix, tuple(n.bouncers)) for n in read.networks) == sorted(
        (n.vni, n.prefix, tuple(n.bouncers)) for n in state.networks
    )
    assert set(read.peers) >= {OWN, *state.peers}


@given(states, states)
def test_no_row_names_an_index_that_is_not_in_the_peer_table_at_any_moment(first, second):
    have = after(EMPTY, diff(EMPTY, rows_of(first)))
    writes = diff(have, rows_of(second, have))
    for done in range(len(writes) + 1):
        rows = after(have, writes[:done])
        named = {
            ENDPOINT.unpack(row)[0].to_bytes(4, "little") for row in rows["endpoints"].values()
        }
        assert named <= rows["peers"].keys()


@given(states, states)
def test_a_host_that_stays_keeps_its_index(first, second):
    before = rows_of(first)
    later = rows_of(second, before)
    kept = before["peer_indexes"].keys() & later["peer_indexes"].keys()
    assert all(before["peer_indexes"][host] == later["peer_indexes"][host] for host in kept)


@given(states, st.lists(endpoints), st.lists(networks), st.lists(endpoints), st.lists(networks))
def test_a_delta_writes_what_the_changed_snapshot_would(state, puts, nets, gone, gone_nets):
    puts = list({(e.vni, e.ip): e for e in puts}.values())
    nets = list({(n.vni, n.prefix): n for n in nets}.values())
    delta = Delta(
        put_endpoints=puts, put_networks=nets, remove_endpoints=gone, remove_networks=gone_nets
    )
    have = after(EMPTY, diff(EMPTY, rows_of(state)))
    got = unpack(after(have, plan_delta(delta, OWN, have["peer_indexes"], {})), OWN, Revision())
    want = {(e.vni, e.ip): e for e in state.endpoints}
    for each in gone:
        want.pop((each.vni, each.ip), None)
    want |= {(e.vni, e.ip): e for e in puts}
    assert sorted(map(str, got.endpoints)) == sorted(map(str, want.values()))
    want_nets = {(n.vni, n.prefix) for n in state.networks} - {(n.vni, n.prefix) for n in gone_nets}
    assert {(n.vni, n.prefix) for n in got.networks} == want_nets | {
        (n.vni, n.prefix) for n in nets
    }


def test_an_index_given_up_is_not_used_again_in_the_same_change():
    first = index_peers(HOSTS[:3], OWN, {})
    have = {host: index.to_bytes(4, "little") for host, index in first.items()}
    later = index_peers([HOSTS[3]], OWN, have)
    assert later[pack_host(HOSTS[3])] not in first.values()


def test_this_node_is_peer_self():
    row = rows_of(NodeState(endpoints=[endpoint()]))["endpoints"].popitem()[1]
    assert ENDPOINT.unpack(row)[0] == PEER_SELF


def test_a_local_endpoint_takes_its_interface_from_the_attachment():
    key = b"\0\0\0\7" + ip("10.0.0.4")
    state = NodeState(endpoints=[endpoint(), endpoint(address="10.0.0.5", host=HOSTS[1])])
    rows = rows_of(state, locals_={key: Local(12, 1)})["endpoints"]
    assert ENDPOINT.unpack(rows[key])[1::2] == (12, 1)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (NodeState(endpoints=[endpoint(vni=0)]), "vni 0 is outside 1..16777215"),
        (NodeState(endpoints=[endpoint(vni=2**24)]), "vni 16777216 is outside"),
        (NodeState(endpoints=[endpoint(ip=bytes(16))]), "endpoints of this release are IPv4"),
        (NodeState(endpoints=[endpoint(mac=b"1")]), "mac has 1 bytes, not 6"),
        (NodeState(endpoints=[endpoint(host=bytes(16))]), "underlay of this release is IPv4"),
        (NodeState(endpoints=[endpoint(host=b"")]), "underlay of this release is IPv4"),
        (NodeState(endpoints=[endpoint(), endpoint()]), "ip 10.0.0.4 has two endpoints"),
        (NodeState(networks=[network(), network()]), "network 10.0.0.0/24 of vni 7 is there twice"),
        (NodeState(networks=[network(prefix_length=33)]), "give an IPv4 prefix"),
        (NodeState(networks=[network(prefix=ip("10.0.0.1"))]), "host bits set"),
        (NodeState(networks=[network(bouncers=HOSTS)]), "5 bouncers, at most 4"),
        (NodeState(networks=[network(gateway=b"1")]), "gateway has 1 bytes"),
        (NodeState(networks=[network(gateway=bytes(4))]), "gateway_mac has 0 bytes"),
        (NodeState(host=HOSTS[2]), "the state is for host 192.0.2.3, this is 192.0.2.1"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(state, message):
    with pytest.raises(BadRequest, match=message):
        rows_of(state)
