"""
Checks of ``before`` and ``after``: what can be called around a task's function.
"""

from __future__ import annotations

from inspect import isclass, signature
from typing import TYPE_CHECKING, Any

from ._checks import is_generator_function

if TYPE_CHECKING:
    from .task_options import TaskOptions

# What each is called with: the names, for the message.
_ARGUMENTS = {"before": ("item",), "after": ("item", "result")}


def check_hooks(options: TaskOptions) -> None:
    """Check what is called before and after the function."""
    for option, arguments in _ARGUMENTS.items():
        hook = getattr(options, option)
        if hook is not None:
            _check_hook(option, hook, arguments, options.task_name)


def _check_hook(option: str, hook: Any, arguments: tuple[str, ...], task: str) -> None:
    call = ", ".join(arguments)
    if isclass(hook):
        raise TypeError(
            f"task {task!r}: {option} must be a function, got the class {hook.__name__}; "
            f"write {option}=lambda {call}: {hook.__name__}({arguments[-1]})"
        )
    if not callable(hook):
        raise TypeError(
            f"task {task!r}: {option} must be a function that can be called as {option}({call}), "
            f"got {hook!r}"
        )
    if is_generator_function(hook):
        raise TypeError(
            f"task {task!r}: {option} must return its value, got a generator function; write "
            "'return' in place of 'yield'"
        )
    try:
        # Not that of what it wraps, since a decorator may give that arguments of its own.
        parameters = signature(hook, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # there is no telling, as for some that are written in C
    try:
        parameters.bind(*arguments)
    except TypeError:
        raise TypeError(
            f"task {task!r}: {option} is called as {option}({call}), with no self and no side "
            f"inputs; got a function of {parameters}"
        ) from None


def check_followed_function(function: object, options: TaskOptions) -> None:
    """Check that *function* gives a result for ``after`` to see, as far as can be known."""
    if options.after is not None and is_generator_function(function):
        raise TypeError(
            f"task {options.task_name!r}: after is for calls that return a result, and the values "
            "of a generator go on before it has ended; return a list, or look at the values in a "
            "task after this one"
        )
