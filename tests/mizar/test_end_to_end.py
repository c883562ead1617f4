"""Three hosts in namespaces, real pods, real traffic, real daemons."""

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import grpc
import pytest

from hosts import POD_MTU, Cloud, Pod, cloud, eventually, lost_in
from packets import arp_reply
from tap_guest import tap_guest
from ursa.proto.mizar_pb2 import DetachRequest, ListAttachmentsRequest, ReadRequest

pytestmark = [pytest.mark.root, pytest.mark.e2e]

VPCS = iter(range(7, 250))  # of its own for each test: hosts remember what they learned


@pytest.fixture(scope="module")
def all_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("hosts")) as made:
        yield made


@pytest.fixture
def three_hosts(all_hosts: Cloud) -> Iterator[Cloud]:
    with all_hosts.fresh():
        yield all_hosts


@pytest.fixture
def red() -> int:
    return next(VPCS)


@pytest.fixture
def pair(three_hosts: Cloud, red: int) -> tuple[Pod, Pod]:
    """Two pods of one VPC on two hosts; the third host is the bouncer."""
    first, second, _ = three_hosts.hosts
    pods = (
        three_hosts.add_pod(first, red, "10.0.0.4"),
        three_hosts.add_pod(second, red, "10.0.0.5"),
    )
    three_hosts.settle()
    return pods


def transfer(server: Pod, client: Pod, size_bytes: int) -> None:
    """Send random bytes over TCP; AssertionError unless the same arrive."""
    data = os.urandom(1 << 20) * (size_bytes >> 20)
    listener = server.run(lambda: socket.create_server((server.address, 0)))
    got = hashlib.sha256()

    def receive() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            while chunk := connection.recv(1 << 16):
                got.update(chunk)

    thread = threading.Thread(target=receive)
    thread.start()
    port = listener.getsockname()[1]
    with client.run(lambda: socket.create_connection((server.address, port), 10)) as connection:
        connection.sendall(data)
    thread.join(30)
    listener.close()
    assert got.hexdigest() == hashlib.sha256(data).hexdigest()


def test_the_first_packet_goes_by_the_bouncer_the_others_directly(
    three_hosts: Cloud, pair: tuple[Pod, Pod]
) -> None:
    a, b = pair
    assert a.lost(b.address, 20) == 0
    paths = a.host.paths()
    assert paths["to_bouncer"] == 1
    assert paths["direct"] == 19
    assert three_hosts.bouncer.paths()["bounced"] == 1
    assert b.host.paths()["to_bouncer"] == 0


