"""
What the engine is told about a task.

A task is for people; its plan is the frozen extract that a run works from, so nothing done to a
pipeline or a task afterwards reaches a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from ._hedge_checks import check_hedged_inputs
from ._lane_checks import check_source, check_start_order
from .side_inputs import SideInputs
from .task_options import TaskOptions

__all__ = ["StagePlan"]


@dataclass(frozen=True, eq=False, repr=False)
class StagePlan:
    """
    One stage of a run.

    :param kind: what the function is called with: one item, a batch, or the stream as a whole
    :param options: of the task
    :param function: the user's
    :param inputs: arguments that the function gets after the item
    """

    kind: Literal["single", "batch", "process"]
    options: TaskOptions
    function: Callable[..., Any]
    inputs: SideInputs = field(default_factory=SideInputs)

    @property
    def name(self) -> str:
        """The task's."""
        return self.options.task_name

    @property
    def starts_in_order(self) -> bool:
        """Whether calls start in input order: asked for, or because they share a stream."""
        return self.options.in_order or self.inputs.has_stream

    @property
    def has_lanes(self) -> bool:
        """Whether of some items one has to be over before the next can be called."""
        return self.options.lane_key is not None

    def is_order_point(self, is_ordered: bool) -> bool:
        """
        Tell whether a run takes the items up one by one in its order, before this stage has them.

        One with keys in both modes: so an item waits in its lane only for those before it in the
        chain. Otherwise the head could wait for its key behind a later item, whose generator waits
        for the room that only the head can make.

        :param is_ordered: whether the run's results are in input order
        """
        return self.kind != "single" or self.has_lanes or (is_ordered and self.starts_in_order)

    def with_more_inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> StagePlan:
        """
        Return a plan with *args*, if any, in place of the positional side inputs and *kwargs* laid
        over the named ones.

        :param args: positional arguments
        :param kwargs: named arguments
        :raises TypeError: if the stage calls no function that could take them
        """
        if self.kind == "process":
            raise TypeError(
                f"task {self.name!r} serves the stream as a whole and takes no arguments besides "
                "the data"
            )
        inputs = self.inputs.updated(args, kwargs)
        check_hedged_inputs(inputs, self.options)
        check_start_order(self.options, inputs)
        return replace(self, inputs=inputs)

    def as_source(self) -> StagePlan:
        """
        Return the plan for a run without data: called once, with the side inputs only.

        :raises TypeError: if only items, or batches of them, make sense
        """
        if self.kind != "single":
            what = "batch task" if self.kind == "batch" else "task"
            raise TypeError(
                f"a pipeline that begins with {what} {self.name!r} needs data; "
                "only a single task can be a source"
            )
        check_source(self.options)
        return replace(
            self,
            function=partial(without_item, self.function),
            options=self.options.without_item({}),
        )


def without_item(func: Callable[..., Any], _: object, /, *args: Any, **kwargs: Any) -> Any:
    """
    Call *func* without the item that there is none of.

    :param func: of a task
    :param args: its side inputs
    :param kwargs: those that are named
    """
    return func(*args, **kwargs)
