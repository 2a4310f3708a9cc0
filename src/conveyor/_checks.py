"""
Checks of single option values; every message names the task, the option, the value and the fix.

What few tasks have is imported when it is checked.
"""

from __future__ import annotations

import math
from inspect import (
    isasyncgenfunction,
    isawaitable,
    iscoroutine,
    iscoroutinefunction,
    isgeneratorfunction,
)
from typing import TYPE_CHECKING, Any, TypeVar, get_args

if TYPE_CHECKING:
    from .task_options import TaskOptions

T = TypeVar("T")


def check_on_error(value: object, task: str, is_batch: bool) -> None:
    """Check what becomes of a call that failed for good."""
    from .error_handling import ErrorAction

    allowed = [each for each in get_args(ErrorAction) if is_batch or each != "skip_batch"]
    if isinstance(value, type):
        raise TypeError(
            f"task {task!r}: on_error must be a word or a function of the error and the item, "
            f"got the class {value.__name__}"
        )
    if callable(value) or value in allowed:
        return
    if hasattr(value, "handle_error"):
        raise TypeError(
            f"task {task!r}: on_error must be a word or a function of the error and the item, "
            f"got an error handler; write error_handler={value!r}"
        )
    if value == "skip_batch":
        raise ValueError(
            f"task {task!r}: on_error='skip_batch' is for batch tasks; write on_error='skip_item'"
        )
    raise ValueError(
        f"task {task!r}: on_error must be one of {', '.join(map(repr, allowed))}, got {value!r}"
    )


def check_flag(option: str, value: object, task: str) -> None:
    """Check that *value* is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"task {task!r}: {option} must be True or False, got {value!r}")


def check_function(option: str, value: object, task: str) -> None:
    """Check that *value* is a function of the item that can be called without awaiting it."""
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"task {task!r}: {option} must be a function of the item, got {value!r}")
    if iscoroutinefunction(value):
        raise TypeError(
            f"task {task!r}: {option} must be a plain function, got a coroutine function; find out "
            "in a task before this one what has to be waited for"
        )
    if isgeneratorfunction(value) or isasyncgenfunction(value):
        raise TypeError(
            f"task {task!r}: {option} must return its value, got a generator function; write "
            "'return' in place of 'yield'"
        )


def check_count(
    option: str, value: object, task: str, *, least: int = 1, optional: bool = False
) -> None:
    """Check that *value* is an int of at least *least*."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"task {task!r}: {option} must be an int, got {value!r}")
    if value < least:
        unlimited = ", or None for the default" if optional else ""
        raise ValueError(
            f"task {task!r}: {option} must be at least {least}{unlimited}, got {value!r}"
        )


def check_number(
    option: str, value: object, task: str, *, zero: bool, optional: bool = True
) -> None:
    """Check that *value* is a number: of 0 or more, or unless *zero*, of more than 0."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"task {task!r}: {option} must be a number, got {value!r}")
    if not (value >= 0 if zero else value > 0):
        bound = "0 or more" if zero else "more than 0"
        leave_out = f"; leave {option} out for none" if optional else ""
        raise ValueError(f"task {task!r}: {option} must be {bound}, got {value!r}{leave_out}")


def check_seconds(name: str, value: object) -> None:
    """
    Check that *value* is a time to wait.

    :param name: what the message calls it
    :param value: anything
    :raises TypeError: if it is not a number
    :raises ValueError: if it is negative or not finite
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, got {value!r}")


def check_selection(name: str, value: object) -> None:
    """
    Check that *value* selects errors: by type, by several types, or by a predicate.

    :param name: what the message calls it
    :param value: anything
    :raises TypeError: if it does not
    """
    if iscoroutinefunction(value):
        raise TypeError(f"{name} must be a plain function, got a coroutine function; write 'def'")
    # isinstance() leaves the element types unknown.
    kinds: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]
    if all(isinstance(each, type) and issubclass(each, Exception) for each in kinds):
        return
    if isinstance(value, (type, tuple)) or not callable(value):
        raise TypeError(
            f"{name} must be an Exception type, a tuple of them, or a predicate taking the error, "
            f"got {value!r}"
        )


def checked_answer(name: str, answer: T, advice: str = "write a plain function") -> T:
    """
    Return what a user's function has answered, unless somebody would have to await it.

    :param name: what the message calls the function
    :param answer: what it has returned
    :param advice: what to do instead
    :raises TypeError: if it is awaitable
    """
    if not isawaitable(answer):
        return answer
    if iscoroutine(answer):
        answer.close()
    raise TypeError(
        f"{name} must return its value, got a {type(answer).__name__}, which would have to be "
        f"awaited; {advice}"
    )


def check_error_handler(handler: object, task: str) -> None:
    """Check that *handler* has a method ``handle_error``."""
    if handler is None:
        return
    if isinstance(handler, type):
        raise TypeError(
            f"task {task!r}: error_handler must be an instance, "
            f"got the class; write error_handler={handler.__name__}()"
        )
    if not callable(getattr(handler, "handle_error", None)):
        from .circuit_breaker import CircuitBreaker

        is_breaker = isinstance(handler, CircuitBreaker)
        example = "; write circuit_breaker=..." if is_breaker else ""
        raise TypeError(
            f"task {task!r}: error_handler must be an ErrorHandler (an object with a "
            f"handle_error method), got {handler!r}{example}"
        )


