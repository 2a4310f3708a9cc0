"""
What tasks and pipelines are, in words, for people.

Made of what their authors wrote: the first line of a docstring, and the settings that differ from
the defaults, in the decorators' own keywords. Shown are numbers, words, and the names of functions
and types; of anything else, which may hold the users' data, no more than the type.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from .adaptive import Adaptive
from .base_task import BaseTask
from .circuit_breaker import CircuitBreaker
from .context import PipelineContext
from .error_handling import RetryConfig
from .rate import Rate
from .retry_budget import RetryBudget
from .task_options import RETRY_FIELDS, TaskOptions, name_of
from .tasks import FunctionTask

if TYPE_CHECKING:
    from .plan import StagePlan
    from .side_inputs import SideInputs

__all__ = [
    "Description",
    "context_settings",
    "describe_pipeline",
    "description_of",
    "is_source",
    "one_line",
    "shown_name",
    "task_settings",
]

_KINDS = {"single": "single task", "batch": "batch task", "process": "task of the whole stream"}


class Description(NamedTuple):
    """
    What a task is, in words.

    :ivar name: the task's
    :ivar kind: what its function is, and is called with
    :ivar bounds: how much at a time, and how often
    :ivar order: whether it takes items in order
    :ivar summary: first line of its docstring
    :ivar settings: that differ from the defaults
    :ivar inputs: names of its side inputs
    """

    name: str
    kind: str
    bounds: list[str]
    order: list[str]
    summary: str
    settings: list[str]
    inputs: list[str]

    @property
    def facts(self) -> str:
        """What it is, in a line."""
        return ", ".join([self.kind, *self.bounds, *self.order])

    @property
    def details(self) -> list[str]:
        """What its author says, in lines."""
        return [
            *([self.summary] if self.summary else []),
            *_listed("Settings", self.settings),
            *_listed("Side inputs", self.inputs),
        ]

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.facts}", *self.details])


def description_of(task: BaseTask[Any, Any], *, is_ordered: bool = True) -> Description:
    """
    Describe a task.

    :param task: any
    :param is_ordered: whether it is for a run whose results are in input order
    """
    plan = task.stage_plan()
    return Description(
        shown_name(plan),
        _kind(plan),
        list(_bounds(plan)),
        ["takes items in order"] if is_ordered and plan.is_order_point(True) else [],
        _summary(task),
        task_settings(plan.options),
        _inputs(plan.inputs),
    )


def describe_pipeline(stages: Sequence[BaseTask[Any, Any]], context: PipelineContext) -> str:
    """
    Describe tasks in a row.

    :param stages: the tasks
    :param context: they run in
    """
    return "\n".join(
        [
            headline(stages, context),
            "",
            *_numbered(stages, context.execution_mode == "ordered"),
            *footnotes(context),
        ]
    ).rstrip()


def headline(stages: Sequence[BaseTask[Any, Any]], context: PipelineContext) -> str:
    """
    Say in a line what a pipeline is.

    :param stages: its tasks
    :param context: they run in
    """
    if not stages:
        return "Empty pipeline"
    tasks = "1 task" if len(stages) == 1 else f"{len(stages)} tasks"
    ordered = context.execution_mode == "ordered"
    return f"Pipeline of {tasks}, results {'in input order' if ordered else 'as completed'}"


def footnotes(context: PipelineContext) -> list[str]:
    """
    Say in lines how the context of a pipeline differs from the default.

    :param context: any
    """
    names = [one_line(str(name)) for name in context.data]
    return [
        *_listed("Settings of its runs", context_settings(context)),
        *_listed("Shared data", names),
    ]


def _numbered(stages: Sequence[BaseTask[Any, Any]], is_ordered: bool) -> Iterator[str]:
    for number, task in enumerate(stages, 1):
        first, *others = str(description_of(task, is_ordered=is_ordered)).splitlines()
        yield f"{number}. {first}"
        yield from (f"   {line}" for line in others)
        yield ""


def _listed(title: str, parts: Sequence[str]) -> list[str]:
    return [f"{title}: {', '.join(parts)}"] if parts else []


def task_settings(options: TaskOptions) -> list[str]:
    """
    List the options that differ from the defaults, as one would write them above the function.

    :param options: of a task
    """
    changed = _differing(options, TaskOptions(options.task_name, options.is_batch))
    retry = _differing(options.retry, RetryConfig(max_attempts=1))
    changed.pop("retry", None)
    keywords = {keyword: retry[name] for keyword, name in RETRY_FIELDS.items() if name in retry}
    return _spelled({**changed, **keywords})


def context_settings(context: PipelineContext) -> list[str]:
    """
    List the settings of a context that differ from the defaults, but for its data.

    :param context: any
    """
    # A subclass may have fields of its own, which are data.
    known = _differing(context, PipelineContext(data=context.data, pipeline_id=context.pipeline_id))
    return _spelled(known)


def _differing(settings: Any, defaults: Any) -> dict[str, Any]:
    """Return what differs from the defaults, by name."""
    pairs = {
        each.name: (getattr(settings, each.name), getattr(defaults, each.name))
        for each in fields(defaults)
    }
    return {name: value for name, (value, default) in pairs.items() if not _same(value, default)}


def _same(value: object, default: object) -> bool:
    # Only what is of our own kind is compared: the users' objects may think of "==" what they like.
    return value is default or (type(value) is type(default) and bool(value == default))


def _spelled(settings: Mapping[str, object]) -> list[str]:
    return [f"{name}={_shown(value)}" for name, value in settings.items()]


def _shown(value: Any) -> str:
    """Write a setting without giving away what it holds, unless it is one of ours."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if type(value) in (tuple, list):
        parts: Sequence[Any] = value
        return f"({', '.join(map(_shown, parts))})"
    if isinstance(value, BaseTask):
        return shown_name(value.stage_plan())
    if isinstance(value, (Adaptive, CircuitBreaker, Rate)):
        given = {each.name: getattr(value, each.name) for each in fields(value) if each.repr}
        defaults = {each.name: each.default for each in fields(value)}
        changed = {name: one for name, one in given.items() if not _same(one, defaults[name])}
        return f"{type(value).__name__}({', '.join(_spelled(changed))})"
    if isinstance(value, RetryBudget):
        return repr(value)
    name = name_of(value) if callable(value) else type(value).__name__
    return one_line(name)


