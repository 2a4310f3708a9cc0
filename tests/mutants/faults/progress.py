"""Faults in what is shown of runs that go on."""

from __future__ import annotations

from ..fault import Fault

TESTS = "test_progress.py"
FIGURES = "observers/progress_figures.py"
LINES = "observers/progress_lines.py"
ROWS = "observers/progress_rows.py"

FAULTS = [
    Fault(
        "progress: what is in the run is taken for done",
        FIGURES,
        "max(self._done, counts.items_in - counts.held, before_head)",
        "max(self._done, counts.items_in, before_head)",
        (f"{TESTS}::test_done_are_the_items_of_which_nothing_is_left",),
    ),
    Fault(
        "progress: the head of the line tells nothing",
        FIGURES,
        "max(self._done, counts.items_in - counts.held, before_head)",
        "max(self._done, counts.items_in - counts.held)",
        (f"{TESTS}::test_done_are_at_least_those_before_the_head_of_the_line",),
    ),
    Fault(
        "progress: what was done is undone",
        FIGURES,
        "max(self._done, counts.items_in - counts.held, before_head)",
        "max(0, counts.items_in - counts.held, before_head)",
        (f"{TESTS}::test_what_is_done_stays_done",),
    ),
    Fault(
        "progress: what a stage has done is undone",
        FIGURES,
        "            max(before, stage.items_done)\n",
        "            stage.items_done\n",
        (f"{TESTS}::test_what_is_done_stays_done",),
    ),
    Fault(
        "progress: rates are those since the beginning",
        FIGURES,
        "            memory.popleft()\n",
        "            break\n",
        (f"{TESTS}::test_rates_are_those_of_the_last_seconds",),
    ),
    Fault(
        "progress: every tick is remembered",
        FIGURES,
        "        if now >= memory[-1][0] + STEP:\n",
        "        if True:\n",
        (f"{TESTS}::test_what_is_remembered_of_a_long_run_is_little",),
    ),
    Fault(
        "progress: the last rates are those of the last seconds",
        FIGURES,
        "(0.0, (0,) * len(counts.stages)) if report else self._remembered(now)",
        "self._remembered(now)",
        (f"{TESTS}::test_rates_at_the_end_are_those_of_the_run",),
    ),
    Fault(
        "progress: data that has more items than it says keeps its total",
        FIGURES,
        "        if total is not None and counts.items_in > total:\n",
        "        if False:\n",
        (f"{TESTS}::test_data_with_more_items_than_it_says_has_no_total",),
    ),
    Fault(
        "progress: the message of an error is shown",
        FIGURES,
        'f"failed with {type(report.error).__name__}"',
        'f"failed with {report.error}"',
        (f"{TESTS}::test_the_last_line_says_how_the_run_ended",),
    ),
    Fault(
        "progress: there is a line for each tick",
        LINES,
        "        if progress.elapsed >= self._due_at - 0.001:\n",
        "        if True:\n",
        (f"{TESTS}::test_lines_come_at_their_interval",),
    ),
    Fault(
        "progress: a line comes a tick late",
        LINES,
        "        if progress.elapsed >= self._due_at - 0.001:\n",
        "        if progress.elapsed >= self._due_at:\n",
        (f"{TESTS}::test_a_line_does_not_miss_its_moment",),
    ),
    Fault(
        "progress: without stderr the lines are among the output",
        LINES,
        "        if file is not None:  # pyright: ignore[reportUnnecessaryComparison]\n",
        "        if True:\n",
        (f"{TESTS}::test_lines_without_stderr_go_nowhere",),
    ),
    Fault(
        "progress: a file that is to be in colour is taken for a terminal",
        "observers/progress.py",
        "        return is_terminal and _can_move(file)\n",
        "        return _can_move(file)\n",
        (f"{TESTS}::test_rows_are_for_terminals_that_can_move",),
    ),
    Fault(
        "progress: a dumb terminal gets rows",
        "observers/progress.py",
        "        return is_terminal and _can_move(file)\n",
        "        return is_terminal\n",
        (f"{TESTS}::test_rows_are_for_terminals_that_can_move",),
    ),
    Fault(
        "progress: all runs have the same title",
        "observers/progress.py",
        "        if number == 1:\n",
        "        if True:\n",
        (f"{TESTS}::test_runs_can_be_told_apart",),
    ),
    Fault(
        "progress: every run has a live display of its own",
        ROWS,
        "            screen = cls._all.setdefault(place, cls(place, console))\n",
        "            screen = cls._all[place] = cls(place, console)\n",
        (f"{TESTS}::test_runs_that_overlap_share_the_screen",),
    ),
    Fault(
        "progress: the live display is not stopped",
        ROWS,
        "            self._live.stop()\n",
        "            pass\n",
        (
            f"{TESTS}::test_the_last_figures_stay",
            f"{TESTS}::test_the_display_of_a_failed_run_is_closed",
        ),
    ),
    Fault(
        "progress: the screen of runs that have ended is kept",
        ROWS,
        "                    del self._all[self._place]\n",
        "                    pass\n",
        (f"{TESTS}::test_each_stage_has_a_row",),
    ),
    Fault(
        "progress: every run draws all of them",
        ROWS,
        "            if rows is next(iter(self._members)):\n",
        "            if True:\n",
        (f"{TESTS}::test_the_first_run_draws_for_all",),
    ),
    Fault(
        "progress: output that goes to a file is drawn on the terminal",
        ROWS,
        "            redirect_stdout=is_terminal and _is_terminal(sys.stdout),\n",
        "            redirect_stdout=True,\n",
        (f"{TESTS}::test_what_is_piped_is_left_alone",),
    ),
    Fault(
        "progress: output on the terminal garbles the rows",
        ROWS,
        "            redirect_stdout=is_terminal and _is_terminal(sys.stdout),\n",
        "            redirect_stdout=False,\n",
        (f"{TESTS}::test_what_the_program_prints_goes_above_the_rows",),
    ),
    Fault(
        "progress: names of tasks are markup",
        ROWS,
        '        Text(stage.name, "bold"),\n',
        '        Text.from_markup(stage.name, style="bold"),\n',
        (f"{TESTS}::test_names_are_text",),
    ),
    Fault(
        "progress: a bar of tqdm is not closed",
        "observers/tqdm_progress.py",
        "            bar.close()\n",
        "            pass\n",
        (f"{TESTS}::test_tqdm_is_closed_whatever_happens",),
    ),
    Fault(
        "progress: a bar of tqdm stands still if the run does",
        "observers/tqdm_progress.py",
        "            bar.refresh()\n",
        "            pass\n",
        (f"{TESTS}::test_tqdm_shows_a_run_that_stands_still",),
    ),
    Fault(
        "what waits for leave to be called is done",
        "_engine/figures.py",
        "        return self.counters.taken - self.calls_unfinished\n",
        "        return self.counters.taken - self.in_flight\n",
        (f"{TESTS}::test_what_waits_or_is_in_flight_is_not_done",),
    ),
    Fault(
        "what is unfinished when a run ends is done",
        "_engine/figures.py",
        "        return self._unfinished if self.run.stopping else self.busy\n",
        "        return 0 if self.run.stopping else self.busy\n",
        (f"{TESTS}::test_what_a_failing_run_leaves_unfinished_is_not_done",),
    ),
    Fault(
        "items of batches in flight are done",
        "_engine/batch_figures.py",
        "        return self.counters.dropped + round(self.counters.merged * (1 - share))\n",
        "        return self.counters.dropped + self.counters.merged\n",
        (f"{TESTS}::test_what_waits_or_is_in_flight_is_not_done",),
    ),
]
