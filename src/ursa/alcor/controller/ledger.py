"""Who has which VNI, address and MAC: the allocations of the whole cluster, no I/O.

What is refused is a `Refusal` with words for a condition. Nothing is handed out twice, whatever
the objects say: where two claim one thing, the first to be entered has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ursa.alcor.controller.allocate import VNI_MAX, Pool, choose_mac, choose_vni
from ursa.alcor.controller.world import NetworkKey, PortRow
from ursa.kinds.port import Port
from ursa.kinds.subnet import Subnet
from ursa.kinds.vpc import Vpc

SUBNET_PREFIX_MAX = 30  # two addresses: the gateway's and one


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something cannot be: a condition's reason and message."""

    reason: str
    message: str
    is_final: bool = False  # only another spec would help

    def __str__(self) -> str:
        return self.message


class Ledger:
    def __init__(self) -> None:
        self._vpcs: dict[int, str] = {}  # VNI → uid of the Vpc
        self._vnis: dict[str, int] = {}  # uid of the Vpc → VNI
        self._pools: dict[NetworkKey, Pool] = {}
        self._macs: defaultdict[int, dict[bytes, str]] = defaultdict(dict)  # VNI → MAC → Port

    # VNIs.

    def adopt_vni(self, vni: int, uid: str) -> bool:
        """Enter what a Vpc's status says. False if it is out of range, or another's."""
        if not 1 <= vni <= VNI_MAX or self._vpcs.get(vni, uid) != uid:
            return False
        if self._vnis.setdefault(uid, vni) != vni:
            return False
        self._vpcs[vni] = uid
        return True

    def allocate_vni(self, uid: str, in_use: Container[int]) -> int | Refusal:
        """Return the Vpc's VNI; if it has none, one that no Vpc has, nor anything in `in_use`."""
        if (held := self._vnis.get(uid)) is not None:
            return held
        vni = choose_vni(uid, _Either(self._vpcs, in_use))
        if vni is None:
            return Refusal("NoVni", "all 2^24-1 network ids are in use: delete a VPC")
        self._vpcs[vni], self._vnis[uid] = uid, vni
        return vni

    def release_vni(self, uid: str) -> None:
        if (vni := self._vnis.pop(uid, None)) is not None:
            del self._vpcs[vni]

    # Addresses.

    def open(self, key: NetworkKey, gateway: IPv4Address) -> None:
        if key not in self._pools:
            self._pools[key] = Pool(key.cidr, gateway)

    def close(self, key: NetworkKey) -> bool:
        """Forget a network. False if addresses of it are in use."""
        if self.used(key):
            return False
        self._pools.pop(key, None)
        return True

    def used(self, key: NetworkKey) -> int:
        pool = self._pools.get(key)
        return len(pool) if pool is not None else 0

    def adopt(self, row: PortRow) -> bool:
        """Enter what a Port's status says. False if another port has its address or MAC."""
        pool = self._pools[row.network]
        macs = self._macs[row.key.vni]
        if macs.get(row.mac, row.uid) != row.uid or not pool.take(row.key.ip, row.uid):
            return False
        macs[row.mac] = row.uid
        return True

    def allocate(self, port: Port, key: NetworkKey) -> tuple[IPv4Address, bytes] | Refusal:
        """Return (address, MAC) in a network, as asked for or the lowest free one."""
        uid, macs = port.metadata.uid, self._macs[key.vni]
        wanted_mac = _mac(port.spec.mac)
        if isinstance(wanted_mac, Refusal):
            return wanted_mac
        if wanted_mac is not None and macs.get(wanted_mac, uid) != uid:
            return Refusal("MacInUse", f"another port of the VPC has MAC {port.spec.mac}", True)
        ip = self._take(port, self._pools[key])
        if isinstance(ip, Refusal):
            return ip
        mac = wanted_mac or choose_mac(key.vni, ip, macs)
        macs[mac] = uid
        return ip, mac

    def _take(self, port: Port, pool: Pool) -> IPv4Address | Refusal:
        uid, text = port.metadata.uid, port.spec.ip
        if not text:
            lowest = pool.take_lowest(uid)
            full = f"subnet {pool.cidr} has no free address: add a subnet, or delete ports"
            return lowest if lowest is not None else Refusal("SubnetFull", full)
        try:
            ip = IPv4Address(text)
        except ValueError as fault:
            return Refusal("InvalidIP", f"spec.ip: {fault}", True)
        if not pool.is_usable(ip):
            message = f"spec.ip {ip} is no usable address of subnet {pool.cidr}"
            return Refusal("InvalidIP", message, True)
        if not pool.take(ip, uid):
            return Refusal("IPInUse", f"another port of subnet {pool.cidr} has {ip}", True)
        return ip

    def release(self, row: PortRow) -> None:
        """Give back a port's address and MAC."""
        if (pool := self._pools.get(row.network)) is not None:
            pool.release(row.key.ip, row.uid)
        macs = self._macs[row.key.vni]
        if macs.get(row.mac) == row.uid:
            del macs[row.mac]
        if not macs:
            del self._macs[row.key.vni]


