"""Composition: every combination, nothing changed by it, and runs that share nothing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from conveyor import (
    Context,
    Pipeline,
    PipelineContext,
    batch_task,
    get_current_context,
    single_task,
)


@single_task
async def add_one(item: int) -> int:
    return item + 1


@single_task
def double(item: int, factor: int = 2) -> int:
    return factor * item


@batch_task(max_size=2)
async def total(batch: list[int]) -> int:
    return sum(batch)


@single_task
def context_data(item: Any) -> dict[str, Any]:
    context = get_current_context()
    assert context is not None
    return dict(context.data)


# Composition


@pytest.mark.parametrize(
    ("pipeline", "names", "expected"),
    [
        (add_one | double, "add_one | double", [4, 6, 8]),
        (double | add_one, "double | add_one", [3, 5, 7]),
        (add_one | total, "add_one | total", [5, 4]),
        (total | add_one, "total | add_one", [4, 4]),
        (total | total, "total | total", [6]),
        (add_one | (double | total), "add_one | double | total", [10, 8]),
        ((add_one | double) | total, "add_one | double | total", [10, 8]),
        (
            (add_one | double) | (double | add_one),
            "add_one | double | double | add_one",
            [9, 13, 17],
        ),
        (Pipeline() | add_one, "add_one", [2, 3, 4]),
        (add_one | Pipeline(), "add_one", [2, 3, 4]),
        (Pipeline() | Pipeline(), "empty", [1, 2, 3]),
        (Pipeline() | (add_one | double), "add_one | double", [4, 6, 8]),
        (add_one | add_one, "add_one | add_one", [3, 4, 5]),
        (double(factor=3) | add_one, "double | add_one", [4, 7, 10]),
        (add_one | double(factor=3), "add_one | double", [6, 9, 12]),
        (double(3) | double(5), "double | double", [15, 30, 45]),
        (double(3) | (add_one | double), "double | add_one | double", [8, 14, 20]),
        ((add_one | double) | double(3), "add_one | double | double", [12, 18, 24]),
        (double.with_inputs(3) | add_one, "double | add_one", [4, 7, 10]),
    ],
    ids=lambda value: None if isinstance(value, list) else str(value).replace("<Pipeline ", "<"),
)
async def test_anything_composes_with_anything(
    pipeline: Any, names: str, expected: list[int]
) -> None:
    """Tasks, calls, batch tasks and pipelines, in any combination, make a flat pipeline."""
    assert type(pipeline) is Pipeline
    assert repr(pipeline) == f"<Pipeline {names}>"
    assert await pipeline([1, 2, 3]).collect() == expected


def test_reprs_name_the_tasks() -> None:
    """A task shows its kind, its name, and the settings that were given."""
    assert repr(add_one) == "<SingleTask 'add_one'>"
    assert repr(total.replace(task_name="sum")) == "<BatchTask 'sum': max_size=2>"


async def test_composing_changes_neither_side() -> None:
    """``|`` makes a new pipeline; operands can be used again, alone and in others."""
    left, right = add_one | double, double | add_one
    both = left | right
    longer = both | add_one
    assert [len(each.stages) for each in (left, right, both, longer)] == [2, 2, 4, 5]
    assert await left([1]).collect() == [4]
    assert await right([1]).collect() == [3]


async def test_derived_pipelines_leave_the_original_alone() -> None:
    """``with_context`` and ``with_execution_mode`` return new pipelines with the same stages."""
    pipeline = add_one | double
    derived = pipeline.with_context(max_parallelism=3, key="value")
    fast = derived.with_execution_mode("as_completed")
    assert pipeline.context == PipelineContext()
    assert derived.context == PipelineContext(max_parallelism=3, data={"key": "value"})
    assert fast.context.execution_mode == "as_completed"
    assert derived.context.execution_mode == "ordered"
    fast.context.data["key"] = "other"
    assert derived.context.data == {"key": "value"}
    assert derived.stages == fast.stages == pipeline.stages


# The builder


async def test_add_appends_in_place() -> None:
    """``add`` takes tasks, calls and pipelines, several at once, and returns the pipeline."""
    pipeline = Pipeline()
    assert pipeline.add(add_one) is pipeline
    assert pipeline.add(double(3), add_one | double).add() is pipeline
    assert repr(pipeline) == "<Pipeline add_one | double | add_one | double>"
    assert await pipeline([0]).collect() == [8]


async def test_adding_a_pipeline_copies_its_stages() -> None:
    """What is added to a pipeline later does not follow it into others."""
    inner = Pipeline().add(add_one)
    outer = Pipeline().add(inner)
    composed = inner | double
    inner.add(add_one)
    assert [len(each.stages) for each in (inner, outer, composed)] == [2, 1, 2]


async def test_a_pipeline_can_be_added_to_itself() -> None:
    """Adding takes the stages as they are at that moment."""
    pipeline = Pipeline().add(add_one)
    pipeline.add(pipeline, pipeline)
    assert await pipeline([0]).collect() == [4]


async def test_a_stream_is_a_snapshot() -> None:
    """What is added, or put into the context, after the call is not seen by its run."""
    pipeline = Pipeline().add(context_data).with_context(key="before")
    stream = pipeline([1])
    pipeline.add(single_task(lambda item: "added"))
    pipeline.context.data["key"] = "after"
    pipeline.context.execution_mode = "as_completed"
    assert await stream.collect() == [{"key": "before"}]
    assert await pipeline([1]).collect() == ["added"]


# Runs share nothing


async def test_a_pipeline_runs_many_times() -> None:
    """Each call is a new run over its own data."""
    pipeline = add_one | total | double
    for _ in range(3):
        assert await pipeline([1, 2, 3]).collect() == [10, 8]
    assert await pipeline([5]).collect() == [12]


async def test_concurrent_runs_share_nothing() -> None:
    """Runs of one pipeline at once keep their items, batches and limits to themselves."""

    @single_task(concurrency_limit=1)
    async def slow(item: int) -> int:
        await anyio.sleep(1)
        return item

    pipeline = slow | total
    results: dict[int, list[int]] = {}

    async def run(start: int) -> None:
        results[start] = await pipeline(range(start, start + 3)).collect()

    async with anyio.create_task_group() as task_group:
        for start in (0, 10, 20):
            task_group.start_soon(run, start)
    assert results == {0: [1, 2], 10: [21, 12], 20: [41, 22]}
    # Each run has a limit of its own: three items one after another, and three runs at once.
    assert anyio.current_time() == 3


async def test_interleaved_runs_share_nothing() -> None:
    """Two iterations of one pipeline in one loop do not disturb each other."""
    pipeline = add_one | double
    async with pipeline([1, 2]) as first, pipeline([10, 20]) as second:
        pairs = [(await anext(first), await anext(second)) for _ in range(2)]
    assert pairs == [(4, 22), (6, 42)]


async def test_a_failing_run_does_not_disturb_another() -> None:
    """An error ends the run it happens in."""

    @single_task
    async def invert(item: int) -> float:
        await anyio.sleep(1)
        return 1 / item

    async with invert([1, 2]) as good:
        with pytest.raises(ZeroDivisionError):
            await invert([0]).collect()
        assert await good.collect() == [1, 0.5]


async def test_a_task_may_be_in_a_pipeline_twice() -> None:
    """The stages of one task are counted and limited separately."""
    async with (add_one | add_one)([1, 2]) as results:
        assert await results.collect() == [3, 4]
        assert [stage.items_in for stage in results.stats().stages] == [2, 2]


# Contexts of composed pipelines


async def test_a_context_is_kept_by_composition() -> None:
    """A pipeline keeps its context whatever is composed with it, on either side."""
    configured = context_data.with_context(key="value")
    unconfigured = Pipeline().add(single_task(lambda item: item))
    for pipeline in (configured | unconfigured, unconfigured | configured, add_one | configured):
        assert await pipeline([1]).collect() == [{"key": "value"}]


async def test_of_two_contexts_the_first_one_counts() -> None:
    """Of two configured pipelines the left one decides, as a whole."""
    left = add_one.with_context(key="left")
    right = context_data.with_context(key="right", other="right")
    assert await (left | right)([1]).collect() == [{"key": "left"}]
    assert (right | left).context.data == {"key": "right", "other": "right"}


async def test_composed_pipelines_share_no_context() -> None:
    """The composed pipeline has a copy."""
    left = add_one.with_context(key="left")
    both = left | context_data
    left.context.data["key"] = "changed"
    assert await both([1]).collect() == [{"key": "left"}]


async def test_a_pipeline_takes_a_context() -> None:
    """``Pipeline(context=...)`` takes a ``PipelineContext`` or a ``Context``."""
    for context in (Context({"key": 1}), PipelineContext(data={"key": 1})):
        assert await Pipeline(context=context).add(context_data)([0]).collect() == [{"key": 1}]
        assert await Pipeline(context).add(context_data)([0]).collect() == [{"key": 1}]


# Bad operands


def function(item: int) -> int:
    return item


@pytest.mark.parametrize(
    ("operand", "message"),
    [
        (5, "got a int"),
        (None, "got a NoneType"),
        ("add_one", "got a str"),
        ([add_one], "got a list"),
        (function, "got a function; write @single_task above its 'def'"),
        (len, "got a builtin_function_or_method; write @single_task above its 'def'"),
    ],
    ids=["int", "none", "str", "list", "function", "builtin"],
)
def test_what_is_no_stage_is_refused(operand: Any, message: str) -> None:
    """Composing with anything else says what a pipeline is made of."""
    text = f"a pipeline is made of tasks and pipelines, {message}"
    for compose in (
        lambda: add_one | operand,
        lambda: (add_one | double) | operand,
        lambda: double(3) | operand,
        lambda: operand | add_one,
        lambda: operand | (add_one | double),
        lambda: operand | double(3),
        lambda: Pipeline().add(operand),
        lambda: Pipeline().add(add_one, operand),
    ):
        with pytest.raises(TypeError) as caught:
            compose()
        assert str(caught.value) == text


@pytest.mark.parametrize("name", ["collect", "first", "stats", "aclose"])
def test_a_pipeline_without_data_says_where_its_results_are(name: str) -> None:
    """Most of all if the data has been given to its first task."""
    pipeline: Any = double([1, 2]) | add_one
    with pytest.raises(AttributeError) as caught:
        getattr(pipeline, name)
    assert str(caught.value) == (
        f"'Pipeline' object has no attribute {name!r}; its stream has: "
        f"write pipeline(data).{name}, and (task | other)(data), since in a '|' expression "
        "a task's arguments are side inputs, never data"
    )
    assert not hasattr(pipeline, name)


@pytest.mark.parametrize("name", ["colect", "_run", "__len__"])
def test_a_pipeline_has_no_other_attributes(name: str) -> None:
    """Nothing is said of streams that they do not have either, or that is their own business."""
    with pytest.raises(AttributeError) as caught:
        getattr(add_one | double, name)
    assert str(caught.value) == f"'Pipeline' object has no attribute {name!r}"


def test_a_stream_is_no_stage() -> None:
    """The results of a pipeline are data, not a stage."""
    stream = (add_one | double)([1])
    with pytest.raises(TypeError) as caught:
        add_one | stream  # type: ignore[operator]
    assert str(caught.value) == "a pipeline is made of tasks and pipelines, got a PipelineStream"


def test_a_failed_add_adds_nothing_more() -> None:
    """A bad operand leaves the pipeline usable."""
    pipeline = Pipeline().add(add_one)
    with pytest.raises(TypeError):
        pipeline.add(5)
    assert repr(pipeline) == "<Pipeline add_one>"


@pytest.mark.parametrize("context", [{"key": 1}, 5, "ordered"], ids=repr)
def test_a_bad_context_is_refused(context: Any) -> None:
    """The message shows how to make one."""
    with pytest.raises(TypeError) as caught:
        Pipeline(context=context)
    assert str(caught.value) == (
        f"context must be a PipelineContext, got a {type(context).__name__}; "
        "write Pipeline(context=Context({...}))"
    )
