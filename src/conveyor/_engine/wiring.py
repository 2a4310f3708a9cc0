"""
From descriptions to a connected source, stages and chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..data import NO_DATA
from .batch_stage import BatchStage
from .bypass import forward_outcomes_in_order
from .caching import CachedStage
from .grouped_stage import GroupedBatchStage
from .lane_stage import KeyedStage, UrgentStage
from .ordering import ArrivalChain, OrderedChain
from .process_stage import ProcessStage
from .sequence import Chain, Slot
from .single_stage import SingleStage
from .sized_stage import SizedBatchStage
from .source import Source
from .stage import Stage
from .window import Window

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .run import Run

DEFAULT_WINDOW = 1000

# Stages that take what they like of all that waits for them, not what has come first.
CHOOSY = (UrgentStage, GroupedBatchStage, ProcessStage)


def window_for(plans: Sequence[StagePlan], wanted: int | None) -> Window:
    """
    Return the window for a run of these stages.

    A batch task needs room for the batches its calls work on; several need room for the items that
    each of them is gathering, or every place could be taken by batches that never fill. One that
    gathers many at once, for its keys, or has yet to find the size of its batches, gets a share of
    the places beyond that.

    :param plans: the stages
    :param wanted: the user's ``max_in_flight``, if given
    :raises ValueError: if *wanted* is too small for the limits and batch sizes
    """
    needs = [
        (plan.name, plan.options.least_limit * plan.options.least_batch_size) for plan in plans
    ]
    batches = [plan.options for plan in plans if plan.kind == "batch"]
    # A process keeps a place for itself and one for the value it is about to give.
    processes = sum(plan.kind == "process" for plan in plans)
    resting = sum(each.least_batch_size - 1 for each in batches) + 2 * processes
    if wanted is None:
        # A batch is gathered while others are worked on.
        most = sum(plan.options.least_limit * plan.options.batch_size for plan in plans)
        wanted = max(DEFAULT_WINDOW, most + sum(each.batch_size for each in batches))
    for name, need in needs:
        if need > wanted:
            raise ValueError(
                f"max_in_flight={wanted} is too small for task {name!r}, which works on {need} "
                f"items at a time; use with_context(max_in_flight={need}) or more, or lower the "
                "task's concurrency_limit or max_size"
            )
    if resting >= wanted:
        what = "tasks" if processes else "batch tasks"
        raise ValueError(
            f"max_in_flight={wanted} is too small for the {what} of this pipeline together; "
            f"use with_context(max_in_flight={resting + 1}) or more"
        )
    elastic = sum(each.batch_by is not None or each.max_size == "auto" for each in batches)
    # Half of what is left, so that the other half is there for items that move.
    extra = (wanted - 1 - resting) // (2 * elastic) if elastic else 0
    return Window(wanted, resting + elastic * extra, extra)


class Wiring(NamedTuple):
    """What :func:`wire` made; the last chain is the one that the consumer takes from."""

    source: Source
    stages: list[Stage]
    chains: list[Chain]


def wire(run: Run, plans: Sequence[StagePlan], data: Any) -> Wiring:
    """
    Connect source and stages.

    Within a chain each hands its slots to the next; at an order point the slot ends its stretch
    (``chain.finish``), and whoever comes next takes it from the chain when its turn comes.

    :param run: the run they belong to
    :param plans: the stages
    :param data: what the pipeline was called with
    """
    ordered = run.window.in_order = run.context.execution_mode == "ordered"
    chain = OrderedChain() if ordered else ArrivalChain()
    chains: list[Chain] = [chain]
    stages: list[Stage] = []
    points: list[Stage] = []  # those that begin the chains after the first
    source = Source(run, (None,) if data is NO_DATA else data, chain, len(plans))
    upstream: Source | Stage = source
    forward = forward_outcomes_in_order if run.routing.gives_outcomes else _forward_in_order
    for plan in plans:
        stage: Stage
        if plan.is_order_point(ordered):
            intake, chain = chain, type(chain)()
            chains.append(chain)
            if plan.kind == "process":
                stage = ProcessStage(run, plan, intake)
            elif plan.kind == "batch":
                stage = batch_stage(run, plan, intake)
            else:
                stage = single = single_stage(run, plan)
                intake.on_ready = partial(forward, intake, single)
            points.append(stage)
        else:
            stage = single = single_stage(run, plan)
            if isinstance(upstream, SingleStage):
                single.preceding = [upstream, *upstream.preceding]
            upstream.following = single
        stage.chain = chain
        stages.append(stage)
        upstream = stage
    for position, each in enumerate(chains):
        each.most_spare = run.window.size
        members = [stage for stage in stages if stage.chain is each]
        for stage in members:
            stage.next_point = points[position] if position < len(points) else None
        each.on_head = partial(_let_head_go, members)
        each.on_empty = partial(_let_line_go, chains, points[:position])
    for position, stage in enumerate(stages):
        if isinstance(stage, CHOOSY):
            # Something there may wait for what would have to be let in.
            run.window.outlook.stages = stages[:position][::-1]
            break
    else:
        run.window.outlook.stages = stages[::-1]
    return Wiring(source, stages, chains)


def single_stage(run: Run, plan: StagePlan) -> SingleStage:
    """
    Return the kind of single stage that a task needs.

    :param run: the run
    :param plan: of the task
    """
    if plan.options.cache is not None:
        return CachedStage(run, plan)
    if plan.has_lanes:
        return KeyedStage(run, plan)
    if plan.options.priority is not None:
        return UrgentStage(run, plan)
    return SingleStage(run, plan)


def batch_stage(run: Run, plan: StagePlan, intake: Chain) -> BatchStage:
    """
    Return the kind of batch stage that a task needs.

    :param run: the run
    :param plan: of the task
    :param intake: the chain that ends here
    """
    if plan.options.weight is not None or plan.options.batch_by is not None:
        return GroupedBatchStage(run, plan, intake)
    if plan.options.max_size == "auto":
        return SizedBatchStage(run, plan, intake)
    return BatchStage(run, plan, intake)


def _forward_in_order(intake: Chain, stage: SingleStage) -> None:
    """Move what is next in order into *stage* and its own chain."""
    while (slot := intake.take()) is not None:
        slot.done = False
        stage.chain.append(slot)
        stage.put(slot)
    if intake.exhausted and not stage.chain.closed:
        stage.run.cascade.close(stage.chain)


def _let_head_go(stages: Sequence[Stage], head: Slot) -> None:
    """Let a new head look whether it may go on, wherever in its chain it is stuck."""
    if head.parked is not None:
        head.parked.set()
    for stage in stages:
        stage.relieve()


def _let_line_go(chains: Sequence[Chain], points: Sequence[Stage]) -> None:
    """Let the head of the last chain that is not empty look whether it may go on now."""
    for chain, point in zip(reversed(chains[: len(points)]), reversed(points), strict=True):
        if not (point.takes_all and point.is_idle):
            return
        head = chain.head
        if head is not None:
            if head.parked is not None:
                head.parked.set()
            return
