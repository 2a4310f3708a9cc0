"""The rules that say which waiting item is next: by priority, and of each key one at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.lanes import PATIENCE, LaneQueue


def drain(queue: LaneQueue[Any]) -> list[Any]:
    """Take all that is ready."""
    return [queue.popleft() for _ in range(len(queue))]


def test_without_key_and_priority_items_leave_as_they_came() -> None:
    """As from any queue."""
    queue = LaneQueue[str]()
    for item in "abc":
        queue.add(item)
    assert (len(queue), bool(queue), drain(queue), bool(queue)) == (3, True, ["a", "b", "c"], False)


def test_an_empty_queue_raises_an_index_error() -> None:
    """Which is what the workers' hot loop relies on; also if items wait in their lanes."""
    queue = LaneQueue[str]()
    with pytest.raises(IndexError):
        queue.popleft()
    queue.add_to_lane("a", 1)
    queue.add_to_lane("b", 1)
    queue.popleft()
    with pytest.raises(IndexError):
        queue.popleft()


def test_items_can_be_forgotten() -> None:
    """Wherever they wait; the others of their key keep their turns."""
    queue = LaneQueue[str]()
    for item in ["a1", "b1", "a2", "c1", "b2", "b3", "c2", "d1"]:
        queue.add_to_lane(item, item[0])
    queue.add("e")
    assert queue.popleft() == "a1"
    lane = queue.claim("a1")
    assert queue.forget({"a1", "a2", "b1", "b3", "d1", "e", "f"}) == {"a2", "b1", "b3", "d1", "e"}
    assert drain(queue) == ["c1", "b2"]
    queue.release(lane)
    queue.release(queue.claim("b2"))
    assert drain(queue) == []
    queue.release(queue.claim("c1"))
    assert drain(queue) == ["c2"]
    queue.add_to_lane("d2", "d")
    assert drain(queue) == ["d2"]


def test_the_most_urgent_item_leaves_first() -> None:
    """Of equally urgent ones, the one that came first."""
    queue = LaneQueue[str]()
    for item, priority in [("a", 2), ("b", 0.5), ("c", 0), ("d", 0.5), ("e", 0)]:
        queue.add(item, priority)
    assert drain(queue) == ["c", "e", "b", "d", "a"]


@pytest.mark.parametrize("priority", [0.03, 0.5, 1, 2.5])
def test_an_item_lets_a_bounded_number_of_later_ones_go_ahead(priority: float) -> None:
    """At most PATIENCE for each unit of its priority, less the one that would be as urgent."""
    queue = LaneQueue[int]()
    queue.add(-1, priority)
    for number in range(1000):
        queue.add(number)
    assert drain(queue).index(-1) == PATIENCE * priority - 1


@given(st.lists(st.floats(0, 1e9) | st.integers(0, 10)))
def test_items_leave_by_rank(priorities: list[float]) -> None:
    """A stable sort by arrival and priority."""
    queue = LaneQueue[int]()
    for number, priority in enumerate(priorities):
        queue.add(number, priority)
    ranks = [number + PATIENCE * priority for number, priority in enumerate(priorities)]
    assert drain(queue) == sorted(range(len(ranks)), key=ranks.__getitem__)


def test_of_a_key_one_item_is_ready_at_a_time() -> None:
    """The next one when the lane is released, in the order in which they came."""
    queue = LaneQueue[str]()
    for item in ["a1", "a2", "b1", "a3"]:
        queue.add_to_lane(item, item[0])
    assert drain(queue) == ["a1", "b1"]
    queue.release(queue.claim("a1"))
    queue.release(queue.claim("b1"))
    assert drain(queue) == ["a2"]
    queue.add_to_lane("a4", "a")
    queue.add_to_lane("b2", "b")
    assert drain(queue) == ["b2"]
    queue.release(queue.claim("a2"))
    assert drain(queue) == ["a3"]


