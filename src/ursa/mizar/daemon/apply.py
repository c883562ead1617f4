"""From wanted states to map rows and back: pack, diff, unpack, and the plan of a delta. Pure.

    NodeState ── pack ──▶ rows ──┐
                  maps ── read ──┴─ diff ──▶ writes, make-before-break
    Delta ─────────────── plan_delta ──▶ writes

Rows name hosts by their index in the peer table. An index stays with its host as long as the
host is a peer; this node's own is PEER_SELF. Peers are those listed, and every host that an
endpoint or a network names: a row never points to a host that transit would refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import NamedTuple

from ursa.base.errors import BadRequest
from ursa.mizar.layout import (
    BOUNCERS_MAX,
    ENDPOINT,
    ENDPOINT_KEY,
    ENDPOINTS_MAX,
    NETWORK,
    NETWORK_KEY,
    NETWORKS_MAX,
    PEER,
    PEER_SELF,
    PEERS_MAX,
    VNI_BITS,
)
from ursa.proto.mizar_pb2 import Delta, Endpoint, Network, NodeState, Revision

Rows = Mapping[bytes, bytes]  # packed key → packed value
MAPS = ("peers", "peer_indexes", "networks", "endpoints")  # after every map its values refer to
LEARNED = "learned"  # rows that the programs write
VNI_MAX = 2**24 - 1  # RFC 8926, 3.4
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2: IPv4 as IPv6
_NO_PEER = bytes(PEER.size)
_INDEX_BYTES = 4


class Write(NamedTuple):
    map: str
    key: bytes
    value: bytes | None  # None deletes


class Local(NamedTuple):
    """What the row of an endpoint of this node takes from its attachment."""

    ifindex: int
    flags: int


Locals = Mapping[bytes, Local]  # by endpoint key
NOT_ATTACHED = Local(0, 0)


def pack(wanted: NodeState, own: bytes, have: Rows, locals_: Locals) -> dict[str, Rows]:
    """Return the rows of a node state, on the node at underlay address `own`.

    `have` are the rows of peer_indexes, whose indexes are kept. BadRequest if a field makes no
    sense, an address has two endpoints, or a table's bound is exceeded.
    """
    if wanted.host and wanted.host != own:
        raise BadRequest(f"the state is for host {text(wanted.host)}, this is {text(own)}")
    indexes = index_peers(hosts_of(wanted), own, have)
    networks: dict[bytes, bytes] = {}
    for network in wanted.networks:
        key = network_key(network)
        if key in networks:
            raise BadRequest(f"{network_text(network)} is there twice")
        networks[key] = pack_network(network, indexes)
    endpoints: dict[bytes, bytes] = {}
    for endpoint in wanted.endpoints:
        key = endpoint_key(endpoint.vni, endpoint.ip)
        if key in endpoints:
            raise BadRequest(f"vni {endpoint.vni} ip {text(endpoint.ip)} has two endpoints")
        endpoints[key] = pack_endpoint(endpoint, indexes, locals_.get(key, NOT_ATTACHED))
    if len(networks) > NETWORKS_MAX or len(endpoints) > ENDPOINTS_MAX:
        raise BadRequest(
            f"{len(networks)} networks and {len(endpoints)} endpoints: a node holds "
            f"{NETWORKS_MAX} and {ENDPOINTS_MAX}"
        )
    return {
        "peers": {index_key(index): host for host, index in indexes.items()},
        "peer_indexes": {host: index_key(index) for host, index in indexes.items()},
        "networks": networks,
        "endpoints": endpoints,
    }


def diff(have: Mapping[str, Rows], want: Mapping[str, Rows]) -> list[Write]:
    """Return the fewest writes from `have` to `want`, ordered make-before-break."""
    puts = [
        Write(name, key, value)
        for name in MAPS
        for key, value in want[name].items()
        if have[name].get(key) != value
    ]
    deletes = [
        delete
        for name in reversed(MAPS)
        for key in have[name]
        if key not in want[name]
        for delete in _deletes(name, key)
    ]
    return puts + deletes


def _deletes(name: str, key: bytes) -> Iterator[Write]:
    """Yield the delete of one row, and of what was learned of an endpoint that goes."""
    yield Write(name, key, None)
    if name == "endpoints":
        yield Write(LEARNED, key, None)


def plan_delta(delta: Delta, own: bytes, have: Rows, locals_: Locals) -> list[Write]:
    """Return the writes of a delta that does not replace the list of peers.

    `have` are the rows of peer_indexes of the hosts that the delta names, or all rows if one of
    them is new. What is both removed and put is put.
    """
    indexes = index_peers(chain(hosts_of(_puts(delta)), map(wire_host, have)), own, have)
    added = {host: index for host, index in indexes.items() if host not in have}
    puts = [Write("peers", index_key(index), host) for host, index in added.items()]
    puts += [Write("peer_indexes", host, index_key(index)) for host, index in added.items()]
    for network in delta.put_networks:
        puts.append(Write("networks", network_key(network), pack_network(network, indexes)))
    for endpoint in delta.put_endpoints:
        key = endpoint_key(endpoint.vni, endpoint.ip)
        local = locals_.get(key, NOT_ATTACHED)
        puts.append(Write("endpoints", key, pack_endpoint(endpoint, indexes, local)))
    put = {(write.map, write.key) for write in puts}
    removed = chain(
        (("endpoints", endpoint_key(gone.vni, gone.ip)) for gone in delta.remove_endpoints),
        (("networks", network_key(gone)) for gone in delta.remove_networks),
    )
    gone = dict.fromkeys(row for row in removed if row not in put)
    return puts + [delete for row in gone for delete in _deletes(*row)]


def named_by(delta: Delta, own: bytes) -> set[bytes]:
    """Return the rows' addresses of the hosts that a delta's puts need an index of."""
    return {pack_host(host) for host in (own, *hosts_of(_puts(delta)))}


def _puts(delta: Delta) -> NodeState:
    return NodeState(networks=delta.put_networks, endpoints=delta.put_endpoints)


def changed_by(delta: Delta, state: NodeState) -> NodeState:
    """Return the whole state that `delta` makes of `state`."""
    networks = {network_key(row): row for row in state.networks}
    endpoints = {(row.vni, row.ip): row for row in state.endpoints}
    for gone in delta.remove_networks:
        networks.pop(network_key(gone), None)
    for gone_endpoint in delta.remove_endpoints:
        endpoints.pop((gone_endpoint.vni, gone_endpoint.ip), None)
    networks |= {network_key(row): row for row in delta.put_networks}
    endpoints |= {(row.vni, row.ip): row for row in delta.put_endpoints}
    return NodeState(
        revision=delta.revision,
        host=state.host,
        networks=networks.values(),
        endpoints=endpoints.values(),
        peers=delta.peers if delta.peers_changed else state.peers,
    )


def unpack(have: Mapping[str, Rows], own: bytes, revision: Revision) -> NodeState:
    """Return the state that rows stand for, in a fixed order: what Read answers."""
    hosts = {index: wire_host(host) for host, index in have["peer_indexes"].items()}
    networks = []
    for key, row in sorted(have["networks"].items()):
        length, vni, prefix = NETWORK_KEY.unpack(key)
        gateway, gateway_mac, *bouncers = NETWORK.unpack(row)
        networks.append(
            Network(
                vni=int.from_bytes(vni),
                prefix=prefix,
                prefix_length=length - VNI_BITS,
                gateway=gateway if any(gateway) else b"",
                gateway_mac=gateway_mac if any(gateway_mac) else b"",
                bouncers=[hosts[index_key(index)] for index in bouncers if index],
            )
        )
    endpoints = []
    for key, row in sorted(have["endpoints"].items()):
        vni, ip = ENDPOINT_KEY.unpack(key)
        peer, _ifindex, mac, _flags = ENDPOINT.unpack(row)
        host = hosts[index_key(peer)]
        endpoints.append(Endpoint(vni=int.from_bytes(vni), ip=ip, mac=mac, host=host))
    return NodeState(
        revision=revision,
        host=own,
        networks=networks,
        endpoints=endpoints,
        peers=sorted(hosts.values()),
    )


def index_peers(hosts: Iterable[bytes], own: bytes, have: Rows) -> dict[bytes, int]:
    """Return each host's index, by its 16-byte address: kept from `have`, or the lowest free."""
    kept = {host: int.from_bytes(index, "little") for host, index in have.items()}
    indexes = {pack_host(own): PEER_SELF}
    waiting = []
    for host in dict.fromkeys(pack_host(host) for host in hosts):
        if host in indexes:
            continue
        if kept.get(host, PEER_SELF) != PEER_SELF:
            indexes[host] = kept[host]
        else:
            waiting.append(host)
    taken = set(indexes.values()) | set(kept.values())
    # An index that is given up in this very change is not used again in it: frames on their
    # way through the tables would follow it to the wrong host.
    free = (index for index in range(PEER_SELF + 1, PEERS_MAX) if index not in taken)
    for host in waiting:
        index = next(free, None)
        if index is None:
            raise BadRequest(f"more than {PEERS_MAX - 2} peers")
        indexes[host] = index
    return indexes


