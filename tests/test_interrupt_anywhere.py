"""
``KeyboardInterrupt`` in the midst of the engine: wherever it hits, the run ends.

Trio delivers SIGINT in whatever task is running, and so does asyncio the second time, so it can hit
any line of ours: one that records a failure, or one that ends the run, while a shield keeps the
source waiting. A trace function raises the exception before the n-th line, for many n.

It may hit a cancel scope or a task group, ours or AnyIO's, just before it is left. Nobody can undo
that; then the backend raises an error of its own, with the interrupt as its context.
"""

from __future__ import annotations

import asyncio
import dis
import gc
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
import trio

import conveyor
from conveyor import Observer, Pipeline, RunReport, batch_task, single_task
from conveyor._engine.batch_stage import BatchStage
from conveyor._engine.handoff import Handoff
from conveyor._engine.run import Run
from conveyor._engine.sequence import Chain
from conveyor._engine.single_stage import SingleStage
from conveyor._engine.stage import Stage
from conveyor._engine.winding_down import WindingDown
from conveyor._engine.window import Window
from conveyor._engine.workers import WorkerPool
from conveyor.observing import RunInfo
from conveyor.testing import backend_options
from conveyor.testing.clock import watched

PACKAGE = str(Path(conveyor.__file__).parent)
CLOCKS = str(Path(PACKAGE) / "testing")  # ours only while testing, and no part of a pipeline


class Alive:
    """A run with a bit of everything that counts what is going on."""

    def __init__(self, is_failing: bool) -> None:
        self.open = 0
        self.left_open = 0
        self.is_failing = is_failing
        self.is_blocked = False
        self.failure = "fast"
        self.observers: list[Observer] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def source(self) -> AsyncIterator[int]:
        with self.counted():
            for item in range(5):
                if item % 3 == 2:
                    await anyio.sleep(0.1)
                yield item
            if self.is_blocked:
                await anyio.sleep_forever()

    async def slow(self, item: int) -> Any:
        with self.counted():
            await anyio.sleep(0.05)
            return [item, item] if item % 2 else item

    async def flaky(self, item: int) -> int:
        with self.counted():
            if item == 4 and self.is_failing:
                raise KeyError
            if item % 3 == 0:
                raise ValueError
            return item

    async def generate(self, item: int) -> Any:
        with self.counted():
            yield item
            await anyio.lowlevel.checkpoint()
            yield item

    def stream(self) -> Any:
        retried = single_task(
            retry_attempts=2,
            retry_delay=0.1,
            retry_on=ValueError,
            on_error="fail" if self.is_failing else "skip_item",
            timeout=5,
        )
        pipeline = Pipeline().add(
            single_task(concurrency_limit=2)(self.slow),
            retried(self.flaky),
            batch_task(max_size=3, max_wait=0.2)(lambda batch: batch),
            single_task(concurrency_limit=2)(self.generate),
            single_task(in_order=True)(lambda item: item),
        )
        return pipeline.with_context(
            max_in_flight=6, failure=self.failure, observers=self.observers
        )(self.source())


async def plain(alive: Alive) -> None:
    async for _ in alive.stream():
        pass


async def block(alive: Alive) -> None:
    async with alive.stream() as results:
        async for _ in results:
            pass


async def collect(alive: Alive) -> None:
    await alive.stream().collect()


async def busy(alive: Alive) -> None:
    """Be cancelled with the run, and leave it to end by itself."""
    alive.is_blocked = True
    with anyio.move_on_after(0.15):
        async with alive.stream():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            alive.left_open = alive.open


async def timed_out(alive: Alive) -> None:
    with anyio.move_on_after(0.15):
        await plain(alive)


async def in_order(alive: Alive) -> None:
    """Let earlier items be finished before a failure is raised."""
    alive.failure = "in_order"
    await block(alive)


class Beginnings(Observer):
    """Counts runs that have begun and not ended."""

    interval = 0.07

    def __init__(self, alive: Alive) -> None:
        self.alive = alive
        self.has_begun = False

    def run_started(self, run: RunInfo) -> None:
        self.alive.open += 1
        self.has_begun = True

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        # The interrupt may have struck before anybody could be told of the beginning.
        self.alive.open -= self.has_begun

    def tick(self, run: RunInfo) -> None:
        run.stats()


async def observed(alive: Alive) -> None:
    """Let somebody be told of the run, and time it."""
    alive.observers.append(Beginnings(alive))
    await block(alive)


