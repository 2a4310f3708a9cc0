"""
Programs written for conveyor-streaming 1.2.1 run unchanged.

A test with *differs* in its name states where this library deliberately does something else; every
other test holds for 1.2.1 too, on asyncio.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, get_args

import anyio
import pytest

import conveyor
from conveyor import (
    AsyncStream,
    BaseTask,
    BatchTask,
    ContextManager,
    ErrorAction,
    ErrorHandler,
    ExecutionMode,
    LoggingErrorHandler,
    Pipeline,
    PipelineContext,
    RetryConfig,
    SingleTask,
    batch_task,
    get_current_context,
    set_current_context,
    single_task,
    with_context,
)
from helpers import current_time

MODULES = {
    "conveyor.tasks": ["BaseTask", "SingleTask", "BatchTask"],
    "conveyor.pipeline": ["Pipeline"],
    "conveyor.stream": ["AsyncStream"],
    "conveyor.decorators": ["single_task", "batch_task"],
    "conveyor.context": [
        "PipelineContext",
        "ExecutionMode",
        "get_current_context",
        "set_current_context",
        "ContextManager",
        "with_context",
    ],
    "conveyor.error_handling": [
        "ErrorAction",
        "RetryConfig",
        "ErrorHandler",
        "LoggingErrorHandler",
    ],
}

RETRY_KEYWORDS = {
    "retry_attempts": 2,
    "retry_delay": 1.0,
    "retry_exponential_backoff": True,
    "retry_max_delay": 60.0,
}
OTHER_KEYWORDS = {"on_error": "skip_item", "error_handler": None, "task_name": None}
TASK_KEYWORDS = {**OTHER_KEYWORDS, "retry_config": None}


async def double(x: int) -> int:
    return x * 2


async def total(batch: list[int]) -> int:
    return sum(batch)


async def numbers(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def drain(stream: AsyncIterable[Any], into: list[Any]) -> None:
    """Move results over one by one, so that those before an error are kept."""
    async for result in stream:
        into.append(result)  # noqa: PERF401 - see above


@single_task
async def add_one(x: int) -> int:
    return x + 1


@single_task
async def add(x: int, y: int = 0, *, factor: int = 1) -> int:
    return (x + y) * factor


@single_task
async def sleeper(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


@batch_task(max_size=2)
async def pair_sum(batch: list[int]) -> int:
    return sum(batch)


# Names and signatures


@pytest.mark.parametrize("module", MODULES)
def test_modules_hold_their_names(module: str) -> None:
    """Every public name can be imported from its module, by ``*`` too, and from the package."""
    imported: dict[str, Any] = {}
    exec(f"from {module} import *", imported)
    for name in MODULES[module]:
        assert getattr(importlib.import_module(module), name) is getattr(conveyor, name)
        assert imported[name] is getattr(conveyor, name)


@pytest.mark.parametrize(
    ("function", "keywords"),
    [
        (SingleTask, {"func": double, **TASK_KEYWORDS, "concurrency_limit": None}),
        (BatchTask, {"func": total, "min_size": 1, "max_size": None, **TASK_KEYWORDS}),
        (BaseTask, TASK_KEYWORDS),
        (single_task, {"func": double, **OTHER_KEYWORDS, "concurrency_limit": None}),
        (single_task, {**OTHER_KEYWORDS, **RETRY_KEYWORDS, "concurrency_limit": 3}),
        (batch_task, {"min_size": 1, "max_size": None, **OTHER_KEYWORDS, **RETRY_KEYWORDS}),
        (Pipeline, {"context": None}),
        (Pipeline().__call__, {"data": []}),
        (Pipeline().as_completed, {"data": []}),
        (Pipeline().with_execution_mode, {"mode": "ordered"}),
        (add_one.process, {"items": []}),
        (add_one.as_completed, {"data": []}),
        (AsyncStream, {"source": numbers()}),
        (ContextManager, {"context": PipelineContext()}),
        (set_current_context, {"context": PipelineContext()}),
        (with_context, {"context": PipelineContext(), "coro": None}),
        (LoggingErrorHandler, {"logger": None, "replacement_value": None}),
        (
            ErrorHandler().handle_error,
            {"error": ValueError(), "item": 1, "task_name": "", "attempt": 1},
        ),
    ],
)
def test_keywords_are_those_of_the_signatures(
    function: Callable[..., Any], keywords: dict[str, Any]
) -> None:
    """Every parameter can be given by its name."""
    inspect.signature(function).bind(**keywords)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (
            PipelineContext,
            {
                "execution_mode": "as_completed",
                "max_parallelism": 4,
                "pipeline_id": "mine",
                "data": {"a": 1},
            },
        ),
        (
            RetryConfig,
            {
                "max_attempts": 5,
                "base_delay": 0.5,
                "exponential_backoff": False,
                "max_delay": 9.0,
                "backoff_multiplier": 3.0,
            },
        ),
    ],
)
def test_dataclasses_take_their_fields_in_order(kind: type, fields: dict[str, Any]) -> None:
    """By position or by name the fields are the same, compare equal and can be assigned."""
    made = kind(*fields.values())
    assert made == kind(**fields)
    assert {name: getattr(made, name) for name in fields} == fields
    assert made == dataclasses.replace(made)
    name = next(iter(fields))
    setattr(made, name, getattr(kind(), name))
    assert made != kind(**fields)


def test_defaults_of_the_dataclasses() -> None:
    """A context runs in order and without a cap; a retry configuration means three attempts."""
    context, retry = PipelineContext(), RetryConfig()
    assert (context.execution_mode, context.max_parallelism) == ("ordered", None)
    assert (context.pipeline_id, context.data) == (None, {})
    assert context.data is not PipelineContext().data
    assert (retry.max_attempts, retry.base_delay, retry.exponential_backoff) == (3, 1.0, True)
    assert (retry.max_delay, retry.backoff_multiplier) == (60.0, 2.0)


def test_literals_list_their_choices() -> None:
    """The choices can be read off the types."""
    assert get_args(ExecutionMode) == ("ordered", "as_completed")
    assert {"fail", "skip_item", "skip_batch"} <= set(get_args(ErrorAction))


# Tasks made directly and by decorators


def test_single_task_has_the_attributes_it_was_made_with() -> None:
    """SingleTask keeps its function and options."""
    retry, handler = RetryConfig(2, 0.5), LoggingErrorHandler()
    task = SingleTask(
        double,
        on_error="skip_item",
        retry_config=retry,
        error_handler=handler,
        task_name="doubler",
        concurrency_limit=7,
    )
    assert isinstance(task, BaseTask)
    assert (task.func, task.on_error, task.retry_config) == (double, "skip_item", retry)
    assert (task.error_handler, task.task_name) == (handler, "doubler")
    assert task.concurrency_limit == 7


def test_batch_task_has_the_attributes_it_was_made_with() -> None:
    """BatchTask takes its sizes by position."""
    retry = RetryConfig(2, 0.5)
    task = BatchTask(total, 2, 5, on_error="skip_batch", retry_config=retry, task_name="totals")
    assert isinstance(task, BaseTask)
    assert (task.func, task.min_size, task.max_size) == (total, 2, 5)
    assert (task.on_error, task.retry_config, task.task_name) == ("skip_batch", retry, "totals")


def test_task_defaults() -> None:
    """By default a task is called once and fails the run; max_size is min_size."""
    single, batch = SingleTask(double), BatchTask(total, 4)
    assert (single.on_error, single.retry_config.max_attempts) == ("fail", 1)
    assert (single.error_handler, single.concurrency_limit) == (None, None)
    assert (batch.min_size, batch.max_size) == (4, 4)
    assert (BatchTask(total).min_size, BatchTask(total, max_size=None).max_size) == (1, 1)


def test_decorated_functions_are_tasks_named_after_them() -> None:
    """The decorators make SingleTask and BatchTask, bare or with keywords."""
    bare, given = single_task(double), single_task(concurrency_limit=2)(double)
    batch = batch_task(min_size=2, max_size=3, task_name="sums")(total)
    assert (type(bare), type(given), type(batch)) == (SingleTask, SingleTask, BatchTask)
    assert (bare.task_name, given.task_name, batch.task_name) == ("double", "double", "sums")
    assert (given.concurrency_limit, batch.min_size, batch.max_size) == (2, 2, 3)


def test_decorator_options_by_position() -> None:
    """The decorators' options keep their places."""
    handler = LoggingErrorHandler()
    single = single_task(double, "skip_item", 4, 0.5, False, 9.0, handler, "twice", 6)
    batch = batch_task(2, 5, "skip_batch", 4, 0.5, False, 9.0, handler, "sums")(total)
    assert (batch.min_size, batch.max_size) == (2, 5)
    assert (single.on_error, batch.on_error) == ("skip_item", "skip_batch")
    assert (single.task_name, batch.task_name, single.concurrency_limit) == ("twice", "sums", 6)
    for task in (single, batch):
        retry = task.retry_config
        assert (retry.max_attempts, retry.base_delay, retry.max_delay) == (4, 0.5, 9.0)
        assert (retry.exponential_backoff, task.error_handler) == (False, handler)


