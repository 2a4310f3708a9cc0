"""
Attempt number -> seconds to wait before the next attempt.

Pure: no clock, no awaiting; the randomness is passed in.

Exponential backoff with a cap. Jitter is either a fraction added at random, so that clients which
failed together do not return together, or "full jitter": the whole delay is drawn at random.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..error_handling import RetryConfig


def delay_after(
    attempt: int, config: RetryConfig, uniform: Callable[[], float] = random.random
) -> float:
    """
    Return how long to wait after a failed attempt.

    :param attempt: number of the attempt that failed, the first is 1
    :param config: base, multiplier, cap and jitter
    :param uniform: draws from [0, 1)
    :return: seconds, between 0 and ``config.max_delay``
    """
    delay = float(config.base_delay)
    if config.exponential_backoff:
        try:
            delay *= float(config.backoff_multiplier) ** (attempt - 1)
        except OverflowError:
            delay = config.max_delay if delay else 0.0
    # Capped before full jitter too: drawing from an uncapped range would nearly always hit the cap.
    delay = min(delay, config.max_delay)
    if config.jitter is True:
        return delay * uniform()
    return min(delay * (1.0 + config.jitter * uniform()), config.max_delay)
