"""What every kind of maps does: the kernel's and the simulation's."""

import pytest

from ursa.mizar.daemon.apply import MAPS, Write, index_key
from ursa.mizar.daemon.transit import ATTACHMENTS, HeldState
from ursa.mizar.layout import ATTACHMENT, ENDPOINT, ENDPOINT_KEY

KEY = ENDPOINT_KEY.pack(b"\0\0\0\7", b"\x0a\0\0\1")
OTHER = ENDPOINT_KEY.pack(b"\0\0\0\7", b"\x0a\0\0\2")
ROW = ENDPOINT.pack(1, 5, b"\2\0\0\0\0\1", 0)


async def test_fresh_maps_hold_revision_zero(maps):
    assert await maps.held() == HeldState((0, 0), is_writing=False)
    assert {name: dict(rows) for name, rows in (await maps.read(MAPS)).items()} == {
        name: {} for name in MAPS
    }


async def test_what_is_written_is_read(maps):
    await maps.write([Write("endpoints", KEY, ROW)], (3, 4))
    assert await maps.held() == HeldState((3, 4), is_writing=False)
    assert await maps.read(("endpoints",)) == {"endpoints": {KEY: ROW}}
    assert await maps.get("endpoints", KEY) == ROW


async def test_a_write_without_revision_keeps_the_revision(maps):
    await maps.write([], (3, 4))
    await maps.write([Write("endpoints", KEY, ROW)], None)
    assert await maps.held() == HeldState((3, 4), is_writing=False)


async def test_writes_are_done_in_order(maps):
    await maps.write(
        [
            Write("endpoints", KEY, ROW),
            Write("endpoints", KEY, None),
            Write("endpoints", OTHER, ROW),
        ],
        (1, 1),
    )
    assert await maps.read(("endpoints",)) == {"endpoints": {OTHER: ROW}}


@pytest.mark.parametrize("name", ["endpoints", "learned"])
async def test_deleting_what_is_not_there_is_no_fault_and_stops_nothing(maps, name):
    await maps.write([Write("endpoints", OTHER, ROW)], None)
    await maps.write([Write(name, KEY, None), Write("endpoints", OTHER, None)], None)
    assert await maps.get("endpoints", OTHER) is None


async def test_a_deleted_row_of_an_array_is_not_read(maps):
    row = ATTACHMENT.pack(9, b"\0\0\0\7", b"\x0a\0\0\1", bytes(6), 0, b"veth")
    await maps.write([Write(ATTACHMENTS, index_key(9), row)], None)
    assert await maps.read((ATTACHMENTS,)) == {ATTACHMENTS: {index_key(9): row}}
    await maps.write([Write(ATTACHMENTS, index_key(9), None)], None)
    assert await maps.read((ATTACHMENTS,)) == {ATTACHMENTS: {}}


async def test_more_rows_than_one_batch_are_written_read_and_deleted(maps):
    keys = [ENDPOINT_KEY.pack(b"\0\0\0\7", number.to_bytes(4)) for number in range(10_000)]
    await maps.write([Write("endpoints", key, ROW) for key in keys], (1, 1))
    assert (await maps.read(("endpoints",)))["endpoints"] == dict.fromkeys(keys, ROW)
    await maps.write([Write("endpoints", key, None) for key in keys[::2]], (1, 2))
    assert (await maps.read(("endpoints",)))["endpoints"] == dict.fromkeys(keys[1::2], ROW)


async def test_every_drop_reason_has_a_count(maps):
    counts = await maps.drops()
    assert counts["spoofed_ip"] == 0
    assert "reasons" not in counts
