"""
Checks of the options that say which of the waiting items is called next.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, get_args

from ._checks import check_function, is_generator_function
from .error_handling import KeyErrorAction

if TYPE_CHECKING:
    from .side_inputs import SideInputs
    from .task_options import TaskOptions

BATCH_KEYS = "write batch_by=..., which gives each key batches of its own"
"""What to write in place of ``key`` on a batch task."""


def check_lanes(options: TaskOptions) -> None:
    """Check what keeps calls apart, and what lets one go before another."""
    task, action = options.task_name, options.on_key_error
    check_function("key", options.key, task)
    check_function("priority", options.priority, task)
    allowed = get_args(KeyErrorAction)
    if action not in allowed:
        raise ValueError(
            f"task {task!r}: on_key_error must be one of {', '.join(map(repr, allowed))}, "
            f"got {action!r}"
        )
    if action != "continue" and options.key is None:
        raise TypeError(
            f"task {task!r}: on_key_error={action!r} needs key; key=... is a function of the item "
            "that tells which items belong together"
        )
    check_store(options.cache, task)
    if options.in_order and (name := _overtaking(options)):
        raise TypeError(
            f"task {task!r}: with {name} items go before others that wait, and in_order=True "
            "starts calls in input order; leave one of them out"
        )


def check_store(store: object, task: str) -> None:
    """Check that *store* can keep results."""
    if store is None or (isinstance(store, MutableMapping) and not isinstance(store, type)):
        return
    if isinstance(store, type):
        raise TypeError(
            f"task {task!r}: cache must be an instance, got the class; "
            f"write cache={store.__name__}()"
        )
    if not (callable(getattr(store, "get", None)) and callable(getattr(store, "set", None))):
        raise TypeError(
            f"task {task!r}: cache must be a mutable mapping, such as a dict, or have async "
            f"methods get(key, default) and set(key, value), got a {type(store).__name__}"
        )


def check_cacheable(function: object, options: TaskOptions) -> None:
    """Check that the results of *function* can be kept if they have to be."""
    if options.cache is not None and is_generator_function(function):
        raise TypeError(
            f"task {options.task_name!r}: cache cannot keep what a generator gives; return a list, "
            "or leave cache out"
        )


def check_start_order(options: TaskOptions, inputs: SideInputs) -> None:
    """Check that calls which share a stream can start in input order."""
    if inputs.has_stream and (name := _overtaking(options)):
        raise TypeError(
            f"task {options.task_name!r}: with {name} items go before others that wait, and a "
            f"stream as a side input makes calls start in input order; leave {name} out, or take "
            "from the stream in a task before this one"
        )


def check_source(options: TaskOptions) -> None:
    """Check that a task that is called without an item asks nobody about one."""
    if name := _overtaking(options):
        raise TypeError(
            f"task {options.task_name!r} begins a pipeline without data, so it is called once and "
            f"without an item, and {name} has nothing to look at; leave {name} out"
        )


def _overtaking(options: TaskOptions) -> str:
    """Return the option that lets items go before others, if there is one."""
    names = ("key", "cache", "priority")
    return next((name for name in names if getattr(options, name) is not None), "")
