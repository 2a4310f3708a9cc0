"""Cancellation: by scopes, by timeouts and natively, at every point; nothing lost or alive."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conveyor import (
    SKIP,
    BaseTask,
    Decision,
    Pipeline,
    StreamClosedError,
    batch_task,
    single_task,
)
from helpers import block, collect, plain, ticks


@single_task
async def slow(item: int) -> int:
    await anyio.sleep(1 + item % 3)
    return item


@batch_task(max_size=2)
async def pairs(batch: list[int]) -> list[int]:
    await anyio.sleep(1)
    return batch


# Hazards 3 and 4: timeouts around anext()


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_a_timeout_per_anext_loses_nothing(mode: Any) -> None:
    """Waits that time out inside ``async with`` neither lose nor duplicate a result."""
    received: list[int] = []
    timeouts = 0
    async with (slow | pairs | slow).with_execution_mode(mode)(range(30)) as results:
        while True:
            with anyio.move_on_after(0.4) as scope:
                try:
                    received.append(await anext(results))
                except StopAsyncIteration:
                    break
            timeouts += scope.cancelled_caught
    assert sorted(received) == list(range(30))
    assert mode == "as_completed" or received == list(range(30))
    assert timeouts > 3


async def test_a_result_that_comes_with_the_timeout_is_kept() -> None:
    """Results and deadlines that fall on the same instant lose nothing either."""
    received: list[int] = []
    async with slow(range(9)) as results:
        while len(received) < 9:
            with anyio.move_on_after(1):
                received.append(await anext(results))
    assert received == list(range(9))


async def test_after_a_timeout_a_plain_iteration_is_closed() -> None:
    """A plain iteration whose ``anext`` is cancelled says so later, instead of ending silently."""
    stream = slow(range(30))
    iterator = aiter(stream)
    with anyio.move_on_after(0.5):
        await anext(iterator)
    with pytest.raises(StreamClosedError):
        await anext(iterator)
    with pytest.raises(StreamClosedError):
        aiter(stream)


class Alive:
    """Counts the calls that are going on and whether the source is open."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = False

    async def source(self) -> AsyncIterator[int]:
        self.open = True
        try:
            for item in range(100):
                await anyio.sleep(0.1)
                yield item
        finally:
            self.open = False

    async def call(self, item: int) -> int:
        self.calls += 1
        try:
            await anyio.sleep(0.5)
            return item
        finally:
            self.calls -= 1

    def pipeline(self) -> Pipeline[Any, Any]:
        work = single_task(self.call)
        return work | pairs | work

    @property
    def anything(self) -> bool:
        return self.open or self.calls > 0


async def consume_plainly(alive: Alive) -> None:
    async for _ in alive.pipeline()(alive.source()):
        await anyio.sleep(0.05)


async def consume_in_block(alive: Alive) -> None:
    async with alive.pipeline()(alive.source()) as results:
        async for _ in results:
            await anyio.sleep(0.05)


async def consume_collecting(alive: Alive) -> None:
    await alive.pipeline()(alive.source()).collect()


CONSUMERS = [consume_plainly, consume_in_block, consume_collecting]


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("delay", [0, 0.05, 0.1, 0.3, 0.55, 0.6, 1.1, 1.6, 1.75, 2.2])
async def test_a_cancelled_scope_leaves_nothing_alive(consume: Any, delay: float) -> None:
    """However far a run has come, when its cancelled scope is left everything has ended."""
    alive = Alive()
    with anyio.move_on_after(delay) as scope:
        await consume(alive)
    assert scope.cancelled_caught
    if consume is consume_plainly:
        # Cancelled in its body, a plain loop ends the run by dropping the iterator.
        await ticks(10)
    assert not alive.anything


@pytest.mark.parametrize("consume", CONSUMERS)
async def test_a_scope_cancelled_before_the_start(consume: Any) -> None:
    """A consumer that is cancelled from the first leaves nothing behind either."""
    alive = Alive()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await consume(alive)
    await ticks(10)
    assert scope.cancelled_caught
    assert not alive.anything


# Hazard 5: native cancellation, which passes through shields


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("tick", range(0, 60, 1))
async def test_native_cancel_at_every_tick(consume: Any, tick: int) -> None:
    """``task.cancel()`` at any tick ends everything before the task does, and is not swallowed."""
    alive = Alive()
    task = asyncio.create_task(consume(alive))
    await ticks(tick)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if consume is consume_plainly:
        await ticks(10)
    assert not alive.anything
    assert task.cancelled()


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("gap", range(12))
async def test_a_second_native_cancel_keeps_joining(consume: Any, gap: int) -> None:
    """A second ``task.cancel()`` while the run is being joined does not break off the join."""
    alive = Alive()

    async def stubborn(item: int) -> int:
        alive.calls += 1
        try:
            await anyio.sleep(0.5)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            alive.calls -= 1
        return item

    alive.call = stubborn  # type: ignore[method-assign]
    task = asyncio.create_task(consume(alive))
    await anyio.sleep(0.3)
    task.cancel()
    await ticks(gap)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive.anything
    assert anyio.current_time() >= 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("requests", [1, 2])
