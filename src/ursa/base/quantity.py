"""Kubernetes quantities: `100m`, `1.5`, `64Mi`, `2e3`.

Source: apimachinery, pkg/api/resource/quantity.go (grammar and rounding: up, to 1/1000).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_GRAMMAR = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?"
)
MAX = Decimal(2**63 - 1)  # Kubernetes caps here; it also bounds what `1e999999` may cost
DECIMAL_UNITS = ("k", "M", "G", "T", "P", "E")
BINARY_UNITS = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_SUFFIXES: dict[str | None, Decimal] = {
    None: Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{unit: Decimal(1000) ** (i + 1) for i, unit in enumerate(DECIMAL_UNITS)},
    **{unit: Decimal(1024) ** (i + 1) for i, unit in enumerate(BINARY_UNITS)},
}


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Decimal:
    """Return the exact value, within ±MAX. ValueError names the text and the grammar."""
    match = _GRAMMAR.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity: use a number with m, k, M, G, Ki, Mi, Gi …")
    number, unit = match.groups()
    if unit is not None and unit[0] in "eE" and unit not in _SUFFIXES:
        value = Decimal(number + unit)
    else:
        value = Decimal(number) * _SUFFIXES[unit]
    return min(max(value, -MAX), MAX)


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
    for unit in reversed(BINARY_UNITS):
        size = int(_SUFFIXES[unit])
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


@lru_cache(maxsize=4096)
def canonical(text: str | int | float) -> str:
    """Return the form that Kubernetes stores: `1000m` → `1`, `0.5` → `500m`, `1024Mi` → `1Gi`.

    The unit's family stays (binary, decimal or exponent), the number is whole, the unit is the
    largest that allows it. ValueError as `parse`.
    """
    value = parse(text)
    unit = _unit(str(text))
    if value == 0:
        return "0"
    if unit.endswith("i") and abs(value) >= 1024:
        return _in_units(value.to_integral_value(ROUND_CEILING), 1024, ["", *BINARY_UNITS])
    smallest = value.scaleb(9).to_integral_value(ROUND_CEILING)
    if unit[:1] in ("e", "E") and unit not in _SUFFIXES:
        return _in_units(
            smallest, 1000, [f"e{power}" if power else "" for power in range(-9, 19, 3)]
        )
    return _in_units(smallest, 1000, ["n", "u", "m", "", *DECIMAL_UNITS])


def _unit(text: str) -> str:
    match = _GRAMMAR.fullmatch(text)
    return (match and match[2]) or ""


def _in_units(number: Decimal, base: int, units: list[str]) -> str:
    whole_number, rank = int(number), 0
    while whole_number % base == 0 and rank < len(units) - 1:
        whole_number, rank = whole_number // base, rank + 1
    return f"{whole_number}{units[rank]}"
