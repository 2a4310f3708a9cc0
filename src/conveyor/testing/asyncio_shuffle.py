"""
Random schedules on asyncio, repeatable by a seed.

What may be reordered? asyncio promises that plain callbacks are called in the order in which they
were scheduled; its own parts, and AnyIO's, count on that. It promises nothing about when a task
takes its next step. So in each turn of the loop

- plain callbacks keep their order;
- a step may be late, but never early: it may go behind callbacks and steps that were scheduled
  after it, and before other steps, but never before a callback that was scheduled ahead of it (who
  has added a callback to a future and then awaits it may count on the callback having been called);
- now and then a step is put off for a turn, as if what it waited for had come a little later.

The steps are put in the order in which their tasks were made before they are shuffled. Sets of
tasks are iterated in an order that depends on their addresses, which differ between processes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

from .asyncio_time import VirtualTimeLoop
from .clock import MAX_TICKS

#: How often a step is put off for a turn of the loop.
DELAYED = 1 / 8


class ShuffledLoop(VirtualTimeLoop):
    """
    A loop in virtual time that shuffles the steps of its tasks.

    :param seed: of the schedule
    :param max_ticks: turns that the loop may take
    """

    def __init__(self, seed: int, max_ticks: int = MAX_TICKS) -> None:
        super().__init__(max_ticks)
        # Private, but the same since Python 3.4.
        self._ready = self._steps = ShuffledQueue(self, Random(seed))

    def tick(self) -> None:
        """Begin a turn."""
        super().tick()
        self._steps.is_shuffled = False

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task, and remember which one it is."""
        task = super().create_task(coro, **options)
        self._steps.number_of(task)
        return task


class ShuffledQueue(deque[asyncio.Handle]):
    """
    The loop's queue of what is to be called next.

    :param loop: whose queue it is
    :param random: decides
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        super().__init__()
        self.is_shuffled: bool = True
        self._random = random
        self._numbers: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        self._nothing = asyncio.Handle(lambda: None, (), loop)
        self._nothing.cancel()

    def number_of(self, task: asyncio.Task[Any]) -> int:
        """
        Return the number of *task* in the order of creation.

        :param task: any
        """
        return self._numbers.setdefault(task, len(self._numbers))

    def popleft(self) -> asyncio.Handle:
        """Return what to call next."""
        if not self.is_shuffled:
            # Timers and file descriptors are in the queue only now, when the first one is taken.
            self.is_shuffled = True
            batch = [super(ShuffledQueue, self).popleft() for _ in range(len(self))]
            self.extendleft(reversed(self._shuffle(batch)))
        handle = super().popleft()
        if _task_of(handle) is not None and self._random.random() < DELAYED:
            self.append(handle)
            return self._nothing  # the loop has counted what it will take in this turn
        return handle

    def _shuffle(self, batch: list[asyncio.Handle]) -> list[asyncio.Handle]:
        result: list[asyncio.Handle] = []
        steps: list[tuple[int, asyncio.Handle]] = []
        for handle in batch:
            task = _task_of(handle)
            if task is not None:
                steps.append((self.number_of(task), handle))
            else:
                self._draw(steps, result, self._random.randint(0, len(steps)))
                result.append(handle)
        self._draw(steps, result, len(steps))
        return result

    def _draw(
        self, steps: list[tuple[int, asyncio.Handle]], result: list[asyncio.Handle], count: int
    ) -> None:
        """Move *count* of the steps to the result."""
        steps.sort(key=lambda step: step[0])
        result += (steps.pop(self._random.randrange(len(steps)))[1] for _ in range(count))


def _task_of(handle: asyncio.Handle) -> asyncio.Task[Any] | None:
    """Return the task of which *handle* is a step; ``None`` for a plain callback."""
    # A handle does not tell publicly what it is for.
    callback: Any = handle._callback  # type: ignore[attr-defined]
    task: Any = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):  # pyright leaves what it is a task of unknown
        return None
    # Somebody's call_soon(task.cancel) is no step.
    is_method = hasattr(asyncio.Task, getattr(callback, "__name__", "__step"))
    return None if is_method else task  # pyright: ignore[reportUnknownVariableType]
