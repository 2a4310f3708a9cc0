"""
A call that is not made if its result is known: the results of earlier calls are kept in a store.

For an item: the store is asked; what it has is the result. If it has nothing, the call is made,
with all that its options put around it, and what the function returned is stored. A failure is not,
nor what an error handler gives in its place, so the next equal item is a new chance.

In a run the items of a key come one at a time (:mod:`.lanes`), and that is all there is to *single
flight*: of equal items that come together the first makes the call, and the others, once it is
over, find the result. Rejected: to let them wait for the call itself and share its outcome, which
takes a worker for each of them, and makes one failure the failure of all.

Prior art: Go's ``singleflight``; the read-through caches of Caffeine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, MutableMapping
from copy import copy
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from .call import Call
from .failures import CallFailed, add_note
from .iteration import close_iterator
from .kinds import ASYNC_GENERATOR, GENERATOR, GIVEN_UP
from .lane_stage import KeyedStage, checked_key
from .policy import Progress

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..task_options import TaskOptions
    from .adaptive_limit import AdaptiveLimit
    from .expansion import Expansion
    from .lanes import Lane
    from .pacing import Pacing
    from .sequence import Slot
    from .stage import Stage


class Missing:
    """Type of :data:`MISSING`."""


MISSING = Missing()
"""What a store returns that has nothing; ``None`` is a result like any other."""


class MappingStore:
    """
    A mapping as a store.

    :param mapping: holds the results
    """

    def __init__(self, mapping: MutableMapping[Any, Any]) -> None:
        self._mapping = mapping

    async def get(self, key: Any, default: Any) -> Any:
        """
        Return what has been stored.

        :param key: of an item
        :param default: to be returned if there is nothing
        """
        return self._mapping.get(key, default)

    async def set(self, key: Any, value: Any) -> None:
        """
        Store a result.

        :param key: of an item
        :param value: the result
        """
        self._mapping[key] = value


def call_for(function: Callable[[Any], Any], options: TaskOptions) -> Call:
    """
    Return the call of a task that is awaited by itself.

    :param function: the user's
    :param options: of the task
    """
    return (Call if options.cache is None else CachedCall)(function, options)


class CachedCall(Call):
    """
    A user's function, its options, and the store in which its results are kept.

    As for :class:`Call`; the values of a generator are not passed on, since it cannot be cached.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        options: TaskOptions,
        stage: Stage | None = None,
        adaptive: AdaptiveLimit | None = None,
    ) -> None:
        super().__init__(function, options, stage, adaptive)
        store: Any = options.cache
        if isinstance(store, MutableMapping):
            # isinstance() leaves the types of keys and values unknown.
            store = MappingStore(store)  # pyright: ignore[reportUnknownArgumentType]
        self._store = store
        self._key_of: Any = options.lane_key

    async def __call__(
        self,
        item: Any,
        expansion: Expansion | None = None,
        pacing: Pacing | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """
        Find out the key of an item and make the call unless its result is known.

        :param item: the item
        :param expansion: not used
        :param pacing: what :meth:`begin` returned, if it was called
        :param progress: how far it has come, if it has begun
        :return: the result
        :raises CallFailed: if the call failed for good, or the key cannot be told
        """
        role = "cache" if self.options.key is None else "key"
        try:
            key = checked_key(self._key_of(item), role)
        except BaseException as broken:
            raise CallFailed(self._examined(broken, f"{role} of "), 0) from None
        return await self.look_up(key, item, pacing or self.new_pacing(), progress)

    async def look_up(
        self, key: Hashable, item: Any, pacing: Pacing, progress: Progress | None = None
    ) -> Any:
        """
        Make the call unless its result is known.

        :param key: of the item
        :param item: the item
        :param pacing: what :meth:`begin` returned
        :param progress: how far it has come, if it has begun
        :return: the result
        :raises CallFailed: if the call, or the store, failed for good
        """
        progress = progress or Progress()
        try:
            known = await self._get(key)
        except BaseException as error:
            self._count()
            return await self._refuse(error, item, pacing, progress)
        if known is not MISSING:
            pacing.end()
            self._count(hits=1)
            return _apart(known)
        result = await super().__call__(item, None, pacing, progress)
        if progress.error is not None:
            return result  # in place of what the function should have returned
        if self._kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):
            await self._reject(result, progress)
        try:
            await self._set(key, _apart(result))
        except BaseException as error:
            return await self._refuse(error, item, pacing, progress)
        return result

    async def _try(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Any:
        result = await super()._try(item, expansion, pacing, progress)
        if result is not GIVEN_UP:
            progress.error = None  # by which a result is told from what takes its place
        return result

    async def _get(self, key: Hashable) -> Any:
        return await _awaited("get(key, default)", self._store.get(key, MISSING))

    async def _set(self, key: Hashable, value: Any) -> None:
        await _awaited("set(key, value)", self._store.set(key, value))

    def _count(self, hits: int = 0) -> None:
        """Count an item that was not called."""
        if self._stage is not None:
            self._stage.counters.uncalled += 1
            self._stage.counters.cache_hits += hits

    async def _refuse(
        self, error: BaseException, item: Any, pacing: Pacing, progress: Progress
    ) -> Any:
        """Let an item fail because of the store."""
        error = self._examined(error, "cache of ")
        add_note(error, f"raised by the cache of task {self.options.task_name!r}")
        if not isinstance(error, Exception):
            raise CallFailed(error, progress.calls) from None
        return await self.refuse(error, item, pacing, progress)

    async def _reject(self, generator: Any, progress: Progress) -> None:
        """End the run because of a mistake in the settings, whatever ``on_error`` says."""
        if isinstance(generator, Generator):
            generator.close()
        else:
            await close_iterator(generator)
        raise CallFailed(
            TypeError(
                f"task {self.options.task_name!r}: cache cannot keep what a generator gives; "
                "return a list, or leave cache out"
            ),
            progress.calls,
        )


class CachedStage(KeyedStage):
    """A stage that calls its function only for items whose result is not known."""

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make.

        :param function: the user's, side inputs bound
        """
        return CachedCall(function, self.plan.options, self, self.adaptive)

    async def make_in_lane(self, lane: Lane, call: Call, slot: Slot, pacing: Pacing) -> Any:
        """
        Make the call unless the result is known.

        :param lane: of the item's key
        :param call: what :meth:`prepare` returned
        :param slot: holds the item
        :param pacing: what ``call.begin()`` returned
        """
        if not isinstance(call, CachedCall):  # as its side inputs have failed
            return await super().make_in_lane(lane, call, slot, pacing)
        return await call.look_up(lane.key, slot.value, pacing)


async def _awaited(method: str, result: Any) -> Any:
    if not isawaitable(result):
        raise TypeError(
            f"{method} of a store as cache must be async, and returned a {type(result).__name__}; "
            "a store that is not async has to be a MutableMapping"
        )
    return await result


def _apart(value: Any) -> Any:
    """Return a result so that whoever adds to it does not change what is stored."""
    # isinstance() leaves the element type unknown
    return copy(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
