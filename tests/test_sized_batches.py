"""Batches whose size is found by measuring, in a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from conveyor import Rate, batch_task, single_task
from conveyor._engine import sized_stage
from helpers import current_time

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class Service:
    """A batch function that takes a time for each item and one for each call."""

    def __init__(self, each: float = 0, overhead: float = 0) -> None:
        self.each = each
        self.overhead = overhead
        self.sizes: list[int] = []

    async def __call__(self, batch: list[Any]) -> list[Any]:
        self.sizes.append(len(batch))
        await anyio.sleep(self.overhead + self.each * len(batch))
        return batch


def auto(function: Callable[..., Any], **options: Any) -> Any:
    return batch_task(max_size="auto", **{"target_duration": 1, **options})(function)


@both_modes
async def test_batches_grow_until_a_call_takes_the_target(mode: Any) -> None:
    """By doubling as long as they are far from it; the last one has what is left."""
    service = Service(each=0.125)
    task = auto(service).with_execution_mode(mode)
    async with task(range(35)) as results:
        assert await results.collect() == list(range(35))
        (stage,) = results.stats().stages
    assert service.sizes == [1, 2, 4, 8, 8, 8, 4]
    assert stage.triggers == {"size": 6, "end": 1}
    assert stage.batch_size == 8


class FromEightToTwo:
    """Finds that two items are enough, as soon as there has been a call."""

    def __init__(self, target: float, most: int) -> None:
        self.size = 8

    def observe(self, items: int, seconds: float, failed: bool) -> None:
        self.size = 2


async def test_a_batch_leaves_when_its_size_becomes_that_of_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two items have come while the first call went on, each at its second."""
    monkeypatch.setattr(sized_stage, "BatchSizer", FromEightToTwo)
    begun: list[tuple[float, int]] = []

    async def service(batch: list[int]) -> list[int]:
        begun.append((current_time(), len(batch)))
        await anyio.sleep(2.5 if len(begun) == 1 else 0)
        return batch

    @single_task(concurrency_limit=16)
    async def forwards(item: int) -> int:
        await anyio.sleep(item + 1)
        return item

    await (forwards | auto(service))(range(16)).collect()
    assert begun[:3] == [(8, 8), (10.5, 2), (12, 2)]


async def test_an_overhead_of_each_call_is_made_up_for() -> None:
    """Half of the target goes by before the first item."""
    service = Service(each=0.0625, overhead=0.5)
    assert await auto(service)(range(44)).collect() == list(range(44))
    assert service.sizes == [1, 2, 4, 6, 7, 8, 8, 8]


