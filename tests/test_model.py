"""Random pipelines against a model of one plain line per stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor import BaseTask, Pipeline, batch_task, single_task

#: Longer than any example takes; a run that hangs is cut off here.
FOR_EVER = 1e5


class Boom(Exception):
    """What tasks fail with."""


def pick(item: str, sides: int) -> int:
    """Return a number below *sides* that depends on the item alone, the same in every process."""
    return sum((position + 7) * ord(letter) for position, letter in enumerate(item)) % sides


def children(item: str) -> list[str]:
    """Return what an expanding stage makes of an item: from none to three."""
    return [f"{item}.{number}" for number in range(pick(item, 4))]


class Spec(NamedTuple):
    """One stage of a random pipeline; its delays decide who overtakes whom."""

    kind: str
    limit: int | None
    delays: list[int]
    min_size: int
    max_size: int
    max_wait: int | None

    async def nap(self, item: str) -> None:
        delay = self.delays[pick(item, len(self.delays))]
        if delay:
            await anyio.sleep(delay)


class Stage(NamedTuple):
    """A task, and the same for a plain list."""

    task: BaseTask[Any, Any]
    model: Callable[[list[str]], list[str]]


def single(spec: Spec) -> Stage:
    """Return a stage that calls its function with one item at a time."""
    attempts: Counter[str] = Counter()

    async def one(item: str) -> str:
        await spec.nap(item)
        return item

    async def filtered(item: str) -> str | None:
        await spec.nap(item)
        return item if pick(item, 3) else None

    async def listed(item: str) -> list[str]:
        await spec.nap(item)
        return children(item)

    def generated(item: str) -> Iterator[str]:
        yield from children(item)

    async def async_generated(item: str) -> AsyncIterator[str]:
        for child in children(item):
            await spec.nap(child)
            yield child

    async def failing(item: str) -> str:
        await spec.nap(item)
        if not pick(item, 4):
            raise Boom
        return item

    async def failing_at_first(item: str) -> str:
        await spec.nap(item)
        attempts[item] += 1
        if attempts[item] <= pick(item, 3):
            raise Boom
        return item

    def expanded(items: list[str]) -> list[str]:
        return [child for item in items for child in children(item)]

    retry: dict[str, Any] = {"retry_attempts": 3, "retry_delay": 1}
    functions: dict[str, tuple[Any, dict[str, Any], Callable[[list[str]], list[str]]]] = {
        "sync": (str, {}, list),
        "async": (one, {}, list),
        "in_order": (one, {"in_order": True}, list),
        "guarded": (one, {"timeout": FOR_EVER}, list),
        "filtered": (filtered, {}, lambda items: [item for item in items if pick(item, 3)]),
        "listed": (listed, {}, expanded),
        "generated": (generated, {}, expanded),
        "async_generated": (async_generated, {}, expanded),
        "guarded_generated": (async_generated, {"timeout": FOR_EVER, **retry}, expanded),
        "skipping": (
            failing,
            {"on_error": "skip_item"},
            lambda items: [item for item in items if pick(item, 4)],
        ),
        "retried": (failing_at_first, retry, list),
    }
    function, options, model = functions[spec.kind]
    task = single_task(function, task_name=spec.kind, concurrency_limit=spec.limit, **options)
    return Stage(task, model)


def batch(spec: Spec) -> Stage:
    """Return a stage that calls its function with batches."""

    async def joined(items: list[str]) -> str:
        await spec.nap(items[0])
        return f"({' '.join(items)})"

    async def listed(items: list[str]) -> list[str]:
        await spec.nap(items[0])
        return [f"{item}!" for item in items]

    async def generated(items: list[str]) -> AsyncIterator[str]:
        for item in items:
            await spec.nap(item)
            yield f"{item}!"

    async def poisoned(items: list[str]) -> list[str]:
        await spec.nap(items[0])
        if any(not pick(item, 5) for item in items):
            raise Boom
        return [f"{item}!" for item in items]

    def batches(items: list[str]) -> list[list[str]]:
        size = spec.max_size
        every = [items[start : start + size] for start in range(0, len(items), size)]
        return [each for each in every if len(each) >= spec.min_size]

    def marked(items: list[str]) -> list[str]:
        return [f"{item}!" for each in batches(items) for item in each]

    def marked_but_for_poison(items: list[str]) -> list[str]:
        return [f"{item}!" for each in batches(items) for item in each if pick(item, 5)]

    functions: dict[str, tuple[Any, dict[str, Any], Callable[[list[str]], list[str]]]] = {
        "batch_joined": (joined, {}, lambda items: [f"({' '.join(b)})" for b in batches(items)]),
        "batch_listed": (listed, {}, marked),
        "batch_generated": (generated, {}, marked),
        "batch_timed": (listed, {"max_wait": spec.max_wait}, marked),
        "batch_isolated": (poisoned, {"on_error": "skip_item"}, marked_but_for_poison),
    }
    function, options, model = functions[spec.kind]
    task = batch_task(
        min_size=spec.min_size,
        max_size=spec.max_size,
        task_name=spec.kind,
        concurrency_limit=spec.limit,
        **options,
    )(function)
    return Stage(task, model)


SINGLE = [
    *("sync", "async", "in_order", "guarded", "filtered", "skipping", "retried"),
    *("listed", "generated", "async_generated", "guarded_generated"),
]
EXPANDING = ["async", "listed", "generated", "async_generated", "guarded_generated"]
BATCH = ["batch_joined", "batch_listed", "batch_generated", "batch_timed", "batch_isolated"]


@st.composite
def specs(draw: st.DrawFn, kinds: list[str], whole_batches: bool) -> Spec:
    """Draw a stage; with *whole_batches* one whose results depend on which items are together."""
    kind = draw(st.sampled_from(kinds))
    max_size = draw(st.integers(1, 5))
    min_size = draw(st.integers(1, max_size))
    # What a timer sends early, and what arrives early, is another batch than the model's.
    if kind == "batch_timed" or not whole_batches:
        min_size = 1
    if kind == "batch_joined" and not whole_batches:
        kind = "batch_listed"
    return Spec(
        kind=kind,
        limit=draw(st.sampled_from([None, 1, 2, 5] if kind in SINGLE else [None, 1, 2, 3])),
        delays=draw(st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=1, max_size=5)),
        min_size=min_size,
        max_size=max_size,
        max_wait=draw(st.sampled_from([0, 1, 3])),
    )


class Case(NamedTuple):
    """A random run."""

    specs: list[Spec]
    count: int
    source: str
    way: str
    window: int | None  # places beyond the smallest number possible
    parallelism: int | None
    delays: list[int]


def cases(kinds: list[str], *, whole_batches: bool, windows: list[Any]) -> st.SearchStrategy[Case]:
    """Return the strategy for runs."""
    return st.builds(
        Case,
        specs=st.lists(specs(kinds, whole_batches), max_size=4),
        count=st.sampled_from([0, 1, 2, 5, 20, 40]),
        source=st.sampled_from(["list", "generator", "async_generator"]),
        way=st.sampled_from(["collect", "plain", "block", "slowly", "with_timeouts"]),
        window=st.sampled_from(windows),
        parallelism=st.sampled_from([None, None, 1, 3]),
        delays=st.lists(st.sampled_from([0, 0, 0, 1, 4]), min_size=1, max_size=5),
    )


class Source:
    """Gives the data in one of several forms, and knows whether it was closed."""

    def __init__(self, items: list[str], delays: list[int]) -> None:
        self.items = items
        self.delays = delays
        self.open = 0

    def list(self) -> list[str]:
        return self.items

    def generator(self) -> Iterator[str]:
        self.open += 1
        try:
            yield from self.items
        finally:
            self.open -= 1

    async def async_generator(self) -> AsyncIterator[str]:
        self.open += 1
        try:
            for item in self.items:
                await anyio.sleep(self.delays[pick(item, len(self.delays))])
                yield item
        finally:
            self.open -= 1


def smallest_window(stages: list[Stage]) -> int:
    """Return the fewest places that the run can do with."""
    options = [stage.task.options for stage in stages]
    working = [(each.concurrency_limit or 1) * each.batch_size for each in options]
    gathering = sum(each.batch_size - 1 for each in options)
    return max([1, *working, gathering + 1])


async def consume(stream: Any, way: str, delays: list[int]) -> list[str]:
    """Return all results, read in one of several ways."""
    if way == "collect":
        return await stream.collect()
    received: list[str] = []
    if way == "plain":
        async for result in stream:
            received.append(result)  # noqa: PERF401
        return received
    async with stream as results:
        while True:
            patience = 1.5 if way == "with_timeouts" else FOR_EVER
            with anyio.move_on_after(patience):
                try:
                    received.append(await anext(results))
                except StopAsyncIteration:
                    return received
            if way == "slowly":
                await anyio.sleep(delays[len(received) % len(delays)])


async def run(case: Case, mode: str) -> tuple[list[str], list[str]]:
    """Return what the pipeline gave, and what the model gives."""
    stages = [single(spec) if spec.kind in SINGLE else batch(spec) for spec in case.specs]
    window = None if case.window is None else smallest_window(stages) + case.window
    pipeline = Pipeline().add(*[stage.task for stage in stages])
    pipeline = pipeline.with_context(
        execution_mode=mode, max_in_flight=window, max_parallelism=case.parallelism
    )
    expected = items = [str(number) for number in range(case.count)]
    for stage in stages:
        expected = stage.model(expected)
    source = Source(items, case.delays)
    stream = pipeline(getattr(source, case.source)())
    with anyio.fail_after(FOR_EVER):
        received = await consume(stream, case.way, case.delays)
    stats = stream.stats()
    assert (stats.items_in, stats.items_out) == (len(items), len(received))
    assert source.open == 0
    return received, expected


# The fixtures are the backend's, the same for all examples.
profile = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@profile
@given(case=cases([*SINGLE, *BATCH], whole_batches=True, windows=[None, 0, 1, 3, 50]))
async def test_ordered_runs_agree_with_the_model(case: Case) -> None:
    """The same results in the same order, however the stages are timed and bounded."""
    received, expected = await run(case, "ordered")
    assert received == expected


@profile
@given(case=cases([*SINGLE, *BATCH], whole_batches=False, windows=[None, 0, 1, 3, 50]))
async def test_as_completed_runs_agree_with_the_model(case: Case) -> None:
    """The same results in any order."""
    received, expected = await run(case, "as_completed")
    assert sorted(received) == sorted(expected)


@profile
@given(
    case=cases(EXPANDING, whole_batches=False, windows=[0, 1, 2, 4]),
    mode=st.sampled_from(["ordered", "as_completed"]),
)
async def test_expansions_of_expansions_in_small_windows_agree_with_the_model(
    case: Case, mode: str
) -> None:
    """The head of the line always gets through, wherever it is stuck."""
    received, expected = await run(case, mode)
    assert (received if mode == "ordered" else sorted(received)) == (
        expected if mode == "ordered" else sorted(expected)
    )


@pytest.mark.parametrize("kind", [*SINGLE, *BATCH])
async def test_the_models_are_those_of_the_stages(kind: str) -> None:
    """Each kind of stage by itself, so that a failure above is not one of the model."""
    spec = Spec(kind, None, [0, 1], min_size=2, max_size=3, max_wait=9)
    stage = single(spec) if kind in SINGLE else batch(spec)
    items = [str(number) for number in range(10)]
    assert await stage.task(items).collect() == stage.model(items)
