"""Slots and chains: what leaves, in which order, and who is told."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import Success
from conveyor._engine import sequence
from conveyor._engine.bypass import take_outcomes
from conveyor._engine.ordering import ArrivalChain, OrderedChain
from conveyor._engine.sequence import Chain, Slot

KINDS = [OrderedChain, ArrivalChain]
both_kinds = pytest.mark.parametrize("kind", KINDS)

Step: TypeAlias = tuple[str, int]


def filled(chain: Chain, count: int) -> list[Slot]:
    """Append *count* slots whose values are their indices."""
    slots = [Slot(index, index) for index in range(count)]
    for slot in slots:
        chain.append(slot)
    return slots


def counting(chain: Chain) -> list[str]:
    """Record every *on_ready* call."""
    calls: list[str] = []
    chain.on_ready = lambda: calls.append("ready")
    return calls


def watching(chain: Chain) -> list[Any]:
    """Have the chain watched, every head parked, and record the value of each new head."""
    heads: list[Any] = []
    chain.watched = 1
    chain.on_head = lambda head: heads.append(head.value)
    return heads


# Order


@pytest.mark.parametrize(
    ("finished", "ordered"),
    [
        ([], []),
        ([0], [0]),
        ([1], []),
        ([2, 1], []),
        ([1, 0], [0, 1]),
        ([3, 1, 0], [0, 1]),
        ([3, 2, 1, 0], [0, 1, 2, 3]),
        ([0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_leaves_after_some_have_finished(
    kind: type[Chain], finished: list[int], ordered: list[int]
) -> None:
    """In order: the contiguous prefix. By arrival: all that finished, as they finished."""
    expected = ordered if kind is OrderedChain else finished
    chain, other = kind(), kind()
    for each in (chain, other):
        slots = filled(each, 4)
        for index in finished:
            each.finish(slots[index])
    assert chain.take_all() == expected
    taken = []
    while (slot := other.take()) is not None:
        taken.append(slot.index)
    assert taken == expected
    assert len(chain) == len(other) == 4 - len(expected)


@both_kinds
def test_a_discarded_slot_leaves_no_gap(kind: type[Chain]) -> None:
    """What finished behind a slot without a result leaves as soon as that is unlinked."""
    chain = kind()
    slots = filled(chain, 4)
    for index in (1, 3):
        chain.finish(slots[index])
    chain.discard(slots[0])
    chain.discard(slots[2])
    assert chain.take_all() == [1, 3]
    assert len(chain) == 0


@both_kinds
def test_children_take_the_place_of_their_item(kind: type[Chain]) -> None:
    """Children inserted before their placeholder leave between its neighbours, in their order."""
    chain = kind()
    slots = filled(chain, 3)
    children = [Slot(f"1.{number}", 1) for number in range(3)]
    for child in children:
        chain.insert_before(slots[1], child)
    chain.discard(slots[1])
    for slot in [slots[0], *children, slots[2]]:
        chain.finish(slot)
    assert chain.take_all() == [0, "1.0", "1.1", "1.2", 2]


def test_an_open_placeholder_holds_back_what_is_behind_it_but_not_its_children() -> None:
    """Finished children leave at once; the next item waits until no more children can come."""
    chain = OrderedChain()
    place, after = filled(chain, 2)
    chain.finish(after)
    for value in ("a", "b"):
        child = Slot(value, 0)
        chain.insert_before(place, child)
        chain.finish(child)
        assert chain.take_all() == [value]
    chain.discard(place)
    assert chain.take_all() == [1]


def test_children_of_children_keep_the_order() -> None:
    """An expansion inside an expansion is in the place of the inner item."""
    chain = OrderedChain()
    place, last = filled(chain, 2)
    first, second = Slot("first", 0), Slot("second", 0)
    chain.insert_before(place, first)
    chain.insert_before(place, second)
    chain.discard(place)
    grandchildren = [Slot("first.0", 0), Slot("first.1", 0)]
    for each in grandchildren:
        chain.insert_before(first, each)
    chain.discard(first)
    for slot in (last, second, *reversed(grandchildren)):
        chain.finish(slot)
    assert chain.take_all() == ["first.0", "first.1", "second", 1]


@both_kinds
def test_nothing_leaves_an_empty_chain(kind: type[Chain]) -> None:
    """Empty, open: no head, nothing to take, not exhausted; closed: exhausted."""
    chain = kind()
    assert (chain.head, chain.take(), chain.take_all(), len(chain)) == (None, None, [], 0)
    assert not chain.exhausted
    chain.close()
    assert chain.exhausted


@both_kinds
def test_the_head_is_the_first_slot_still_here(kind: type[Chain]) -> None:
    """Appended slots queue behind it, inserted children become it, those that leave pass it on."""
    chain = kind()
    first, second = filled(chain, 2)
    assert chain.head is first
    child = Slot("child", 0)
    chain.insert_before(first, child)
    assert chain.head is child
    chain.finish(child)
    assert chain.take() is child
    assert chain.head is first
    chain.discard(first)
    assert chain.head is second


@both_kinds
def test_a_closed_chain_is_exhausted_when_its_last_slot_has_left(kind: type[Chain]) -> None:
    """Not while one is left, finished or not."""
    chain = kind()
    first, second = filled(chain, 2)
    chain.close()
    chain.discard(first)
    assert not chain.exhausted
    chain.finish(second)
    assert not chain.exhausted
    assert chain.take() is second
    assert chain.exhausted


# Who is told


def test_in_order_only_a_finished_head_is_announced() -> None:
    """What finishes behind the head cannot be taken, so nobody is woken for it."""
    chain = OrderedChain()
    slots = filled(chain, 3)
    calls = counting(chain)
    chain.finish(slots[2])
    chain.finish(slots[1])
    assert calls == []
    chain.finish(slots[0])
    assert calls == ["ready"]


def test_by_arrival_the_first_finished_slot_is_announced() -> None:
    """Whichever finishes can be taken; who has been told of one sees the others when it looks."""
    chain = ArrivalChain()
    slots = filled(chain, 3)
    calls = counting(chain)
    chain.finish(slots[1])
    chain.finish(slots[0])
    assert calls == ["ready"]
    assert chain.take_all() == [1, 0]
    chain.finish(slots[2])
    assert calls == ["ready", "ready"]


def test_discarding_the_head_announces_a_finished_successor_only() -> None:
    """Of three discards, the one that uncovers a finished slot is announced."""
    chain = OrderedChain()
    slots = filled(chain, 4)
    chain.finish(slots[3])
    calls = counting(chain)
    chain.discard(slots[0])  # uncovers slot 1, unfinished
    chain.discard(slots[2])  # not the head
    assert calls == []
    chain.discard(slots[1])
    assert calls == ["ready"]


def test_who_expects_some_is_told_when_the_last_of_them_is_ready() -> None:
    """Not with each before it; and only once, then with the head again."""
    chain = OrderedChain()
    slots = filled(chain, 6)
    calls = counting(chain)
    chain.expect(4)
    for slot in (slots[0], slots[1], slots[2], slots[5]):
        chain.finish(slot)
    assert calls == []
    chain.finish(slots[3])
    assert calls == ["ready"]
    assert chain.take_all() == [0, 1, 2, 3]
    chain.finish(slots[4])
    assert calls == ["ready", "ready"]


def test_who_expects_more_than_there_are_is_told_with_the_last() -> None:
    chain = OrderedChain()
    slots = filled(chain, 2)
    calls = counting(chain)
    chain.expect(9)
    chain.finish(slots[0])
    assert calls == []
    chain.finish(slots[1])
    assert calls == ["ready"]


def test_what_is_ready_already_is_not_waited_for() -> None:
    """Of the three that are expected, the third has its result: it is the second that counts."""
    chain = OrderedChain()
    slots = filled(chain, 3)
    chain.finish(slots[2])
    calls = counting(chain)
    chain.expect(3)
    chain.finish(slots[0])
    assert calls == []
    chain.finish(slots[1])
    assert calls == ["ready"]


def test_only_an_awaited_straggler_is_hurried_past() -> None:
    """Not while others before it lack their results, either."""
    chain = OrderedChain()
    slots = filled(chain, 4)
    calls = counting(chain)
    assert not chain.hurry()
    chain.expect(4)
    assert not chain.hurry()
    chain.finish(slots[0])
    chain.finish(slots[2])
    assert not chain.hurry()
    chain.finish(slots[1])
    assert calls == []
    assert chain.hurry()
    assert calls == ["ready"]
    assert chain.take_all() == [0, 1, 2]


def test_who_expects_nothing_is_told_of_the_head() -> None:
    chain = OrderedChain()
    slots = filled(chain, 2)
    calls = counting(chain)
    chain.expect(0)
    chain.finish(slots[0])
    assert calls == ["ready"]


def test_a_watched_chain_awaits_nothing_behind_its_head() -> None:
    """Whoever begins to watch it has what is ready taken; then each head is told of."""
    chain = OrderedChain()
    slots = filled(chain, 4)
    calls = counting(chain)
    chain.expect(3)
    chain.finish(slots[0])
    assert calls == []
    chain.watch()
    assert calls == ["ready"]
    assert chain.take_all() == [0]
    chain.expect(2)
    chain.finish(slots[1])
    assert calls == ["ready", "ready"]


@pytest.mark.parametrize("leave", ["discard", "cut_from", "finish_all"])
def test_who_waits_for_a_slot_is_told_however_it_leaves(leave: str) -> None:
    """Filtered, dropped after a failure, or finished together with others."""
    chain = OrderedChain()
    slots = filled(chain, 5)
    calls = counting(chain)
    chain.expect(4)
    chain.finish(slots[0])
    if leave == "discard":
        chain.discard(slots[3])
    elif leave == "cut_from":
        assert chain.cut_from(slots[2]) == slots[2:]
    else:
        chain.finish_all(slots[2:4])
    assert calls == ["ready"]
    assert chain.take_all() == [0]


@both_kinds
def test_exhaustion_is_announced_by_whatever_brings_it_about(kind: type[Chain]) -> None:
    """Closing an empty chain, and discarding the last slot of a closed one."""
    empty = kind()
    calls = counting(empty)
    empty.close()
    assert calls == ["ready"]

    chain = kind()
    first, second = filled(chain, 2)
    calls = counting(chain)
    chain.close()
    chain.discard(second)
    assert calls == []
    chain.discard(first)
    assert calls == ["ready"]


@both_kinds
def test_a_watched_chain_tells_its_new_head(kind: type[Chain]) -> None:
    """Whether the old head was taken or discarded; not when a slot behind it leaves."""
    chain = kind()
    slots = filled(chain, 4)
    heads = watching(chain)
    chain.discard(slots[2])
    assert heads == []
    chain.discard(slots[0])
    assert heads == [1]
    chain.finish(slots[1])
    chain.take()
    assert heads == [1, 3]


@both_kinds
@pytest.mark.parametrize("take", ["take_all", "take_slots"])
def test_whoever_takes_all_tells_the_head_that_remains(kind: type[Chain], take: str) -> None:
    """The last head told is the one that is still here."""
    chain = kind()
    slots = filled(chain, 4)
    heads = watching(chain)
    for slot in slots[:3]:
        chain.finish(slot)
    taken = getattr(chain, take)()
    assert (taken if take == "take_all" else [slot.value for slot in taken]) == [0, 1, 2]
    assert heads[-1] == 3


@both_kinds
@pytest.mark.parametrize("leave", ["take", "take_all", "discard"])
def test_no_head_is_told_of_an_empty_chain(kind: type[Chain], leave: str) -> None:
    """After the last slot there is no head."""
    chain = kind()
    (slot,) = filled(chain, 1)
    heads = watching(chain)
    if leave == "discard":
        chain.discard(slot)
    else:
        chain.finish(slot)
        getattr(chain, leave)()
    assert heads == []


@both_kinds
def test_an_unwatched_chain_tells_nobody(kind: type[Chain]) -> None:
    """Without anybody parked, the hot path is spared the call."""
    chain = kind()
    slots = filled(chain, 4)
    heads = watching(chain)
    chain.watched = 0
    chain.discard(slots[0])
    chain.finish(slots[1])
    chain.take()
    chain.finish(slots[2])
    chain.take_all()
    assert heads == []


# Letting go


class Tracked:
    """A value that can be weakly referenced."""


@both_kinds
@pytest.mark.parametrize("leave", ["take", "take_all", "discard", "clear"])
def test_slots_that_left_are_freed_without_the_collector(kind: type[Chain], leave: str) -> None:
    """No reference cycle is left among them, while the chain itself lives on."""
    chain = kind()
    values: list[weakref.ref[Tracked]] = []
    gc.disable()
    try:
        for index in range(5):
            slot = Slot(Tracked(), index)
            values.append(weakref.ref(slot.value))
            chain.append(slot)
            if leave in ("take", "take_all"):
                chain.finish(slot)
        if leave == "discard":
            while (head := chain.head) is not None:
                chain.discard(head)
            del head
        elif leave == "take":
            while chain.take() is not None:
                pass
        else:
            getattr(chain, leave)()
        del slot
        assert [value() for value in values] == [None] * 5
    finally:
        gc.enable()


def take_values(chain: Chain) -> list[Any]:
    return chain.take_all()


def take_values_of_outcomes(chain: Chain) -> list[Any]:
    return [outcome.value for outcome in take_outcomes(chain, 9) if isinstance(outcome, Success)]


@both_kinds
@pytest.mark.parametrize("take", [take_values, take_values_of_outcomes])
def test_spare_slots_keep_no_value(take: Callable[[Chain], list[Any]], kind: type[Chain]) -> None:
    """What waits to be used again does not keep a user's object alive meanwhile."""
    chain = kind()
    chain.most_spare = 5
    for index in range(5):
        slot = Slot(Tracked(), index)
        chain.append(slot)
        chain.finish(slot)
    values = [weakref.ref(value) for value in take(chain)]
    assert len(values) == len(chain.spare) == 5
    assert [value() for value in values] == [None] * 5


