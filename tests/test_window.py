"""The window: what a run holds is bounded, fills up, and never brings it to a halt."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from conveyor import Pipeline, batch_task, single_task
from conveyor._engine.sequence import Slot
from conveyor._engine.stage import Stage
from conveyor._engine.window import Window
from helpers import current_time, ticks

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class Numbers:
    """A source that counts what has been pulled from it."""

    def __init__(self, count: int | None = None) -> None:
        self.pulled = 0
        self.closed = False
        self.numbers = itertools.count() if count is None else range(count)

    def plain(self) -> Iterator[int]:
        try:
            for number in self.numbers:
                self.pulled += 1
                yield number
        finally:
            self.closed = True

    async def asynchronous(self) -> AsyncIterator[int]:
        try:
            for number in self.numbers:
                await ticks(1)
                self.pulled += 1
                yield number
        finally:
            self.closed = True


@single_task
def same(item: Any) -> Any:
    return item


@single_task
async def later(item: Any) -> Any:
    await anyio.sleep(1)
    return item


@single_task
async def even(item: int) -> int | None:
    return item if item % 2 == 0 else None


@single_task
def wrapped(item: Any) -> list[Any]:
    return [item]


@single_task
def spelled(item: Any) -> Iterator[Any]:
    yield item


@single_task
async def spelled_later(item: Any) -> AsyncIterator[Any]:
    await anyio.sleep(1)
    yield item


@single_task(in_order=True)
async def ordered(item: Any) -> Any:
    return item


def whole(size: int, **options: Any) -> Any:
    """Return a task that passes on full batches of *size*, item by item."""

    @batch_task(min_size=size, max_size=size, **options)
    async def whole(batch: list[Any]) -> list[Any]:
        await anyio.sleep(1)
        return batch

    return whole


async def settle() -> None:
    """Let everything happen that can: the clock jumps this far only when nothing else is left."""
    await anyio.sleep(10_000)


# A consumer that stops reading stops the source

ONE_TO_ONE: dict[str, Pipeline[Any, Any]] = {
    "empty": Pipeline(),
    "plain": same.pipeline(),
    "slow": later.pipeline(),
    "three": later | same | later,
    "options": same.replace(timeout=9) | later.replace(retry_attempts=2),
    "in_order": later | ordered,
    "lists": later | wrapped,
    "generators": spelled | same,
    "async_generators": same | spelled_later,
    "batches_of_one": later | whole(1) | later,
}


@both_modes
@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize("window", [1, 2, 20])
@pytest.mark.parametrize("name", ONE_TO_ONE)
async def test_a_consumer_that_stops_reading_stops_the_source(
    name: str, window: int, kind: str, mode: Any
) -> None:
    """The read-ahead is exactly max_in_flight items; a place for each one taken, and no more."""
    numbers = Numbers()
    pipeline = ONE_TO_ONE[name].with_context(max_in_flight=window, execution_mode=mode)
    async with pipeline(getattr(numbers, kind)()) as results:
        await settle()
        if "generators" in name:
            # Generators that are at work hold a place for the value they may yield next.
            assert window // 2 <= numbers.pulled <= window
        else:
            assert numbers.pulled == window
        for _ in range(3):
            await anext(results)
            await settle()
            assert numbers.pulled <= window + results.stats().items_out
        # Room gathers before the source is woken, an eighth of the window at most; and a generator
        # that has room for no further value has not been found to be at its end.
        if "generators" not in name:
            assert numbers.pulled >= window + 3 - window // 8
    assert numbers.closed


@both_modes
async def test_a_plain_consumer_that_stops_reading_stops_the_source(mode: Any) -> None:
    """The same without a block, from the first result on."""
    numbers = Numbers()
    taken = 0
    async for _ in (later | same).with_context(max_in_flight=5, execution_mode=mode)(
        numbers.plain()
    ):
        taken += 1
        await settle()
        assert numbers.pulled == 5 + taken
        if taken == 4:
            break
    await ticks(10)
    assert numbers.closed


@both_modes
@pytest.mark.parametrize("name", ["plain", "options", "batches_of_one"])
async def test_the_default_window_is_a_thousand(name: str, mode: Any) -> None:
    """Without a setting the source is at most a thousand items ahead, and gets there."""
    numbers = Numbers()
    async with ONE_TO_ONE[name].with_execution_mode(mode)(numbers.plain()) as results:
        await settle()
        assert (900 if name == "async_generators" else 1000) <= numbers.pulled <= 1000
        await anext(results)
        await settle()
        assert numbers.pulled <= 1001


@both_modes
async def test_the_read_ahead_is_bounded_at_every_moment(mode: Any) -> None:
    """However fast and unevenly the consumer reads."""
    ahead: list[int] = []
    taken = 0

    def numbers() -> Iterator[int]:
        for number in range(200):
            ahead.append(number + 1 - taken)
            yield number

    pipeline = (same | later).with_context(max_in_flight=10, execution_mode=mode)
    async with pipeline(numbers()) as results:
        async for _ in results:
            taken += 1
            await anyio.sleep(taken * 7 % 4)
    assert taken == 200
    assert max(ahead) == 10


async def test_results_of_batches_hold_a_place_each() -> None:
    """Five results of four items and three items that are being gathered fill a window of eight."""

    @batch_task(min_size=4)
    async def total(batch: list[int]) -> int:
        return sum(batch)

    numbers = Numbers()
    async with total.with_context(max_in_flight=8)(numbers.plain()) as results:
        await settle()
        assert numbers.pulled == 5 * 4 + 3
        assert await anext(results) == 0 + 1 + 2 + 3


@both_modes
async def test_items_of_batches_hold_a_place_each(mode: Any) -> None:
    """A batch task that gives as many as it takes does not widen the window."""
    numbers = Numbers()
    pipeline = (same | whole(4)).with_context(max_in_flight=8, execution_mode=mode)
    async with pipeline(numbers.plain()) as results:
        await settle()
        assert numbers.pulled == 8
        assert [await anext(results) for _ in range(20)] == list(range(20))
        await settle()
        assert numbers.pulled <= 28


@both_modes
async def test_items_that_end_on_the_way_give_their_places_back(mode: Any) -> None:
    """Filtered ones are not held: half of what was pulled is still here."""
    numbers = Numbers()
    async with even.with_context(max_in_flight=6, execution_mode=mode)(numbers.plain()):
        await settle()
        assert numbers.pulled in (11, 12)  # six even ones, and perhaps one odd


# Expansions


@both_modes
@pytest.mark.parametrize("length", [2, 5, 6, 50])
async def test_long_lists_do_not_widen_the_window(length: int, mode: Any) -> None:
    """The source waits for the elements of a list, and a stage for room for them."""
    passed: list[int] = []

    @single_task
    def many(item: int) -> list[int]:
        return [item] * length

    @single_task
    def seen(item: int) -> int:
        passed.append(item)
        return item

    numbers = Numbers(20)
    pipeline = (many | seen).with_context(max_in_flight=5, execution_mode=mode)
    async with pipeline(numbers.plain()) as results:
        await settle()
        assert numbers.pulled <= 5
        assert len(passed) <= 5
        received = await results.collect()
    assert sorted(received) == sorted(list(range(20)) * length)


class Gauge:
    """How many items a run of generators holds: inputs not yet used up, children not yet taken."""

    def __init__(self) -> None:
        self.held = 0
        self.most = 0

    def change(self, by: int) -> None:
        self.held += by
        self.most = max(self.most, self.held)


@both_modes
@pytest.mark.parametrize("kind", ["generator", "eager", "slow"])
@pytest.mark.parametrize("window", [5, 10])
async def test_generators_do_not_widen_the_window(window: int, kind: str, mode: Any) -> None:
    """No value without a place; only the head of the line may go one beyond the window."""
    gauge = Gauge()

    def inputs() -> Iterator[int]:
        for number in range(30):
            gauge.change(+1)
            yield number

    def generator(item: int) -> Iterator[int]:
        for value in range(4):
            gauge.change(+1)
            yield 10 * item + value
        gauge.change(-1)

    async def async_generator(item: int) -> AsyncIterator[int]:
        for value in range(4):
            await anyio.sleep(1 if kind == "slow" else 0)
            gauge.change(+1)
            yield 10 * item + value
        gauge.change(-1)

    task = single_task(generator if kind == "generator" else async_generator, concurrency_limit=5)
    received = []
    pipeline = task.with_context(max_in_flight=window, execution_mode=mode)
    async with pipeline(inputs()) as results:
        async for result in results:
            gauge.change(-1)
            received.append(result)
            await anyio.sleep(3)
    assert sorted(received) == [10 * item + value for item in range(30) for value in range(4)]
    assert gauge.held == 0
    assert window <= gauge.most <= window + 1


@both_modes
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_endless_generator_waits_for_its_consumer(is_async: bool, mode: Any) -> None:
    """It is as far ahead of the consumer as the window allows, and is closed when that leaves."""
    made = closed = 0

    def endless(item: int) -> Iterator[int]:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield made
        finally:
            closed += 1

    async def async_endless(item: int) -> AsyncIterator[int]:
        nonlocal made, closed
        try:
            while True:
                await ticks(1)
                made += 1
                yield made
        finally:
            closed += 1

    task = single_task(async_endless if is_async else endless)
    pipeline = (task | same).with_context(max_in_flight=10, execution_mode=mode)
    async with pipeline([0]) as results:
        await settle()
        assert made <= 10
        assert [await anext(results) for _ in range(25)] == list(range(1, 26))
        await settle()
        assert made <= 35
    assert closed == 1


@pytest.mark.parametrize("leave", ["block", "plain", "nested"])
async def test_endless_generators_are_closed_when_the_consumer_leaves(leave: str) -> None:
    """All of them: the one that produces, those that wait for room, and those below."""
    opened = closed = 0
    all_open = anyio.Event()

    @single_task(concurrency_limit=3)
    async def endless(item: Any) -> AsyncIterator[Any]:
        nonlocal opened, closed
        opened += 1
        try:
            if opened == 3:
                all_open.set()
            await all_open.wait()
            for number in itertools.count():
                await ticks(1)
                yield number
        finally:
            closed += 1

    pipeline = endless | endless if leave == "nested" else endless | same
    stream = pipeline.with_context(max_in_flight=8)(range(3))
    if leave == "plain":
        async for number in stream:
            if number == 39:
                break
        await ticks(20)
    else:
        async with stream as results:
            assert [await anext(results) for _ in range(40)] == list(range(40))
    assert opened >= 3
    assert closed == opened


@pytest.mark.parametrize("window", [3, 4, 10])
async def test_the_head_goes_on_though_later_items_fill_the_window(window: int) -> None:
    """A generator that comes late has all the places taken by its successors, and still gets on."""

    @single_task(concurrency_limit=3)
    async def tenfold(item: int) -> AsyncIterator[int]:
        await anyio.sleep(50 if item == 0 else 0)
        for number in range(10):
            yield 10 * item + number

    pipeline = (tenfold | same).with_context(max_in_flight=window)
    assert await pipeline(range(6)).collect() == list(range(60))


def counting(pulled: list[int], count: int) -> Any:
    def numbers() -> Iterator[int]:
        for number in range(count):
            pulled.append(number)
            yield number

    async def later_numbers() -> AsyncIterator[int]:
        for number in numbers():
            yield number

    return {"plain": numbers, "asynchronous": later_numbers}


async def nap(item: Any) -> Any:
    await anyio.sleep(1)
    return item


# What takes each item out of the generator's chain at once, and how many items it needs to go on.
ORDER_POINTS: dict[str, tuple[Any, int]] = {
    "batches": (batch_task(max_size=4)(nap), 4),
    "two_batches": (batch_task(max_size=3, concurrency_limit=2)(nap), 3),
    "in_order": (single_task(nap, in_order=True, concurrency_limit=2), 1),
    "batches_in_order": (batch_task(max_size=4)(nap) | single_task(nap, in_order=True), 4),
}
order_points = pytest.mark.parametrize("name", ORDER_POINTS)


@order_points
@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize("source", [True, False])
async def test_a_generator_before_an_order_point_keeps_to_the_window(
    name: str, kind: str, source: bool
) -> None:
    """Its values leave its chain at once, so it is the head, which gives it no right to more."""
    pulled: list[int] = []
    point, needed = ORDER_POINTS[name]
    task = counting(pulled, 1000)[kind]
    stage = single_task(task if source else lambda item: task())
    pipeline = (stage | point).with_context(max_in_flight=16)
    async with pipeline() if source else pipeline([1]) as results:
        await anyio.sleep(100)
        assert len(pulled) <= 16 + needed
        await anext(results)
    assert len(pulled) < 1000


@both_modes
@order_points
@pytest.mark.parametrize("window", [8, 9, 12])
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_generator_before_an_order_point_gets_through(
    limit: int, window: int, name: str, mode: Any
) -> None:
    """Late, with the window full of what comes after it, and with the line before it at rest."""

    @single_task(concurrency_limit=limit)
    async def tenfold(item: int) -> AsyncIterator[int]:
        await anyio.sleep(50 if item == 0 else 0)
        for number in range(10):
            yield 10 * item + number

    pipeline = (tenfold | ORDER_POINTS[name][0]).with_context(
        max_in_flight=window, execution_mode=mode
    )
    received = await pipeline(range(6)).collect()
    assert sorted(received) == list(range(60))
    assert mode == "as_completed" or received == sorted(received)


@both_modes
@pytest.mark.parametrize("window", [8, 10, 20])
async def test_a_generator_before_batches_in_a_row_goes_beyond_by_what_they_need(
    window: int, mode: Any
) -> None:
    """It fills the first, which fills the second; then all wait until that has made room."""
    gauge = Gauge()

    def inputs() -> Iterator[int]:
        for number in range(40):
            gauge.change(+1)
            yield number

    @single_task
    async def fivefold(item: int) -> AsyncIterator[int]:
        await anyio.sleep(50 if item == 0 else 0)
        for _ in range(5):
            gauge.change(+1)
            yield item
        gauge.change(-1)

    @batch_task(min_size=4)
    def one_by_one(batch: list[int]) -> Iterator[int]:
        for item in batch:
            gauge.change(+1)
            yield item
        gauge.change(-len(batch))

    @batch_task(min_size=3)
    async def total(batch: list[int]) -> int:
        await anyio.sleep(3)
        gauge.change(1 - len(batch))
        return sum(batch)

    pipeline = (fivefold | one_by_one | total).with_context(
        max_in_flight=window, execution_mode=mode
    )
    received = []
    async with pipeline(inputs()) as results:
        async for result in results:
            gauge.change(-1)
            received.append(result)
            await anyio.sleep(5)
    # Of the 200 items the last two are fewer than three.
    assert len(received) == 66
    assert window < gauge.most <= window + 4 + 3


@both_modes
@pytest.mark.parametrize("window", [2, 3, 5, 9])
@pytest.mark.parametrize("limit", [1, 2])
async def test_nested_expansions_get_through_a_small_window(
    limit: int, window: int, mode: Any
) -> None:
    """Lists in generators in lists: four stages that each make three of one."""

    @single_task(concurrency_limit=limit)
    def triple(item: str) -> list[str]:
        return [item + letter for letter in "abc"]

    @single_task(concurrency_limit=limit)
    async def spell(item: str) -> AsyncIterator[str]:
        for letter in "abc":
            await anyio.sleep(len(item) * ord(item[-1]) % 3)
            yield item + letter

    pipeline = (spell | triple | spell | triple).with_context(
        max_in_flight=window, execution_mode=mode
    )
    received = await pipeline("xyz"[i] for i in range(3)).collect()
    expected = ["".join(each) for each in itertools.product("xyz", *["abc"] * 4)]
    assert (received if mode == "ordered" else sorted(received)) == expected


async def test_room_for_several_wakes_several() -> None:
    """Three generators wait; as many places that come free together let each of them go on."""
    began: list[tuple[float, int]] = []

    async def slowly(item: int) -> AsyncIterator[int]:
        if item == 0:
            await anyio.sleep(1000)  # the head of the line does not wait, but its value has a place
        else:
            began.append((current_time(), item))
            await anyio.sleep(10)
        yield item

    @single_task
    def four_at_once(item: int) -> Any:
        return item if item in (1, 2, 3, 4) else slowly(item)

    pipeline = four_at_once.with_context(max_in_flight=8, execution_mode="as_completed")
    async with pipeline(range(8)) as results:
        await anyio.sleep(5)
        assert began == []
        await results.collect()
    assert sorted(began) == [(5, 5), (5, 6), (5, 7)]


# The head of the line behind workers that wait for it


def spelling(limit: int, length: int, **options: Any) -> Any:
    """Return a task that makes *length* of one, at most *limit* at a time."""

    @single_task(concurrency_limit=limit, **options)
    async def spell(item: str) -> AsyncIterator[str]:
        for number in range(length):
            yield f"{item}{number}"

    return spell


@single_task
async def first_one_last(item: str) -> str:
    if item == "a":
        await anyio.sleep(5)
    return item


@both_modes
@pytest.mark.parametrize("options", [{}, {"timeout": 9}, {"retry_attempts": 2}])
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_the_head_is_served_though_all_workers_wait_for_room(
    limit: int, options: dict[str, Any], mode: Any
) -> None:
    """Every worker has begun on a later item and has no room; the first item comes after them."""
    pipeline = (first_one_last | spelling(limit, 9, **options)).with_context(
        max_in_flight=6, execution_mode=mode
    )
    received = await pipeline(list("abcdef")).collect()
    expected = [f"{item}{number}" for item in "abcdef" for number in range(9)]
    assert (received if mode == "ordered" else sorted(received)) == expected


@both_modes
async def test_the_head_is_served_though_it_was_queued_before_the_workers_waited(mode: Any) -> None:
    """The first item sits in the queue when the last worker begins to wait, not the other way."""
    release = anyio.Event()

    @single_task
    async def first_one_late(item: str) -> str:
        if item == "a":
            await release.wait()
        return item

    @single_task(concurrency_limit=2)
    async def spell(item: str) -> AsyncIterator[str]:
        if item == "b":
            await anyio.sleep(1)
        elif item == "c":
            release.set()  # "a" will be queued behind us
            await anyio.sleep(3)
        for number in range(9):
            yield f"{item}{number}"

    pipeline = (first_one_late | spell).with_context(max_in_flight=6, execution_mode=mode)
    received = await pipeline(list("abc")).collect()
    assert sorted(received) == [f"{item}{number}" for item in "abc" for number in range(9)]


@both_modes
async def test_jammed_stages_in_a_row_get_through(mode: Any) -> None:
    """Two generator stages with one worker each, items of the second one's head coming last."""
    pipeline = (
        first_one_last | spelling(1, 3) | first_one_last | spelling(1, 3) | spelling(1, 2)
    ).with_context(max_in_flight=4, execution_mode=mode)
    received = await pipeline(list("abcd")).collect()
    expected = ["".join(each) for each in itertools.product("abcd", "012", "012", "01")]
    assert (received if mode == "ordered" else sorted(received)) == expected


