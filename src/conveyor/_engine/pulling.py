"""
A blocking iterator, pulled and closed in worker threads, one at a time.

The rules:

1. An iterator is used by one thread at a time. A *visit* is what a thread does with it: pull a
   burst of items, or close it. There is at most one; it is announced before its thread begins, and
   over when the thread has let go of the iterator, whoever waited for the thread.
2. A visit begins when the consumer asks and nothing is left of the last one, so a consumer that
   stops asking stops the iterator.
3. Whatever a thread has pulled can be taken at once. A consumer that waits is woken by the first
   item, not by the end of the visit, which may be far off if the next item is.
4. Bursts grow while they are brief and shrink when they are not: a slow iterator is visited for
   every item, a fast one seldom.
5. A blocked thread cannot be interrupted. Told to stop, it closes the iterator as soon as that has
   come back from where it is, in the same visit.

The threads are AnyIO's. The tasks that wait for them belong to nobody, since a visit outlives the
wait of a consumer that is cancelled; what ends with a visit is told by the thread itself.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from time import monotonic
from typing import Any

from anyio import CapacityLimiter, get_cancelled_exc_class, to_thread

from .failures import LEAKED, ordinary_error
from .flight import outlast
from .host import Event, Host, current_host

logger = logging.getLogger("conveyor")

BRIEF = 0.005
"""Seconds after which a visit pulls no further item, and the next one fewer."""

CULPRIT = "the iterator given to from_thread()"


class Pulling:
    """
    One iteration of a blocking iterable.

    :param iterable: ``iter()`` of it is called by the first visit
    :param read_ahead: items pulled at most beyond the one that is asked for
    :param abandon_on_cancel: whether :meth:`close` leaves a visit that is going on to itself
    :param limiter: of the threads; ``None`` for AnyIO's
    :ivar items: what has been pulled and not yet taken
    :ivar stopped: whether nothing is to be taken any more
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        read_ahead: int,
        abandon_on_cancel: bool,
        limiter: CapacityLimiter | None,
    ) -> None:
        self._iterable: Iterable[Any] | None = iterable
        self._iterator: Iterator[Any] | None = None
        self._most = read_ahead + 1
        self._abandon_on_cancel = abandon_on_cancel
        self._limiter = limiter
        self._burst = 1
        self._host: Host | None = None
        self._cancelled: type[BaseException] | tuple[()] = ()
        self._context: Context | None = None
        self.items: deque[Any] = deque()
        self.stopped: bool = False
        self._ended = False
        self._error: BaseException | None = None
        # For what follows. Reentrant: a destructor may run inside, and call abandon().
        self._lock = threading.RLock()
        self._visit: object | None = None
        self._sent: set[object] = set()  # visits whose task has not ended
        self._is_inside = False
        self._is_abandoned = False
        self._is_awaited = False  # a consumer waits for news
        self._news: Event | None = None
        self._closed: Event | None = None

    # On the event loop

    async def wait(self) -> None:
        """
        Wait until there are items. A wait that is cancelled loses nothing.

        :raises StopAsyncIteration: at the end
        :raises BaseException: what the iterator raised, once
        :raises RuntimeError: if another task is waiting already, or on another event loop
        """
        host = self._check_host()
        if self._news is not None:
            raise RuntimeError(
                "another task is waiting for an item of this iterator; let one task iterate it"
            )
        while True:
            self._is_awaited = True
            has_ended = self._is_at_rest  # first, since the last items come before the end
            if self.stopped:
                raise StopAsyncIteration
            if self.items:
                break
            if has_ended:
                self._raise_error()
                raise StopAsyncIteration
            self._news = event = host.new_event()
            try:
                self._begin_visit()
                await event.wait()
            finally:
                self._news = None
        self._is_awaited = False

    async def close(self) -> None:
        """
        Close the iterator and wait until that is done, whoever cancels the wait meanwhile.

        :raises BaseException: what the iterator raised, if that has not been raised before; a
            cancellation that came meanwhile, afterwards
        """
        host = self._check_host()
        self.stop()
        if self._abandon_on_cancel and self._visit is not None:
            self._is_abandoned = True
            return
        self._begin_visit()
        if not self._is_at_rest:
            if self._closed is None:
                self._closed = host.new_event()
            await outlast(self._closed)
        self._raise_error()

    @property
    def _is_at_rest(self) -> bool:
        """Whether all is over, and no thread of ours is waited for any more."""
        return self._ended and not self._sent

    def _check_host(self) -> Host:
        if self._host is None:
            self._host = current_host()
            self._cancelled = get_cancelled_exc_class()
        elif not self._host.is_current():
            raise RuntimeError("this iterator belongs to another event loop; use it there")
        return self._host

    def _begin_visit(self) -> None:
        with self._lock:
            if self._visit is not None or self._ended:
                return
            self._visit = visit = object()
        assert self._host is not None
        self._sent.add(visit)
        self._host.spawn(partial(self._send_thread, visit), partial(self._give_up, visit))

    async def _send_thread(self, visit: object) -> None:
        try:
            await to_thread.run_sync(
                self._serve,
                visit,
                abandon_on_cancel=self._abandon_on_cancel,
                limiter=self._limiter,
            )
        except get_cancelled_exc_class():
            raise
        except BaseException as error:
            # No thread could be had.
            self._end(error)
        finally:
            self._give_up(visit)

    def _give_up(self, visit: object) -> None:
        """Its task has ended; take a visit back that no thread has begun."""
        self._sent.discard(visit)
        with self._lock:
            if self._visit is visit and not self._is_inside:
                self._visit = None
        if self._closed is not None:
            self._begin_visit()
        self._wake()

    def _wake(self) -> None:
        """Let those who wait look again."""
        if self._news is not None:
            self._news.set()
        if self._closed is not None and self._is_at_rest:
            self._closed.set()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    # In any thread

    def stop(self) -> None:
        """Let nothing more be pulled or taken; what has been begun closes the iterator itself."""
        with self._lock:
            self.stopped = True
            self.items.clear()
            opened = self._iterable if self._iterator is None else self._iterator
            if self._visit is None and not self._ended and not isinstance(opened, Generator):
                self._end()  # there is nothing to close

    def abandon(self) -> None:
        """Close the iterator although nobody waits for it, and there may be no event loop."""
        self.stop()
        with self._lock:
            self._is_abandoned = True
            if self._visit is not None or self._ended:
                return
            self._visit = visit = object()
        name = "conveyor: closing a blocking iterator"
        # The interpreter may be ending; what nobody refers to is closed anyhow.
        with suppress(RuntimeError):
            threading.Thread(target=self._serve, args=(visit,), name=name).start()

    def _end(self, error: BaseException | None = None) -> None:
        self._iterable = self._iterator = None
        self._error = error
        self._ended = True

    # In the thread of a visit

    def _serve(self, visit: object) -> None:
        with self._lock:
            if self._visit is not visit:
                return
            self._is_inside = True
        if self._context is None:
            # AnyIO's copy of that of the task. One for all visits: a generator keeps what it sets.
            self._context = copy_context()
        goes_on = True
        while goes_on:
            self._context.run(self._work)
            with self._lock:
                goes_on = self.stopped and not self._ended  # told so in the last moment
                if not goes_on:
                    self._visit = None
                    self._is_inside = False
        if self.stopped:
            self.items.clear()
        if self._is_abandoned and self._error is not None:
            logger.error(
                "a blocking iterator that nobody waits for any more has failed with %s",
                type(self._error).__name__,
            )
        self._notify()

    def _work(self) -> None:
        """Pull a burst, or close the iterator."""
        try:
            if not self.stopped:
                self._pull()
            if self.stopped and not self._ended:
                opened = self._iterable if self._iterator is None else self._iterator
                if isinstance(opened, Generator):
                    opened.close()
                self._end()
        except BaseException as error:
            if isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):
                reason = "which would end an iteration; catch it, or return instead"
                error = ordinary_error(error, CULPRIT, reason)
            elif isinstance(error, self._cancelled):
                error = ordinary_error(error, CULPRIT, LEAKED)
            self._end(error)

    def _pull(self) -> None:
        began = monotonic()
        if self._iterator is None:
            assert self._iterable is not None
            self._iterator = iter(self._iterable)
            self._iterable = None
        append = self.items.append
        iterator = self._iterator
        left = self._burst
        is_brief = True
        while left and is_brief and not self.stopped:
            try:
                append(next(iterator))
            except StopIteration:
                return self._end()
            if self._is_awaited:
                self._is_awaited = False
                self._notify()
            left -= 1
            is_brief = monotonic() - began < BRIEF
        self._burst = min(2 * self._burst, self._most) if is_brief else max(1, self._burst // 2)

    def _notify(self) -> None:
        if self._host is not None:
            self._host.call_soon(self._wake)
