"""
Metrics by way of OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from weakref import WeakKeyDictionary

from .figures import FIGURES, Figure, FiguresObserver, RunFigures, Values, figures_of

try:
    from opentelemetry import metrics
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
except ImportError as _error:
    raise ImportError(
        "conveyor.observers.Metrics needs OpenTelemetry's API; "
        "pip install 'conveyor-streaming[otel]'"
    ) from _error

__all__ = ["Metrics"]


class Metrics(FiguresObserver):
    """
    Export what runs count through OpenTelemetry.

    The instruments are asynchronous: whenever a metric reader collects, in its own thread, the
    counts of the runs that go on are read and added to those of the runs that have ended. Nothing
    is done per item. Names begin with ``conveyor.``; figures of a stage have the
    attribute ``conveyor.task``, and tasks of the same name are one.

    One object can be attached to any number of pipelines. All that are made for one provider share
    their figures, and each run is counted once.

    :param meter_provider: of the instruments; by default OpenTelemetry's global one
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        meter = metrics.get_meter("conveyor", meter_provider=meter_provider)
        place: object = meter_provider
        if meter_provider is None or meter_provider is metrics.get_meter_provider():
            place = _everywhere  # also if the global provider was not set yet for some
        super().__init__(figures_of(_published, place, lambda figures: _publish(figures, meter)))


class _Reading:
    """
    What one pass over all instruments reads.

    A reader asks every instrument once, by a callback each. So one that is asked for the second
    time begins a new pass; the figures are summed up once in each.
    """

    def __init__(self, figures: RunFigures) -> None:
        self._figures = figures
        self._lock = Lock()
        self._asked = {figure.name for figure in FIGURES}
        self._values: dict[str, Values] = {}

    def values(self, name: str) -> Values:
        """
        Return the values of one figure.

        :param name: of the figure
        """
        with self._lock:
            if name in self._asked:
                self._asked.clear()
                self._values = self._figures.read()
            self._asked.add(name)
            return self._values[name]


def _publish(figures: RunFigures, meter: Meter) -> None:
    reading = _Reading(figures)
    for figure in FIGURES:
        create = (
            meter.create_observable_up_down_counter
            if figure.is_level
            else meter.create_observable_counter
        )
        create(
            f"conveyor.{figure.name}",
            [_callback(reading, figure)],
            unit=figure.unit,
            description=figure.description,
        )


def _callback(
    reading: _Reading, figure: Figure
) -> Callable[[CallbackOptions], Iterator[Observation]]:
    names = [f"conveyor.{label}" for label in figure.labels]

    def observe(options: CallbackOptions) -> Iterator[Observation]:
        for labels, value in reading.values(figure.name).items():
            yield Observation(value, dict(zip(names, labels, strict=True)))

    return observe


class _Everywhere:
    """Stands for the global provider, whichever that will be."""


_everywhere = _Everywhere()
_published: WeakKeyDictionary[object, RunFigures] = WeakKeyDictionary()
