"""Which calls a timeline keeps: a bounded number, spread evenly, whole items."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.observers.sampling import FIRST, Numbering, Sample, Series, rank


@given(st.integers(1, 20), st.lists(st.integers(-1, 50)))
def test_the_lowest_ranks_are_kept(size: int, ranks: list[int]) -> None:
    """As sorting says; of equal ranks the first ones."""
    sample: Sample[int] = Sample(size)
    for place, each in enumerate(ranks):
        sample.add(each, place)
    kept = sorted(range(len(ranks)), key=lambda place: (ranks[place], place))[:size]
    assert sorted(sample) == sorted(kept)
    assert len(sample) == len(kept)


@given(st.integers(1, 5), st.lists(st.integers(0, 9)), st.integers(0, 9))
def test_what_is_not_taken_would_not_be_kept(size: int, ranks: list[int], next_rank: int) -> None:
    """Asking beforehand gives the answer that adding gives."""
    sample: Sample[str] = Sample(size)
    for each in ranks:
        sample.add(each, "old")
    takes = sample.takes(next_rank)
    sample.add(next_rank, "new")
    assert ("new" in sample) == takes


@pytest.mark.parametrize("size", [10, 37, 100, 1000])
@pytest.mark.parametrize("period", [2, 3, 10, 64])
def test_items_that_are_kept_are_spread_evenly(size: int, period: int) -> None:
    """No two neighbours are far from each other, and each place of a period has its share."""
    number = 20_000
    kept = sorted(sorted(range(number), key=rank)[:size])
    mean = number / size
    assert max(later - earlier for earlier, later in pairwise([*kept, number])) < 3 * mean
    if size >= 10 * period:
        shares = [sum(index % period == place for index in kept) for place in range(period)]
        assert min(shares) > 0.5 * size / period


def test_an_item_has_one_rank() -> None:
    """Its calls in all stages are kept, or none of them."""
    first, second = Numbering(), Numbering()
    assert [first.rank((index,)) for index in range(9)] == [
        second.rank((index,)) for index in reversed(range(9))
    ][::-1]


def test_what_became_of_an_item_has_many_ranks() -> None:
    """One item that becomes many does not take all the room."""
    numbering = Numbering()
    ranks = [numbering.rank((index,)) for _ in range(1000) for index in (0, 1, 2)]
    assert len(set(ranks)) == 3000
    kept = sorted(range(3000), key=ranks.__getitem__)[:300]
    for index in range(3):
        assert sum(place % 3 == index for place in kept) == pytest.approx(100, abs=10)
    assert max(later - earlier for earlier, later in pairwise(sorted(kept))) < 60


def test_a_batch_has_the_rank_of_its_lowest_item() -> None:
    """So it is kept if one of its items is."""
    assert Numbering().rank((7, 3, 5)) == min(map(rank, (7, 3, 5)))
    assert Numbering().rank((4, 4)) == min(rank(4, 0), rank(4, 1))


def test_what_is_about_no_item_comes_first() -> None:
    """A call with the whole stream is kept."""
    assert Numbering().rank(()) == FIRST
    assert min(map(rank, range(100))) > FIRST


@given(st.integers(1, 8), st.lists(st.integers(0, 30)))
def test_numbers_go_on_while_they_are_remembered(memory: int, indexes: list[int]) -> None:
    """An index counts on after at most *memory* others; what is remembered is bounded."""
    numbering = Numbering(memory)
    for place, index in enumerate(indexes):
        got = numbering.rank((index,))
        before = [each for each in range(place) if indexes[each] == index]
        since = set(indexes[before[-1] + 1 : place]) if before else set()
        if len(since) < memory:
            # How far back it goes depends on earlier gaps; if there were none, to the start.
            numbers = [rank(index, number) for number in range(len(before) + 1)]
            assert got in (numbers[1:] or numbers)
        assert len(numbering._new) <= memory
        assert len(numbering._old) <= memory


def test_numbers_are_exact_for_those_that_come_in_turn() -> None:
    """As many as are remembered."""
    numbering = Numbering(4)
    for number in range(5):
        for index in range(4):
            assert numbering.rank((index,)) == rank(index, number)


def looks(size: int, number: int) -> list[int]:
    series: Series[int] = Series(size)
    for look in range(number):
        if series.is_due():
            series.add(look)
    series.end(number)
    return list(series)


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (0, [0]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 4]),
        (5, [0, 2, 4, 5]),
        (7, [0, 2, 4, 7]),
        (8, [0, 2, 4, 8]),
        (9, [0, 4, 8, 9]),
    ],
)
def test_a_series_is_thinned(number: int, kept: list[int]) -> None:
    """Every second one, then every fourth one, and so on; the first and the last in any case."""
    assert looks(4, number) == kept


@given(st.integers(2, 50), st.integers(0, 1000))
def test_a_series_is_bounded_and_even(size: int, number: int) -> None:
    """It has never more than its size, at equal distances but for the last."""
    kept = looks(size, number)
    assert len(kept) <= size
    assert len({later - earlier for earlier, later in pairwise(kept[:-1])}) <= 1
    assert (kept[0], kept[-1]) == (0, number)
    assert len(kept) >= min(number + 1, size // 2)


@pytest.mark.parametrize("size", [0, 1])
def test_a_series_without_room_keeps_nothing(size: int) -> None:
    """Not even the last one."""
    assert looks(size, 10) == []
