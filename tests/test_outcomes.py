"""``outcomes()``: what becomes of each item, failures among the results and in their places."""

from __future__ import annotations

import gc
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from conveyor import (
    BaseTask,
    Failure,
    Failures,
    Pipeline,
    RetryAfter,
    SingleTask,
    Success,
    TooManyErrorsError,
    batch_task,
    single_task,
)
from conveyor._engine.batching import Batcher
from conveyor._engine.bypass import BatchBypass, FailedSlot
from conveyor._engine.ordering import OrderedChain
from conveyor._engine.sequence import Slot
from helpers import BatchLog, arriving, current_time, three_ways


class TaskError(Exception):
    """Raised by tasks."""


@single_task(task_name="check")
async def check(item: Any) -> Any:
    """Fail with words."""
    if isinstance(item, str):
        raise TaskError(item)
    return item


@single_task(task_name="check_value")
async def check_value(item: int) -> int:
    if item < 0:
        raise TaskError
    return item


def brief(outcomes: list[Any]) -> list[Any]:
    """Return values for successes, and ``!item`` for failures."""
    return [
        each.value if isinstance(each, Success) else f"!{each.item}"
        for each in outcomes
        if isinstance(each, (Success, Failure))
    ]


async def outcomes_of(pipeline: Any, data: Any, **context: Any) -> list[Any]:
    return brief(await pipeline.with_context(**context).outcomes(data).collect())


# What comes out


@three_ways
async def test_each_item_has_its_outcome_in_its_place(consume: Callable[..., Any]) -> None:
    """A success with its value and index, or a failure that says all there is to know."""
    outcomes = await consume(check.outcomes([10, "bad", 30]))
    assert outcomes[::2] == [Success(10, 0), Success(30, 2)]
    failure = outcomes[1]
    assert isinstance(failure, Failure)
    assert (type(failure.error), failure.error.args) == (TaskError, ("bad",))
    assert (failure.item, failure.index) == ("bad", 1)
    assert (failure.task_name, failure.attempts) == ("check", 1)


@single_task
async def nap(item: int) -> int:
    """Take as many seconds as the item says, and fail if that is negative."""
    await anyio.sleep(abs(item))
    if item < 0:
        raise TaskError
    return item


async def test_failures_wait_for_their_turn() -> None:
    """In an ordered run a failure comes after what is before it, although it is there first."""
    received: list[tuple[float, Any]] = []
    async for each in nap.outcomes([3, -1, 2, -4]):
        received += [(current_time(), *brief([each]))]
    assert received == [(3, 3), (3, "!-1"), (3, 2), (4, "!-4")]


async def test_as_completed_failures_come_when_they_happen() -> None:
    """In a run without order nothing waits for anything."""
    pipeline = nap.with_execution_mode("as_completed")
    assert await outcomes_of(pipeline, [3, -1, 2, -4]) == ["!-1", 2, 3, "!-4"]
    assert brief(await nap.outcomes([2, -1]).as_completed().collect()) == ["!-1", 2]


def test_outcomes_can_be_matched() -> None:
    """By their positional fields, the most important ones first."""
    found: list[Any] = []
    failure = Failure(error=TaskError(), item=2, index=3, task_name="work", attempts=1)
    for outcome in (Success(value=1, index=0), failure):
        match outcome:
            case Success(value, index):
                found += [value, index]
            case Failure(error, item, index, name, attempts):
                found += [type(error), item, index, name, attempts]
    assert found == [1, 0, TaskError, 2, 3, "work", 1]


async def test_the_index_is_that_of_the_input_item() -> None:
    """Through filtering, expansion and batches."""

    @single_task
    async def spread(item: int) -> list[int] | None:
        return [item, -item] if item % 2 else None

    stream = (spread | check_value).outcomes(range(4))
    assert [(each.index, *brief([each])) async for each in stream] == [
        (1, 1),
        (1, "!-1"),
        (3, 3),
        (3, "!-3"),
    ]
    outcomes = await (spread | batch_task(max_size=3)(sum_of)).outcomes(range(4)).collect()
    assert outcomes == [Success(3, 1), Success(-3, 3)]


def sum_of(batch: list[int]) -> int:
    return sum(batch)


