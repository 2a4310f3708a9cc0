"""Fallbacks: when another task takes over an item, with which options, and what if it fails too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from conveyor import (
    FAIL,
    RETRY,
    SKIP,
    Adaptive,
    BaseTask,
    ErrorHandler,
    Failed,
    Failure,
    Pipeline,
    Rate,
    Replace,
    batch_task,
    single_task,
)
from helpers import current_time, ticks


class TaskError(Exception):
    """Raised by tasks."""


class FallbackError(Exception):
    """Raised by fallbacks."""


class Failing:
    """A function that fails always, or so many times, and notes when it was called with what."""

    def __init__(self, error: Exception | None = None, times: float = 99) -> None:
        self.error = error or TaskError()
        self.times = times
        self.calls: list[tuple[float, Any]] = []

    async def __call__(self, item: Any) -> Any:
        self.calls.append((current_time(), item))
        if len(self.calls) <= self.times:
            raise self.error
        return item


class Backup:
    """A function that notes when it was called with what, and marks what it returns."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Any]] = []

    async def __call__(self, item: Any) -> Any:
        self.calls.append((current_time(), item))
        return f"{item}!"


class Answer(ErrorHandler):
    """A handler that gives one answer and notes what it was asked."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    async def handle_error(self, *args: Any) -> Any:
        self.asked.append(args)
        return self.answer


def failing_task(fallback: Any, function: Any = None, **options: Any) -> Any:
    return single_task(function or Failing(), task_name="work", fallback=fallback, **options)


# When it is called


async def test_a_fallback_takes_over_what_has_failed() -> None:
    """With the same item, whose place in the order its result takes; the count tells how often."""

    @single_task
    async def backup(item: int) -> str:
        return f"{item}!"

    @single_task(fallback=backup)
    async def work(item: int) -> int:
        if item % 2:
            raise TaskError
        return item

    async with work(range(5)) as results:
        assert await results.collect() == [0, "1!", 2, "3!", 4]
        stage = results.stats().stages[0]
    assert (stage.calls, stage.fallbacks, stage.skipped, stage.retried) == (5, 2, 0, 0)


async def test_a_fallback_comes_after_the_last_attempt() -> None:
    """All attempts with their delays come before it."""
    backup = Backup()
    failing = Failing()
    task = failing_task(
        single_task(backup), failing, max_retries=2, retry_delay=1, retry_jitter=0, retry_backoff=1
    )
    assert await task(["a"]).collect() == ["a!"]
    assert [time for time, _ in failing.calls] == [0, 1, 2]
    assert backup.calls == [(2, "a")]


async def test_a_fallback_comes_after_the_deadline_which_does_not_bound_it() -> None:
    """The deadline is that of the task's own attempts."""

    @single_task
    async def backup(item: str) -> str:
        await anyio.sleep(10)
        return f"{item}!"

    task = failing_task(backup, lambda item: anyio.sleep(99), deadline=3, timeout=2)
    assert await task(["a"]).collect() == ["a!"]
    assert current_time() == 2 + 10
    task = failing_task(backup, lambda item: anyio.sleep(99), deadline=3)
    assert await task(["a"]).collect() == ["a!"]
    assert current_time() == 12 + 3 + 10


async def test_a_fallback_comes_before_the_handler_and_on_error() -> None:
    """Neither is asked about what the fallback has settled."""
    handler = Answer(True, None)
    backup = single_task(Backup())
    assert await failing_task(backup, error_handler=handler)(["a"]).collect() == ["a!"]
    assert await failing_task(backup, on_error="skip_item")(["a"]).collect() == ["a!"]
    assert handler.asked == []


@pytest.mark.parametrize(("result", "downstream"), [(None, []), ([1, 2], [1, 2]), ((3,), [(3,)])])
async def test_what_it_returns_is_the_tasks_own_result(result: Any, downstream: list[Any]) -> None:
    """Nothing for ``None``, the elements of a list, anything else as it is."""
    task = failing_task(single_task(lambda item: result))
    async with task([0]) as results:
        assert await results.collect() == downstream
        assert results.stats().stages[0].filtered == (result is None)
    whole = failing_task(single_task(lambda item: result), flatten=False)
    assert await whole([0]).collect() == ([] if result is None else [result])


