"""Faults in waking whoever waits."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "who collects keeps room from the source until a straggler comes",
        "_engine/source.py",
        "self._run.chains[-1].hurry()",
        "False",
        ("test_window.py::test_who_collects_keeps_no_room_from_the_source_for_a_straggler",),
    ),
    Fault(
        "the source looks for room before who collects has made any",
        "_engine/source.py",
        """\
                for _ in range(2):
                    await self._run.host.checkpoint()
                room""",
        """\
                room""",
        ("test_window.py::test_who_collects_keeps_no_room_from_the_source_for_a_straggler",),
    ),
    Fault(
        "a source that finds no room wakes who collects for each item that is ready",
        "_engine/ordering.py",
        "if slot is head or slot is not self.awaited:",
        "if slot is head:",
        ("test_sequence.py::test_only_an_awaited_straggler_is_hurried_past",),
    ),
    Fault(
        "queueing an item wakes no worker",
        "_engine/queued_stage.py",
        """\
        self.queue.append(slot)
        if self.wakeable:
            self.summon()
""",
        """\
        self.queue.append(slot)
        if self.wakeable and not self.workers:
            self.summon()
""",
        ("test_stage.py::test_idle_workers_are_all_called_again",),
    ),
    Fault(
        "the source wakes no worker",
        "_engine/queued_stage.py",
        """\
        self.queue.extend(slots)
        if self.wakeable:
            self.summon()
""",
        """\
        self.queue.extend(slots)
        if self.wakeable and not self.workers:
            self.summon()
""",
        ("test_stage.py::test_functions_that_never_suspend_need_few_tasks",),
    ),
    Fault(
        "a worker that passes an item on wakes none of the next stage",
        "_engine/single_stage.py",
        """\
                            if following.wakeable:
                                following.summon()
""",
        """\
                            if following.wakeable and not following.workers:
                                following.summon()
""",
        ("test_stage.py::test_functions_that_never_suspend_need_few_tasks",),
    ),
    Fault(
        "a worker that takes an item wakes no other one",
        "_engine/single_stage.py",
        """\
                    if self.wakeable and queue:
                        self.summon()
""",
        "",
        ("test_stage.py::test_the_limit_is_reached_and_never_exceeded",),
    ),
    Fault(
        "a worker that is surrounded by options wakes no other one",
        "_engine/single_stage.py",
        """\
            slot = self.queue.popleft()
            if self.queue and self.wakeable:
                self.summon()
""",
        "            slot = self.queue.popleft()\n",
        ("test_stage.py::test_the_limit_is_reached_and_never_exceeded",),
    ),
    Fault(
        "a worker that retires leaves its queue to nobody",
        "_engine/queued_stage.py",
        """\
            self.relieve()
        if self.queue and self.wakeable:
            self.summon()
""",
        "            self.relieve()\n",
        ("test_stage.py::test_a_worker_that_retires_leaves_its_queue_to_another",),
    ),
    Fault(
        "of several parked workers all but the last are forgotten",
        "_engine/workers.py",
        "        self._idle.append(event)\n",
        "        self._idle[:] = [event]\n",
        ("test_stage.py::test_idle_workers_are_all_called_again",),
    ),
    Fault(
        "room wakes nobody",
        "_engine/window.py",
        """\
        if self.wanted and self.held <= self.resume_at:
            self.wake()
""",
        "",
        ("test_window.py::test_the_smallest_window_that_is_allowed_suffices",),
    ),
    Fault(
        "room for several wakes one",
        "_engine/window.py",
        """\
        if self.room_for_all > 0:
            self.wake()
""",
        "        pass\n",
        ("test_window.py::test_room_for_several_wakes_several",),
    ),
    Fault(
        "the consumer is not woken",
        "_engine/handoff.py",
        "            self._event.set()\n",
        "            pass\n",
        ("test_streams.py::test_every_way_runs_concurrently",),
    ),
    Fault(
        "the event that the consumer waits on is replaced instead of set",
        "_engine/handoff.py",
        "            self._event.set()\n",
        "            self._event = Event()\n",
        ("test_streams.py::test_every_way_runs_concurrently",),
    ),
    Fault(
        "new items wake no worker of a batch stage",
        "_engine/batch_stage.py",
        """\
            self._end_intake()
        if self.wakeable:
            self._summon_if_due()
