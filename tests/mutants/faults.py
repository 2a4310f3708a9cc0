"""
The list of faults.

Each is a mistake that has been made in libraries of this kind, or that a change of this one could
bring. Whoever changes the code that a fault is about adapts the fault; ``tests/test_mutants.py``
fails until it fits again. Whoever finds a bug that no test saw adds it here, with the test.
"""

from __future__ import annotations

from .fault import Fault

DRAINING = [
    Fault(
        "a drain leaves a source where it blocks",
        "_engine/source.py",
        "            self._scope.cancel()\n",
        "            pass\n",
        ("test_drain.py::test_a_blocked_source_is_cancelled",),
        seeds=100,
    ),
    Fault(
        "a drain leaves a source waiting for room",
        "_engine/source.py",
        "        self._run.window.wake_source()\n",
        "        pass\n",
        ("test_drain.py::test_a_waiting_source_is_closed_uncancelled",),
    ),
    Fault(
        "a drain cancels the cleanup of a source that waits",
        "_engine/source.py",
        "        with CancelScope() as self._scope, CancelScope() as scope:\n",
        "        with CancelScope() as scope:\n            self._scope = scope\n",
        (
            "test_drain.py::test_a_waiting_source_is_closed_uncancelled",
            "test_drain.py::test_an_item_that_comes_all_the_same_is_the_last",
        ),
    ),
    Fault(
        "a drain cancels what is in flight",
        "_engine/draining.py",
        "        run.source.drain()\n",
        "        run.stop()\n",
        ("test_drain.py::test_what_is_in_flight_comes_out",),
        seeds=100,
    ),
    Fault(
        "a drained run goes on pulling",
        "_engine/draining.py",
        "        run.source.drain()\n",
        "        pass\n",
        ("test_drain.py::test_what_is_in_flight_comes_out",),
    ),
    Fault(
        "an earlier timeout of a later drain is ignored",
        "_engine/draining.py",
        "        if timeout is not None and current_time() + timeout < self._deadline:\n",
        "        if timeout is not None and self._deadline == inf:\n",
        ("test_drain.py::test_the_earliest_timeout_holds",),
    ),
    Fault(
        "the timeout of a drain takes away what is ready",
        "_engine/draining.py",
        "        if not self._run.handoff.is_settled:\n",
        "        if True:\n",
        ("test_drain.py::test_a_slow_consumer_loses_nothing",),
    ),
    Fault(
        "a drain before the start is forgotten",
        "stream.py",
        "        self._is_drained = True\n",
        "        self._is_drained = False\n",
        ("test_drain.py::test_a_stream_that_is_drained_before_it_starts_is_empty",),
    ),
]

THREADS = [
    Fault(
        "items wait for one that blocks their thread",
        "_engine/pulling.py",
        "            if self._is_awaited:\n                self._is_awaited = False\n",
        "            if False:\n                self._is_awaited = False\n",
        ("test_from_thread.py::test_items_before_one_that_blocks_are_not_held_up",),
    ),
    Fault(
        "a blocking iterator is closed without waiting for its thread",
        "_engine/pulling.py",
        "            await outlast(self._closed)\n",
        "            pass\n",
        ("test_from_thread.py::test_a_run_waits_for_a_blocked_thread_and_closes_the_iterator",),
    ),
    Fault(
        "a blocking iterator is closed in the thread of the event loop",
        "_engine/pulling.py",
        " and not isinstance(opened, Generator):\n                self._end()  # there is",
        ":\n                opened.close() if isinstance(opened, Generator) else None\n"
        "                self._end()  # there is",
        ("test_from_thread.py::test_a_generator_is_closed_in_a_thread",),
    ),
    Fault(
        "an abandoned thread is waited for",
        "_engine/pulling.py",
        "        if self._abandon_on_cancel and self._visit is not None:\n",
        "        if False:\n",
        ("test_from_thread.py::test_an_abandoned_thread_closes_the_iterator",),
    ),
    Fault(
        "a stop in the last moment of a visit is not seen",
        "_engine/pulling.py",
        "                goes_on = self.stopped and not self._ended",
        "                goes_on = False",
        ("test_from_thread.py::test_a_stop_in_the_last_moment_of_a_visit_is_seen",),
    ),
    Fault(
        "a visit that no thread has begun is waited for",
        "_engine/pulling.py",
        "            if self._visit is visit and not self._is_inside:\n",
        "            if False:\n",
        ("test_from_thread.py::test_a_natively_cancelled_visit_leaves_nobody_waiting",),
    ),
    Fault(
        "two threads visit an iterator at once",
        "_engine/pulling.py",
        "            if self._visit is not None or self._ended:\n                return\n"
        "            self._visit = visit = object()\n        assert",
        "            if self._ended:\n                return\n"
        "            self._visit = visit = object()\n        assert",
        (
            "test_from_thread.py::test_a_wait_that_is_cancelled_loses_nothing",
            "test_from_thread.py::test_a_run_waits_for_a_blocked_thread_and_closes_the_iterator",
        ),
    ),
    Fault(
        "the bursts of a slow iterator do not shrink",
        "_engine/pulling.py",
        " else max(1, self._burst // 2)\n",
        " else self._burst\n",
        ("test_from_thread.py::test_the_burst_after_a_slow_item_is_shorter",),
    ),
    Fault(
        "a thread pulls its whole burst however long that takes",
        "_engine/pulling.py",
        "        while left and is_brief and not self.stopped:\n",
        "        while left and not self.stopped:\n",
        ("test_from_thread.py::test_a_slow_iterator_is_asked_for_one_item_at_a_time",),
    ),
    Fault(
        "the read-ahead of a thread has no bound",
        "_engine/pulling.py",
        "min(2 * self._burst, self._most)",
        "2 * self._burst",
        ("test_from_thread.py::test_the_read_ahead_is_bounded",),
    ),
    Fault(
        "each visit has variables of its own",
        "_engine/pulling.py",
        "        if self._context is None:\n",
        "        if True:\n",
        ("test_from_thread.py::test_the_iterator_sees_the_callers_variables",),
    ),
    Fault(
        "a blocking iterator that raises StopAsyncIteration ends in silence",
        "_engine/pulling.py",
        "            if isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):\n",
        "            if isinstance(error, StopIteration):\n",
        ("test_from_thread.py::test_an_error_does_not_end_the_iteration_in_silence",),
    ),
    Fault(
        "a dropped blocking iterator stays open",
        "threads.py",
        "            self._pulling.abandon()\n",
        "            pass\n",
        ("test_from_thread.py::test_a_dropped_iteration_is_closed_in_a_thread",),
    ),
    Fault(
        "a blocking iterator is iterated twice",
        "threads.py",
        "            self._iterable = None\n        iteration",
        "            pass\n        iteration",
        ("test_from_thread.py::test_an_iterator_is_iterated_once",),
    ),
]

