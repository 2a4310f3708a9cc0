"""
The run context: settings of a run, and data that its tasks share.

Each run works on its own copy; inside a task :func:`get_current_context` returns it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, get_args

if TYPE_CHECKING:
    from .observing import Observer
    from .outcomes import Failure

__all__ = [
    "Context",
    "ContextManager",
    "ExecutionMode",
    "FailurePolicy",
    "PipelineContext",
    "get_current_context",
    "set_current_context",
    "with_context",
]

T = TypeVar("T")
Self = TypeVar("Self", bound="PipelineContext")

ExecutionMode = Literal["ordered", "as_completed"]
"""``"ordered"`` gives results in input order, ``"as_completed"`` as they are ready."""

FailurePolicy = Literal["fast", "in_order"]
"""``"fast"`` ends a run at its first failure, ``"in_order"`` at the failed item's place."""

_EXECUTION_MODES = get_args(ExecutionMode)
_FAILURE_POLICIES = get_args(FailurePolicy)

OnFailure: TypeAlias = "Callable[[Failure], Awaitable[object] | object]"
"""Told of each item that is diverted."""


@dataclass
class PipelineContext:
    """
    Settings of a run and the data shared among its tasks.

    :param execution_mode: ``"ordered"`` or ``"as_completed"``
    :param max_parallelism: calls in flight over all stages of a run; ``None`` for no such cap
    :param pipeline_id: identifies a run; each run's copy has a fresh one
    :param data: whatever the tasks share
    :param max_in_flight: items a run holds between source and consumer; ``None`` for 1,000, or
        more where the concurrency limits and batch sizes need it
    :param failure: ``"fast"``: the first failure ends the run at once. ``"in_order"``: it cancels
        later items only; the earlier ones are finished and delivered, and the error is raised at
        the failed item's place. For ordered runs
    :param max_failures: diverted items (``on_error="divert"``) that a run keeps, the first ones
    :param on_failure: function, ``async`` or not; gets the :class:`~conveyor.Failure`
        of each diverted item; none is kept then
    :param max_errors: items that may fail for good without ending the run; with one more it ends
        with :exc:`~conveyor.TooManyErrorsError`. ``None`` for any number
    :param max_error_rate: the same as a fraction of the items that came in, less than 1
    :param min_error_sample: items that have to have come in before ``max_error_rate`` holds
    :param timings: whether to measure where the time goes, for ``stats()`` and ``report()``
    :param observers: are told what goes on, and as a rule need the timings; see
        :meth:`.Pipeline.with_observer`
    :raises TypeError: if a setting is of the wrong type
    :raises ValueError: if a setting is out of its range
    """

    execution_mode: ExecutionMode = "ordered"
    max_parallelism: int | None = None
    pipeline_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    max_in_flight: int | None = None
    failure: FailurePolicy = "fast"
    max_failures: int = 1000
    on_failure: OnFailure | None = None
    max_errors: int | None = None
    max_error_rate: float | None = None
    min_error_sample: int = 100
    timings: bool = False
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        _check_data(self.data)
        check_settings(self)

    def get(self, key: str, default: Any = None) -> Any:
        """
        Return ``data[key]``, or *default* if there is no such key.

        :param key: name in :attr:`data`
        :param default: what to return instead
        """
        return self.data.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def require(self, *keys: str) -> None:
        """
        Check that *keys* are present and not ``None``; for the start of a program.

        :param keys: names expected in :attr:`data`
        :raises ValueError: naming every missing key
        """
        missing = [key for key in keys if self.data.get(key) is None]
        if missing:
            names = ", ".join(repr(key) for key in missing)
            raise ValueError(f"the pipeline context lacks required data: {names}")

    def copy(self: Self) -> Self:
        """Return a copy with its own ``data`` dictionary; the values in it are shared."""
        # Each run takes two, and copy.copy() would take longer than all else that they do.
        duplicate = object.__new__(type(self))
        duplicate.__dict__.update(self.__dict__)
        duplicate.data = dict(self.data)
        return duplicate

    def updated(self: Self, **changes: Any) -> Self:
        """
        Return a copy with known fields set and all other names put into ``data``.

        :param changes: fields of the context, or keys of its data
        :raises ValueError: if a field's value is out of its range
        """
        duplicate = self.copy()
        known = {each.name for each in fields(PipelineContext)}
        for name, value in changes.items():
            if name == "data":
                _check_data(value)
                duplicate.data = dict(value)
            elif name in known:
                setattr(duplicate, name, value)
            else:
                duplicate.data[name] = value
        duplicate.__post_init__()
        return duplicate


def _check_data(value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"data must be a dict, from names to what the tasks share, got a {type(value).__name__}"
        )


