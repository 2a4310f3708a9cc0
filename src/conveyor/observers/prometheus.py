"""
Metrics for Prometheus, by way of its client library.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from .figures import FIGURES, Figure, FiguresObserver, RunFigures, figures_of

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as _error:
    raise ImportError(
        "conveyor.observers.PrometheusMetrics needs prometheus-client; "
        "pip install 'conveyor-streaming[prometheus]'"
    ) from _error

__all__ = ["PrometheusMetrics"]


class PrometheusMetrics(FiguresObserver):
    """
    Show Prometheus what runs count.

    Whenever the registry is scraped, in whatever thread, the counts of the runs that go on are read
    and added to those of the runs that have ended. Nothing is done per item. The figures
    are those of :class:`Metrics`, with names as Prometheus wants them: they begin with
    ``conveyor_``, end in ``_seconds`` if they are times and in ``_total`` if they are counted up,
    and have the label ``task`` if they are about a stage.

    One object can be attached to any number of pipelines. All that are made for one registry share
    their figures, and each run is counted once.

    :param registry: where they are collected; by default the library's global one
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        place = REGISTRY if registry is None else registry
        super().__init__(
            figures_of(_published, place, lambda figures: place.register(_Runs(figures)))
        )


class _Runs(Collector):
    """
    Collects the figures of runs.

    :param figures: where they are summed up
    """

    def __init__(self, figures: RunFigures) -> None:
        self._figures = figures

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the figures without values, so that others of the same names are refused."""
        return map(_family, FIGURES)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the figures with their present values."""
        values = self._figures.read()
        for figure in FIGURES:
            family = _family(figure)
            for labels, value in values[figure.name].items():
                family.add_metric(labels, value)
            yield family


def _family(figure: Figure) -> CounterMetricFamily | GaugeMetricFamily:
    name = "conveyor_" + figure.name.replace(".", "_") + ("_seconds" if figure.unit == "s" else "")
    kind = GaugeMetricFamily if figure.is_level else CounterMetricFamily
    return kind(name, figure.description, labels=figure.labels)


_published: WeakKeyDictionary[CollectorRegistry, RunFigures] = WeakKeyDictionary()