HANDING_OVER = [
    Fault(
        "an await between taking a result and handing it out",
        "_engine/handoff.py",
        """\
        value = self.ready.popleft()
        if not self.ready:
""",
        """\
        value = self.ready.popleft()
        await checkpoint()
        if not self.ready:
""",
        (
            "test_hazards.py::test_waits_that_are_cancelled_after_some_turns_lose_nothing",
            "test_hazards.py::test_waits_that_are_natively_cancelled_after_some_turns_lose_nothing",
        ),
    ),
    Fault(
        "the block's iterator waits after it has received",
        "results.py",
        "        result: T = await self._handoff.receive()\n",
        """\
        result: T = await self._handoff.receive()
        import anyio.lowlevel

        await anyio.lowlevel.checkpoint()
""",
        (
            "test_hazards.py::test_waits_that_are_cancelled_after_some_turns_lose_nothing",
            "test_hazards.py::test_waits_that_are_natively_cancelled_after_some_turns_lose_nothing",
        ),
    ),
    Fault(
        "the consumer never lets others run",
        "_engine/handoff.py",
        "        if self._taken >= self._pause_at:\n",
        "        if False:\n",
        ("test_hazards.py::test_a_consumer_that_never_suspends_lets_others_run",),
    ),
    Fault(
        "a second consumer is not refused",
        "_engine/handoff.py",
        "        if self._event is not None:\n            raise",
        "        if False:\n            raise",
        ("test_streams.py::test_two_consumers_at_once_are_refused",),
    ),
    Fault(
        "another event loop is not refused",
        "_engine/run.py",
        "        if not self.finished and not self.host.is_current():\n",
        "        if False:\n",
        ("test_streams.py::test_everything_else_is_refused_on_another_event_loop",),
    ),
    Fault(
        "the fast way to the next result looks at no thread",
        "results.py",
        "        if not ready or self._handoff.locate() != self._handoff.location:\n",
        "        if not ready:\n",
        ("test_hazards.py::test_a_result_that_is_ready_is_not_given_to_another_loop",),
    ),
    Fault(
        "a stream can be consumed again",
        "stream.py",
        """\
        if self._run is not None:
            raise StreamConsumedError(
""",
        """\
        if False:
            raise StreamConsumedError(
""",
        ("test_streams.py::test_a_run_is_used_once",),
    ),
    Fault(
        "a closed stream can be consumed",
        "stream.py",
        "        self._closed = True\n",
        "",
        ("test_streams.py::test_a_closed_stream_cannot_be_consumed",),
    ),
    Fault(
        "results that were ready are dropped when the run fails",
        "_engine/run.py",
        "        for chain in self._chains[:-1]:\n",
        "        for chain in self._chains:\n",
        (
            "test_errors.py::test_a_late_plain_consumer_gets_what_was_in_order_first",
            "test_errors.py::test_a_late_block_gets_what_was_in_order_first",
        ),
    ),
    Fault(
        "what cancels the consumer meets the tasks of a run that ends",
        "_engine/run.py",
        "            scope.shield = True\n",
        "",
        (
            "test_cancellation.py::test_cancelling_count_is_left_alone_by_a_run_that_ends",
            "test_cancellation.py::test_a_cancellation_during_the_join_of_a_block_is_counted",
            "test_cancellation.py::test_a_native_cancel_after_that_of_a_scope_is_not_swallowed",
        ),
    ),
    Fault(
        "results are still delivered after the end",
        "_engine/run.py",
        """\
        self._chains[-1].clear()
        self.handoff.drop()
""",
        "        pass\n",
        ("test_shutdown.py::test_nothing_is_delivered_after_the_end",),
    ),
    Fault(
        "results are still delivered after a wait for the end that was cancelled",
        "_engine/run.py",
        """\
        try:
            await self.join()
        finally:
            self.drop_results()
            self.raise_interrupt()
""",
        """\
        await self.join()
        self.drop_results()
""",
        ("test_hazards.py::test_aclose_that_is_natively_cancelled_waits_all_the_same",),
    ),
]

