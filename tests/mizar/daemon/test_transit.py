"""The transit daemon's RPC on real and on virtual maps."""

import pytest

from data_plane import FakeLinks
from packets import ip, mac
from ursa.base.errors import BadRequest, Conflict, NotFound
from ursa.mizar.daemon import Transit
from ursa.mizar.daemon.transit import ATTACHMENTS, Interface
from ursa.mizar.layout import ATTACHMENTS_MAX, ENDPOINT
from ursa.proto.mizar_pb2 import (
    Attachment,
    Delta,
    DetachRequest,
    DropsRequest,
    Endpoint,
    ListAttachmentsRequest,
    Network,
    NodeState,
    ReadRequest,
    Revision,
)
from virtual_maps import Crash, VirtualMaps

OWN, THERE = ip("192.0.2.1"), ip("192.0.2.2")
KEY = b"\0\0\0\7" + ip("10.0.0.4")


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks(OWN, {"veth1": Interface(11, 1500), "veth2": Interface(12, 1500)})


@pytest.fixture
def transit(maps, links) -> Transit:
    return Transit(maps, links, {})


def endpoint(address: str, host: bytes = OWN) -> Endpoint:
    return Endpoint(vni=7, ip=ip(address), mac=mac("02:00:00:00:00:01"), host=host)


def state(counter: int, *addresses: str, epoch: int = 1) -> NodeState:
    return NodeState(
        revision=Revision(epoch=epoch, counter=counter),
        host=OWN,
        networks=[Network(vni=7, prefix=ip("10.0.0.0"), prefix_length=24, bouncers=[THERE])],
        endpoints=[endpoint(address) for address in addresses],
        peers=[OWN, THERE],
    )


def delta(base: int, counter: int, **fields) -> Delta:
    return Delta(
        base=Revision(epoch=1, counter=base), revision=Revision(epoch=1, counter=counter), **fields
    )


def attachment(interface: str = "veth1", address: str = "10.0.0.4", **fields) -> Attachment:
    return Attachment(
        interface=interface, vni=7, ip=ip(address), mac=mac("02:00:00:00:00:01"), **fields
    )


async def addresses(transit: Transit) -> list[bytes]:
    return [row.ip for row in (await transit.Read(ReadRequest())).endpoints]


async def test_a_state_that_was_applied_is_read_back(transit):
    wanted = state(1, "10.0.0.4", "10.0.0.5")
    assert (await transit.Apply(wanted)).revision == wanted.revision
    assert await transit.Read(ReadRequest()) == wanted


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1, 2), (3, 3, 1, 3)])
async def test_any_order_with_loss_and_repeats_ends_at_the_newest(transit, order):
    states = {n: state(n, *(f"10.0.0.{i}" for i in range(n, n + 3))) for n in (1, 2, 3)}
    for number in order:
        await transit.Apply(states[number])
    assert await transit.Read(ReadRequest()) == states[3]


async def test_a_greater_epoch_is_newer_whatever_the_counter(transit):
    await transit.Apply(state(9, "10.0.0.9"))
    await transit.Apply(state(1, "10.0.0.4", epoch=2))
    assert await addresses(transit) == [ip("10.0.0.4")]


async def test_a_delta_on_its_base_is_applied_once(transit):
    await transit.Apply(state(1, "10.0.0.4"))
    change = delta(
        1, 2, put_endpoints=[endpoint("10.0.0.5")], remove_endpoints=[endpoint("10.0.0.4")]
    )
    for _ in range(2):
        assert (await transit.Update(change)).revision == change.revision
    assert await addresses(transit) == [ip("10.0.0.5")]


async def test_a_delta_on_another_base_asks_for_a_snapshot(transit):
    await transit.Apply(state(1, "10.0.0.4"))
    with pytest.raises(Conflict, match=r"the maps hold 1\.1, the delta is for 1\.2: send a snap"):
        await transit.Update(delta(2, 3, put_endpoints=[endpoint("10.0.0.5")]))
    assert await addresses(transit) == [ip("10.0.0.4")]


async def test_a_delta_may_bring_a_new_host(transit):
    await transit.Apply(state(1))
    far = ip("192.0.2.9")
    await transit.Update(delta(1, 2, put_endpoints=[endpoint("10.0.0.5", far)]))
    assert (await transit.Read(ReadRequest())).endpoints[0].host == far


async def test_a_delta_that_replaces_the_peers_keeps_those_that_rows_name(transit):
    await transit.Apply(state(1, "10.0.0.4"))
    await transit.Update(delta(1, 2, peers_changed=True, peers=[ip("192.0.2.7")]))
    read = await transit.Read(ReadRequest())
    assert sorted(read.peers) == [OWN, THERE, ip("192.0.2.7")]  # THERE is a bouncer
    assert read.revision.counter == 2


async def test_a_refused_state_changes_nothing(transit):
    before = state(1, "10.0.0.4")
    await transit.Apply(before)
    with pytest.raises(BadRequest):
        await transit.Apply(state(2, "10.0.0.5", "10.0.0.5"))
    assert await transit.Read(ReadRequest()) == before


