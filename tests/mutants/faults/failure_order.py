"""Faults in winding a run down after a failure that is to be raised at its item's place."""

from __future__ import annotations

from ..fault import Fault

TESTS = "test_failure_order.py"
MODULE = "_engine/winding_down.py"

FAULTS = [
    Fault(
        "winding down: later calls go on",
        MODULE,
        "            self._scopes[slot].cancel()\n",
        "            pass\n",
        (f"{TESTS}::test_earlier_items_are_finished_and_later_ones_cancelled",),
    ),
    Fault(
        "winding down: the source goes on",
        MODULE,
        "        run.source.cut_off(self._sink)\n",
        "",
        (f"{TESTS}::test_nothing_more_is_pulled",),
        seeds=300,
    ),
    Fault(
        "winding down: an item that comes in spite of it goes on",
        "_engine/source.py",
        "        self.chain = sink\n        self.following = None\n",
        "",
        (f"{TESTS}::test_an_item_in_spite_of_the_cancellation_goes_nowhere",),
    ),
    Fault(
        "winding down: the places of items that come in spite of it are lost",
        MODULE,
        "        self._run.window.release(len(self._sink.take_slots()))\n",
        "        pass\n",
        (f"{TESTS}::test_an_item_in_spite_of_the_cancellation_goes_nowhere",),
    ),
    Fault(
        "winding down: the chains before go on",
        MODULE,
        "        for chain in chains[:-1]:\n",
        "        for chain in chains[:0]:\n",
        (f"{TESTS}::test_everything_in_chains_before_is_later",),
    ),
    Fault(
        "winding down: the chain stays open",
        MODULE,
        "        self._drop_from(position, slot)\n        self._run.cascade.close(chain)\n",
        "        self._drop_from(position, slot)\n",
        (f"{TESTS}::test_a_failing_batch",),
        seeds=300,
    ),
    Fault(
        "winding down: a later failure stays",
        MODULE,
        "        if position >= self._first_needed:\n",
        "        if position >= self._first_needed and self.failure is None:\n",
        (f"{TESTS}::test_an_earlier_failure_takes_the_place_of_a_later_one",),
        seeds=500,
    ),
    Fault(
        "winding down: every failure gets its note",
        MODULE,
        "        self._drop_from(position, slot)\n",
        "        add_note(error, origin)\n        self._drop_from(position, slot)\n",
        (f"{TESTS}::test_a_failure_that_is_forgotten_leaves_no_note",),
    ),
    Fault(
        "winding down: dropped items keep their places",
        MODULE,
        "        run.window.release(places)\n",
        "",
        (f"{TESTS}::test_dropped_items_give_their_places_back",),
    ),
    Fault(
        "winding down: dropped items that wait for room are not woken",
        MODULE,
        "            slot.parked.set()\n",
        "            pass\n",
        (f"{TESTS}::test_a_failing_child_ends_its_siblings_that_wait",),
    ),
    Fault(
        "winding down: dropped items stay in the queue",
        "_engine/single_stage.py",
        "        self.queue.extend(kept)\n",
        "        self.queue.extend([*kept, *queued])\n",
        (f"{TESTS}::test_items_in_the_queue_are_never_started",),
        seeds=500,
    ),
    Fault(
        "winding down: the queue is forgotten",
        "_engine/single_stage.py",
        "        self.queue.extend(kept)\n",
        "",
        (f"{TESTS}::test_items_in_the_queue_are_never_started",),
        seeds=500,
    ),
    Fault(
        "winding down: what is gathered for later batches is kept",
        "_engine/batch_stage.py",
        "        self.batcher.clear()\n        return set()\n",
        "        return set()\n",
        (f"{TESTS}::test_a_failing_batch",),
    ),
    Fault(
        "winding down: the result of a dropped call is passed on",
        MODULE,
        "        return DROPPED if slot.done else result\n",
        "        return result\n",
        (f"{TESTS}::test_a_result_in_spite_of_the_cancellation_goes_nowhere",),
    ),
    Fault(
        "winding down: a failure of a dropped call counts",
        MODULE,
        "            if not (slot.done and _is_ordinary(failed.error)):\n",
        "            if True:\n",
        (f"{TESTS}::test_cancellations_of_a_dropped_call_are_no_error",),
    ),
    Fault(
        "winding down: a group of cancellations ends the run",
        MODULE,
        "    if not isinstance(error, BaseExceptionGroup):\n",
        "    if True:\n",
        (f"{TESTS}::test_cancellations_of_a_dropped_call_are_no_error",),
    ),
    Fault(
        "winding down: a cancellation that leaks from a dropped call ends the run",
        MODULE,
        "            if not slot.done:\n                raise\n            examine(",
        "            raise\n            examine(",
        (f"{TESTS}::test_a_leaked_cancellation_of_a_dropped_call_is_no_error",),
    ),
    Fault(
        "winding down: what is behind the end of the program is delivered",
        MODULE,
        "    if isinstance(error, Exception):\n        return True\n",
        "    return True\n",
        (f"{TESTS}::test_what_is_behind_the_end_of_the_program_is_not_delivered",),
    ),
    Fault(
        "winding down: a dropped generator is asked for another value",
        "_engine/expansion.py",
        "                if self._slot.done:\n                    raise RunStopped",
        "                if False:\n                    raise RunStopped",
        (f"{TESTS}::test_a_generator_that_cannot_be_cancelled_is_closed",),
    ),
    Fault(
        "winding down: a dropped item is tried again",
        "_engine/expansion.py",
        "        if self._stage.run.stopping or self._slot.done:\n",
        "        if self._stage.run.stopping:\n",
        (f"{TESTS}::test_a_dropped_item_is_not_repeated",),
    ),
    Fault(
        "winding down: a dropped list takes its worker with it",
        "_engine/stage.py",
        "            except RunStopped:\n                if not slot.done:\n",
        "            except RunStopped:\n                if True:\n",
        (f"{TESTS}::test_whoever_passed_on_a_list_that_was_dropped_serves_others",),
    ),
    Fault(
        "winding down: what fails after the consumer has left is raised",
        MODULE,
        "        if self._run.stopping:\n            return None",
        "        if self._run.stopping:\n            return self._run.fail(error, origin)",
        (f"{TESTS}::test_a_failure_of_a_call_that_is_cancelled_comes_to_nobody",),
    ),
    Fault(
        "winding down: a source that cannot be closed does so in silence",
        MODULE,
        "        if self._run.stopping or not isinstance(error, Exception):\n",
        "        if not isinstance(error, Exception):\n",
        (f"{TESTS}::test_a_source_that_cannot_be_closed_fails_whoever_closes_it",),
    ),
    Fault(
        "winding down: a failing source goes before the items that it gave",
        MODULE,
        "        if self.failure is None and not self._first_needed:\n",
        "        if not self._first_needed:\n",
        (f"{TESTS}::test_a_failing_cleanup_of_the_source",),
    ),
    Fault(
        "winding down: a failing source does not end its chain",
        MODULE,
        "            self.failure, self._origin = error, origin\n        self._run.cascade.close(",
        "            self.failure, self._origin = error, origin\n        (",
        (f"{TESTS}::test_a_failing_source_comes_after_all_that_it_gave",),
        seeds=300,
    ),
    Fault(
        "winding down: the failure is forgotten at the end",
        "_engine/run.py",
        "                self.failure = self.winding_down.outcome()\n",
        "                pass\n",
        (f"{TESTS}::test_earlier_items_are_finished_and_later_ones_cancelled",),
        seeds=300,
    ),
    Fault(
        "winding down: a process that has enough fails for what it did not ask for",
        MODULE,
        "        if self._position < self._first_needed:\n            self.failure = None\n",
        "",
        (f"{TESTS}::test_a_process_that_has_enough_never_comes_to_the_failure",),
    ),
    Fault(
        "winding down: what fails before a process that has enough counts",
        MODULE,
        "max(self._first_needed, self._position_of(chain))",
        "0",
        (f"{TESTS}::test_processes_that_have_enough_one_before_the_other",),
    ),
    Fault(
        "winding down: the last process that has enough is the one that counts",
        MODULE,
        "max(self._first_needed, self._position_of(chain))",
        "self._position_of(chain)",
        (f"{TESTS}::test_processes_that_have_enough_one_before_the_other",),
    ),
    Fault(
        "winding down: a process that met the end is taken for one that has enough",
        "_engine/process_stage.py",
        "        if winding_down is not None and not self._has_met_end:\n",
        "        if winding_down is not None:\n",
        (f"{TESTS}::test_a_process_that_asks_once_more_comes_to_the_failure",),
    ),
    Fault(
        "winding down: a failing side input ends the run at once",
        "_engine/stage.py",
        "self.run.winding_down is not None and isinstance(examined, Exception):",
        "False:",
        (f"{TESTS}::test_a_failing_side_input_has_the_place_of_the_first_who_needs_it",),
    ),
    Fault(
        "winding down: a failing weight ends the run at once",
        "_engine/grouped_stage.py",
        "                self.run.routing.end_run(self._intake, slot, error, origin)\n",
        "                self.run.fail(error, origin)\n",
        (f"{TESTS}::test_a_failing_weight_has_the_place_of_its_item",),
    ),
    Fault(
        "winding down: what came in one burst with a failing item keeps its places",
        "_engine/ordering.py",
        """\
        for slot in slots:
            slot.done = True
        if self.root.next is slots[0]:
            self.on_ready()
""",
        """\
        for slot in slots:
            self.finish(slot)
""",
        (f"{TESTS}::test_a_failing_weight_has_the_place_of_its_item",),
    ),
    Fault(
        "the places of a burst that fails are lost",
        "_engine/source.py",
        "                    if left:\n",
        "                    if left and not self.pulled:\n",
        (f"{TESTS}::test_places_of_a_burst_that_fails_are_given_back",),
    ),
    Fault(
        "failures in order are allowed where there is none",
        "context.py",
        '    if context.failure == "in_order" and context.execution_mode == "as_completed":\n',
        "    if False:\n",
        (f"{TESTS}::test_completion_order_is_refused",),
    ),
    Fault(
        "a run does not look at its context once more",
        "_engine/run.py",
        "        check_settings(context)\n",
        "",
        (f"{TESTS}::test_completion_order_is_refused_at_the_latest_by_the_run",),
    ),
]
