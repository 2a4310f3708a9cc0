"""
Retry budgets: how much of the load may be repetition.
"""

from __future__ import annotations

import math

__all__ = ["RetryBudget"]

# Tokens are counted in whole millionths: ten times a tenth of one is to be one.
_UNIT = 1_000_000


class RetryBudget:
    """
    A bucket of tokens that retries are paid from, so that an outage does not multiply the load.

    It starts full. Each retry takes one token, at the moment in which it is decided on; each call
    that succeeds puts *per_success* back, up to *tokens*. With less than one token there is no
    retry, and nothing waits for a token: the item has failed for good with the error it has. So in
    the long run there are at most *per_success* retries per success, beside *tokens* that a short
    trouble may spend at once.

    One object is one bucket, whoever uses it: all tasks with ``retry_budget=`` this object share
    it, over all their runs and on any event loop, but in one thread.

    :param tokens: retries that may be spent at once, at least 1
    :param per_success: tokens that a success puts back, 0 or more; 0 for a bucket that is never
        filled again. Both are counted in millionths
    :raises TypeError: if a value is no number
    :raises ValueError: if a number is out of its range

    Source: the retry throttling of gRPC (its proposal A6).
    """

    def __init__(self, tokens: float = 100, per_success: float = 0.1) -> None:
        for name, number, least in (("tokens", tokens, 1), ("per_success", per_success, 0)):
            _check_number(name, number, least)
        self._tokens = tokens
        self._per_success = per_success
        self._most = round(tokens * _UNIT)
        self._left = self._most
        self._reward = round(per_success * _UNIT)

    def __repr__(self) -> str:
        return f"RetryBudget(tokens={self._tokens!r}, per_success={self._per_success!r})"

    @property
    def tokens(self) -> float:
        """Tokens in a full bucket."""
        return self._tokens

    @property
    def per_success(self) -> float:
        """Tokens that a success puts back."""
        return self._per_success

    @property
    def tokens_left(self) -> float:
        """Tokens there are at present; a retry needs a whole one."""
        return self._left / _UNIT

    def take(self) -> bool:
        """Take the token of a retry; tell whether there was one. Tasks do it by themselves."""
        if self._left < _UNIT:
            return False
        self._left -= _UNIT
        return True

    def put_back(self) -> None:
        """Put back what a success is worth. Tasks do it by themselves."""
        self._left = min(self._most, self._left + self._reward)


def _check_number(name: str, number: object, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"RetryBudget: {name} must be a number, got {number!r}")
    if not least <= number < math.inf:
        raise ValueError(f"RetryBudget: {name} must be at least {least} and finite, got {number!r}")
