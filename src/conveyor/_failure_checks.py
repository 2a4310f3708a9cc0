"""
Checks of the options that say what becomes of calls that fail; messages as in :mod:`._checks`.

What few tasks have is imported when it is checked.
"""

from __future__ import annotations

from inspect import isroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .task_options import TaskOptions
    from .tasks import FunctionTask


def check_retry_budget(budget: object, options: TaskOptions) -> None:
    """Check that there is something to be paid from a retry budget."""
    task = options.task_name
    if budget is None:
        return
    from .retry_budget import RetryBudget

    if not isinstance(budget, RetryBudget):
        is_number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
        example = f"; write retry_budget=RetryBudget({budget!r})" if is_number else ""
        raise TypeError(
            f"task {task!r}: retry_budget must be a RetryBudget, got {budget!r}{example}"
        )
    if options.retry.max_attempts == 1 and not callable(options.on_error):
        raise ValueError(
            f"task {task!r}: a retry budget without retries has no effect; give max_retries"
        )


def check_circuit_breaker(breaker: object, task: str) -> None:
    """Check that *breaker* is a circuit breaker."""
    if breaker is None:
        return
    from .circuit_breaker import CircuitBreaker

    if isinstance(breaker, CircuitBreaker):
        return
    example = ""
    if breaker is CircuitBreaker:
        example = "; write circuit_breaker=CircuitBreaker()"
    elif isinstance(breaker, int) and not isinstance(breaker, bool):
        example = f"; write circuit_breaker=CircuitBreaker(failures={breaker!r})"
    raise TypeError(
        f"task {task!r}: circuit_breaker must be a CircuitBreaker, got {breaker!r}{example}"
    )


def check_fallback(fallback: FunctionTask[Any, Any] | None, options: TaskOptions) -> None:
    """Check that *fallback* can be called in place of the task, and what it may not be told."""
    if fallback is None:
        return
    from .adaptive import Adaptive

    task = options.task_name
    if not _calls_a_function(fallback):
        raise TypeError(
            f"task {task!r}: fallback must be a single or batch task, got {_what(fallback)}"
        )
    given = fallback.options
    label = f"task {task!r}: its fallback {given.task_name!r}"
    if given.is_batch != options.is_batch:
        kinds = ("single", "a batch") if options.is_batch else ("batch", "an item")
        need = "batch" if options.is_batch else "single"
        raise TypeError(
            f"{label} is a {kinds[0]} task, but will be called with {kinds[1]}; "
            f"make it a {need} task"
        )
    if isinstance(given.concurrency_limit, Adaptive):
        raise ValueError(
            f"{label} has concurrency_limit=Adaptive(...), which would not hold: it is called by "
            f"the workers of task {task!r}; leave it out"
        )
    if given.concurrency_limit is not None and given.limit < options.limit:
        raise ValueError(
            f"{label} has concurrency_limit={given.limit}, which would not hold: it is "
            f"called in place of task {task!r}, up to {options.limit} times at once; give it a "
            f"rate_limit, or task {task!r} concurrency_limit={given.limit}"
        )
    for name in ("key", "priority", "cache", "batch_by", "weight"):
        if getattr(given, name) is not None:
            raise ValueError(
                f"{label} has {name}, which would not hold: it is called for the items for which "
                f"task {task!r} fails, as they do; leave {name} out"
            )
    if given.in_order:
        raise ValueError(
            f"{label} has in_order=True, which would not hold: it is called in the order in which "
            "items fail; leave in_order out"
        )
    if options.flatten and not given.flatten:
        raise ValueError(
            f"{label} has flatten=False, but what it returns is treated as if task {task!r} had "
            f"returned it; give task {task!r} flatten=False too, or let it return a tuple"
        )
    if options.is_batch:
        _check_batch_fallback(label, given, options)


def _check_batch_fallback(label: str, given: TaskOptions, options: TaskOptions) -> None:
    if given.batch_size < options.batch_size:
        raise ValueError(
            f"{label} takes batches of at most {given.batch_size}, but will be called with "
            f"{options.batch_size} items; give it max_size={options.batch_size}"
        )
    if given.min_size > options.min_size:
        raise ValueError(
            f"{label} takes batches of at least {given.min_size}, but may be called with "
            f"{options.min_size} item(s); leave its min_size out"
        )
    if given.isolates_poison and not options.isolates_poison:
        raise ValueError(
            f"{label} has on_error='skip_item', but it cannot split the batch that it is called "
            f"with; give task {options.task_name!r} on_error='skip_item', or the fallback "
            "on_error='skip_batch'"
        )


def _calls_a_function(value: object) -> bool:
    from .tasks import FunctionTask

    return isinstance(value, FunctionTask) and value.stage_plan().kind != "process"  # pyright: ignore[reportUnknownMemberType]


def _what(value: object) -> str:
    """Say what was given in place of a task, and what to write if that can be told."""
    from .calls import TaskCall

    shown = repr(value)
    if isinstance(value, TaskCall):
        name = value.bound().task_name
        return f"a call of task {name!r}; write fallback={name}.with_inputs(...)"
    if isroutine(value):
        return f"{shown}; write fallback=single_task(...) around it"
    return shown
