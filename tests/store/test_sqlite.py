"""What only a disk can show: durability, restarts, failures."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from ursa.store.engine import StoreError
from ursa.store.log import Write
from ursa.store.sqlite import SqliteStore

WRITER = """
import asyncio, sys
from pathlib import Path
from ursa.store.log import Write
from ursa.store.sqlite import SqliteStore

async def write(store, number):
    for i in range(100_000):
        revision = await store.commit([Write(f"t/{number}/{i}", b"x" * 500)], {})
        sys.stdout.buffer.write(b"%d t/%d/%d\\n" % (revision, number, i))
        sys.stdout.buffer.flush()

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(store, number) for number in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 50, 400])
async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path, acknowledged):
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    lines = [await writer.stdout.readline() for _ in range(acknowledged)]
    os.kill(writer.pid, signal.SIGKILL)
    lines += (await writer.stdout.read()).splitlines(keepends=True)
    await writer.wait()
    promised = dict(line.decode().split()[::-1] for line in lines if line.endswith(b"\n"))

    store = await SqliteStore.open(tmp_path)
    held = {record.key: record.revision for record in store.range("")}
    await store.close()
    assert len(promised) >= acknowledged
    assert {key: held.get(key) for key in promised} == {k: int(r) for k, r in promised.items()}
    assert sorted(held.values()) == list(range(1, len(held) + 1)), "no hole, no half batch"


async def test_a_reopened_store_has_its_state_its_history_and_its_revisions(tmp_path):
    store = await SqliteStore.open(tmp_path)
    for i in range(6):
        await store.commit([Write(f"t/{i % 2}", b"%d" % i)], {})
    await store.commit([Write("t/0", None)], {})
    await store.compact(3)
    before = store.range(""), store.revision, store.compacted
    await store.close()

    again = await SqliteStore.open(tmp_path)
    told = []
    again.watch("", 3, told.extend)
    assert (again.range(""), again.revision, again.compacted) == before
    assert [(e.revision, e.previous.revision) for e in told] == [(4, 2), (5, 3), (6, 4), (7, 5)]
    assert await again.commit([Write("t/9", b"")], {}) == 8
    await again.close()


async def test_dead_rows_leave_the_file_and_the_revision_never_goes_back(tmp_path):
    store = await SqliteStore.open(tmp_path)
    for _ in range(40):
        await store.commit([Write("t/a", b"x")], {})
    await store.commit([Write("t/a", None)], {})
    await store.compact(41)
    await store.close()
    with sqlite3.connect(tmp_path / "log.db") as database:
        assert database.execute("SELECT count(*) FROM log").fetchone() == (0,)
    database.close()
    again = await SqliteStore.open(tmp_path)
    assert (again.revision, again.range("")) == (41, [])
    await again.close()


async def test_a_second_process_is_refused(tmp_path):
    store = await SqliteStore.open(tmp_path)
    with pytest.raises(StoreError, match="in use"):
        await SqliteStore.open(tmp_path)
    await store.close()


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "ursa-store", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.root
async def test_a_full_disk_fails_all_that_waits_and_the_store_goes_on_after(small_disk):
    """The failing batch takes along what was staged on top of it, and nothing else."""
    store = await SqliteStore.open(small_disk)
    held = await store.commit([Write("t/a", b"1")], {})
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(1 << 20))
    outcomes = await asyncio.gather(
        *(store.commit([Write(f"t/{i}", bytes(9000))], {}) for i in range(5)),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, StoreError) for outcome in outcomes)
    assert [r.key for r in store.range("")] == ["t/a"]
    ballast.unlink()
    assert await store.commit([Write("t/a", b"3")], {"t/a": held}) == held + 1
    await store.close()
