"""The outlook: how much the source lets in where items become many on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from conveyor import BaseTask, batch_task, single_task
from conveyor._engine.sequence import Slot
from conveyor._engine.stage import Stage
from conveyor._engine.window import Window
from helpers import current_time

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


def same(item: Any) -> Any:
    return item


# What it says


def stage_of(
    done: int = 0, given: int = 0, here: int = 0, workers: int = 1, batch_size: int = 0
) -> Any:
    """Return what an outlook sees of a stage with at most four workers."""
    return SimpleNamespace(
        counters=SimpleNamespace(added=given),
        items_done=done,
        items_given=given,
        items_taken=done + here,
        workers=workers,
        batch_size=batch_size,
        limit=4,
    )


def room(held: int, *stages: Any) -> int:
    """Return the room that is seen in a window of 80 places, 10 of them for the first in line."""
    window = Window(80)
    window.held = held
    window.outlook.stages = stages[::-1]
    return window.outlook.room


def test_where_nothing_becomes_many_all_free_places_are_room() -> None:
    """Nor is it looked at what becomes fewer, or has not come out yet."""
    assert room(30) == 50
    assert room(30, stage_of(here=4, workers=4), stage_of(10, 10, here=34, workers=4)) == 50
    assert room(30, stage_of(10, 3, here=30)) == 50
    assert room(81) == -1


def test_what_items_become_needs_room() -> None:
    """That of new ones, and of those that are on their way as far as the stage where they do."""
    assert room(0, stage_of(5, 50)) == 7  # of 71 places that are not for the first in line
    assert room(10, stage_of(5, 50)) == 6
    assert room(10, stage_of(5, 50, here=2)) == 4
    assert room(10, stage_of(5, 50), stage_of(50, 50, here=30)) == 6
    assert room(10, stage_of(5, 5, here=2), stage_of(5, 50)) == 4
    assert room(0, stage_of(0, 10, here=1)) == 6  # of one that is not done yet


def test_what_items_become_is_expected_over_all_stages() -> None:
    """Also if some make many of one, and others drop some again."""
    assert room(0, stage_of(10, 20), stage_of(20, 40)) == 17
    assert room(0, stage_of(10, 20), stage_of(20, 10)) == 71
    assert room(0, stage_of(10, 5), stage_of(5, 20)) == 35


def test_workers_get_what_they_need_and_as_many_again() -> None:
    """Whatever is expected; but not more than they may be, nor than there are places."""
    assert room(72, stage_of(5, 50, workers=0)) == 1
    assert room(72, stage_of(5, 50, here=1)) == 2
    assert room(72, stage_of(5, 50, here=3)) == 0
    assert room(72, stage_of(5, 50, workers=2)) == 4
    assert room(79, stage_of(5, 50, workers=2)) == 1
    # One stage that has too much to do already does not take it away from another.
    assert room(72, stage_of(5, 5), stage_of(5, 50, here=7, workers=4)) == 3
    # What one has too much of is on its way to the next.
    assert room(72, stage_of(5, 5, here=5, workers=4), stage_of(5, 50)) <= 0


def test_a_batch_that_is_gathered_gets_its_items() -> None:
    """Or it would wait for what is not let in."""
    assert room(70, stage_of(20, 200, here=7, workers=0, batch_size=8)) == 1
    assert room(70, stage_of(20, 200, here=7, batch_size=4)) == 5


# What it is good for


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The items that have had to wait for room for what they become, each time they had to."""
    waits: list[int] = []
    wait_for_room = Stage.wait_for_room

    async def noted(stage: Stage, slot: Slot, rank: int) -> None:
        waits.append(slot.index)
        await wait_for_room(stage, slot, rank)

    monkeypatch.setattr(Stage, "wait_for_room", noted)
    return waits


def ten(item: int) -> list[int]:
    return [item] * 10


def yield_ten(item: int) -> Iterator[int]:
    yield from ten(item)


async def yield_ten_later(item: int) -> AsyncIterator[int]:
    for each in ten(item):
        yield each


