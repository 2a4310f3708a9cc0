"""
A call with a batch whose function may say of single items that they have failed.

It does so by :class:`~conveyor.Failed` in the list that it returns, which has an element for each
item then. Such an item goes the way that it would go if it were a batch of its own and the function
had raised the error: attempts, handler, ``on_error``. Those that get another attempt get it
together, as a smaller batch; their results go to the places that they had in the larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..error_handling import FAIL, RETRY, SKIP, Replace, RetryAfter
from ..outcomes import Failed
from .call import Call
from .failures import CallFailed, ItemFailed, Parts
from .isolation import isolated

if TYPE_CHECKING:
    from .expansion import Expansion
    from .pacing import Pacing
    from .policy import Progress


class BatchCall(Call):
    """A user's function that takes batches, with everything its options put around it."""

    def _own(self, item: Any) -> Any:
        # The user's code may sort it, or empty it as it goes; the next attempt, and who is told
        # what has failed, need the batch as it was.
        return [*item] if type(item) is list else item

    async def _finish(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Any:
        result: Any = await super()._finish(item, expansion, pacing, progress)
        if isinstance(result, Parts) or (Failed.is_used and _names_failed(result)):
            return Parts(await self._settle(item, _entries_of(result), pacing, progress))
        return result

    async def _fall_back(self, item: Any, expansion: Expansion | None, failed: ItemFailed) -> Any:
        result: Any = await super()._fall_back(item, expansion, failed)
        if isinstance(result, Parts):
            for each in result.failures():
                _undecided(each)
        return result

    async def _settle(
        self, batch: Sequence[Any], result: Any, pacing: Pacing, progress: Progress
    ) -> list[Any]:
        """Go on until each item has its result, or a decision on its failure."""
        entries: list[Any] = [None] * len(batch)
        places = [*range(len(batch))]
        while places:
            self._check_length(result, len(places), progress)
            failed: dict[int, Exception] = {}
            # Those for which the fallback has failed, too.
            fallen: dict[int, ItemFailed] = {}
            for place, entry in zip(places, result, strict=True):
                if isinstance(entry, Failed):
                    failed[place] = self._examined_error(entry)
                elif isinstance(entry, ItemFailed) and entry.decision is None:
                    fallen[place] = entry
                else:
                    entries[place] = entry
            places = await self._decide(batch, entries, failed, fallen, pacing, progress)
            if places:
                result = await self._repeat([batch[place] for place in places], pacing, progress)
        return entries

    def _examined_error(self, entry: Failed) -> Exception:
        error = self._examined(entry.error)
        assert isinstance(error, Exception)
        return error

    async def _decide(
        self,
        batch: Sequence[Any],
        entries: list[Any],
        failed: dict[int, Exception],
        fallen: dict[int, ItemFailed],
        pacing: Pacing,
        progress: Progress,
    ) -> list[int]:
        """Settle those that are not to be repeated, and return the places of the others."""
        again = self._worth_repeating(failed, pacing, progress)
        delay = progress.delay
        may_add: bool | None = None
        for place in sorted(failed.keys() - again):
            failure = ItemFailed(failed[place], progress.calls)
            entry = await self._fall_back_alone(batch[place], failure, progress)
            if isinstance(entry, ItemFailed) and entry.decision is None:
                fallen[place] = entry
            else:
                entries[place] = entry
        for place, failure in sorted(fallen.items()):
            try:
                verdict = await isolated(self._verdict, failure, batch[place], progress.calls)
            except CallFailed as broken:
                if broken.decision is None:
                    raise
                entries[place] = broken.with_traceback(None)
                continue
            if isinstance(verdict, Replace):
                entries[place] = verdict.value
                continue
            if verdict is RETRY:
                if may_add is None:
                    may_add = self._may_add(pacing, progress)
                    delay = progress.delay if not again else delay
                if may_add:
                    again.add(place)
                    continue
                verdict = FAIL
            failure.decision = verdict
            entries[place] = failure
        progress.delay = delay
        return sorted(again)

    async def _fall_back_alone(self, item: Any, failed: ItemFailed, progress: Progress) -> Any:
        """
        Return what becomes of a single item that the fallback is called with, as a batch.

        It may be a CallFailed; one without a decision is for the task itself to decide.
        """
        try:
            entries = _entries_of(await isolated(self._fall_back, [item], None, failed))
        except CallFailed as raised:
            if not isinstance(raised, ItemFailed) and raised.decision is None:
                raise
            return _undecided(raised.with_traceback(None))
        self._check_length(entries, 1, progress)
        return entries[0]

    def _worth_repeating(
        self, failed: dict[int, Exception], pacing: Pacing, progress: Progress
    ) -> set[int]:
        """Decide by the task's options which are repeated, and after which delay."""
        asking = {place: each for place, each in failed.items() if isinstance(each, RetryAfter)}
        again: set[int] = set()
        delays: list[float] = []
        for place in failed.keys() - asking.keys():
            progress.error = failed[place]
            if self._may_go_on(failed[place], pacing, progress, begun=False):
                again.add(place)
                delays.append(progress.delay or 0.0)
        progress.delay = max(delays, default=0.0)
        if asking:
            progress.error = longest = max(asking.values(), key=lambda each: each.seconds)
            if again:
                # They are repeated anyhow, so it takes nothing but the pause; if there is time.
                resume_at = self._admission.pause(longest.seconds)
                again = again | asking.keys() if resume_at < pacing.expires_at else set()
            elif self._may_go_on(longest, pacing, progress, begun=False):
                again.update(asking)
        return again

    async def _repeat(self, part: list[Any], pacing: Pacing, progress: Progress) -> list[Any]:
        """Return the results of a smaller batch, which may contain Failed and CallFailed."""
        try:
            result: list[Any] = _entries_of(await super()._finish(part, None, pacing, progress))
            return result
        except CallFailed as raised:
            failed = raised.with_traceback(None)
        return await self._without(part, failed)

    async def _without(self, part: list[Any], failed: CallFailed) -> list[Any]:
        """Return what becomes of the items of a smaller batch that has failed as a whole."""
        if failed.decision is None:
            raise failed
        if not (self.options.isolates_poison and failed.decision is SKIP and len(part) > 1):
            return [failed] * len(part)
        middle = len(part) // 2
        halves = [await self._anew(half) for half in (part[:middle], part[middle:])]
        return [*chain.from_iterable(halves)]

    async def _anew(self, part: list[Any]) -> list[Any]:
        """Call with a part of a batch, which has attempts and a deadline of its own."""
        try:
            result = await isolated(self, part)
        except CallFailed as raised:
            failed = raised.with_traceback(None)
        else:
            entries: list[Any] = _entries_of(result)
            self._check_length(entries, len(part), None)
            return entries
        return await self._without(part, failed)

    def _check_length(self, result: Any, size: int, progress: Progress | None) -> None:
        name = self.options.task_name
        if not isinstance(result, list):
            error: Exception = TypeError(
                f"task {name!r} has returned Failed for these items, and now a "
                f"{type(result).__name__} for them; return a list with an element for each item"
            )
        elif len(result) != size:  # pyright: ignore[reportUnknownArgumentType]
            error = ValueError(
                f"task {name!r} returned a list with Failed in it for {size} items, so it must "
                f"have {size} elements, one for each item; it has {len(result)}"  # pyright: ignore[reportUnknownArgumentType]
            )
        else:
            return
        raise CallFailed(error, 1 if progress is None else progress.calls)


def _entries_of(result: Any) -> Any:
    return result.entries if isinstance(result, Parts) else result


def _names_failed(result: Any) -> bool:
    # By their types, since there are few of those: a hundred elements take a microsecond.
    return isinstance(result, list) and Failed in {*map(type, result)}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _undecided(failed: CallFailed) -> CallFailed:
    """Leave it to the task what becomes of an item, unless its fallback has said so."""
    if isinstance(failed, ItemFailed) and not failed.is_decided:
        failed.decision = None
    return failed
