"""The Python twin of the C types."""

import importlib.util
from pathlib import Path

import pytest

from data_plane import objects
from ursa.mizar import layout

ROOT = Path(__file__).parents[2]


def test_the_committed_layout_is_what_the_programs_say():
    spec = importlib.util.spec_from_file_location("layout_tool", ROOT / "tools/layout.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert Path(layout.__file__).read_text() == tool.render(objects())


@pytest.mark.parametrize(
    ("row", "size_bytes"),
    [(layout.ENDPOINT_KEY, 8), (layout.ENDPOINT, 16), (layout.PEER, 16), (layout.ATTACHMENT, 40)],
)
def test_a_row_has_the_size_that_its_cost_was_measured_with(row, size_bytes):
    assert row.size == size_bytes
