"""
The README that users of the library have read, snippet by snippet.

Where a snippet uses ``asyncio.sleep``, the test's argument *asyncio* stands for its ``import
asyncio``: once the real module, on asyncio only, and once AnyIO, on both backends.
"""

from __future__ import annotations

import asyncio as real_asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import pytest

from conveyor import AsyncStream, ErrorHandler, Pipeline, batch_task, single_task
from conveyor.testing.asyncio_time import VirtualTimeLoop
from helpers import current_time

Main = Callable[[], Coroutine[Any, Any, None]]

both_ways = pytest.mark.parametrize(
    ("anyio_backend", "asyncio"),
    [
        pytest.param("asyncio", real_asyncio, id="as_written"),
        pytest.param("asyncio", anyio, id="asyncio"),
        pytest.param("trio", anyio, id="trio"),
    ],
    indirect=["anyio_backend"],
)


async def timed(stream: AsyncIterable[Any]) -> list[tuple[Any, float]]:
    """Return each result with the time of its arrival."""
    return [(result, current_time()) async for result in stream]


# Quick start


def quick_start(asyncio: Any) -> tuple[Pipeline[int, int], Main]:
    """Return the pipeline and the main() of the quick start."""

    # Define some tasks
    @single_task
    async def multiply_by_two(x: int) -> int:
        print(f"Multiplying {x} by 2")
        await asyncio.sleep(0.01)  # simulate io-bound work
        return x * 2

    @batch_task(max_size=3)
    async def sum_batch(batch: list[int]) -> int:
        print(f"Summing batch: {batch}")
        await asyncio.sleep(0.05)  # simulate io-bound work
        s = sum(batch)
        print(f"Sum of batch {batch} is {s}")
        return s

    @single_task
    async def add_ten(x: int) -> int:
        print(f"Adding 10 to {x}")
        await asyncio.sleep(0.01)
        return x + 10

    async def main():
        # Create a pipeline
        pipeline = multiply_by_two | sum_batch | add_ten

        data_source = [1, 2, 3, 4, 5, 6, 7]

        # Option 1: Process results as they come
        print("Streaming results as they come...")
        stream = pipeline(data_source)
        async for item in stream:
            print(f"Streamed item: {item}")

        # Option 2: Collect all results
        print("\nCollecting all results...")
        # Re-create stream for fresh iteration
        results = await pipeline(data_source).collect()
        print(f"Collected results: {results}")

    return multiply_by_two | sum_batch | add_ten, main


def results_printed(output: str) -> list[str]:
    """Return the lines with results out of what the quick start prints."""
    return [line for line in output.splitlines() if line.startswith(("Streamed", "Collected"))]


QUICK_START_RESULTS = [
    "Streamed item: 22",
    "Streamed item: 40",
    "Streamed item: 24",
    "Collected results: [22, 40, 24]",
]


@both_ways
async def test_quick_start_prints_22_40_24(
    asyncio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Streamed and collected, the quick start's results are 22, 40 and 24."""
    _, main = quick_start(asyncio)
    await main()
    assert results_printed(capsys.readouterr().out) == QUICK_START_RESULTS


def test_quick_start_runs_under_asyncio_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program ends with ``asyncio.run(main())`` and needs nothing else."""
    monkeypatch.setattr(real_asyncio.events, "new_event_loop", VirtualTimeLoop)
    _, main = quick_start(real_asyncio)
    real_asyncio.run(main())
    assert results_printed(capsys.readouterr().out) == QUICK_START_RESULTS


@both_ways
async def test_quick_start_works_on_the_batches_of_the_flow_diagram(
    asyncio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The batches are those that the comments and the diagram show."""
    pipeline, _ = quick_start(asyncio)
    assert await pipeline([1, 2, 3, 4, 5, 6, 7]).collect() == [22, 40, 24]
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("Sum of batch")] == [
        "Sum of batch [2, 4, 6] is 12",
        "Sum of batch [8, 10, 12] is 30",
        "Sum of batch [14] is 14",
    ]


@both_ways
async def test_quick_start_delivers_early_results(asyncio: Any) -> None:
    """Each batch's result arrives as soon as that batch went through, not with the last one."""
    pipeline, _ = quick_start(asyncio)
    arrivals = await timed(pipeline([1, 2, 3, 4, 5, 6, 7]))
    assert [result for result, _ in arrivals] == [22, 40, 24]
    assert [time for _, time in arrivals] == pytest.approx([0.07, 0.12, 0.17])