@pytest.mark.parametrize("consume", [plain, block, collect])
async def test_cancelling_count_is_left_alone(consume: Any, requests: int) -> None:
    """A consumer that catches its cancellation finds each request still counted, and only once."""
    counts: list[int] = []

    @single_task
    async def work(item: int) -> int:
        try:
            await anyio.sleep(9)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
        return item

    async def consumer() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await consume(work(range(5)))
        except asyncio.CancelledError:
            counts.append(task.cancelling() if sys.version_info >= (3, 11) else requests)
            raise

    task = asyncio.create_task(consumer())
    for _ in range(requests):  # the second comes while the run is being joined
        await anyio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts == [requests]
    assert anyio.current_time() == 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_cancellation_during_the_join_of_a_block_is_counted() -> None:
    """AnyIO would take back one request for the run's own tasks, which it has cancelled as well."""
    counts: list[int] = []
    both = anyio.Event()

    @single_task
    async def work(item: int) -> int:
        if item == 0:
            await both.wait()
            return item
        both.set()
        try:
            await anyio.sleep(item)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(item)
        return item

    async def consumer() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with work([0, 5]) as results:
                assert await anext(results) == 0
        except asyncio.CancelledError:
            counts.append(task.cancelling() if sys.version_info >= (3, 11) else 1)
            raise

    task = asyncio.create_task(consumer())
    await anyio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts == [1]
    assert anyio.current_time() == 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("leave", ["break", "error", "failure", "collect"])
async def test_cancelling_count_is_left_alone_by_a_run_that_ends(leave: str, times: int) -> None:
    """A consumer that is cancelled while it waits for the end of its run finds it counted, too."""
    counts: list[int] = []

    @single_task
    async def stubborn(item: int) -> int:
        try:
            await anyio.sleep(item)
            if leave in ("failure", "collect"):
                raise ValueError
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
        return item

    async def consume() -> None:
        if leave == "collect":
            await stubborn([0, 9]).collect()
            return
        async with stubborn([0, 9]) as results:
            if leave == "error":
                await anyio.sleep(2)
                raise ValueError
            async for _ in results:
                break

    async def consumer() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await consume()
        except asyncio.CancelledError:
            counts.append(task.cancelling() if sys.version_info >= (3, 11) else times)
            raise

    task = asyncio.create_task(consumer())
    await anyio.sleep(4)
    for _ in range(times):
        task.cancel()
        await ticks(3)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts == [times]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("turns", range(1, 8))
async def test_cancelling_count_is_left_alone_by_a_run_that_hardly_began(turns: int) -> None:
    """Also if it was stopped before its first step, and has no more to do than close its data."""
    counts: list[int] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 0
        finally:
            await anyio.sleep(3)

    data = source()
    await anext(data)

    async def consumer() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with slow(data):
                pass
        except asyncio.CancelledError:
            counts.append(task.cancelling() if sys.version_info >= (3, 11) else 1)
            raise

    task = asyncio.create_task(consumer())
    await ticks(turns)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts == [1]
    assert anyio.current_time() == 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no scope can tell the requests apart")
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("consume", CONSUMERS)
async def test_a_native_cancel_after_that_of_a_scope_is_not_swallowed(consume: Any) -> None:
    """The scope, which was cancelled first, takes back its own request and not the other one."""
    alive = Alive()
    alive.call = stubborn  # type: ignore[method-assign]

    async def consumer() -> None:
        with anyio.move_on_after(0.3):
            await consume(alive)
        await anyio.sleep(10)

    task = asyncio.create_task(consumer())
    await anyio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert anyio.current_time() == 3.3


async def stubborn(item: int) -> int:
    """Need three seconds to end when cancelled."""
    try:
        await anyio.sleep(5)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3)
    return item


class Passing(BaseTask[int, int]):
    """Gives what it gets."""

    async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item