@dataclass(frozen=True, slots=True)
class _Either:
    one: Container[int]
    other: Container[int]

    def __contains__(self, vni: object) -> bool:
        return vni in self.one or vni in self.other


def _mac(text: str) -> bytes | Refusal | None:
    if not text:
        return None
    try:
        mac = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        mac = b""
    if len(mac) != 6 or mac[0] & 1 or not any(mac):
        return Refusal("InvalidMAC", f"spec.mac {text!r} is no unicast MAC address", True)
    return mac


def vpc_fault(vpc: Vpc) -> Refusal | None:
    cidr = _cidr(vpc.spec.cidr)
    return cidr if isinstance(cidr, Refusal) else None


def network_of(subnet: Subnet, vni: int) -> tuple[NetworkKey, IPv4Address] | Refusal:
    """Return a subnet's network and gateway, taken by itself."""
    cidr = _cidr(subnet.spec.cidr)
    if isinstance(cidr, Refusal):
        return cidr
    if cidr.prefixlen > SUBNET_PREFIX_MAX:
        message = f"spec.cidr: prefix length {cidr.prefixlen} is over {SUBNET_PREFIX_MAX}"
        return Refusal("InvalidCIDR", message, True)
    try:
        gateway = IPv4Address(subnet.spec.gateway or cidr.network_address + 1)
    except ValueError as fault:
        return Refusal("InvalidGateway", f"spec.gateway: {fault}", True)
    if gateway not in cidr or gateway in (cidr.network_address, cidr.broadcast_address):
        message = f"spec.gateway {gateway} is no usable address of {cidr}"
        return Refusal("InvalidGateway", message, True)
    return NetworkKey(vni, cidr), gateway


def subnet_fault(subnet: Subnet, vpc: Vpc, siblings: list[Subnet]) -> Refusal | None:
    """Return why a well-formed subnet does not fit into its VPC beside its elders."""
    cidr, vpc_cidr = IPv4Network(subnet.spec.cidr), IPv4Network(vpc.spec.cidr)
    if not cidr.subnet_of(vpc_cidr):
        message = f"spec.cidr {cidr} is not inside {vpc_cidr} of VPC {vpc.metadata.name}"
        return Refusal("OutsideVpc", message, True)
    for sibling in siblings:
        other = _cidr(sibling.spec.cidr)
        if isinstance(other, Refusal) or _rank(sibling) >= _rank(subnet):
            continue
        if cidr.overlaps(other):
            message = f"spec.cidr {cidr} overlaps {other} of subnet {sibling.metadata.name}"
            return Refusal("Overlap", message, True)
    return None


def _rank(subnet: Subnet) -> tuple[bool, str, str]:
    """Of two subnets that overlap the lower rank stays: a Ready one, then the elder."""
    metadata = subnet.metadata
    return subnet.status.phase != "Ready", metadata.creation_timestamp or "", metadata.uid


def _cidr(text: str) -> IPv4Network | Refusal:
    try:
        return IPv4Network(text)
    except ValueError as fault:
        return Refusal("InvalidCIDR", f"spec.cidr: {fault}", True)