# Stream processing versus collecting results

TIMES = [0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 0.7, 0.8]
data_source = list(enumerate(TIMES, start=1))


def timeline(asyncio: Any) -> Pipeline[tuple[int, float], int]:
    """Return a pipeline whose items say how long they take."""

    @single_task
    async def work(item: tuple[int, float]) -> int:
        number, processing_time = item
        await asyncio.sleep(processing_time)
        return number

    return Pipeline().add(work)


ORDERED = [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5), (6, 2.0), (7, 2.0), (8, 2.0)]
COMPLETED = [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5), (7, 0.7), (8, 0.8), (6, 2.0)]


@both_ways
async def test_timeline_yields_five_results_at_once_and_three_after_the_outlier(
    asyncio: Any,
) -> None:
    """In order, results 1 to 5 arrive when they are ready, 6 to 8 at 2.0 s."""
    pipeline = timeline(asyncio)
    arrivals = []
    async for result in pipeline(data_source):
        print(f"Got a result in original order: {result}")
        arrivals.append((result, current_time()))
    assert arrivals == ORDERED


@both_ways
async def test_timeline_as_completed_yields_each_result_at_its_own_time(asyncio: Any) -> None:
    """With as_completed() every result arrives when it is ready."""
    pipeline = timeline(asyncio)
    arrivals = []
    async for result in pipeline.as_completed(data_source):
        print(f"Got a completed result (fastest first): {result}")
        arrivals.append((result, current_time()))
    assert arrivals == COMPLETED


@both_ways
async def test_timeline_in_execution_mode_as_completed(asyncio: Any) -> None:
    """The execution mode does what as_completed() does."""
    pipeline = timeline(asyncio)
    stream = pipeline.with_execution_mode("as_completed")(data_source)
    arrivals = []
    async for result in stream:
        print(f"Got result in completion order: {result}")
        arrivals.append((result, current_time()))
    assert arrivals == COMPLETED


@both_ways
async def test_timeline_collected_in_input_order(asyncio: Any) -> None:
    """collect() waits for everything and returns it in input order."""
    pipeline = timeline(asyncio)
    results = await pipeline(data_source).collect()
    print(f"All results are ready: {results}")
    assert results == [1, 2, 3, 4, 5, 6, 7, 8]
    assert current_time() == 2.0


@both_ways
async def test_timeline_collected_in_completion_order(asyncio: Any) -> None:
    """collect() on as_completed() returns the results fastest first."""
    pipeline = timeline(asyncio)
    results = await pipeline.as_completed(data_source).collect()
    print(f"All results collected in completion order: {results}")
    assert results == [1, 2, 3, 4, 5, 7, 8, 6]
    assert current_time() == 2.0


@both_ways
async def test_later_stages_start_before_earlier_ones_are_through(asyncio: Any) -> None:
    """An item enters the second stage when it leaves the first, whatever the outlier does."""
    entered = {}

    @single_task
    async def note(number: int) -> int:
        entered[number] = current_time()
        return number

    assert await (timeline(asyncio) | note)(data_source).collect() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert entered == dict(COMPLETED)


# Understanding task types


async def test_final_batch_of_at_least_min_size_is_processed() -> None:
    """A remainder smaller than max_size but not than min_size is a final batch."""

    @batch_task(max_size=3, min_size=2)
    async def whole(batch: list[int]) -> tuple[int, ...]:
        return tuple(batch)

    assert await whole([1, 2, 3, 4, 5]).collect() == [(1, 2, 3), (4, 5)]


