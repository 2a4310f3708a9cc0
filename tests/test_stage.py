"""Stages: how many calls run at once, in which order they start, and what their results become."""

from __future__ import annotations

import array
import asyncio
import itertools
import random
from collections import UserList
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import Pipeline, batch_task, single_task
from conveyor._engine.run import Run
from helpers import current_time, ticks

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class Meter:
    """Counts the calls that run, and keeps them until the gate opens."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.started: list[Any] = []
        self.gate = anyio.Event()

    def __enter__(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)

    def __exit__(self, *exc_info: object) -> None:
        self.running -= 1

    async def held(self, item: Any) -> Any:
        """Run until the gate opens."""
        self.started.append(item)
        with self:
            await self.gate.wait()
        return item

    async def busy(self, item: Any) -> Any:
        """Run for a second."""
        self.started.append(item)
        with self:
            await anyio.sleep(1)
        return item


@single_task
def same(item: Any) -> Any:
    return item


@single_task
async def backwards(item: int) -> int:
    """Let later items overtake earlier ones, ten at a time."""
    await anyio.sleep(10 - item % 10)
    return item


async def settle() -> None:
    """Let everything happen that can: the clock jumps this far only when nothing else is left."""
    await anyio.sleep(10_000)


# How many calls


@both_modes
@pytest.mark.parametrize("options", [{}, {"timeout": 1e9}, {"retry_attempts": 2}])
@pytest.mark.parametrize("limit", [None, 1, 2, 15, 16, 17, 150])
async def test_the_limit_is_reached_and_never_exceeded(
    limit: int | None, options: dict[str, Any], mode: Any
) -> None:
    """That many calls run at once, also above every buffer's size; by default a hundred."""
    meter = Meter()
    expected = limit or 100
    task = single_task(meter.held, concurrency_limit=limit, **options)
    items = 2 * expected + 20
    async with task.with_execution_mode(mode)(range(items)) as results:
        await settle()
        assert meter.running == expected
        meter.gate.set()
        assert sorted(await results.collect()) == list(range(items))
    assert meter.most == expected


@both_modes
@pytest.mark.parametrize("limit", [None, 1, 3, 20])
async def test_the_limit_of_a_batch_task_counts_batches(limit: int | None, mode: Any) -> None:
    """That many batches are worked on at once, by default one."""
    meter = Meter()
    expected = limit or 1
    task = batch_task(max_size=2, concurrency_limit=limit)(meter.held)
    async with task.with_execution_mode(mode)(range(100)) as results:
        await settle()
        assert meter.running == expected
        meter.gate.set()
        assert sorted(await results.collect()) == list(range(100))
    assert meter.most == expected


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_generator_is_a_call_until_it_ends(limit: int) -> None:
    """Of generators that produce at their leisure, as many run as the limit says."""
    meter = Meter()

    @single_task(concurrency_limit=limit)
    async def slowly(item: int) -> AsyncIterator[int]:
        with meter:
            for _ in range(3):
                await anyio.sleep(1)
                yield item

    expected = [item for item in range(7) for _ in range(3)]
    assert await slowly(range(7)).collect() == expected
    assert meter.most == limit


async def test_each_stage_has_a_limit_of_its_own() -> None:
    """A full stage does not keep another one from filling up."""
    first, second = Meter(), Meter()
    first.gate.set()
    pipeline = single_task(first.busy, concurrency_limit=2) | single_task(
        second.held, concurrency_limit=5
    )
    async with pipeline(range(20)) as results:
        await settle()
        assert (first.most, second.running) == (2, 5)
        second.gate.set()
        assert await results.collect() == list(range(20))


@both_modes
@pytest.mark.parametrize("limit", [2, 4])
async def test_a_slow_item_idles_nobody_until_the_window_is_full(limit: int, mode: Any) -> None:
    """The other workers go on behind it for as many items as the window holds."""
    started: list[int] = []
    gate = anyio.Event()

    @single_task(concurrency_limit=limit)
    async def first_one_slow(item: int) -> int:
        started.append(item)
        if item == 0:
            await gate.wait()
        return item

    pipeline = first_one_slow.with_context(max_in_flight=20, execution_mode=mode)
    async with pipeline(range(50)) as results:
        await settle()
        assert started == list(range(20))
        received = []
        if mode == "as_completed":
            received = [await anext(results) for _ in range(19)]
            await settle()
            assert len(started) >= 20 + 19 - 20 // 8
        gate.set()
        received += await results.collect()
    assert sorted(received) == list(range(50))


