"""``Failed``: a batch function says of single elements of its result that they have failed."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import pytest

from conveyor import (
    DIVERT,
    FAIL,
    RETRY,
    SKIP,
    BatchTask,
    Failed,
    Failure,
    Failures,
    Replace,
    RetryAfter,
    Success,
    batch_task,
    single_task,
    testing,
)
from helpers import BatchLog, arriving, current_time


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Not worth another attempt."""


class Service:
    """
    A batch function that names the items which fail, and notes when it was called with what.

    :param failures: how often each of them fails
    :param error: with what
    """

    def __init__(
        self, failures: dict[int, int], error: Callable[[], Exception] = TaskError
    ) -> None:
        self.left = Counter(failures)
        self.error = error
        self.calls: list[tuple[float, list[int]]] = []

    async def __call__(self, batch: list[int]) -> list[Any]:
        self.calls.append((current_time(), [*batch]))
        return [self.result_of(item) for item in batch]

    def result_of(self, item: int) -> Any:
        if self.left[item] > 0:
            self.left[item] -= 1
            return Failed(self.error())
        return 10 * item

    def task(self, **options: Any) -> BatchTask[int, int]:
        given: dict[str, Any] = {"retry_jitter": 0, "max_size": 4, **options}
        return BatchTask(self, task_name="store", **given)


# Attempts


async def test_failed_items_are_repeated_together() -> None:
    """As a smaller batch, after the usual delay; the results are where they belong."""
    service = Service({1: 1, 3: 2, 6: 1})
    async with service.task(max_retries=2)(range(8)) as results:
        assert await results.collect() == [0, 10, 20, 30, 40, 50, 60, 70]
        stats = results.stats()
        assert results._run.window.held == 0
    assert service.calls == [
        (0, [0, 1, 2, 3]),
        (1, [1, 3]),
        (3, [3]),
        (3, [4, 5, 6, 7]),
        (4, [6]),
    ]
    assert (stats.stages[0].calls, stats.stages[0].retried) == (2, 3)


async def test_attempts_are_bounded() -> None:
    """Then the item has failed for good, and tells how often it was tried."""
    service = Service({2: 9})
    with pytest.raises(TaskError) as caught:
        await service.task(max_retries=2, retry_delay=0)(range(4)).collect()
    assert [batch for _, batch in service.calls] == [[0, 1, 2, 3], [2], [2]]
    assert caught.value.__notes__ == ["raised by task 'store' for input item 2 after 3 attempts"]


async def test_only_what_is_worth_it_is_repeated() -> None:
    """``retry_on`` is asked for each; the others go their way at once."""
    errors = iter([TaskError(), OtherError()])
    service = Service({1: 1, 2: 1}, lambda: next(errors))
    task = service.task(max_retries=3, retry_on=TaskError, on_error="divert")
    async with task(range(4)) as results:
        assert await results.collect() == [0, 10, 30]
        assert [(each.item, each.attempts) for each in results.failures] == [(2, 1)]
    assert [batch for _, batch in service.calls] == [[0, 1, 2, 3], [1]]


async def test_the_longest_delay_counts() -> None:
    """If the errors ask for several."""
    service = Service({1: 1, 2: 1})
    delays = iter([2.0, 5.0])
    task = service.task(max_retries=1, retry_on=lambda error: next(delays))
    assert await task(range(4)).collect() == [0, 10, 20, 30]
    assert service.calls == [(0, [0, 1, 2, 3]), (5, [1, 2])]


async def test_a_smaller_batch_may_fail_as_a_whole() -> None:
    """It counts as an attempt of its items."""
    calls: list[list[int]] = []

    @batch_task(max_size=4, max_retries=2, retry_delay=0)
    def store(batch: list[int]) -> list[Any]:
        calls.append(batch)
        if len(calls) == 2:
            raise TaskError
        return [Failed(TaskError()) if len(calls) == 1 and item % 2 else item for item in batch]

    assert await store(range(4)).collect() == [0, 1, 2, 3]
    assert calls == [[0, 1, 2, 3], [1, 3], [1, 3]]

    calls.clear()
    outcomes = await store.replace(retry_attempts=2).outcomes(range(4)).collect()
    assert [type(each) for each in outcomes] == [Success, Failure, Success, Failure]
    assert [(each.item, each.attempts) for each in outcomes if isinstance(each, Failure)] == [
        (1, 2),
        (3, 2),
    ]


