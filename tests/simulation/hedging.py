"""
Random calls with a second attempt, and what must come out of them, in plain Python.

Apart from the other scenarios, since there each attempt of a call comes after the one before. The
attempts of a call begin and end, and time out, at different fractions of a tick, so that no two of
them tie; the items tie with each other as often as may be.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import anyio
from anyio import current_time
from anyio.lowlevel import checkpoint

from conveyor import BatchTask, SingleTask, testing

from .failures import Boom

__all__ = ["HedgedCalls", "simulate_hedged"]

#: Turns of the event loop that no run needs.
MAX_TICKS = 50_000


class Step(NamedTuple):
    """What one attempt does: so many ticks and turns, then success or not; ticks of cleanup."""

    ticks: int
    turns: int
    fails: bool
    cleanup: int


class Outcome(NamedTuple):
    """What becomes of an item: its calls, what they give, and how long it takes all in all."""

    calls: int
    hedged: int
    retried: int
    value: str | None
    ticks: float


@dataclass(frozen=True)
class HedgedCalls:
    """A run of one task; each item takes its steps one after another, as its attempts begin."""

    seed: int
    count: int
    limit: int
    is_batch: bool
    ordered: bool
    after: float
    attempts: int
    delay: int
    timeout: float | None
    cancel_at: float | None

    @classmethod
    def from_seed(cls, seed: int) -> HedgedCalls:
        """Make the run of *seed*."""
        own = Random(f"{seed} hedging")
        return cls(
            seed=seed,
            count=own.choice([1, 2, 5, 12]),
            limit=own.choice([1, 2, 3, 100]),
            is_batch=own.random() < 0.3,
            ordered=own.random() < 0.6,
            after=own.choice([0.5, 1.5, 2.5]),
            attempts=own.choice([1, 1, 2, 3]),
            delay=own.choice([0, 1, 2]),
            timeout=own.choice([None, None, 3.25, 4.25]),
            cancel_at=own.choice([None, None, own.randrange(12) / 2]),
        )

    def step(self, item: int, number: int) -> Step:
        """Return what attempt *number* of an item does."""
        own = Random(f"{self.seed} {item} {number} step")
        return Step(
            ticks=own.choice([0, 0, 1, 2, 3, 6]),
            turns=own.choice([0, 0, 1, 3]),
            fails=own.random() < 0.3,
            cleanup=own.choice([0, 0, 1]),
        )

    def outcome(self, item: int) -> Outcome:
        """Return what becomes of an item by itself."""
        calls = hedged = 0
        spent: float = 0
        for attempt in range(self.attempts):
            first = self.step(item, calls)
            calls += 1
            ends = [self.end(first, 0)]
            numbers = [calls - 1]
            if ends[0][0] > self.after:
                hedged += 1
                second = self.step(item, calls)
                numbers.append(calls)
                calls += 1
                ends.append(self.end(second, self.after))
            good = [
                (end, number) for (end, fine), number in zip(ends, numbers, strict=True) if fine
            ]
            if good:
                end, number = min(good)
                rest = [
                    self.rest(self.step(item, each), begin, end)
                    for each, begin in zip(numbers, (0, self.after), strict=False)
                    if each != number
                ]
                return Outcome(
                    calls, hedged, attempt, f"{item}/{number}", spent + max([end, *rest])
                )
            # One that times out takes its cleanup as well.
            spent += max(end for end, _ in ends)
            if attempt + 1 < self.attempts:
                spent += self.delay
        return Outcome(calls, hedged, self.attempts - 1, None, spent)

    def end(self, step: Step, begin: float) -> tuple[float, bool]:
        """Return when an attempt has ended, if nobody cancels it, and whether it has succeeded."""
        if self.timeout is not None and step.ticks > self.timeout:
            return begin + self.timeout + step.cleanup, False
        return begin + step.ticks, not step.fails

    def rest(self, step: Step, begin: float, now: float) -> float:
        """Return when an attempt has ended that is cancelled at *now*, unless it has before."""
        cut = now
        if self.timeout is not None and step.ticks > self.timeout:
            cut = min(now, begin + self.timeout)
        return begin + step.ticks if begin + step.ticks < cut else cut + step.cleanup


def simulate_hedged(run: HedgedCalls, backend: str) -> list[str]:
    """Play a run and return what was wrong with it."""
    play = _Play(run)
    testing.run(play.main, backend=backend, seed=run.seed, max_ticks=MAX_TICKS)
    return play.problems


class _Play:
    def __init__(self, run: HedgedCalls) -> None:
        self.run = run
        self.problems: list[str] = []
        self.calls: Counter[int] = Counter()
        self.alive: Counter[int] = Counter()
        self.busy: set[int] = set()

    async def work(self, given: Any) -> str:
        """Take the next step of an item."""
        run = self.run
        item: int = given[0] if run.is_batch else given
        number = self.calls[item]
        self.calls[item] += 1
        step = run.step(item, number)
        self.alive[item] += 1
        if self.alive[item] > 2:
            self.problems.append(f"{self.alive[item]} attempts of item {item}")
        if sum(self.alive.values()) > 2 * run.limit or len(+self.alive) > run.limit:
            self.problems.append(f"at {current_time():g}: {dict(+self.alive)}, limit={run.limit}")
        try:
            await anyio.sleep(step.ticks)
            for _ in range(step.turns):
                await checkpoint()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(step.cleanup)
            raise
        finally:
            self.alive[item] -= 1
        if step.fails:
            raise Boom(str(item))
        return f"{item}/{number}"

    async def main(self) -> None:
        """Run the task, or a part of it."""
        run = self.run
        options: dict[str, Any] = {
            "task_name": "work",
            "concurrency_limit": run.limit,
            "hedge_after": run.after,
            "retry_attempts": run.attempts,
            "retry_delay": run.delay,
            "retry_jitter": 0,
            "retry_exponential_backoff": False,
            "timeout": run.timeout,
            "on_error": "skip_batch" if run.is_batch else "skip_item",
        }
        task: Any = BatchTask if run.is_batch else SingleTask
        pipeline = task(self.work, **options)
        stream = (
            pipeline(range(run.count)) if run.ordered else pipeline.as_completed(range(run.count))
        )
        results: list[str] = []
        with anyio.CancelScope() as scope:
            if run.cancel_at is not None:
                scope.deadline = current_time() + run.cancel_at
            async with stream as received:
                async for result in received:
                    results.append(result)  # noqa: PERF401 - what there is if it is cancelled
        if +self.alive:
            self.problems.append(f"attempts left behind: {dict(+self.alive)}")
        outcomes = [run.outcome(item) for item in range(run.count)]
        wanted = [each.value for each in outcomes if each.value is not None]
        if scope.cancelled_caught:
            wanted = wanted[: len(results)] if run.ordered else wanted
            if (results != wanted) if run.ordered else (set(results) - set(wanted)):
                self.problems.append(f"received {results} of {wanted}")
            return
        if not run.ordered:
            results.sort()
            wanted.sort()
        (stage,) = stream.stats().stages
        self.compare("results", results, wanted)
        self.compare(
            "calls", [self.calls[n] for n in range(run.count)], [o.calls for o in outcomes]
        )
        self.compare("hedged", stage.hedged, sum(each.hedged for each in outcomes))
        self.compare("retried", stage.retried, sum(each.retried for each in outcomes))
        self.compare("skipped", stage.skipped, sum(each.value is None for each in outcomes))
        if run.limit == 1:
            self.compare("time", current_time(), sum(each.ticks for each in outcomes))

    def compare(self, what: str, found: object, wanted: object) -> None:
        """Note a difference."""
        if found != wanted:
            self.problems.append(f"{what}: {found}, not {wanted}")
