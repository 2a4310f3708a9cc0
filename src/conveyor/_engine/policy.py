"""
Whether a call that failed is made once more, and when.

Pure: no clock, no awaiting. Everything that is repeated is bounded: attempts by the task's options,
what the function or ``on_error`` asks for by a number that nobody reaches who does not loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backoff import delay_after

if TYPE_CHECKING:
    from ..error_handling import RetryConfig

MAX_REPEATS = 100
"""How often one item may be repeated for the asking, be it by the function or by ``on_error``."""


class Progress:
    """
    How far the calls for one item have come.

    :ivar calls: made so far
    :ivar repeats: those of them that used up no attempt, since the function asked for a pause
    :ivar delay: seconds to wait before the next call; ``None`` for not at all
    :ivar error: what the last call raised
    """

    __slots__ = ("_granted", "calls", "delay", "error", "repeats")

    def __init__(self) -> None:
        self.calls = 0
        self.repeats = 0
        self._granted = 0
        self.delay: float | None = None
        self.error: Exception | None = None

    @property
    def attempts(self) -> int:
        """Attempts used up."""
        return self.calls - self.repeats

    def next_delay(self, error: Exception, retry: RetryConfig) -> float | None:
        """
        Decide by the task's options whether there is another attempt.

        :param error: what the last one raised
        :param retry: attempts, delays and which errors are worth it
        :return: seconds until then, ``None`` if there is none
        """
        if self.attempts >= retry.max_attempts:
            return None
        answer = retry.ask(error)
        if isinstance(answer, bool):
            return delay_after(self.attempts, retry) if answer else None
        return answer

    def repeat(self) -> bool:
        """Count a repetition that uses up no attempt; tell whether it may be."""
        if self.repeats == MAX_REPEATS:
            return False
        self.repeats += 1
        return True

    def grant(self) -> bool:
        """Count an attempt beyond those of the options; tell whether it may be."""
        if self._granted == MAX_REPEATS:
            return False
        self._granted += 1
        return True