def test_failures_do_not_show_values() -> None:
    """Neither the item nor the message of the error, which tends to quote it."""
    failure = Failure(TaskError("secret"), "secret", 7, "work", 2)
    assert repr(failure) == "<Failure: TaskError in task 'work', index=7, attempts=2>"


def test_failures_can_be_kept_in_any_way() -> None:
    """In sets, too, although not every item can be compared or hashed."""

    class Awkward:
        def __eq__(self, other: object) -> bool:
            raise TypeError("cannot be compared")

        __hash__ = None  # type: ignore[assignment]

    error = TaskError()
    first, second = (Failure(error, Awkward(), 0, "work", 1) for _ in range(2))
    assert len({first, second}) == 2
    assert [first, second].index(second) == 1


async def test_outcomes_are_data_like_any_other() -> None:
    """Failures among the items of another pipeline do not pass by its stages."""

    @single_task
    def name(outcome: Any) -> str:
        return type(outcome).__name__

    @batch_task(max_size=2, flatten=False)
    def keep(batch: list[str]) -> list[str]:
        return batch

    stream = (name | keep).outcomes(check.outcomes([1, "bad", 2]))
    assert [each.value async for each in stream if isinstance(each, Success)] == [
        ["Success", "Failure"],
        ["Success"],
    ]


