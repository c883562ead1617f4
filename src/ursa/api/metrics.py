"""What the API server counts, in Prometheus' form. Names are Kubernetes' where it has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds; a read takes 50 µs, a durable write 1 ms.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
Sample = Callable[[], Iterator[tuple[str, str, dict[str, str], float]]]


class Metrics:
    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "apiserver_request_total",
            "Requests answered, by what was asked and the status code.",
            ("verb", "resource", "subresource", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Time to an answer; of a watch, to its first byte.",
            ("verb",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}

    def observe(self, labels: Sequence[str], status: int, started_s: float) -> None:
        """Count one answer; labels are verb, resource and subresource."""
        key = (*labels, str(status))
        children = self._children.get(key)
        if children is None:
            children = self._requests.labels(*key), self._seconds.labels(key[0])
            self._children[key] = children
        children[0].inc()
        children[1].observe(self.now_s() - started_s)

    def sample(self, source: Sample) -> None:
        """Add values that are read when asked for: (name, help, labels, value)."""
        self._registry.register(_Sampled(source))

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Sampled:
    def __init__(self, source: Sample) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for name, text, labels, value in self._source():
            if name not in families:
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                families[name] = kind(name, text, labels=list(labels))
            families[name].add_metric(list(labels.values()), value)
        yield from families.values()
