"""The console as the pod's log: its form, and that a crash loses and doubles no line."""

from pathlib import Path

import pytest

from ursa.arktos.vmruntime.console import LINE_BYTES_MAX, Console, convert

TIME_NS = 1_700_000_000_000_000_001
STAMP = b"2023-11-14T22:13:20.000000001Z stdout "


def console(folder: Path) -> Console:
    return Console(folder / "raw", folder / "logs/0.log", folder / "mark")


def texts(folder: Path) -> list[str]:
    lines = (folder / "logs/0.log").read_text().splitlines()
    return [line.split(" ", 3)[3] for line in lines]


@pytest.mark.parametrize(
    ("said", "final", "lines", "taken"),
    [
        (b"one\r\ntwo\n", False, [b"F one", b"F two"], 9),
        (b"one\nlogin: ", False, [b"F one"], 4),
        (b"one\nlogin: ", True, [b"F one", b"F login: "], 11),
        (b"\x1b[6n# \n", False, [b"F # "], 7),
        (b"", True, [], 0),
        (b"x" * LINE_BYTES_MAX + b"y\n", False, [b"P " + b"x" * LINE_BYTES_MAX, b"F y"], None),
    ],
)
def test_lines_are_tagged_and_cleaned(said, final, lines, taken):
    out, used = convert(said, TIME_NS, final=final)
    assert out == b"".join(STAMP + line + b"\n" for line in lines)
    assert used == (len(said) if taken is None else taken)


def test_a_restart_goes_on_where_it_was(tmp_path):
    (tmp_path / "raw").write_bytes(b"one\ntwo\nthr")
    assert console(tmp_path).pump(TIME_NS)
    with (tmp_path / "raw").open("ab") as raw:
        raw.write(b"ee\n")
    assert console(tmp_path).pump(TIME_NS)
    assert not console(tmp_path).pump(TIME_NS)
    assert texts(tmp_path) == ["one", "two", "three"]


def test_a_crash_after_the_mark_and_before_the_log_loses_no_line(tmp_path, monkeypatch):
    (tmp_path / "raw").write_bytes(b"one\n")
    console(tmp_path).pump(TIME_NS)
    with (tmp_path / "raw").open("ab") as raw:
        raw.write(b"two\n")
    crashing = console(tmp_path)
    monkeypatch.setattr("ursa.arktos.vmruntime.console.os.write", crash)
    with pytest.raises(InterruptedError):
        crashing.pump(TIME_NS)
    monkeypatch.undo()
    console(tmp_path).pump(TIME_NS)
    assert texts(tmp_path) == ["one", "two"]


def crash(*_: object) -> int:
    raise InterruptedError


def test_a_crash_after_the_log_doubles_no_line(tmp_path):
    (tmp_path / "raw").write_bytes(b"one\n")
    console(tmp_path).pump(TIME_NS)  # the mark names the batch before it; nothing else is kept
    console(tmp_path).pump(TIME_NS)
    assert texts(tmp_path) == ["one"]


def test_a_rotated_log_is_written_anew(tmp_path):
    (tmp_path / "raw").write_bytes(b"one\n")
    machine = console(tmp_path)
    machine.pump(TIME_NS)
    (tmp_path / "logs/0.log").rename(tmp_path / "logs/0.log.1")
    machine.reopen()
    with (tmp_path / "raw").open("ab") as raw:
        raw.write(b"two\n")
    machine.pump(TIME_NS)
    assert texts(tmp_path) == ["two"]


def test_what_is_converted_gives_its_disk_space_back(tmp_path):
    size = 4 << 20
    (tmp_path / "raw").write_bytes((b"x" * 1023 + b"\n") * (size // 1024))
    machine = console(tmp_path)
    while machine.pump(TIME_NS):
        continue
    about = (tmp_path / "raw").stat()
    assert about.st_size == size
    assert about.st_blocks * 512 < size // 2


def test_an_unreadable_mark_starts_from_the_beginning(tmp_path):
    (tmp_path / "raw").write_bytes(b"one\n")
    (tmp_path / "mark").write_bytes(b"{")
    console(tmp_path).pump(TIME_NS)
    assert texts(tmp_path) == ["one"]
