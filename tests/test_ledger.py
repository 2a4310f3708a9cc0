"""The ledger: no item is lost or doubled without an error, and the counts are there to be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from typing import Any

import anyio
import pytest

from conveyor import LedgerError, Pipeline, RunStatistics, batch_task, single_task
from conveyor._engine import run as run_module
from conveyor._engine.run import Run
from conveyor._engine.sequence import Chain, Slot
from conveyor._engine.wiring import Wiring

Fault = Callable[[Run, Chain, Slot, Callable[[Slot], None]], None]


class Boom(Exception):
    """What tasks fail with."""


@single_task
async def same(item: Any) -> Any:
    return item


@single_task
async def twice(item: Any) -> list[Any]:
    return [item, item]


@batch_task(max_size=3)
async def whole(batch: list[Any]) -> list[Any]:
    return batch


# Faults


def lose(run: Run, chain: Chain, slot: Slot, emit: Callable[[Slot], None]) -> None:
    """Let the slot vanish as if it had never been."""
    chain.discard(slot)
    run.window.release()


def double(run: Run, chain: Chain, slot: Slot, emit: Callable[[Slot], None]) -> None:
    """Pass on a copy as well."""
    copy = Slot(slot.value, slot.index)
    chain.insert_before(slot, copy)
    run.window.held += 1
    emit(copy)
    emit(slot)


def sabotage(monkeypatch: pytest.MonkeyPatch, position: int, fault: Fault, index: int) -> None:
    """
    Have *fault* done to the item of this index, once, on its way from one stage to the next.

    Position 0 is the source, the others are the stages.
    """
    wire = run_module.wire

    def wire_wrongly(run: Run, tasks: Any, data: Any) -> Wiring:
        wiring = wire(run, tasks, data)
        culprit: Any = [wiring.source, *wiring.stages][position]
        chain = culprit.chain
        done: list[Slot] = []

        def hand_on(slot: Slot, emit: Callable[[Slot], None]) -> None:
            if slot.index == index and not done:
                done.append(slot)
                return fault(run, chain, slot, emit)
            return emit(slot)

        class WrongQueue(deque[Slot]):
            def append(self, slot: Slot) -> None:
                hand_on(slot, super().append)

            def extend(self, slots: Iterable[Slot]) -> None:
                for slot in slots:
                    self.append(slot)

        class WrongChain(type(chain)):  # type: ignore[misc]  # ordered or not, as it was
            __slots__ = ()

            def finish(self, slot: Slot) -> None:
                hand_on(slot, super().finish)

            def finish_all(self, slots: list[Slot]) -> None:
                for slot in slots:
                    self.finish(slot)

        if culprit.following is None:
            chain.__class__ = WrongChain
        else:
            culprit.following.queue = WrongQueue()
        return wiring

    monkeypatch.setattr(run_module, "wire", wire_wrongly)


BY_STAGE = "internal error: task {!r} was given {} item(s) but accounts for {}; please report this"
AT_THE_END = "internal error: {} result(s) were produced but {} delivered; please report this"
PIPELINES: dict[str, Pipeline[Any, Any]] = {
    "singles": same | same | same,
    "options": same.replace(timeout=9) | same.replace(retry_attempts=2) | same,
    "in_order": same | same.replace(in_order=True) | same,
    "batch_first": whole | same | same,
    "batch_last": same | same | whole,
}


async def to_the_end(pipeline: Pipeline[Any, Any], way: str) -> None:
    """Consume the results for twelve items in one of the three ways."""
    stream = pipeline(range(12))
    if way == "collect":
        await stream.collect()
    elif way == "plain":
        async for _ in stream:
            pass
    else:
        async with stream as results:
            async for _ in results:
                pass


both_faults = pytest.mark.parametrize(("fault", "change"), [(lose, -1), (double, +1)])


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@both_faults
@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize("name", PIPELINES)
async def test_the_ledger_finds_one_wrong_item(
    name: str,
    position: int,
    fault: Fault,
    change: int,
    mode: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever one is lost or doubled, the run ends with an error that says behind whom."""
    sabotage(monkeypatch, position, fault, index=6)
    pipeline = PIPELINES[name].with_execution_mode(mode)
    with pytest.raises(LedgerError) as caught:
        await pipeline(range(12)).collect()
    if position < 3:
        expected = BY_STAGE.format(pipeline.stages[position].task_name, 12, 12 + change)
    else:
        expected = AT_THE_END.format(12, 12 + change)
    assert str(caught.value) == expected


