"""
The decorators that make tasks of functions.
"""

from __future__ import annotations

from typing import Any, Callable

from .tasks import BatchTask, SingleTask

__all__ = ["batch_task", "single_task"]


def single_task(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a task."""
    if func is None:
        return lambda function: SingleTask(function, **options)
    return SingleTask(func, **options)


def batch_task(min_size: int = 1, max_size: int | None = None, /, **options: Any) -> Any:
    """Make a batch task."""
    return lambda function: BatchTask(function, **options)