def test_decorator_takes_the_function_by_name() -> None:
    """``single_task(func=f)`` is ``single_task(f)``, and ``func=None`` waits for it."""
    assert single_task(func=double).func is double
    assert single_task(func=None, task_name="twice")(double).task_name == "twice"
    assert single_task(None, "skip_item")(double).on_error == "skip_item"


def sync(x: int) -> int:
    return x * 2


def generator(x: int) -> Iterator[int]:
    yield x
    yield -x


async def async_generator(x: int) -> AsyncIterator[int]:
    yield x
    yield -x


async def listing(x: int) -> list[int]:
    return [x, -x]


def odd_only(x: int) -> int | None:
    return x if x % 2 else None


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (double, [2, 4, 6]),
        (sync, [2, 4, 6]),
        (generator, [1, -1, 2, -2, 3, -3]),
        (async_generator, [1, -1, 2, -2, 3, -3]),
        (listing, [1, -1, 2, -2, 3, -3]),
        (odd_only, [1, 3]),
        (functools.partial(pow, 2), [2, 4, 8]),
        (str, ["1", "2", "3"]),
    ],
)
async def test_single_tasks_of_all_kinds_of_functions(
    function: Callable[..., Any], expected: list[Any]
) -> None:
    """Coroutine functions, functions and generators make tasks; lists are spread, None dropped."""
    assert await SingleTask(function, task_name="task")([1, 2, 3]).collect() == expected


async def total_and_length(batch: list[int]) -> list[int]:
    return [sum(batch), len(batch)]


def each_negated(batch: list[int]) -> Iterator[int]:
    for x in batch:
        yield -x


async def each_twice(batch: list[int]) -> AsyncIterator[int]:
    for x in batch:
        yield x
        yield x


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (total, [3, 3]),
        (sum, [3, 3]),
        (total_and_length, [3, 2, 3, 1]),
        (each_negated, [-1, -2, -3]),
        (each_twice, [1, 1, 2, 2, 3, 3]),
        (lambda batch: None if len(batch) == 1 else "full", ["full"]),
    ],
)
async def test_batch_tasks_of_all_kinds_of_functions(
    function: Callable[..., Any], expected: list[Any]
) -> None:
    """Batches of two, and a rest of one, through every kind of function."""
    assert await BatchTask(function, 1, 2)([1, 2, 3]).collect() == expected


