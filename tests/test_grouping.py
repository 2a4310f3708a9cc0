"""Batches by key and weight: when one leaves, what is in it, and why."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import chain
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.batching import Batch
from conveyor._engine.grouping import GroupingBatcher


class Item(NamedTuple):
    number: int
    key: str
    weight: float


def batcher_of(*sizes: int, **limits: Any) -> GroupingBatcher[Any]:
    return GroupingBatcher(*sizes, **limits)


def weighed(text: str, *sizes: int, **limits: Any) -> GroupingBatcher[Any]:
    """Return a batcher with one item per digit, which is its weight; the n-th came at n."""
    batcher = batcher_of(*sizes, **limits)
    for now, digit in enumerate(text):
        batcher.add(digit, float(now), weight=int(digit))
    return batcher


def keyed(text: str, *sizes: int, **limits: Any) -> GroupingBatcher[Any]:
    """Return a batcher with one item per letter, which is its key; the n-th came at n."""
    batcher = batcher_of(*sizes, **limits)
    for now, letter in enumerate(text):
        batcher.add(f"{letter}{now}", float(now), key=letter)
    return batcher


def taken(batcher: GroupingBatcher[Any], now: float = 0.0) -> list[str]:
    """Take all that may leave at *now*."""
    batches = []
    while (batch := batcher.take(now)) is not None:
        batches.append(f"{''.join(batch.items)}:{batch.trigger}")
    return batches


# Weight


@pytest.mark.parametrize(
    ("items", "expected", "rest"),
    [
        ("", [], []),
        ("9", [], ["9:end"]),
        ("55", ["55:weight"], []),  # exactly the most
        ("64", ["64:weight"], []),
        ("65", ["6:weight"], ["5:end"]),  # the second does not fit
        ("656", ["6:weight", "5:weight"], ["6:end"]),
        ("3334", ["333:weight"], ["4:end"]),
        ("1111", ["1111:size"], []),
        ("1117", ["1117:size"], []),  # both; size says it
        ("0000", ["0000:size"], []),
        ("00009", ["0000:size"], ["9:end"]),
        ("05500", ["055:weight"], ["00:end"]),
    ],
)
def test_a_batch_leaves_before_it_weighs_too_much(
    items: str, expected: list[str], rest: list[str]
) -> None:
    """At most 10 with at most 4 items; what does not fit any more begins the next batch."""
    batcher = weighed(items, 1, 4, max_weight=10)
    assert taken(batcher) == expected
    assert batcher.close() == []
    assert taken(batcher) == rest


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("9", ["9:weight"]),
        ("99", ["9:weight", "9:weight"]),
        ("19", ["1:weight", "9:weight"]),
        ("191", ["1:weight", "9:weight", "1:end"]),
        ("5", ["5:weight"]),
        ("09", ["0:weight", "9:weight"]),
    ],
)
def test_an_item_that_is_too_heavy_goes_alone(items: str, expected: list[str]) -> None:
    """At once, since nothing fits beside it; the order stays."""
    batcher = weighed(items, 1, 4, max_weight=5)
    batcher.close()
    assert taken(batcher) == expected


@pytest.mark.parametrize("weight", [math.inf, 1e308])
def test_no_weight_is_too_much_to_go_on(weight: float) -> None:
    """What comes after the heaviest item there can be is weighed anew."""
    batcher = batcher_of(1, 9, max_weight=2)
    for each in (weight, weight, 1, 1):
        batcher.add(each, weight=each)
    assert [batch.items for batch in iter(batcher.take, None) if batch] == [
        [weight],
        [weight],
        [1, 1],
    ]


def test_a_batch_full_by_weight_needs_no_min_size() -> None:
    """It is full; only one that leaves before needs it."""
    batcher = weighed("9993", 2, 4, max_weight=10)
    assert taken(batcher) == ["9:weight", "9:weight", "9:weight"]
    assert batcher.close() == ["3"]
    assert (taken(batcher), len(batcher)) == ([], 0)


def test_weight_and_age_go_together() -> None:
    """The age is that of the first item of the open batch, not of those before it."""
    batcher = weighed("8332", 2, 4, max_wait=10, max_weight=9)
    assert batcher.full
    assert batcher.take(3.0) == Batch(["8"], "weight")
    assert (batcher.full, batcher.deadline) == (False, 11.0)
    assert batcher.take(10.9) is None
    assert batcher.take(11.0) == Batch(["3", "3", "2"], "age")
    assert batcher.deadline is None


# Keys


def test_each_key_has_a_batch_of_its_own() -> None:
    """It leaves when it is full, wherever in the input its items were."""
    batcher = keyed("abacbabc", 1, 3)
    assert taken(batcher) == ["a0a2a5:size", "b1b4b6:size"]
    assert batcher.close() == []
    assert taken(batcher) == ["c3c7:end"]


def test_at_the_end_batches_leave_in_the_order_of_their_first_items() -> None:
    """Also if their keys were met before."""
    batcher = keyed("abcaab", 1, 2)
    batcher.close()
    assert taken(batcher) == ["a0a3:size", "b1b5:size", "c2:end", "a4:end"]


def test_the_oldest_batch_leaves_for_want_of_room() -> None:
    """As soon as the open ones hold so many items together, however small it is."""
    batcher = keyed("abbc", 1, 3, room=5)
    assert taken(batcher) == []
    batcher.add("c4", key="c")
    assert taken(batcher) == ["a0:room"]
    batcher.add("d5", key="d")
    assert taken(batcher) == ["b1b2:room"]
    for item in ("e6", "c7", "e8", "e9"):
        batcher.add(item, key=item[0])
    assert taken(batcher) == ["c3c4c7:size", "e6e8e9:size"]


def test_a_batch_that_is_full_makes_room_itself() -> None:
    """No other one has to leave for it."""
    assert taken(keyed("abbb", 1, 3, room=4)) == ["b1b2b3:size"]


def test_keys_are_forgotten_when_their_batch_has_left() -> None:
    """A key that never comes again takes no memory."""
    batcher = batcher_of(1, 2, room=10)
    for number in range(1000):
        batcher.add(number, key=number)
        batcher.take()
    assert (len(batcher._open), len(batcher)) == (9, 9)


def test_the_first_open_batch_is_the_next_to_be_due() -> None:
    """Each by the age of its own first item."""
    batcher = keyed("abab", 1, 3, max_wait=10)
    assert (batcher.deadline, batcher.take(9.0)) == (10.0, None)
    assert batcher.take(10.0) == Batch(["a0", "a2"], "age")
    assert (batcher.deadline, batcher.take(10.0)) == (11.0, None)
    assert batcher.take(20.0) == Batch(["b1", "b3"], "age")
    assert batcher.deadline is None


def test_a_key_with_few_items_is_not_left_behind() -> None:
    """It was due before the others were full, so it goes before them; and after those before."""
    batcher = keyed("abb", 1, 2, max_wait=5)
    batcher.add("b3", 6.0, key="b")
    batcher.add("b4", 6.0, key="b")
    assert taken(batcher, 7.0) == ["b1b2:size", "a0:age", "b3b4:size"]


@pytest.mark.parametrize("max_wait", [0, 0.0])
def test_with_a_wait_of_zero_whoever_asks_gets_the_oldest(max_wait: float) -> None:
    """There is no deadline; one may leave as soon as there is an item."""
    batcher = batcher_of(1, 3, max_wait=max_wait)
    assert not batcher.full
    for letter in "aba":
        batcher.add(letter, 3.0, key=letter)
    assert (batcher.full, batcher.deadline) == (True, None)
    assert taken(batcher, 3.0) == ["aa:age", "b:age"]
    assert not batcher.full


def test_without_max_wait_nothing_leaves_by_age() -> None:
    """However late it is."""
    batcher = keyed("ab", 1, 3)
    assert (batcher.timed, batcher.deadline, taken(batcher, 1e9)) == (False, None, [])


def test_clear_forgets_everything() -> None:
    """Afterwards it is as new."""
    batcher = keyed("aabab", 1, 2, max_wait=1, room=6)
    batcher.clear()
    assert (len(batcher), batcher.full, batcher.deadline, batcher.take(9.0)) == (
        0,
        False,
        None,
        None,
    )
    assert (taken(batcher, 9.0), batcher.close()) == ([], [])
    for letter in "abcde":
        batcher.add(letter, key=letter)
    assert taken(batcher) == []


# Whatever comes

items = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 7), st.integers(0, 3)))


@given(items=items, max_size=st.integers(1, 5), max_weight=st.integers(1, 12))
def test_batches_of_a_key_are_what_one_would_cut_from_a_list(
    items: list[tuple[str, int, int]], max_size: int, max_weight: int
) -> None:
    """Key by key: take items while they fit."""
    batcher = batcher_of(1, max_size, max_weight=max_weight)
    expected: dict[str, list[list[Item]]] = defaultdict(list)
    for number, (key, weight, _) in enumerate(items):
        item = Item(number, key, weight)
        batcher.add(item, key=key, weight=weight)
        last = expected[key][-1] if expected[key] else []
        fits = sum(each.weight for each in last) + weight <= max_weight
        if last and fits and len(last) < max_size and sum(i.weight for i in last) < max_weight:
            last.append(item)
        else:
            expected[key].append([item])
    assert batcher.close() == []
    got: dict[str, list[list[Item]]] = defaultdict(list)
    while (batch := batcher.take()) is not None:
        got[batch.items[0].key].append(batch.items)
    assert got == expected


@given(
    items=items,
    min_size=st.integers(1, 3),
    more=st.integers(0, 3),
    max_wait=st.none() | st.integers(0, 5),
    max_weight=st.integers(1, 12) | st.just(math.inf),
    spare=st.none() | st.integers(0, 6),
    asks=st.lists(st.booleans()),
)
def test_whatever_comes_every_batch_has_its_reason(
    items: list[tuple[str, int, int]],
    min_size: int,
    more: int,
    max_wait: int | None,
    max_weight: float,
    spare: int | None,
    asks: list[bool],
) -> None:
    """No item is lost, keys do not mix, order holds within a key, and the reason is true."""
    max_size = min_size + more
    room = math.inf if spare is None else max_size + spare
    if room != math.inf:
        min_size = 1
    batcher = batcher_of(min_size, max_size, max_wait=max_wait, max_weight=max_weight, room=room)
    batches: list[Batch] = []
    came: dict[int, int] = {}
    now = 0
    for number, (key, weight, delay) in enumerate(items):
        now += delay
        came[number] = now
        batcher.add(Item(number, key, weight), now, key, weight)
        assert batcher._resting < room
        if number < len(asks) and asks[number]:
            may = batcher.full or (batcher.deadline is not None and batcher.deadline <= now)
            batch = batcher.take(now)
            assert (batch is not None) is may
            if batch is not None:
                batches.append(batch)
                if batch.trigger == "age":
                    assert max_wait is not None
                    assert came[batch.items[0].number] + max_wait <= now
        assert len(batcher) == number + 1 - sum(len(batch.items) for batch in batches)
    dropped = batcher.close()
    batches += iter(batcher.take, None)
    assert len(batcher) == 0
    everything = [*chain.from_iterable(batch.items for batch in batches), *dropped]
    assert sorted(item.number for item in everything) == list(range(len(items)))
    of_key: dict[str, list[int]] = defaultdict(list)
    for values, trigger in batches:
        assert len({item.key for item in values}) == 1
        of_key[values[0].key] += [item.number for item in values]
        weight = sum(item.weight for item in values)
        assert 1 <= len(values) <= max_size
        assert weight <= max_weight or len(values) == 1
        assert (trigger == "size") is (len(values) == max_size)
        if trigger in ("age", "end"):
            assert len(values) >= min_size
            assert weight < max_weight
        elif trigger == "weight" and weight < max_weight:
            following = [i for i in everything if i.key == values[0].key]
            following = sorted(i for i in following if i.number > values[-1].number)
            assert weight + following[0].weight > max_weight
    assert all(numbers == sorted(numbers) for numbers in of_key.values())
    assert len(dropped) <= 4 * (min_size - 1)
