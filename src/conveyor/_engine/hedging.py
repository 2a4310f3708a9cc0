"""
Two attempts of one call, the second of which begins only if the first takes long.

The first is made in the task of the worker, as every attempt is; the second in a task of its own,
which waits until it may begin. The first of them to succeed gives the result. The other one is
cancelled, and has ended, its cleanup included, before the result goes anywhere. One that fails
leaves it to the other; if both fail, it is the first one's error that counts.

Nothing that the attempts raise is raised inside the task group, which would wrap it; all of it is
noted, and the outcome raised once both have ended. As soon as there is a result, the group is
shielded: that the time for the item is up while the loser still cleans up takes nothing back.

Source: J. Dean and L. A. Barroso, "The Tail at Scale", 2013 (hedged requests).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, create_task_group, get_cancelled_exc_class, sleep, sleep_forever
from anyio.abc import TaskGroup

from .adaptive_limit import PredicateFailed
from .failures import LEAKED, CallFailed, RunStopped, add_context, bare, ordinary_error
from .host import is_scope_cancelled

if TYPE_CHECKING:
    from .pacing import Pacing


class Contender:
    """
    One of the two attempts.

    :ivar scope: what it is cancelled by if it loses
    :ivar has_begun: whether the function has been called
    :ivar error: what it raised
    """

    __slots__ = ("error", "has_begun", "scope")

    def __init__(self) -> None:
        self.scope = CancelScope()
        self.has_begun = False
        self.error: BaseException | None = None

    @property
    def is_fatal(self) -> bool:
        """Whether it raised what no attempt makes up for: a mistake in the settings, the end."""
        return self.error is not None and (
            not isinstance(self.error, Exception)
            or isinstance(self.error, (CallFailed, PredicateFailed))
        )


class Hedge:
    """
    One call that may take two attempts.

    :param after: seconds until the second may begin
    :param examined: tells what an error means to the run, as :func:`.examine` does
    """

    def __init__(self, after: float, examined: Callable[[BaseException], BaseException]) -> None:
        self._after = after
        self._examined = examined
        self._first = Contender()
        self._second = Contender()
        self._winner: Contender | None = None
        self._value: Any = None
        self._group: TaskGroup

    async def run(
        self,
        first: Callable[[], Awaitable[Any]],
        second: Callable[[], Awaitable[Any]],
    ) -> Any:
        """
        Make the call.

        :param first: makes the first attempt
        :param second: waits for what attempts wait for, calls :meth:`begin_second`, and makes the
            second attempt
        :return: what the first of them to succeed returned
        :raises BaseException: what the first raised, if both failed or there was no second
        """
        try:
            async with create_task_group() as self._group:
                self._group.start_soon(self._run_second, second)
                with self._first.scope:
                    await self._compete(self._first, first)
                if not self._second.has_begun:
                    self._second.scope.cancel()
        except BaseException as error:
            # A cancellation; or a KeyboardInterrupt that hit us here, which is in a group now.
            interrupt = bare(error)
            if interrupt is error:
                raise
            raise interrupt from None
        for each in (self._first, self._second):
            if each.error is not None and each.is_fatal:
                raise each.error
        if self._winner is not None:
            return self._value
        assert self._first.error is not None
        if self._second.error is not None:
            add_context(self._first.error, self._second.error)
        raise self._first.error

    async def begin_second(self, pacing: Pacing) -> None:
        """
        Say that the second attempt begins.

        :param pacing: gives up what it holds if the first came back in this very turn
        """
        if self._second.scope.cancel_called:
            pacing.withdraw()
            await sleep_forever()  # until the cancellation gets here
        self._second.has_begun = True

    async def _run_second(self, second: Callable[[], Awaitable[Any]]) -> None:
        async def attempt() -> Any:
            await sleep(self._after)
            return await second()

        with self._second.scope:
            await self._compete(self._second, attempt)

    async def _compete(self, contender: Contender, attempt: Callable[[], Awaitable[Any]]) -> None:
        try:
            value = await attempt()
        except RunStopped as error:
            contender.error = error
        except BaseException as error:
            try:
                contender.error = self._examined(error)
            except get_cancelled_exc_class():
                if is_scope_cancelled():
                    raise
                # Natively. The task group might take that for its own; and nobody but us knows the
                # task of the second attempt, so nobody can have meant that.
                if contender is self._second:
                    error = ordinary_error(error, "a second attempt", LEAKED)
                contender.error = error
        else:
            if self._winner is None:
                self._winner, self._value = contender, value
        if self._winner is contender or contender.is_fatal:
            self._group.cancel_scope.shield = True
            other = self._second if contender is self._first else self._first
            other.scope.cancel()


def generator_error(task_name: str) -> TypeError:
    """
    Return the error for a call whose attempts give generators.

    :param task_name: whose call
    """
    return TypeError(
        f"task {task_name!r} with hedge_after returned a generator, which has done nothing yet "
        "that a second attempt could be faster at; return a list"
    )