async def test_rest_smaller_than_min_size_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """With min_size=2, one item left over is not processed."""
    assert await BatchTask(total, 2, 3)([1, 2, 3, 4]).collect() == [6]
    assert await BatchTask(total, 2, 3)([1, 2, 3, 4, 5]).collect() == [6, 9]


async def test_concurrency_limit_bounds_the_calls_in_flight() -> None:
    """Four calls of a second each, two at a time, take two seconds."""
    task = single_task(concurrency_limit=2)(sleeper.func)
    assert await task([1, 1, 1, 1]).collect() == [1, 1, 1, 1]
    assert current_time() == 2.0


class Account:
    """Tasks that are methods."""

    def __init__(self, rate: int) -> None:
        self.rate = rate

    @single_task
    async def convert(self, amount: int) -> int:
        return amount * self.rate

    @single_task(on_error="skip_item", task_name="checked")
    def check(self, amount: int) -> int:
        if amount > 50:
            raise ValueError(amount)
        return amount

    @batch_task(max_size=2)
    async def book(self, amounts: list[int]) -> str:
        return f"{self.rate}: {amounts}"

    async def plain(self, amount: int) -> int:
        return amount + self.rate


async def test_methods_are_bound_to_their_instance() -> None:
    """Two instances in one pipeline keep to themselves."""
    tens, threes = Account(10), Account(3)
    pipeline = tens.convert | tens.check | threes.book
    assert await pipeline([1, 2, 9, 3, 4]).collect() == ["3: [10, 20]", "3: [30, 40]"]
    assert await threes.convert([1, 2]).collect() == [3, 6]
    assert (type(tens.book), tens.check.task_name) == (BatchTask, "checked")
    assert isinstance(Account.convert, SingleTask)


async def test_bound_methods_become_tasks() -> None:
    """A bound method is a function like any other."""
    assert await single_task(Account(5).plain)([1, 2]).collect() == [6, 7]
    assert await SingleTask(Account(5).plain, task_name="plus")([1, 2]).collect() == [6, 7]


# Tasks written by users


class Doubling(BaseTask):
    """A stage that does its own iteration."""

    async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
        async def results() -> AsyncIterator[int]:
            async for item in items:
                yield item * 2

        return results()


class RunningTotal(BaseTask):
    """A stage with state and a constructor of its own."""

    def __init__(self, start: int) -> None:
        super().__init__(task_name="running total")
        self.start = start

    async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
        async def results() -> AsyncIterator[int]:
            total = self.start
            async for item in items:
                total += item
                yield total

        return results()


class Everything(BaseTask):
    """A stage that ends with fewer, or more, items than it got."""

    async def process(self, items: AsyncIterable[Any]) -> AsyncIterable[Any]:
        async def results() -> AsyncIterator[Any]:
            collected = [item async for item in items]
            yield len(collected)
            for item in reversed(collected):
                yield item

        return results()


def test_custom_task_has_the_attributes_of_a_task() -> None:
    """BaseTask() takes the common options and names the task after its class."""
    assert Doubling().task_name == "Doubling"
    assert RunningTotal(0).task_name == "running total"
    handler, retry = LoggingErrorHandler(), RetryConfig(2)
    task = Doubling("skip_item", retry, handler, "twice")
    assert (task.on_error, task.retry_config) == ("skip_item", retry)
    assert (task.error_handler, task.task_name) == (handler, "twice")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([Doubling()], [2, 4, 6]),
        ([Doubling(), add_one], [3, 5, 7]),
        ([add_one, Doubling()], [4, 6, 8]),
        ([add_one, Doubling(), add_one], [5, 7, 9]),
        ([Doubling(), Doubling()], [4, 8, 12]),
        ([RunningTotal(10)], [11, 13, 16]),
        ([add_one, RunningTotal(0), pair_sum], [7, 9]),
        ([pair_sum, Everything(), add_one], [3, 4, 4]),
    ],
)
async def test_custom_task_is_a_stage(stages: list[BaseTask], expected: list[int]) -> None:
    """A task that overrides process() works in any place of a pipeline."""
    assert await Pipeline().add(*stages)([1, 2, 3]).collect() == expected


async def test_custom_task_composes_with_pipes_and_calls() -> None:
    """``|`` and calling work as for other tasks."""
    assert await (Doubling() | add_one)([1, 2]).collect() == [3, 5]
    assert await (add_one | Doubling() | pair_sum)([1, 2]).collect() == [10]
    assert await (RunningTotal(0) | (add_one | add_one))([1, 2]).collect() == [3, 5]
    assert await RunningTotal(5)([1, 1]).collect() == [6, 7]
    assert [x async for x in Doubling().as_completed([1, 2])] == [2, 4]


async def test_custom_task_streams() -> None:
    """The first result of a custom stage does not wait for its last item."""
    stream = (sleeper | Doubling())([1, 2, 3])
    arrivals = [(result, current_time()) async for result in stream]
    assert arrivals == [(2, 1.0), (4, 2.0), (6, 3.0)]


async def test_custom_task_raises_its_error() -> None:
    """What process() or its iterator raises is what the consumer gets."""

    class Broken(BaseTask):
        async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
            async def results() -> AsyncIterator[int]:
                async for item in items:
                    yield 1 // item

            return results()

    results: list[float] = []
    with pytest.raises(ZeroDivisionError):
        await drain(Broken()([1, 0, 1]), results)
    assert results == [1]


async def test_custom_task_sees_the_run_context() -> None:
    """get_context() gives the run's context in process()."""

    class Scaling(BaseTask):
        async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
            scale = self.get_context().data["scale"]

            async def results() -> AsyncIterator[int]:
                async for item in items:
                    yield item * scale

            return results()

    pipeline = Pipeline(PipelineContext(data={"scale": 5})).add(Scaling())
    assert await pipeline([1, 2]).collect() == [5, 10]


