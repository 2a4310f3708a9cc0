"""Faults in calling another task in place of one that has failed."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a fallback is not called",
        "_engine/call.py",
        "        if self._fallback is None or (expansion",
        "        if self._fallback is not None or (expansion",
        ("test_fallback.py::test_a_fallback_takes_over_what_has_failed",),
        simulated=True,
    ),
    Fault(
        "a generator is replaced after it has passed on a value",
        "_engine/call.py",
        "if self._fallback is None or (expansion is not None and expansion.passed_on):",
        "if self._fallback is None:",
        ("test_fallback.py::test_a_generator_that_has_passed_on_a_value_is_not_replaced",),
        simulated=True,
    ),
    Fault(
        "the failure of a fallback is not shown to the handler",
        "_engine/call.py",
        "                failed = raised\n",
        "                pass\n",
        (
            "test_fallback.py::test_handler_and_on_error_see_its_failure",
            "test_fallback.py::test_if_it_fails_too_its_error_comes_out",
        ),
        simulated=True,
    ),
    Fault(
        "a mistake in the settings of a fallback is taken for a failure of the item",
        "_engine/call.py",
        "            except ItemFailed as raised:\n                if raised.is_decided:\n",
        "            except CallFailed as raised:\n                if False:\n",
        ("test_fallback.py::test_a_mistake_in_its_settings_fails_the_run",),
    ),
    Fault(
        "the error that a fallback was called for is not the context",
        "_engine/fallback.py",
        "            raise error\n",
        "            raise TimeoutError\n",
        ("test_fallback.py::test_if_it_fails_too_its_error_comes_out",),
    ),
    Fault(
        "what a fallback says of single items of a batch has no context",
        "_engine/fallback.py",
        "            for each in result.failures():\n",
        "            for each in ():\n",
        (
            "test_fallback.py::test_single_items_that_fail_in_the_fallback_too_are_the_tasks_to_decide",
        ),
    ),
    Fault(
        "single items that fail in a fallback are not for the task to decide",
        "_engine/batch_call.py",
        "                _undecided(each)\n",
        "                pass\n",
        (
            "test_fallback.py::test_single_items_that_fail_in_the_fallback_too_are_the_tasks_to_decide",
        ),
    ),
    Fault(
        "a decision of the fallback on single items is taken back",
        "_engine/batch_call.py",
        "    if isinstance(failed, ItemFailed) and not failed.is_decided:\n",
        "    if isinstance(failed, ItemFailed):\n",
        ("test_fallback.py::test_what_the_fallback_decides_on_single_items_holds",),
    ),
    Fault(
        "a broken handler of the fallback takes the whole batch with it",
        "_engine/batch_call.py",
        "            if not isinstance(raised, ItemFailed) and raised.decision is None:\n",
        "            if not isinstance(raised, ItemFailed):\n",
        ("test_fallback.py::test_a_broken_handler_of_the_fallback_concerns_one_item",),
    ),
    Fault(
        "calls of a fallback are beside the limit that the task has to find",
        "_engine/fallback.py",
        ", limiter=self._limiter)\n",
        ")\n",
        ("test_fallback.py::test_a_limit_that_is_found_bounds_the_calls_of_both",),
    ),
    Fault(
        "a limit that has to be found learns from the fallback",
        "_engine/fallback.py",
        ", limiter=self._limiter)\n",
        ", adaptive=self._limiter)\n",
        ("test_fallback.py::test_a_limit_that_is_found_learns_nothing_from_the_fallback",),
    ),
    Fault(
        "an error of ours in a fallback has no context",
        "_engine/fallback.py",
        "        if failed.error.__context__ is None and failed.error is not error:\n",
        "        if False:\n",
        ("test_fallback.py::test_the_original_error_is_the_context_of_its_deadline",),
    ),
    Fault(
        "the note names the task, though its fallback has failed",
        "_engine/fallback.py",
        "        failed.task_name = failed.task_name or self._plan.name\n",
        "",
        (
            "test_fallback.py::test_if_it_fails_too_its_error_comes_out",
            "test_fallback.py::test_the_note_on_a_batch_names_the_fallback",
        ),
        simulated=True,
    ),
    Fault(
        "fallbacks are not counted",
        "_engine/fallback.py",
        "            self._stage.counters.fallbacks += 1\n",
        "            pass\n",
        ("test_fallback.py::test_a_fallback_takes_over_what_has_failed",),
        simulated=True,
    ),
    Fault(
        "the side inputs of a fallback are forgotten",
        "_engine/fallback.py",
        "        if plan.inputs:\n",
        "        if False:\n",
        ("test_fallback.py::test_its_side_inputs_are_its_own",),
    ),
    Fault(
        "the fallback of a source gets an item",
        "plan.py",
        "            options=self.options.without_item({}),\n",
        "            options=self.options,\n",
        ("test_fallback.py::test_a_source_falls_back_to_a_source",),
    ),
    Fault(
        "the fallback of a method is not bound",
        "tasks.py",
        "            options = replace(options, fallback=fallback.__get__(instance, owner))\n",
        "            pass\n",
        ("test_fallback.py::test_a_method_falls_back_to_a_method",),
    ),
    Fault(
        "a fallback that is no method is bound",
        "tasks.py",
        "if fallback is not None and fallback._is_method_of(owner or type(instance)):\n",
        "if fallback is not None:\n",
        ("test_fallback.py::test_a_method_falls_back_to_a_method",),
    ),
]
