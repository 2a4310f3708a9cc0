"""Faults in gathering batches."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "the timer goes on from the last batch",
        "_engine/batching.py",
        "        self._items.clear()\n        self._arrivals.clear()\n",
        "        self._items.clear()\n",
        ("test_batching.py::test_after_an_aged_batch_the_clock_starts_anew",),
    ),
    Fault(
        "the timer starts with the last item",
        "_engine/batching.py",
        "        return self._arrivals[0] + self.max_wait\n",
        "        return self._arrivals[-1] + self.max_wait\n",
        ("test_batches.py::test_the_timer_starts_with_the_first_item",),
    ),
    Fault(
        "what a full batch leaves behind takes over its age",
        "_engine/batching.py",
        """\
            if self._arrivals:
                for _ in range(size):
                    self._arrivals.popleft()
""",
        "",
        ("test_batching.py::test_leftovers_keep_their_own_arrival_time",),
    ),
    Fault(
        "with a wait of zero nobody is told that a batch may leave",
        "_engine/batching.py",
        "        self._waits = max_wait != 0\n",
        "        self._waits = True\n",
        ("test_batches.py::test_with_a_wait_of_zero_nothing_is_held_back",),
    ),
    Fault(
        "nobody watches the clock",
        "_engine/batch_stage.py",
        "            await self.park(deadline)\n",
        "            await self.park()\n",
        ("test_batches.py::test_the_timer_starts_with_the_first_item",),
    ),
    Fault(
        "an empty batch is sent at the end",
        "_engine/batching.py",
        "        if size < self.min_size:\n            return None\n",
        "        if size < self.min_size and not self.closed:\n            return None\n",
        ("test_batching.py::test_at_the_end_a_remainder_leaves_or_is_dropped",),
    ),
    Fault(
        "a remainder is dropped in silence",
        "_engine/batch_stage.py",
        "            logger.warning(\n",
        "            logger.debug(\n",
        ("test_batches.py::test_a_remainder_below_min_size_is_dropped_with_one_warning",),
    ),
    Fault(
        "a remainder is not counted",
        "_engine/batch_stage.py",
        "            self.counters.dropped += len(dropped)\n",
        "",
        ("test_batches.py::test_a_remainder_below_min_size_is_dropped_with_one_warning",),
    ),
    Fault(
        "an item that does not fit any more goes with the others",
        "_engine/grouping.py",
        "        if batch is not None and batch.weight + weight > self.max_weight:\n",
        "        if False:\n",
        (
            "test_grouping.py::test_a_batch_leaves_before_it_weighs_too_much",
            "test_grouped_batches.py::test_batches_are_bounded_in_weight",
        ),
        simulated=True,
    ),
    Fault(
        "a batch that weighs as much as it may waits for more",
        "_engine/grouping.py",
        "        elif batch.weight >= self.max_weight:\n",
        "        elif batch.weight > self.max_weight:\n",
        ("test_grouping.py::test_a_batch_leaves_before_it_weighs_too_much",),
    ),
    Fault(
        "batches stay small however large the overhead is",
        "_engine/sizing.py",
        "            self.size = max(self.size, min(ceil(suggested), self.most))\n",
        "            self.size = max(self.size, min(floor(suggested), self.most))\n",
        ("test_sizing.py::test_the_size_comes_to_what_takes_the_target",),
    ),
    Fault(
        "a fast batch that was not full makes batches smaller",
        "_engine/sizing.py",
        "            self.size = max(self.size, min(ceil(suggested), self.most))\n",
        "            self.size = min(ceil(suggested), self.most)\n",
        (
            "test_sizing.py::test_a_measurement_moves_the_size",
            "test_sized_batches.py::test_with_max_wait_fewer_items_leave_by_their_age",
        ),
    ),
    Fault(
        "batches grow as large as they like",
        "_engine/sized_stage.py",
        "        most = min(options.batch_size, 1 + window.extra, window.size // self.limit)\n",
        "        most = options.batch_size\n",
        (
            "test_sized_batches.py::test_batches_grow_no_larger_than_the_window_allows",
            "test_sized_batches.py::test_several_of_them_share_a_small_window",
        ),
        simulated=True,
    ),
    Fault(
        "what has become a full batch waits for whoever found it out",
        "_engine/sized_stage.py",
        "        self._summon_if_due()\n",
        "",
        ("test_sized_batches.py::test_what_has_become_a_full_batch_is_taken_at_once",),
    ),
    Fault(
        "a call that timed out is not measured",
        "_engine/sizing.py",
        "        if failed and not is_slow:\n",
        "        if failed:\n",
        (
            "test_sizing.py::test_a_failed_call_shows_only_that_it_was_slow",
            "test_sized_batches.py::test_a_call_that_times_out_makes_batches_smaller",
        ),
    ),
    Fault(
        "open batches may take all places",
        "_engine/grouping.py",
        "        elif self._resting >= self.room:\n",
        "        elif False:\n",
        ("test_grouped_batches.py::test_more_keys_than_places_do_not_stop_the_run",),
        simulated=True,
    ),
    Fault(
        "each of several tasks with keys takes the places of all",
        "_engine/wiring.py",
        "    extra = (wanted - 1 - resting) // (2 * elastic) if elastic else 0\n",
        "    extra = wanted - 1 - resting if elastic else 0\n",
        (
            "test_grouped_batches.py::test_half_of_the_window_is_for_open_batches",
            "test_grouped_batches.py::test_keyed_batches_in_a_row_share_the_smallest_window",
        ),
    ),
    Fault(
        "the source waits for room that rests in open batches",
        "_engine/wiring.py",
        "    return Window(wanted, resting + elastic * extra, extra)\n",
        "    return Window(wanted, resting, extra)\n",
        ("test_grouped_batches.py::test_the_source_is_read_on_although_open_batches_rest",),
    ),
    Fault(
        "a small batch that is due is left behind by those that are full",
        "_engine/grouping.py",
        "            if due <= now and not (self._sealed and self._sealed[0][1] <= due):\n",
        "            if due <= now and not self._sealed:\n",
        (
            "test_grouping.py::test_a_key_with_few_items_is_not_left_behind",
            "test_grouped_batches.py::test_under_load_a_due_batch_is_not_left_behind",
        ),
    ),
    Fault(
        "a weight that is no number is believed",
        "_engine/grouped_stage.py",
        "        if not weight >= 0:\n",
        "        if weight < 0:\n",
        ("test_grouped_batches.py::test_a_weight_that_makes_no_sense_fails_the_run",),
    ),
    Fault(
        "a weight function that fails is taken for a failure of whoever brought the item",
        "_engine/grouped_stage.py",
        "            except BaseException as error:\n",
        "            except ZeroDivisionError as error:\n",
        ("test_grouped_batches.py::test_a_weight_function_that_fails_ends_the_run",),
    ),
    Fault(
        "why a batch left is not counted",
        "_engine/batch_stage.py",
        "        self.counters.triggers[batch.trigger] += 1\n",
        "        self.counters.triggers['size'] += 1\n",
        ("test_batches.py::test_the_reasons_why_batches_left_are_counted",),
        simulated=True,
    ),
    Fault(
        "the statistics of the past show the batches that left since",
        "_engine/snapshot.py",
        "        triggers=dict(counters.triggers),\n",
        "        triggers=counters.triggers,\n",
        ("test_batches.py::test_the_counted_reasons_are_a_snapshot_and_single_tasks_have_none",),
    ),
    Fault(
        "the poison is not isolated",
        "_engine/batch_stage.py",
        "            elif failed.decision is SKIP and",
        "            elif False and",
        ("test_batches.py::test_skip_item_drops_only_items_that_fail_by_themselves",),
    ),
]