async def test_subclass_of_single_task_wraps_process() -> None:
    """A subclass may change what goes into the inherited process(), which is called once."""
    calls = []

    class Offset(SingleTask):
        async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
            calls.append(self.task_name)
            assert calls == ["offset"]

            async def shifted() -> AsyncIterator[int]:
                async for item in items:
                    yield item + 100

            return await super().process(shifted())

    pipeline = add_one | Offset(double, task_name="offset")
    assert await pipeline([1, 2]).collect() == [204, 206]


@pytest.mark.parametrize(
    "name",
    [
        "factor",
        "func",
        "options",
        "inputs",
        "context",
        "timeout",
        "flatten",
        "in_order",
        "concurrency_limit",
        "min_size",
        "max_size",
    ],
)
async def test_custom_task_may_name_its_attributes_as_it_likes(name: str) -> None:
    """A subclass assigns attributes of its own in its constructor."""

    class Scaling(BaseTask):
        def __init__(self, value: int) -> None:
            super().__init__()
            setattr(self, name, value)

        async def process(self, items: AsyncIterable[int]) -> AsyncIterable[int]:
            async def results() -> AsyncIterator[int]:
                async for item in items:
                    yield item * getattr(self, name)

            return results()

    assert await (add_one | Scaling(10) | add_one)([1, 2]).collect() == [21, 31]


async def test_custom_task_may_name_itself() -> None:
    """A subclass assigns the name in its constructor."""

    class Named(Doubling):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.task_name = name

    pipeline = Named("twice") | add_one
    assert pipeline.stages[0].task_name == "twice"
    assert await pipeline([1, 2]).collect() == [3, 5]


async def test_subclass_of_single_task_calls_its_own_method() -> None:
    """A subclass may hand its own method to the constructor."""

    class Scaling(SingleTask):
        def __init__(self, scale: int) -> None:
            super().__init__(self.apply, on_error="skip_item", task_name="scaling")
            self.scale = scale

        async def apply(self, x: int) -> float:
            return self.scale / x

    assert await (Scaling(6) | Doubling())([1, 0, 2]).collect() == [12, 6]


async def test_base_task_does_not_process() -> None:
    """A subclass without process() is an error that is seen."""
    with pytest.raises(NotImplementedError):
        await BaseTask().process(numbers(1))


async def test_process_called_directly() -> None:
    """process() is awaited and gives an async iterable."""
    processed = await add_one.process(numbers(1, 2))
    assert [x async for x in processed] == [2, 3]
    processed = await pair_sum.process(await add_one.process(numbers(1, 2, 3)))
    assert [x async for x in processed] == [5, 4]


# Pipelines


async def test_builder_appends_and_returns_itself() -> None:
    """add() takes one task or several and returns the same pipeline."""
    pipeline = Pipeline()
    assert pipeline.add(add_one).add(pair_sum, add_one) is pipeline
    assert await pipeline([1, 2, 3]).collect() == [6, 5]


async def test_stages_is_the_list_of_tasks() -> None:
    """``stages`` is a list that can be read and appended to."""
    pipeline = add_one | pair_sum
    assert pipeline.stages == [add_one, pair_sum]
    assert [stage.task_name for stage in pipeline.stages] == ["add_one", "pair_sum"]
    pipeline.stages.append(add_one)
    assert await pipeline([1, 2, 3]).collect() == [6, 5]


async def test_composition_leaves_the_parts_alone() -> None:
    """Tasks and pipelines compose in every combination into new pipelines."""
    first, second = add_one | pair_sum, add_one | add_one
    assert len((first | second).stages) == 4
    assert len((first | add_one).stages) == 3
    assert len((add_one | first).stages) == 3
    assert (len(first.stages), len(second.stages)) == (2, 2)
    assert await (first | second)([1, 2, 3]).collect() == [7, 6]
    assert await (add_one | first)([1, 2, 3]).collect() == [7, 5]


@pytest.mark.parametrize("part", [add_one, Pipeline()])
def test_pipe_to_something_else_is_a_type_error(part: Any) -> None:
    """Only tasks and pipelines can be piped to."""
    with pytest.raises(TypeError):
        part | 5


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, 2], [[1], [2]]),
        ([], []),
        (5, [[5]]),
        (None, [[None]]),
        ("ab", [["ab"]]),
        (b"ab", [[b"ab"]]),
        ({"a": 1}, [[{"a": 1}]]),
        ([(1, 2), "x", None], [[(1, 2)], ["x"], [None]]),
    ],
)
async def test_lists_are_iterated_and_single_values_are_one_item(
    data: Any, expected: list[Any]
) -> None:
    """A list gives its elements; numbers, text and dictionaries are one item."""

    @single_task
    async def wrap(item: Any) -> list[list[Any]]:
        return [[item]]

    assert await (Pipeline().add(wrap))(data).collect() == expected
    assert await wrap(data).collect() == expected


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [((), {}, [1, 2, 3]), ((), {"limit": 2}, [1, 2]), ((4,), {}, [1, 2, 3, 4])],
)
async def test_pipeline_without_data_calls_its_first_task_once(
    args: tuple[int, ...], kwargs: dict[str, int], expected: list[int]
) -> None:
    """The first task is the source when there is no data, or only an argument for it."""

    @single_task
    async def count(limit: int = 3) -> list[int]:
        return list(range(limit))

    assert await (count | add_one)(*args, **kwargs).collect() == expected


async def test_pipeline_without_data_calls_a_generator() -> None:
    """A generator as the first task feeds the rest."""

    @single_task
    async def count() -> AsyncIterator[int]:
        for x in range(3):
            yield x

    assert await (count | add_one).add(pair_sum)().collect() == [3, 3]