def hosts_of(state: NodeState) -> Iterator[bytes]:
    """Yield the underlay addresses that a state lists or names, with repeats."""
    yield from state.peers
    for network in state.networks:
        yield from network.bouncers
    for endpoint in state.endpoints:
        yield endpoint.host


def pack_network(network: Network, indexes: Mapping[bytes, int]) -> bytes:
    """Return the row of a network whose bouncers are all in `indexes`."""
    where = network_text(network)
    if network.gateway and len(network.gateway) != 4:
        raise BadRequest(f"{where}: gateway has {len(network.gateway)} bytes, not 4")
    if network.gateway and len(network.gateway_mac) != 6:
        raise BadRequest(f"{where}: gateway_mac has {len(network.gateway_mac)} bytes, not 6")
    bouncers = [indexes[pack_host(host)] for host in network.bouncers]
    if len(bouncers) > BOUNCERS_MAX:
        raise BadRequest(f"{where}: {len(bouncers)} bouncers, at most {BOUNCERS_MAX}")
    bouncers += [0] * (BOUNCERS_MAX - len(bouncers))
    return NETWORK.pack(network.gateway, network.gateway_mac, *bouncers)


def network_key(network: Network) -> bytes:
    try:
        prefix = IPv4Network((network.prefix, network.prefix_length))
    except ValueError as fault:
        raise BadRequest(f"vni {network.vni}: {fault}: give an IPv4 prefix") from fault
    length = VNI_BITS + prefix.prefixlen
    return NETWORK_KEY.pack(length, pack_vni(network.vni), network.prefix)