def test_what_becomes_ready_goes_before_what_came_later() -> None:
    """It has its rank from when it came, not from when its key was free."""
    queue = LaneQueue[str]()
    for item in ["a1", "a2", "b1", "c1"]:
        queue.add_to_lane(item, item[0])
    assert queue.popleft() == "a1"
    queue.release(queue.claim("a1"))
    assert drain(queue) == ["a2", "b1", "c1"]


def test_the_order_within_a_key_does_not_depend_on_priorities() -> None:
    """Those that are ready leave by priority; an urgent item does not overtake its own key."""
    queue = LaneQueue[str]()
    for item, priority in [("a1", 9), ("a2", 0), ("b1", 5), ("c1", 0)]:
        queue.add_to_lane(item, item[0], priority)
    assert drain(queue) == ["c1", "b1", "a1"]
    queue.release(queue.claim("a1"))
    assert drain(queue) == ["a2"]


def test_an_idle_key_is_forgotten() -> None:
    """However many there were."""
    queue = LaneQueue[int]()
    for number in range(1000):
        queue.add_to_lane(number, number // 2)
        if number % 2:
            for item in (number - 1, number):
                assert queue.popleft() == item
                queue.release(queue.claim(item))
                assert queue.lanes == (item % 2 == 0)


def test_a_halted_key_is_remembered() -> None:
    """Its items still come one at a time."""
    queue = LaneQueue[str]()
    queue.add_to_lane("a1", "a")
    queue.popleft()
    lane = queue.claim("a1")
    lane.is_halted = True
    queue.release(lane)
    for item in ["a2", "a3"]:
        queue.add_to_lane(item, "a")
        assert queue.lane_of(item) is lane
    assert drain(queue) == ["a2"]
    queue.release(queue.claim("a2"))
    assert drain(queue) == ["a3"]


def test_an_item_that_is_ready_can_be_taken_out_of_its_turn() -> None:
    """It holds its lane as if it had been taken; one that waits in its lane is not there."""
    queue = LaneQueue[str]()
    for item, key in [("a1", "a"), ("b1", "b"), ("c1", "c"), ("b2", "b")]:
        queue.add_to_lane(item, key)
    assert ("b1" in queue, "b2" in queue) == (True, False)
    queue.remove("b1")
    assert ("b1" in queue, drain(queue)) == (False, ["a1", "c1"])
    queue.release(queue.claim("b1"))
    assert drain(queue) == ["b2"]


def test_after_it_was_cleared_lanes_can_still_be_released() -> None:
    """A run that stops clears its queues while calls are in flight."""
    queue = LaneQueue[str]()
    for item in ["a1", "a2", "b1"]:
        queue.add_to_lane(item, item[0])
    queue.popleft()
    lane = queue.claim("a1")
    queue.clear()
    queue.release(lane)
    assert (len(queue), queue.lanes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 0.02, 1, 5]))), st.randoms())
def test_lanes_keep_their_order_whoever_is_released_when(
    arrivals: list[tuple[int, float]], random: Any
) -> None:
    """Against a plain model: a list per key, of which the most urgent first element is taken."""
    queue = LaneQueue[int]()
    waiting: dict[int, deque[int]] = {}
    held: dict[int, int] = {}

    def rank(number: int) -> tuple[float, int]:
        return number + PATIENCE * arrivals[number][1], number

    coming = deque(range(len(arrivals)))
    while coming or waiting or held:
        step = random.randrange(3)
        if step == 0 and coming:
            number = coming.popleft()
            key, priority = arrivals[number]
            queue.add_to_lane(number, key, priority)
            waiting.setdefault(key, deque()).append(number)
        elif step == 1 and held:
            key = random.choice([*held])
            queue.release(queue.claim(held.pop(key)))
        else:
            firsts = [lane[0] for key, lane in waiting.items() if key not in held]
            assert len(queue) == len(firsts)
            if not firsts:
                continue
            number = queue.popleft()
            assert number == min(firsts, key=rank)
            key = arrivals[number][0]
            held[key] = number
            waiting[key].popleft()
            if not waiting[key]:
                del waiting[key]
    assert queue.lanes == 0
