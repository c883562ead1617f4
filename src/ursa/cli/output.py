"""Print rows as a table, as JSON, or as names: data to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")

COLUMN_GAP = "   "  # kubectl's


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    NAME = "name"


def show(
    rows: Sequence[T], columns: Mapping[str, Callable[[T], Any]], output: Output = Output.TABLE
) -> None:
    """Print `rows`; the first column is an object's name."""
    cells = [[value(row) for value in columns.values()] for row in rows]
    match output:
        case Output.JSON:
            keys = [name.lower().replace(" ", "_") for name in columns]
            documents = [dict(zip(keys, line, strict=True)) for line in cells]
            print(json.dumps(documents, indent=2, default=str))
        case Output.NAME:
            for line in cells:
                print(line[0])
        case Output.TABLE:
            print(table(list(columns), cells))


def table(headers: Sequence[str], cells: Sequence[Sequence[Any]]) -> str:
    """Return left-aligned columns as kubectl prints them."""
    lines = [list(headers), *[[_text(cell) for cell in line] for line in cells]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    return "\n".join(
        COLUMN_GAP.join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(cell: Any) -> str:
    if cell is None or cell == "":
        return "<none>"
    return str(cell)


def say(text: str) -> None:
    """Tell a person; never data."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return `45s`, `12m`, `3h5m`, `6d`: the age of a thing as kubectl words it."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h{minutes % 60}m" if hours < 8 and minutes % 60 else f"{hours}h"
    return f"{days}d"
