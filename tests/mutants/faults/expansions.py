"""Faults about items that become many: what the source lets in, and who gets the room there is."""

from __future__ import annotations

from ..fault import Fault

TESTS = "test_outlook.py"

FAULTS = [
    Fault(
        "the source lets in what has no room for what it becomes",
        "_engine/outlook.py",
        "        if not expands:\n",
        "        if True:\n",
        (f"{TESTS}::test_what_becomes_many_has_room",),
    ),
    Fault(
        "an asynchronous source lets in a whole burst whatever becomes of it",
        "_engine/source.py",
        "                self._left = min(room, self._next_burst())\n",
        "                self._left = self._next_burst()\n",
        (f"{TESTS}::test_what_becomes_many_has_room",),
    ),
    Fault(
        "items on their way are not expected to become many",
        "_engine/outlook.py",
        "                coming += here * max(factor - 1, 0)\n",
        "",
        (f"{TESTS}::test_what_items_become_needs_room",),
    ),
    Fault(
        "what a later stage makes of items is not expected",
        "_engine/outlook.py",
        "                factor *= given / max(done, 1)\n",
        "                factor = given / max(done, 1)\n",
        (f"{TESTS}::test_what_items_become_is_expected_over_all_stages",),
    ),
    Fault(
        "workers get nothing to do while there is no room for what comes of it",
        "_engine/outlook.py",
        "                missing = max(missing, calls * max(stage.batch_size, 1)) - here\n",
        "",
        (f"{TESTS}::test_all_calls_are_made_at_once_though_there_is_no_room",),
        simulated=True,
    ),
    Fault(
        "workers get as much as they can do, so that there are never more of them",
        "_engine/outlook.py",
        "min(2 * stage.workers + 1, stage.limit)",
        "min(stage.workers, stage.limit)",
        (f"{TESTS}::test_calls_that_begin_to_take_their_time_become_more",),
    ),
    Fault(
        "a stage with too much to do keeps the ones before it idle",
        "_engine/outlook.py",
        "max(missing, calls * max(stage.batch_size, 1)) - here",
        "missing + calls * max(stage.batch_size, 1) - here",
        (f"{TESTS}::test_workers_get_what_they_need_and_as_many_again",),
    ),
    Fault(
        "a stage with nothing to do calls for items that would wait before it",
        "_engine/outlook.py",
        "max(missing, calls * max(stage.batch_size, 1)) - here",
        "max(missing, calls * max(stage.batch_size, 1) - here)",
        (f"{TESTS}::test_workers_get_what_they_need_and_as_many_again",),
    ),
    Fault(
        "the source does not hear of a worker that has no work",
        "_engine/workers.py",
        """\
            self.wakeable = not self.run.stopping
        if self.run.window.wanted:
""",
        """\
            self.wakeable = not self.run.stopping
        if False:
""",
        (f"{TESTS}::test_a_worker_behind_a_slow_head_goes_on",),
        simulated=True,
    ),
    Fault(
        "the source does not hear of a worker that comes",
        "_engine/workers.py",
        """\
        # First: with its work in hand the worker would count twice.
        if self.run.window.wanted:
""",
        "        if False:\n",
        (f"{TESTS}::test_calls_that_begin_to_take_their_time_become_more",),
    ),
    Fault(
        "the source does not hear of a worker that ends",
        "_engine/workers.py",
        "        self._refresh()\n        self.run.window.reconsider()\n\n    def stop",
        "        self._refresh()\n\n    def stop",
        (f"{TESTS}::test_the_source_goes_on_when_a_worker_ends_for_its_variables",),
    ),
    Fault(
        "a batch that is gathered does not get its items",
        "_engine/outlook.py",
        "calls * max(stage.batch_size, 1)",
        "calls",
        (f"{TESTS}::test_a_batch_that_is_gathered_gets_its_items",),
    ),
    Fault(
        "what becomes many after an order point is not foreseen",
        "_engine/wiring.py",
        "        if isinstance(stage, CHOOSY):\n",
        "        if isinstance(stage, CHOOSY) or stage.chain is not chains[0]:\n",
        (f"{TESTS}::test_what_becomes_many_after_an_order_point_has_room",),
    ),
    Fault(
        "a stage with priorities has little to choose from",
        "_engine/wiring.py",
        "CHOOSY = (UrgentStage, ",
        "CHOOSY = (",
        (f"{TESTS}::test_the_most_urgent_of_a_full_window_is_called",),
    ),
    Fault(
        "batches with keys of their own wait for what is not let in",
        "_engine/wiring.py",
        "CHOOSY = (UrgentStage, GroupedBatchStage, ",
        "CHOOSY = (UrgentStage, ",
        (f"{TESTS}::test_batches_with_keys_of_their_own_get_their_items",),
    ),
    Fault(
        "a process waits for what is not let in",
        "_engine/wiring.py",
        "GroupedBatchStage, ProcessStage)",
        "GroupedBatchStage)",
        (f"{TESTS}::test_a_process_gets_its_items",),
    ),
    Fault(
        "what waits for the first in line may take all room",
        "_engine/window.py",
        "        return self.room if is_first else self.room_for_all\n",
        "        return self.room\n",
        (f"{TESTS}::test_the_first_in_line_does_not_go_on_one_by_one",),
    ),
    Fault(
        "nobody is the first in line",
        "_engine/room.py",
        "        is_first = self.chain.root.next.index == slot.index",
        "        is_first = False",
        (f"{TESTS}::test_the_first_in_line_does_not_go_on_one_by_one",),
    ),
    Fault(
        "a single value waits for room in a full window",
        "_engine/stage.py",
        "        if more <= 1 or self.room_for(",
        "        if self.room_for(",
        (f"{TESTS}::test_what_becomes_a_list_of_one_needs_no_room",),
    ),
    Fault(
        "a lot of values takes more room than there is",
        "_engine/expansion.py",
        "        more = max(0, min(room, self._turn - self.passed_on - 1))\n",
        "        more = self._turn - self.passed_on - 1\n",
        ("test_window.py::test_generators_do_not_widen_the_window",),
        simulated=True,
    ),
    Fault(
        "the places that the last lot of values did not need are lost",
        "_engine/expansion.py",
        "                self._release(places - len(lot))\n",
        "                self._release(places == 1 and not lot)\n",
        ("test_window.py::test_generators_do_not_widen_the_window",),
        simulated=True,
    ),
    Fault(
        "the values of a lot are lost when the generator fails",
        "_engine/expansion.py",
        """\
            except StopIteration:
                return
            finally:
""",
        """\
            except StopIteration:
                return
            except Exception:
                lot.clear()
                raise
            finally:
""",
        ("test_generators.py",),
        simulated=True,
    ),
    Fault(
        "a generator with more values than are kept goes on to be kept",
        "_engine/expansion.py",
        "        return min(TURN - 1, MOST_KEPT - len(self._kept))\n",
        "        return TURN - 1\n",
        ("test_batches.py::test_a_generator_of_many_values_is_not_kept_back",),
    ),
]
