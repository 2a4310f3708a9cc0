"""Backoff: attempt number to seconds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import RetryConfig
from conveyor._engine.backoff import delay_after


def delays(count: int, draw: float = 0.5, **settings: Any) -> list[float]:
    """Return the delays after the first *count* attempts, every random draw being *draw*."""
    config = RetryConfig(**{"jitter": 0, **settings})
    return [delay_after(attempt, config, lambda: draw) for attempt in range(1, count + 1)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 2, 4, 8, 16, 32, 60, 60]),
        ({"base_delay": 0.5}, [0.5, 1, 2, 4, 8, 16, 32, 60]),
        ({"base_delay": 0}, [0] * 8),
        ({"base_delay": 100}, [60] * 8),
        ({"exponential_backoff": False}, [1] * 8),
        ({"exponential_backoff": False, "base_delay": 100}, [60] * 8),
        ({"backoff_multiplier": 3, "max_delay": 100}, [1, 3, 9, 27, 81, 100, 100, 100]),
        ({"backoff_multiplier": 1}, [1] * 8),
        ({"backoff_multiplier": 0.5}, [1, 0.5, 0.25, 0.125, 1 / 16, 1 / 32, 1 / 64, 1 / 128]),
        ({"backoff_multiplier": 0}, [1, 0, 0, 0, 0, 0, 0, 0]),
        ({"max_delay": 5}, [1, 2, 4, 5, 5, 5, 5, 5]),
        ({"max_delay": 0}, [0] * 8),
    ],
)
def test_delays_without_jitter(settings: dict[str, Any], expected: list[float]) -> None:
    """Base, times the multiplier after each attempt, up to the cap."""
    assert delays(8, **settings) == expected


@pytest.mark.parametrize("jitter", [0, 0.0, False])
def test_no_jitter_is_the_same_for_every_draw(jitter: Any) -> None:
    """Turned off, chance has no say."""
    assert delays(3, 0.0, jitter=jitter) == delays(3, 0.999, jitter=jitter) == [1, 2, 4]


@pytest.mark.parametrize(
    ("jitter", "draw", "expected"),
    [
        (0.5, 0.0, [1, 2, 4, 8]),
        (0.5, 0.5, [1.25, 2.5, 5, 9]),  # the fourth would be 10
        (0.5, 1.0, [1.5, 3, 6, 9]),
        (1, 0.5, [1.5, 3, 6, 9]),  # the number one: up to the whole delay on top
        (1.0, 0.0, [1, 2, 4, 8]),
        (3, 0.5, [2.5, 5, 9, 9]),
    ],
)
def test_fractional_jitter_is_added_below_the_cap(
    jitter: float, draw: float, expected: list[float]
) -> None:
    """A random part of the fraction on top, the cap including it."""
    assert delays(4, draw, jitter=jitter, max_delay=9) == expected


@pytest.mark.parametrize(
    ("draw", "expected"),
    [(0.0, [0, 0, 0, 0]), (0.25, [0.25, 0.5, 1, 1.25]), (0.5, [0.5, 1, 2, 2.5])],
)
def test_full_jitter_draws_the_whole_delay(draw: float, expected: list[float]) -> None:
    """``True``: from zero to the capped delay, so that drawing is not in vain near the cap."""
    assert delays(4, draw, jitter=True, max_delay=5) == expected


@pytest.mark.parametrize("attempt", [1024, 1025, 5000, 10**9])
def test_far_too_many_attempts_meet_the_cap(attempt: int) -> None:
    """A power that no float can hold is as good as the cap."""
    assert delay_after(attempt, RetryConfig(jitter=0)) == 60.0


@pytest.mark.parametrize("attempt", [1, 1024, 1025, 5000])
def test_a_base_of_zero_stays_zero(attempt: int) -> None:
    """Nothing times whatever is nothing, also where the power is no float any more."""
    assert delay_after(attempt, RetryConfig(base_delay=0)) == 0.0


def test_the_default_draws_anew_each_time() -> None:
    """Clients that failed together do not come back together."""
    config = RetryConfig(jitter=0.1)
    drawn = {delay_after(1, config) for _ in range(50)}
    assert len(drawn) > 1
    assert all(1.0 <= delay < 1.1 for delay in drawn)


seconds = st.floats(0, 1e6)


@given(
    attempt=st.integers(1, 3000),
    base=seconds,
    multiplier=st.floats(0, 100),
    cap=seconds,
    jitter=st.booleans() | st.floats(0, 10),
    draw=st.floats(0, 1, exclude_max=True),
    exponential=st.booleans(),
)
def test_a_delay_is_never_negative_nor_above_the_cap(
    attempt: int,
    base: float,
    multiplier: float,
    cap: float,
    jitter: float,
    draw: float,
    exponential: bool,
) -> None:
    """For any settings, attempt and draw."""
    config = RetryConfig(9, base, exponential, cap, multiplier, jitter)
    assert 0 <= delay_after(attempt, config, lambda: draw) <= cap


@given(attempt=st.integers(1, 200), base=st.integers(0, 100), multiplier=st.integers(0, 9))
def test_delays_agree_with_exact_arithmetic(attempt: int, base: int, multiplier: int) -> None:
    """Without jitter: the smaller of the cap and base × multiplier ** (attempt - 1)."""
    config = RetryConfig(base_delay=base, backoff_multiplier=multiplier, max_delay=1e6, jitter=0)
    exact = min(Fraction(base) * Fraction(multiplier) ** (attempt - 1), Fraction(10**6))
    assert delay_after(attempt, config) == pytest.approx(float(exact))