@pytest.mark.parametrize(
    ("inputs", "args", "kwargs", "expected"),
    [
        ((), (5, 6), {}, [12]),
        ((), ([1, 2], 10), {}, [12, 13]),
        ((), ([1, 2], 10), {"factor": 2}, [23, 25]),
        ((), ([1, 2],), {"y": 10}, [12, 13]),
        ((100,), ([1, 2], 10), {}, [12, 13]),
        ((100,), ([1, 2],), {"factor": 2}, [203, 205]),
    ],
)
async def test_arguments_after_the_data_go_to_the_first_task(
    inputs: tuple[int, ...], args: tuple[Any, ...], kwargs: dict[str, int], expected: list[int]
) -> None:
    """By position or by name they follow the item; positional ones replace side inputs."""
    pipeline = add.with_inputs(*inputs) | add_one
    assert await pipeline(*args, **kwargs).collect() == expected


async def test_data_by_name() -> None:
    """``data=`` is accepted wherever data is."""
    assert await Pipeline().add(add_one)(data=[1, 2]).collect() == [2, 3]
    assert await add_one(data=[1, 2]).collect() == [2, 3]
    assert [x async for x in add_one.as_completed(data=[1])] == [2]
    assert [x async for x in (add_one | add_one).as_completed(data=[1])] == [3]


async def test_results_keep_input_order_and_later_ones_wait() -> None:
    """In order, a slow item holds back those behind it, which were worked on meanwhile."""
    assert await sleeper([3, 1, 2]).collect() == [3, 1, 2]
    assert current_time() == 3.0


# Streams


async def as_completed_of_a_pipeline(data: list[int]) -> list[int]:
    return [x async for x in Pipeline().add(sleeper).as_completed(data)]


async def as_completed_of_a_task(data: list[int]) -> list[int]:
    return [x async for x in sleeper.as_completed(data)]


async def as_completed_by_mode(data: list[int]) -> list[int]:
    pipeline = Pipeline().add(sleeper).with_execution_mode("as_completed")
    return await pipeline(data).collect()


async def as_completed_by_with_context(data: list[int]) -> list[int]:
    pipeline = Pipeline().add(sleeper).with_context(execution_mode="as_completed")
    return await pipeline(data).collect()


async def as_completed_by_context(data: list[int]) -> list[int]:
    context = PipelineContext(execution_mode="as_completed")
    return await Pipeline(context=context).add(sleeper)(data).collect()


@pytest.mark.parametrize(
    "ask",
    [
        as_completed_of_a_pipeline,
        as_completed_of_a_task,
        as_completed_by_mode,
        as_completed_by_with_context,
        as_completed_by_context,
    ],
)
async def test_completion_order_can_be_asked_for_in_five_ways(
    ask: Callable[[list[int]], Any],
) -> None:
    """as_completed(), the execution mode and the context all give the fastest first."""
    assert await ask([3, 1, 2]) == [1, 2, 3]


async def test_stream_is_an_async_stream() -> None:
    """Calling tasks and pipelines gives AsyncStreams, which are async iterables."""
    for stream in (add_one([1]), (add_one | add_one)([1])):
        assert isinstance(stream, AsyncStream)
        assert isinstance(stream, AsyncIterable)


async def test_async_stream_around_an_async_iterable() -> None:
    """It can be iterated, collected, and iterated as completed."""
    assert [x async for x in AsyncStream(numbers(1, 2))] == [1, 2]
    assert await AsyncStream(numbers(1, 2)).collect() == [1, 2]
    assert [x async for x in AsyncStream(numbers(1, 2)).as_completed()] == [1, 2]
    exhausted = AsyncStream(numbers(1, 2))
    assert (await exhausted.collect(), await exhausted.collect()) == ([1, 2], [])


async def test_stream_of_a_pipeline_as_completed() -> None:
    """as_completed() on a stream can be iterated in its place."""
    assert sorted([x async for x in sleeper([2, 1]).as_completed()]) == [1, 2]


async def test_iterator_can_be_advanced_and_closed() -> None:
    """What aiter() gives has aclose(), which ends the run."""
    async with aclosing(aiter(sleeper([1, 2, 3000]))) as results:
        assert await anext(results) == 1
        assert await anext(results) == 2
    assert current_time() == 2.0


async def test_as_completed_can_be_advanced_and_closed() -> None:
    """What a pipeline's as_completed() gives is an iterator with aclose()."""
    async with aclosing((sleeper | add_one).as_completed([3000, 1, 2])) as results:
        assert await anext(results) == 2
        assert await anext(results) == 3
    assert current_time() == 2.0


async def test_stream_left_early() -> None:
    """break ends the consumption."""
    async for result in sleeper([1, 2, 3]):
        assert result == 1
        break
    assert current_time() == 1.0


# Side inputs


async def test_side_inputs_of_every_kind() -> None:
    """Values, coroutines and streams, by position and by name."""
    assert await add.with_inputs(10)([1, 2]).collect() == [11, 12]
    assert await add.with_inputs(double(5))([1, 2]).collect() == [11, 12]
    assert await add.with_inputs(10, factor=double(1))([1, 2]).collect() == [22, 24]
    assert await add.with_inputs(y=add_one([9, 20]))([1, 2]).collect() == [11, 12]
    others = numbers(10, 20)
    assert await add.with_inputs(AsyncStream(others))([1, 2]).collect() == [11, 12]
    assert await AsyncStream(others).collect() == [20]


async def test_side_input_of_an_empty_stream_is_none() -> None:
    """A stream without items gives None."""

    @single_task
    async def pair(x: int, other: Any) -> tuple[int, Any]:
        return x, other

    assert await pair.with_inputs(AsyncStream(numbers()))([1]).collect() == [(1, None)]


async def test_side_inputs_of_batch_tasks() -> None:
    """The arguments follow the batch, and the sizes are kept."""

    @batch_task(min_size=1, max_size=2)
    async def scaled(batch: list[int], scale: int) -> int:
        return sum(batch) * scale

    tens = scaled.with_inputs(scale=double(5))
    assert (type(tens), tens.max_size, tens.task_name) == (BatchTask, 2, "scaled")
    assert await tens([1, 2, 3]).collect() == [30, 30]