async def test_a_smaller_batch_is_isolated_as_well() -> None:
    """With ``on_error="skip_item"`` it is split when it fails as a whole."""
    calls: list[list[int]] = []

    @batch_task(max_size=4, retry_attempts=2, retry_delay=0, on_error="skip_item")
    def store(batch: list[int]) -> list[Any]:
        calls.append(batch)
        if len(batch) < 4 and 2 in batch:
            raise TaskError
        return [Failed(TaskError()) if len(batch) == 4 and item else item for item in batch]

    async with store(range(4)) as results:
        assert await results.collect() == [0, 1, 3]
        assert results.stats().skipped == 1
    assert calls == [[0, 1, 2, 3], [1, 2, 3], [1], [2, 3], [2, 3], [2], [2], [3]]


async def test_the_deadline_is_that_of_the_batch() -> None:
    """Repetitions that would come too late are not made."""
    service = Service({1: 9})
    with pytest.raises(TaskError):
        await service.task(max_retries=9, deadline=5)(range(4)).collect()
    assert ([when for when, _ in service.calls], current_time()) == ([0, 1, 3], 3)


async def test_an_item_may_ask_for_a_pause() -> None:
    """It is repeated then, and that uses up no attempt."""
    service = Service({1: 2}, lambda: RetryAfter(5))
    task = service.task(max_retries=1)
    assert await task(range(6)).collect() == [0, 10, 20, 30, 40, 50]
    assert service.calls == [(0, [0, 1, 2, 3]), (5, [1]), (10, [1]), (10, [4, 5])]


async def test_a_pause_among_other_errors_is_just_a_pause() -> None:
    """The attempt counts for all of them, and waits for its end."""
    errors: list[Exception] = [RetryAfter(5), TaskError(), TaskError()]
    service = Service({1: 1, 2: 2}, lambda: errors.pop(0))
    task = service.task(max_retries=1, on_error="skip_item")
    assert await task(range(4)).collect() == [0, 10, 30]
    assert service.calls == [(0, [0, 1, 2, 3]), (5, [1, 2])]


# What becomes of the items


async def test_by_default_the_run_ends() -> None:
    """With the item's own error and index; what is before it comes first."""
    service = Service({5: 1})
    received = []
    with pytest.raises(TaskError) as caught:
        async for result in service.task()(range(8)):
            received.append(result)  # noqa: PERF401 - each counts, though an error follows
    assert received == [0, 10, 20, 30, 40]
    assert caught.value.__notes__ == ["raised by task 'store' for input item 5 after 1 attempt"]


@pytest.mark.parametrize("on_error", ["skip_item", "skip_batch"])
async def test_failed_items_are_left_out(on_error: str) -> None:
    """They alone, whatever would become of a batch."""
    service = Service({1: 1, 2: 1})
    async with service.task(on_error=on_error)(range(6)) as results:
        assert await results.collect() == [0, 30, 40, 50]
        assert results.stats().skipped == 2
        assert results._run.window.held == 0
    assert len(service.calls) == 2


async def test_failed_items_are_diverted() -> None:
    """With their own indices."""
    async with Service({1: 1, 6: 1}).task(on_error="divert")(range(8)) as results:
        assert await results.collect() == [0, 20, 30, 40, 50, 70]
        assert [(each.item, each.index) for each in results.failures] == [(1, 1), (6, 6)]
        assert results.stats().diverted == 2


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_failed_items_are_outcomes_in_their_places(mode: Any) -> None:
    """Between the results of the batch."""
    task = Service({1: 1, 3: 1, 4: 1}).task().with_execution_mode(mode)
    async with task.outcomes(range(6)) as results:
        outcomes = [
            each.value if isinstance(each, Success) else f"!{each.item}" async for each in results
        ]
        assert results.stats().failed == 3
        assert results._run.window.held == 0
    assert outcomes == [0, "!1", 20, "!3", "!4", 50]


