"""Volumes' files change all at once."""

from __future__ import annotations

import os

import pytest

from ursa.arktos.agent.atomicdir import DATA, File, publish


def shown(folder) -> dict[str, bytes]:
    """Return what a container sees: every name that is not hidden, links followed."""
    found = {}
    for root, _, names in os.walk(folder, followlinks=True):
        relative = os.path.relpath(root, folder)
        if relative.startswith(".."):
            continue
        for name in names:
            path = os.path.normpath(os.path.join(relative, name))
            found[path] = (folder / path).read_bytes()
    return found


def test_a_set_of_files_replaces_the_one_before_and_leaves_nothing_of_it(tmp_path):
    assert publish(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)})
    first = os.readlink(tmp_path / DATA)
    assert shown(tmp_path) == {"a": b"1", "d/b": b"2"}
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o400
    assert publish(tmp_path, {"a": File(b"3", 0o644)})
    assert shown(tmp_path) == {"a": b"3"}
    assert not (tmp_path / first).exists()


def test_the_same_files_are_not_written_again(tmp_path):
    files = {"a": File(b"1", 0o644)}
    assert publish(tmp_path, files)
    before = os.readlink(tmp_path / DATA)
    assert not publish(tmp_path, files)
    assert os.readlink(tmp_path / DATA) == before


def test_a_half_written_set_of_a_killed_agent_does_no_harm(tmp_path):
    publish(tmp_path, {"a": File(b"1", 0o644)})
    (tmp_path / "..half").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..half")
    assert publish(tmp_path, {"a": File(b"2", 0o644)})
    assert shown(tmp_path) == {"a": b"2"}


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..x", ""])
def test_a_path_that_leads_out_is_refused(tmp_path, path):
    with pytest.raises(ValueError, match="would leave its volume"):
        publish(tmp_path, {path: File(b"", 0o644)})


def test_a_group_may_read_what_is_published_for_it(tmp_path):
    publish(tmp_path, {"a": File(b"1", 0o600)}, gid=os.getgid())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
