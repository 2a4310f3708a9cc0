"""Faults in what surrounds a call."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a generator is retried after its first values have gone on",
        "_engine/verdict.py",
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
        "            raise TimeoutError(f",
        "            str(f",
        ("test_calls.py::test_a_timeout_is_a_timeout_error",),
    ),
    Fault(
        "on_error overrules the handler",
        "_engine/verdict.py",
        "self.options.error_handler is None and isinstance(self.options.on_error, str):\n",
        "isinstance(self.options.on_error, str):\n",
        ("test_calls.py::test_a_handler_that_refuses_raises_the_error",),
    ),
    Fault(
        "on_error is ignored",
        "_engine/verdict.py",
        "            return DECISIONS[self.options.on_error]\n",
        "            return FAIL\n",
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
        "                    await close_after(error, values)\n",
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
        "        have_others = not variables.are_ours\n",
        "        have_others = False\n",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "the first context variable that a call sets is seen by the next item",
        "_engine/single_stage.py",
        "if len(context) != count or (\n",
        "if (\n",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "a context that a call makes current is so for the next item",
        "context.py",
        "    _current.set(context)\n    _is_replaced.set(True)\n",
        "    _current.set(context)\n",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "a context that a call makes current in a block is so for the next item",
        "context.py",
        """\
        self._previous.append((_current.get(), _is_replaced.set(True)))
        _current.set(self.context)
""",
        """\
        self._previous.append((_current.get(), _is_replaced.set(True)))
        _is_replaced.reset(self._previous[-1][1])
        _current.set(self.context)
""",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "a block with another context makes calls as slow as one that stays open",
        "context.py",
        "            _is_replaced.reset(token)\n",
        "            pass\n",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "a context that the end of another task's block leaves is so for the next item",
        "context.py",
        "            _is_replaced.set(True)  # in that other one\n",
        "            pass\n",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "a context that was made current before the run is taken for the run's own",
        "context.py",
        "    return len(variables) == 2 and any(",
        "    return any(",
        ("test_context.py::test_a_call_sees_no_change_by_another_one_however_many_are_set",),
    ),
    Fault(
        "on Trio the hot path looks at a copy of the context, and is never taken",
        "_engine/trio_host.py",
        "trio.lowlevel.current_task().context\n",
        "trio.lowlevel.current_task().context.copy()\n",
        ("test_isolation.py::test_the_context_that_calls_run_in_is_found",),
    ),
    Fault(
        "on asyncio the hot path looks at another context, and is never taken",
        "_engine/host.py",
        """\
        task = self.current_task()
        if hasattr(task, "get_context"):
""",
        """\
        return Context()
        if hasattr(task, "get_context"):
""",
        ("test_isolation.py::test_the_context_that_calls_run_in_is_found",),
    ),
    Fault(
        "context variables are isolated by their values, not by identity",
        "_engine/isolation.py",
        "            value is not pristine.get(variable, pristine) for",
        "            value != pristine.get(variable, pristine) for",
        ("test_context.py::test_values_need_not_be_comparable",),
    ),
    Fault(
        "a batch's context variables are seen by the next batch",
        "_engine/batch_stage.py",
        "            if variables.have_changed():\n",
        "            if False:\n",
        ("test_context.py::test_what_a_call_sets_is_seen_by_no_other_one",),
    ),
    Fault(
        "what is copied from the calls of another run is seen by the next item",
        "context.py",
        '    ContextVar[object]("conveyor_run").set(_RUN)\n',
        '    _of_run.set(_RUN)\n\n\n_of_run: ContextVar[object] = ContextVar("conveyor_run")\n',
        ("test_isolation.py::test_what_is_copied_from_another_run_is_seen_by_no_other_call",),
    ),
    Fault(
        "the map of variables is looked for where it was as the worker began",
        "_engine/single_stage.py",
        "get_referents(context)[-1] is not present",
        "get_referents(context)[1] is not present",
        ("test_isolation.py::test_a_run_may_go_on_in_another_thread",),
    ),
    Fault(
        "the hot path looks at a context in which its calls do not run",
        "_engine/single_stage.py",
        "context is not None and shows_variables(context)",
        "context is not None",
        ("test_isolation.py::test_a_task_factory_may_run_tasks_in_contexts_of_its_own",),
    ),
    Fault(
        "the parts of a batch see each other's variables",
        "_engine/batch_stage.py",
        "                    work = partial(isolated, work)\n",
        "                    pass\n",
        ("test_isolation.py::test_halves_of_a_batch_see_nothing_of_each_other",),
    ),
    Fault(
        "the halves of a smaller batch see each other's variables",
        "_engine/batch_call.py",
        "await isolated(self, part)",
        "await self(part)",
        ("test_isolation.py::test_halves_of_a_smaller_batch_see_nothing_of_each_other",),
    ),
    Fault(
        "fallbacks for the items of a batch see each other's variables",
        "_engine/batch_call.py",
        "await isolated(self._fall_back, [item], None, failed)",
        "await self._fall_back([item], None, failed)",
        ("test_isolation.py::test_fallbacks_for_items_of_a_batch_see_nothing_of_each_other",),
    ),
    Fault(
        "functions that decide on items of a batch see each other's variables",
        "_engine/batch_call.py",
        "await isolated(self._verdict, failure, batch[place], progress.calls)",
        "await self._verdict(failure, batch[place], progress.calls)",
        ("test_isolation.py::test_decisions_on_items_of_a_batch_see_nothing_of_each_other",),
    ),
    Fault(
        "functions that are told of items of a batch see each other's variables",
        "_engine/routing.py",
        "partial(isolated, self._tell, failure)",
        "partial(self._tell, failure)",
        ("test_isolation.py::test_on_failure_for_items_of_a_batch_sees_nothing_of_another",),
    ),
    Fault(
        "a fallback's side input sees the variables of the first call that failed",
        "_engine/fallback.py",
        "copy_context() if run is None else run.ask(copy_context)",
        "copy_context()",
        ("test_isolation.py::test_a_fallbacks_side_input_sees_the_values_of_the_caller",),
    ),
    Fault(
        "workers are started with the context variables of whoever starts them",
        "_engine/run.py",
        "uninterrupted(self._variables.run, start_soon, function, *args)\n",
        "uninterrupted(start_soon, function, *args)\n",
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
        "            raise TimeoutError(f",
        "            return str(f",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "an item that is skipped is delivered as well",
        "_engine/stage.py",
        """\
        if not self.run.stopping:
            self.discard(slot)
""",
        """\
        if not self.run.stopping:
            self.emit(slot)
""",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "an item that is skipped has no outcome at all",
        "_engine/stage.py",
        """\
        if not self.run.stopping:
            self.discard(slot)
""",
        "",
        ("test_cancellation.py::test_retry_against_timeout_has_one_outcome",),
    ),
    Fault(
        "a call whose cost cannot be told keeps its share",
        "_engine/call.py",
        "            pacing.withdraw()\n            examined",
        "            examined",
        ("test_rate.py::test_a_bad_cost_keeps_no_share",),
    ),
]