async def test_a_generator_as_fallback_passes_its_values_on() -> None:
    """Each as soon as it exists, at the item's place."""

    @single_task
    async def backup(item: int) -> AsyncIterator[int]:
        for value in range(3):
            await anyio.sleep(1)
            yield value

    received: list[tuple[float, int]] = [
        (current_time(), value) async for value in failing_task(backup)([0])
    ]
    assert received == [(1, 0), (2, 1), (3, 2)]


async def test_a_generator_that_has_passed_on_a_value_is_not_replaced() -> None:
    """Nothing takes the value back; before the first one it is replaced."""
    backup = single_task(Backup())

    @single_task(fallback=backup, on_error="skip_item")
    def values(item: int) -> Iterator[int]:
        if item:
            yield item
        raise TaskError

    async with values([0, 1, 2]) as results:
        assert await results.collect() == ["0!", 1, 2]
        stage = results.stats().stages[0]
    assert (stage.fallbacks, stage.skipped) == (1, 2)


async def test_an_item_that_has_failed_by_mistake_in_the_settings_is_not_taken_over() -> None:
    """A predicate or a cost that raises has nothing to do with the item."""
    backup = Backup()

    def broken(error: Exception) -> bool:
        raise KeyError

    task = failing_task(single_task(backup), max_retries=1, retry_on=broken)
    with pytest.raises(KeyError):
        await task([0]).collect()
    rate = Rate(1, burst=1, cost=lambda item: item.cost)
    with pytest.raises(AttributeError):
        await failing_task(single_task(backup), rate_limit=rate)([0]).collect()
    assert backup.calls == []


async def test_a_run_that_ends_calls_no_fallback() -> None:
    """A cancelled call has not failed."""
    backup = Backup()
    task = failing_task(single_task(backup), lambda item: anyio.sleep_forever())
    with anyio.move_on_after(1):
        await task([0]).collect()
    assert backup.calls == []


# Its own options


async def test_its_own_options_hold_for_its_call() -> None:
    """Attempts, delays and timeout; its retries count as the stage's."""

    @single_task(max_retries=2, retry_delay=5, retry_jitter=0, retry_backoff=1, timeout=1)
    async def backup(item: str) -> str:
        times.append(current_time())
        await anyio.sleep(9 if len(times) < 3 else 0)
        return f"{item}!"

    times: list[float] = []
    async with failing_task(backup)(["a"]) as results:
        assert await results.collect() == ["a!"]
        stage = results.stats().stages[0]
    assert times == [0, 6, 12]
    assert (stage.retried, stage.fallbacks) == (2, 1)


async def test_its_rate_limit_is_its_own() -> None:
    """Only calls of the fallback count for it."""
    backup = Backup()
    task = failing_task(single_task(backup, rate_limit=Rate(1, per=10)))
    assert await task("abc" for _ in range(3)).collect() == ["abc!"] * 3
    assert [time for time, _ in backup.calls] == [0, 10, 20]


async def test_its_own_error_policy_comes_first() -> None:
    """Skipped or replaced there, it is settled; the task's own handler is not asked."""
    outer = Answer(True, "outer")
    failing = Failing(FallbackError())
    for backup, expected in (
        (single_task(failing, on_error="skip_item"), []),
        (single_task(failing, on_error=lambda error, item: Replace("own")), ["own"]),
        (single_task(failing, error_handler=Answer(True, "own")), ["own"]),
        (single_task(failing, error_handler=Answer(False, None)), ["outer"]),
    ):
        async with failing_task(backup, error_handler=outer)(["a"]) as results:
            assert await results.collect() == expected
            assert results.stats().skipped == (not expected)
    assert len(outer.asked) == 1


async def test_a_fallback_may_have_a_fallback() -> None:
    """They are called one after another; each call of one counts."""
    last = single_task(Backup(), task_name="last")
    middle = single_task(Failing(FallbackError()), task_name="middle", fallback=last)
    async with failing_task(middle)(["a"]) as results:
        assert await results.collect() == ["a!"]
        assert results.stats().stages[0].fallbacks == 2


