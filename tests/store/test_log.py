"""The log's decisions, without an engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.store.log import ABSENT, Compacted, Log, Record, Stale, Write


def written(*pairs: tuple[str, bytes | None]) -> Log:
    log = Log()
    for key, value in pairs:
        log.stage([Write(key, value)], {})
        log.settle(1)
    return log


def test_a_staged_write_is_unseen_but_compared_with():
    log = Log()
    log.stage([Write("a", b"1")], {"a": ABSENT})
    assert log.range("") == []
    with pytest.raises(Stale):
        log.stage([Write("a", b"2")], {"a": ABSENT})
    log.stage([Write("a", b"2")], {"a": 1})
    assert [event.revision for event in log.settle(2)] == [1, 2]
    assert log.range("") == [Record("a", b"2", 2)]


def test_abandoned_writes_leave_their_revisions_to_the_next():
    log = written(("a", b"1"))
    log.stage([Write("a", b"2"), Write("b", b"2")], {})
    log.abandon()
    assert log.newest("a") == Record("a", b"1", 1)
    assert log.stage([Write("c", b"3")], {})[0][0] == 2


def test_an_event_carries_what_was_there_before():
    log = written(("a", b"1"), ("a", b"2"), ("a", None))
    assert [event.previous and event.previous.value for event in log.events(0)] == [
        None,
        b"1",
        b"2",
    ]


def test_compaction_names_exactly_the_rows_that_no_state_needs():
    log = written(("a", b"1"), ("b", b"1"), ("a", b"2"), ("b", None), ("a", b"3"))
    assert sorted(log.compact(4)) == [1, 2, 4]
    with pytest.raises(Compacted):
        log.events(3)
    assert log.range("", 4) == [Record("a", b"2", 3)]


keys = st.sampled_from(["t1/x", "t1/y", "t2/x"])
histories = st.lists(st.tuples(keys, st.one_of(st.none(), st.binary(max_size=4))), max_size=30)


@given(histories)
def test_every_kept_revision_reads_as_it_was(history):
    log, states = Log(), [[]]
    for key, value in history:
        log.stage([Write(key, value)], {})
        log.settle(1)
        states.append(log.range(""))
    for revision, state in enumerate(states):
        assert log.range("", revision) == state
        assert log.range("t1/", revision) == [r for r in state if r.key.startswith("t1/")]


@given(histories, st.integers(0, 30))
def test_what_is_replayed_after_compaction_is_what_was_there(history, at):
    log, rows = Log(), {}
    for key, value in history:
        ((revision, write),) = log.stage([Write(key, value)], {})
        rows[revision] = write
        log.settle(1)
    for revision in log.compact(min(at, log.revision)):
        del rows[revision]
    again = Log(log.compacted)
    assert [again.replay(revision, rows[revision]) for revision in sorted(rows)].count(0) == len(
        rows
    )
    assert again.range("") == log.range("")
    assert list(again.events(log.compacted)) == list(log.events(log.compacted))
    assert again.revision == log.revision


def test_the_history_is_bounded_by_number_and_by_size():
    log = written(*(("a", b"x" * 100) for _ in range(10)))
    assert log.oldest_to_keep(4, 1 << 20) == 6
    assert log.oldest_to_keep(100, 3 * 400) == 7
    assert log.oldest_to_keep(100, 1 << 20) == 0
