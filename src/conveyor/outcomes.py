"""
What became of items: results and failures as values, and the failures that left a run by the side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, final, overload

__all__ = ["Failed", "Failure", "Failures", "Outcome", "Success"]

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Success(Generic[T]):
    """
    A result, as :meth:`.Pipeline.outcomes` gives it.

    :param value: what the last task made of the item
    :param index: of the input item that it stems from, counted from 0; for the result of a batch,
        that of its first item
    """

    value: T
    index: int


@dataclass(frozen=True, eq=False)
class Failure:
    """
    An item that has failed for good; equal to itself alone, whatever the item.

    Its ``repr`` shows neither the item nor the message of the error, since messages tend to quote
    the item; so a failure can be logged.

    :param error: what the last attempt raised, with its traceback from the task's function on
    :param item: what the task was given; of a batch, the single item
    :param index: of the input item that it stems from, counted from 0
    :param task_name: of the task that failed, also if its fallback failed last
    :param attempts: calls made by the task that raised *error*
    """

    error: Exception
    item: Any
    index: int
    task_name: str
    attempts: int

    def __repr__(self) -> str:
        return (
            f"<Failure: {type(self.error).__name__} in task {self.task_name!r}, "
            f"index={self.index}, attempts={self.attempts}>"
        )


Outcome = Success[T] | Failure
"""One entry of :meth:`.Pipeline.outcomes`, for ``match``."""


@final
@dataclass(frozen=True)
class Failed:
    """
    Stands for one element in the list that a batch function returns: that item has failed.

    The list has as many elements as the batch then, each of them the result of the item at its
    place. See the page on errors for what becomes of the item.

    :param error: as if the function had raised it for this item alone
    :raises TypeError: if *error* is not an instance of ``Exception``
    :cvar is_used: whether there has ever been one; results are not searched for them before
    """

    is_used: ClassVar[bool] = False

    error: Exception

    # Not in __init__(), since one that comes from another process is made without that.
    def __new__(cls, *_: object, **__: object) -> Failed:
        """Remember that there is one."""
        Failed.is_used = True
        return super().__new__(cls)

    def __post_init__(self) -> None:
        given: Any = self.error  # not everyone's code is type-checked
        if not isinstance(given, Exception):
            got = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
            raise TypeError(
                f"Failed needs an error, an instance of Exception, got {got}; "
                "write Failed(ValueError(...))"
            )

    def __repr__(self) -> str:
        return f"Failed(<{type(self.error).__name__}>)"


class Failures(Sequence[Failure]):
    """
    The items that were diverted (``on_error="divert"``), in the order in which they failed.

    Grows while the run goes on; to be read at any time. Holds the first ``max_failures`` of the run
    (1,000, unless ``with_context()`` says otherwise), and none that ``on_failure`` was given.

    :ivar total: how many there were, kept or not
    """

    def __init__(self) -> None:
        self._kept: list[Failure] = []
        self.total: int = 0

    @overload
    def __getitem__(self, index: int) -> Failure: ...
    @overload
    def __getitem__(self, index: slice) -> list[Failure]: ...
    def __getitem__(self, index: int | slice) -> Failure | list[Failure]:
        return self._kept[index]

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<Failures: {self.total} in total, {len(self)} kept>"