async def closing(alive: Alive) -> None:
    iterator = aiter(alive.stream())
    await anext(iterator)
    if (task := native_task()) is not None:
        task.cancel()
    await iterator.aclose()


def native_task() -> asyncio.Task[Any] | None:
    return None if trio.lowlevel.in_trio_run() else asyncio.current_task()


PASSED_BY = ("NOP", "SETUP_FINALLY", "PUSH_EXC_INFO", "WITH_EXCEPT_START")
WAYS_OUT = (["LOAD_CONST"] * 3, ["LOAD_CONST", "DUP_TOP", "DUP_TOP"])


class Interrupter:
    """
    Raises ``KeyboardInterrupt`` before the n-th line that is run.

    :param at: n, counted from 1
    :param concerns: tells whether lines of this code count
    """

    def __init__(self, at: int, concerns: Callable[[CodeType], bool]) -> None:
        self.at = at
        self.concerns = concerns
        self.lines = 0
        self.has_struck = False

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines >= self.at and not self.is_protected(frame):
                self.has_struck = True
                sys.settrace(None)
                raise KeyboardInterrupt
        elif event == "call" and not self.concerns(frame.f_code):
            return None
        return self.trace

    @staticmethod
    def is_protected(frame: FrameType) -> bool:
        """
        Tell whether a signal could not raise anything here.

        Trio keeps it back in its system tasks. And CPython never looks for signals at a ``NOP``, or
        before 3.11 at a ``SETUP_FINALLY``, which is all that a line with a bare ``try:`` consists
        of; no handler covers it either. Nor between the last step in a ``with`` block and the call
        that leaves it, nor as a handler begins.
        """
        code, at = frame.f_code.co_code, frame.f_lasti
        if dis.opname[code[at]] in PASSED_BY:
            return True
        # Three times None, for __exit__().
        if [dis.opname[each] for each in code[at : at + 6 : 2]] in WAYS_OUT:
            return True
        return trio.lowlevel.in_trio_run() and trio.lowlevel.currently_ki_protected()

    def run(self, backend: str, function: Callable[[], Any]) -> BaseException | None:
        """Await *function* on a virtual clock, and return what it raises."""

        async def main() -> None:
            sys.settrace(self.trace)
            try:
                await function()
            finally:
                sys.settrace(None)

        # With a seed Trio takes the same steps each time, and the n-th line is the same.
        name, options = backend_options(backend, seed=self.at)
        if name == "asyncio":
            options["loop_factory"] = partial(self._quiet, options["loop_factory"])
        previous = sys.gettrace()
        # The collector may come at any time, with what other tests have left as well, and Python
        # ignores what is raised where an object is finalized.
        gc.disable()
        try:
            anyio.run(watched(main), backend=name, backend_options=options)
        except BaseException as error:
            return error
        finally:
            gc.enable()
            sys.settrace(previous)
        return None

    def _quiet(
        self, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> asyncio.AbstractEventLoop:
        loop = loop_factory()
        loop.set_debug(False)  # which takes ten times as long
        # That a task was hit before it could begin to handle errors is reported, rightly.
        loop.set_exception_handler(lambda *_: None)
        return loop


def is_interrupt(error: BaseException | None) -> bool:
    """Tell whether *error* is, or stems from, a ``KeyboardInterrupt``."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return error is not None
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return any(map(is_interrupt, (*parts, error.__cause__, error.__context__)))


class Outcome(NamedTuple):
    """How a run ended; not the error itself, whose traceback would keep the run's frames alive."""

    error: str
    is_bare: bool
    is_interrupt: bool
    alive: int


def strike_everywhere(
    backend: str,
    consume: Callable[[Alive], Any],
    concerns: Callable[[CodeType], bool],
    first: int,
    step: int,
    is_failing: bool = False,
) -> Iterator[Outcome]:
    """Interrupt run after run, each a few lines later, as long as there are lines to strike."""
    at = first
    while True:
        alive = Alive(is_failing)
        interrupter = Interrupter(at, concerns)
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            # Coroutines that have been made but not awaited, and destructors that were struck.
            warnings.simplefilter("ignore")
            patch.setattr(sys, "unraisablehook", lambda _: None)
            error = interrupter.run(backend, lambda: consume(alive))  # noqa: B023
            bare = isinstance(error, KeyboardInterrupt)
            outcome = Outcome(repr(error), bare, is_interrupt(error), alive.open + alive.left_open)
            del error
            gc.collect(1 if interrupter.has_struck else 2)
        if not interrupter.has_struck:
            return
        yield outcome
        at += step


# They are struck at every line.
ENDING = {
    function.__code__
    for function in (
        Run.stop,
        Run.finish,
        Run.fail,
        Run.insist,
        Run.end,
        Run.worker_failed,
        Handoff.wake,
        Chain.clear,
        Stage.stop,
        Stage.relieve,
        SingleStage.stop,
        SingleStage.relieve,
        Window.stop,
        Window.wake,
        WorkerPool.stop,
        WindingDown.fail,
        WindingDown.conclude,
        WindingDown.clear,
        Chain.cut_from,
        SingleStage.forget,
        BatchStage.forget,
    )
}


def is_ours(code: CodeType) -> bool:
    in_package = code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(CLOCKS)
    return in_package and code.co_name != "__del__"


@pytest.mark.parametrize(
    ("consume", "is_failing", "step"),
    [
        (plain, False, 53),
        (block, False, 53),
        (collect, False, 53),
        (in_order, False, 53),
        (in_order, True, 13),
        (observed, False, 101),
    ],
)
def test_an_interrupt_of_any_part_ends_the_run(
    consume: Any, is_failing: bool, step: int, anyio_backend_name: str
) -> None:
    """Wherever in the library it strikes, the program ends with it, and nothing is alive."""
    # What makes the tasks and the pipeline comes first, and is nothing to strike.
    outcomes = list(strike_everywhere(anyio_backend_name, consume, is_ours, 1400, step, is_failing))
    assert len(outcomes) > 80
    for outcome in outcomes:
        assert outcome.is_interrupt, outcome
        assert outcome.alive == 0


@pytest.mark.parametrize("consume", [plain, block, collect, in_order, busy, timed_out, closing])
@pytest.mark.parametrize("is_failing", [False, True])
def test_an_interrupt_of_the_shutdown_does_not_break_it_off(
    consume: Any, is_failing: bool, anyio_backend_name: str
) -> None:
    """What ends a run is taken up again, though the source is shielded and many wait for it."""
    outcomes = list(
        strike_everywhere(anyio_backend_name, consume, ENDING.__contains__, 1, 5, is_failing)
    )
    assert len(outcomes) > 12
    for outcome in outcomes:
        assert outcome.is_bare, outcome
        assert outcome.alive == 0


@pytest.mark.parametrize("consume", [block, collect])
def test_an_interrupt_of_the_runs_own_task_ends_the_run(
    consume: Any, anyio_backend_name: str
) -> None:
    """Before every line of it, whether it is making its task group, waiting or leaving."""
    own = Run.execute.__code__
    outcomes = list(strike_everywhere(anyio_backend_name, consume, own.__eq__, 1, 1))
    assert len(outcomes) > 6
    for outcome in outcomes:
        assert outcome.is_bare, outcome
        assert outcome.alive == 0


# Where Trio keeps its books, in its own code and in ours: whoever is put on a list gets suspended,
# and whoever is counted gets started. An interrupt in between could not be made good by anybody.
BOOKS = ("wait", "set", "spawn_impl")
BOOK_FILES = ("trio_host.py", "trio/_sync.py", "trio/_core/_run.py")


class Inspector(Interrupter):
    """Raises nothing, and notes where an interrupt might have been raised."""

    def __init__(self) -> None:
        super().__init__(0, keeps_books)
        self.seen: set[str] = set()
        self.exposed: set[str] = set()

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if not keeps_books(code):
            return None
        if event == "line":
            self.seen.add(code.co_name)
            if not self.is_protected(frame):
                self.exposed.add(f"{code.co_name}, line {frame.f_lineno} of {code.co_filename}")
        return self.trace


def keeps_books(code: CodeType) -> bool:
    """Tell whether a Ctrl-C in the midst of this code would be one too many for Trio."""
    return code.co_name in BOOKS and Path(code.co_filename).as_posix().endswith(BOOK_FILES)


@pytest.mark.parametrize("consume", [plain, block, collect, in_order, busy, timed_out, closing])
def test_a_ctrl_c_never_comes_amid_the_books_of_trio(consume: Any) -> None:
    """It is raised later, in the main task."""
    inspector = Inspector()
    assert inspector.run("trio", lambda: consume(Alive(is_failing=False))) is None
    assert inspector.exposed == set()
    assert inspector.seen == set(BOOKS)
