"""Kubernetes quantities: `100m`, `1.5`, `64Mi`, `2e3`.

Source: apimachinery, pkg/api/resource/quantity.go (grammar and rounding: up, to 1/1000).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_GRAMMAR = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?"
)
_SUFFIXES: dict[str | None, Decimal] = {
    None: Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGTPE")},
}


def parse(text: str | int | float) -> Decimal:
    """Return the exact value. ValueError names the text and the grammar."""
    match = _GRAMMAR.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity: use a number with m, k, M, G, Ki, Mi, Gi …")
    number, unit = match.groups()
    if unit is not None and unit[0] in "eE" and unit not in _SUFFIXES:
        return Decimal(number + unit)
    return Decimal(number) * _SUFFIXES[unit]


def millis(text: str | int | float) -> int:
    """Return thousandths, rounded up: cpu `0.5` → 500 millicores."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


def whole(text: str | int | float) -> int:
    """Return units, rounded up: memory `64Mi` → 67108864 bytes."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def format_millicores(millicores: int) -> str:
    """Return the shortest canonical cpu quantity: 500 → `500m`, 2000 → `2`."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def format_bytes(number: int) -> str:
    """Return the canonical binary quantity: 67108864 → `64Mi`."""
    for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        size = int(_SUFFIXES[unit])
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)