@pytest.mark.parametrize("way", ["collect", "plain", "block"])
@both_faults
async def test_the_ledgers_error_reaches_every_consumer(
    way: str, fault: Fault, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the results are read."""
    sabotage(monkeypatch, 1, fault, index=6)
    with pytest.raises(LedgerError) as caught:
        await to_the_end(PIPELINES["singles"], way)
    assert str(caught.value) == BY_STAGE.format("same", 12, 12 + change)


@both_faults
async def test_the_ledger_watches_an_empty_pipeline(
    fault: Fault, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Straight from the source to the consumer items are counted as well."""
    sabotage(monkeypatch, 0, fault, index=3)
    with pytest.raises(LedgerError) as caught:
        await Pipeline()(range(5)).collect()
    assert str(caught.value) == AT_THE_END.format(5, 5 + change)


@both_faults
async def test_the_ledger_finds_one_wrong_child(
    fault: Fault, change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an item that became two, one is lost or doubled."""
    sabotage(monkeypatch, 1, fault, index=2)
    with pytest.raises(LedgerError) as caught:
        await (twice | same)(range(5)).collect()
    assert str(caught.value) == BY_STAGE.format("same", 10, 10 + change)


async def test_results_come_before_the_ledgers_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known at the end only; what was delivered stays delivered, and the end is no end."""
    sabotage(monkeypatch, 1, lose, index=1)
    received = []
    async with (same | same)(range(3)) as results:
        for _ in range(2):
            received.append(await anext(results))  # noqa: PERF401
        with pytest.raises(LedgerError):
            await anext(results)
    assert received == [0, 2]


async def test_a_run_that_is_left_early_is_not_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items in flight when the consumer leaves are not lost."""
    sabotage(monkeypatch, 1, lose, index=1)
    async with same(range(100)) as results:
        assert await anext(results) == 0
    async for result in same(range(100)):
        assert result == 0
        break


async def test_a_failure_comes_before_the_ledger() -> None:
    """A run that failed has unfinished items, and that is no second error."""

    @single_task
    async def fails(item: int) -> int:
        await anyio.sleep(item)
        if item == 3:
            raise Boom
        return item

    with pytest.raises(Boom):
        await (fails | same)(range(10)).collect()


# Statistics


def counts(stats: RunStatistics) -> tuple[int, list[tuple[Any, ...]], int]:
    """Return all that was counted, without the names, and nothing about batches."""
    return stats.items_in, [astuple(stage)[1:7] for stage in stats.stages], stats.items_out


class Counted:
    """A run with one of everything, and what its statistics should be."""

    def __init__(self) -> None:
        self.failed: set[int] = set()

        @single_task(retry_attempts=2, retry_delay=1, retry_jitter=0)
        async def retried(item: int) -> int:
            if item % 5 == 0 and item not in self.failed:
                self.failed.add(item)
                raise ValueError
            return item

        @single_task(on_error="skip_item")
        async def skipping(item: int) -> int:
            if item in (3, 4, 5):
                raise ValueError
            return item

        @single_task
        async def filtering(item: int) -> int | None:
            return item if item % 2 else None

        @batch_task(min_size=3)
        async def batching(batch: list[int]) -> list[int]:
            return batch

        @single_task
        def spelling(item: int) -> Iterator[int]:
            for _ in range(3):
                yield item

        self.pipeline = retried | skipping | filtering | batching | spelling | twice
        # items in, calls, filtered, skipped, dropped, retried
        self.expected = [
            (20, 20, 0, 0, 0, 4),
            (20, 20, 0, 3, 0, 0),  # without 3, 4, 5
            (17, 17, 9, 0, 0, 0),  # of the others 1, 7, 9, 11, 13, 15, 17, 19 are odd
            (8, 2, 0, 0, 2, 0),
            (6, 6, 0, 0, 0, 0),
            (18, 18, 0, 0, 0, 0),
        ]


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("way", ["stream", "results"])
async def test_statistics_count_every_stage(way: str, mode: Any) -> None:
    """What came in, calls, filtered, skipped, dropped and retried, stage by stage."""
    run = Counted()
    stream = run.pipeline.with_execution_mode(mode)(range(20))
    async with stream as results:
        assert len(await results.collect()) == 36
        stats = stream.stats() if way == "stream" else results.stats()
    assert counts(stats) == (20, run.expected, 36)
    assert [stage.task_name for stage in stats.stages] == [
        "retried",
        "skipping",
        "filtering",
        "batching",
        "spelling",
        "twice",
    ]
    assert (stats.skipped, stats.dropped) == (3, 2)


async def test_statistics_can_be_read_while_the_run_goes_on() -> None:
    """A snapshot each time; earlier ones do not change."""
    gate = anyio.Event()

    @single_task
    async def third_waits(item: int) -> int:
        if item == 2:
            await gate.wait()
        return item

    async with (third_waits | same)(range(5)) as results:
        assert [await anext(results), await anext(results)] == [0, 1]
        await anyio.sleep(1)
        early = results.stats()
        gate.set()
        assert await results.collect() == [2, 3, 4]
        late = results.stats()
    assert counts(early) == (5, [(5, 5, 0, 0, 0, 0), (4, 4, 0, 0, 0, 0)], 2)
    assert counts(late) == (5, [(5, 5, 0, 0, 0, 0), (5, 5, 0, 0, 0, 0)], 5)


async def test_items_that_are_being_gathered_have_come_in() -> None:
    """A batch task's items are counted before their batch is complete."""
    gate = anyio.Event()

    async def source() -> Any:
        for number in range(4):
            yield number
        await gate.wait()

    async with whole(source()) as results:
        await anyio.sleep(1)
        assert counts(results.stats()) == (4, [(4, 1, 0, 0, 0, 0)], 0)
        gate.set()
        assert await results.collect() == [0, 1, 2, 3]
        assert counts(results.stats()) == (4, [(4, 2, 0, 0, 0, 0)], 4)


async def test_results_that_nobody_takes_are_not_delivered() -> None:
    """What is ready when the block is left counts for nothing."""
    async with same(range(100)) as results:
        await anyio.sleep(1)
        assert [await anext(results), await anext(results)] == [0, 1]
    assert results.stats().items_out == 2


async def test_a_plain_iteration_has_statistics_too() -> None:
    """On the stream, during the iteration and after it."""
    stream = same(range(4))
    with pytest.raises(RuntimeError) as caught:
        stream.stats()
    assert str(caught.value) == "there are no statistics yet; the stream has not been iterated"
    seen = [(item, stream.stats().items_out) async for item in stream]
    assert seen == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert counts(stream.stats()) == (4, [(4, 4, 0, 0, 0, 0)], 4)


async def test_statistics_survive_a_failure() -> None:
    """They say how far the run got."""

    @single_task(concurrency_limit=1)
    async def fails(item: int) -> int:
        if item == 3:
            raise Boom
        return item

    stream = fails(range(10))
    with pytest.raises(Boom):
        await stream.collect()
    (stage,) = stream.stats().stages
    assert stage.items_in == stream.stats().items_in > 4
    assert (stage.calls, stream.stats().items_out) == (4, 3)
