"""
Pipelines as diagrams: a flowchart in the language of Mermaid, and what notebooks show.

A task may be called anything, and in Mermaid's labels much has a meaning: quotes, ``#``, HTML,
Markdown, which makes a list of ``1. read``; even within quotes the lexer looks for ``direction
LR``. So labels are quoted, and of a task's name letters and digits stand for themselves, and a
``_`` between them, while all else, spaces too, is written as the number of its character
(``#46;``), which Mermaid makes a character again when it has read the text. Everything else,
identifiers included, is our own.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

from .describe import (
    Description,
    describe_pipeline,
    description_of,
    footnotes,
    headline,
    is_source,
    shown_name,
)
from .report import RunReport
from .report_table import RARE_COUNTS, seconds

if TYPE_CHECKING:
    from .base_task import BaseTask
    from .context import PipelineContext
    from .plan import StagePlan
    from .statistics import StageStatistics

__all__ = ["Direction", "mimebundle", "to_mermaid"]

Direction = Literal["LR", "RL", "TB", "TD", "BT"]
"""Where a diagram flows: left to right, right to left, top to bottom (two names), bottom to top."""

LONGEST_NAME = 60
"""Characters of a name that are shown; Mermaid draws no text of more than 50,000 in all."""

_SHAPES = {
    "single": ("[", "]"),
    "batch": ("[[", "]]"),
    "process": ("{{", "}}"),
    "end": ("([", "])"),
}

# To be read on light pages and on dark ones; told by its width, too, and by what the node says.
_BOTTLENECK = "classDef bottleneck fill:#ffdd99,stroke:#b34700,stroke-width:4px,color:#000000"

_SPECIAL = re.compile(r"(?<![^\W_])_|_(?![^\W_])|\W")

# A fallback has a node of its own.
_COUNTS = tuple(name for name in RARE_COUNTS if name != "fallbacks")


def to_mermaid(
    stages: Sequence[BaseTask[Any, Any]],
    context: PipelineContext,
    report: RunReport | None,
    direction: Direction,
) -> str:
    """
    Draw tasks in a row.

    :param stages: the tasks
    :param context: they run in
    :param report: of a run of them
    :param direction: of the flow
    :raises TypeError: if *report* is not a report
    :raises ValueError: if the report is of other tasks, or there is no such direction
    """
    if direction not in get_args(Direction):
        known = ", ".join(map(repr, get_args(Direction)))
        raise ValueError(f"direction must be one of {known}, got {direction!r}")
    plans = [task.stage_plan() for task in stages]
    _check_report(report, plans)
    lines = [*_nodes(stages, plans, report), *_edges(plans, context, report)]
    for position, plan in enumerate(plans):
        lines += _fallbacks(f"task{position}", plan, position, report)
    if report is not None and report.bottleneck is not None:
        lines += [_BOTTLENECK, f"class {_bottleneck(report, plans)} bottleneck"]
    return "\n    ".join([f"flowchart {direction}", *lines])


def _check_report(report: RunReport | None, plans: Sequence[StagePlan]) -> None:
    if report is None:
        return
    # Not everyone's code is type-checked.
    if not isinstance(report, RunReport):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"report must be a RunReport, got a {type(report).__name__}; "
            "write pipeline.to_mermaid(results.report())"
        )
    ours, others = [plan.name for plan in plans], [stage.task_name for stage in report.stages]
    if ours != others:
        raise ValueError(
            "the report is of a run of another pipeline: of "
            f"{' | '.join(others) or 'an empty one'}, not of {' | '.join(ours) or 'an empty one'}"
        )


def _bottleneck(report: RunReport | None, plans: Sequence[StagePlan]) -> str | None:
    """Return the name of the node that limits the run."""
    bottleneck = None if report is None else report.bottleneck
    if bottleneck is None or bottleneck.kind == "window":
        return None
    ends = {"source": "source" if _has_source(plans) else "task0", "consumer": "results"}
    return ends.get(bottleneck.kind, f"task{bottleneck.position}")


def _has_source(plans: Sequence[StagePlan]) -> bool:
    """Whether there is data; a function that takes no item is where the items come from."""
    return not (plans and is_source(plans[0]))


# Nodes


def _nodes(
    stages: Sequence[BaseTask[Any, Any]], plans: Sequence[StagePlan], report: RunReport | None
) -> Iterator[str]:
    limiting = _bottleneck(report, plans)

    def node(identifier: str, shape: str, lines: Sequence[str]) -> str:
        """Return a node with its lines, and one more if it limits the run."""
        limits = ["limits this run"] if identifier == limiting else []
        return _node(identifier, shape, [*lines, *limits])

    timings = None if report is None else report.statistics.timings
    if _has_source(plans):
        waited = [] if timings is None else [f"the run waited {seconds(timings.source_wait)}"]
        yield node("source", "end", ["data", *waited])
    for position, (task, plan) in enumerate(zip(stages, plans, strict=True)):
        lines = (
            description_of(task).bounds
            if report is None
            else list(_figures(plan, report.statistics.stages[position]))
        )
        yield node(f"task{position}", plan.kind, [_named(plan), *lines])
    lines = ["results"]
    if report is not None:
        lines.append(f"{report.outcome} after {seconds(report.statistics.duration)}")
    if timings is not None:
        lines.append(f"the consumer waited {seconds(timings.consumer_wait)}")
    yield node("results", "end", lines)


def _node(identifier: str, shape: str, lines: Sequence[str]) -> str:
    opening, closing = _SHAPES[shape]
    return f'{identifier}{opening}"{"<br/>".join(lines)}"{closing}'


def _named(plan: StagePlan) -> str:
    """Write a task's name so that Mermaid shows it as it is; never nothing, which it rejects."""
    text = shown_name(plan)
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 1]}…"
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text)