""",
        "            self._end_intake()\n",
        ("test_batches.py::test_batches_are_as_full_as_they_can_be",),
    ),
    Fault(
        "a worker of a batch stage that takes a batch wakes no other one",
        "_engine/batch_stage.py",
        """\
            del batch
            self._summon_if_due()
""",
        "            del batch\n",
        ("test_stage.py::test_the_limit_of_a_batch_task_counts_batches",),
    ),
    Fault(
        "a waiting process is not told of new items",
        "_engine/process_stage.py",
        "            self._waiting_for_item.set()\n",
        "            pass\n",
        ("test_process.py::test_a_process_gets_through_every_window",),
    ),
    Fault(
        "nobody tells a parked generator that it is the head",
        "_engine/wiring.py",
        "    if head.parked is not None:\n        head.parked.set()\n    for",
        "    for",
        ("test_window.py::test_the_head_goes_on_though_later_items_fill_the_window",),
    ),
    Fault(
        "nobody tells a parked generator that the line before it has gone",
        "_engine/wiring.py",
        "            if head.parked is not None:\n"
        "                head.parked.set()\n"
        "            return\n",
        "            return\n",
        ("test_window.py::test_a_generator_before_an_order_point_gets_through",),
    ),
    Fault(
        "a generator before an order point goes on whatever the window says",
        "_engine/room.py",
        "is slot and all(stage.is_idle for stage in self._following())\n",
        "is slot\n",
        ("test_window.py::test_a_generator_before_an_order_point_keeps_to_the_window",),
    ),
    Fault(
        "a full batch is taken for one that waits for more",
        "_engine/batch_stage.py",
        "        return super().is_idle and not self.batcher.full\n",
        "        return super().is_idle\n",
        ("test_window.py::test_a_generator_before_an_order_point_keeps_to_the_window",),
    ),
    Fault(
        "the head of the line waits for the window",
        "_engine/room.py",
        "self.room_for(slot, rank) > 0 or (\n            self.chain.head is slot",
        "self.room_for(slot, rank) > 0 or (\n            self.chain.head is None",
        ("test_window.py::test_the_head_goes_on_though_later_items_fill_the_window",),
    ),
    Fault(
        "room goes to whoever has waited longest",
        "_engine/window.py",
        "insort(self._expansions, (rank, next(self._numbers), event))",
        "self._expansions.append((rank, next(self._numbers), event))",
        ("test_window.py::test_room_goes_to_the_item_that_came_first",),
    ),
    Fault(
        "who comes later takes the room that others wait for",
        "_engine/window.py",
        "        if waiting and waiting[0][0] < rank:\n",
        "        if False:\n",
        (
            "test_window.py::test_nobody_takes_the_room_that_others_wait_for",
            "test_window.py::test_items_that_become_many_do_not_wait_for_each_of_them",
        ),
    ),
    Fault(
        "a head that is queued behind parked workers is not rescued",
        "_engine/queued_stage.py",
        "            self._refresh()\n            self._rescue()\n",
        "            self._refresh()\n",
        (
            "test_window.py::test_the_head_is_served_though_it_was_queued_before_the_workers_waited",
            "test_window.py::test_jammed_stages_in_a_row_get_through",
        ),
    ),
    Fault(
        "the first item competes with others for the event loop",
        "_engine/source.py",
        "        self._turns = stage_count + 2\n",
        "        self._turns = 1\n",
        ("test_streams.py::test_the_first_item_has_the_loop_to_itself",),
    ),
    Fault(
        "workers are started one by one",
        "_engine/workers.py",
        "max(1, self.workers - 1)",
        "1",
        ("test_stage.py::test_many_workers_are_started_soon",),
    ),
    Fault(
        "slow synchronous data are read in bursts as long as others",
        "_engine/source.py",
        "                    self._burst = max(1, places // 2)\n",
        "                    pass\n",
        ("test_hazards.py::test_a_source_that_takes_its_time_lets_others_run",),
    ),
    Fault(
        "a worker waits for items that cannot come",
        "_engine/queued_stage.py",
        "        if not self._over and self.chain.closed:\n",
        "        if not self._over and not self.preceding and self.chain.closed:\n",
        ("test_stage.py::test_workers_end_once_nothing_more_can_come",),
    ),
    Fault(
        "a worker that is surrounded by options waits for items that cannot come",
        "_engine/single_stage.py",
        """\
                if self.is_over:
                    return self.retire()
                await self.park()
                continue
