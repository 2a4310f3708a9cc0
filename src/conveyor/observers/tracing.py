"""
Traces: a span for each run and, if asked for, for some of its calls.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from contextvars import Token
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary
from zlib import crc32

from ..observing import CallInfo, Observer, RetryInfo, RunInfo

try:
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TracerProvider
except ImportError as _error:
    raise ImportError(
        "conveyor.observers.Tracing needs OpenTelemetry's API; "
        "pip install 'conveyor-streaming[otel]'"
    ) from _error

if TYPE_CHECKING:
    from ..report import RunReport

__all__ = ["Tracing"]

MOST_LINKABLE = 4096
"""Calls per run whose spans are remembered, to be linked to; of more, the oldest are forgotten."""

_STEP, _RANGE = 0x9E3779B1, 1 << 32
# Multiples of the golden ratio, in units of 2**-32 and without what is before the point, are spread
# as evenly as may be, however far one counts, and have no period that the items could share.


class Tracing(Observer):
    """
    Give each run a span, and some of its calls, through OpenTelemetry.

    The span of a run is a child of the one that was current where the stream was consumed. It is
    current in all that the run calls, so that the spans which functions make are its children. It
    tells what was counted and how the run ended; if that was a failure, its status is an error.

    With *sample_calls*, calls have spans of their own, children of the run's, and it is these that
    are current in their functions. They are chosen by item: either all calls with an item have a
    span or none has; a batch has one if any of its items has. Each is *linked* to the spans of its
    items' calls in the stage before. Retries are events on it. What comes out of a batch counts as
    its first item. If the run's span is not recorded, neither are any of these.

    Errors are recorded by their types; no span has an item's value or an error's message.

    :param tracer_provider: makes the spans; by default OpenTelemetry's global one
    :param name: of the runs' spans; by default the names of the tasks
    :param sample_calls: fraction of the items whose calls have spans, from 0 to 1
    :raises TypeError: if a setting is of the wrong type
    :raises ValueError: if *sample_calls* is out of its range
    """

    timings = False

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        name: str | None = None,
        sample_calls: float = 0.0,
    ) -> None:
        _check_name(name)
        _check_share(sample_calls)
        self._tracer = trace.get_tracer("conveyor", tracer_provider=tracer_provider)
        self._name = name
        self._share = sample_calls
        # A run whose event loop was thrown away never ends.
        self._traces: WeakKeyDictionary[RunInfo, _Trace] = WeakKeyDictionary()
        if not sample_calls:
            # Methods of the base class itself are not called, and cost nothing.
            for method in ("call_started", "call_ended", "call_retried"):
                setattr(self, method, getattr(super(), method))

    def run_started(self, run: RunInfo) -> None:
        """
        Begin the span of a run, and make it current in the run.

        :param run: the run
        """
        names = [stage.task_name for stage in run.stages]
        span = self._tracer.start_span(
            self._name or " | ".join(names) or "pipeline",
            attributes={"conveyor.run.id": run.run_id, "conveyor.run.stages": names},
        )
        if run.total is not None:
            span.set_attribute("conveyor.run.total", run.total)
        surroundings = trace.set_span_in_context(span)
        context.attach(surroundings)  # for good: the context variables are the run's own
        self._traces[run] = _Trace(span, surroundings, _Sample(self._share, run.run_id))

    def call_started(self, call: CallInfo) -> None:
        """
        Begin the span of a call that was chosen, and make it current in the call.

        :param call: the call
        """
        traced = self._traces.get(call.run)
        if traced is None or not traced.span.is_recording():
            return
        chosen = [index for index in call.indexes if index in traced.sample]
        if not chosen:
            return
        span = self._tracer.start_span(
            call.stage.task_name,
            context=traced.surroundings,
            links=traced.links_to(call.stage.position, chosen),
            attributes={
                "conveyor.run.id": call.run.run_id,
                "conveyor.task": call.stage.task_name,
                "conveyor.item.index": call.indexes[0],
            },
        )
        if call.is_batch:
            span.set_attribute("conveyor.batch.size", len(call.indexes))
        token = context.attach(trace.set_span_in_context(span, traced.surroundings))
        traced.calls[id(call)] = span, token
        # Now, and not at the end: what a generator yields is called with before that.
        if call.stage is not call.run.stages[-1]:
            traced.remember(call.stage.position, chosen, span.get_span_context())

    def call_ended(self, call: CallInfo) -> None:
        """
        End the span of a call, if it has one.

        :param call: the call
        """
        traced = self._traces.get(call.run)
        if traced is None or id(call) not in traced.calls:
            return
        span, token = traced.calls.pop(id(call))
        context.detach(token)
        span.set_attribute("conveyor.outcome", call.outcome)
        span.set_attribute("conveyor.call.attempts", call.attempts)
        if call.outcome == "failed":
            _fail(span, call.error)
        span.end()

    def call_retried(self, retry: RetryInfo) -> None:
        """
        Note on the span of the call, if it has one, that it is repeated.

        :param retry: which, and when
        """
        traced = self._traces.get(retry.run)
        if traced is None or id(retry.call) not in traced.calls:
            return
        span, _ = traced.calls[id(retry.call)]
        span.add_event(
            "retry",
            {
                "conveyor.retry.attempt": retry.attempt,
                "conveyor.retry.delay": retry.delay,
                "error.type": type_name(retry.error),
            },
        )

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        End the span of a run, with what was counted.

        :param run: the run
        :param report: how it went
        """
        traced = self._traces.pop(run, None)
        if traced is None:
            return
        counts = report.statistics
        traced.span.set_attribute("conveyor.outcome", report.outcome)
        for name in _COUNTS:
            traced.span.set_attribute(f"conveyor.run.{name}", getattr(counts, name))
        if report.outcome == "failed":
            _fail(traced.span, report.error)
        traced.span.end()


