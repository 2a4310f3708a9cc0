"""The batcher: when a batch leaves, what is in it, and why."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.batching import Batch, Batcher


def gathered(items: str, *sizes: int, max_wait: float | None = None) -> Batcher[str]:
    """Return a batcher of *sizes* with one item per letter, the n-th having arrived at n."""
    batcher: Batcher[str] = Batcher(*sizes, max_wait)
    for now, item in enumerate(items):
        batcher.add(item, float(now))
    return batcher


def batches(batcher: Batcher[str], now: float = 0.0) -> list[str]:
    """Take all that may leave at *now*."""
    taken = []
    while (batch := batcher.take(now)) is not None:
        taken.append(f"{''.join(batch.items)}:{batch.trigger}")
    return taken


@pytest.mark.parametrize(
    ("items", "min_size", "max_size", "expected"),
    [
        ("", 1, 1, []),
        ("a", 1, 1, ["a:size"]),
        ("a", 1, 2, []),
        ("ab", 1, 2, ["ab:size"]),
        ("abc", 1, 2, ["ab:size"]),
        ("abcd", 2, 2, ["ab:size", "cd:size"]),
        ("abcdefg", 2, 3, ["abc:size", "def:size"]),
    ],
)
def test_a_full_batch_leaves(items: str, min_size: int, max_size: int, expected: Any) -> None:
    """As soon as there are max_size items, and never with more; the others stay."""
    batcher = gathered(items, min_size, max_size)
    assert batches(batcher) == expected
    assert len(batcher) == len(items) - max_size * len(expected)


@pytest.mark.parametrize(
    ("items", "min_size", "max_size", "dropped", "expected"),
    [
        ("", 1, 3, "", []),
        ("", 3, 3, "", []),
        ("a", 1, 3, "", ["a:end"]),
        ("a", 2, 3, "a", []),
        ("ab", 2, 3, "", ["ab:end"]),
        ("ab", 3, 3, "ab", []),
        ("abc", 1, 3, "", ["abc:size"]),
        ("abc", 3, 3, "", ["abc:size"]),
        ("abcd", 1, 3, "", ["abc:size", "d:end"]),
        ("abcd", 2, 3, "d", ["abc:size"]),
        ("abcdefgh", 2, 3, "", ["abc:size", "def:size", "gh:end"]),
        ("abcdefgh", 3, 3, "gh", ["abc:size", "def:size"]),
    ],
)
def test_at_the_end_a_remainder_leaves_or_is_dropped(
    items: str, min_size: int, max_size: int, dropped: str, expected: list[str]
) -> None:
    """With min_size items it is a batch; fewer are given back, in their order, and gone."""
    batcher = gathered(items, min_size, max_size)
    assert batcher.close() == list(dropped)
    assert len(batcher) == len(items) - len(dropped)
    assert batches(batcher) == expected
    assert len(batcher) == 0


@pytest.mark.parametrize(
    ("items", "min_size", "now", "expected"),
    [
        ("a", 1, 9.0, []),
        ("a", 1, 10.0, ["a:age"]),
        ("a", 1, 11.0, ["a:age"]),
        ("abc", 1, 9.0, []),
        ("abc", 1, 10.0, ["abc:age"]),  # the age of the first, whenever the others came
        ("abc", 3, 10.0, ["abc:age"]),
        ("ab", 3, 99.0, []),  # too few, however old
        ("", 1, 99.0, []),
        ("abcdef", 1, 10.0, ["abcde:size"]),  # f arrived at 5
        ("abcdef", 1, 15.0, ["abcde:size", "f:age"]),
    ],
)
def test_a_batch_that_has_waited_long_enough_leaves(
    items: str, min_size: int, now: float, expected: list[str]
) -> None:
    """At max_wait (10) after its first item, if it then holds min_size."""
    assert batches(gathered(items, min_size, 5, max_wait=10.0), now) == expected


def test_without_max_wait_nothing_leaves_by_age() -> None:
    """However late it is."""
    batcher = gathered("ab", 1, 3)
    assert batcher.deadline is None
    assert batches(batcher, 1e9) == []


@pytest.mark.parametrize(
    ("items", "min_size", "expected"),
    [
        ("", 1, []),
        ("a", 1, ["a:age"]),
        ("ab", 1, ["ab:age"]),
        ("abc", 1, ["abc:size"]),
        ("abcd", 1, ["abc:size", "d:age"]),
        ("a", 2, []),  # too few, wait or not
        ("ab", 2, ["ab:age"]),
        ("abcd", 2, ["abc:size"]),
    ],
)
@pytest.mark.parametrize("zero", [0, 0.0])
def test_with_a_wait_of_zero_whoever_asks_gets_what_is_there(
    items: str, min_size: int, expected: list[str], zero: float
) -> None:
    """Nobody has to tell the time for it, or to wait for a deadline."""
    batcher = gathered(items, min_size, 3, max_wait=zero)
    assert (batcher.timed, batcher.deadline) == (False, None)
    assert batcher.full is bool(expected)
    assert batches(batcher, now=-1.0) == expected
    assert not batcher.full


def test_with_a_wait_of_zero_a_remainder_leaves_by_the_end() -> None:
    """If it was not taken before; the end is the better reason."""
    batcher = gathered("ab", 1, 3, max_wait=0)
    assert batcher.close() == []
    assert batches(batcher) == ["ab:end"]


@pytest.mark.parametrize(("max_wait", "timed"), [(None, False), (0, False), (0.5, True)])
def test_only_a_real_wait_needs_the_time(max_wait: float | None, timed: bool) -> None:
    """Asking a clock costs more than adding an item."""
    assert Batcher[str](1, 3, max_wait).timed is timed


def test_the_deadline_is_that_of_the_first_item() -> None:
    """Later items do not move it; it exists once there are min_size items."""
    batcher: Batcher[str] = Batcher(2, 9, 10.0)
    assert batcher.deadline is None
    batcher.add("a", 1.0)
    assert batcher.deadline is None
    batcher.add("b", 5.0)
    assert batcher.deadline == 11.0
    batcher.add("c", 6.0)
    assert batcher.deadline == 11.0


def test_an_overdue_batch_goes_on_filling() -> None:
    """Nobody has taken it, so later items join it, up to max_size."""
    batcher = gathered("ab", 1, 4, max_wait=1.0)
    batcher.add("c", 50.0)
    assert batches(batcher, 50.0) == ["abc:age"]


def test_leftovers_keep_their_own_arrival_time() -> None:
    """After a full batch the clock of the rest is that of the first item left."""
    batcher = gathered("abcde", 1, 3, max_wait=10.0)
    assert batcher.take(4.0) == Batch(["a", "b", "c"], "size")
    assert batcher.deadline == 13.0
    assert batcher.take(12.9) is None
    assert batcher.take(13.0) == Batch(["d", "e"], "age")


def test_after_an_aged_batch_the_clock_starts_anew() -> None:
    """The next item is a first item again."""
    batcher = gathered("a", 1, 3, max_wait=10.0)
    batcher.take(10.0)
    assert batcher.deadline is None
    batcher.add("b", 30.0)
    assert batcher.deadline == 40.0


def test_items_dropped_at_the_end_leave_earlier_batches_alone() -> None:
    """The items too few for a batch are the last ones; the full batch before them still leaves."""
    batcher = gathered("abcd", 2, 3, max_wait=10.0)
    assert batcher.close() == ["d"]
    assert batches(batcher, 0.0) == ["abc:size"]
    assert batcher.deadline is None


@pytest.mark.parametrize(
    ("items", "closed", "full"),
    [
        ("", False, False),
        ("a", False, False),
        ("ab", False, False),
        ("abc", False, True),
        ("", True, False),
        ("ab", True, True),
        ("abc", True, True),
        ("abcd", True, True),
    ],
)
def test_full_says_whether_a_batch_may_leave_at_any_time(
    items: str, closed: bool, full: bool
) -> None:
    """By size or, once closed, by what is left; age does not count."""
    batcher = gathered(items, 2, 3, max_wait=10.0)
    if closed:
        batcher.close()
    assert batcher.full is full
    assert batcher.full is (batcher.take(0.0) is not None)


def test_clear_forgets_items_and_their_times() -> None:
    """Afterwards it is as new."""
    batcher = gathered("ab", 1, 3, max_wait=10.0)
    batcher.clear()
    assert (len(batcher), batcher.deadline, batcher.take(99.0)) == (0, None, None)
    batcher.add("c", 5.0)
    assert batcher.deadline == 15.0


sizes = st.integers(1, 5).flatmap(lambda least: st.tuples(st.just(least), st.integers(least, 6)))
events = st.lists(st.tuples(st.sampled_from(["add", "add", "take"]), st.integers(0, 3)))


@given(sizes=sizes, max_wait=st.none() | st.integers(0, 5), events=events)
def test_batcher_behaves_as_the_list(
    sizes: tuple[int, int], max_wait: int | None, events: list[tuple[str, int]]
) -> None:
    """Whatever comes when, and whenever it is asked, it gives what a plain list would."""
    least, most = sizes
    batcher: Batcher[int] = Batcher(least, most, max_wait)
    here: list[tuple[int, int]] = []
    now = 0
    for number, (action, delay) in enumerate(events):
        now += delay
        if action == "add":
            batcher.add(number, now)
            here.append((number, now))
            continue
        due = max_wait is not None and bool(here) and here[0][1] + max_wait <= now
        trigger = "size" if len(here) >= most else "age" if due and len(here) >= least else None
        expected = None
        if trigger:
            expected = Batch([number for number, _ in here[:most]], trigger)
            del here[:most]
        assert batcher.take(now) == expected
        assert len(batcher) == len(here)


@given(sizes=sizes, events=events, max_wait=st.none() | st.integers(0, 5))
def test_every_item_is_in_one_batch_or_dropped(
    sizes: tuple[int, int], events: list[tuple[str, int]], max_wait: int | None
) -> None:
    """Batches are consecutive and never empty; only fewer than min_size items are dropped."""
    least, most = sizes
    batcher: Batcher[int] = Batcher(least, most, max_wait)
    left: list[list[int]] = []
    for number, (action, _) in enumerate(events):
        if action == "add":
            batcher.add(number, number)
        elif (batch := batcher.take(number)) is not None:
            left.append(batch.items)
    dropped = batcher.close()
    while (batch := batcher.take(len(events))) is not None:
        left.append(batch.items)
    added = [number for number, (action, _) in enumerate(events) if action == "add"]
    assert [*chain.from_iterable(left), *dropped] == added
    assert all(least <= len(items) <= most for items in left)
    assert len(dropped) < least
    assert len(batcher) == 0