""",
        """\
                await self.park()
                continue
""",
        ("test_stage.py::test_workers_end_once_nothing_more_can_come",),
    ),
    Fault(
        "a worker that never suspends never lets others run",
        "_engine/single_stage.py",
        """\
                if queue:
                    self._pausing += 1
                    await checkpoint()
                    self._pausing -= 1
""",
        """\
                if queue:
                    pass
""",
        ("test_hazards.py::test_a_worker_that_never_suspends_lets_others_run",),
    ),
    Fault(
        "who waits beside a rescued call is forgotten instead of woken",
        "_engine/room.py",
        "        for event in self._turns:\n            event.set()\n",
        "",
        (
            "test_window.py::test_who_waits_beside_a_rescued_call_goes_on_as_soon_as_it_ends",
            "test_window.py::test_who_waits_beside_a_rescued_call_sees_that_the_run_ends",
        ),
    ),
    Fault(
        "who waits beside a rescued call is not told that the run ends",
        "_engine/room.py",
        """\
        super().stop()
        self.relieve()
""",
        "        super().stop()\n",
        ("test_window.py::test_who_waits_beside_a_rescued_call_sees_that_the_run_ends",),
    ),
    Fault(
        "who collects is woken in each turn of the loop",
        "_engine/handoff.py",
        "self._wait(self._window.lacking if taken else 0)",
        "self._wait()",
        ("test_streams.py::test_who_collects_is_woken_for_several_results_at_once",),
    ),
    Fault(
        "who collects goes on waiting for several behind a late one",
        "_engine/handoff.py",
        "self._wait(self._window.lacking if taken else 0)",
        "self._wait(self._window.lacking)",
        ("test_streams.py::test_a_slow_head_is_waited_for_and_nothing_else",),
    ),
    Fault(
        "who collects keeps results from those who watch",
        "_engine/observation.py",
        "        if self._is_seen:\n            self._watch_chains()\n",
        "",
        ("test_streams.py::test_results_are_taken_one_by_one_while_somebody_watches",),
    ),
    Fault(
        "who collects keeps results from timings",
        "_engine/observation.py",
        "bool(run.context.observers) or run.context.timings",
        "bool(run.context.observers)",
        ("test_streams.py::test_results_are_taken_one_by_one_while_somebody_watches",),
    ),
    Fault(
        "who collects keeps results from who asks for the figures",
        "_engine/observation.py",
        "                self._watch_chains()\n            else:\n",
        "                pass\n            else:\n",
        ("test_streams.py::test_who_asks_for_the_figures_sees_each_result_from_then_on",),
    ),
    Fault(
        "who collects keeps results from threads that ask for the figures",
        "_engine/observation.py",
        "                host.call_soon(self._watch_chains)\n",
        "                pass\n",
        ("test_streams.py::test_who_asks_for_the_figures_sees_each_result_from_then_on",),
    ),
    Fault(
        "who waits for several does not hear of expansions that want room",
        "_engine/sequence.py",
        """\
        self.watched += 1
        if self.awaited is not None:
            self._end_wait()