async def test_long_lists_jam_no_stage_either() -> None:
    """The same with lists, whose stage waits for room just as well."""

    @single_task(concurrency_limit=1)
    def spell(item: str) -> list[str]:
        return [f"{item}{number}" for number in range(9)]

    pipeline = (first_one_last | spell).with_context(max_in_flight=4)
    expected = [f"{item}{number}" for item in "abcd" for number in range(9)]
    assert await pipeline(list("abcd")).collect() == expected


async def test_nobody_is_summoned_beside_a_rescued_call_beyond_the_limit() -> None:
    """Not even a worker that has become idle meanwhile, while the list of another waits."""
    sizes, naps = [4, 0, 2, 0, 2], [1, 1, 2, 0, 3]
    running, most = 0, 0

    @single_task
    async def three(x: int) -> AsyncIterator[int]:
        for number in range(3):
            yield 3 * x + number

    @single_task(concurrency_limit=2)
    async def several(x: int) -> list[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(naps[x % 5])
        running -= 1
        return [x] * sizes[x % 5]

    pipeline = (three | several).with_context(max_in_flight=6, execution_mode="as_completed")
    received = []
    async with pipeline(range(12)) as results:
        async for result in results:
            received.append(result)
            await anyio.sleep(1)
    assert sorted(received) == [x for x in range(36) for _ in range(sizes[x % 5])]
    assert most == 2


async def test_a_rescued_call_does_not_run_beside_another() -> None:
    """With a limit of one, two generators never run at once, even if one let the other by."""
    running = most = 0

    @single_task(concurrency_limit=1)
    async def spell(item: str) -> AsyncIterator[str]:
        nonlocal running, most
        for number in range(9):
            running += 1
            most = max(most, running)
            await anyio.sleep(3 if item == "a" else 0.125)
            running -= 1
            yield f"{item}{number}"

    @single_task
    async def dropped(item: str) -> None:
        await anyio.sleep(6)  # room for "b" while "a", which overtook it, is at work

    pipeline = (first_one_last | spell | dropped).with_context(max_in_flight=8)
    assert await pipeline(list("ab")).collect() == []
    assert most == 1


def overtaken(made: list[tuple[float, str]]) -> Any:
    """
    Return a stream where "c" waits for its turn from 6 to 32, beside the call of "a".

    Of the one worker that there is, "c" comes first and waits for room; "a", the head of the line,
    is let through at 5, and at 6 there is room. The next head, "b", is far away.
    """
    delays = {"a": 5, "b": 1000, "c": 0}

    @single_task
    async def delayed(item: str) -> str:
        await anyio.sleep(delays[item])
        return item

    @single_task(concurrency_limit=1)
    async def spell(item: str) -> AsyncIterator[str]:
        for number in range(9):
            await anyio.sleep(3 if item == "a" else 0)
            made.append((current_time(), f"{item}{number}"))
            yield f"{item}{number}"

    @single_task
    async def dropped(item: str) -> None:
        await anyio.sleep(6)

    return (delayed | spell | dropped).with_context(max_in_flight=8)


@both_modes
async def test_who_waits_beside_a_rescued_call_goes_on_as_soon_as_it_ends(mode: Any) -> None:
    """Woken for its turn, and not only when it has become the head of the line itself."""
    made: list[tuple[float, str]] = []
    assert await overtaken(made).with_execution_mode(mode)(list("abc")).collect() == []
    assert [each for each in made if each[1].startswith("a")][-1] == (32, "a8")
    assert [time for time, text in made if text.startswith("c")] == [0] * 5 + [32] * 4


@both_modes
async def test_who_waits_beside_a_rescued_call_sees_that_the_run_ends(mode: Any) -> None:
    """It waits where nobody can cancel it, so it must be woken for the end."""
    made: list[tuple[float, str]] = []
    async with overtaken(made).with_execution_mode(mode)(list("abc")):
        await anyio.sleep(10)
    assert current_time() == 10
    assert [text for _, text in made] == ["c0", "c1", "c2", "c3", "c4", "a0"]


# Settings


async def test_the_default_window_has_room_for_every_call() -> None:
    """A concurrency limit above a thousand is reached."""
    limit = 1200
    started = 0
    gate = anyio.Event()

    @single_task(concurrency_limit=limit)
    async def busy(item: int) -> int:
        nonlocal started
        started += 1
        await gate.wait()
        return item

    async with busy(range(2 * limit)) as results:
        await settle()
        assert started == limit
        gate.set()
        assert await results.collect() == list(range(2 * limit))


async def test_the_default_window_has_room_for_every_batch() -> None:
    """Three batches of six hundred are worked on at once, the next is being gathered."""
    started = 0
    gate = anyio.Event()

    @batch_task(min_size=600, concurrency_limit=3)
    async def busy(batch: list[int]) -> int:
        nonlocal started
        started += 1
        await gate.wait()
        return len(batch)

    numbers = Numbers(6000)
    async with busy(numbers.plain()) as results:
        await settle()
        assert started == 3
        assert numbers.pulled == 4 * 600
        gate.set()
        assert await results.collect() == [600] * 10


TOO_SMALL = (
    "max_in_flight={} is too small for task {!r}, which works on {} items at a time; use "
    "with_context(max_in_flight={}) or more, or lower the task's concurrency_limit or max_size"
)
TOO_SMALL_TOGETHER = (
    "max_in_flight={} is too small for the batch tasks of this pipeline together; use "
    "with_context(max_in_flight={}) or more"
)
# Pipeline, the smallest window it can have, and what a window one below is told.
SMALLEST: list[tuple[Any, int, str]] = [
    (same.replace(concurrency_limit=20), 20, TOO_SMALL.format(19, "same", 20, 20)),
    (same | later.replace(concurrency_limit=5), 5, TOO_SMALL.format(4, "later", 5, 5)),
    (whole(5), 5, TOO_SMALL.format(4, "whole", 5, 5)),
    (whole(5, concurrency_limit=2), 10, TOO_SMALL.format(9, "whole", 10, 10)),
    (
        batch_task(max_size=5)(list[int]),
        5,
        TOO_SMALL.format(4, "list", 5, 5),
    ),
    (whole(5) | whole(3), 7, TOO_SMALL_TOGETHER.format(6, 7)),
    (whole(5) | even | whole(3) | same | whole(4), 10, TOO_SMALL_TOGETHER.format(9, 10)),
    # Large enough for the source to let room gather, but not for items that will not move.
    (even | whole(20) | same | whole(20), 39, TOO_SMALL_TOGETHER.format(38, 39)),
]


@pytest.mark.parametrize(("pipeline", "smallest", "message"), SMALLEST)
@pytest.mark.parametrize("way", ["collect", "block", "plain"])
async def test_an_impossible_window_is_refused_when_the_run_starts(
    way: str, pipeline: Any, smallest: int, message: str
) -> None:
    """The error names the setting, the task and what to write; the source is not touched."""
    numbers = Numbers(10)
    stream = pipeline.with_context(max_in_flight=smallest - 1)(numbers.plain())

    async def consume() -> None:
        if way == "collect":
            await stream.collect()
        elif way == "block":
            async with stream:
                pass
        else:
            async for _ in stream:
                pass

    with pytest.raises(ValueError, match=r"^max_in_flight") as caught:
        await consume()
    assert str(caught.value) == message
    assert numbers.pulled == 0


@both_modes
@pytest.mark.parametrize(("pipeline", "smallest", "message"), SMALLEST)
async def test_the_smallest_window_that_is_allowed_suffices(
    pipeline: Any, smallest: int, message: str, mode: Any
) -> None:
    """With exactly as many places as the error asks for, everything gets through."""
    pipeline = pipeline.with_context(max_in_flight=smallest, execution_mode=mode)
    received = await pipeline(range(120)).collect()
    evens = list(range(0, 120, 2))
    assert sorted(received) == (evens if "even" in repr(pipeline) else list(range(120)))


@pytest.mark.parametrize("size", [1, 5, 8, 16, 100])
@both_modes
async def test_a_filter_before_a_batch_as_large_as_the_window(size: int, mode: Any) -> None:
    """Places of filtered items are filled again until the batch is full."""
    pipeline = (even | whole(size)).with_context(max_in_flight=size, execution_mode=mode)
    assert await pipeline(range(4 * size)).collect() == list(range(0, 4 * size, 2))


@both_modes
@pytest.mark.parametrize("before", [wrapped, spelled, spelled_later, later])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
async def test_an_expansion_before_a_batch_as_large_as_the_window(
    size: int, before: Any, mode: Any
) -> None:
    """Items that are being expanded take places as well, and do not starve the batch."""
    pipeline = (even | before | whole(size)).with_context(max_in_flight=size, execution_mode=mode)
    received = await pipeline(range(6 * size)).collect()
    assert sorted(received) == list(range(0, 6 * size, 2))


@both_modes
@pytest.mark.parametrize("window", [10, 11, 13])
async def test_batch_tasks_in_a_row_share_the_smallest_window(window: int, mode: Any) -> None:
    """None of them can take all places with a batch that never fills."""
    pipeline = (
        whole(5) | even | spelled_later | whole(3) | later | wrapped | whole(4)
    ).with_context(max_in_flight=window, execution_mode=mode)
    assert sorted(await pipeline(range(240)).collect()) == list(range(0, 240, 2))


async def test_waiting_for_room_takes_no_time_of_others() -> None:
    """Items flow at the pace of the consumer: one place, one item, one second each."""
    async with later.with_context(max_in_flight=1)(range(4)) as results:
        taken = [(current_time(), result) async for result in results]
    assert taken == [(1, 0), (2, 1), (3, 2), (4, 3)]


# Who gets the room that there is


@pytest.fixture
async def window() -> Window:
    """A window for 16 items, which is full."""
    window = Window(16)
    window.held = 16
    return window


async def test_room_goes_to_the_item_that_came_first(window: Window) -> None:
    """However long the others have waited: what becomes of that one can leave soonest."""
    late, early = anyio.Event(), anyio.Event()
    window.enqueue(7, late)
    window.enqueue(3, early)
    window.release(2)
    assert (early.is_set(), late.is_set()) == (True, False)
    window.hand_on()
    assert late.is_set()


async def test_nobody_takes_the_room_that_others_wait_for(window: Window) -> None:
    """But those whose items came before theirs."""
    window.enqueue(5, anyio.Event())
    window.release()
    assert [window.room_for(rank, is_first=True) for rank in (4, 5, 6)] == [1, 1, 0]


async def test_an_eighth_of_the_window_is_left_for_the_first_in_line(window: Window) -> None:
    """In order, since all the others wait for that; but for one place, as the first may wait."""
    window.release(2)
    assert (window.room_for(0, is_first=True), window.room_for(1, is_first=False)) == (2, 1)
    window.in_order = False
    assert window.room_for(1, is_first=False) == 2


@both_modes
async def test_items_that_become_many_do_not_wait_for_each_of_them(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a full window, too, where the head of the line alone could go beyond it."""
    waits = 0
    wait_for_room = Stage.wait_for_room

    async def counted(stage: Stage, slot: Slot, rank: int) -> None:
        nonlocal waits
        waits += 1
        await wait_for_room(stage, slot, rank)

    monkeypatch.setattr(Stage, "wait_for_room", counted)
    ten = single_task(lambda item: [item] * 10)
    stream = (ten | same).with_execution_mode(mode)(range(3000))
    assert len(await stream.collect()) == 30_000
    assert waits < 3000


async def test_endless_generators_take_turns_in_completion_order() -> None:
    """Nobody waits for the first of them there, so it is not to keep the others from the room."""

    @single_task
    async def feed(name: str) -> AsyncIterator[str]:
        while True:
            await anyio.sleep(0.001)
            yield name

    counts: Counter[str] = Counter()
    pipeline = feed.with_context(max_in_flight=10)
    async with pipeline.as_completed(["a", "b", "c"]) as results:
        async for name in results:
            counts[name] += 1
            await anyio.sleep(0.005)
            if counts.total() == 1000:
                break
    assert min(counts.values()) > 250


@pytest.mark.parametrize("collects", [True, False], ids=["collect", "iterate"])
async def test_who_collects_keeps_no_room_from_the_source_for_a_straggler(collects: bool) -> None:
    """What is ready before it does not keep from the window what comes after it."""
    pulled = 0

    async def source() -> AsyncIterator[int]:
        nonlocal pulled
        for item in range(60):
            pulled += 1
            yield item
            if item >= 3:
                await anyio.sleep(1)

    @single_task
    async def work(item: int) -> int:
        # Item 3 is late, and the last one in an eighth of the window.
        await anyio.sleep({0: 0.125, 3: 99.0}.get(item, 0.25))
        return item

    async def read(results: Any) -> None:
        collected = await results.collect() if collects else [item async for item in results]
        assert collected == [*range(60)]

    stream = work.with_context(max_in_flight=32)(source())
    async with stream as results, anyio.create_task_group() as tasks:
        tasks.start_soon(read, results)
        await anyio.sleep(90)
        assert pulled == 3 + 32