def network_text(network: Network) -> str:
    return f"network {text(network.prefix)}/{network.prefix_length} of vni {network.vni}"


def pack_endpoint(endpoint: Endpoint, indexes: Mapping[bytes, int], local: Local) -> bytes:
    """Return the row of an endpoint whose host is in `indexes`."""
    if len(endpoint.mac) != 6:
        raise BadRequest(
            f"vni {endpoint.vni} ip {text(endpoint.ip)}: mac has {len(endpoint.mac)} bytes, not 6"
        )
    peer = indexes[pack_host(endpoint.host)]
    ifindex, flags = local if peer == PEER_SELF else NOT_ATTACHED
    return ENDPOINT.pack(peer, ifindex, endpoint.mac, flags)


def localised(row: bytes, local: Local) -> bytes:
    """Return an endpoint's row as its attachment, if it is this node's, makes it."""
    peer, _ifindex, mac, _flags = ENDPOINT.unpack(row)
    return ENDPOINT.pack(peer, local.ifindex, mac, local.flags) if peer == PEER_SELF else row


def endpoint_key(vni: int, ip: bytes) -> bytes:
    if len(ip) != 4:
        raise BadRequest(f"vni {vni} ip {text(ip)}: endpoints of this release are IPv4")
    return ENDPOINT_KEY.pack(pack_vni(vni), ip)


def pack_vni(vni: int) -> bytes:
    if not 1 <= vni <= VNI_MAX:
        raise BadRequest(f"vni {vni} is outside 1..{VNI_MAX}")
    return vni.to_bytes(4)


def pack_host(host: bytes) -> bytes:
    """Return the row of the peer table: 16 bytes."""
    if len(host) != 4 or not any(host):
        raise BadRequest(f"host {text(host)}: the underlay of this release is IPv4")
    return _MAPPED + host


def wire_host(row: bytes) -> bytes:
    """Return the address on the wire of mizar.proto that a row of the peer table stands for."""
    return row.removeprefix(_MAPPED)


def index_key(index: int) -> bytes:
    return index.to_bytes(_INDEX_BYTES, "little")


def text(address: bytes) -> str:
    """Return an address for a person, whatever bytes came."""
    return str(IPv4Address(address)) if len(address) == 4 else repr(address.hex())
