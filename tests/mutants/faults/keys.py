"""Faults in calling by key."""

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
        seeds=60,
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
        seeds=60,
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
        seeds=200,
    ),
    Fault(
        "a task with keys is no order point",
        "_engine/wiring.py",
        " or plan.has_lanes or (ordered and plan.starts_in_order):\n",
        " or (ordered and plan.starts_in_order):\n",
        ("test_keys.py::test_the_order_of_a_key_is_input_order_whatever_the_tasks_before_do",),
        seeds=200,
    ),
    Fault(
        "a worker is summoned for what waits in its lane",
        "_engine/lane_stage.py",
        "        if self.wakeable and self.queue:\n",
        "        if self.wakeable:\n",
        ("test_keys.py::test_waiting_for_a_key_takes_no_worker",),
        seeds=200,
    ),
    Fault(
        "a key function that fails is taken for a failure of whoever brought the item",
        "_engine/lane_stage.py",
        "BaseException as error:\n            self._fail(error, option, slot.index)\n",
        "ZeroDivisionError as error:\n            self._fail(error, option, slot.index)\n",
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
        "            if self._run.stopping:\n",
        "            if False:\n",
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
        seeds=300,
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
        "            lane.is_halted = True\n",
        "            pass\n",
        ("test_keys.py::test_a_halted_key_fails_its_later_items_without_calling_them",),
        seeds=300,
    ),
    Fault(
        "an item of a halted key keeps its share of the parallelism",
        "_engine/call.py",
        "        pacing.end()\n        progress = progress or Progress()\n",
        "        progress = progress or Progress()\n",
        ("test_keys.py::test_an_item_of_a_halted_key_takes_no_share_and_no_time",),
    ),
    Fault(
        "an item of a halted key counts as called",
        "statistics.py",
        "                    calls=stage.counters.taken - stage.counters.uncalled,\n",
        "                    calls=stage.counters.taken,\n",
        ("test_keys.py::test_a_halted_key_fails_its_later_items_without_calling_them",),
        seeds=300,
    ),
]