async def test_a_function_is_asked_for_each_item() -> None:
    """With its error and the item, not the batch."""
    asked: list[tuple[type[Exception], int]] = []
    answers: dict[int, Any] = {0: SKIP, 1: Replace("one"), 2: DIVERT, 3: RETRY, 5: FAIL}

    def decide(error: Exception, item: int) -> Any:
        asked.append((type(error), item))
        return answers[item]

    service = Service({0: 1, 1: 1, 2: 1, 3: 1, 5: 1})
    async with service.task(on_error=decide)(range(8)) as results:
        received = []
        with pytest.raises(TaskError):
            async for result in results:
                received.append(result)  # noqa: PERF401 - each counts
        assert received == ["one", 30, 40]
        assert [each.item for each in results.failures] == [2]
        assert results.stats().skipped == 1
    assert asked == [(TaskError, item) for item in (0, 1, 2, 3, 5)]
    assert service.calls == [(0, [0, 1, 2, 3]), (1, [3]), (1, [4, 5, 6, 7])]


async def test_retry_is_bounded() -> None:
    """A hundred times, however many items ask for it."""
    service = Service(dict.fromkeys(range(4), 999))
    task = service.task(on_error=lambda error, item: RETRY, retry_delay=0)
    with pytest.raises(TaskError):
        await task(range(4)).collect()
    assert len(service.calls) == 101


async def test_a_handler_is_asked_for_each_item() -> None:
    """As if each were a batch of its own."""

    class Handler:
        async def handle_error(
            self, error: Exception, item: int, task_name: str, attempt: int
        ) -> tuple[bool, Any]:
            return True, (item, task_name, attempt, type(error))

    task = Service({2: 9}).task(error_handler=Handler(), max_retries=1)
    assert await task(range(4)).collect() == [0, 10, (2, "store", 2, TaskError), 30]


async def test_a_handler_that_raises() -> None:
    """Its error is the item's, the original one the context."""

    def broken(error: Exception, item: int) -> Any:
        raise OtherError

    task = Service({2: 9}).task(on_error=broken)
    with pytest.raises(OtherError) as caught:
        await task(range(4)).collect()
    assert type(caught.value.__context__) is TaskError
    assert caught.value.__notes__ == ["raised by task 'store' for input item 2 after 1 attempt"]


async def test_a_list_that_is_kept_whole_lacks_the_failed_ones() -> None:
    """And is nothing if there are no others."""
    task = Service({1: 1, 4: 1, 5: 1}).task(on_error="skip_item", flatten=False)
    async with task(range(6)) as results:
        assert await results.collect() == [[0, 20, 30]]
        assert results._run.window.held == 0


async def test_results_beside_failed_ones_keep_to_the_window() -> None:
    """They take over the places of the items."""
    task = Service(dict.fromkeys(range(0, 40, 4), 1)).task(on_error="skip_item")
    async with task.with_context(max_in_flight=8)(range(40)) as results:
        for _ in range(5):
            await anyio.sleep(1)
            assert results._run.window.held <= 8
            await anext(results)
        assert len(await results.collect()) == 25


async def test_what_becomes_of_items_takes_over_their_places() -> None:
    """Also while something is waited for before the whole batch is done."""

    def decide(error: Exception, item: int) -> Any:
        return DIVERT if item == 2 else FAIL

    async def on_failure(failure: Failure) -> None:
        await anyio.sleep(5)

    task = Service({1: 1, 2: 1}).task(on_error=decide)
    pipeline = task.with_context(max_in_flight=4, on_failure=on_failure)
    async with pipeline.outcomes(range(4)) as results:
        await anyio.sleep(1)
        assert results._run.window.held == 4
        assert len(await results.collect()) == 3
        assert (results._run.window.held, current_time()) == (0, 5)


