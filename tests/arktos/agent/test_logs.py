"""Reading, tailing, following and rotating logs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_node import until
from ursa.arktos.agent import logs
from ursa.arktos.agent.logs import Options, read

STAMP = "2026-01-02T03:04:05.123456789Z"


def line(text: str, tag: str = "F", stream: str = "stdout", stamp: str = STAMP) -> bytes:
    return f"{stamp} {stream} {tag} {text}\n".encode()


async def ended() -> bool:
    return False


async def text_of(log, **options) -> str:
    return b"".join([c async for c in read(log, Options(**options), ended)]).decode()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "0.log"


async def test_parts_of_a_line_are_joined(log):
    log.write_bytes(line("ab", "P") + line("cd") + line("e"))
    assert await text_of(log) == "abcd\ne\n"
    assert await text_of(log, tail_lines=2) == "abcd\ne\n"
    assert await text_of(log, tail_lines=1) == "e\n"


async def test_a_stream_and_a_time_can_be_asked_for(log):
    log.write_bytes(line("old", stamp="2025-01-01T00:00:00Z") + line("bad", stream="stderr"))
    assert await text_of(log, stream="stderr") == "bad\n"
    assert await text_of(log, since_s=1_760_000_000.0) == "bad\n"
    assert await text_of(log, timestamps=True, tail_lines=1) == f"{STAMP} bad\n"


async def test_a_log_that_is_not_there_is_empty(log):
    assert await text_of(log) == ""
    assert await text_of(log, tail_lines=5) == ""


async def test_rotated_files_are_read_first_and_the_oldest_goes(log):
    for number in range(logs.FILES_MAX + 2):
        log.write_bytes(line(str(number)))
        logs.rotate(log, f"{number:06}")
    log.write_bytes(line("last"))
    assert len(logs.files_of(log)) == logs.FILES_MAX
    assert (await text_of(log)).split() == ["3", "4", "5", "6", "last"]
    assert (await text_of(log, tail_lines=3)).split() == ["5", "6", "last"]
    logs.remove(log)
    assert list(log.parent.iterdir()) == []


async def test_following_goes_on_through_a_rotation_and_ends_with_the_container(log):
    alive = True
    log.write_bytes(line("one"))
    found: list[bytes] = []

    async def is_running() -> bool:
        return alive

    async def follow() -> None:
        async for chunk in read(log, Options(follow=True), is_running):
            found.append(chunk)  # noqa: PERF401  seen while it goes on

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        await until(lambda: found)
        with log.open("ab") as opened:
            opened.write(line("two"))
            logs.rotate(log, "1")
            opened.write(line("three"))  # the runtime has not reopened yet
        log.write_bytes(line("four"))
        await until(lambda: b"four\n" in found)
        alive = False
    assert b"".join(found) == b"one\ntwo\nthree\nfour\n"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3000), max_size=80), st.integers(0, 90))
def test_a_tail_is_the_end_of_the_whole(tmp_path_factory, sizes, wanted):
    log = tmp_path_factory.mktemp("tail") / "0.log"
    texts = [f"{n}:" + "x" * size for n, size in enumerate(sizes)]
    log.write_bytes(b"".join(map(line, texts)))
    tail = asyncio.run(text_of(log, tail_lines=wanted))
    assert tail.splitlines() == texts[len(texts) - min(wanted, len(texts)) :]