async def slow_numbers() -> AsyncIterator[int]:
    for number in range(5):
        await ticks(1)
        yield number


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("task", [Passing(), single_task(anyio.sleep), Pipeline()], ids=repr)
async def test_a_consumer_cancelled_with_its_run_is_cancelled(task: Any, turns: int) -> None:
    """It gets its cancellation, though the run may have ended before that arrives."""
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(task(slow_numbers()).collect)
        await ticks(turns)
        task_group.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_wait_for_around_an_awaited_call() -> None:
    """``asyncio.wait_for`` cancels it natively, on every Python, whatever its ``on_error``."""
    for on_error in ("fail", "skip_item", "retry"):
        task = single_task(anyio.sleep, on_error=on_error)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task(10), 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_wait_for_around_anext_loses_nothing() -> None:
    """``asyncio.wait_for`` around ``anext`` inside a block loses no result."""
    received: list[int] = []
    async with slow(range(30)) as results:
        while len(received) < 30:
            try:
                received.append(await asyncio.wait_for(anext(results), 0.3))
            except asyncio.TimeoutError:
                continue
    assert received == list(range(30))


# Hazard 18: retries


async def test_cancellation_ends_a_retry_pause() -> None:
    """Cancelled while it waits to retry, a call returns at once and is not tried again."""
    attempts = 0

    @single_task(retry_attempts=5, retry_delay=100)
    async def failing(item: int) -> int:
        nonlocal attempts
        attempts += 1
        raise ValueError

    with anyio.move_on_after(1):
        await failing([1]).collect()
    assert anyio.current_time() == 1
    assert attempts == 1


async def in_one_piece() -> None:
    await anyio.sleep(1)


async def in_two_pieces() -> None:
    await anyio.sleep(0.5)
    await anyio.sleep(0.5)


async def shielded() -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(1)


async def shielded_too_long() -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(2)


RACES = [in_one_piece, in_two_pieces, shielded, shielded_too_long]


@pytest.mark.parametrize("delay", [0, 1])
async def test_retry_against_timeout_has_one_outcome(delay: float) -> None:
    """
    Attempts that end in the very tick of their timeout give each item exactly one outcome.

    Whichever of the two comes first: an attempt that has returned is the last one, and its result
    is delivered; any other is cut off and made again, and the item of the third one is skipped.
    """
    attempts: dict[int, list[str]] = {item: [] for item in range(48)}

    @single_task(
        retry_attempts=3, retry_delay=delay, retry_jitter=0, timeout=1, on_error="skip_item"
    )
    async def racing(item: int) -> int:
        attempts[item].append("cut off")
        await RACES[item % len(RACES)]()
        attempts[item][-1] = "returned"
        return item

    async with racing(range(48)) as results:
        delivered = [result async for result in results]
        statistics = results.stats()
    outcomes = {tuple(each) for each in attempts.values()}
    returned = [("cut off",) * tries + ("returned",) for tries in range(3)]
    assert outcomes <= {*returned, ("cut off",) * 3}
    assert delivered == [item for item, each in attempts.items() if each[-1] == "returned"]
    assert statistics.skipped == 48 - len(delivered)
    assert statistics.stages[0].retried == sum(len(each) - 1 for each in attempts.values())
    # Nothing cuts off what is shielded, though it takes longer than its time.
    assert {attempts[item][0] for item in attempts if item % len(RACES) >= 2} == {"returned"}


async def test_a_run_inside_a_task_is_cancelled_with_it() -> None:
    """A pipeline inside a task of another one ends when the outer run ends."""
    alive = Alive()

    @single_task
    async def nested(item: int) -> int:
        await consume_collecting(alive)
        return item

    with anyio.move_on_after(1.2) as scope:
        await nested([1]).collect()
    assert scope.cancelled_caught
    assert not alive.anything


def loop_tasks() -> set[asyncio.Task[Any]]:
    """Return every task of the loop but the test's own and its runner's."""
    return {
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and "TestRunner" not in repr(task.get_coro())
    }


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio keeps no count before")
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_call_cancelled_together_with_its_run_has_not_failed() -> None:
    """As ``asyncio.run`` ends: nobody is asked about the call, though it is the first to hear."""
    asked: list[BaseException] = []
    workers: list[Any] = []

    def decide(error: BaseException, item: int) -> Decision:
        asked.append(error)
        return SKIP

    @single_task
    async def waiting(item: int) -> None:
        workers.append(asyncio.current_task())
        await anyio.sleep_forever()

    consumer = asyncio.create_task(waiting.replace(on_error=decide)([1]).collect())
    await ticks(10)
    assert len(workers) == 1
    for each in [*workers, *loop_tasks().difference(workers)]:
        each.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert asked == []


# Hazard 13: tasks that are cancelled before their first step


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("tick", range(12))
# AnyIO does not close the coroutine of a task that asyncio itself cancels before its first step.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_every_task_of_the_loop_cancelled_at_once(consume: Any, tick: int) -> None:
    """As ``asyncio.run`` does it at its end: whatever had begun, nobody waits for ever."""
    alive = Alive()
    task = asyncio.create_task(consume(alive))
    await ticks(tick)
    for each in loop_tasks():
        each.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ticks(10)
    assert not alive.anything
