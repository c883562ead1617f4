"""Wall time, passed in so that a simulation can turn it. Durations come from loop.time()."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    def now_s(self) -> float:
        """Seconds since the epoch."""
        ...


class WallClock:
    def now_s(self) -> float:
        return time.time()


def rfc3339(seconds: float) -> str:
    """Return metav1.Time: `2026-01-02T03:04:05Z`, whole seconds."""
    return _rfc3339(int(seconds))


@lru_cache(16)  # thousands of objects are made in the same second
def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """Return metav1.MicroTime: `2026-01-02T03:04:05.000006Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> float:
    """Return seconds since the epoch. ValueError if `text` is no RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
