"""
The ledger: what each stage counts while it runs, and the check that it all adds up.

Only the calls themselves and the rare outcomes are counted on the way; the rest follows from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..error_handling import LedgerError

if TYPE_CHECKING:
    from ..statistics import BatchTrigger
    from .stage import Stage


class Counters:
    """
    Counts of one stage.

    ``taken``, ``left``, ``added`` and ``failed`` are the ledger: slots that came in, that ended
    here without a result, that an expansion linked in, and that hold a failure and pass by all that
    follows. The others are for people, in items; ``triggers`` in batches that left for each. Of
    ``taken``, ``uncalled`` needed no call, got none since their key was halted, or wait
    for leave to make it.
    """

    __slots__ = (
        "added",
        "cache_hits",
        "diverted",
        "dropped",
        "failed",
        "fallbacks",
        "filtered",
        "hedged",
        "left",
        "merged",
        "retried",
        "skipped",
        "taken",
        "triggers",
        "uncalled",
    )

    def __init__(self) -> None:
        self.taken = 0
        self.left = 0
        self.added = 0
        self.filtered = 0
        self.skipped = 0
        self.diverted = 0
        self.failed = 0
        self.retried = 0
        self.fallbacks = 0
        self.hedged = 0
        self.dropped = 0
        self.merged = 0
        self.uncalled = 0
        self.cache_hits = 0
        self.triggers: Counter[BatchTrigger] = Counter()

    @property
    def passed_on(self) -> int:
        """Slots that went on to the next stage, once everything has."""
        return self.taken - self.left + self.added


def check_ledger(pulled: int, stages: Sequence[Stage], delivered: int) -> None:
    """
    Check that every item that came in came out or is accounted for, stage by stage.

    :param pulled: items that the source brought
    :param stages: first to last
    :param delivered: results that the consumer took
    :raises LedgerError: if not
    """
    # A stage that wanted no more leaves unfinished work before it, which nobody needs.
    begin = max((n for n, stage in enumerate(stages) if stage.wants_no_more), default=0)
    expected = pulled
    # Those that came past that one have passed it by, as far as it went.
    failed = stages[begin].passed_by if stages else 0
    for stage in stages[begin:]:
        received = stage.accounts_for(expected)
        if received != expected:
            raise LedgerError(
                f"internal error: task {stage.name!r} was given {expected} item(s) but accounts "
                f"for {received}; please report this"
            )
        expected = stage.counters.passed_on
        failed += stage.counters.failed
    expected += failed
    if delivered != expected:
        raise LedgerError(
            f"internal error: {expected} result(s) were produced but {delivered} delivered; "
            "please report this"
        )
