"""
What a call does: drawn from the seed, the stage and the item alone, whoever asks and whenever.

So the functions that run and the model agree on it without talking to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

from .scenario import StageSpec

__all__ = [
    "NAMED_KINDS",
    "Attempt",
    "Named",
    "Played",
    "asking_fails_with",
    "breaks_predicate",
    "fallback_of",
    "falls_back",
    "is_retried",
    "nap_of",
    "parts_of",
    "pick",
]

#: What functions among the options fail with, which are asked for each item.
ASKING_KINDS = ["boom", "boom", "group", "stop", "exit"]

#: The item of a task that is called without one.
NO_ITEM = "a!"


def pick(seed: int, number: int, topic: str, text: str, sides: int) -> int:
    """Return a number below *sides*, the same in every process."""
    return crc32(f"{seed}/{number}/{topic}/{text}".encode()) % sides


def nap_of(seed: int, number: int, text: str, naps: Sequence[int]) -> int:
    """Return how many ticks something takes."""
    return naps[pick(seed, number, "nap", text, len(naps))]


#: What the heaviest item weighs that a batch stage may get.
HEAVIEST = 5


def weight_of(seed: int, spec: StageSpec, text: str) -> int:
    """Return what a batch stage is told that an item weighs."""
    return pick(seed, spec.number, "weight", text, HEAVIEST + 1)


def key_of(seed: int, spec: StageSpec, text: str) -> int:
    """Return the key of an item of a batch stage with *keys*."""
    return pick(seed, spec.number, "key", text, spec.keys or 1)


def asking_fails_with(seed: int, spec: StageSpec, text: str) -> str | None:
    """Return what the function of a stage fails with that tells an item's priority, or its key."""
    if spec.broken is None or pick(seed, spec.number, "asking", text, spec.broken):
        return None
    return ASKING_KINDS[pick(seed, spec.number, "asking kind", text, len(ASKING_KINDS))]


def parts_of(spec: StageSpec, item: Any) -> list[str]:
    """Return the names of the items that a call is given."""
    return [str(each) for each in item] if spec.kind == "batch" else [str(item)]


def fallback_of(seed: int, spec: StageSpec, text: str) -> str:
    """Return what the fallback does with an item: ``value``, ``nothing`` or ``fail``."""
    if spec.rescue.fallback == "mixed":
        # Nothing is no element of a list.
        nothing = "nothing" if spec.names is None else "value"
        return ["value", nothing, "fail"][pick(seed, spec.number, "fallback", text, 3)]
    return str(spec.rescue.fallback)


class Played(NamedTuple):
    """How an attempt ends: what it gave before, and what it failed with, if it did."""

    outputs: list[Any]
    error: str | None


class Attempt(NamedTuple):
    """
    One attempt: a nap and some turns before each output and, in a generator, before the end.
    """

    outputs: list[Any]
    naps: list[int]
    turns: list[int]
    fails_after: int | None
    error: str

    @classmethod
    def of(cls, seed: int, spec: StageSpec, parts: list[str], attempt: int) -> Attempt:
        """Return what attempt number *attempt* with these items does."""
        text = " ".join(parts)
        if spec.names is None:
            outputs = _outputs(seed, spec, parts, text)
        else:
            outputs = _entries(seed, spec, parts, attempt)
        steps = len(outputs) + 1 if spec.is_generator else 1
        names = [f"{text}/{attempt}/{step}" for step in range(steps)]
        fails_after = None
        trouble = spec.trouble
        if (
            trouble is not None
            and attempt <= trouble.attempts
            and any(
                pick(seed, spec.number, "trouble", p, trouble.one_in) == 0
                and not _is_late(seed, spec, p, attempt)
                for p in parts
            )
        ):
            fails_after = pick(seed, spec.number, "after", text, steps)
        return cls(
            outputs=outputs,
            naps=[nap_of(seed, spec.number, name, spec.naps) for name in names],
            turns=[
                spec.turns[pick(seed, spec.number, "turns", name, len(spec.turns))]
                for name in names
            ],
            fails_after=fails_after,
            error=trouble.error if trouble is not None else "",
        )

    def play(self, spec: StageSpec) -> Played:
        """Say how it ends, without doing it."""
        elapsed = 0
        for step, nap in enumerate(self.naps):
            elapsed += nap
            if spec.timeout is not None and elapsed > spec.timeout:
                return Played(self.outputs[:step], "timeout")
            if self.fails_after == step:
                return Played(self.outputs[:step], self.error)
        return Played(self.outputs, None)


def _outputs(seed: int, spec: StageSpec, parts: list[str], text: str) -> list[Any]:
    if spec.kind == "batch":
        children = [f"{p}~" for p in parts if pick(seed, spec.number, "keep", p, 6)]
        value = f"({text})"
    elif parts == [NO_ITEM]:
        children = [f"a{number}" for number in range(spec.count)]
        value = text
    else:
        children = [f"{text}.{n}" for n in range(pick(seed, spec.number, "children", text, 4))]
        value = text
    if spec.shape == "value":
        return [value]
    if spec.shape == "filter":
        return [value] if pick(seed, spec.number, "filter", text, 3) else []
    if spec.shape == "whole":
        return [[value, *children]]
    return children


#: What elements of a result may fail with: errors, and nothing else.
NAMED_KINDS = ["boom", "boom", "boom", "other", "group", "stop"]
#: How many attempts fail with an item that is named.
TIMES = [1, 1, 2, 99, 99]


class Named(NamedTuple):
    """An element that says that its item has failed, and with what."""

    kind: str


def _entries(seed: int, spec: StageSpec, parts: list[str], attempt: int) -> list[Any]:
    """Return what a function that names failed items gives for each."""
    entries: list[Any] = []
    for part in parts:
        times = TIMES[pick(seed, spec.number, "times", part, len(TIMES))]
        if attempt <= times and pick(seed, spec.number, "named", part, spec.names or 1) == 0:
            kind = pick(seed, spec.number, "kind", part, len(NAMED_KINDS))
            entries.append(Named(NAMED_KINDS[kind]))
        else:
            entries.append(f"{part}~")
    return entries


def _is_late(seed: int, spec: StageSpec, part: str, attempt: int) -> bool:
    """Say whether an item lets no full batch fail, but smaller ones that are repeated."""
    return spec.names is not None and attempt == 1 and pick(seed, spec.number, "late", part, 4) > 0


def is_retried(spec: StageSpec, attempt: int, played: Played) -> bool:
    """Say whether another attempt follows one that has failed."""
    if attempt >= spec.attempts or played.error is None or played.error in ("quit", ""):
        return False
    if played.outputs and not spec.isolates:
        return False
    if spec.rescue.budget == "empty":
        return False
    return spec.retry_on == "all" or (spec.retry_on == "boom" and played.error == "boom")


def falls_back(spec: StageSpec, played: Played) -> bool:
    """Say whether the fallback takes over what has failed for good."""
    if spec.rescue.fallback is None or played.error in (None, "quit"):
        return False
    return spec.isolates or not (spec.is_generator and played.outputs)


def breaks_predicate(spec: StageSpec, attempt: int, played: Played) -> bool:
    """Say whether ``retry_on`` is asked and raises."""
    return (
        spec.retry_on == "broken"
        and attempt < spec.attempts
        and played.error not in (None, "quit")
        and not (played.outputs and not spec.isolates)
    )