async def count_later(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@both_modes
@pytest.mark.parametrize("source", [range, count_later])
@pytest.mark.parametrize("function", [ten, yield_ten, yield_ten_later])
async def test_what_becomes_many_has_room(
    function: Any, source: Any, mode: Any, waits: list[int]
) -> None:
    """In a window that would have been full of what is yet to be called, each would wait."""
    pipeline = (single_task(function) | single_task(same)).with_execution_mode(mode)
    assert len(await pipeline(source(3000)).collect()) == 30_000
    assert len(waits) < 150


@both_modes
@pytest.mark.parametrize(
    "before",
    [single_task(same, in_order=True), batch_task(max_size=10)(same)],
    ids=["single", "batch"],
)
async def test_what_becomes_many_after_an_order_point_has_room(
    before: Any, mode: Any, waits: list[int]
) -> None:
    """There, too, the source can tell."""
    pipeline = (before | single_task(ten)).with_execution_mode(mode)
    assert len(await pipeline(range(3000)).collect()) == 30_000
    assert len(waits) < 600


@both_modes
async def test_what_becomes_a_list_of_one_needs_no_room(mode: Any, waits: list[int]) -> None:
    """It has a place already, in a full window, too."""
    pipeline = single_task(lambda item: [item]).with_context(max_in_flight=16, execution_mode=mode)
    assert await pipeline(range(100)).collect() == [*range(100)]
    assert waits == []


@both_modes
async def test_all_calls_are_made_at_once_though_there_is_no_room(mode: Any) -> None:
    """So that they do not take longer, if they take their time, than without a window."""

    @single_task(concurrency_limit=5)
    async def expand(item: int) -> list[int]:
        await anyio.sleep(1)
        return [item] * 50

    pipeline = expand.with_context(max_in_flight=20, execution_mode=mode)
    assert len(await pipeline(range(40)).collect()) == 2000
    assert current_time() == 8


@both_modes
async def test_calls_that_begin_to_take_their_time_become_more(mode: Any) -> None:
    """At once, though quick ones need one worker only, and the source waited for room."""

    @single_task(concurrency_limit=40)
    async def expand(item: int) -> list[int]:
        if item >= 100:
            await anyio.sleep(1)
        return [item] * 20

    pipeline = expand.with_context(max_in_flight=160, execution_mode=mode)
    assert len(await pipeline(range(140)).collect()) == 2800
    assert current_time() == 1


async def test_a_worker_behind_a_slow_head_goes_on() -> None:
    """No place is given back meanwhile, so nobody but the worker can tell the source."""
    begun: list[float] = []

    @single_task(concurrency_limit=2)
    async def expand(item: int) -> Any:
        begun.append(current_time())
        if item < 2:
            return [item] * 50
        await anyio.sleep(20 if item == 2 else 1)
        return item

    pipeline = expand.with_context(max_in_flight=100)
    assert len(await pipeline(range(60)).collect()) == 158
    # Two that were quick, the slow one, and one a second beside that.
    assert len([time for time in begun if time < 20]) == 2 + 1 + 20


variable: ContextVar[int] = ContextVar("variable")


async def test_the_source_goes_on_when_a_worker_ends_for_its_variables() -> None:
    """Nobody else does anything then, so nobody else would tell it."""

    @single_task(concurrency_limit=1)
    def expand(item: int) -> list[int] | None:
        if item == 0:
            return [item] * 100
        variable.set(item)
        return None

    pipeline = expand.with_context(max_in_flight=20)
    assert await pipeline(range(30)).collect() == [0] * 100


async def test_the_most_urgent_of_a_full_window_is_called() -> None:
    """A stage that takes its choice among what waits gets all that there is room for."""
    pulled = 0
    choice: list[int] = []

    def source() -> Iterator[int]:
        nonlocal pulled
        while pulled < 400:
            pulled += 1
            yield pulled

    @single_task(concurrency_limit=1, priority=lambda item: item)
    async def expand(item: int) -> list[int]:
        choice.append(pulled - len(choice))
        await anyio.sleep(1)
        return [item] * 3

    pipeline = expand.with_context(max_in_flight=50, execution_mode="as_completed")
    assert len(await pipeline(source()).collect()) == 1200
    assert min(choice[10:300]) > 40


async def test_batches_with_keys_of_their_own_get_their_items() -> None:
    """Though as many rest there as may, and what becomes of each would need all the room."""

    @batch_task(max_size=4, concurrency_limit=1, batch_by=lambda item: max(item - 4, -1) % 15)
    def expand(batch: list[int]) -> list[int]:
        return batch * 20

    pipeline = expand.with_context(max_in_flight=80, execution_mode="as_completed")
    # The first four are a batch at once; of the others, each of fifteen kinds has its turn.
    assert len(await pipeline(range(4 + 4 * 15)).collect()) == 20 * (4 + 4 * 15)


class Hundred(BaseTask[int, int]):
    """Makes a hundred values of each item, in one call for all of them."""

    async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            for _ in range(100):
                yield item


@both_modes
async def test_a_process_gets_its_items(mode: Any) -> None:
    """Though it is at work all the time, and what becomes of each needs more than all the room."""
    pipeline = Hundred().pipeline().with_context(max_in_flight=20, execution_mode=mode)
    assert len(await pipeline(range(50)).collect()) == 5000


# Who is first in line


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_first_in_line_does_not_go_on_one_by_one(
    is_async: bool, waits: list[int]
) -> None:
    """Though the others, which wait for it, would have had the time to take all room."""

    async def later(item: int) -> AsyncIterator[int]:
        if item == 0:
            await anyio.sleep(1)
        for _ in range(1000):
            yield item

    async def fetch(item: int) -> Any:
        if item == 0:
            await anyio.sleep(1)
        return (item for _ in range(1000))

    pipeline = single_task(later if is_async else fetch).with_context(max_in_flight=80)
    assert await pipeline(range(3)).collect() == [0] * 1000 + [1] * 1000 + [2] * 1000
    assert len([item for item in waits if item == 0]) <= 150