async def test_indices_are_those_of_the_batch_though_more_items_come() -> None:
    """What has been pulled while the function was at work does not mix them up."""

    @batch_task(max_size=2, on_error="divert")
    async def store(batch: list[int]) -> list[Any]:
        await anyio.sleep(5)
        return [Failed(TaskError())] * len(batch)

    stream = store(range(8))
    assert await stream.collect() == []
    assert [(each.item, each.index) for each in stream.failures] == [(n, n) for n in range(8)]


@pytest.mark.parametrize("on_error", ["fail", "divert", "skip_item"])
async def test_slots_of_batches_are_used_again(on_error: str) -> None:
    """Whatever becomes of the batch; else a new one for each item."""

    @batch_task(max_size=4, on_error=on_error)
    async def store(batch: list[int]) -> list[int]:
        if on_error != "fail":
            raise TaskError
        return batch

    source = arriving(*[(0, item) for item in range(4)], (5, 4))
    async with store.with_context(max_in_flight=8)(source) as results:
        await anyio.sleep(1)
        assert len(results._run.chains[0].spare) == 4
        await results.collect()


async def test_an_end_of_an_iteration_is_a_runtime_error() -> None:
    """As if the function had raised it."""
    with pytest.raises(RuntimeError, match="task 'store' raised StopIteration"):
        await Service({1: 1}, StopIteration).task()([1]).collect()


async def test_an_awaited_call_knows_it_too() -> None:
    """Attempts, ``on_error``, and an error if there is nothing else."""
    service = Service({1: 1, 2: 9})
    task = service.task(max_retries=1, on_error="skip_item")
    assert await task([0, 1, 2, 3]) == [0, 10, 30]
    assert [batch for _, batch in service.calls] == [[0, 1, 2, 3], [1, 2]]
    for on_error in ("fail", "divert"):
        with pytest.raises(TaskError) as caught:
            await Service({2: 1}).task(on_error=on_error)([0, 1, 2])
        assert caught.value.__notes__ == ["raised by task 'store' after 1 attempt"]


async def test_further_arguments_come_again() -> None:
    """When a part of the batch is repeated."""
    calls: list[tuple[list[int], int]] = []

    @batch_task(max_size=3, max_retries=1, retry_delay=0)
    def store(batch: list[int], factor: int) -> list[Any]:
        calls.append((batch, factor))
        first = len(calls) == 1
        return [Failed(TaskError()) if first and item == 1 else item * factor for item in batch]

    assert await store([0, 1, 2], 5) == [0, 5, 10]
    assert calls == [([0, 1, 2], 5), ([1], 5)]


# Mistakes


@pytest.mark.parametrize("on_error", ["fail", "skip_item", "divert"])
@pytest.mark.parametrize("make", ["run", "outcomes"])
async def test_the_list_has_as_many_elements_as_the_batch(on_error: str, make: str) -> None:
    """Otherwise nobody knows which items are meant; this ends the run, whatever the settings."""

    @batch_task(max_size=3, on_error=on_error, max_retries=2)
    def store(batch: list[int]) -> list[Any]:
        return [1, Failed(TaskError())]

    stream: Any = store(range(3)) if make == "run" else store.outcomes(range(3))
    message = (
        "task 'store' returned a list with Failed in it for 3 items, so it must have 3 elements, "
        "one for each item; it has 2"
    )
    with pytest.raises(ValueError, match=f"^{message}"):
        await stream.collect()


async def test_a_smaller_batch_gives_a_list_too() -> None:
    """Its results go to places of the larger one."""
    results: list[Any] = [[Failed(TaskError()), 1], 2]

    @batch_task(max_size=2, max_retries=1, retry_delay=0)
    def store(batch: list[int]) -> Any:
        return results.pop(0)

    with pytest.raises(TypeError) as caught:
        await store([1, 2]).collect()
    assert str(caught.value) == (
        "task 'store' has returned Failed for these items, and now a int for them; return a list "
        "with an element for each item"
    )


