"""
What a picture needs of a timeline's file.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from .sampling import rank
from .trace_events import FORMAT

__all__ = ["Bar", "Excerpt", "Happening", "Trace", "read"]


@dataclass
class Bar:
    """A call; times in seconds since the run's start."""

    stage: int
    begin: float
    first: int
    last: int
    end: float = 0.0

    @property
    def is_batch(self) -> bool:
        """Whether it is a call with several items."""
        return self.first != self.last

    def among(self, items: list[int]) -> list[int]:
        """
        Return those of *items* that it may have been made with.

        :param items: indexes, sorted
        """
        return items[bisect_left(items, self.first) : bisect_right(items, self.last)]


class Happening(NamedTuple):
    """A retry, or a failure."""

    kind: str
    at: float
    item: int


@dataclass
class Trace:
    """What was recorded of a run."""

    about: dict[str, Any]
    duration: float = 0.0
    bars: list[Bar] = field(default_factory=list[Bar])
    happenings: list[Happening] = field(default_factory=list[Happening])
    queued: list[list[tuple[float, int]]] = field(default_factory=list["list[tuple[float, int]]"])

    @property
    def stages(self) -> list[str]:
        """Names of the stages, first to last."""
        names: list[str] = self.about["stages"]
        return names

    def excerpt(self, max_items: int) -> Excerpt:
        """
        Return what there is about some items, evenly spread ones if there are more.

        :param max_items: how many
        """
        # If not all calls are in the file, those with one item are there for the same items.
        found = {bar.first for bar in self.bars if not bar.is_batch}
        if not found:
            found = {index for bar in self.bars for index in (bar.first, bar.last)}
        items = sorted(sorted(found, key=rank)[:max_items])
        are_few = sum(bar.is_batch for bar in self.bars) <= max_items
        bars: list[Bar] = []
        stays: dict[int, tuple[float, float]] = {}
        for bar in self.bars:
            within = bar.among(items)
            if within or (are_few and bar.is_batch):
                bars.append(bar)
            for index in within:
                begin, end = stays.get(index, (bar.begin, bar.end))
                stays[index] = min(begin, bar.begin), max(end, bar.end)
        happenings = [each for each in self.happenings if each.item in stays]
        return Excerpt(items, bars, stays, happenings)


class Excerpt(NamedTuple):
    """
    What there is about some items.

    :ivar items: their indexes, sorted
    :ivar bars: their calls, and all those with batches if these are few
    :ivar stays: for each item when its first call began, and when its last one ended
    :ivar happenings: to them
    """

    items: list[int]
    bars: list[Bar]
    stays: dict[int, tuple[float, float]]
    happenings: list[Happening]


def read(path: str | os.PathLike[str]) -> Trace:
    """
    Read a file that :func:`~conveyor.record_timeline` has made.

    :param path: of the file
    :raises OSError: if it cannot be read
    :raises ValueError: if it is another kind of file
    """
    content = _content(path)
    trace = Trace(content["otherData"])
    trace.queued = [[] for _ in trace.stages]
    place = {name: position for position, name in enumerate(trace.stages)}
    bars: dict[str, Bar] = {}
    events: list[dict[str, Any]] = content["traceEvents"]
    for event in events:
        at: float = event.get("ts", 0) / 1e6
        args: dict[str, Any] = event["args"]
        if event["ph"] == "b" and args:  # but for calls that are about the stream as a whole
            first: int = args["index" if "index" in args else "first_index"]
            last: int = args["index" if "index" in args else "last_index"]
            bars[event["id"]] = Bar(place[event["name"]], at, first, last)
        elif event["ph"] == "e" and event["id"] in bars:
            bars[event["id"]].end = at
        elif event["ph"] == "i" and "index" in args:
            trace.happenings.append(Happening(event["cat"], at, args["index"]))
        elif event["ph"] == "C" and "queued" in args:
            trace.queued[place[event["name"]]].append((at, args["queued"]))
        elif event["ph"] == "X":
            trace.duration = event["dur"] / 1e6
    trace.bars = list(bars.values())
    return trace


def _content(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        content: Any = json.loads(Path(path).read_bytes())
        if content["otherData"]["format"] == FORMAT:
            return cast("dict[str, Any]", content)
    except (ValueError, LookupError, TypeError):
        pass  # not even JSON, or of another shape
    raise ValueError(f"{os.fspath(path)!r} is no timeline; record_timeline() makes files that are")
