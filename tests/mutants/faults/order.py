"""Faults in the order of results."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "results come in the order in which they finish",
        "_engine/wiring.py",
        "    chain = OrderedChain() if ordered else ArrivalChain()\n",
        "    chain = ArrivalChain()\n",
        ("test_stage.py::test_in_an_ordered_run_the_contiguous_prefix_leaves_at_once",),
    ),
    Fault(
        "an unfinished item gets into a batch",
        "_engine/ordering.py",
        "        while slot.done and len(taken) < limit:\n",
        "        while slot is not root and len(taken) < limit:\n",
        ("test_batches.py::test_filtered_items_leave_no_gap_in_a_batch",),
    ),
    Fault(
        "a head that a batch has let go on is not told",
        "_engine/ordering.py",
        "        if taken and self.watched:\n            self._tell(slot)\n",
        "",
        ("test_sequence.py::test_whoever_takes_all_tells_the_head_that_remains",),
    ),
    Fault(
        "an unfinished head may leave",
        "_engine/ordering.py",
        "            if not slot.done:\n                break\n",
        "            if slot is root:\n                break\n",
        (
            "test_sequence.py::test_whoever_takes_all_tells_the_head_that_remains",
            "test_stage.py::test_in_an_ordered_run_the_contiguous_prefix_leaves_at_once",
        ),
    ),
    Fault(
        "a filtered slot stays in its chain",
        "_engine/stage.py",
        "        self.chain.discard(slot)\n        self.run",
        "        self.run",
        ("test_stage.py::test_items_without_a_result_leave_no_gap",),
    ),
    Fault(
        "a slot that is used again is finished from the start",
        "_engine/source.py",
        "                    slot.done = False\n",
        "",
        ("test_streams.py::test_many_more_results_than_the_window_holds",),
    ),
    Fault(
        "a spare slot keeps the value that it had",
        "_engine/ordering.py",
        "            slot.value = None\n            spare.append(slot)\n",
        "            spare.append(slot)\n",
        ("test_sequence.py::test_spare_slots_keep_no_value",),
    ),
    Fault(
        "a spare slot keeps the value that it had when it came first",
        "_engine/sequence.py",
        "            slot.value = None\n",
        "            pass\n",
        ("test_sequence.py::test_spare_slots_keep_no_value",),
    ),
    Fault(
        "a head that what came first has let go on is not told",
        "_engine/ordering.py",
        """\
        if self.watched and root.next is not head:
            self._tell(root.next)
        return taken
""",
        "        return taken\n",
        ("test_sequence.py::test_whoever_takes_all_tells_the_head_that_remains",),
    ),
    Fault(
        "the end of a chain is not announced when its last slot is discarded",
        "_engine/sequence.py",
        "        elif was_head and (self.root.next.done or self.exhausted):\n",
        "        elif was_head and self.root.next.done:\n",
        ("test_sequence.py::test_exhaustion_is_announced_by_whatever_brings_it_about",),
    ),
    Fault(
        "children come after their place instead of before it",
        "_engine/stage.py",
        "        self.chain.insert_before(place, slot)\n",
        "        self.chain.insert_before(place.next, slot)\n",
        ("test_stage.py::test_children_take_the_place_of_their_item",),
    ),
    Fault(
        "in_order is ignored",
        "plan.py",
        " or self.has_lanes or (is_ordered and self.starts_in_order)\n",
        " or self.has_lanes\n",
        ("test_stage.py::test_in_order_calls_start_in_input_order",),
    ),
    Fault(
        "items are taken before there is a share of the parallelism for them",
        "_engine/single_stage.py",
        """\
            self._pausing += 1
            pacing = await call.begin()
            self._pausing -= 1
            # What is queued once the run has stopped is nothing to be called any more.
            if not self.queue or self.run.stopping:
                pacing.end()
                continue
            slot = self.queue.popleft()
            if self.queue and self.wakeable:
                self.summon()
""",
        """\
            slot = self.queue.pop()
            if self.queue and self.wakeable:
                self.summon()
            pacing = await call.begin()
""",
        ("test_stage.py::test_in_order_calls_start_in_input_order_also_under_a_cap",),
    ),
]