@pytest.mark.parametrize("rows", range(6))
async def test_a_daemon_that_died_in_the_middle_is_mended_by_a_snapshot(links, rows):
    maps = VirtualMaps()
    await Transit(maps, links, {}).Apply(state(1, "10.0.0.4", "10.0.0.5", "10.0.0.6"))
    maps.crash_after = rows
    change = delta(
        1,
        2,
        put_endpoints=[endpoint("10.0.0.7"), endpoint("10.0.0.8")],
        remove_endpoints=[endpoint("10.0.0.4"), endpoint("10.0.0.5")],
    )
    with pytest.raises(Crash):
        await Transit(maps, links, {}).Update(change)

    next_daemon = Transit(maps, links, {})
    assert (await next_daemon.Read(ReadRequest())).revision == Revision()
    with pytest.raises(Conflict, match="in part"):
        await next_daemon.Update(change)
    await next_daemon.Apply(state(1, "10.0.0.9"))
    assert await next_daemon.Read(ReadRequest()) == state(1, "10.0.0.9")


async def test_attaching_tells_the_endpoint_its_interface_in_either_order(transit, maps, links):
    await transit.Attach(attachment())
    await transit.Apply(state(1, "10.0.0.4", "10.0.0.5"))
    await transit.Attach(attachment("veth2", "10.0.0.5", tap=True))
    rows = (await maps.read(("endpoints",)))["endpoints"]
    found = {
        key[4:]: (ENDPOINT.unpack(row)[1], ENDPOINT.unpack(row)[3]) for key, row in rows.items()
    }
    assert found == {ip("10.0.0.4"): (11, 0), ip("10.0.0.5"): (12, 1)}
    assert links.attached == {11, 12}


async def test_attaching_twice_is_attaching_once(transit, links):
    answers = [await transit.Attach(attachment()) for _ in range(2)]
    assert [answer.ifindex for answer in answers] == [11, 11]
    listed = await transit.ListAttachments(ListAttachmentsRequest())
    assert list(listed.attachments) == [attachment()]


async def test_detaching_leaves_the_endpoint_without_interface(transit, maps, links):
    await transit.Apply(state(1, "10.0.0.4"))
    await transit.Attach(attachment())
    for _ in range(2):
        await transit.Detach(DetachRequest(interface="veth1"))
    row = await maps.get("endpoints", KEY)
    assert ENDPOINT.unpack(row)[1] == 0
    assert (await maps.read((ATTACHMENTS,)))[ATTACHMENTS] == {}
    assert links.attached == set()


async def test_an_interface_made_anew_under_its_name_is_attached_anew(transit, maps, links):
    await transit.Apply(state(1, "10.0.0.4"))
    await transit.Attach(attachment())
    links.interfaces["veth1"] = Interface(21, 1500)
    await transit.Attach(attachment())
    assert ENDPOINT.unpack(await maps.get("endpoints", KEY))[1] == 21
    assert len((await maps.read((ATTACHMENTS,)))[ATTACHMENTS]) == 1


async def test_an_address_is_one_interfaces(transit, links):
    await transit.Attach(attachment())
    with pytest.raises(Conflict, match=r"ip 10\.0\.0\.4 is the address of interface veth1"):
        await transit.Attach(attachment("veth2"))
    del links.interfaces["veth1"]
    await transit.Attach(attachment("veth2"))
    listed = await transit.ListAttachments(ListAttachmentsRequest())
    assert [row.interface for row in listed.attachments] == ["veth2"]


async def test_of_two_interfaces_with_colliding_indexes_the_second_is_refused(transit, links):
    await transit.Attach(attachment())
    links.interfaces["veth2"] = Interface(11 + ATTACHMENTS_MAX, 1500)
    with pytest.raises(Conflict, match="make the interface anew"):
        await transit.Attach(attachment("veth2", "10.0.0.5"))


@pytest.mark.parametrize(
    ("underlay", "asked", "fits"), [(1550, 0, True), (1549, 0, False), (1549, 1499, True)]
)
async def test_an_underlay_too_small_is_refused_with_the_remedy(
    transit, links, underlay, asked, fits
):
    links.mtu_bytes = underlay
    if fits:
        await transit.Attach(attachment(mtu_bytes=asked))
    else:
        with pytest.raises(Conflict, match="raise the underlay's MTU to 1550"):
            await transit.Attach(attachment(mtu_bytes=asked))
        assert links.attached == set()


async def test_an_interface_that_is_not_there_is_not_found(transit):
    with pytest.raises(NotFound, match="interface veth9 is not on this node"):
        await transit.Attach(attachment("veth9"))


@pytest.mark.parametrize(
    "wrong",
    [{"vni": 0}, {"ip": bytes(16)}, {"mac": b""}, {"interface": "x" * 16}, {"interface": ""}],
)
async def test_an_attachment_that_makes_no_sense_is_refused(transit, wrong):
    good = {"interface": "veth1", "vni": 7, "ip": ip("10.0.0.4"), "mac": bytes(6)}
    with pytest.raises(BadRequest):
        await transit.Attach(Attachment(**good | wrong))


async def test_drops_are_told_by_reason(transit):
    assert (await transit.Drops(DropsRequest())).packets["no_endpoint"] == 0
