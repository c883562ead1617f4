"""Generated from the BPF objects by tools/layout.py; do not edit."""

import struct
from enum import IntEnum

PEER_SELF = 1
PEERS_MAX = 16384
ATTACHMENTS_MAX = 16384
ATTACHMENT_TAP = 1
INTERFACE_MAX = 16
NETWORKS_MAX = 65536
BOUNCERS_MAX = 4
VNI_BITS = 32
ENDPOINTS_MAX = 1048576
GENEVE_PORT = 6081
OVERHEAD_BYTES = 50

NODE = struct.Struct("=4sIII")  # ip, uplink, learned_max, seen_step
PEER = struct.Struct("=16s")  # ip
ATTACHMENT = struct.Struct("=I4s4s6sH16s4x")  # ifindex, vni, ip, mac, flags, interface
NETWORK_KEY = struct.Struct("=I4s4s")  # prefix_length, vni, ip
NETWORK = struct.Struct("=4s6s2xIIII")  # gateway, gateway_mac, bouncers
ENDPOINT_KEY = struct.Struct("=4s4s")  # vni, ip
ENDPOINT = struct.Struct("=II6sH")  # peer, ifindex, mac, flags
LEARNED = struct.Struct("=I4sI4x")  # peer, host, seen
HELD = struct.Struct("=QQI4x")  # epoch, counter, writing


class DropReason(IntEnum):
    DROP_NOT_ATTACHED = 0
    DROP_TRUNCATED = 1
    DROP_PROTOCOL = 2
    DROP_BAD_INNER = 3
    DROP_SPOOFED_MAC = 4
    DROP_SPOOFED_IP = 5
    DROP_BAD_ARP = 6
    DROP_ARP_NO_NETWORK = 7
    DROP_MULTICAST = 8
    DROP_TTL_EXPIRED = 9
    DROP_NO_NETWORK = 10
    DROP_NO_BOUNCER = 11
    DROP_NO_ENDPOINT = 12
    DROP_MISDELIVERED = 13
    DROP_NO_PEER = 14
    DROP_TOO_BIG = 15
    DROP_NESTED_GSO = 16
    DROP_ENCAPSULATION = 17
    DROP_DECAPSULATION = 18
    DROP_UNKNOWN_PEER = 19
    DROP_OUTER_FRAGMENT = 20
    DROP_BAD_GENEVE = 21
    DROP_REASONS = 22


class PathTaken(IntEnum):
    PATH_ARP_ANSWERED = 0
    PATH_SAME_HOST = 1
    PATH_DIRECT = 2
    PATH_TO_BOUNCER = 3
    PATH_DELIVERED = 4
    PATH_BOUNCED = 5
    PATH_RETURNED = 6
    PATHS = 7