WAKING = [
    Fault(
        "queueing an item wakes no worker",
        "_engine/single_stage.py",
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
        "_engine/source.py",
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
        "_engine/single_stage.py",
        """\
        super().retire()
        if self.queue and self.wakeable:
            self.summon()
""",
        "        super().retire()\n",
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
        if self.held < self.size:
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
        "_engine/stage.py",
        "is slot and all(stage.is_idle for stage in self._following())\n",
        "is slot\n",
        ("test_window.py::test_a_generator_before_an_order_point_keeps_to_the_window",),
    ),
    Fault(
        "a full batch is taken for one that waits for more",
        "_engine/batch_stage.py",
        "        return super().is_idle and not self._batcher.full\n",
        "        return super().is_idle\n",
        ("test_window.py::test_a_generator_before_an_order_point_keeps_to_the_window",),
    ),
    Fault(
        "the head of the line waits for the window",
        "_engine/stage.py",
        "        return window.held < window.size or (\n            self.chain.head is slot",
        "        return window.held < window.size or (\n            self.chain.head is None",
        ("test_window.py::test_the_head_goes_on_though_later_items_fill_the_window",),
    ),
    Fault(
        "a head that is queued behind parked workers is not rescued",
        "_engine/single_stage.py",
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
        "a worker that never suspends never lets others run",
        "_engine/single_stage.py",
        """\
            await (checkpoint() if queue else self.park())
""",
        """\
            if not queue:
                await self.park()
""",
        ("test_hazards.py::test_a_worker_that_never_suspends_lets_others_run",),
    ),
    Fault(
        "who waits beside a rescued call is forgotten instead of woken",
        "_engine/stage.py",
        "        for event in self._turns:\n            event.set()\n",
        "",
        (
            "test_window.py::test_who_waits_beside_a_rescued_call_goes_on_as_soon_as_it_ends",
            "test_window.py::test_who_waits_beside_a_rescued_call_sees_that_the_run_ends",
        ),
    ),
    Fault(
        "who waits beside a rescued call is not told that the run ends",
        "_engine/stage.py",
        """\
        super().stop()
        self.relieve()
""",
        "        super().stop()\n",
        ("test_window.py::test_who_waits_beside_a_rescued_call_sees_that_the_run_ends",),
    ),
]

