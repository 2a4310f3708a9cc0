"""Faults in calling by key, by priority, and only what is not known."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "calls of a key overlap",
        "_engine/lanes.py",
        "        if not lane.is_busy:\n",
        "        if True:\n",
        (
            "test_lanes.py::test_of_a_key_one_item_is_ready_at_a_time",
            "test_keys.py::test_calls_of_a_key_follow_one_another_and_keys_overlap",
        ),
        simulated=True,
    ),
    Fault(
        "a key that is idle is not forgotten",
        "_engine/lanes.py",
        "        if not lane.is_halted:\n",
        "        if False:\n",
        (
            "test_lanes.py::test_an_idle_key_is_forgotten",
            "test_keys.py::test_keys_are_forgotten_when_idle",
        ),
    ),
    Fault(
        "what becomes ready goes behind all that came meanwhile",
        "_engine/lanes.py",
        "            heappush(self._ready, lane.waiting.popleft())\n",
        "            heappush(self._ready, self._ranked(lane.waiting.popleft()[2], 0))\n",
        ("test_lanes.py::test_what_becomes_ready_goes_before_what_came_later",),
    ),
    Fault(
        "a key is released before its generator has ended",
        "_engine/lane_stage.py",
        "            await super().serve(call, slot, pacing)\n        finally:\n"
        "            self._line.finish(lane, index)\n",
        "            self._line.finish(lane, index)\n"
        "            await super().serve(call, slot, pacing)\n        finally:\n"
        "            pass\n",
        ("test_keys.py::test_a_key_is_held_until_the_end_of_a_generator",),
        simulated=True,
    ),
    Fault(
        "a call that fails keeps its key",
        "_engine/lane_stage.py",
        "            await super().serve(call, slot, pacing)\n        finally:\n"
        "            self._line.finish(lane, index)\n",
        "            await super().serve(call, slot, pacing)\n        finally:\n"
        "            if call.options.on_error == 'fail' or not slot.value:\n"
        "                self._line.finish(lane, index)\n",
        ("test_keys.py::test_an_item_that_fails_or_is_filtered_releases_its_key",),
        simulated=True,
    ),
    Fault(
        "a task with keys is no order point",
        "plan.py",
        " or self.has_lanes or (is_ordered and self.starts_in_order)\n",
        " or (is_ordered and self.starts_in_order)\n",
        ("test_keys.py::test_the_order_of_a_key_is_input_order_whatever_the_tasks_before_do",),
        simulated=True,
    ),
    Fault(
        "a worker is summoned for what waits in its lane",
        "_engine/queued_stage.py",
        "            return  # what has come waits for its key, or has failed as it came\n",
        "            pass\n",
        ("test_keys.py::test_what_waits_for_a_key_leaves_the_next_worker_to_others",),
    ),
    Fault(
        "what has failed as it came keeps workers from what comes later",
        "_engine/queued_stage.py",
        "            return  # what has come waits for its key, or has failed as it came\n",
        "            pass\n",
        ("test_priority.py::test_failing_in_order_calls_what_comes_before_the_failure",),
    ),
    Fault(
        "a key function that fails is taken for a failure of whoever brought the item",
        "_engine/lane_stage.py",
        "BaseException as error:\n            return self._examined(error, option",
        "ZeroDivisionError as error:\n            return self._examined(error, option",
        ("test_keys.py::test_a_key_function_that_fails_ends_the_run",),
    ),
    Fault(
        "what comes first is called first, however urgent the others are",
        "_engine/lanes.py",
        "        return number + PATIENCE * priority, number, item\n",
        "        return number, number, item\n",
        (
            "test_lanes.py::test_the_most_urgent_item_leaves_first",
            "test_priority.py::test_the_most_urgent_item_is_called_first",
        ),
    ),
    Fault(
        "items that are not urgent may wait for ever",
        "_engine/lanes.py",
        "        return number + PATIENCE * priority, number, item\n",
        "        return priority, number, item\n",
        (
            "test_lanes.py::test_an_item_lets_a_bounded_number_of_later_ones_go_ahead",
            "test_priority.py::test_an_item_waits_for_a_bounded_number_of_more_urgent_ones",
        ),
    ),
    Fault(
        "a priority that is no number is believed",
        "_engine/lane_stage.py",
        "        if not 0 <= priority < math.inf:\n",
        "        if priority < 0:\n",
        ("test_priority.py::test_a_priority_that_makes_no_sense_fails_the_run",),
    ),
    Fault(
        "after a failure the priority function is asked about the other children",
        "_engine/lane_stage.py",
        "                self._stranded = [slot, *remaining]\n                return self._run",
        "                self._stranded = [slot]\n                self._run",
        ("test_priority.py::test_of_several_children_none_is_asked_about_after_a_failure",),
    ),
    Fault(
        "the head that is let through stays in the queue of the urgent",
        "_engine/lanes.py",
        "        self._ready = [each for each in self._ready if each[2] is not item]\n",
        "        self._ready = [*self._ready]\n",
        (
            "test_lanes.py::test_an_item_that_is_ready_can_be_taken_out_of_its_turn",
            "test_priority.py::test_the_head_is_served_though_it_is_the_least_urgent",
        ),
    ),
    Fault(
        "the key function sees what an item's call has set",
        "_engine/run.py",
        "        return self._variables.copy().run(function, *args)\n",
        "        return function(*args)\n",
        ("test_keys.py::test_the_key_function_runs_in_the_context_of_the_run",),
    ),
    Fault(
        "a failed key goes on in silence",
        "_engine/lane_stage.py",
        "            lane.is_halted = self._halts  #",
        "            pass  #",
        ("test_keys.py::test_a_halted_key_fails_its_later_items_without_calling_them",),
    ),
    Fault(
        "an item of a halted key keeps its share of the parallelism",
        "_engine/verdict.py",
        "        pacing.end()\n        failed = ItemFailed(error, 0 if",
        "        failed = ItemFailed(error, 0 if",
        ("test_keys.py::test_an_item_of_a_halted_key_takes_no_share_and_no_time",),
    ),
    Fault(
        "an item of a halted key counts as called",
        "_engine/snapshot.py",
        "        calls=counters.taken - counters.uncalled,\n",
        "        calls=counters.taken,\n",
        ("test_keys.py::test_a_halted_key_fails_its_later_items_without_calling_them",),
        simulated=True,
    ),
    Fault(
        "nothing is ever found in a cache",
        "_engine/caching.py",
        "        if known is not MISSING:\n",
        "        if False:\n",
        ("test_cache.py::test_equal_items_in_flight_make_one_call",),
        simulated=True,
    ),
    Fault(
        "a known None is taken for a miss",
        "_engine/caching.py",
        "        if known is not MISSING:\n",
        "        if known is not MISSING and known is not None:\n",
        ("test_cache.py::test_none_is_a_result_like_any_other",),
    ),
    Fault(
        "an empty mapping is no cache",
        "_engine/wiring.py",
        "    if plan.options.cache is not None:\n",
        "    if plan.options.cache:\n",
        ("test_cache.py::test_an_empty_mapping_is_a_store",),
    ),
    Fault(
        "a hit keeps its share of the parallelism",
        "_engine/caching.py",
        "            pacing.end()\n            self._count(hits=1)\n",
        "            self._count(hits=1)\n",
        ("test_cache.py::test_a_hit_gives_its_share_back",),
        simulated=True,
    ),
    Fault(
        "what takes the place of a result is stored",
        "_engine/caching.py",
        "        if progress.error is not None:\n",
        "        if False:\n",
        (
            "test_cache.py::test_a_failure_is_not_stored",
            "test_cache.py::test_what_takes_the_place_of_a_result_is_not_stored",
        ),
    ),
    Fault(
        "what a retry brought is not stored",
        "_engine/caching.py",
        "            progress.error = None  # by which",
        "            pass  # by which",
        ("test_cache.py::test_what_takes_the_place_of_a_result_is_not_stored",),
    ),
    Fault(
        "a list is stored as it is",
        "_engine/caching.py",
        "            await self._set(key, _apart(result))\n",
        "            await self._set(key, result)\n",
        ("test_cache.py::test_lists_are_stored_as_copies",),
    ),
    Fault(
        "a stored list is given away as it is",
        "_engine/caching.py",
        "            return _apart(known)\n",
        "            return known\n",
        (
            "test_cache.py::test_lists_are_stored_as_copies",
            "test_cache.py::test_a_call_by_itself_gets_copies_of_lists_and_knows_none",
        ),
    ),
    Fault(
        "an item whose store failed counts as called",
        "_engine/caching.py",
        "            self._count()\n",
        "            pass\n",
        ("test_cache.py::test_on_error_decides_about_an_error_of_the_store",),
    ),
    Fault(
        "the end of the program is taken for an error of the store",
        "_engine/caching.py",
        "        if not isinstance(error, Exception):\n",
        "        if False:\n",
        ("test_cache.py::test_what_ends_the_program_is_no_error_of_the_store",),
    ),
    Fault(
        "a generator is stored",
        "_engine/caching.py",
        "        if self._kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):\n",
        "        if False:\n",
        ("test_cache.py::test_a_generator_that_is_returned_ends_the_run",),
    ),
    Fault(
        "a call by itself knows no cache",
        "_engine/caching.py",
        "    return (Call if options.cache is None else CachedCall)(function, options)\n",
        "    return Call(function, options)\n",
        ("test_cache.py::test_a_call_by_itself_uses_the_cache",),
    ),
]
