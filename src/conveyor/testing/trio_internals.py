"""
All that is used of Trio's private names: the random order of steps, and an error for any task.

Trio shuffles the tasks that can run with a random generator of its own, and for Hypothesis it can
put them in order of their creation first. Both are module variables: they are set when a run
begins, and put back when it has ended, so two seeded runs at once in different threads disturb
each other.
"""

from __future__ import annotations

import importlib
from random import Random
from typing import Any

import trio

#: How often a step is put off for a turn of the loop.
DELAYED = 1 / 8

_MODULE = "trio._core._run"
_VARIABLES = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT")


class SeededSteps(trio.abc.Instrument):
    """
    Makes the order in which Trio's tasks take their steps repeatable.

    :param seed: of the schedule
    :raises RuntimeError: if this version of Trio chooses the order in another way
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._module: Any = importlib.import_module(_MODULE)
        self._before: dict[str, Any] = {}
        missing = [name for name in _VARIABLES if not hasattr(self._module, name)]
        if missing:
            raise RuntimeError(
                f"seed= does not work on Trio {trio.__version__}: {_MODULE} has no "
                f"{' and no '.join(missing)}; run without a seed, or on asyncio"
            )

    def before_run(self) -> None:
        """Set Trio's variables."""
        self._before = {name: getattr(self._module, name) for name in _VARIABLES[:2]}
        self._module._ALLOW_DETERMINISTIC_SCHEDULING = True
        self._module._r = _Shuffler(self._seed, self._module.GLOBAL_RUN_CONTEXT)

    def after_run(self) -> None:
        """Put Trio's variables back."""
        for name, value in self._before.items():
            setattr(self._module, name, value)


class _Shuffler:
    """Gets each turn's tasks from Trio, in order of their creation, and decides on their order."""

    def __init__(self, seed: int, context: Any) -> None:
        self._random = Random(seed)
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._random, name)

    def shuffle(self, batch: list[Any]) -> None:
        """Choose the order of the steps of one turn."""
        self._random.shuffle(batch)
        # Some are put off for a turn, as if what they waited for had come a little later.
        late = [task for task in batch if self._random.random() < DELAYED]
        batch[:] = [task for task in batch if task not in late]
        self._context.runner.runq.extend(late)


def throw_into(task: Any, error: BaseException, kill: bool = False) -> None:
    """
    Raise *error* in *task* where it waits, or at its next step; shields do not matter.

    :param task: a task that is not running right now
    :param error: what to raise
    :param kill: end the task by the error, whatever it would do about it
    """

    def raise_error() -> None:
        raise error

    if task._abort_func is not None:
        task._attempt_abort(raise_error)
    if task._next_send_fn is not None:
        task._next_send_fn, task._next_send = task.coro.throw, error
        if kill:
            task._next_send_fn, task._next_send = _raise, error


def _raise(error: BaseException) -> None:
    raise error