async def test_final_batch_below_min_size_is_not_processed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A remainder smaller than min_size is left out, and that is logged."""

    @batch_task(max_size=3, min_size=2)
    async def whole(batch: list[int]) -> tuple[int, ...]:
        return tuple(batch)

    stream = Pipeline().add(whole)([1, 2, 3, 4])
    assert await stream.collect() == [(1, 2, 3)]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert stream.stats().dropped == 1


# Side inputs


@single_task
async def multiply_by_two(x: int) -> int:
    return x * 2


@batch_task(max_size=3)
async def sum_batch(batch: list[int]) -> int:
    return sum(batch)


# A task that waits for another data source
@single_task
async def wait_for_other_source(x: int, other_stream) -> int:
    other_value = await anext(other_stream)
    print(f"Combined main value {x} with other value {other_value}")
    return x + other_value


def secondary_data(asyncio: Any) -> AsyncIterator[int]:
    """Call the generator of the snippets."""

    async def generate_secondary_data():
        for i in range(10, 40, 10):
            yield i
            await asyncio.sleep(0.02)

    return generate_secondary_data()


COMBINED = [
    "Combined main value 2 with other value 10",
    "Combined main value 4 with other value 20",
    "Combined main value 6 with other value 30",
    "Results: [24, 48, 72]",
]


@both_ways
async def test_side_stream_given_by_a_call_in_the_pipe(
    asyncio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call amid ``|`` binds its argument after the item: [24, 48, 72]."""
    # Create the secondary stream
    secondary_stream = secondary_data(asyncio)

    # Create pipeline with the custom task
    pipeline = multiply_by_two | wait_for_other_source(secondary_stream) | multiply_by_two

    data = [1, 2, 3]
    results = await pipeline(data).collect()
    print(f"Results: {results}")

    assert results == [24, 48, 72]
    assert capsys.readouterr().out.splitlines() == COMBINED
    await secondary_stream.aclose()  # Trio warns of generators that nobody closes


