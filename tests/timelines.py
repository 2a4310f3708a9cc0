"""Reads traces as strictly as the format allows, for tests of what writes them."""

from __future__ import annotations

import json
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

__all__ = ["Trace", "read_trace"]

Event = dict[str, Any]


class Trace:
    """
    A trace that has been checked.

    :ivar about: what the file says of itself
    :ivar events: all but those that give names
    :ivar threads: name for each number
    """

    def __init__(self, content: Any) -> None:
        assert set(content) == {"displayTimeUnit", "traceEvents", "otherData"}
        assert content["displayTimeUnit"] == "ms"
        self.about: Event = content["otherData"]
        everything: list[Event] = content["traceEvents"]
        for event in everything:
            check_event(event)
        descriptions = [event for event in everything if event["ph"] == "M"]
        self.events = [event for event in everything if event["ph"] != "M"]
        self.process = descriptions[0]["args"]["name"]
        self.threads: dict[int, str] = {
            event["tid"]: event["args"]["name"]
            for event in descriptions
            if event["name"] == "thread_name"
        }
        assert len(set(self.threads.values())) == len(self.threads)
        assert everything[: len(descriptions)] == descriptions
        for before, after in pairwise(self.events):
            assert before["ts"] <= after["ts"]
        check_pairs(self.events)
        (self.run,) = (event for event in self.events if event["ph"] == "X")
        for event in self.events:
            assert event["ts"] <= self.run["dur"]
            assert event.get("tid", 1) in self.threads

    def calls(self, task: str | None = None) -> list[tuple[float, float, Event]]:
        """Return begin, end and arguments of each call; the times in seconds."""
        ends = {event["id"]: event for event in self.events if event["ph"] == "e"}
        return [
            (
                begin["ts"] / 1e6,
                ends[begin["id"]]["ts"] / 1e6,
                begin["args"] | ends[begin["id"]]["args"],
            )
            for begin in self.events
            if begin["ph"] == "b" and task in (None, begin["name"])
        ]

    def instants(self) -> list[tuple[float, str, str, Event]]:
        """Return time, track, name and arguments of each retry and failure."""
        return [
            (event["ts"] / 1e6, self.threads[event["tid"]], event["name"], event["args"])
            for event in self.events
            if event["ph"] == "i"
        ]

    def counters(self, name: str) -> list[tuple[float, Event]]:
        """Return time and figures of a counter."""
        return [
            (event["ts"] / 1e6, event["args"])
            for event in self.events
            if event["ph"] == "C" and event["name"] == name
        ]


# What an event of each kind has, besides "ph", "name", "pid" and "args".
FIELDS = {
    "M": {"tid"},
    "X": {"cat", "tid", "ts", "dur"},
    "b": {"cat", "tid", "ts", "id"},
    "e": {"cat", "tid", "ts", "id"},
    "i": {"cat", "tid", "ts", "s"},
    "C": {"ts"},
}


def check_event(event: Event) -> None:
    """It has the fields of its kind, and no others, and values of the right types."""
    assert set(event) == FIELDS[event["ph"]] | {"ph", "name", "pid", "args"}
    assert event["pid"] == 1
    assert isinstance(event["name"], str)
    assert event["name"]
    assert isinstance(event["args"], dict)
    for field in ("ts", "dur"):
        if field in event:
            assert isinstance(event[field], int | float)
            assert isfinite(event[field])
            assert event[field] >= 0
    if event["ph"] in "be":
        assert isinstance(event["id"], str)
        assert event["cat"] == "call"
    if event["ph"] == "i":
        assert event["s"] == "t"
    if event["ph"] == "C":
        assert event["args"]
        assert all(type(figure) is int and figure >= 0 for figure in event["args"].values())


def check_pairs(events: list[Event]) -> None:
    """Each call begins once, and then ends once, under the same name on the same track."""
    begun: dict[str, Event] = {}
    ended: set[str] = set()
    for event in events:
        if event["ph"] == "b":
            assert event["id"] not in begun
            begun[event["id"]] = event
        elif event["ph"] == "e":
            begin = begun[event["id"]]
            assert event["id"] not in ended
            ended.add(event["id"])
            for field in ("name", "cat", "pid", "tid"):
                assert begin[field] == event[field]
    assert ended == set(begun)


def read_trace(path: str | Path) -> Trace:
    """Return the trace in a file; nothing but ASCII, and each event on a line of its own."""
    text = Path(path).read_bytes().decode("ascii")
    content = json.loads(text, parse_constant=refuse)
    assert len(text.splitlines()) == len(content["traceEvents"]) + 4
    return Trace(content)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