def check_rate_limit(rate: object, task: str) -> None:
    """Check that *rate* is a rate."""
    if rate is None:
        return
    from .rate import Rate

    if not isinstance(rate, Rate):
        is_number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
        example = f"; write rate_limit=Rate({rate!r})" if is_number else ""
        raise TypeError(f"task {task!r}: rate_limit must be a Rate, got {rate!r}{example}")


def check_concurrency_limit(options: TaskOptions) -> None:
    """Check how many calls may be in flight, or that it can be found."""
    limit, task = options.concurrency_limit, options.task_name
    if limit is None:
        return None
    from .adaptive import Adaptive

    if not isinstance(limit, Adaptive):
        return check_count("concurrency_limit", limit, task, optional=True)
    if options.max_size == "auto" and limit.tolerance is not None:
        raise TypeError(
            f"task {task!r}: max_size='auto' changes what calls take, so it cannot show whether "
            "there are too many; write concurrency_limit=Adaptive(..., tolerance=None) to go by "
            "errors alone, or give max_size a number"
        )
    return None


def check_max_size(options: TaskOptions) -> None:
    """Check how large batches may be, and what is to decide it."""
    task, size, target = options.task_name, options.max_size, options.target_duration
    check_number("target_duration", target, task, zero=False)
    if size == "auto":
        return _check_auto(options)
    check_count("max_size", size, task, optional=True)
    if target is not None:
        raise TypeError(
            f"task {task!r}: target_duration needs max_size='auto', since it is for batches whose "
            f"size is found by measuring, got max_size={size!r}"
        )
    if size is not None and options.min_size > size:
        raise ValueError(
            f"task {task!r}: min_size={options.min_size} is larger than "
            f"max_size={size}; give max_size={options.min_size} or more"
        )


def _check_auto(options: TaskOptions) -> None:
    task, target = options.task_name, options.target_duration
    if target is None:
        raise TypeError(
            f"task {task!r}: max_size='auto' needs target_duration, the seconds that a call should "
            "take; write target_duration=1.0, for instance"
        )
    if options.min_size > 1:
        raise ValueError(
            f"task {task!r}: with max_size='auto' there is no min_size, got {options.min_size}: "
            "batches have to be as small as it takes; leave min_size out"
        )
    for name in ("weight", "batch_by"):
        if getattr(options, name) is not None:
            raise TypeError(
                f"task {task!r}: with max_size='auto' batches are measured by their number of "
                f"items alone; give max_size a number, or leave {name} out"
            )
    if options.timeout is not None and options.timeout <= target:
        raise ValueError(
            f"task {task!r}: timeout={options.timeout} is not longer than "
            f"target_duration={target}, so calls would time out that take as long as they should; "
            "give a longer timeout"
        )


def is_generator_function(function: object) -> bool:
    """Tell whether each call of *function* is known to return a generator."""
    # Of a class method that is not bound yet, and of an object that can be called.
    for each in (function, getattr(function, "__func__", None), type(function).__call__):
        if isgeneratorfunction(each) or isasyncgenfunction(each):
            return True
    return False


def check_measurable(function: object, options: TaskOptions) -> None:
    """Check that the calls of *function* can be measured if they have to be."""
    if options.max_size == "auto" and is_generator_function(function):
        raise TypeError(
            f"task {options.task_name!r}: max_size='auto' measures calls, and the call of a "
            "generator function ends before anything is done; return a list instead"
        )


def check_weight(options: TaskOptions) -> None:
    """Check what bounds a batch in weight."""
    task = options.task_name
    check_function("weight", options.weight, task)
    check_number("max_weight", options.max_weight, task, zero=False)
    if (options.weight is None) != (options.max_weight is None):
        names = ("max_weight", "weight")
        there, missing = names if options.weight is None else reversed(names)
        raise TypeError(
            f"task {task!r}: {there} needs {missing}; weight=... is a function that tells what "
            "an item weighs, max_weight=... what a batch weighs at most"
        )
    if options.weight is not None and options.max_size is None:
        raise TypeError(
            f"task {task!r}: weight needs max_size too, the items of a batch at most, however "
            "little they weigh; write max_size=100, for instance"
        )


def check_batch_by(options: TaskOptions) -> None:
    """Check what keeps batches apart."""
    task, least = options.task_name, options.min_size
    check_function("batch_by", options.batch_by, task)
    if options.batch_by is None:
        return
    if options.max_size is None:
        raise TypeError(
            f"task {task!r}: batch_by needs max_size, the items of a batch at most; "
            f"write max_size={least if least > 1 else 100}"
        )
    if least > 1:
        raise ValueError(
            f"task {task!r}: with batch_by there is no min_size, got {least}: with many keys "
            "batches have to leave before they hold so many; leave min_size out"
        )