@both_ways
async def test_side_stream_given_by_with_inputs(
    asyncio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """with_inputs() binds its argument after the item: [24, 48, 72]."""
    # Create the secondary stream
    secondary_stream = secondary_data(asyncio)

    # Create pipeline with the custom task
    pipeline = (
        multiply_by_two | wait_for_other_source.with_inputs(secondary_stream) | multiply_by_two
    )

    data = [1, 2, 3]
    results = await pipeline(data).collect()
    print(f"Results: {results}")

    assert results == [24, 48, 72]
    assert capsys.readouterr().out.splitlines() == COMBINED
    await secondary_stream.aclose()


@single_task
async def add(x: int, y: int) -> int:
    return x + y


async def test_side_input_regular_value() -> None:
    """A regular value is passed to every call."""
    assert await add.with_inputs(10)([1, 2, 3]).collect() == [11, 12, 13]
    assert await add.with_inputs(y=10)([1, 2, 3]).collect() == [11, 12, 13]


@both_ways
async def test_side_input_coroutine_is_awaited_once(asyncio: Any) -> None:
    """A coroutine is awaited and its result passed to every call."""
    fetched = []

    async def fetch_offset() -> int:
        await asyncio.sleep(0.5)
        fetched.append(current_time())
        return 100

    assert await add.with_inputs(fetch_offset())([1, 2, 3]).collect() == [101, 102, 103]
    assert fetched == [0.5]


@both_ways
async def test_side_input_stream_gives_its_first_item(asyncio: Any) -> None:
    """Of an AsyncStream the first item is taken, for all calls."""
    source = secondary_data(asyncio)
    assert await add.with_inputs(AsyncStream(source))([1, 2, 3]).collect() == [11, 12, 13]
    await source.aclose()


async def test_side_input_stream_of_a_pipeline_gives_its_first_item() -> None:
    """The stream of another pipeline is a side input like any AsyncStream."""
    total = sum_batch([1, 2, 3, 4])
    assert await add.with_inputs(total)([1, 2, 3]).collect() == [7, 8, 9]


# Error handling


class Draws:
    """A stand-in for the random module that draws given numbers for each item."""

    def __init__(self, numbers: dict[int, list[float]]) -> None:
        self.numbers = {x: iter(drawn) for x, drawn in numbers.items()}

    def random(self) -> float:
        # Which of several items waking at once draws first is up to the event loop.
        item = sys._getframe(1).f_locals["x"]
        return next(self.numbers[item]) if item in self.numbers else 0.9


def error_handling(asyncio: Any, random: Draws) -> tuple[Any, Any, Any, Any, Main]:
    """Return the four tasks and the main() of the error handling example."""

    # Task that skips failing items
    @single_task(on_error="skip_item")
    async def unreliable_task(x: int) -> int:
        await asyncio.sleep(0.01)
        if random.random() < 0.3:  # 30% failure rate
            raise ValueError(f"Random failure processing {x}")
        return x * 2

    # Task with retry logic
    @single_task(
        retry_attempts=3,
        retry_delay=0.1,
        retry_exponential_backoff=True,
        on_error="skip_item",
    )
    async def task_with_retry(x: int) -> int:
        if random.random() < 0.5:  # 50% failure rate
            raise ValueError(f"Temporary failure processing {x}")
        return x + 100

    # Batch task that skips entire batch on any failure
    @batch_task(max_size=3, on_error="skip_batch")
    async def sensitive_batch_task(batch: list[int]) -> int:
        if any(x < 0 for x in batch):
            raise ValueError("Negative numbers not allowed in batch")
        return sum(batch)

    # Custom error handler for business logic
    class BusinessErrorHandler(ErrorHandler):
        async def handle_error(
            self, error: Exception, item, task_name: str, attempt: int
        ) -> tuple[bool, any]:
            if isinstance(error, ValueError) and "business rule" in str(error):
                print(f"Business rule violation in {task_name}: {error}")
                return True, -1  # Continue with sentinel value
            return False, None  # Re-raise other errors

    @single_task(error_handler=BusinessErrorHandler())
    async def business_task(x: int) -> int:
        if x % 7 == 0:
            raise ValueError("business rule: multiples of 7 not allowed")
        return x * 5

    async def main_error_handling():
        data = [1, 2, -1, 3, 4, 5, 6, 7, 8]

        print("1. Skip failing items:")
        pipeline1 = unreliable_task | sensitive_batch_task
        results1 = await pipeline1(data).collect()
        print(f"Results: {results1}")

        print("\n2. Retry with backoff:")
        pipeline2 = task_with_retry
        results2 = await pipeline2([1, 2, 3]).collect()
        print(f"Results: {results2}")

        print("\n3. Custom error handler:")
        pipeline3 = business_task
        results3 = await pipeline3([1, 2, 7, 14, 21]).collect()
        print(f"Results: {results3}")

    return (
        unreliable_task,
        task_with_retry,
        sensitive_batch_task,
        business_task,
        main_error_handling,
    )


@both_ways
async def test_error_handling_example_without_bad_luck(
    asyncio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If nothing fails at random, only the negative batch and the multiples of 7 are special."""
    violation = "business rule: multiples of 7 not allowed"
    violation = f"Business rule violation in business_task: {violation}"
    *_, main_error_handling = error_handling(asyncio, Draws({}))
    await main_error_handling()
    assert capsys.readouterr().out.splitlines() == [
        "1. Skip failing items:",
        "Results: [24, 42]",
        "",
        "2. Retry with backoff:",
        "Results: [101, 102, 103]",
        "",
        "3. Custom error handler:",
        *[violation] * 3,
        "Results: [5, 10, -1, -1, -1]",
    ]


@both_ways
async def test_skipped_items_leave_their_place_in_the_batch_to_the_next(asyncio: Any) -> None:
    """Item 4 fails and is skipped, so 5 and 6 join 3; the batch with -2 is skipped whole."""
    unreliable_task, _, sensitive_batch_task, *_ = error_handling(asyncio, Draws({4: [0.1]}))
    pipeline1 = unreliable_task | sensitive_batch_task
    data = [1, 2, -1, 3, 4, 5, 6, 7, 8]
    assert await pipeline1(data).collect() == [6 + 10 + 12, 14 + 16]


@both_ways
async def test_retries_come_with_backoff_and_end_in_skipping(asyncio: Any) -> None:
    """Item 2 succeeds at its second attempt, item 3 fails three times and is skipped."""
    draws = Draws({2: [0.1, 0.9], 3: [0.1, 0.1, 0.1]})
    _, task_with_retry, *_ = error_handling(asyncio, draws)
    pipeline2 = task_with_retry
    assert await pipeline2([1, 2, 3]).collect() == [101, 102]
    assert 0.3 <= current_time() <= 0.33 + 1e-9  # 0.1 s and 0.2 s, each with up to 10 % jitter


@both_ways
async def test_custom_handler_replaces_the_results_it_wants_to(asyncio: Any) -> None:
    """Multiples of 7 become the sentinel -1."""
    *_, business_task, _ = error_handling(asyncio, Draws({}))
    pipeline3 = business_task
    assert await pipeline3([1, 2, 7, 14, 21]).collect() == [5, 10, -1, -1, -1]


@both_ways
async def test_custom_handler_lets_other_errors_through(asyncio: Any) -> None:
    """An error that is none of the handler's business ends the run."""
    *_, business_task, _ = error_handling(asyncio, Draws({}))
    with pytest.raises(TypeError, match="not all arguments converted"):
        await business_task(["text"]).collect()