async def test_side_inputs_are_resolved_once_per_configured_task() -> None:
    """A second run uses the value that the first one awaited."""
    configured = add.with_inputs(double(5))
    assert await configured([1]).collect() == [11]
    assert await configured([2]).collect() == [12]


async def test_side_input_async_generator_is_passed_on() -> None:
    """An async generator is given to the function as it is."""

    @single_task(concurrency_limit=1)
    async def plus_next(x: int, others: AsyncIterator[int]) -> int:
        return x + await anext(others)

    others = numbers(10, 20, 30)
    assert await plus_next.with_inputs(others)([1, 2, 3]).collect() == [11, 22, 33]
    await others.aclose()


# Context


async def test_context_reaches_the_tasks() -> None:
    """Inside a task the current context is the run's copy, with an id of its own."""
    seen: list[PipelineContext] = []

    @single_task
    async def look(x: int) -> int:
        seen.append(get_current_context())
        return x * get_current_context().data["scale"]

    context = PipelineContext(max_parallelism=3, data={"scale": 4})
    pipeline = Pipeline(context).add(look)
    assert pipeline.context is context
    assert await pipeline([1]).collect() == [4]
    assert await pipeline([2]).collect() == [8]
    assert (seen[0].max_parallelism, context.pipeline_id) == (3, None)
    assert None is not seen[0].pipeline_id != seen[1].pipeline_id is not None


async def test_task_finds_the_context() -> None:
    """task.get_context() is get_current_context()."""

    @single_task
    async def look(x: int) -> bool:
        return look.get_context() is get_current_context()

    assert await look([1]).collect() == [True]
    assert look.get_context() is None


async def test_with_context_sets_fields_and_data_of_a_new_pipeline() -> None:
    """Known names are fields, others go into data; the old pipeline stays as it was."""
    old = Pipeline(PipelineContext(data={"a": 1})).add(add_one)
    new = old.with_context(execution_mode="as_completed", max_parallelism=2, b=3)
    assert (new.context.execution_mode, new.context.max_parallelism) == ("as_completed", 2)
    assert new.context.data == {"a": 1, "b": 3}
    assert old.context == PipelineContext(data={"a": 1})
    assert await new([1]).collect() == [2]
    assert old.with_context(data={"c": 4}).context.data == {"c": 4}


async def test_context_of_a_pipeline_can_be_changed_between_runs() -> None:
    """The context of a pipeline is an object that the next run copies."""

    @single_task
    async def scaled(x: int) -> int:
        return x * get_current_context().data["scale"]

    pipeline = Pipeline().add(scaled)
    pipeline.context.data["scale"] = 2
    assert await pipeline([1]).collect() == [2]
    pipeline.context.data = {"scale": 3}
    assert await pipeline([1]).collect() == [3]
    pipeline.context = PipelineContext(data={"scale": 4})
    assert await pipeline([1]).collect() == [4]


def test_context_copy_has_its_own_data() -> None:
    """A copy is equal; its dictionary is another one, the values are the same."""
    context = PipelineContext("as_completed", 2, "mine", {"shared": [], "n": 1})
    duplicate = context.copy()
    assert duplicate == context
    duplicate.data["n"] = 2
    assert context.data["n"] == 1
    assert duplicate.data["shared"] is context.data["shared"]


async def test_values_in_the_context_are_shared() -> None:
    """Tasks collect into an object that the context holds."""

    @single_task
    async def note(x: int) -> int:
        get_current_context().data["noted"].append(x)
        return x

    pipeline = Pipeline(PipelineContext(data={"noted": []})).add(note)
    await pipeline([1, 2]).collect()
    assert sorted(pipeline.context.data["noted"]) == [1, 2]


def test_context_manager_restores_the_previous_context() -> None:
    """Nested managers restore what was current before."""
    outer, inner = PipelineContext(pipeline_id="outer"), PipelineContext(pipeline_id="inner")
    assert get_current_context() is None
    with ContextManager(outer) as current:
        assert current is outer is get_current_context()
        manager = ContextManager(inner)
        with manager:
            assert get_current_context() is inner
            assert (manager.context, manager.previous_context) == (inner, outer)
        assert get_current_context() is outer
    assert get_current_context() is None


async def test_with_context_runs_a_coroutine_in_a_context() -> None:
    """The coroutine sees the context, its result is returned, then the context is gone."""
    context = PipelineContext(data={"a": 1})

    async def look(key: str) -> Any:
        await anyio.sleep(1)
        return get_current_context().data[key]

    assert await with_context(context, look("a")) == 1
    with pytest.raises(KeyError):
        await with_context(context, look("b"))
    assert get_current_context() is None


async def test_set_current_context() -> None:
    """What is set stays set, and can be unset with None."""
    context = PipelineContext()
    set_current_context(context)
    assert get_current_context() is context
    assert await add_one([1]).collect() == [2]
    assert get_current_context() is context
    set_current_context(None)
    assert get_current_context() is None


# Errors


def flaky(failures: int, **options: Any) -> tuple[SingleTask, list[float]]:
    """Return a task whose calls fail so many times, and the times of its calls."""
    called_at: list[float] = []

    async def call(x: int) -> int:
        called_at.append(current_time())
        if len(called_at) <= failures:
            raise ValueError(f"failure {len(called_at)}")
        return x

    return SingleTask(call, **options), called_at


async def test_error_ends_the_run_after_earlier_results() -> None:
    """The consumer gets the results before the failing item, then the error itself."""

    @single_task
    async def invert(x: int) -> float:
        return 1 / x

    results: list[float] = []
    with pytest.raises(ZeroDivisionError):
        await drain((add_one | invert)([1, -3, -1, 3]), results)
    assert results == [0.5, -0.5]