async def test_without_failed_the_list_may_have_any_length() -> None:
    """As ever, also after there has been one somewhere."""
    Failed(TaskError())

    @batch_task(max_size=3)
    def store(batch: list[int]) -> list[int]:
        return [*batch, 0]

    assert await store([1, 2, 3]).collect() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("error", "got"),
    [
        ("text", "str"),
        (TaskError, "the class TaskError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_failed_needs_an_error(error: Any, got: str) -> None:
    """An instance; the message says what to write."""
    with pytest.raises(TypeError) as caught:
        Failed(error)
    assert str(caught.value) == (
        f"Failed needs an error, an instance of Exception, got {got}; write Failed(ValueError(...))"
    )


def test_failed_comes_from_other_processes() -> None:
    """It can be pickled, and one that was is found in results, too."""
    pickled = pickle.dumps(Failed(TaskError("text")))
    Failed.is_used = False
    copy = pickle.loads(pickled)
    assert Failed.is_used
    assert (type(copy), type(copy.error), copy.error.args) == (Failed, TaskError, ("text",))


def test_failed_does_not_show_values() -> None:
    """Messages of errors tend to quote them."""
    assert repr(Failed(TaskError("secret"))) == "Failed(<TaskError>)"


async def test_the_run_is_stopped_amid_repetitions() -> None:
    """Nothing is called after that."""
    service = Service({1: 99})
    async with service.task(max_retries=99, retry_exponential_backoff=False)(range(4)):
        await anyio.sleep(2.5)
    await anyio.sleep(5)
    assert [when for when, _ in service.calls] == [0, 1, 2]


# Random runs


@pytest.mark.parametrize("seed", range(100))
def test_random_runs_lose_no_item(seed: int, anyio_backend_name: str) -> None:
    """Each item succeeds when its turn to do so comes, or fails after all attempts."""
    random = Random(seed)
    count, attempts = random.randrange(40), random.randrange(1, 4)
    failures = {item: random.choice([0, 0, 0, 1, 2, 9]) for item in range(count)}
    on_error: Any = random.choice(["fail", "divert", "skip_item"])
    calls: Counter[int] = Counter()

    @batch_task(
        max_size=random.randrange(1, 7),
        concurrency_limit=random.randrange(1, 4),
        retry_attempts=attempts,
        retry_delay=random.randrange(2),
        on_error=on_error,
    )
    async def store(batch: list[int]) -> list[int | Failed]:
        await anyio.sleep(random.randrange(3))
        calls.update(batch)
        return [Failed(TaskError()) if calls[i] <= failures[i] else i for i in batch]

    @single_task(in_order=random.random() < 0.5)
    async def nap(item: int) -> int:
        await anyio.sleep(random.randrange(3))
        return item

    pipeline = (nap | store | nap | batch_task(max_size=2)(BatchLog())).with_context(
        max_in_flight=random.choice([None, 18, 25])
    )

    async def play() -> tuple[list[Any], Failures]:
        async with pipeline.outcomes(range(count)) as results:
            outcomes = [outcome async for outcome in results]
            assert results._run.window.held == 0
            return outcomes, results.failures

    outcomes, diverted = testing.run(play, backend=anyio_backend_name, seed=seed)
    failed = [each for each in outcomes if isinstance(each, Failure)]
    lost = [item for item in range(count) if failures[item] >= attempts]
    assert [each.value for each in outcomes if isinstance(each, Success)] == [
        item for item in range(count) if failures[item] < attempts
    ]
    assert [each.item for each in failed] == (lost if on_error == "fail" else [])
    assert sorted(each.item for each in diverted) == (lost if on_error == "divert" else [])
    assert all((each.index, each.attempts) == (each.item, attempts) for each in failed)
    assert calls == {item: min(failures[item] + 1, attempts) for item in range(count)}


async def test_a_pause_that_one_item_asks_for_is_not_waited_for_in_vain() -> None:
    """If it would end after the deadline, those that were to be repeated have failed at once."""

    @batch_task(max_size=2, max_retries=2, retry_delay=0, deadline=10, on_error="divert")
    async def insert(batch: list[int]) -> list[Any]:
        return [Failed(RetryAfter(100)), Failed(TaskError())]

    stream = insert(range(2))
    assert await stream.collect() == []
    assert current_time() == 0
    assert [type(failure.error) for failure in stream.failures] == [RetryAfter, TaskError]
