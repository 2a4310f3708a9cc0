"""
Runs with ``failure="in_order"``: what is exact about their ends.

Where a failure ends a run at once, when it comes decides how much comes before it. Here the model
knows: everything before the first failure in its list of results, and then that failure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from conveyor import TooManyErrorsError

from .model import Expected, Fatal
from .scenario import Scenario

if TYPE_CHECKING:
    from .world import Journal

__all__ = ["Deadline", "check_ending"]


def check_ending(scenario: Scenario, journal: Journal, expected: Expected) -> list[str]:
    """Return what is wrong with how a run has ended, if it is one of these."""
    error = journal.ending[1] if journal.ending[0] == "error" else None
    # What ends the program ends a run at once, like any other.
    if scenario.failure == "fast" or not isinstance(error, Exception):
        return []
    # That is about the run, and comes when there are too many.
    if isinstance(error, TooManyErrorsError):
        return []
    if journal.observed.lost_sides:
        return []  # by the other run, who knows when
    first = expected.first
    if journal.is_gone or (first is None and expected.early >= 0):
        # All is over, for the consumer or for a process; then only the source has a place, which
        # is closed.
        late = [fatal for fatal, each in journal.failures if each is error and fatal.number >= 0]
        return [f"{error!r} from {late} came when all was over"] if late else []
    if first is None:
        return [f"{error!r}, where nothing was to be expected"]
    found: list[str] = []
    if not any(fatal == first for fatal, _ in journal.failures):
        found.append(f"{error!r} came before {first} has failed")
    if first.kind == "gap":
        found.append(f"a batch was left out before {error!r}: {first}")
    found += [
        f"stage {spec.number}: {tally.dropped} items before {first} were neither in a batch nor "
        "too few for one"
        for spec, tally in zip(scenario.stages, expected.tallies, strict=True)
        if first.number < spec.number
        and spec.kind == "batch"
        and spec.keys is None
        and tally.dropped >= spec.min_size
    ]
    if journal.consumer.style != "collect" and len(journal.received) != len(expected.results):
        found.append(f"received {journal.received}, wanted {expected.results} before {first}")
    return found


class Deadline:
    """
    When an item has failed, and which: later ones begin nothing afterwards.

    :param scenario: of the run
    """

    def __init__(self, scenario: Scenario) -> None:
        shapes = {each.shape for each in scenario.stages}
        keys = any(each.keys is not None for each in scenario.stages)
        self._is_kept = scenario.failure == "in_order" and "nested" not in shapes and not keys
        self._failed: tuple[float, int] | None = None

    def set(self, now: float, fatal: Fatal) -> None:
        """An item fails for good."""
        roots = _roots(fatal.text)
        if self._is_kept and fatal.number >= 0 and roots:
            self._failed = min(self._failed or (now, max(roots)), (now, max(roots)))

    def is_passed(self, now: float, item: Any = None) -> bool:
        """Whether it is too late to begin with an item, or to ask for another one."""
        if self._failed is None or now <= self._failed[0]:
            return False
        return item is None or min(_roots(str(item)), default=-1) > self._failed[1]


def _roots(text: str) -> list[int]:
    """Return the numbers of the source's items that something stems from."""
    return [int(number) for number in re.findall(r"[ab](\d+)", text)]
