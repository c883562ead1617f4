"""What the API server counts, in Prometheus' form. Names are Kubernetes' where it has one.

Requests are counted in plain dicts, 1 µs each, and become samples only when asked for; the
client library's own counters take a lock and three times as long.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds; a read takes 50 µs, a durable write 1 ms.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
Sample = Callable[[], Iterator[tuple[str, str, dict[str, str], float]]]
Labels = tuple[str, str, str]  # verb, resource, subresource


class _Times:
    """How long answers to one verb took."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum_s = 0.0


class Metrics:
    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._requests: dict[tuple[Labels, int], int] = {}
        self._times: dict[str, _Times] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Collected(self._collect))

    def observe(self, labels: Labels, status: int, started_s: float) -> None:
        """Count one answer."""
        key = labels, status
        self._requests[key] = self._requests.get(key, 0) + 1
        times = self._times.get(labels[0])
        if times is None:
            times = self._times[labels[0]] = _Times()
        took_s = self.now_s() - started_s
        times.sum_s += took_s
        times.buckets[bisect_left(BUCKETS, took_s)] += 1

    def sample(self, source: Sample) -> None:
        """Add values that are read when asked for: (name, help, labels, value)."""
        self._registry.register(_Collected(lambda: _families(source)))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _collect(self) -> Iterator[Metric]:
        names = ("verb", "resource", "subresource", "code")
        requests = CounterMetricFamily(
            "apiserver_request", "Requests answered, by what was asked and the code.", labels=names
        )
        for (labels, status), count in self._requests.items():
            requests.add_metric([*labels, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "apiserver_request_duration_seconds",
            "Time to an answer; of a stream, to its first byte.",
            labels=("verb",),
        )
        for verb, times in self._times.items():
            seconds.add_metric([verb], _cumulated(times.buckets), times.sum_s)
        yield seconds


def _cumulated(buckets: list[int]) -> list[tuple[str, int]]:
    total, result = 0, []
    for bound, number in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
        total += number
        result.append((bound, total))
    return result


def _families(source: Sample) -> Iterator[Metric]:
    families: dict[str, Metric] = {}
    for name, text, labels, value in source():
        if name not in families:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            families[name] = kind(name, text, labels=list(labels))
        families[name].add_metric(list(labels.values()), value)
    yield from families.values()


class _Collected:
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self.collect = collect