""",
        "        self.watched += 1\n",
        ("test_sequence.py::test_a_watched_chain_awaits_nothing_behind_its_head",),
    ),
    Fault(
        "who waits for several does so although expansions want room",
        "_engine/ordering.py",
        "        if self.watched or count < 2:\n",
        "        if count < 2:\n",
        ("test_streams.py::test_expansions_get_their_turn_while_results_are_collected",),
    ),
    Fault(
        "a batch is late when one of its items becomes several",
        "_engine/sequence.py",
        """\
        if self.awaited is not None:
            self.watch()  # for good: there are more before it, and there may be more yet
""",
        "",
        (
            "test_batches.py::test_a_batch_is_full_when_enough_items_are_there_whatever_they_stem_from",
        ),
    ),
    Fault(
        "a batch is late when one of its items becomes a list",
        "_engine/sequence.py",
        """\
        place.previous = before
        if self.awaited is not None:
            self.watch()
""",
        "        place.previous = before\n",
        (
            "test_batches.py::test_a_batch_is_full_when_enough_items_are_there_whatever_they_stem_from",
        ),
    ),
    Fault(
        "a batch stage is called for each item that is ready",
        "_engine/batch_stage.py",
        "            intake.expect(self._wanting())\n",
        "",
        ("test_batches.py::test_items_are_taken_in_for_a_whole_batch_at_once",),
    ),
    Fault(
        "a batch stage waits for a whole batch although some will do",
        "_engine/batching.py",
        "        if self.timed or not self._waits:\n            return 1\n",
        "",
        ("test_batches.py::test_a_batch_that_may_be_smaller_takes_what_is_ready",),
    ),
    Fault(
        "a batch stage waits for a size that has become smaller",
        "_engine/sized_stage.py",
        'by the time when it is complete."""\n        return 1\n',
        'by the time when it is complete."""\n        return super()._wanting()\n',
        ("test_sized_batches.py::test_a_batch_leaves_when_its_size_becomes_that_of_what_is_there",),
    ),
    Fault(
        "a slot that is waited for leaves without a word",
        "_engine/sequence.py",
        "        if slot is self.awaited:\n            self._end_wait()\n        elif was_head",
        "        if was_head",
        ("test_sequence.py::test_who_waits_for_a_slot_is_told_however_it_leaves",),
    ),
    Fault(
        "a slot that is waited for is dropped without a word",
        "_engine/sequence.py",
        "        if self.awaited in cut:\n            self._end_wait()\n",
        "",
        ("test_sequence.py::test_who_waits_for_a_slot_is_told_however_it_leaves",),
    ),
    Fault(
        "a slot that is waited for finishes among others without a word",
        "_engine/ordering.py",
        "        elif self.awaited.done:\n            self._end_wait()\n",
        "",
        ("test_sequence.py::test_who_waits_for_a_slot_is_told_however_it_leaves",),
    ),
    Fault(
        "what is ready already is waited for",
        "_engine/ordering.py",
        "            if not slot.done:\n                self.awaited = slot\n",
        "            self.awaited = slot\n",
        ("test_sequence.py::test_what_is_ready_already_is_not_waited_for",),
    ),
    Fault(
        "who expects more than there are waits for the end of the chain",
        "_engine/ordering.py",
        "            if slot is root:\n                break\n            if not slot.done:\n",
        "            if not slot.done:\n",
        ("test_sequence.py::test_who_expects_more_than_there_are_is_told_with_the_last",),
    ),
    Fault(
        "what was waited for once is waited for again",
        "_engine/handoff.py",
        "            self._chain.awaited = None\n",
        "",
        (
            "test_streams.py::test_who_takes_over_from_a_cancelled_collect_gets_each_result_at_its_time",
        ),
    ),
    Fault(
        "workers have no name",
        "_engine/workers.py",
        "start_soon(self.worker, name=self.name)",
        "start_soon(self.worker)",
        ("test_stage.py::test_workers_have_the_name_of_their_task",),
    ),
]
