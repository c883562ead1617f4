"""How long ago, as kubectl prints it. Source: apimachinery, pkg/util/duration/duration.go."""

from __future__ import annotations

from typing import Any

from ursa.base.clock import parse_rfc3339

UNKNOWN = "<unknown>"
_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3600, 86_400, 365 * 86_400


def age(timestamp: Any, now_s: float) -> str:
    """Return how long `timestamp` (RFC 3339, or None) is past: `5m30s`, `2d`."""
    if not timestamp:
        return UNKNOWN
    return human_duration(now_s - parse_rfc3339(timestamp))


def human_duration(duration_s: float) -> str:
    """Return two units while the smaller one matters, then one."""
    seconds = int(duration_s)
    if seconds < -1:  # a little of clock skew is no news
        return "<invalid>"
    if seconds < 2 * _MINUTE_S:
        return f"{max(seconds, 0)}s"
    if seconds < 10 * _MINUTE_S:
        return _two(seconds, _MINUTE_S, "m", 1, "s")
    if seconds < 3 * _HOUR_S:
        return f"{seconds // _MINUTE_S}m"
    if seconds < 8 * _HOUR_S:
        return _two(seconds, _HOUR_S, "h", _MINUTE_S, "m")
    if seconds < 2 * _DAY_S:
        return f"{seconds // _HOUR_S}h"
    if seconds < 8 * _DAY_S:
        return _two(seconds, _DAY_S, "d", _HOUR_S, "h")
    if seconds < 2 * _YEAR_S:
        return f"{seconds // _DAY_S}d"
    if seconds < 8 * _YEAR_S:
        return _two(seconds, _YEAR_S, "y", _DAY_S, "d")
    return f"{seconds // _YEAR_S}y"


def _two(seconds: int, large_s: int, large: str, small_s: int, small: str) -> str:
    whole, rest = divmod(seconds, large_s)
    rest //= small_s
    return f"{whole}{large}{rest}{small}" if rest else f"{whole}{large}"