@both_kinds
def test_a_slot_that_left_refers_to_no_other(kind: type[Chain]) -> None:
    """A worker that still holds it does not keep its neighbours alive."""
    chain = kind()
    slots = filled(chain, 5)
    chain.finish(slots[0])
    chain.take()
    chain.finish(slots[1])
    chain.take_all()
    chain.discard(slots[3])
    for left in (slots[0], slots[1], slots[3]):
        assert not any(other in gc.get_referents(left) for other in slots)


@both_kinds
def test_clear_forgets_everything(kind: type[Chain]) -> None:
    """Finished or not, nothing can be taken afterwards; the chain works on."""
    chain = kind()
    slots = filled(chain, 4)
    chain.finish(slots[0])
    chain.finish(slots[2])
    chain.clear()
    assert (chain.head, chain.take(), chain.take_all(), len(chain)) == (None, None, [], 0)
    (slot,) = filled(chain, 1)
    chain.finish(slot)
    assert chain.take() is slot


# Against a model


class Model:
    """The obvious list of slots, with the same steps."""

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        self.slots: list[Slot] = []
        self.finished: list[Slot] = []

    def pending(self) -> list[Slot]:
        return [slot for slot in self.slots if slot not in self.finished]

    def take_all(self) -> list[Any]:
        taken = []
        if self.ordered:
            while self.slots and self.slots[0] in self.finished:
                taken.append(self.slots.pop(0))
        else:
            taken = self.finished
            self.slots = self.pending()
        self.finished = [slot for slot in self.finished if slot not in taken]
        return [slot.value for slot in taken]


