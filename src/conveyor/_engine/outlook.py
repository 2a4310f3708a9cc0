"""
How many items the source may let in, where items become many on their way.

A window full of items that are yet to be called has no room for what they become. Each call would
have to wait for a few places, pass on a little and wait again, which takes ten times as long as to
pass it on. So the source goes by what has become of the items before: it lets in as many as will
have room, with all that they and those on their way are expected to become. Whatever is expected,
it lets in what keeps the workers busy that there are, and as many again, so that more of them come
where calls take their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stage import Stage
    from .window import Window


class Outlook:
    """
    What is to be expected of the items that are let in.

    :param window: of the run
    :ivar stages: that they go through, last to first, as far as each takes what comes to it
    """

    __slots__ = ("_window", "stages")

    def __init__(self, window: Window) -> None:
        self._window = window
        self.stages: Sequence[Stage] = ()

    @property
    def room(self) -> int:
        """Items that may be let in now; 0 or less for none."""
        room = self._window.room
        # Of most runs it needs no more to tell that nothing becomes many.
        for stage in self.stages:
            if stage.counters.added:
                return min(room, self._expected_room())
        return room

    def _expected_room(self) -> int:
        expands = False
        factor = 1.0  # what an item becomes from the present stage on
        coming = 0.0
        missing = 0
        for stage in self.stages:
            done, given = stage.items_done, stage.items_given
            if done or given:
                factor *= given / max(done, 1)
                expands = expands or given > done
            if expands:
                here = stage.items_taken - done
                coming += here * max(factor - 1, 0)
                calls = min(2 * stage.workers + 1, stage.limit)
                # For this stage and those after it: what is here will come to them as well.
                missing = max(missing, calls * max(stage.batch_size, 1)) - here
        if not expands:
            return self._window.room
        fitting = int((self._window.room_for_all - coming) / max(factor, 1))
        return max(fitting, missing)
