import json

import pytest

from ursa.cli.output import Output, duration, show, table

COLUMNS = {"NAME": lambda row: row[0], "LAST EXIT": lambda row: row[1]}


def test_columns_are_as_wide_as_their_widest_cell():
    assert table(["A", "BB"], [["long", 1], ["x", None]]) == "A      BB\nlong   1\nx      <none>"


def test_json_has_a_key_for_each_column(capsys):
    show([("a", None)], COLUMNS, Output.JSON)
    assert json.loads(capsys.readouterr().out) == [{"name": "a", "last_exit": None}]


def test_names_stand_alone(capsys):
    show([("a", 1), ("b", 2)], COLUMNS, Output.NAME)
    assert capsys.readouterr().out == "a\nb\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (3600, "60m"),
        (4 * 3600 + 300, "4h5m"),
        (9 * 3600, "9h"),
        (86400 * 3, "3d"),
    ],
)
def test_durations_are_worded_as_kubectl_words_them(seconds, text):
    assert duration(seconds) == text