def _figures(plan: StagePlan, counts: StageStatistics) -> Iterator[str]:
    """Yield what a stage has done, in lines."""
    if plan.kind != "process":
        yield f"{_counted(counts.calls, 'call')}, limit {counts.limit:,}"
    rare = {name.replace("_", " "): getattr(counts, name) for name in _COUNTS}
    if any(rare.values()):
        yield ", ".join(f"{count:,} {name}" for name, count in rare.items() if count)
    if counts.mean_batch_size is not None:
        yield f"{counts.mean_batch_size:.3g} of {counts.batch_size:,} items in a batch"
    latency = None if counts.timings is None else counts.timings.latency
    if latency is not None:
        yield f"p50 {seconds(latency.p50)}, p99 {seconds(latency.p99)}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


# Edges


def _edges(
    plans: Sequence[StagePlan], context: PipelineContext, report: RunReport | None
) -> Iterator[str]:
    is_ordered = context.execution_mode == "ordered"
    # Nothing has overtaken anything before the first task.
    ordered = [
        is_ordered and place > 0 and plan.is_order_point(True) for place, plan in enumerate(plans)
    ]
    ordered.append(is_ordered)
    names = ["source", *(f"task{position}" for position in range(len(plans))), "results"]
    flows = [None] * len(ordered) if report is None else _flows(report)
    for place, (in_order, flow) in enumerate(zip(ordered, flows, strict=True)):
        if place == 0 and not _has_source(plans):
            continue
        words = [] if flow is None else [_counted(flow, "item")]
        words += ["in order"] * in_order
        words += ["as completed"] * (not is_ordered and place == len(plans))
        line = "==" if in_order else "--"
        label = f' "{", ".join(words)}" {line}' if words else ""
        yield f"{names[place]} {line}{label}> {names[place + 1]}"


def _flows(report: RunReport) -> list[int]:
    """Return how many items have gone along each edge."""
    counts = report.statistics
    # What the last stage has passed on may still wait for the consumer.
    within = [counts.items_in, *(stage.items_out for stage in counts.stages[:-1])]
    return [*within[: len(counts.stages)], counts.items_out]


def _fallbacks(
    holder: str, plan: StagePlan, position: int, report: RunReport | None
) -> Iterator[str]:
    """Yield the tasks that take over, one behind the other."""
    count = "" if report is None else f", {report.statistics.stages[position].fallbacks:,} times"
    while plan.options.fallback is not None:
        plan = plan.options.fallback.stage_plan()
        identifier = f"{holder}f"
        yield _node(identifier, plan.kind, [_named(plan)])
        yield f'{holder} <-. "fallback{count}" .-> {identifier}'
        holder, count = identifier, ""


# Notebooks


def mimebundle(
    stages: Sequence[BaseTask[Any, Any]],
    context: PipelineContext,
    include: Container[str] | None,
    exclude: Container[str] | None,
) -> dict[str, str]:
    """
    Return what notebooks show, by its type.

    :param stages: tasks in a row
    :param context: they run in
    :param include: types to return, by default all
    :param exclude: types not to return
    """
    contents = {
        "text/plain": describe_pipeline(stages, context),
        "text/vnd.mermaid": to_mermaid(stages, context, None, "LR"),
        "text/html": to_html(stages, context),
    }
    return {
        kind: content
        for kind, content in contents.items()
        if (include is None or kind in include) and (exclude is None or kind not in exclude)
    }


def to_html(stages: Sequence[BaseTask[Any, Any]], context: PipelineContext) -> str:
    """
    Return a table of the tasks, and behind a fold their diagram as text; it loads nothing.

    :param stages: tasks in a row
    :param context: they run in
    """
    is_ordered = context.execution_mode == "ordered"
    rows = [_row(description_of(task, is_ordered=is_ordered)) for task in stages]
    diagram = to_mermaid(stages, context, None, "LR")
    return "\n".join(
        [
            f"<p>{escape(headline(stages, context))}</p>",
            "<table>",
            "<tr><th>task</th><th>what it is</th><th>settings</th></tr>",
            *rows,
            "</table>",
            *(f"<p>{escape(note)}</p>" for note in footnotes(context)),
            f"<details><summary>Mermaid</summary><pre>{escape(diagram)}</pre></details>",
        ]
    )


def _row(task: Description) -> str:
    name = f"<strong>{escape(task.name)}</strong>"
    summary = f"<br>{escape(task.summary)}" if task.summary else ""
    inputs = [f"side inputs: {', '.join(task.inputs)}"] if task.inputs else []
    settings = "<br>".join(escape(each) for each in [*task.settings, *inputs])
    cells = (name + summary, escape(task.facts), f"<code>{settings}</code>" if settings else "")
    style = ' style="text-align: left"'
    return f"<tr>{''.join(f'<td{style}>{cell}</td>' for cell in cells)}</tr>"
