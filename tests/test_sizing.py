"""How large batches become: from measured times to a size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.sizing import BatchSizer


def sizer_at(size: int, target: float = 1, most: int = 100) -> BatchSizer:
    sizer = BatchSizer(target, most)
    sizer.size = size
    return sizer


@pytest.mark.parametrize(
    ("size", "items", "seconds", "expected"),
    [
        (10, 10, 1, 10),  # just right
        (10, 10, 0.8, 13),  # 12.5, rounded up
        (10, 10, 0.5, 20),
        (10, 10, 0.1, 20),  # no more than doubled
        (10, 10, 0, 20),
        (10, 10, 1.25, 8),
        (10, 10, 1.5, 6),  # 6.67, rounded down
        (10, 10, 2, 5),
        (10, 10, 99, 5),  # no less than half
        (1, 1, 0.9, 2),
        (1, 1, 99, 1),
        (70, 70, 0.1, 100),  # as many as there may be
        (100, 100, 0.1, 100),
        # Batches that were not full, or of another time
        (10, 3, 0.1, 10),  # says no more than that 6 are not too many
        (10, 8, 0.5, 16),
        (10, 8, 2, 4),
        (10, 40, 1.25, 10),  # says no more than that 32 are not too few
        (10, 40, 0.8, 50),
        # The arithmetic of floats gives a little more, or less, than the whole number
        (10, 3, 0.1 * 3, 10),
        (3, 3, 0.3 / 0.9, 6),
        (21, 21, 1.05, 20),
    ],
)
def test_a_measurement_moves_the_size(size: int, items: int, seconds: float, expected: int) -> None:
    """Towards what would take the target of one second."""
    sizer = sizer_at(size)
    sizer.observe(items, seconds)
    assert sizer.size == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, 10), (0.9, 10), (1, 10), (2, 5)])
def test_a_failed_call_shows_only_that_it_was_slow(seconds: float, expected: int) -> None:
    """One that failed early might have taken longer."""
    sizer = sizer_at(10)
    sizer.observe(10, seconds, failed=True)
    assert sizer.size == expected


def test_it_begins_with_one() -> None:
    """Nothing is known yet, and the first batch should not wait."""
    assert BatchSizer(1, 100).size == 1


@given(
    overhead=st.integers(0, 50),
    each=st.integers(1, 30) | st.integers(30, 200),
    most=st.integers(1, 120),
    start=st.just(1) | st.integers(1, 120),
)
def test_the_size_comes_to_what_takes_the_target(
    overhead: int, each: int, most: int, start: int
) -> None:
    """Whatever the overhead and wherever it begins: the largest that is in time, or one more."""
    sizer = sizer_at(min(start, most), target=100, most=most)
    best = min(max((100 - overhead) // each, 1), most)
    for _ in range(60):
        sizer.observe(sizer.size, overhead + each * sizer.size)
    for _ in range(5):
        assert sizer.size in (best, min(best + 1, most))
        sizer.observe(sizer.size, overhead + each * sizer.size)


@given(
    most=st.integers(1, 50),
    measured=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 400), st.booleans())),
)
def test_no_measurement_takes_it_out_of_its_bounds(
    most: int, measured: list[tuple[int, int, bool]]
) -> None:
    """From one to the most; and a call within the target never makes it smaller."""
    sizer = BatchSizer(100, most)
    for items, seconds, failed in measured:
        before = sizer.size
        sizer.observe(items, seconds, failed)
        assert 1 <= sizer.size <= most
        if seconds <= 100:
            assert sizer.size >= before
            assert sizer.size <= max(before, 2 * items)
        else:
            assert sizer.size <= before
            assert sizer.size >= min(before, max(items // 2, 1))
