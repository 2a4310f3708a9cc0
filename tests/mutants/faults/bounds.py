"""Faults in what bounds a run."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "one call more than the limit",
        "_engine/workers.py",
        "        self.limit = limit\n",
        "        self.limit = limit + 1\n",
        ("test_stage.py::test_the_limit_is_reached_and_never_exceeded",),
    ),
    Fault(
        "places are given back twice",
        "_engine/handoff.py",
        "        self._window.release(lot)\n",
        "        self._window.release(2 * lot)\n",
        ("test_window.py::test_the_read_ahead_is_bounded_at_every_moment",),
    ),
    Fault(
        "places are never given back",
        "_engine/handoff.py",
        "        self._window.release(lot)\n",
        "",
        ("test_streams.py::test_every_way_gives_all_results",),
    ),
    Fault(
        "what ends on the way keeps its place",
        "_engine/stage.py",
        """\
        self.chain.discard(slot)
        self.run.window.release()
""",
        "        self.chain.discard(slot)\n",
        ("test_window.py::test_items_that_end_on_the_way_give_their_places_back",),
    ),
    Fault(
        "the items of a batch keep their places",
        "_engine/batch_stage.py",
        "        self.run.window.release(slot.take_spare(maxsize))\n",
        "        pass\n",
        ("test_window.py::test_results_of_batches_hold_a_place_each",),
    ),
    Fault(
        "the items of a batch give their places back before the call has ended",
        "_engine/batch_stage.py",
        "        if self._isolates_poison:\n            await",
        "        self._give_back_spare(slot)\n        if self._isolates_poison:\n            await",
        ("test_window.py::test_items_of_batches_hold_a_place_each",),
    ),
    Fault(
        "the source waits for no room",
        "_engine/source.py",
        "            while room <= 0 and not self._stopped:\n",
        "            while False:\n",
        ("test_window.py::test_the_read_ahead_is_bounded_at_every_moment",),
    ),
    Fault(
        "the source reads on through a burst as if there were room",
        "_engine/source.py",
        "                places = min(room, self._next_burst())\n",
        "                places = self._next_burst()\n",
        ("test_window.py::test_the_read_ahead_is_bounded_at_every_moment",),
    ),
    Fault(
        "a long list takes more room than there is",
        "_engine/stage.py",
        "        if more <= 1 or self.room_for(slot, window.rank(slot.index)) >= more - 1:\n",
        "        if True:\n",
        ("test_window.py::test_long_lists_do_not_widen_the_window",),
    ),
    Fault(
        "a value is asked for before there is a place for it",
        "_engine/expansion.py",
        """\
        while not stage.may_add(self._slot, self._rank):
            if pacing""",
        """\
        while self.passed_on % 2 and not stage.may_add(self._slot, self._rank):
            if pacing""",
        ("test_window.py::test_generators_do_not_widen_the_window",),
    ),
    Fault(
        "the first of endless generators gets all room, though the order of results is open",
        "_engine/window.py",
        "        return index if self.in_order else next(self._numbers)\n",
        "        return index\n",
        ("test_window.py::test_endless_generators_take_turns_in_completion_order",),
    ),
    Fault(
        "a generator that has got room once keeps it before all others",
        "_engine/expansion.py",
        "            self._turn += TURN\n",
        "            self._turn += 10**9\n",
        ("test_window.py::test_endless_generators_take_turns_in_completion_order",),
    ),
    Fault(
        "a share of the parallelism is held while waiting for room",
        "_engine/pacing.py",
        """\
            self.meter.stop()
        self.withdraw()
""",
        "            self.meter.stop()\n",
        ("test_stage.py::test_a_generator_that_waits_for_room_gives_its_share_back",),
    ),
    Fault(
        "a share of the parallelism is held between two attempts",
        "_engine/call.py",
        "            pacing.scope = None\n            pacing.end()\n",
        "            pacing.scope = None\n",
        ("test_stage.py::test_a_call_that_waits_for_its_retry_holds_no_share",),
    ),
    Fault(
        "a share of the parallelism is held until all of a list has gone on",
        "_engine/stage.py",
        """\
        else:
            return await self.settle(slot, result)
        await self.give_up""",
        """\
        else:
            await pacing.begin()
            try:
                return await self.settle(slot, result)
            finally:
                pacing.end()
        await self.give_up""",
        ("test_stage.py::test_a_list_that_waits_for_room_holds_no_share",),
    ),
    Fault(
        "the clock of a call runs on while it waits for room",
        "_engine/pacing.py",
        "            scope.deadline = math.inf\n",
        "            pass\n",
        ("test_calls.py::test_a_slow_consumer_never_times_a_generator_out",),
    ),
    Fault(
        "the source remembers every item",
        "_engine/source.py",
        "                slots.append(slot)\n",
        """\
                slots.append(slot)
                self.__dict__.setdefault("seen", []).append(10**9 + index)
""",
        ("test_memory.py::test_peak_memory_does_not_depend_on_the_item_count",),
    ),
    Fault(
        "a run keeps its results",
        "_engine/handoff.py",
        "        self.taken += len(values)\n",
        """\
        self.taken += len(values)
        self._run.__dict__.setdefault("kept", []).extend(values)
""",
        ("test_memory.py::test_delivered_items_are_let_go",),
    ),
    Fault(
        "a slot that has left still refers to its neighbour",
        "_engine/ordering.py",
        "        head.next = root\n",
        "",
        ("test_sequence.py::test_a_slot_that_left_refers_to_no_other",),
    ),
]
