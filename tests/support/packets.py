"""Build packets byte by byte, with right lengths and checksums."""

from __future__ import annotations

from ipaddress import IPv4Address

ETH_IPV4, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP = 1, 6, 17
GENEVE_PORT = 6081
DONT_FRAGMENT = 0x4000


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    words = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(words[i : i + 2]) for i in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(dst: str, src: str, kind: int = ETH_IPV4) -> bytes:
    return mac(dst) + mac(src) + kind.to_bytes(2)


def ipv4(
    src: str, dst: str, protocol: int, payload: bytes, *, ttl: int = 64, fragment: int = 0
) -> bytes:
    head = bytes([0x45, 0])
    head += (20 + len(payload)).to_bytes(2) + b"\0\0" + fragment.to_bytes(2)
    head += bytes([ttl, protocol])
    tail = ip(src) + ip(dst)
    return head + checksum(head + b"\0\0" + tail).to_bytes(2) + tail + payload


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    """A datagram without checksum."""
    length = 8 + len(payload)
    return b"".join(number.to_bytes(2) for number in (sport, dport, length, 0)) + payload


def tcp(sport: int, dport: int, payload: bytes = b"") -> bytes:
    """A segment of which nothing but its ports is meant to be right."""
    head = sport.to_bytes(2) + dport.to_bytes(2) + bytes(8) + b"\x50\x10\xff\xff" + bytes(4)
    return head + payload


def arp_request(sender_mac: str, sender_ip: str, target_ip: str) -> bytes:
    return (
        eth("ff:ff:ff:ff:ff:ff", sender_mac, ETH_ARP)
        + bytes.fromhex("0001 0800 06 04 0001".replace(" ", ""))
        + (mac(sender_mac) + ip(sender_ip) + bytes(6) + ip(target_ip))
    )


def arp_reply(sender_mac: str, sender_ip: str, target_mac: str, target_ip: str) -> bytes:
    return (
        eth(target_mac, sender_mac, ETH_ARP)
        + bytes.fromhex("0001 0800 06 04 0002".replace(" ", ""))
        + (mac(sender_mac) + ip(sender_ip) + mac(target_mac) + ip(target_ip))
    )


def geneve(vni: int, inner: bytes, *, options: bytes = b"", flags: int = 0) -> bytes:
    """RFC 8926: version 0, an Ethernet frame inside."""
    head = bytes([len(options) // 4, flags]) + (0x6558).to_bytes(2) + vni.to_bytes(3) + b"\0"
    return head + options + inner


def tunnelled(  # noqa: PLR0913 - each is one header field
    src: str,
    dst: str,
    vni: int,
    inner: bytes,
    *,
    sport: int = 0xC000,
    ttl: int = 64,
    port: int = GENEVE_PORT,
    options: bytes = b"",
    flags: int = 0,
    fragment: int = DONT_FRAGMENT,
) -> bytes:
    """The whole outer packet without its Ethernet header."""
    payload = udp(sport, port, geneve(vni, inner, options=options, flags=flags))
    return ipv4(src, dst, UDP, payload, ttl=ttl, fragment=fragment)