async def test_retry_delays_grow_exponentially() -> None:
    """Delays of 1, 2 and 4 seconds, give or take the jitter."""
    task, called_at = flaky(3, retry_config=RetryConfig(4, 1.0, True, 60.0, 2.0))
    assert await task([7]).collect() == [7]
    assert called_at == pytest.approx([0.0, 1.0, 3.0, 7.0], rel=0.1)


async def test_retry_delays_stay_constant_without_exponential_backoff() -> None:
    """Delays of half a second each, give or take the jitter."""
    task, called_at = flaky(3, retry_config=RetryConfig(4, 0.5, False))
    assert await task([7]).collect() == [7]
    assert called_at == pytest.approx([0.0, 0.5, 1.0, 1.5], rel=0.1)


async def test_retry_delays_are_capped() -> None:
    """No delay is longer than max_delay."""
    task, called_at = flaky(3, retry_config=RetryConfig(4, 1.0, True, 3.0, 10.0))
    assert await task([7]).collect() == [7]
    assert called_at == pytest.approx([0.0, 1.0, 4.0, 7.0], rel=0.1)


async def test_retry_without_delay() -> None:
    """A delay of 0 repeats the call at once."""
    task, called_at = flaky(2, retry_config=RetryConfig(3, 0))
    assert await task([7]).collect() == [7]
    assert called_at == [0.0, 0.0, 0.0]


async def test_retries_end_with_the_last_error() -> None:
    """After max_attempts calls the error of the last one is raised, or the item skipped."""
    task, called_at = flaky(9, retry_config=RetryConfig(2, 0.1))
    with pytest.raises(ValueError, match=r"(?m)^failure 2$"):
        await task([7]).collect()
    assert len(called_at) == 2
    task, called_at = flaky(2, retry_config=RetryConfig(2, 0.1), on_error="skip_item")
    assert await task([7]).collect() == []