async def test_batches_shrink_when_calls_become_slow() -> None:
    """By no more than a half each time; what takes the target is between 2 and 3 then."""
    sizes: list[int] = []

    async def service(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        await anyio.sleep((0.125 if len(sizes) < 6 else 0.4) * len(batch))
        return batch

    assert await auto(service)(range(45)).collect() == list(range(45))
    assert sizes == [1, 2, 4, 8, 8, 8, 4, 2, 3, 2, 3]


async def test_what_the_size_is_can_be_seen_at_any_time() -> None:
    """In the statistics, stage by stage."""
    task = auto(Service(each=0.25)) | batch_task(max_size=7)(Service()) | single_task(str)
    async with task(range(30)) as results:
        assert [stage.batch_size for stage in results.stats().stages] == [1, 7, 0]
        await results.collect()
        assert [stage.batch_size for stage in results.stats().stages] == [4, 7, 0]


@pytest.mark.parametrize(
    ("window", "limit", "expected"),
    [
        (None, None, 1000),
        (None, 3, 1000),
        (50, None, 25),  # half of the window, and one
        (50, 4, 12),  # so that four calls can be in flight
        (2, 2, 1),
        (1, None, 1),
    ],
)
@both_modes
async def test_batches_grow_no_larger_than_the_window_allows(
    window: int | None, limit: int | None, expected: int, mode: Any
) -> None:
    """And to a thousand at most, however fast the calls are."""
    service = Service()
    task = auto(service, concurrency_limit=limit)
    pipeline = task.with_context(max_in_flight=window, execution_mode=mode)
    count = 6000 if window is None else 200
    assert sorted(await pipeline(range(count)).collect()) == list(range(count))
    assert max(service.sizes) == expected
    assert service.sizes.count(expected) > 1


async def test_several_of_them_share_a_small_window() -> None:
    """With others that gather and expand; none takes all places for itself."""

    @single_task
    async def twice(item: int) -> AsyncIterator[int]:
        for _ in range(2):
            await anyio.sleep(item % 3)
            yield item

    plain = batch_task(max_size=3)(Service(0.1))
    keyed = batch_task(max_size=2, batch_by=lambda item: item % 50)(Service(0.1))
    for window in (4, 5, 6, 9, 13, 19):
        pipeline = auto(Service()) | twice | plain | auto(Service(0.01)) | keyed
        received = await pipeline.with_context(max_in_flight=window)(range(30)).collect()
        assert sorted(received) == sorted([*range(30), *range(30)])


async def test_waiting_is_not_measured() -> None:
    """Neither for the rate limit, nor for another attempt, nor for room downstream."""
    service = Service(each=0.25)
    failed: set[int] = set()

    async def unsteady(batch: list[int]) -> list[int]:
        if batch[0] not in failed:
            failed.add(batch[0])
            raise ValueError
        return await service(batch)

    task = auto(unsteady, retry_attempts=2, retry_delay=5, rate_limit=Rate(1, per=7))
    async with task.with_context(max_in_flight=9)(range(19)) as results:
        async for _ in results:
            await anyio.sleep(3)
    assert service.sizes == [1, 2, 4, 4, 4, 4]


async def test_a_call_that_times_out_makes_batches_smaller() -> None:
    """It has shown to be slow. One that fails at once has shown nothing."""
    sizes: list[int] = []

    async def service(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        if len(sizes) == 5:
            raise ValueError
        await anyio.sleep(99 if len(sizes) == 4 else 0.25 * len(batch))
        return batch

    task = auto(service, timeout=3, on_error="skip_batch")
    assert len(await task(range(100)).collect()) == 100 - 4 - 2
    assert sizes[:7] == [1, 2, 4, 4, 2, 2, 4]


async def test_with_max_wait_fewer_items_leave_by_their_age() -> None:
    """A batch that was not full counts for what it was."""

    async def trickle() -> AsyncIterator[int]:
        for number in range(20):
            yield number
        await anyio.sleep(50 - current_time())
        yield 20

    service = Service(each=0.125)
    task = auto(service, max_wait=3)
    async with task(trickle()) as results:
        await results.collect()
        (stage,) = results.stats().stages
    assert service.sizes == [1, 2, 4, 8, 5, 1]
    assert stage.triggers == {"size": 4, "age": 1, "end": 1}
    assert stage.batch_size == 8


async def test_what_has_become_a_full_batch_is_taken_at_once() -> None:
    """By another worker, if the one that found it out waits for room for its results."""
    calls: list[tuple[float, int]] = []

    async def service(batch: list[int]) -> list[int]:
        calls.append((current_time(), len(batch)))
        if len(calls) != 3:
            return batch
        await anyio.sleep(10)
        return 50 * batch

    async def arriving() -> AsyncIterator[int]:
        for number in range(10):
            yield number
        await anyio.sleep(10_000)

    task = auto(service, concurrency_limit=2).with_context(max_in_flight=20)
    async with task(arriving()) as results:
        for _ in range(10):
            await anyio.sleep(1)
            await anext(results)
            await anyio.sleep(1)
            if current_time() >= 14:
                break
    assert calls[:4] == [(0, 1), (0, 2), (0, 4), (10, 2)]


def spread(batch: list[int]) -> Iterator[int]:
    yield from batch


async def spread_later(batch: list[int]) -> AsyncIterator[int]:
    for item in batch:
        yield item


@pytest.mark.parametrize("function", [spread, spread_later])
async def test_a_generator_is_refused(function: Any) -> None:
    """Where the task is made, or where it comes out: its call does nothing to be measured."""
    message = (
        f"task '{function.__name__}': max_size='auto' measures calls, and the call of a generator "
        "function ends before anything is done; return a list instead"
    )
    with pytest.raises(TypeError) as caught:
        auto(function)
    assert str(caught.value) == message
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=2)(function).replace(max_size="auto", target_duration=1)
    assert str(caught.value) == message
    task = auto(lambda batch: function(batch), task_name="hidden")
    with pytest.raises(TypeError) as caught:
        await task(range(3)).collect()
    assert str(caught.value) == (
        "task 'hidden' with max_size='auto' returned a generator, which has done nothing yet that "
        "could be measured; return a list"
    )


async def test_a_plain_function_is_measured_too() -> None:
    """As it holds up everything, small batches matter all the more."""
    sizes: list[int] = []

    def service(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        return batch

    assert await auto(service)(range(10)).collect() == list(range(10))
    assert sizes == [1, 2, 4, 3]


async def test_parts_of_a_failing_batch_count_as_what_they_are() -> None:
    """The poison is isolated as in other batches, and the sizes stay in their bounds."""
    sizes: list[int] = []

    async def service(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        await anyio.sleep(0.25 * len(batch))
        if 9 in batch:
            raise ValueError
        return batch

    task = auto(service, on_error="skip_item")
    assert await task(range(15)).collect() == [n for n in range(15) if n != 9]
    assert sizes == [1, 2, 4, 4, 2, 2, 1, 1, 4]


def test_a_task_tells_the_bound_and_the_target() -> None:
    """And with a number of its own a copy needs no target."""
    task = auto(Service(), target_duration=0.5)
    assert (task.max_size, task.min_size, task.target_duration) == (1000, 1, 0.5)
    other = task.replace(max_size=5, target_duration=None)
    assert (other.max_size, other.target_duration) == (5, None)