async def test_arguments_and_tasks() -> None:
    """As when calling the pipeline; a task, and one that serves a stream, has it too."""

    @single_task
    def add(item: int, more: int, factor: int = 1) -> int:
        return (item + more) * factor

    pipeline = add | check_value
    assert brief(await pipeline.outcomes([1, -9], 2, factor=3).collect()) == [9, "!-21"]
    assert brief(await add.with_inputs(1).outcomes([1, 2]).collect()) == [2, 3]

    class Same(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async for item in items:
                yield item

    assert brief(await Same().outcomes([1, 2]).collect()) == [1, 2]
    assert brief(await Pipeline().outcomes([1, 2]).collect()) == [1, 2]


async def test_a_task_that_is_the_source_can_fail() -> None:
    """It is called once, without an item."""

    @single_task
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise TaskError

    assert brief(await numbers.outcomes().collect()) == [1, "!None"]


# What counts as a failure


async def test_attempts_come_first() -> None:
    """An item that succeeds in time is a success; the failure tells the attempts."""
    calls: list[int] = []

    @single_task(max_retries=2, retry_delay=0)
    async def flaky(item: int) -> int:
        calls.append(item)
        if calls.count(item) <= item:
            raise TaskError
        return item

    outcomes = await flaky.outcomes([0, 2, 3]).collect()
    assert brief(outcomes) == [0, 2, "!3"]
    assert outcomes[2].attempts == 3


async def test_what_is_skipped_or_replaced_is_no_failure() -> None:
    """The settings of the task decide first."""
    skips = check.replace(on_error="skip_item")
    assert brief(await skips.outcomes([1, "bad", 2]).collect()) == [1, 2]

    class Handler:
        async def handle_error(
            self, error: Exception, item: str, task_name: str, attempt: int
        ) -> tuple[bool, Any]:
            return {"skip": (True, None), "use": (True, 0), "no": (False, None)}[item]

    handled = check.replace(error_handler=Handler())
    assert brief(await handled.outcomes([1, "skip", "use", "no"]).collect()) == [1, 0, "!no"]


async def test_what_a_handler_raises_is_the_failure() -> None:
    """Its error, the original one as the context."""

    def on_error(error: Exception, item: str) -> Any:
        raise KeyError("no such code")

    outcomes = await check.replace(on_error=on_error).outcomes([1, "bad", 2]).collect()
    assert brief(outcomes) == [1, "!bad", 2]
    assert type(outcomes[1].error) is KeyError
    assert type(outcomes[1].error.__context__) is TaskError


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_what_would_steer_the_machinery_is_a_runtime_error(error: Any) -> None:
    """As in every run, and then a failure like any other."""

    @single_task
    def work(item: int) -> int:
        if item == 1:
            raise error
        return item

    outcomes = await work.outcomes(range(3)).collect()
    assert brief(outcomes) == [0, "!1", 2]
    assert type(outcomes[1].error) is RuntimeError
    assert type(outcomes[1].error.__cause__) is error


async def test_a_timeout_is_a_failure() -> None:
    """Like any other error of a call."""

    @single_task(timeout=1)
    async def nap(item: int) -> int:
        await anyio.sleep(item)
        return item

    outcomes = await nap.outcomes([0, 5, 0]).collect()
    assert brief(outcomes) == [0, "!5", 0]
    assert (type(outcomes[1].error), current_time()) == (TimeoutError, 1)


async def test_a_generator_keeps_what_it_has_given() -> None:
    """The failure follows the values, in the place of the item."""

    @single_task
    async def values(item: int) -> AsyncIterator[str]:
        yield f"{item}a"
        if item == 1:
            raise TaskError
        yield f"{item}b"

    @single_task
    def plain_values(item: int) -> Iterator[str]:
        yield f"{item}a"
        if item == 1:
            raise TaskError
        yield f"{item}b"

    for task in (values, plain_values, values.replace(timeout=5)):
        outcomes = await task.outcomes(range(3)).collect()
        assert brief(outcomes) == ["0a", "0b", "1a", "!1", "2a", "2b"]


async def test_each_item_of_a_failing_batch_has_failed() -> None:
    """With the index of its own; the other batches go on."""

    @batch_task(max_size=2, max_retries=1, retry_delay=0)
    async def work(batch: list[int]) -> list[int]:
        if 5 in batch:
            raise TaskError
        return batch

    @single_task
    def keep_odd(item: int) -> int | None:
        return item if item % 2 else None

    outcomes = await (keep_odd | work).outcomes(range(12)).collect()
    assert brief(outcomes) == [1, 3, "!5", "!7", 9, 11]
    assert [(each.index, each.attempts) for each in outcomes if isinstance(each, Failure)] == [
        (5, 2),
        (7, 2),
    ]
    assert outcomes[2].error is outcomes[3].error


# What ends the run all the same


class Interrupt(BaseException):
    """Is to end the program."""


async def test_what_is_no_exception_ends_the_run() -> None:
    """It is raised after what was ready before it."""

    @single_task(concurrency_limit=1)
    async def work(item: int) -> int:
        if item == 2:
            raise Interrupt
        return item

    received: list[Any] = []

    def on_error(error: Exception, item: int) -> Any:
        raise Interrupt

    asking = single_task(concurrency_limit=1, on_error=on_error)(fail_at_two)
    for task in (work, work.replace(max_retries=1, retry_delay=0), asking):
        with pytest.raises(Interrupt):
            async for each in task.outcomes(range(4)):
                received += brief([each])
    assert received == [0, 1] * 3


def fail_at_two(item: int) -> int:
    if item == 2:
        raise TaskError
    return item


async def failing_source() -> AsyncIterator[int]:
    yield 1
    raise TaskError


async def failing_input() -> int:
    raise TaskError


class FailingProcess(BaseTask[int, int]):
    """Fails in the middle of its stream."""

    async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item
            raise TaskError


def predicate(error: Exception) -> bool:
    raise TaskError


def failing_weight(item: int) -> int:
    raise TaskError


@pytest.mark.parametrize("what", ["source", "input", "process", "retry_on", "weight", "outside"])
async def test_what_is_no_failure_of_an_item_ends_the_run(what: str) -> None:
    """Failures of the source, a side input, a process, or of what is in the settings."""

    @single_task
    def fail(item: Any, _: Any = None) -> Any:
        raise RuntimeError

    async def with_side_input(item: int, side: int) -> int:
        return item

    streams = {
        "source": lambda: check.outcomes(failing_source()),
        "input": lambda: single_task(with_side_input).with_inputs(failing_input()).outcomes([1]),
        "process": lambda: FailingProcess().outcomes([1, 2]),
        "retry_on": lambda: fail.replace(max_retries=1, retry_on=predicate).outcomes([1]),
        "weight": lambda: batch_task(max_size=2, weight=failing_weight, max_weight=1)(
            sum_of
        ).outcomes([1]),
        "outside": lambda: check.outcomes(failing_iterator()),
    }
    with pytest.raises(TaskError):
        await streams[what]().collect()


def failing_iterator() -> Iterator[int]:
    yield 1
    raise TaskError


# Passing by


async def test_a_failure_passes_by_the_stages_that_follow() -> None:
    """They are not called with it, and it does not wait for them."""
    calls: list[Any] = []

    @single_task
    async def slow(item: int) -> int:
        calls.append(item)
        await anyio.sleep(5)
        return item

    received: list[tuple[float, Any]] = []
    async for each in (check | slow | slow).outcomes(["bad", 1, "bad"]):
        received += [(current_time(), *brief([each]))]
    assert received == [(0, "!bad"), (10, 1), (10, "!bad")]
    assert calls == [1, 1]


async def test_a_failure_keeps_its_place_at_order_points() -> None:
    """Before a task that begins in order, and in the chain after it."""

    @single_task
    async def nap(item: Any) -> Any:
        await anyio.sleep(5 if item == 1 else 1)
        if isinstance(item, str):
            raise TaskError
        return item

    ordered = nap.replace(in_order=True, concurrency_limit=2)
    data = ["a", 1, "b", 2, 3, "c"]
    assert await outcomes_of(nap | ordered | nap, data) == ["!a", 1, "!b", 2, 3, "!c"]
    assert await outcomes_of(check | ordered | ordered, data) == ["!a", 1, "!b", 2, 3, "!c"]
    pipeline = (nap | ordered).with_execution_mode("as_completed")
    assert sorted(map(str, await outcomes_of(pipeline, data))) == sorted(
        ["!a", "1", "!b", "2", "3", "!c"]
    )


async def test_a_failure_amid_a_batch_comes_before_its_results() -> None:
    """A batch has the place at which it leaves; the batches are as full as without failures."""
    log = BatchLog()
    pipeline = check | batch_task(max_size=2)(log)
    data = ["a", 1, "b", "c", 2, "d", 3, "e"]
    assert await outcomes_of(pipeline, data) == ["!a", "!b", "!c", 1, 2, "!d", "!e", 3]
    assert log.batches == [[1, 2], [3]]


@pytest.mark.parametrize("options", [{}, {"weight": lambda _: 1, "max_weight": 2}])
@pytest.mark.parametrize("limit", [1, 2])
async def test_a_failure_does_not_overtake_full_batches(
    options: dict[str, Any], limit: int
) -> None:
    """Where it goes does not depend on whether they wait for a worker when it comes."""
    log = BatchLog(duration=5)
    task = batch_task(max_size=2, concurrency_limit=limit, **options)(log)
    data = [1, 2, 3, 4, "a", 5, "b", 6, "c", 7]
    outcomes = await outcomes_of(check | task, data)
    assert outcomes == [1, 2, 3, 4, "!a", "!b", 5, 6, "!c", 7]


async def test_failures_behind_the_last_batch_are_delivered() -> None:
    """Although there is nothing more to come when it leaves."""
    log = BatchLog(duration=5)
    outcomes = await outcomes_of(check | batch_task(max_size=2)(log), [1, 2, "a", "b"])
    assert outcomes == [1, 2, "!a", "!b"]


async def test_a_failure_does_not_wait_for_a_batch_to_fill() -> None:
    """It comes at once, and the batch when it is full."""
    pipeline = check | batch_task(max_size=2)(BatchLog())
    received: list[tuple[float, Any]] = []
    async for each in pipeline.outcomes(arriving((0, 1), (1, "bad"), (9, 2))):
        received += [(current_time(), *brief([each]))]
    assert received == [(1, "!bad"), (9, 1), (9, 2)]


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_failures_cannot_take_all_places_from_a_batch(mode: str) -> None:
    """However many come while it is being gathered, in the smallest window."""
    pipeline = check | batch_task(max_size=3)(BatchLog()) | batch_task(max_size=2)(BatchLog())
    data = [1, *"abcdefgh", 2, *"ijkl", 3]
    outcomes = await outcomes_of(pipeline, data, max_in_flight=4, execution_mode=mode)
    assert outcomes == [*[f"!{letter}" for letter in "abcdefghijkl"], 1, 2, 3]


def test_a_batch_that_may_grow_lets_failures_go() -> None:
    """What waits behind a full batch is let go when that is not full any more."""
    batcher: Batcher[Slot] = Batcher(1, 2)
    chain = OrderedChain()
    stage: Any = SimpleNamespace(
        batcher=batcher, chain=chain, counters=SimpleNamespace(merged=0), gather=batcher.extend
    )
    bypass = BatchBypass(stage)
    failed = FailedSlot(Failure(TaskError(), "bad", 2, "work", 1))
    bypass.gather([Slot(1, 0), Slot(2, 1), failed])
    assert (len(batcher), len(chain)) == (2, 0)
    bypass.release()
    assert len(chain) == 0
    batcher.max_size = 3
    bypass.release()
    assert chain.take() is failed


class Pairs(BaseTask[Any, Any]):
    """Gives its items two by two."""

    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        pair: list[Any] = []
        async for item in items:
            pair.append(item)
            if len(pair) == 2:
                yield tuple(pair)
                pair.clear()


@pytest.mark.parametrize("window", [None, 3])
async def test_a_failure_passes_by_a_process(window: int | None) -> None:
    """It comes before what the process has not given when it asks for more."""
    outcomes = await outcomes_of(
        check | Pairs() | check, [1, "a", 2, 3, 4, "b"], max_in_flight=window
    )
    assert outcomes == ["!a", (1, 2), (3, 4), "!b"]


class First(BaseTask[Any, Any]):
    """Wants but so many items."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        left = self.count
        async for item in items:
            yield item
            left -= 1
            if not left:
                return


async def test_a_process_may_end_early() -> None:
    """What has failed before comes out, what fails behind is nobody's business."""
    outcomes = await outcomes_of(check | First(2) | check, ["a", 1, "b", 2, "c", 3, "d"])
    assert outcomes == ["!a", 1, "!b", 2]


# Bounds, counts and ends


async def test_a_failure_keeps_its_place_until_it_is_delivered() -> None:
    """A consumer that stops reading stops the source, also if all items fail."""
    pulled: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            pulled.append(number)
            yield -number - 1

    async with check_value.with_context(max_in_flight=5).outcomes(source()) as results:
        for taken in range(10):
            await anyio.sleep(1)
            assert len(pulled) <= 5 + taken
            await results.__anext__()
        assert len(await results.collect()) == 40
        assert results._run.window.held == 0


async def test_batches_that_fail_keep_to_the_window() -> None:
    """Each failure takes over the place of its item."""

    @batch_task(max_size=4)
    def work(batch: list[int]) -> None:
        raise TaskError

    async with work.with_context(max_in_flight=8).outcomes(range(40)) as results:
        await anyio.sleep(1)
        assert results._run.window.held <= 8
        assert len(await results.collect()) == 40
        assert results._run.window.held == 0


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_failures_are_counted(mode: Any) -> None:
    """Stage by stage; they are among what the consumer got."""

    @batch_task(max_size=2)
    def work(batch: list[int]) -> list[int]:
        if 4 in batch:
            raise TaskError
        return batch

    pipeline = (check_value | work | check_value).with_execution_mode(mode)
    async with pipeline.outcomes([1, -2, 3, 4, 5, 6, -7]) as results:
        assert len(await results.collect()) == 7
        stats = results.stats()
    assert [stage.failed for stage in stats.stages] == [2, 2, 0]
    assert [stage.items_in for stage in stats.stages] == [7, 5, 3]
    assert (stats.items_in, stats.failed, stats.items_out) == (7, 4, 7)
    assert stats.skipped == 0


async def test_other_runs_have_no_failures() -> None:
    """Without ``outcomes()`` the first failure ends the run, as always."""
    async with check([1, "bad"]) as results:
        with pytest.raises(TaskError):
            await results.collect()
        assert results.stats().failed == 0


async def test_a_worker_goes_on_after_a_failure() -> None:
    """One worker serves all, and what a call sets in its context nobody else sees."""
    variable: ContextVar[int] = ContextVar("variable", default=-1)
    seen: list[int] = []

    @single_task(concurrency_limit=1)
    async def work(item: int) -> int:
        seen.append(variable.get())
        variable.set(item)
        if item % 2:
            raise TaskError
        return item

    assert brief(await work.outcomes(range(5)).collect()) == [0, "!1", 2, "!3", 4]
    assert seen == [-1] * 5


async def test_a_consumer_may_leave() -> None:
    """As from any stream."""
    async for each in check.outcomes([1, "bad", 2]):
        assert brief([each]) == [1]
        break
    async with check.outcomes(["bad"] * 50) as results:
        await results.__anext__()


async def test_a_drained_run_delivers_its_failures() -> None:
    """What has been pulled is finished, also if it fails."""

    @single_task
    async def nap(item: int) -> int:
        await anyio.sleep(5)
        raise TaskError

    stream = nap.outcomes(arriving((0, 1), (1, 2), (3, 3)))
    async with anyio.create_task_group() as group:

        async def drain() -> None:
            await anyio.sleep(2)
            stream.drain()

        group.start_soon(drain)
        assert brief(await stream.collect()) == ["!1", "!2"]


async def test_a_pause_is_none_of_a_failure() -> None:
    """An item that asks to be repeated later is repeated."""
    asked: list[int] = []

    @single_task(max_retries=1)
    async def work(item: int) -> int:
        asked.append(item)
        if len(asked) < 4:
            raise RetryAfter(5)
        return item

    assert brief(await work.outcomes([1]).collect()) == [1]
    assert current_time() == 15


# What a failure holds


@pytest.mark.parametrize("options", [{}, {"max_retries": 1, "retry_delay": 0}])
async def test_the_traceback_begins_in_the_users_code(options: dict[str, Any]) -> None:
    """It shows what a user wants to see; a note says where it came from."""

    @single_task(**options)
    async def outer(item: int) -> int:
        return inner(item)

    def inner(item: int) -> int:
        raise TaskError

    [failure] = await outer.outcomes([1]).collect()
    assert isinstance(failure, Failure)
    frames = traceback.extract_tb(failure.error.__traceback__)
    assert [frame.name for frame in frames] == ["outer", "inner"]
    plural = "" if not options else "s"
    notes = getattr(failure.error, "__notes__", [])
    assert notes == [
        f"raised by task 'outer' for input item 0 after {1 + len(plural)} attempt{plural}"
    ]


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("options", [{}, {"max_retries": 1, "retry_delay": 0}])
async def test_a_failure_keeps_no_other_item(options: dict[str, Any], is_async: bool) -> None:
    """Although Python may keep the frames that its traceback comes from."""

    class Item:
        pass

    def work(item: Item) -> Item:
        if kept.index(weakref.ref(item)) == 2:
            raise TaskError
        return item

    async def work_later(item: Item) -> Item:
        return work(item)

    kept: list[weakref.ref[Item]] = []

    def source() -> Iterator[Item]:
        for _ in range(5):
            item = Item()
            kept.append(weakref.ref(item))
            yield item

    task: Any = SingleTask(work_later if is_async else work, **options)
    stream = task.outcomes(source())
    failures = [each async for each in stream if isinstance(each, Failure)]
    del stream
    gc.collect()
    assert [each() for each in kept] == [None, None, failures[0].item, None, None]


async def test_items_of_delivered_failures_are_let_go() -> None:
    """Nothing but the failure keeps the item and the error."""

    class Item:
        pass

    @single_task
    async def work(item: Item) -> None:
        raise TaskError

    kept: list[weakref.ref[Any]] = []

    def source() -> Iterator[Item]:
        for _ in range(20):
            item = Item()
            kept.append(weakref.ref(item))
            yield item

    async with work.with_context(max_in_flight=2).outcomes(source()) as results:
        async for failure in results:
            assert isinstance(failure, Failure)
            del failure
        await anyio.sleep(1)
        gc.collect()
        assert [each() for each in kept[:-2]] == [None] * 18
    assert isinstance(results.failures, Failures)


async def test_after_too_many_errors_no_failure_overtakes_what_came_before_it() -> None:
    """What a call returns in spite of its cancellation no longer takes part in any batch."""

    @single_task(in_order=True)
    async def check(item: int) -> int:
        if item == 2:
            await anyio.sleep(0.5)
            raise TaskError
        return item

    @batch_task(max_size=1)
    async def one(items: list[int]) -> int:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(items[0])
        return items[0]

    pair = batch_task(max_size=2)(tuple)
    pipeline = (check | one | pair).with_context(max_errors=0)
    received: list[Any] = []
    with pytest.raises(TooManyErrorsError):
        async with pipeline.outcomes(range(3)) as outcomes:
            await anyio.sleep(2)
            async for outcome in outcomes:
                received.append(outcome)  # noqa: PERF401 - it ends by an error
    assert received == []
