"""Faults in how a run ends."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
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
                run.handoff.drop()
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
        "a call begins with a share that came as the run ended",
        "_engine/single_stage.py",
        "            if not self.queue or self.run.stopping:\n",
        "            if not self.queue:\n",
        ("test_shutdown.py::test_nothing_begins_with_a_share_that_comes_as_the_run_ends",),
    ),
    Fault(
        "a failure that gives way to a cancellation is lost",
        "stream.py",
        "            gives_way = True\n            raise\n",
        "            raise\n",
        ("test_errors.py::test_a_failing_cleanup_is_told_once_if_leaving_is_cancelled",),
    ),
    Fault(
        "a failure that gives way to a cancelled body is not logged",
        "stream.py",
        "        gives_way = exc_info[0] is not None\n",
        "        gives_way = exc_info[0] is not None and isinstance(exc_info[1], Exception)\n",
        ("test_errors.py::test_a_cancellation_wins_over_a_failing_cleanup",),
    ),
    Fault(
        "a stream whose block was left with an error has been iterated already",
        "stream.py",
        "                run.bury()\n",
        "                run.abandon()\n",
        ("test_streams.py::test_a_stream_is_closed_after_its_block_was_left_early",),
    ),
    Fault(
        "the end of a run is logged although nothing has failed",
        "_engine/run.py",
        """\
        self.handoff.drop()
        if self.failure is not None and not self._failure_seen:
""",
        """\
        self.handoff.drop()
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
        "        except RuntimeError:\n            pass\n\n\ndef current_host",
        "        except KeyError:\n            pass\n\n\ndef current_host",
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
        "_engine/queued_stage.py",
        "        self._withdraw_queue(deque())  # in which nobody looks for what is still put\n",
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
        "_engine/iteration.py",
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
        "a source that was blocked is cancelled where it is closed",
        "_engine/source.py",
        "                scope.shield = True\n                await close_after(error, iterator)\n",
        "                await close_after(error, iterator)\n",
        ("test_shutdown.py::test_closing_a_blocked_iterator_is_not_cancelled",),
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
        "                self.check()\n                value = await",
        "                value = await",
        ("test_generators.py::test_a_value_that_comes_after_the_end_is_the_last",),
    ),
    Fault(
        "a share of the parallelism that comes after the end is used",
        "_engine/expansion.py",
        "        if self._stage.run.stopping or self._slot.done:\n",
        "        if self._slot.done:\n",
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
        "_engine/trio_host.py",
        "            self._token.run_sync_soon(function)\n",
        "            function()\n",
        ("test_hazards.py::test_an_iterator_dropped_in_another_thread_ends_its_run",),
    ),
    Fault(
        "an iterator that is dropped after its loop has ended raises, on Trio",
        "_engine/trio_host.py",
        "        with contextlib.suppress(trio.RunFinishedError):\n",
        "        with contextlib.suppress(KeyError):\n",
        ("test_hazards.py::test_a_loop_that_has_ended_is_called_in_vain",),
    ),
    Fault(
        "Ctrl-C may come amid a wait on Trio, after it has been noted",
        "_engine/trio_host.py",
        "    @enable_ki_protection\n    async def wait",
        "    async def wait",
        ("test_interrupt_anywhere.py::test_a_ctrl_c_never_comes_amid_the_books_of_trio",),
    ),
    Fault(
        "Ctrl-C may come amid waking who waits on Trio",
        "_engine/trio_host.py",
        "    @enable_ki_protection\n    def set",
        "    def set",
        ("test_interrupt_anywhere.py::test_a_ctrl_c_never_comes_amid_the_books_of_trio",),
    ),
    Fault(
        "Ctrl-C may come amid the start of a task on Trio",
        "_engine/trio_host.py",
        "    @enable_ki_protection\n    def uninterrupted",
        "    def uninterrupted",
        ("test_interrupt_anywhere.py::test_a_ctrl_c_never_comes_amid_the_books_of_trio",),
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
        "a source asks for the end of a list only after it has let others run",
        "_engine/source.py",
        "lets_others_run=may_have_more(items)",
        "lets_others_run=True",
        ("test_data.py::test_the_end_of_a_list_takes_no_turns",),
    ),
    Fault(
        "an iterator that says it is at its end is believed",
        "_engine/source.py",
        "                if left:\n                    return\n",
        "                if left or not may_have_more(iterator):\n                    return\n",
        (
            "test_data.py::test_an_iterator_may_be_wrong_about_its_length",
            "test_data.py::test_an_endless_iterator_that_says_it_is_at_its_end",
        ),
    ),
    Fault(
        "an iterator that cannot tell its length ends the run",
        "_engine/iteration.py",
        "        return length_hint(iterator, 1) > 0\n    except Exception:\n",
        "        return length_hint(iterator, 1) > 0\n    except TypeError:\n",
        ("test_data.py::test_an_iterator_may_be_wrong_about_its_length",),
    ),
    Fault(
        "the scopes of a source cancel its wait for room",
        "_engine/source.py",
        "self._pause(shields=True)",
        "self._pause()",
        ("test_shutdown.py::test_a_deadline_of_the_sources_own_may_pass_while_it_waits_for_us",),
    ),
    Fault(
        "the scopes of a generator cancel its wait for room",
        "_engine/room.py",
        "                    with CancelScope(shield=True):\n",
        "                    with CancelScope():\n",
        (
            "test_generators.py::test_a_timeout_that_fires_while_we_make_it_wait_is_an_error",
            "test_generators.py::test_a_deadline_of_its_own_that_passes_while_it_waits",
        ),
    ),
    Fault(
        "an error in closing the data takes the place of what went wrong",
        "_engine/iteration.py",
        "        if not isinstance(error, Exception):\n            raise\n",
        "        raise\n",
        ("test_errors.py::test_a_source_that_fails_and_cannot_be_closed",),
    ),
    Fault(
        "an iterator is asked for another one with every burst",
        "_engine/iteration.py",
        "    return _remaining(iterator)\n",
        "    return iterator\n",
        ("test_data.py::test_an_iterator_that_begins_anew_is_iterated_once",),
    ),
    Fault(
        "an async iterator is asked for another one",
        "_engine/source.py",
        "in Begun(iterator):\n",
        "in iterator:\n",
        ("test_data.py::test_an_iterator_needs_no_more_than_its_next",),
    ),
    Fault(
        "the GeneratorExit of a task group in the source is taken for a failure",
        "_engine/iteration.py",
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
