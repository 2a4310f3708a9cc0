"""
Asynchronous pipelines: plain functions, marked as tasks, chained with ``|``.

::

    @single_task
    async def fetch(url: str) -> str: ...

    @batch_task(max_size=100)
    async def store(pages: list[str]) -> int: ...

    async for count in (fetch | store)(urls):
        ...

Where things are:

=================== ===============================================================
``decorators``      ``single_task``, ``batch_task``
``tasks``           what they make: immutable descriptions
``options``         the keywords of a task, checked
``pipeline``        composition
``plan``            what the engine is told about a task
``stream``          the handle on the results, and the ways of consuming it
``results``         the results of a run that is going on, one by one
``calls``           calling a task: awaited, iterated, or part of ``|``
``side_inputs``     arguments of a task besides the item
``caching``         stores of results
``context``         settings of a run, and data shared by its tasks
``rate``            limits on how often calls begin
``circuit_breaker`` what leaves a service alone that fails all the time
``retry_budget``    limits on how many calls are repetitions
``adaptive``        limits on how many are in flight that are found by trying
``threads``         blocking iterators as data
``error_handling``  retry settings, error handlers, every public exception
``outcomes``        results and failures as values
``statistics``      what a run has counted
``describe``        what tasks and pipelines are, in words
``diagram``         and as a picture, with the figures of a run
``report``          how a run went, and what limited it
``observing``       what goes on in a run, told to whoever wants to know
``observers``       displays and records of what goes on; imported by itself
``testing``         a kit for tests; imported by itself
``_engine``         everything that runs
=================== ===============================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .context import (
    Context,
    ContextManager,
    ExecutionMode,
    FailurePolicy,
    PipelineContext,
    get_current_context,
    set_current_context,
    with_context,
)
from .decorators import batch_task, single_task
from .error_handling import (
    DIVERT,
    FAIL,
    RETRY,
    SKIP,
    CircuitOpenError,
    CollectLimitError,
    ConveyorError,
    Decision,
    ErrorAction,
    ErrorHandler,
    KeyHaltedError,
    LedgerError,
    LoggingErrorHandler,
    Replace,
    RetryAfter,
    RetryConfig,
    StreamClosedError,
    StreamConsumedError,
    TooManyErrorsError,
)
from .pipeline import Pipeline
from .stream import AsyncStream
from .tasks import BaseTask, BatchTask, SingleTask

if TYPE_CHECKING:
    from .adaptive import Adaptive
    from .caching import AsyncStore
    from .circuit_breaker import CircuitBreaker, CircuitState
    from .observers import record_timeline
    from .observing import (
        CallInfo,
        CallOutcome,
        FailureInfo,
        Observer,
        RetryInfo,
        RunInfo,
        StageInfo,
    )
    from .outcomes import Failed, Failure, Failures, Outcome, Success
    from .rate import Rate
    from .report import Bottleneck, RunOutcome, RunReport
    from .retry_budget import RetryBudget
    from .statistics import (
        BatchTrigger,
        HeadOfLine,
        Latency,
        RunStatistics,
        RunTimings,
        StageStatistics,
        StageTimings,
    )
    from .threads import from_thread

__all__ = [
    "DIVERT",
    "FAIL",
    "RETRY",
    "SKIP",
    "Adaptive",
    "AsyncStore",
    "AsyncStream",
    "BaseTask",
    "BatchTask",
    "BatchTrigger",
    "Bottleneck",
    "CallInfo",
    "CallOutcome",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "CollectLimitError",
    "Context",
    "ContextManager",
    "ConveyorError",
    "Decision",
    "ErrorAction",
    "ErrorHandler",
    "ExecutionMode",
    "Failed",
    "Failure",
    "FailureInfo",
    "FailurePolicy",
    "Failures",
    "HeadOfLine",
    "KeyHaltedError",
    "Latency",
    "LedgerError",
    "LoggingErrorHandler",
    "Observer",
    "Outcome",
    "Pipeline",
    "PipelineContext",
    "Rate",
    "Replace",
    "RetryAfter",
    "RetryBudget",
    "RetryConfig",
    "RetryInfo",
    "RunInfo",
    "RunOutcome",
    "RunReport",
    "RunStatistics",
    "RunTimings",
    "SingleTask",
    "StageInfo",
    "StageStatistics",
    "StageTimings",
    "StreamClosedError",
    "StreamConsumedError",
    "Success",
    "TooManyErrorsError",
    "batch_task",
    "from_thread",
    "get_current_context",
    "record_timeline",
    "set_current_context",
    "single_task",
    "with_context",
]

# What not every program uses is imported when it is first asked for.
_LATER = {
    "Adaptive": "adaptive",
    "AsyncStore": "caching",
    "CircuitBreaker": "circuit_breaker",
    "CircuitState": "circuit_breaker",
    "CallInfo": "observing",
    "CallOutcome": "observing",
    "FailureInfo": "observing",
    "Observer": "observing",
    "RetryInfo": "observing",
    "RunInfo": "observing",
    "StageInfo": "observing",
    "Failed": "outcomes",
    "Failure": "outcomes",
    "Failures": "outcomes",
    "Outcome": "outcomes",
    "Success": "outcomes",
    "Rate": "rate",
    "Bottleneck": "report",
    "RunOutcome": "report",
    "RunReport": "report",
    "RetryBudget": "retry_budget",
    "BatchTrigger": "statistics",
    "HeadOfLine": "statistics",
    "Latency": "statistics",
    "RunStatistics": "statistics",
    "RunTimings": "statistics",
    "StageStatistics": "statistics",
    "StageTimings": "statistics",
    "from_thread": "threads",
    "record_timeline": "observers",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