def apply(step: Step, chain: Chain, model: Model, name: int) -> None:
    """Take one step with both: append, finish, discard, or expand into some children."""
    action, number = step
    pending = model.pending()
    if action == "append" or not pending:
        slot = chain.slot_for(str(name), name)
        assert (slot.value, slot.index, slot.done) == (str(name), name, False)
        chain.append(slot)
        model.slots.append(slot)
        return
    slot = pending[number % len(pending)]
    if action == "finish":
        chain.finish(slot)
        model.finished.append(slot)
        return
    if action == "expand":
        for child in range(number % 4):
            new = Slot(f"{slot.value}.{child}", slot.index)
            chain.insert_before(slot, new)
            model.slots.insert(model.slots.index(slot), new)
    chain.discard(slot)
    model.slots.remove(slot)


ACTIONS = ["append", "append", "append", "finish", "finish", "discard", "expand"]
steps = st.lists(st.tuples(st.sampled_from([*ACTIONS, "take", "take_all"]), st.integers(0, 99)))
passive_steps = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 99)))


@pytest.mark.parametrize("kind", KINDS)
@given(steps=steps)
def test_chain_behaves_as_the_list(kind: type[Chain], steps: list[Step]) -> None:
    """Whatever is done in whatever order, the chain holds and gives what the list does."""
    chain, model = kind(), Model(kind is OrderedChain)
    chain.most_spare = 3
    for name, step in enumerate(steps):
        if step[0] == "take_all":
            expected = model.take_all()  # first, since slots that have left lose their values
            assert chain.take_all() == expected
        elif step[0] == "take":
            expected = model.take_all()
            taken = chain.take()
            assert ([taken.value] if taken else []) == expected[:1]
            assert chain.take_all() == expected[1:]
        else:
            apply(step, chain, model, name)
        assert len(chain) == len(model.slots)
        assert chain.head is (model.slots[0] if model.slots else None)
        assert len(chain.spare) <= 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("all_at_once", [True, False])