_COUNTS = "items_in", "items_out", "skipped", "diverted", "failed", "dropped", "retried"


class _Sample:
    """
    The indexes of a fraction of the items of a run, evenly spread and always the same ones.

    :param share: how large a fraction, from 0 to 1
    :param run_id: each run has others, or the first item would be chosen in each or in none
    """

    def __init__(self, share: float, run_id: str) -> None:
        self._below = share * _RANGE
        self._offset = crc32(run_id.encode())

    def __contains__(self, index: int) -> bool:
        return (index * _STEP + self._offset) % _RANGE < self._below


class _Trace:
    """
    What belongs to one run.

    :ivar span: of the run
    :ivar surroundings: in which it is the current one
    :ivar sample: the items whose calls have spans
    :ivar calls: spans of the calls that have not ended, and how to make the one before current
        again. By the identity of the call, which would keep the run from being forgotten
    """

    def __init__(self, span: Span, surroundings: Context, sample: _Sample) -> None:
        self.span = span
        self.surroundings = surroundings
        self.sample = sample
        self.calls: dict[int, tuple[Span, Token[Context]]] = {}
        self._linkable: OrderedDict[tuple[int, int], SpanContext] = OrderedDict()

    def remember(self, position: int, indexes: Iterable[int], span: SpanContext) -> None:
        """
        Keep a span of a call to be linked to.

        :param position: of the stage
        :param indexes: of the items
        :param span: of the call
        """
        for index in indexes:
            self._linkable[position, index] = span
            self._linkable.move_to_end((position, index))
        # Nobody tells when an item has left: others that it became may still be on their way.
        while len(self._linkable) > MOST_LINKABLE:
            self._linkable.popitem(last=False)

    def links_to(self, position: int, indexes: Iterable[int]) -> list[Link]:
        """
        Return links to what was called with items before.

        :param position: of the stage that they are in now
        :param indexes: of the items
        """
        found = (self._last_before(position, index) for index in indexes)
        different = {span.span_id: span for span in found if span is not None}
        return [Link(span) for span in different.values()]

    def _last_before(self, position: int, index: int) -> SpanContext | None:
        for earlier in range(position - 1, -1, -1):
            if (span := self._linkable.get((earlier, index))) is not None:
                return span
        return None


def _fail(span: Span, error: BaseException | None) -> None:
    """Say that what *span* stands for has failed, and how; not in the error's own words."""
    span.set_status(Status(StatusCode.ERROR))
    if error is not None:
        span.set_attribute("error.type", type_name(error))
        span.add_event("exception", {"exception.type": type_name(error)})


def type_name(error: BaseException) -> str:
    """
    Name the type of an error as OpenTelemetry does.

    :param error: the error
    """
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _check_name(name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, got a {type(name).__name__}")


def _check_share(share: object) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise TypeError(f"sample_calls must be a number from 0 to 1, got {share!r}")
    if not 0 <= share <= 1:
        raise ValueError(
            "sample_calls is a fraction of the items, from 0 to 1 (write 0.01 for 1 %), "
            f"got {share!r}"
        )
