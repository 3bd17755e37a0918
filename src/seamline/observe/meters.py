"""A process's figures: those that are read where they stand when somebody asks, and those that are noted as they come.

What the histories and roles know already is *read*: a reader is a function that gives samples, called at each scrape,
in the scrape's thread; it may cost what a handful of requests cost, whatever the lake holds. Only what nobody keeps,
how long something took and how often it came, is *noted*.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import seamline
from seamline.observe.metrics import METRICS, Metric

log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each one: when a process began is told once

FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


class Figure(NamedTuple):
    """One value of a metric."""

    name: str
    value: float

    labels: Mapping[str, str] = {}
    """Those that the table gives the metric."""


Reads = Callable[[], Iterable[Figure]]


class Meters:
    """The figures of one process. Thread-safe.

    What is noted is registered at once, so that a rate has a beginning; which readers there are changes by `reading`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._readers: dict[str, Reads] = {}
        self._failed: set[str] = set()
        self._noted: dict[str, Any] = {}
        self.registry.register(self)

    @contextmanager
    def reading(self, name: str, reader: Reads) -> Iterator[None]:
        """As long as the block lasts, a scrape asks this reader too."""
        self._readers[name] = reader
        try:
            yield
        finally:
            del self._readers[name]

    def took(self, name: str, seconds: float, **labels: str) -> None:
        """Notes in a histogram how long something took."""
        self._of(name).labels(**labels).observe(seconds)

    def count(self, name: str, **labels: str) -> None:
        """Notes in a counter that something came once more."""
        self._of(name).labels(**labels).inc()

    def describe(self) -> Iterable[Any]:
        """Nothing: what there is differs from scrape to scrape."""
        return []

    def collect(self) -> Iterator[Any]:
        """What the readers say now. One that fails is told by a metric, and the others say theirs all the same."""
        families = {}
        for sample in self._samples():
            metric = METRICS[sample.name]
            if sample.name not in families:
                families[sample.name] = FAMILIES[metric.kind](_base(metric), metric.help, labels=metric.labels)
            families[sample.name].add_metric([sample.labels[label] for label in metric.labels], sample.value)
        yield from families.values()

    def _samples(self) -> Iterator[Figure]:
        yield Figure("seamline_build_info", 1, {"version": seamline.__version__})
        for name, reader in list(self._readers.items()):
            try:
                yield from list(reader())
            except Exception as error:  # noqa: BLE001 - the page must tell the rest, and says that this is missing
                if name not in self._failed:
                    log.warning("figures of %s cannot be read: %s: %s", name, type(error).__name__, error)
                self._failed.add(name)
            else:
                self._failed.discard(name)
            yield Figure("seamline_reader_failed", float(name in self._failed), {"reader": name})

    def _of(self, name: str) -> Any:
        if name not in self._noted:
            self._noted[name] = _instrument(METRICS[name], self.registry)
        return self._noted[name]


def _instrument(metric: Metric, registry: CollectorRegistry) -> Any:
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
    return Counter(_base(metric), metric.help, metric.labels, registry=registry)


def _base(metric: Metric) -> str:
    """The name without the suffix that the client library adds itself."""
    return metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name


METERS = Meters()
"""This process's."""