async def test_skip_item_and_skip_batch() -> None:
    """A failing item, or batch, is left out."""
    single = SingleTask(lambda x: 6 // x, on_error="skip_item", task_name="divide")
    batch = BatchTask(lambda xs: [6 // x for x in xs], 1, 2, on_error="skip_batch")
    assert await single([1, 0, 3]).collect() == [6, 2]
    assert await batch([1, 0, 2, 3]).collect() == [3, 2]


class Recorder(ErrorHandler):
    """A handler that notes what it is asked and answers as told."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, Any]:
        self.asked.append((str(error), item, task_name, attempt))
        return self.answer


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, [6, 2]), (-1, [6, -1, 2]), ([0, 0], [6, 0, 0, 2]), ((), [6, (), 2])],
)
async def test_handler_value_takes_the_place_of_the_result(value: Any, expected: list[Any]) -> None:
    """The value goes on as if the call had returned it."""
    handler = Recorder(True, value)
    task = SingleTask(lambda x: 6 // x, error_handler=handler, task_name="divide")
    assert await task([1, 0, 3]).collect() == expected
    assert [asked[1:] for asked in handler.asked] == [(0, "divide", 1)]


async def test_handler_runs_once_after_the_last_attempt_and_wins() -> None:
    """It gets the number of attempts; (False, ...) raises although on_error says skip."""
    handler = Recorder(False, "ignored")
    retry = RetryConfig(3, 0.1)
    task, _ = flaky(9, error_handler=handler, retry_config=retry, on_error="skip_item")
    with pytest.raises(ValueError, match=r"(?m)^failure 3$"):
        await task.with_inputs()([7]).collect()
    assert handler.asked == [("failure 3", 7, task.task_name, 3)]


async def test_handler_that_raises_fails_the_run_with_its_error() -> None:
    """The handler's own error is raised, the original one as its context."""

    class Broken(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            raise LookupError("handler")

    task = SingleTask(lambda x: 6 // x, error_handler=Broken(), task_name="divide")
    with pytest.raises(LookupError, match=r"(?m)^handler$") as caught:
        await task([1, 0]).collect()
    assert isinstance(caught.value.__context__, ZeroDivisionError)


async def test_logging_handler_logs_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """It logs to the given logger at level ERROR and puts in the replacement value."""
    handler = LoggingErrorHandler(logging.getLogger("mine"), -1)
    assert (handler.logger.name, handler.replacement_value) == ("mine", -1)
    task = SingleTask(lambda x: 6 // x, error_handler=handler, task_name="divide")
    assert await task([1, 0]).collect() == [6, -1]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("mine", "ERROR")
    assert record.getMessage().startswith("Error in divide (attempt 1): ")


async def test_logging_handler_has_defaults(caplog: pytest.LogCaptureFixture) -> None:
    """Without arguments it logs under the package's name and skips the item."""
    handler = LoggingErrorHandler()
    task = SingleTask(lambda x: 6 // x, error_handler=handler, task_name="divide")
    assert await task([1, 0, 2]).collect() == [6, 3]
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.name.split(".")[0] == "conveyor"


async def test_base_handler_handles_nothing() -> None:
    """A handler without handle_error() says so."""
    with pytest.raises(NotImplementedError):
        await ErrorHandler().handle_error(ValueError(), 1, "task", 1)


# What differs


@pytest.mark.parametrize("value", [(1, 2), {"a": 1}, {1, 2}, frozenset({1}), range(2)], ids=repr)
async def test_returned_containers_stay_whole_differs(value: Any) -> None:
    """Only a list is spread: batch tasks used to spread every iterable."""
    assert await BatchTask(lambda batch: value, 1, 2)([1, 2]).collect() == [value]
    assert await SingleTask(lambda x: value)([1]).collect() == [value]


@pytest.mark.parametrize(
    "make",
    [
        lambda: (1, 2),
        lambda: range(1, 3),
        lambda: {1, 2},
        lambda: iter([1, 2]),
        lambda: (x for x in [1, 2]),
        lambda: {1: "a", 2: "b"}.keys(),
        lambda: numbers(1, 2),
        lambda: AsyncStream(numbers(1, 2)),
        lambda: double_each([0.5, 1]),
    ],
    ids=["tuple", "range", "set", "iterator", "generator", "keys", "async", "stream", "pipeline"],
)
async def test_iterables_given_as_data_are_iterated_differs(make: Callable[[], Any]) -> None:
    """Any iterable is a source of items: only a list used to be."""
    assert await (add_one | add_one)(make()).collect() == [3, 4]
    assert await add_one(make()).collect() == [2, 3]


def double_each(data: list[float]) -> AsyncStream[float]:
    """Return the stream of a pipeline."""
    return Pipeline().add(SingleTask(double))(data)


async def test_single_task_has_a_hundred_calls_in_flight_differs() -> None:
    """Without a limit a hundred calls run at once: it used to be as many as there are items."""
    assert await sleeper([1] * 150).collect() == [1] * 150
    assert current_time() == 2.0


async def test_errors_as_completed_are_raised_differs() -> None:
    """In completion order too an error ends the run: it used to be swallowed."""
    task = SingleTask(lambda x: 6 // x, task_name="divide")
    with pytest.raises(ZeroDivisionError):
        await task.with_execution_mode("as_completed")([1, 0, 3]).collect()
    with pytest.raises(ZeroDivisionError):
        async for _ in task.as_completed([1, 0, 3]):
            pass


async def test_failing_source_is_raised_differs() -> None:
    """An error of the source reaches the consumer: it used to be lost in a background task."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise OSError("source")

    with pytest.raises(OSError, match=r"(?m)^source$"):
        await add_one(AsyncStream(source())).collect()


async def test_call_arguments_do_not_leak_into_the_next_run_differs() -> None:
    """Arguments of a call hold for that run only: they used to stick to the task."""
    task = single_task(add.func)
    pipeline = Pipeline().add(task)
    assert await pipeline([1], 10, factor=2).collect() == [22]
    assert await pipeline([1]).collect() == [1]
    assert await task([1]).collect() == [1]


async def test_stream_is_used_once_differs() -> None:
    """A second iteration is an error: it used to give nothing."""
    stream = (add_one | add_one)([1])
    assert await stream.collect() == [3]
    with pytest.raises(conveyor.StreamConsumedError):
        await stream.collect()
    assert issubclass(conveyor.StreamConsumedError, RuntimeError)


async def test_skip_item_of_a_batch_task_isolates_the_poison_differs() -> None:
    """Only the failing item is dropped: the whole batch used to be."""
    task = BatchTask(lambda xs: [6 // x for x in xs], 1, 4, on_error="skip_item")
    assert await task([1, 0, 2, 3]).collect() == [6, 3, 2]


async def test_handler_of_a_batch_task_gets_the_batch_differs() -> None:
    """The item of a batch task's handler is the batch: it used to be None."""
    handler = Recorder(True, -1)
    task = BatchTask(lambda xs: [6 // x for x in xs], 1, 2, error_handler=handler)
    assert await task([1, 0, 3]).collect() == [-1, 2]
    assert [item for _, item, *_ in handler.asked] == [[1, 0]]


def test_task_is_immutable_differs() -> None:
    """Attributes of a task cannot be assigned; replace() makes another task."""
    task = SingleTask(double)
    with pytest.raises(AttributeError, match="on_error"):
        task.on_error = "skip_item"
    assert task.replace(on_error="skip_item").on_error == "skip_item"
    assert task.on_error == "fail"


def test_task_made_directly_is_named_after_its_function_differs() -> None:
    """Without a name a task takes its function's: it used to take the name of its class."""
    assert (SingleTask(double).task_name, BatchTask(total).task_name) == ("double", "total")


@pytest.mark.parametrize(
    "make",
    [
        lambda: SingleTask(double, on_error="skip_batch"),
        lambda: SingleTask(double, on_error="ignore"),
        lambda: SingleTask(double, concurrency_limit=0),
        lambda: single_task(double, retry_attempts=0),
        lambda: BatchTask(total, 3, 2),
        lambda: BatchTask(total, 0, 2),
        lambda: Pipeline().with_context(execution_mode="sorted"),
    ],
)
def test_bad_options_are_errors_differs(make: Callable[[], Any]) -> None:
    """Options that used to be taken and ignored, or to fail later, are a ValueError at once."""
    with pytest.raises(ValueError, match=r"on_error|limit|retry_attempts|min_size|execution_mode"):
        make()


async def test_batch_task_as_a_source_differs() -> None:
    """A batch task needs data: without any it used to get a placeholder."""
    with pytest.raises(TypeError, match="needs data"):
        (pair_sum | add_one)()


async def test_context_of_the_right_pipeline_survives_a_task_before_it_differs() -> None:
    """``task | pipeline`` keeps the pipeline's context: it used to be dropped."""
    pipeline = add_one | Pipeline(PipelineContext(data={"a": 1})).add(add_one)
    assert pipeline.context.data == {"a": 1}


async def test_bound_method_keeps_its_instance_with_inputs_differs() -> None:
    """with_inputs() on a bound task keeps the instance: it used to be lost."""

    class Scale:
        factor = 3

        @single_task
        async def apply(self, x: int, plus: int) -> int:
            return x * self.factor + plus

    assert await Scale().apply.with_inputs(1)([1, 2]).collect() == [4, 7]


async def test_awaited_call_is_the_function_call_differs() -> None:
    """``await task(x)`` returns what the function returns: it used to be a TypeError."""
    assert await add_one(5) == 6
    assert await SingleTask(listing)(5) == [5, -5]
