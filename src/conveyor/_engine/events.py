"""
Tells the observers of a run what happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from anyio import sleep

from ..error_handling import RetryAfter
from ..observers.run_log import RunLog
from ..observing import EVENTS, FailureInfo, Observer, RetryInfo, RunInfo, StageInfo, is_told
from .host import is_cancellation

if TYPE_CHECKING:
    from ..observing import Fate
    from ..report import RunReport
    from ..statistics import RunStatistics
    from .pacing import Pacing
    from .policy import Progress
    from .run import Run
    from .stage import Stage

logger = logging.getLogger("conveyor")


class Once:
    """
    A method that is called once, however often it is asked for.

    :param method: any
    """

    def __init__(self, method: Callable[..., object]) -> None:
        self._uncalled = [method]

    def __call__(self, *args: Any) -> None:
        """
        Call it, unless it has been.

        :param args: for it
        """
        if self._uncalled:
            self._uncalled.pop()(*args)


class Events:
    """
    The observers of one run, and the log, which is one, too.

    :param run: the run, which has its source and its stages
    :param stats: returns its statistics
    :ivar run: what observers know of it
    :ivar stages: what they know of its stages
    """

    def __init__(self, run: Run, stats: Callable[[], RunStatistics]) -> None:
        self._run = run
        self._observers: list[Observer] = [RunLog(run.host.clock), *run.context.observers]
        self._broken: set[int] = set()
        # Only those that do something.
        methods: dict[str, list[tuple[int, Callable[..., object]]]] = {
            name: [
                (number, getattr(observer, name))
                for number, observer in enumerate(self._observers)
                if is_told(observer, name)
            ]
            for name in EVENTS
        }
        # What one has set for a call is set back when what the next has set on top of it has been.
        methods["call_ended"].reverse()
        # Should a KeyboardInterrupt break that off, those are told of the end who have not been.
        methods["run_ended"] = [(number, Once(method)) for number, method in methods["run_ended"]]
        self._methods = methods
        self.stages = tuple(stage_info(run, position) for position in range(len(run.stages)))
        self.run = RunInfo(run.context.pipeline_id or "", self.stages, run.source.total, stats)

    def tell(self, event: str, *args: Any) -> None:
        """
        Call a method of all observers; an error in one of them hurts nobody else.

        :param event: name of the method
        :param args: for it
        :raises BaseException: what is to end the program, once all have been told
        """
        ending: BaseException | None = None
        for number, method in self._methods[event]:
            try:
                method(*args)
            except BaseException as error:
                if ends_program(error):
                    ending = ending or error
                else:
                    self._log(number, event, error)
        if ending is not None:
            raise ending

    def _log(self, number: int, event: str, error: BaseException) -> None:
        """Say that an observer has failed, once; without the message, which may hold a value."""
        if number in self._broken:
            return
        self._broken.add(number)
        where = extract_tb(error.__traceback__)[-1]
        logger.error(
            "observer %s has raised %s in %s() (%s, line %s); the run goes on, and further errors "
            "of this observer in it are not reported",
            type(self._observers[number]).__name__,
            type(error).__name__,
            event,
            where.filename,
            where.lineno,
        )

    def begin(self) -> None:
        """The run begins."""
        self.tell("run_started", self.run)

    def start_ticking(self) -> None:
        """Call those from time to time who want that; the run has its task group by now."""
        for number, method in self._methods["tick"]:
            interval = self._observers[number].interval
            if interval is not None:
                self._run.start_soon(self._tick, number, method, interval)

    async def _tick(self, number: int, method: Callable[..., object], interval: float) -> None:
        while True:
            await sleep(interval)
            try:
                method(self.run)
            except BaseException as error:
                if ends_program(error):
                    return self._run.fail(error, "raised by an observer")
                self._log(number, "tick", error)

    def end(self, report: RunReport) -> None:
        """
        The run has ended.

        :param report: how it went
        """
        self.tell("run_ended", self.run, report)

    def retried(self, stage: Stage, pacing: Pacing, progress: Progress) -> None:
        """
        An attempt has failed, and there will be another one.

        :param stage: where
        :param pacing: of the call
        :param progress: of the call; knows the error and the delay
        """
        assert progress.error is not None
        call = None if pacing.watched is None else pacing.watched.info
        delay = progress.delay
        if delay is None:  # it waits with all others of the stage
            delay = progress.error.seconds if isinstance(progress.error, RetryAfter) else 0.0
        self.tell(
            "call_retried",
            RetryInfo(
                self.run,
                self._info_of(stage),
                () if pacing.place is None else stage.indexes_in(pacing.place),
                progress.calls,
                delay,
                progress.error,
                call,
            ),
        )

    def failed(
        self,
        stage: Stage | None,
        indexes: Sequence[int],
        attempts: int,
        error: BaseException,
        fate: Fate,
    ) -> None:
        """
        Items have failed for good, or the run has.

        :param stage: where, if it was a task
        :param indexes: of the input items
        :param attempts: made
        :param error: the last one
        :param fate: what becomes of them
        """
        info = None if stage is None else self._info_of(stage)
        self.tell("failed", FailureInfo(self.run, info, (*indexes,), attempts, error, fate))

    def _info_of(self, stage: Stage) -> StageInfo:
        return self.stages[self._run.stages.index(stage)]


def ends_program(error: BaseException) -> bool:
    """
    Tell whether what an observer has raised is to end the program, rather than an error of its own.

    A cancellation is such an error: who cannot await cannot be cancelled, so it has leaked.

    :param error: any
    """
    return not (isinstance(error, (Exception, GeneratorExit)) or is_cancellation(error))


def stage_info(run: Run, position: int) -> StageInfo:
    """
    Say what a stage is.

    :param run: has the stage
    :param position: of the stage
    """
    plan = run.stages[position].plan
    options = plan.options
    brakes = {
        "rate_limit": options.rate_limit,
        "circuit breaker": options.circuit_breaker,
        "key": options.key,
        "cache": options.cache if options.key is None else None,
        "max_parallelism": run.limiter,
    }
    return StageInfo(
        position,
        plan.name,
        plan.kind,
        is_adaptive=run.stages[position].adaptive is not None,
        brakes=tuple(name for name, value in brakes.items() if value is not None),
    )