@given(steps=passive_steps)
def test_who_only_takes_when_told_misses_nothing(
    kind: type[Chain], all_at_once: bool, steps: list[Step]
) -> None:
    """A consumer that looks only after *on_ready* gets everything, and learns of the end."""
    chain, model = kind(), Model(kind is OrderedChain)
    calls = counting(chain)
    for name, step in enumerate([*steps, ("close", 0), *[("finish", 0)] * 400]):
        if step[0] == "close":
            chain.close()
        elif not chain.closed or model.pending():
            apply(step, chain, model, name)
        expected = model.take_all()
        received = []
        if calls:
            calls.clear()
            if all_at_once:
                received = chain.take_all()
            else:
                while (slot := chain.take()) is not None:
                    received.append(slot.value)
            ended = chain.exhausted
        assert received == expected
    assert ended


@given(
    steps=passive_steps,
    counts=st.lists(st.integers(0, 9), min_size=1),
)
def test_who_expects_some_misses_nothing(steps: list[Step], counts: list[int]) -> None:
    """A consumer that waits for several is told by the time when all of them are there or gone."""
    chain, model = OrderedChain(), Model(True)
    calls = counting(chain)
    expected: list[Slot] = []
    received: list[Any] = []
    wanted: list[Any] = []
    for name, step in enumerate([*steps, ("close", 0), *[("finish", 0)] * 400]):
        if step[0] == "close":
            chain.close()
        elif not chain.closed or model.pending():
            apply(step, chain, model, name)
        if expected and not any(slot in model.pending() for slot in expected):
            assert calls
        if calls:
            calls.clear()
            wanted += model.take_all()
            received += chain.take_all()
            chain.awaited = None
            count = counts[name % len(counts)]
            expected = model.slots[:count]
            chain.expect(count)
            ended = chain.exhausted
    assert received == wanted
    assert ended