def test_tcp_crosses_hosts_whole_and_in_super_frames(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    size_bytes = 64 << 20
    transfer(b, a, size_bytes)
    frames = b.host.paths()["delivered"]
    assert frames < size_bytes / POD_MTU / 4  # one by one it would be more than 44,000


def test_full_sized_datagrams_cross_an_underlay_that_just_fits(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    a.sh(f"ping -n -q -c 2 -W 2 -M do -s {POD_MTU - 28} {b.address}")


def test_vpcs_with_the_same_addresses_do_not_meet(three_hosts: Cloud) -> None:
    first, second, _ = three_hosts.hosts
    red_vpc, blue_vpc = next(VPCS), next(VPCS)
    red = [
        three_hosts.add_pod(first, red_vpc, "10.0.0.4"),
        three_hosts.add_pod(second, red_vpc, "10.0.0.5"),
    ]
    blue = [
        three_hosts.add_pod(first, blue_vpc, "10.0.0.4"),
        three_hosts.add_pod(second, blue_vpc, "10.0.0.5"),
    ]
    alone = three_hosts.add_pod(first, blue_vpc, "10.0.0.6")
    three_hosts.settle()
    for mine, others in ((red, blue), (blue, red)):
        before = received(others[1])
        assert mine[0].lost(mine[1].address) == 0
        transfer(mine[1], mine[0], 1 << 20)
        assert received(others[1]) == before
    assert red[0].lost(alone.address, 2) == 2
    assert three_hosts.bouncer.drops() == {"no_endpoint": 2}


def received(pod: Pod) -> int:
    return int(pod.sh("cat /proc/net/dev").split("eth0:")[1].split()[1])


def test_neighbours_on_one_host_do_not_use_the_underlay(three_hosts: Cloud, red: int) -> None:
    host = three_hosts.hosts[0]
    a, b = (three_hosts.add_pod(host, red, address) for address in ("10.0.0.4", "10.0.0.5"))
    three_hosts.settle()
    assert a.lost(b.address) == 0
    transfer(b, a, 8 << 20)
    paths = host.paths()
    assert paths["direct"] == paths["to_bouncer"] == paths["delivered"] == 0
    assert paths["same_host"] > 6


def test_subnets_of_a_vpc_meet_through_their_gateways(three_hosts: Cloud, red: int) -> None:
    first, second, _ = three_hosts.hosts
    a = three_hosts.add_pod(first, red, "10.0.0.4", gateway="10.0.0.1")
    b = three_hosts.add_pod(second, red, "10.0.1.5", gateway="10.0.1.1")
    three_hosts.settle()
    assert "ttl=63" in a.sh(f"ping -n -c 1 -W 2 {b.address}")
    transfer(b, a, 4 << 20)


def test_a_pod_that_speaks_in_anothers_name_is_not_heard(
    three_hosts: Cloud, pair: tuple[Pod, Pod]
) -> None:
    a, b = pair
    assert a.lost(b.address) == 0
    a.sh("ip address add 10.0.0.99/24 dev eth0")
    done = subprocess.run(
        ["nsenter", f"--net={a.path}", *f"ping -n -q -c 2 -W 1 -I 10.0.0.99 {b.address}".split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert lost_in(done.stdout) == 2
    assert a.host.drops()["spoofed_ip"] >= 2


def test_killing_and_restarting_the_daemon_loses_no_packet(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    before = a.host.stub.Read(ReadRequest())
    ping = a.start(f"ping -n -q -i 0.002 -c 2000 {b.address}")
    for host in (a.host, b.host):
        eventually(lambda h=host: h.paths()["delivered"] > 50, "traffic")
        host.kill_daemon()
    late = a.host.paths()["delivered"] + 200
    eventually(lambda: a.host.paths()["delivered"] > late, "traffic without daemons")
    for host in (a.host, b.host):
        host.start_daemon()
    assert lost_in(ping.communicate()[0]) == 0
    assert a.host.stub.Read(ReadRequest()) == before
    listed = a.host.stub.ListAttachments(ListAttachmentsRequest()).attachments
    assert [row.interface for row in listed] == [a.interface]


def test_an_interface_that_went_while_the_daemon_was_dead_is_forgotten(
    pair: tuple[Pod, Pod],
) -> None:
    a, _ = pair
    a.host.kill_daemon()
    a.sh("ip link delete eth0")
    a.host.start_daemon()
    assert not a.host.stub.ListAttachments(ListAttachmentsRequest()).attachments


def test_an_endpoint_that_moves_is_reached_though_its_peer_was_not_told(
    three_hosts: Cloud, pair: tuple[Pod, Pod]
) -> None:
    a, b = pair
    assert a.lost(b.address) == 0
    b.host.stub.Detach(DetachRequest(interface=b.interface))
    b.sh("ip link delete eth0")
    three_hosts.pods.remove(b)
    moved = three_hosts.add_pod(three_hosts.bouncer, b.vni, b.address)
    for host in three_hosts.hosts[1:]:  # not a's
        host.apply(three_hosts.state(host))
    moved.attach()
    assert a.lost(moved.address) == 0
    assert b.host.paths()["returned"] == 1


def test_detached_pods_send_and_receive_nothing(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    assert a.lost(b.address) == 0
    b.host.stub.Detach(DetachRequest(interface=b.interface))
    assert a.lost(b.address, 2) == 2
    assert b.host.drops()["not_attached"] >= 2


def test_udp_gso_arrives_whole(pair: tuple[Pod, Pod]) -> None:
    """QUIC's way of sending: lost silently in the tunnel unless the pod's offload is off."""
    a, b = pair
    datagrams, size_bytes, sends = 20, 1200, 50
    with (
        b.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver,
        a.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        receiver.bind((b.address, 0))
        receiver.settimeout(5)
        sender.setsockopt(socket.IPPROTO_UDP, 103, size_bytes)  # UDP_SEGMENT
        sender.connect(receiver.getsockname())
        for _ in range(sends):
            sender.send(bytes(datagrams * size_bytes))
        for _ in range(sends * datagrams):
            assert len(receiver.recv(2000)) == size_bytes


def test_a_pods_own_tunnel_is_carried(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    for pod, other, inner in ((a, b, "172.31.0.1"), (b, a, "172.31.0.2")):
        pod.sh(f"ip link add vx0 mtu 1400 type vxlan id 1 remote {other.address} dstport 4789")
        pod.sh(f"ip address add {inner}/24 dev vx0")
        pod.sh("ip link set vx0 up")
    assert a.lost("172.31.0.2") == 0
    nested = Pod(b.name, b.host, b.vni, "172.31.0.2", b.mac, b.interface)
    transfer(nested, a, 8 << 20)
    assert a.host.drops().keys().isdisjoint({"nested_gso", "encapsulation"})


@pytest.mark.parametrize("host", [0, 1], ids=["same host", "another host"])
def test_a_guest_behind_a_tap_is_an_endpoint_like_another(
    three_hosts: Cloud, red: int, host: int
) -> None:
    a = three_hosts.add_pod(three_hosts.hosts[0], red, "10.0.0.4")
    space = three_hosts.hosts[host]
    vm = Pod(space.name, space, red, "10.0.0.9", "02:00:00:00:00:99", "tap0")
    three_hosts.pods.append(vm)
    with tap_guest(space, vm.interface, vm.address, vm.mac) as guest:
        for each in three_hosts.hosts:
            each.apply(three_hosts.state(each))
        a.attach()
        vm.attach(tap=True)
        assert a.lost(vm.address, 5) == 0
        guest.ask_for("10.0.0.1")
        answer = arp_reply("02:00:00:00:ff:01", "10.0.0.1", vm.mac, vm.address)
        eventually(lambda: answer in guest.frames, "an answer to the guest's ARP request")


def test_an_underlay_too_small_is_refused_with_the_reason(tmp_path, red: int) -> None:
    with cloud(tmp_path, hosts=1, underlay_mtu=1500) as small:
        small.add_pod(small.hosts[0], red, "10.0.0.4")
        with pytest.raises(grpc.RpcError, match="raise the underlay's MTU to 1550") as refused:
            small.settle()
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_a_state_that_makes_no_sense_is_refused_with_the_reason(three_hosts: Cloud) -> None:
    host = three_hosts.hosts[0]
    state = three_hosts.state(host)
    state.host = b"1"
    with pytest.raises(grpc.RpcError, match=r"this is 192\.0\.2\.1") as refused:
        host.apply(state)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