def _kind(plan: StagePlan) -> str:
    if plan.kind == "process":
        return _KINDS[plan.kind]
    return f"{_KINDS[plan.kind]}, {_manner(plan.function)}"


def _manner(function: Any) -> str:
    """Say in a word how a function gives its result."""
    function = _called(function)
    if inspect.iscoroutinefunction(function):
        return "async"
    if inspect.isasyncgenfunction(function):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


def _called(function: Any) -> Any:
    """Return the function that a callable is in the end."""
    while isinstance(function, partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return getattr(function, "__func__", function)
    return type(function).__call__


def _bounds(plan: StagePlan) -> Iterator[str]:
    options = plan.options
    if is_source(plan):
        yield "called once, without an item"
    elif plan.kind != "process":
        yield from _limits(options, _manner(plan.function).startswith("async"))
    if plan.kind == "batch":
        yield _batches(options)
    if options.retry.max_attempts > 1:
        yield f"up to {options.retry.max_attempts:,} attempts"


def _limits(options: TaskOptions, may_overlap: bool) -> Iterator[str]:
    limit = options.concurrency_limit
    if isinstance(limit, Adaptive):
        yield f"{limit.min:,} to {limit.max:,} calls at once, found by trying"
    elif limit is not None or may_overlap:
        yield _up_to(options.limit, "call") + " at once" * (options.limit > 1)
    if options.key is not None:
        yield "one at a time for each key"


def _batches(options: TaskOptions) -> str:
    least, most = options.min_size, options.batch_size
    if options.max_size == "auto":
        return f"batches of up to {most:,} items, found by measuring"
    if least == most:
        return f"batches of {most:,} item{'s' * (most > 1)}"
    return f"batches of {f'{least:,}' if least > 1 else 'up'} to {most:,} items"


def _up_to(count: int, what: str) -> str:
    return f"up to {count:,} {what}s" if count > 1 else f"one {what} at a time"


def is_source(plan: StagePlan) -> bool:
    """
    Tell whether a task's function has no room for an item.

    :param plan: of the task
    """
    if plan.kind != "single":
        return False
    args, kwargs = plan.inputs.args, plan.inputs.kwargs
    return not _takes(plan.function, None, *args, **kwargs) and _takes(
        plan.function, *args, **kwargs
    )


def _takes(function: Any, /, *args: Any, **kwargs: Any) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # also for what has no signature that anybody knows
        return False
    return True


def _summary(task: BaseTask[Any, Any]) -> str:
    described: Any = task
    if isinstance(task, FunctionTask):
        function: Any = task.func
        if isinstance(function, partial):  # its own docstring is about partials
            described = _called(function)
    text = getattr(described, "__doc__", None)
    return one_line(inspect.cleandoc(text).partition("\n")[0]) if isinstance(text, str) else ""


def _inputs(inputs: SideInputs) -> list[str]:
    count = len(inputs.args)
    positional = [f"{count} by position"] if count else []
    return [*positional, *inputs.kwargs]


def shown_name(plan: StagePlan) -> str:
    """
    Return what a task is called, in one line; quotes if that is nothing.

    :param plan: of the task
    """
    return one_line(plan.name) or "''"


def one_line(text: str) -> str:
    """
    Return *text* in one line, without what terminals would obey and files not hold.

    :param text: a name, for instance
    """
    words = " ".join(text.split())
    return "".join(each if each.isprintable() else "\ufffd" for each in words)