BOUNDS = [
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
        "            while window.held >= window.size and not self._stopped:\n",
        "            while False:\n",
        ("test_window.py::test_the_read_ahead_is_bounded_at_every_moment",),
    ),
    Fault(
        "the source reads on through a burst as if there were room",
        "_engine/source.py",
        "        places = min(window.room, self._next_burst())\n",
        "        places = self._next_burst()\n",
        ("test_window.py::test_the_read_ahead_is_bounded_at_every_moment",),
    ),
    Fault(
        "a long list takes more room than there is",
        "_engine/stage.py",
        "        if more - 1 <= window.room:\n",
        "        if True:\n",
        ("test_window.py::test_long_lists_do_not_widen_the_window",),
    ),
    Fault(
        "a value is asked for before there is a place for it",
        "_engine/expansion.py",
        """\
        while not stage.may_add(self._slot):
            if pacing""",
        """\
        while self.passed_on and not self.passed_on % 2 and not stage.may_add(self._slot):
            if pacing""",
        ("test_window.py::test_generators_do_not_widen_the_window",),
    ),
    Fault(
        "a share of the parallelism is held while waiting for room",
        "_engine/pacing.py",
        """\
            scope.deadline = math.inf
        self.end()
""",
        "            scope.deadline = math.inf\n",
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
            await self.settle(slot, result)

    async def settle""",
        """\
        else:
            await pacing.begin()
            try:
                await self.settle(slot, result)
            finally:
                pacing.end()

    async def settle""",
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
        "                index += 1\n",
        """\
                index += 1
                self.__dict__.setdefault("seen", []).append(10**9 + index)
""",
        ("test_memory.py::test_peak_memory_does_not_depend_on_the_item_count",),
    ),
    Fault(
        "a run keeps its results",
        "_engine/handoff.py",
        "        self._taken += len(values)\n",
        """\
        self._taken += len(values)
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

ORDER = [
    Fault(
        "results come in the order in which they finish",
        "_engine/wiring.py",
        "    chain = OrderedChain() if ordered else ArrivalChain()\n",
        "    chain = ArrivalChain()\n",
        ("test_stage.py::test_in_an_ordered_run_the_contiguous_prefix_leaves_at_once",),
    ),
    Fault(
        "an unfinished head may leave",
        "_engine/ordering.py",
        "        while slot.done and len(taken) < limit:\n",
        "        while slot is not root and len(taken) < limit:\n",
        (
            "test_sequence.py::test_take_all_tells_the_head_that_remains",
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
        "_engine/sequence.py",
        "            slot.value = None\n",
        "",
        ("test_sequence.py::test_spare_slots_keep_no_value",),
    ),
    Fault(
        "the end of a chain is not announced when its last slot is discarded",
        "_engine/sequence.py",
        "        if was_head and (self.root.next.done or self.exhausted):\n",
        "        if was_head and self.root.next.done:\n",
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
        "_engine/wiring.py",
        '        if plan.kind != "single" or (ordered and plan.starts_in_order):\n',
        '        if plan.kind != "single":\n',
        ("test_stage.py::test_in_order_calls_start_in_input_order",),
    ),
    Fault(
        "items are taken before there is a share of the parallelism for them",
        "_engine/single_stage.py",
        """\
            pacing = await call.begin()
            if not self.queue:
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

BATCHES = [
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
        seeds=40,
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
        ("test_batches.py::test_batches_are_as_full_as_they_can_be",),
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
        seeds=60,
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
        seeds=500,
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
        seeds=300,
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
        seeds=40,
    ),
    Fault(
        "the statistics of the past show the batches that left since",
        "statistics.py",
        "                    triggers=dict(stage.counters.triggers),\n",
        "                    triggers=stage.counters.triggers,\n",
        ("test_batches.py::test_the_counted_reasons_are_a_snapshot_and_single_tasks_have_none",),
    ),
    Fault(
        "the poison is not isolated",
        "_engine/batch_stage.py",
        "            if result is SKIPPED and len(part.value) > 1 and not expansion.passed_on:\n",
        "            if False:\n",
        ("test_batches.py::test_skip_item_drops_only_items_that_fail_by_themselves",),
    ),
]

CALLS = [
    Fault(
        "a generator is retried after its first values have gone on",
        "_engine/call.py",
        "        if begun:\n            return False\n",
        "",
        ("test_calls.py::test_a_generator_is_not_retried_after_its_first_value",),
    ),
    Fault(
        "one attempt too many",
        "_engine/policy.py",
        "        if self.attempts >= retry.max_attempts:\n",
        "        if self.attempts > retry.max_attempts:\n",
        ("test_calls.py::test_attempts_come_after_exact_delays",),
    ),
    Fault(
        "a timeout is no error",
        "_engine/call.py",
        "            raise TimeoutError\n        finally:\n",
        "        finally:\n",
        ("test_calls.py::test_a_timeout_is_a_timeout_error",),
    ),
    Fault(
        "on_error overrules the handler",
        "_engine/call.py",
        "self.options.error_handler is None and isinstance(self.options.on_error, str):\n",
        "isinstance(self.options.on_error, str):\n",
        ("test_calls.py::test_a_handler_that_refuses_raises_the_error",),
    ),
    Fault(
        "on_error is ignored",
        "_engine/call.py",
        'Decision.FAIL if self.options.on_error == "fail" else Decision.SKIP\n',
        "Decision.FAIL\n",
        ("test_calls.py::test_without_a_handler_on_error_comes_after_all_attempts",),
    ),
    Fault(
        "a generator is not closed",
        "_engine/expansion.py",
        "                values.close()\n",
        "                self._values = None\n",
        ("test_hazards.py::test_a_generator_is_closed_though_somebody_keeps_it",),
    ),
    Fault(
        "an async generator is not closed",
        "_engine/expansion.py",
        "                    await close_iterator(values)\n",
        "",
        ("test_window.py::test_endless_generators_are_closed_when_the_consumer_leaves",),
    ),
    Fault(
        "an async generator is cancelled while it is closed",
        "_engine/expansion.py",
        "                    scope.shield = True\n",
        "",
        ("test_generators.py::test_a_value_that_comes_after_the_end_is_the_last",),
    ),
    Fault(
        "an item's context variables are seen by the next item",
        "_engine/single_stage.py",
        "                if get_referents(copy_context())[0] is not variables:\n",
        "                if False:\n",
        ("test_context.py::test_what_a_call_sets_is_seen_by_no_other_one",),
    ),
    Fault(
        "context variables are isolated by their values, not by identity",
        "_engine/isolation.py",
        "any(value is not pristine.get(variable, pristine)",
        "any(value != pristine.get(variable, pristine)",
        ("test_context.py::test_values_need_not_be_comparable",),
    ),
    Fault(
        "a batch's context variables are seen by the next batch",
        "_engine/batch_stage.py",
        "            if differs(pristine):\n",
        "            if False:\n",
        ("test_context.py::test_what_a_call_sets_is_seen_by_no_other_one",),
    ),
    Fault(
        "workers are started with the context variables of whoever starts them",
        "_engine/run.py",
        "        self._variables.run(self._task_group.start_soon, function, *args)\n",
        "        self._task_group.start_soon(function, *args)\n",
        ("test_context.py::test_what_a_call_sets_is_seen_by_no_other_one",),
    ),
    Fault(
        "a side input is fetched for every run",
        "side_inputs.py",
        "        if self._flight is None:\n",
        "        if True:\n",
        ("test_side_inputs.py::test_the_value_of_a_coroutine_is_kept_for_later_runs",),
    ),
    Fault(
        "a shared iterator is used by two calls at once",
        "side_inputs.py",
        "        async with self._lock:\n            return",
        "        if True:\n            return",
        ("test_side_inputs.py::test_an_async_iterator_is_shared_in_input_order",),
    ),
    Fault(
        "a flight is cancelled when the first who waits is",
        "_engine/flight.py",
        "            if not self._waiting and not self._ended.is_set():\n",
        "            if not self._ended.is_set():\n",
        ("test_side_inputs.py::test_the_run_that_asked_first_may_be_cancelled",),
    ),
    Fault(
        "a result that comes with its timeout is thrown away, and the call made again",
        "_engine/call.py",
        """\
                return await self._invoke(item, expansion, pacing)
            # Not""",
        """\
                result = await self._invoke(item, expansion, pacing)
                if current_time() < pacing.scope.deadline:
                    return result
            # Not""",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "an attempt that is cut off ends its item without a trace",
        "_engine/call.py",
        "            raise TimeoutError\n        finally:\n",
        "            return None\n        finally:\n",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "an item that is skipped is delivered as well",
        "_engine/stage.py",
        """\
            self.counters.skipped += self.items_in(slot)
            self.discard(slot)
""",
        """\
            self.counters.skipped += self.items_in(slot)
            self.emit(slot)
""",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "an item that is skipped has no outcome at all",
        "_engine/stage.py",
        """\
            self.counters.skipped += self.items_in(slot)
            self.discard(slot)
""",
        "            self.counters.skipped += self.items_in(slot)\n",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "a call whose cost cannot be told keeps its share",
        "_engine/call.py",
        "            pacing.end()\n            examined",
        "            examined",
        ("test_rate.py::test_a_bad_cost_keeps_no_share",),
    ),
]

FAILURES = [
    Fault(
        "the last failure wins",
        "_engine/run.py",
        "        if self.failure is None or (ordinary and not isinstance(error, Exception)):\n",
        "        if True:\n",
        ("test_errors.py::test_three_failures_in_one_tick_give_one_bare_error",),
    ),
    Fault(
        "a failure after the end is lost",
        "_engine/run.py",
        "        if self.failure is None or (ordinary and not isinstance(error, Exception)):\n",
        "        if self.failure is None and not self.stopping:\n",
        ("test_errors.py::test_a_failing_cleanup_of_a_source_is_raised",),
    ),
    Fault(
        "a failing call is swallowed",
        "_engine/single_stage.py",
        '                    error = examine(error, f"task {self.name!r}", self.run)\n'
        "                    return self.run.fail(error, self.describe(slot, 1))\n",
        '                    examine(error, f"task {self.name!r}", self.run)\n'
        "                    self.discard(slot)\n",
        ("test_errors.py::test_the_very_exception_arrives",),
    ),
    Fault(
        "a failing call that options surround is swallowed",
        "_engine/stage.py",
        "            self.run.fail(failed.error, self.describe(slot, failed.attempts))\n",
        "            self.discard(slot)\n",
        ("test_errors.py::test_the_very_exception_arrives",),
    ),
    Fault(
        "a failing source ends the results in silence",
        "_engine/source.py",
        """\
            error = examine(error, "the source", run)
            run.fail(error, f"raised by the source after {self.pulled} item(s)")
""",
        """\
            examine(error, "the source", run)
            self._chain.close()
""",
        ("test_errors.py::test_a_source_that_fails_at_any_index",),
    ),
    Fault(
        "a failure is raised again and again",
        "_engine/run.py",
        """\
        if self.failure is not None and not self._failure_seen:
            self._failure_seen = True
            raise self.failure
        if self.failure is not None:
""",
        """\
        if self.failure is not None:
            raise self.failure
        if self.failure is not None:
""",
        ("test_shutdown.py::test_a_failure_is_raised_once",),
    ),
    Fault(
        "an item's value stands in the note on its error",
        "_engine/stage.py",
        'f"raised by task {self.name!r} for input item {slot.index} "',
        'f"raised by task {self.name!r} for input item {slot.value!r} "',
        ("test_errors.py::test_the_note_names_task_index_and_attempts",),
    ),
    Fault(
        "StopIteration and its like pass through",
        "_engine/call.py",
        "    elif isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):\n",
        "    elif isinstance(error, ()):\n",
        ("test_errors.py::test_the_end_of_an_iteration_becomes_a_runtime_error",),
    ),
    Fault(
        "a cancellation that leaked out of somewhere is passed on",
        "_engine/call.py",
        "        if requested:\n            raise error\n",
        "        if True:\n            raise error\n",
        ("test_errors.py::test_a_leaked_cancellation_is_an_error",),
    ),
    Fault(
        "a cancellation is an error that can be retried",
        "_engine/call.py",
        "        if requested:\n            raise error\n",
        "",
        (
            "test_calls.py::test_cancellation_is_not_retried",
            "test_cancellation.py::test_wait_for_around_an_awaited_call",
        ),
    ),
    Fault(
        "the ledger is not checked",
        "_engine/run.py",
        "        if self._completed and self.failure is None:\n",
        "        if False:\n",
        ("test_ledger.py::test_the_ledger_finds_one_wrong_item",),
    ),
    Fault(
        "the ledger looks at no stage",
        "_engine/ledger.py",
        "        if received != expected:\n",
        "        if False:\n",
        ("test_ledger.py::test_the_ledger_finds_one_wrong_item",),
    ),
    Fault(
        "a call that is cancelled together with its run has failed",
        "_engine/run.py",
        " or bool(self.host.is_cancelled(self._task))\n",
        "\n",
        ("test_cancellation.py::test_a_call_cancelled_together_with_its_run_has_not_failed",),
    ),
]

ENDING = [
    Fault(
        "closing does not wait until everything has ended",
        "_engine/run.py",
        "        await outlast(self._joined)\n",
        "        pass\n",
        ("test_shutdown.py::test_aclose_ends_a_plain_iteration",),
    ),
    Fault(
        "a cancelled flight is not waited for",
        "_engine/flight.py",
        "                await outlast(self._ended)\n",
        "",
        ("test_side_inputs.py::test_the_last_run_to_leave_waits_for_the_flights_end",),
    ),
    Fault(
        "a wait for the end can be cancelled",
        "_engine/flight.py",
        "    with CancelScope(shield=True):\n        while not event.is_set():\n",
        "    with CancelScope():\n        while not event.is_set():\n",
        ("test_side_inputs.py::test_the_last_run_to_leave_waits_for_the_flights_end",),
    ),
    Fault(
        "a second native cancellation breaks off the wait for the end",
        "_engine/flight.py",
        "                interruption = error\n",
        "                raise\n",
        ("test_cancellation.py::test_a_second_native_cancel_keeps_joining",),
    ),
    Fault(
        "a native cancellation is swallowed by the wait for the end",
        "_engine/flight.py",
        "    if interruption is not None:\n        raise interruption\n",
        "",
        ("test_hazards.py::test_aclose_that_is_natively_cancelled_waits_all_the_same",),
    ),
    Fault(
        "a cancelled step of a plain iteration does not end its run",
        "results.py",
        """\
            run.stop()
            try:
                await run.join()
            finally:
                run.drop_results()
                run.raise_interrupt()
            raise
""",
        "            raise\n",
        ("test_cancellation.py::test_after_a_timeout_a_plain_iteration_is_closed",),
    ),
    *(
        Fault(
            f"an iterator that {way} drops does not end its run",
            "results.py",
            "            run.host.call_soon(run.abandon)\n",
            "            pass\n",
            (f"test_shutdown.py::{test}",),
        )
        for way, test in [
            ("a break", "test_break_ends_the_run"),
            ("a return", "test_return_ends_the_run"),
            ("an error in the loop", "test_exception_in_the_body_ends_the_run"),
        ]
    ),
    *(
        Fault(
            f"a block that {way} leaves does not end its run",
            "stream.py",
            "                run.insist(run.stop)\n",
            "",
            (f"test_shutdown.py::{test}",),
        )
        for way, test in [
            ("a break", "test_leaving_the_block_has_ended_everything"),
            ("a return", "test_return_from_the_block_has_ended_everything"),
            ("an error", "test_an_error_of_the_block_comes_out_bare"),
        ]
    ),
    Fault(
        "the end of a run is logged although nothing has failed",
        "_engine/run.py",
        """\
        self.drop_results()
        if self.failure is not None and not self._failure_seen:
""",
        """\
        self.drop_results()
        if not self._failure_seen:
""",
        ("test_shutdown.py::test_leaving_a_loop_writes_nothing",),
    ),
    Fault(
        "the stream keeps its iterator alive",
        "stream.py",
        """\
        self._check_unused()
        return PlainIterator(self)
""",
        """\
        self._check_unused()
        self._kept = PlainIterator(self)
        return self._kept
""",
        ("test_shutdown.py::test_keeping_the_stream_does_not_keep_the_run",),
    ),
    Fault(
        "an iterator that is dropped in another thread does not reach its loop",
        "_engine/host.py",
        "                self._loop.call_soon_threadsafe(function)\n",
        "                pass\n",
        ("test_hazards.py::test_an_iterator_dropped_in_another_thread_ends_its_run",),
    ),
    Fault(
        "an iterator that is dropped after its loop has ended raises",
        "_engine/host.py",
        "        except RuntimeError:\n            pass\n\n\nclass TrioHost:\n",
        "        except KeyError:\n            pass\n\n\nclass TrioHost:\n",
        ("test_hazards.py::test_a_loop_that_has_ended_is_called_in_vain",),
    ),
    Fault(
        "a run whose task never began is never finished",
        "_engine/host.py",
        "        task.add_done_callback(lambda _: finish())\n",
        "",
        ("test_cancellation.py::test_every_task_of_the_loop_cancelled_at_once",),
    ),
    Fault(
        "calls start after a failure",
        "_engine/single_stage.py",
        "        self.queue.clear()\n        self.queue = deque()\n",
        "",
        ("test_shutdown.py::test_no_call_starts_after_a_failure",),
    ),
    Fault(
        "a worker begins after the end",
        "_engine/workers.py",
        "            if not self.run.stopping:\n",
        "            if True:\n",
        ("test_shutdown.py::test_no_worker_begins_once_the_run_ends",),
    ),
    Fault(
        "a worker whose side inputs come with the end goes on",
        "_engine/stage.py",
        "                if self.run.stopping:\n",
        "                if False:\n",
        ("test_shutdown.py::test_no_worker_begins_once_the_run_ends",),
    ),
    Fault(
        "calls in flight are not cancelled",
        "_engine/run.py",
        "            scope.cancel()\n",
        "",
        ("test_shutdown.py::test_siblings_have_ended_when_the_error_arrives",),
    ),
    Fault(
        "an async source is not closed",
        "_engine/source.py",
        "            await close_iterator(iterator)\n",
        "            pass\n",
        ("test_data.py::test_an_async_source_is_closed_on_early_exit",),
    ),
    Fault(
        "a source is closed twice",
        "_engine/source.py",
        "        await iterator.aclose()\n",
        "        await iterator.aclose()\n        await iterator.aclose()\n",
        ("test_hazards.py::test_a_source_is_closed_once",),
    ),
    Fault(
        "a synchronous source is not closed",
        "_engine/source.py",
        "                items.close()\n",
        "                pass\n",
        ("test_data.py::test_a_synchronous_generator_is_closed_on_early_exit",),
    ),
    Fault(
        "a source that waits at a yield is cancelled there",
        "_engine/source.py",
        """\
                scope.shield = True
                await close_iterator(iterator)
""",
        "                await close_iterator(iterator)\n",
        (
            "test_shutdown.py::test_cleanup_of_a_waiting_source_is_not_cancelled",
            "test_shutdown.py::test_cleanup_of_a_cancelled_source_that_yields_is_not_cancelled",
        ),
    ),
    Fault(
        "a stream that is a source and waits at a yield is cancelled there",
        "_engine/source.py",
        """\
                    finally:
                        scope.shield = True
""",
        """\
                    finally:
                        pass
""",
        ("test_shutdown.py::test_cleanup_of_a_waiting_source_is_not_cancelled",),
    ),
    Fault(
        "a source that is blocked inside itself is not cancelled",
        "_engine/source.py",
        "        with CancelScope() as self._scope, CancelScope() as scope:\n",
        "        with CancelScope() as self._scope, CancelScope(shield=True) as scope:\n",
        ("test_shutdown.py::test_a_blocked_source_is_cancelled",),
    ),
    Fault(
        "a source is asked for another item after the end",
        "_engine/source.py",
        "        self._stopped = True\n        self._left = 0\n",
        "        self._stopped = True\n",
        ("test_shutdown.py::test_cleanup_of_a_cancelled_source_that_yields_is_not_cancelled",),
    ),
    Fault(
        "a generator is asked for another value after the end",
        "_engine/expansion.py",
        "            self._check_run()\n            try:\n                value = await",
        "            try:\n                value = await",
        ("test_generators.py::test_a_value_that_comes_after_the_end_is_the_last",),
    ),
    Fault(
        "a share of the parallelism that comes after the end is used",
        "_engine/expansion.py",
        "        if self._stage.run.stopping:\n",
        "        if False:\n",
        ("test_generators.py::test_no_value_is_pulled_once_a_share_comes_too_late",),
    ),
    Fault(
        "data is not closed if the run ends before it begins",
        "_engine/run.py",
        "                self.start_soon(self.source.feed)\n",
        "                if not self.stopping:\n"
        "                    self.start_soon(self.source.feed)\n",
        ("test_shutdown.py::test_data_is_closed_though_the_run_ends_before_it_begins",),
    ),
    Fault(
        "what is waited for in vain takes a native cancellation back",
        "_engine/flight.py",
        "                interruption = error\n",
        "                interruption = error\n                current_host().uncancel()\n",
        ("test_cancellation.py::test_cancelling_count_is_left_alone",),
    ),
    Fault(
        "an iterator that is dropped in another thread calls its loop from there",
        "_engine/host.py",
        "            if threading.get_ident() == self._thread:\n",
        "            if True:\n",
        ("test_hazards.py::test_an_iterator_dropped_in_another_thread_ends_its_run",),
    ),
    Fault(
        "an iterator that is dropped ends its run where it is dropped, on Trio",
        "_engine/host.py",
        "            self._token.run_sync_soon(function)\n",
        "            function()\n",
        ("test_hazards.py::test_an_iterator_dropped_in_another_thread_ends_its_run",),
    ),
    Fault(
        "an iterator that is dropped after its loop has ended raises, on Trio",
        "_engine/host.py",
        "        with contextlib.suppress(self._trio.RunFinishedError):\n",
        "        with contextlib.suppress(KeyError):\n",
        ("test_hazards.py::test_a_loop_that_has_ended_is_called_in_vain",),
    ),
    Fault(
        "what an interrupt breaks off when a run stops is not taken up again",
        "_engine/run.py",
        "                    self.insist(self.stop)\n",
        "                    self.stop()\n",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "a step of the shutdown that an interrupt breaks off is not taken again",
        "_engine/run.py",
        """\
            self.fail(error, "raised while the pipeline was ending")
            step()
""",
        """\
            self.fail(error, "raised while the pipeline was ending")
""",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "an interrupt of the machinery comes out in a group",
        "_engine/run.py",
        """\
        except BaseException as error:
            # Nothing of ours""",
        """\
        except Exception as error:
            # Nothing of ours""",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "an interrupt of a worker is ignored",
        "_engine/workers.py",
        "        except RunStopped:\n",
        "        except (RunStopped, KeyboardInterrupt):\n",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "an interrupt of a call is ignored",
        "_engine/run.py",
        "        ordinary = isinstance(self.failure, Exception)\n",
        """\
        if isinstance(error, KeyboardInterrupt):
            return
        ordinary = isinstance(self.failure, Exception)
""",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "an interrupt leaves a loose end in a chain",
        "_engine/sequence.py",
        """\
            slot.next = place
            before.next = slot
            before = slot
""",
        """\
            before.next = slot
            slot.next = place
            before = slot
""",
        ("test_sequence.py::test_a_chain_that_an_interrupt_has_met_can_be_cleared",),
    ),
    Fault(
        "a chain that is half cleared cannot be cleared again",
        "_engine/sequence.py",
        """\
            root.next = slot.next
            del slot.previous, slot.next
        self.spare""",
        """\
            following = slot.next
            del slot.previous, slot.next
            root.next = following
        self.spare""",
        ("test_sequence.py::test_a_chain_that_an_interrupt_has_met_can_be_cleared",),
    ),
    Fault(
        "a cancellation hides an interrupt at the end of a block",
        "stream.py",
        "            run.raise_interrupt()\n",
        "",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "a cancellation hides an interrupt at the end of a plain iteration",
        "results.py",
        "                run.raise_interrupt()\n",
        "",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "a cancellation hides an interrupt of a stream that is being closed",
        "_engine/run.py",
        "            self.raise_interrupt()\n",
        "",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "an ordinary failure hides an interrupt",
        "_engine/run.py",
        "        if self.failure is None or (ordinary and not isinstance(error, Exception)):\n",
        "        if self.failure is None:\n",
        ("test_interrupt_anywhere.py",),
    ),
    Fault(
        "a value that is being fetched on another event loop is waited for",
        "_engine/flight.py",
        "        if not self._host.is_current():\n",
        "        if False:\n",
        ("test_side_inputs.py::test_a_value_that_is_being_fetched_elsewhere_is_refused",),
    ),
    Fault(
        "an attempt begins after the end",
        "_engine/call.py",
        "            if self._run is not None and self._run.stopping:\n",
        "            if False:\n",
        ("test_shutdown.py::test_no_attempt_begins_after_the_end",),
    ),
    Fault(
        "the scopes of a source cancel its wait for room",
        "_engine/source.py",
        "        with CancelScope(shield=True):\n            if window.held < window.size:\n",
        "        with CancelScope():\n            if window.held < window.size:\n",
        ("test_shutdown.py::test_a_deadline_of_the_sources_own_may_pass_while_it_waits_for_us",),
    ),
    Fault(
        "the scopes of a generator cancel its wait for room",
        "_engine/stage.py",
        "                    with CancelScope(shield=True):\n",
        "                    with CancelScope():\n",
        (
            "test_generators.py::test_a_timeout_that_fires_while_we_make_it_wait_is_an_error",
            "test_generators.py::test_a_deadline_of_its_own_that_passes_while_it_waits",
        ),
    ),
    Fault(
        "the GeneratorExit of a task group in the source is taken for a failure",
        "_engine/source.py",
        "        if rest is not None:\n            raise rest from None\n",
        "        raise\n",
        ("test_shutdown.py::test_a_source_may_hold_a_task_group",),
    ),
    Fault(
        "a run is kept for ever",
        "_engine/run.py",
        "        self.stopping = False\n        self._stopped = False\n",
        """\
        self.stopping = False
        self._stopped = False
        globals().setdefault("runs", []).append(self)
""",
        ("test_leaks.py::test_runs_of_every_kind_and_end_leave_nothing",),
    ),
]

FAULTS = [
    *HANDING_OVER,
    *WAKING,
    *BOUNDS,
    *ORDER,
    *BATCHES,
    *CALLS,
    *FAILURES,
    *DRAINING,
    *THREADS,
    *ENDING,
]