async def test_idle_workers_are_all_called_again() -> None:
    """After a pause as many calls run at once as before it."""
    calls: list[tuple[float, int]] = []

    @single_task(concurrency_limit=3)
    async def busy(item: int) -> None:
        calls.append((current_time(), item))
        await anyio.sleep(10)

    async def bursts() -> AsyncIterator[int]:
        for item in range(9):
            if item % 3 == 0:
                await anyio.sleep(100)
            yield item

    assert await busy(bursts()).collect() == []
    assert calls == [(100 * (1 + item // 3), item) for item in range(9)]


# How many tasks


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the tasks that runs start."""
    spawned: list[str] = []
    start_soon = Run.start_soon

    def recording(run: Run, function: Callable[..., Any], *args: Any, name: Any = None) -> None:
        spawned.append(function.__qualname__)
        start_soon(run, function, *args, name=name)

    monkeypatch.setattr(Run, "start_soon", recording)
    return spawned


@single_task
async def immediate(item: Any) -> Any:
    return item


@both_modes
@pytest.mark.parametrize("stage", [same, immediate, same.replace(timeout=9)])
async def test_functions_that_never_suspend_need_few_tasks(
    stage: Any, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker does it all; others may have been called before that was known."""
    spawned = counted(monkeypatch)
    pipeline = (stage | stage | stage).with_execution_mode(mode)
    assert await pipeline(range(2000)).collect() == list(range(2000))
    assert 1 + 3 <= len(spawned) <= 1 + 3 * 3


async def test_workers_are_started_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four slow calls, four workers, and not the hundred that there might be."""
    meter = Meter()
    spawned = counted(monkeypatch)
    assert await single_task(meter.busy)(range(4)).collect() == [0, 1, 2, 3]
    assert meter.most == 4
    assert len(spawned) == 1 + 4


async def test_many_workers_are_started_soon() -> None:
    """More and more at a time, as long as those before them wait for their calls."""
    meter = Meter()
    async with single_task(meter.held)(range(100)) as results:
        await ticks(40)
        assert meter.running == 100
        meter.gate.set()
        assert await results.collect() == list(range(100))


async def test_workers_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more tasks than the limit, however many items."""
    meter = Meter()
    spawned = counted(monkeypatch)
    task = single_task(meter.busy, concurrency_limit=3)
    assert await task(range(300)).collect() == list(range(300))
    assert len(spawned) == 1 + 3
    assert current_time() == 100


@pytest.mark.parametrize("options", [{}, {"timeout": 9}])
async def test_workers_have_the_name_of_their_task(options: dict[str, Any]) -> None:
    """Whoever lists the tasks of the event loop sees what they do."""
    meter = Meter()
    task = single_task(meter.held, task_name="look up", **options)
    async with task(range(3)) as results:
        await ticks(20)
        assert [each.name for each in anyio.get_running_tasks()].count("look up") == 3
        meter.gate.set()
        assert await results.collect() == [0, 1, 2]


@both_modes
@pytest.mark.parametrize("options", [{}, {"timeout": 9}])
async def test_workers_end_once_nothing_more_can_come(options: dict[str, Any], mode: Any) -> None:
    """Those of the first stage too, which are through earlier; the consumer may take its time."""
    meter = Meter()
    stage = single_task(meter.busy, concurrency_limit=3, **options)
    before = len(anyio.get_running_tasks())
    async with (stage | stage).with_execution_mode(mode)(range(9)) as results:
        await anyio.sleep(9)
        assert len(anyio.get_running_tasks()) == before + 1  # the run itself
        assert sorted(await results.collect()) == list(range(9))


# In which order calls start


@pytest.mark.parametrize("options", [{}, {"timeout": 9}, {"retry_attempts": 2}])
@pytest.mark.parametrize("limit", [1, 3, None])
async def test_in_order_calls_start_in_input_order(
    limit: int | None, options: dict[str, Any]
) -> None:
    """Although the stage before gives its results in another order."""
    meter = Meter()
    task = single_task(meter.busy, in_order=True, concurrency_limit=limit, **options)
    assert await (backwards | task)(range(40)).collect() == list(range(40))
    assert meter.started == list(range(40))
    assert meter.most == (limit or 40)  # item 0, there after ten seconds, held back all the others


@pytest.mark.parametrize("parallelism", [1, 2, 3])
@pytest.mark.parametrize("limit", [3, None])
async def test_in_order_calls_start_in_input_order_also_under_a_cap(
    limit: int | None, parallelism: int
) -> None:
    """Calls that wait for their share of the parallelism keep their order."""
    meter = Meter()
    task = single_task(meter.busy, in_order=True, concurrency_limit=limit)
    pipeline = (backwards | task).with_context(max_parallelism=parallelism)
    assert await pipeline(range(40)).collect() == list(range(40))
    assert meter.started == list(range(40))


async def test_in_order_children_and_gaps_keep_their_places() -> None:
    """Expanded items are called in order, item by item; filtered ones leave no gap."""
    meter = Meter()

    @single_task
    async def some(item: int) -> list[str]:
        await anyio.sleep(10 - item)
        return [f"{item}.{number}" for number in range(item % 3)]

    task = single_task(meter.busy, in_order=True)
    expected = [f"{item}.{number}" for item in range(10) for number in range(item % 3)]
    assert await (some | task)(range(10)).collect() == expected
    assert meter.started == expected


async def test_without_in_order_items_overtake_one_another() -> None:
    """Calls start as soon as the item is there; order is restored for the consumer only."""
    meter = Meter()
    assert await (backwards | single_task(meter.busy))(range(10)).collect() == list(range(10))
    assert meter.started == list(range(9, -1, -1))


async def test_as_completed_restores_no_order() -> None:
    """There is none to start the calls in."""
    meter = Meter()
    pipeline = backwards | single_task(meter.busy, in_order=True)
    assert await pipeline.as_completed(range(10)).collect() == list(range(9, -1, -1))
    assert meter.started == list(range(9, -1, -1))


# The cap over the whole run


@both_modes
@pytest.mark.parametrize("window", [1, 4, None])
@pytest.mark.parametrize("parallelism", [1, 2, 5])
async def test_max_parallelism_counts_the_calls_of_all_stages(
    parallelism: int, window: int | None, mode: Any
) -> None:
    """Reached, never exceeded, and nobody waits for ever for a share."""
    meter = Meter()
    stage = single_task(meter.busy)
    pipeline = (stage | stage | stage).with_context(
        max_parallelism=parallelism, max_in_flight=window, execution_mode=mode
    )
    received = await pipeline(range(20)).collect()
    assert sorted(received) == list(range(20))
    # One item after another has at most one call to make.
    assert meter.most == min(parallelism, window or parallelism)
    # Which call comes next is the scheduler's choice; Graham's bound holds for any.
    work, chain = 60, 3
    assert work / meter.most <= current_time() <= work / meter.most + chain * (1 - 1 / meter.most)


@both_modes
async def test_max_parallelism_counts_batches_and_generators(mode: Any) -> None:
    """Each call of theirs is one."""
    meter = Meter()

    @single_task
    async def twice(item: int) -> AsyncIterator[int]:
        for _ in range(2):
            with meter:
                await anyio.sleep(1)
            yield item

    @batch_task(max_size=3, concurrency_limit=2)
    async def batched(batch: list[int]) -> list[int]:
        with meter:
            await anyio.sleep(1)
        return batch

    pipeline = (twice | batched | single_task(meter.busy)).with_context(
        max_parallelism=2, execution_mode=mode
    )
    received = await pipeline(range(9)).collect()
    assert sorted(received) == sorted([*range(9), *range(9)])
    assert meter.most == 2


@both_modes
@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("window", [1, 2, 5])
@pytest.mark.parametrize("generators", [1, 5])
async def test_a_generator_that_waits_for_room_gives_its_share_back(
    generators: int, window: int, parallelism: int, mode: Any
) -> None:
    """Else the stage behind it, which makes room, could not be called. Then it takes one again."""
    meter = Meter()

    @single_task
    async def endless(item: int) -> AsyncIterator[int]:
        for number in itertools.count():
            with meter:
                await anyio.sleep(0.5)
            yield number

    pipeline = (endless | single_task(meter.busy)).with_context(
        max_parallelism=parallelism, max_in_flight=window, execution_mode=mode
    )
    async with pipeline(range(generators)) as results:
        received = [await anext(results) for _ in range(20)]
    if mode == "ordered":
        assert received == list(range(20))
    assert meter.most <= parallelism


async def test_a_list_that_waits_for_room_holds_no_share() -> None:
    """What the list waits for in the end is a call that needs the one share."""

    @single_task(concurrency_limit=2, retry_attempts=2, retry_delay=5, retry_jitter=0)
    async def work(item: int) -> Any:
        if item == 0 and current_time() == 0:
            raise ValueError
        return [item] * 9

    pipeline = work.with_context(max_in_flight=4, max_parallelism=1)
    assert await pipeline([0, 1]).collect() == [0] * 9 + [1] * 9
    assert current_time() == 5


async def test_a_call_that_waits_for_its_retry_holds_no_share() -> None:
    """Another item is called during the delay, even with a parallelism of one."""
    calls: list[tuple[float, int]] = []

    @single_task(retry_attempts=2, retry_delay=10, retry_jitter=0)
    async def first_fails(item: int) -> int:
        calls.append((current_time(), item))
        if len(calls) == 1:
            raise ValueError
        return item

    assert await first_fails.with_context(max_parallelism=1)([0, 1]).collect() == [0, 1]
    assert calls == [(0, 0), (0, 1), (10, 0)]


async def test_runs_do_not_share_their_parallelism() -> None:
    """The cap is one over a run, not over all runs of a pipeline."""
    meter = Meter()
    pipeline = single_task(meter.busy).with_context(max_parallelism=1)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(pipeline(range(4)).collect)
    assert meter.most == 3
    assert current_time() == 4


# In which order results come

DELAYS = [3.0, 1.0, 5.0, 2.0, 4.0]


@single_task
async def delayed(item: int) -> int:
    await anyio.sleep(DELAYS[item])
    return item


async def test_in_an_ordered_run_the_contiguous_prefix_leaves_at_once() -> None:
    """Each result comes as soon as it and all before it are there."""
    async with delayed(range(5)) as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [(3, 0), (3, 1), (5, 2), (5, 3), (5, 4)]


async def test_as_completed_every_result_leaves_at_once() -> None:
    """Each one as soon as it is there."""
    async with delayed.as_completed(range(5)) as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [(1, 1), (2, 3), (3, 0), (4, 4), (5, 2)]


@pytest.mark.parametrize("outcome", ["filtered", "skipped", "no_child", "no_value"])
async def test_items_without_a_result_leave_no_gap(outcome: str) -> None:
    """Those behind wait for nothing that will not come, and for everything that may."""

    async def nothing(item: int) -> Any:
        await anyio.sleep(DELAYS[item])
        if item not in (0, 3):
            return item
        if outcome == "skipped":
            raise ValueError
        return {"filtered": None, "no_child": [], "no_value": generator()}[outcome]

    async with single_task(nothing, on_error="skip_item")(range(5)) as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [(3, 1), (5, 2), (5, 4)]


@pytest.mark.parametrize("kind", ["list", "generator", "async_generator"])
async def test_children_take_the_place_of_their_item(kind: str) -> None:
    """In an ordered run; as completed they follow one another wherever they end up."""

    async def listed(item: int) -> list[str]:
        await anyio.sleep(DELAYS[item])
        return [f"{item}{letter}" for letter in "abc"]

    async def generated(item: int) -> Iterator[str]:
        return generator(*await listed(item))

    async def async_generated(item: int) -> AsyncIterator[str]:
        for value in await listed(item):
            yield value

    functions = {"list": listed, "generator": generated, "async_generator": async_generated}
    task = single_task(functions[kind]) | same
    ordered = [f"{item}{letter}" for item in range(5) for letter in "abc"]
    completed = [f"{item}{letter}" for item in (1, 3, 0, 4, 2) for letter in "abc"]
    assert await task(range(5)).collect() == ordered
    assert await task.as_completed(range(5)).collect() == completed


async def test_values_of_a_generator_leave_as_they_are_produced() -> None:
    """At the item's place; those of the next item wait until the generator has ended."""

    @single_task
    async def produced(item: int) -> AsyncIterator[str]:
        for number in range(2):
            await anyio.sleep(2 if item == 0 else 0.5)
            yield f"{item}.{number}"

    async with produced(range(2)) as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [(2, "0.0"), (4, "0.1"), (4, "1.0"), (4, "1.1")]
    start = current_time()
    async with produced.as_completed(range(2)) as results:
        timeline = [(current_time() - start, result) async for result in results]
    assert timeline == [(0.5, "1.0"), (1, "1.1"), (2, "0.0"), (4, "0.1")]


# Wake-ups

variable: ContextVar[int] = ContextVar("variable", default=0)


@both_modes
@pytest.mark.parametrize("options", [{}, {"timeout": 1e9}])
@pytest.mark.parametrize("sets_variables", [False, True])
async def test_no_wake_up_is_lost(mode: Any, options: dict[str, Any], sets_variables: bool) -> None:
    """Many schedules with ties: bursts, pauses, idle workers, workers that retire."""
    for seed in range(30):
        chance = random.Random(seed)

        async def nap(chance: random.Random = chance) -> None:
            if chance.random() < 0.5:
                await ticks(chance.randrange(3))
            else:
                await anyio.sleep(chance.randrange(3))

        async def work(item: int, nap: Callable[..., Any] = nap) -> int:
            if sets_variables and item % 4 == 0:
                variable.set(item)
            await nap()
            return item

        async def source(nap: Callable[..., Any] = nap) -> AsyncIterator[int]:
            for number in range(25):
                await nap()
                yield number

        limits = [chance.choice([1, 2, 3]) for _ in range(3)]
        stages = [single_task(work, concurrency_limit=limit, **options) for limit in limits]
        stages.insert(chance.randrange(3), batch_task(min_size=1, max_size=2)(work_on_batch))
        pipeline = Pipeline().add(*stages)
        window = chance.choice([5, 6, 1000])
        stream = pipeline.with_context(max_in_flight=window, execution_mode=mode)(source())
        assert sorted(await stream.collect()) == list(range(25)), f"seed {seed}"


@pytest.mark.parametrize("options", [{}, {"timeout": 1e9}])
async def test_a_worker_that_retires_leaves_its_queue_to_another(options: dict[str, Any]) -> None:
    """Its call has set a variable, so it ends; nothing comes any more that would wake somebody."""

    @single_task(concurrency_limit=1, **options)
    async def work(item: int) -> int:
        await anyio.sleep(1)
        if item == 0:
            variable.set(1)
        return item

    assert await work(range(3)).collect() == [0, 1, 2]


def work_on_batch(batch: list[int]) -> list[int]:
    return batch


# What results become


class Words(list[Any]):
    """A subclass of list."""


class Later:
    """Awaitable, but no coroutine."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        yield from ticks(1).__await__()
        return self.value


def generator(*values: Any) -> Iterator[Any]:
    yield from values


async def async_generator(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        await ticks(1)
        yield value


AS_IT_IS: dict[str, Any] = {
    "zero": 0,
    "false": False,
    "empty_str": "",
    "str": "text",
    "bytes": b"bytes",
    "bytearray": bytearray(b"bytes"),
    "tuple": (1, 2),
    "empty_tuple": (),
    "dict": {"a": 1},
    "set": {1, 2},
    "frozenset": frozenset({1}),
    "array": array.array("d", [1.0, 2.0]),
    "range": range(3),
    "user_list": UserList([1, 2]),
    "iterator": iter([1, 2]),
    "exception": ValueError("a value like any other"),
    "type": list,
    "not_implemented": NotImplemented,
    "ellipsis": ...,
}

SEVERAL: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "none": (lambda: None, []),
    "list": (lambda: [1, 2], [1, 2]),
    "empty_list": (list, []),
    "nested_list": (lambda: [[1], [], [2, 3]], [[1], [], [2, 3]]),
    "list_of_none": (lambda: [None, 1], [None, 1]),
    "list_subclass": (lambda: Words([1, 2]), [1, 2]),
    "generator": (lambda: generator(1, [2], None), [1, [2], None]),
    "empty_generator": (lambda: generator(), []),
    "generator_expression": (lambda: (x for x in (1, 2)), [1, 2]),
    "async_generator": (lambda: async_generator(1, [2], None), [1, [2], None]),
    "empty_async_generator": (lambda: async_generator(), []),
}


def asynchronously(make: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a coroutine function that makes the result."""

    async def function(item: Any) -> Any:
        await ticks(1)
        return make()

    return function


def synchronously(make: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a function that makes the result."""
    return lambda item: make()


def by_coroutine(make: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a plain function that returns a coroutine for the result."""
    return lambda item: asynchronously(make)(item)


def by_awaitable(make: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return a plain function that returns another awaitable for the result."""
    return lambda item: Later(make())


every_function = pytest.mark.parametrize(
    "wrap", [synchronously, asynchronously, by_coroutine, by_awaitable]
)
every_task = pytest.mark.parametrize("is_batch", [False, True])
every_form = pytest.mark.parametrize("options", [{}, {"timeout": 9, "on_error": "skip_item"}])


def task_of(function: Callable[[Any], Any], is_batch: bool, options: dict[str, Any]) -> Any:
    """Return a task of *function* that is called once for the data ``[0]``."""
    return (batch_task(**options) if is_batch else single_task(**options))(function)


@every_form
@every_task
@every_function
async def test_most_results_are_one_item(
    wrap: Any, is_batch: bool, options: dict[str, Any]
) -> None:
    """The very object goes downstream, whatever it could be iterated for."""
    for name, value in AS_IT_IS.items():
        task = task_of(wrap(lambda: value), is_batch, options)  # noqa: B023
        (received,) = await task([0]).collect()
        assert received is value, name


@every_form
@every_task
@every_function
async def test_lists_and_generators_are_several_items(
    wrap: Any, is_batch: bool, options: dict[str, Any]
) -> None:
    """Each element on its own, one level deep; none of them, or ``None``: no item."""
    for name, (make, expected) in SEVERAL.items():
        received = await task_of(wrap(make), is_batch, options)([0]).collect()
        assert received == expected, name


@every_form
@every_task
@every_function
async def test_without_flatten_a_list_is_one_item(
    wrap: Any, is_batch: bool, options: dict[str, Any]
) -> None:
    """So is an empty one; generators still produce."""
    options = {**options, "flatten": False}
    for value in ([1, 2], [], Words([1])):
        (received,) = await task_of(wrap(lambda: value), is_batch, options)([0]).collect()  # noqa: B023
        assert received is value
    for make in (lambda: generator(1, 2), lambda: async_generator(1, 2)):
        assert await task_of(wrap(make), is_batch, options)([0]).collect() == [1, 2]
    assert await task_of(wrap(lambda: None), is_batch, options)([0]).collect() == []


@every_form
@every_task
@pytest.mark.parametrize("function", [generator, async_generator])
async def test_generator_functions_need_no_wrapping(
    function: Any, is_batch: bool, options: dict[str, Any]
) -> None:
    """Calling one is what returns the generator."""
    expected = [[0]] if is_batch else [0]
    assert await task_of(function, is_batch, options)([0]).collect() == expected


@every_form
async def test_results_of_many_types_in_turn(options: dict[str, Any]) -> None:
    """What one result was decides nothing about the next."""
    results: list[Any] = [1, None, [2, 3], generator(4), "5", Later(6), None, (7,), [], 8, 9.0, {}]
    expected = [1, 2, 3, 4, "5", 6, (7,), 8, 9.0, {}]
    task = single_task(lambda index: results[index], **options)
    assert await task(range(len(results))).collect() == expected


async def test_a_future_is_awaited(anyio_backend_name: str) -> None:
    """On asyncio; what Trio knows of the kind is any object with ``__await__``."""

    def function(item: int) -> Any:
        if anyio_backend_name == "trio":
            return Later(item)
        future = asyncio.get_running_loop().create_future()
        future.set_result(item)
        return future

    assert await single_task(function)(range(3)).collect() == [0, 1, 2]