@pytest.mark.parametrize("kind", KINDS)
@given(steps=steps)
def test_the_last_head_told_is_the_head(kind: type[Chain], steps: list[Step]) -> None:
    """Whenever slots leave a watched chain at its front, the new head is told."""
    chain, model = kind(), Model(kind is OrderedChain)
    heads = watching(chain)
    for name, step in enumerate(steps):
        before = model.slots[0] if model.slots else None
        heads.clear()
        if step[0] in ("take", "take_all"):
            getattr(chain, step[0])()
            model.slots = [slot for slot in model.slots if _is_in(chain, slot)]
            model.finished = [slot for slot in model.finished if slot in model.slots]
        else:
            apply(step, chain, model, name)
        if before is not None and before not in model.slots and model.slots:
            told = heads[-1] if heads else None
            inserted = step[0] == "expand" and model.slots[0].value.startswith(f"{before.value}.")
            assert inserted or told == model.slots[0].value


def _is_in(chain: Chain, wanted: Slot) -> bool:
    slot = chain.head
    while slot is not None and slot.index >= 0:
        if slot is wanted:
            return True
        slot = slot.next
    return False


# Interrupts


def interrupt(function: Callable[[], object], at: int) -> bool:
    """Call *function*, raise ``KeyboardInterrupt`` before its n-th line; tell whether it came."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "call":
            return trace if frame.f_code.co_filename == sequence.__file__ else None
        lines += event == "line"
        if event == "line" and lines == at:
            raise KeyboardInterrupt
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(previous)
    return False


@both_kinds
@pytest.mark.parametrize("action", ["insert", "clear"])
def test_a_chain_that_an_interrupt_has_met_can_be_cleared(kind: type[Chain], action: str) -> None:
    """Whichever line it strikes, the way from the first slot to the last has no loose end."""
    for at in itertools.count(1):
        chain = kind()
        slots = filled(chain, 3)
        if action == "insert":
            was_struck = interrupt(lambda: chain.insert_values(slots[1], "abc"), at)  # noqa: B023
            assert 3 <= len(chain) <= 6
        else:
            was_struck = interrupt(chain.clear, at)
        chain.clear()
        assert len(chain) == 0
        if not was_struck:
            break
    assert at > 8