def check_settings(context: PipelineContext) -> None:
    """Check the settings of a run; a context can be changed at any time."""
    if context.execution_mode not in _EXECUTION_MODES:
        raise ValueError(
            f"execution_mode must be 'ordered' or 'as_completed', got {context.execution_mode!r}"
        )
    if context.failure not in _FAILURE_POLICIES:
        raise ValueError(f"failure must be 'fast' or 'in_order', got {context.failure!r}")
    if context.failure == "in_order" and context.execution_mode == "as_completed":
        raise ValueError(
            "failure='in_order' needs execution_mode='ordered': results as completed have no "
            "order in which an item could have a place; write with_context(failure='fast'), or "
            "leave out as_completed"
        )
    for name in ("max_parallelism", "max_in_flight"):
        _check_count(name, getattr(context, name), least=1, optional=True)
    _check_count("max_failures", context.max_failures, least=0)
    _check_count("max_errors", context.max_errors, least=0, optional=True)
    _check_count("min_error_sample", context.min_error_sample, least=1)
    _check_rate(context.max_error_rate)
    _check_on_failure(context.on_failure)
    _check_flag("timings", context.timings)
    if context.observers:
        from .observing import check_observers

        check_observers(context.observers)


def _check_count(name: str, value: object, *, least: int, optional: bool = False) -> None:
    if value is None and optional:
        return
    or_none = "or None, " if optional else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int{or_none and ' or None'}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, {or_none}got {value!r}")


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def _check_rate(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"max_error_rate must be a number or None, got {value!r}")
    if not 0 <= value < 1:
        raise ValueError(
            "max_error_rate is a fraction of the items, 0 or more and less than 1 "
            f"(write 0.05 for 5 %), or None, got {value!r}"
        )


def _check_on_failure(value: Any) -> None:
    if value is None:
        return
    from .base_task import BaseTask
    from .pipeline import Pipeline

    # A call of those only makes a stream, which nobody would iterate.
    if callable(value) and not issubclass(type(value), (type, BaseTask, Pipeline)):
        return
    got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
    raise TypeError(f"on_failure must be a function of a Failure, or None, got {got}")


class Context(PipelineContext):
    """
    A :class:`PipelineContext` built data-first: ``Context({"api_key": ...}, max_parallelism=8)``.

    :param data: whatever the tasks share
    :param settings: fields of :class:`PipelineContext`
    """

    def __init__(self, data: dict[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(data={} if data is None else data, **settings)


_current: ContextVar[PipelineContext | None] = ContextVar("conveyor_context", default=None)
_RUN: Final = object()
# Set besides by all but runs themselves: who counts the variables sees that one has been set.
_is_replaced: ContextVar[bool] = ContextVar("conveyor_context_is_replaced", default=False)


def get_current_context() -> PipelineContext | None:
    """Return the context of the run that calls us, ``None`` outside of any run."""
    return _current.get()


def set_current_context(context: PipelineContext | None) -> None:
    """
    Make *context* the current one for the code that follows in this task.

    :param context: a context, or ``None``
    """
    _current.set(context)
    _is_replaced.set(True)


def set_context_of_run(context: PipelineContext) -> None:
    """
    Make *context* the current one for a run and for all that is called in it.

    :param context: the run's own
    """
    _current.set(context)
    # Of each run another one: what is copied from its calls to those of another adds a variable.
    ContextVar[object]("conveyor_run").set(_RUN)


def has_only_context_of_run(variables: Mapping[ContextVar[Any], Any]) -> bool:
    """
    Tell whether nothing is set but what a run sets, so that to set anything adds a variable.

    :param variables: a copy of the present ones
    """
    return len(variables) == 2 and any(value is _RUN for value in variables.values())


class ContextManager:
    """
    ``with ContextManager(context):`` makes *context* current inside the block.

    Blocks of one object may contain one another, but not overlap in several tasks.

    :param context: the context to set
    """

    def __init__(self, context: PipelineContext) -> None:
        self.context = context
        self._previous: list[tuple[PipelineContext | None, Token[bool]]] = []

    @property
    def previous_context(self) -> PipelineContext | None:
        """Inside the block, the context that was current before it."""
        return self._previous[-1][0] if self._previous else None

    def __enter__(self) -> PipelineContext:
        self._previous.append((_current.get(), _is_replaced.set(True)))
        _current.set(self.context)
        return self.context

    def __exit__(self, *exc_info: object) -> None:
        previous, token = self._previous.pop()
        # Not by token: the block may be left in another context than it was entered in.
        _current.set(previous)
        try:
            _is_replaced.reset(token)
        except ValueError:
            _is_replaced.set(True)  # in that other one


async def with_context(context: PipelineContext, coro: Awaitable[T]) -> T:
    """
    Await *coro* with *context* as the current one.

    :param context: the context to set
    :param coro: any awaitable
    :return: what it returns
    """
    with ContextManager(context):
        return await coro