async def test_its_side_inputs_are_its_own() -> None:
    """Resolved when it is first needed, and once; those of the task are not passed to it."""
    asked: list[str] = []

    async def side() -> str:
        asked.append("side")
        await ticks(3)
        return "side"

    @single_task
    async def backup(item: int, side: str) -> str:
        return f"{item} {side}"

    @single_task(fallback=backup.with_inputs(side()))
    async def work(item: int, factor: int) -> int:
        if not item:
            raise TaskError
        return item * factor

    assert await work.with_inputs(5)([1, 0, 0]).collect() == [5, "0 side", "0 side"]
    assert asked == ["side"]


async def test_a_side_input_of_it_that_fails_fails_the_run() -> None:
    """That is no fault of the item, so nobody is asked what becomes of that."""

    async def side() -> str:
        raise KeyError

    backup = single_task(lambda item, side: item).with_inputs(side())
    handler = Answer(True, None)
    task = failing_task(backup.replace(task_name="backup"), error_handler=handler)
    with pytest.raises(KeyError) as caught:
        await task([0]).collect()
    assert handler.asked == []
    assert caught.value.__notes__ == ["raised by task 'backup' for input item 0 after 0 attempts"]


async def test_it_takes_a_share_of_the_parallelism() -> None:
    """The task's own has been given back by then, so one is enough, and no more are used."""
    running = most = 0

    @single_task
    async def backup(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1
        return item

    task = failing_task(backup)
    assert await task.with_context(max_parallelism=1)(range(3)).collect() == [0, 1, 2]
    assert (most, current_time()) == (1, 3)


# Failing too


async def test_if_it_fails_too_its_error_comes_out() -> None:
    """With the original one as its context, and a note that names the task that raised it."""
    first, second = Failing(), Failing(FallbackError())
    backup = single_task(second, task_name="backup", max_retries=1, retry_delay=0)
    with pytest.raises(FallbackError) as caught:
        await failing_task(backup, first)(["a"]).collect()
    assert caught.value is second.error
    assert caught.value.__context__ is first.error
    assert caught.value.__notes__ == ["raised by task 'backup' for input item 0 after 2 attempts"]


async def test_the_original_error_is_the_context_of_its_deadline() -> None:
    """Also of an error that we make ourselves."""
    first = Failing()
    backup = single_task(lambda item: anyio.sleep(9), deadline=1)
    with pytest.raises(TimeoutError) as caught:
        await failing_task(backup, first)(["a"]).collect()
    assert caught.value.__context__ is first.error


async def test_handler_and_on_error_see_its_failure() -> None:
    """The handler is told which task raised it, and after how many attempts of that."""
    error = FallbackError()
    backup = single_task(Failing(error), task_name="backup", max_retries=1, retry_delay=0)
    handler = Answer(True, "replaced")
    task = failing_task(backup, error_handler=handler, max_retries=2, retry_delay=0)
    assert await task(["a"]).collect() == ["replaced"]
    assert handler.asked == [(error, "a", "backup", 2)]
    asked: list[tuple[Exception, Any]] = []

    def decide(error: Exception, item: Any) -> Any:
        asked.append((error, item))
        return SKIP

    assert await failing_task(backup, on_error=decide)(["a"]).collect() == []
    assert asked == [(error, "a")]


async def test_a_further_attempt_is_one_of_the_task() -> None:
    """``RETRY`` tries the task once more, and the fallback after it."""
    work, backup = Failing(times=1), Failing(FallbackError())
    task = failing_task(single_task(backup), work, retry_delay=0, on_error=lambda *_: RETRY)
    assert await task(["a"]).collect() == ["a"]
    assert (len(work.calls), len(backup.calls)) == (2, 1)


async def test_a_mistake_in_its_settings_fails_the_run() -> None:
    """Its handler's error is final, as if it had been the task's own."""

    class Broken(ErrorHandler):
        async def handle_error(self, *args: Any) -> Any:
            raise KeyError

    handler = Answer(True, None)
    backup = single_task(Failing(), task_name="backup", error_handler=Broken())
    with pytest.raises(KeyError) as caught:
        await failing_task(backup, error_handler=handler)(["a"]).collect()
    assert handler.asked == []
    assert caught.value.__notes__ == ["raised by task 'backup' for input item 0 after 1 attempt"]


async def test_a_handler_that_raises_after_it_is_the_tasks() -> None:
    """The note names the task whose handler it is, and the attempts of that."""

    def broken(error: Exception, item: Any) -> Any:
        raise KeyError

    backup = single_task(Failing(FallbackError()), max_retries=2, retry_delay=0)
    with pytest.raises(KeyError) as caught:
        await failing_task(backup, on_error=broken)(["a"]).collect()
    assert isinstance(caught.value.__context__, FallbackError)
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 1 attempt"]


async def test_what_would_steer_the_machinery_names_the_fallback() -> None:
    """The ``RuntimeError`` says whose code raised a ``StopAsyncIteration``."""

    def stop(item: Any) -> None:
        raise StopAsyncIteration

    backup = single_task(stop, task_name="backup")
    with pytest.raises(RuntimeError, match=r"^task 'backup' raised StopAsyncIteration, "):
        await failing_task(backup)(["a"]).collect()


# Batches


async def test_a_batch_falls_back_to_a_batch_task() -> None:
    """Called with the same batch; what it returns is spread."""
    batches: list[list[int]] = []

    @batch_task(max_size=3)
    async def backup(batch: list[int]) -> list[int]:
        batches.append(batch)
        return [10 * item for item in batch]

    @batch_task(max_size=3, fallback=backup)
    async def work(batch: list[int]) -> list[int]:
        if 0 in batch:
            raise TaskError
        return batch

    async with work(range(5)) as results:
        assert await results.collect() == [0, 10, 20, 3, 4]
        assert results.stats().stages[0].fallbacks == 1
    assert batches == [[0, 1, 2]]


async def test_a_batch_is_split_when_its_fallback_has_failed_too() -> None:
    """Each part is tried by the task and then by its fallback."""

    @batch_task(max_size=4)
    async def backup(batch: list[int]) -> list[int]:
        if 3 in batch:
            raise FallbackError
        return [10 * item for item in batch]

    @batch_task(max_size=4, fallback=backup, on_error="skip_item")
    async def work(batch: list[int]) -> list[int]:
        if set(batch) & {2, 3}:
            raise TaskError
        return batch

    async with work(range(4)) as results:
        assert await results.collect() == [0, 1, 20]
        assert results.stats().skipped == 1
        assert results.stats().stages[0].fallbacks == 4  # all, [2, 3], [2] and [3]


async def test_the_note_on_a_batch_names_the_fallback() -> None:
    """Also where a batch could have been split."""

    @batch_task(max_size=2, task_name="backup", retry_on=lambda error: error.wrong, max_retries=1)
    async def backup(batch: list[int]) -> list[int]:
        raise FallbackError

    @batch_task(max_size=2, fallback=backup, on_error="skip_item")
    async def work(batch: list[int]) -> list[int]:
        raise TaskError

    with pytest.raises(AttributeError) as caught:
        await work(range(2)).collect()
    assert caught.value.__notes__ == ["raised by task 'backup' for input item 0 after 1 attempt"]


# Awaited calls, sources and methods


async def test_an_awaited_call_falls_back_too() -> None:
    """With the item; other arguments are the task's own, as in a pipeline."""

    @single_task
    async def backup(item: int, side: str = "default") -> str:
        return f"{item} {side}"

    @single_task(fallback=backup)
    async def work(item: int, factor: int = 1) -> int:
        raise TaskError

    assert await work(3) == "3 default"  # type: ignore[comparison-overlap]
    assert await work(3, 5) == "3 default"  # type: ignore[comparison-overlap]
    assert await work(item=3) == "3 default"  # type: ignore[comparison-overlap]
    broken = backup.replace(task_name="backup").with_inputs(unknown=3)
    with pytest.raises(TypeError) as caught:
        await work.replace(fallback=broken)(3)
    assert caught.value.__notes__ == ["raised by task 'backup' after 1 attempt"]
    assert isinstance(caught.value.__context__, TaskError)


async def test_a_source_falls_back_to_a_source() -> None:
    """Neither gets an item, nor does a fallback of the fallback."""

    @single_task
    async def last() -> list[int]:
        return [1, 2]

    @single_task(fallback=last)
    async def middle() -> list[int]:
        raise FallbackError

    @single_task(fallback=middle)
    async def source() -> list[int]:
        raise TaskError

    assert await source().collect() == [1, 2]
    assert await source() == [1, 2]  # type: ignore[comparison-overlap]


async def test_a_method_falls_back_to_a_method() -> None:
    """Bound to the same instance, also a variant of it; a task that is no method stays as it is."""

    @single_task
    async def outside(item: int) -> str:
        return f"outside {item}"

    class Client:
        def __init__(self, name: str) -> None:
            self.name = name

        @single_task
        async def backup(self, item: int) -> str:
            return f"{self.name} {item}"

        @single_task(fallback=backup)
        async def fetch(self, item: int) -> str:
            raise TaskError

        @single_task(fallback=backup.replace(timeout=5))
        async def fetch_later(self, item: int) -> str:
            raise TaskError

        @single_task(fallback=outside)
        async def fetch_outside(self, item: int) -> str:
            raise TaskError

    class Derived(Client):
        pass

    for client in (Client("base"), Derived("derived")):
        assert await client.fetch([1]).collect() == [f"{client.name} 1"]
        assert await client.fetch_later(1) == f"{client.name} 1"
        assert await client.fetch_outside([1]).collect() == ["outside 1"]


# Settings


def test_a_task_tells_its_fallback() -> None:
    """As an attribute, kept by ``replace()`` and ``with_inputs()`` unless it is replaced."""
    backup = single_task(len)
    task = failing_task(backup)
    assert task.fallback is backup
    assert task.replace(timeout=5).with_inputs(3).fallback is backup
    assert task.replace(fallback=None).fallback is None


class Process(BaseTask[Any, Any]):
    async def process(self, items: Any) -> AsyncIterator[Any]:
        async for item in items:
            yield item


@single_task
def single(item: Any) -> Any: ...


batch = batch_task(max_size=3)(single.func).replace(task_name="batch")


@pytest.mark.parametrize(
    ("fallback", "start"),
    [
        (5, "5"),
        (len, "<built-in function len>; write fallback=single_task(...) around it"),
        (Process(), "<Process 'Process'>"),
        (Pipeline(), "<Pipeline empty>"),
        (single(3), "a call of task 'single'; write fallback=single.with_inputs(...)"),
    ],
)
def test_what_is_no_task_with_a_function_is_refused(fallback: Any, start: str) -> None:
    """The message says what to write, where it can be told."""
    with pytest.raises(TypeError) as caught:
        failing_task(fallback)
    assert str(caught.value).startswith(
        f"task 'work': fallback must be a single or batch task, got {start}"
    )


@pytest.mark.parametrize(
    ("decorate", "fallback", "error", "message"),
    [
        (
            single_task(fallback=batch),
            batch,
            TypeError,
            "is a batch task, but will be called with an item; make it a single task",
        ),
        (
            batch_task(max_size=3, fallback=single),
            single,
            TypeError,
            "is a single task, but will be called with a batch; make it a batch task",
        ),
        (
            single_task(fallback=single.replace(concurrency_limit=5)),
            single,
            ValueError,
            (
                "has concurrency_limit=5, which would not hold: it is called in place of task "
                "'work', up to 100 times at once; give it a rate_limit, or task 'work' "
                "concurrency_limit=5"
            ),
        ),
        (
            single_task(fallback=single.replace(key=len)),
            single,
            ValueError,
            (
                "has key, which would not hold: it is called for the items for which task 'work' "
                "fails, as they do; leave key out"
            ),
        ),
        (
            single_task(fallback=single.replace(concurrency_limit=Adaptive(1, 200))),
            single,
            ValueError,
            (
                "has concurrency_limit=Adaptive(...), which would not hold: it is called by the "
                "workers of task 'work'; leave it out"
            ),
        ),
        (
            batch_task(max_size=3, fallback=batch.replace(batch_by=len)),
            batch,
            ValueError,
            (
                "has batch_by, which would not hold: it is called for the items for which task "
                "'work' fails, as they do; leave batch_by out"
            ),
        ),
        (
            batch_task(max_size=3, fallback=batch.replace(weight=len, max_weight=9)),
            batch,
            ValueError,
            (
                "has weight, which would not hold: it is called for the items for which task "
                "'work' fails, as they do; leave weight out"
            ),
        ),
        (
            single_task(in_order=True, fallback=single.replace(in_order=True)),
            single,
            ValueError,
            (
                "has in_order=True, which would not hold: it is called in the order in which items "
                "fail; leave in_order out"
            ),
        ),
        (
            single_task(fallback=single.replace(flatten=False)),
            single,
            ValueError,
            (
                "has flatten=False, but what it returns is treated as if task 'work' had returned "
                "it; give task 'work' flatten=False too, or let it return a tuple"
            ),
        ),
        (
            batch_task(max_size=5, fallback=batch),
            batch,
            ValueError,
            ("takes batches of at most 3, but will be called with 5 items; give it max_size=5"),
        ),
        (
            batch_task(max_size=3, fallback=batch.replace(min_size=2)),
            batch,
            ValueError,
            (
                "takes batches of at least 2, but may be called with 1 item(s); leave its min_size "
                "out"
            ),
        ),
        (
            batch_task(max_size=3, fallback=batch.replace(on_error="skip_item")),
            batch,
            ValueError,
            (
                "has on_error='skip_item', but it cannot split the batch that it is called with; "
                "give task 'work' on_error='skip_item', or the fallback on_error='skip_batch'"
            ),
        ),
    ],
)
def test_a_fallback_that_does_not_fit_is_refused(
    decorate: Any, fallback: Any, error: type[Exception], message: str
) -> None:
    """The message names both tasks, what contradicts what, and the fix."""

    def work(item: Any) -> Any: ...

    with pytest.raises(error) as caught:
        decorate(work)
    assert str(caught.value) == f"task 'work': its fallback {fallback.task_name!r} {message}"


def test_what_does_not_matter_is_taken() -> None:
    """Settings of the fallback that the task's own agree with, or that are larger."""

    def work(item: Any) -> Any: ...

    same = single.replace(concurrency_limit=3, flatten=False)
    assert single_task(fallback=same, concurrency_limit=3, flatten=False)(work).fallback is same
    assert single_task(fallback=single, flatten=False)(work).fallback is single
    large = batch.replace(max_size=9, on_error="skip_item")
    assert batch_task(max_size=5, on_error="skip_item", fallback=large)(work).fallback is large


# With the other ways out of a failure


async def test_a_fallback_may_leave_out_what_has_failed() -> None:
    """What its own on_error says holds; the task is asked no more."""

    async def fail(item: int) -> int:
        raise TaskError

    leaves_out = single_task(fail, task_name="other", on_error="skip_item")
    asked: list[int] = []

    def decide(_: Exception, item: int) -> Any:
        asked.append(item)
        return FAIL

    task = single_task(fail, fallback=leaves_out, on_error=decide)
    assert await task(range(3)).collect() == []
    assert asked == []


async def test_single_items_of_a_batch_fall_back_alone() -> None:
    """Each with a batch of its own, if the batch function names it; results keep their places."""

    @batch_task(max_size=4)
    async def ten_times(batch: list[int]) -> list[int]:
        return [10 * item for item in batch]

    @batch_task(max_size=4, fallback=ten_times)
    async def odd_only(batch: list[int]) -> list[Any]:
        return [item if item % 2 else Failed(TaskError()) for item in batch]

    stream = odd_only(range(6))
    assert await stream.collect() == [0, 1, 20, 3, 40, 5]
    assert stream.stats().stages[0].fallbacks == 3


async def test_an_item_that_fails_in_the_fallback_too_is_diverted() -> None:
    """As a failure of the task that it came to, with the error of the fallback."""

    @batch_task(max_size=4)
    async def worse(batch: list[int]) -> list[int]:
        raise FallbackError

    @batch_task(max_size=4, fallback=worse, on_error="divert")
    async def odd_only(batch: list[int]) -> list[Any]:
        return [item if item % 2 else Failed(TaskError()) for item in batch]

    stream = odd_only(range(4))
    assert await stream.collect() == [1, 3]
    assert [(type(each.error), each.item) for each in stream.failures] == [
        (FallbackError, 0),
        (FallbackError, 2),
    ]
    assert all(isinstance(each.error.__context__, TaskError) for each in stream.failures)


@pytest.mark.parametrize("is_whole", [False, True])
async def test_single_items_that_fail_in_the_fallback_too_are_the_tasks_to_decide(
    is_whole: bool,
) -> None:
    """Whether the fallback has got the whole batch or these items alone, and however it says so."""
    asked: list[tuple[str, int]] = []

    @batch_task(max_size=4)
    async def backup(batch: list[int]) -> list[Any]:
        return [Failed(FallbackError()) if item == 2 else -item for item in batch]

    def decide(error: Exception, item: int) -> Any:
        asked.append((type(error).__name__, item))
        assert isinstance(error.__context__, TaskError)
        return Replace("decided")

    @batch_task(max_size=4, fallback=backup, on_error=decide)
    async def work(batch: list[int]) -> list[Any]:
        if is_whole:
            raise TaskError
        return [Failed(TaskError()) for _ in batch]

    assert await work(range(4)).collect() == [0, -1, "decided", -3]
    assert asked == [("FallbackError", 2)]


async def test_what_the_fallback_decides_on_single_items_holds() -> None:
    """As for an item by itself; the task is asked no more."""

    @batch_task(max_size=4, on_error="divert")
    async def backup(batch: list[int]) -> list[Any]:
        return [Failed(FallbackError()) if item == 2 else -item for item in batch]

    @batch_task(max_size=4, fallback=backup, on_error=lambda error, item: Replace("asked"))
    async def work(batch: list[int]) -> list[Any]:
        raise TaskError

    stream = work(range(4))
    assert await stream.collect() == [0, -1, -3]
    assert [each.item for each in stream.failures] == [2]


async def test_a_single_item_is_tried_again_by_the_task_after_its_fallback() -> None:
    """``RETRY`` makes one more attempt of the task with that item, and keeps the other results."""
    calls: list[tuple[str, list[int]]] = []

    @batch_task(max_size=4)
    async def backup(batch: list[int]) -> list[Any]:
        calls.append(("backup", batch))
        return [Failed(FallbackError()) if item == 2 else -item for item in batch]

    @batch_task(max_size=4, fallback=backup, on_error=lambda error, item: RETRY)
    async def work(batch: list[int]) -> list[Any]:
        calls.append(("work", batch))
        if len(batch) > 1:
            raise TaskError
        return [10 * item for item in batch]

    assert await work(range(4)).collect() == [0, -1, 20, -3]
    assert calls == [("work", [0, 1, 2, 3]), ("backup", [0, 1, 2, 3]), ("work", [2])]


async def test_a_broken_handler_of_the_fallback_concerns_one_item() -> None:
    """The results of the others have been there before; an outcome tells of each."""

    class Broken(ErrorHandler):
        async def handle_error(self, *_: Any) -> Any:
            raise LookupError

    @batch_task(max_size=4, error_handler=Broken())
    async def backup(batch: list[int]) -> list[Any]:
        raise FallbackError

    @batch_task(max_size=4, fallback=backup)
    async def work(batch: list[int]) -> list[Any]:
        return [Failed(TaskError()) if item == 2 else item for item in batch]

    outcomes = await work.outcomes(range(4)).collect()
    assert [getattr(each, "value", None) for each in outcomes] == [0, 1, None, 3]
    assert isinstance(outcomes[2], Failure)
    assert isinstance(outcomes[2].error, LookupError)


async def test_a_limit_that_is_found_bounds_the_calls_of_both() -> None:
    """The fallback's calls count against it, and it learns nothing from them."""
    running = peak = 0

    async def count(item: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.sleep(1)
        running -= 1
        return item

    limit = Adaptive(2, 50, throttled_by=TaskError)

    @single_task(fallback=single_task(count), concurrency_limit=limit)
    async def work(item: int) -> int:
        raise TaskError

    assert await work(range(40)).collect() == [*range(40)]
    assert 1 <= peak <= 2


async def test_a_limit_that_is_found_learns_nothing_from_the_fallback() -> None:
    """Whose service is another one, whatever it says of itself."""

    @single_task(on_error="skip_item")
    async def overloaded(item: int) -> int:
        raise FallbackError

    limit = Adaptive(4, 50, throttled_by=FallbackError)

    @single_task(fallback=overloaded, concurrency_limit=limit)
    async def work(item: int) -> int:
        raise TaskError

    async with work(range(40)) as results:
        assert await results.collect() == []
        assert results.stats().stages[0].limit == 4
