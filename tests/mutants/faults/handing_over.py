"""Faults in handing items on."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
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
        "        if self.taken >= self._pause_at:\n",
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
        "a second consumer takes what is ready before it is refused",
        "_engine/handoff.py",
        "        if self._event is not None:\n            raise",
        "        if self._event is not None and not self._chain.root.next.done:\n            raise",
        ("test_streams.py::test_a_second_consumer_takes_nothing_from_one_who_collects",),
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
        "the result that is one too many is lost",
        "results.py",
        "        collected.append(result)\n"
        "        if limit is not None and len(collected) > limit:\n",
        "        if limit is None or len(collected) < limit:\n"
        "            collected.append(result)\n"
        "        else:\n",
        ("test_streams.py::test_collect_in_a_block_raises_beyond_the_limit",),
    ),
    Fault(
        "what has been read comes again behind what is ready",
        "_engine/handoff.py",
        "        self.ready.extendleft(reversed(results))\n",
        "        self.ready += results\n",
        ("test_streams.py::test_collect_in_a_block_raises_beyond_the_limit",),
    ),
    Fault(
        "who leaves a plain stream's block closes the iterator of the last one who entered",
        "stream.py",
        "self._entered.pop(own[-1] if own else -1)",
        "self._entered.pop()",
        ("test_streams.py::test_a_plain_stream_can_be_iterated_by_several_tasks_at_once",),
    ),
    Fault(
        "only the task that has entered a plain stream's block can leave it",
        "stream.py",
        "self._entered.pop(own[-1] if own else -1)",
        "self._entered.pop(own[-1])",
        ("test_streams.py::test_a_plain_streams_block_may_be_left_by_another_task",),
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
        "        for chain in self.chains[:-1]:\n",
        "        for chain in self.chains:\n",
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
        "_engine/handoff.py",
        """\
        self._chain.clear()
        self.taken -= len(self.ready)
        self.ready.clear()
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
            self.handoff.drop()
            self.raise_interrupt()
""",
        """\
        await self.join()
        self.handoff.drop()
""",
        ("test_hazards.py::test_aclose_that_is_natively_cancelled_waits_all_the_same",),
    ),
]
