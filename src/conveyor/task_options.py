"""
What a task keeps of its keywords: their checks, their defaults, and the several spellings of retry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ._checks import (
    check_batch_by,
    check_concurrency_limit,
    check_count,
    check_error_handler,
    check_flag,
    check_max_size,
    check_number,
    check_on_error,
    check_rate_limit,
    check_weight,
)
from ._failure_checks import check_circuit_breaker, check_fallback, check_retry_budget
from ._hedge_checks import check_hedge_after
from ._hook_checks import check_hooks
from ._lane_checks import BATCH_KEYS, check_lanes
from .error_handling import ErrorAction, ErrorHandler, KeyErrorAction, OnError, RetryConfig

if TYPE_CHECKING:
    from .adaptive import Adaptive
    from .caching import Store
    from .circuit_breaker import CircuitBreaker
    from .options import MaxSize
    from .rate import Rate
    from .retry_budget import RetryBudget
    from .tasks import FunctionTask

AUTO_SIZE = 1000
"""Items at most in a batch whose size is found by measuring."""

__all__ = ["TaskOptions", "name_of"]

# flat keyword -> field of RetryConfig
RETRY_FIELDS = {
    "retry_attempts": "max_attempts",
    "retry_delay": "base_delay",
    "retry_exponential_backoff": "exponential_backoff",
    "retry_backoff": "backoff_multiplier",
    "retry_max_delay": "max_delay",
    "retry_jitter": "jitter",
    "retry_on": "retry_on",
}
_SINGLE_ONLY = frozenset({"cache", "key", "on_key_error", "priority"})
_BATCH_ONLY = frozenset(
    {"batch_by", "max_size", "max_wait", "max_weight", "min_size", "target_duration", "weight"}
)


# Without what nobody asks for, which would take a tenth of the import of the package.
@dataclass(frozen=True, eq=False, repr=False)
class TaskOptions:
    """What a task keeps of its keywords, checked and in one spelling."""

    task_name: str
    is_batch: bool = False
    on_error: ErrorAction | OnError = "fail"
    retry: RetryConfig = field(default_factory=lambda: RetryConfig(max_attempts=1))
    retry_budget: RetryBudget | None = None
    fallback: FunctionTask[Any, Any] | None = None
    error_handler: ErrorHandler | None = None
    concurrency_limit: int | Adaptive | None = None
    timeout: float | None = None
    deadline: float | None = None
    hedge_after: float | None = None
    rate_limit: Rate | None = None
    circuit_breaker: CircuitBreaker | None = None
    before: Callable[[Any], Any] | None = None
    after: Callable[[Any, Any], Any] | None = None
    flatten: bool = True
    in_order: bool = False
    min_size: int = 1
    max_size: MaxSize = None
    max_wait: float | None = None
    weight: Callable[[Any], float] | None = None
    max_weight: float | None = None
    batch_by: Callable[[Any], Hashable] | None = None
    target_duration: float | None = None
    key: Callable[[Any], Hashable] | None = None
    on_key_error: KeyErrorAction = "continue"
    priority: Callable[[Any], float] | None = None
    cache: Store | None = None

    def __post_init__(self) -> None:
        name = self.task_name
        check_on_error(self.on_error, name, self.is_batch)
        if callable(self.on_error) and self.error_handler is not None:
            raise TypeError(
                f"task {name!r}: give either error_handler or a function as on_error, not both; "
                "the function can do all that a handler does"
            )
        check_count("min_size", self.min_size, name)
        check_max_size(self)
        check_number("timeout", self.timeout, name, zero=False)
        check_number("deadline", self.deadline, name, zero=False)
        check_number("max_wait", self.max_wait, name, zero=True)
        for flag in ("flatten", "in_order"):
            check_flag(flag, getattr(self, flag), name)
        if self.timeout and self.deadline and self.timeout > self.deadline:
            raise ValueError(
                f"task {name!r}: timeout={self.timeout} of one attempt is longer than "
                f"deadline={self.deadline} of all of them; leave timeout out"
            )
        check_hedge_after(self)
        check_concurrency_limit(self)
        check_weight(self)
        check_batch_by(self)
        check_error_handler(self.error_handler, name)
        check_rate_limit(self.rate_limit, name)
        check_circuit_breaker(self.circuit_breaker, name)
        check_retry_budget(self.retry_budget, self)
        check_fallback(self.fallback, self)
        check_hooks(self)
        check_lanes(self)

    @cached_property
    def is_plain(self) -> bool:
        """Whether they put nothing around the calls, so that a call is just that."""
        return (
            self.begins_plainly
            and self.retry.max_attempts == 1
            and self.fallback is None
            and self.error_handler is None
            and self.on_error == "fail"
        )

    @cached_property
    def begins_plainly(self) -> bool:
        """Whether they put nothing around a first attempt; what there is counts if it fails."""
        return (
            self.timeout is None
            and self.deadline is None
            and self.hedge_after is None
            and self.rate_limit is None
            and self.circuit_breaker is None
            and self.retry_budget is None
            and isinstance(self.concurrency_limit, int | None)
            and self.lane_key is None
        )

    @cached_property
    def lane_key(self) -> Callable[[Any], Hashable] | None:
        """Tells the key of which one call is made at a time; ``None`` if nobody asks."""
        if self.key is None and self.cache is not None:
            return _itself
        return self.key

    @property
    def isolates_poison(self) -> bool:
        """Whether a failing batch is split until only single items fail."""
        return self.is_batch and self.on_error == "skip_item" and self.error_handler is None

    @cached_property
    def limit(self) -> int:
        """Calls in flight at most, the default filled in: 100 for single tasks, 1 for batches."""
        return 100 if self.concurrency_limit is None and not self.is_batch else self.least_limit

    @cached_property
    def least_limit(self) -> int:
        """Calls in flight at most that a run must have room for: as many as are asked for, or 1."""
        if isinstance(self.concurrency_limit, int | None):
            return self.concurrency_limit or 1
        return self.concurrency_limit.max

    @cached_property
    def batch_size(self) -> int:
        """Items in a full batch at most: ``max_size``, by default ``min_size``."""
        if self.max_size == "auto":
            return AUTO_SIZE
        return self.min_size if self.max_size is None else self.max_size

    @cached_property
    def least_batch_size(self) -> int:
        """Items in a full batch at least; less than at most only if it is found by measuring."""
        return 1 if self.max_size == "auto" else self.batch_size

    def without_item(self, arguments: Mapping[str, Any]) -> TaskOptions:
        """
        Return these options for a call without an item: a fallback gets none either, and there is
        nothing to call ``before`` with.

        :param arguments: named ones of the call
        """
        if self.fallback is None:
            return self if self.before is None else replace(self, before=None)
        return replace(self, before=None, fallback=self.fallback.without_item(arguments))

    def updated(self, given: Mapping[str, Any]) -> TaskOptions:
        """
        Return these options with the keywords *given* laid over them.

        :param given: keywords as the decorators take them
        :raises TypeError: for an unknown keyword, contradicting ones, or a value of a wrong type
        :raises ValueError: for a value out of range
        """
        self._check_names(given)
        changes = {name: value for name, value in given.items() if name in _PLAIN_FIELDS}
        if changes.get("task_name", "") is None:
            del changes["task_name"]
        elif not isinstance(changes.get("task_name", ""), str):
            raise TypeError(
                f"task {self.task_name!r}: task_name must be a str, got {changes['task_name']!r}"
            )
        changes["retry"] = self._updated_retry(given)
        if given.get("on_error") == "retry":
            changes["on_error"] = "fail"
        return replace(self, **changes)

    def _check_names(self, given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in _KNOWN:
                import difflib  # it takes longer to import than all else here

                near = difflib.get_close_matches(name, _KNOWN, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"task {self.task_name!r}: unknown option {name!r}{hint}")
            if name in _BATCH_ONLY and not self.is_batch:
                raise TypeError(
                    f"task {self.task_name!r}: {name} is an option of batch tasks; "
                    f"write @batch_task({name}={given[name]!r})"
                )

            if name in _SINGLE_ONLY and self.is_batch:
                raise TypeError(
                    f"task {self.task_name!r}: {name} is an option of single tasks; "
                    + (BATCH_KEYS if name == "key" else "give it to the task before or after")
                )

    def _updated_retry(self, given: Mapping[str, Any]) -> RetryConfig:
        flat = [name for name in given if name in RETRY_FIELDS or name == "max_retries"]
        config = given.get("retry_config")
        if config is not None:
            if flat:
                raise TypeError(
                    f"task {self.task_name!r}: give either retry_config or {flat[0]}, not both; "
                    f"put {RETRY_FIELDS.get(flat[0], 'max_attempts')} into the RetryConfig"
                )
            if not isinstance(config, RetryConfig):
                raise TypeError(
                    f"task {self.task_name!r}: retry_config must be a RetryConfig, got {config!r}"
                )
            return replace(config)
        changes = {RETRY_FIELDS[name]: given[name] for name in flat if name in RETRY_FIELDS}
        if "max_retries" in given:
            if "retry_attempts" in given:
                raise TypeError(
                    f"task {self.task_name!r}: give either retry_attempts (calls in total) or "
                    "max_retries (calls after the first), not both"
                )
            check_count("max_retries", given["max_retries"], self.task_name, least=0)
            changes["max_attempts"] = given["max_retries"] + 1
        elif given.get("on_error") == "retry" and "retry_attempts" not in given:
            changes["max_attempts"] = max(4, self.retry.max_attempts)
        if "retry_attempts" in given:
            check_count("retry_attempts", given["retry_attempts"], self.task_name)
        for name in ("retry_delay", "retry_max_delay", "retry_backoff"):
            if name in given:
                check_number(name, given[name], self.task_name, zero=True, optional=False)
        if "retry_exponential_backoff" in given:
            check_flag(
                "retry_exponential_backoff", given["retry_exponential_backoff"], self.task_name
            )
        jitter = given.get("retry_jitter", False)
        if not isinstance(jitter, bool):
            check_number("retry_jitter", jitter, self.task_name, zero=True, optional=False)
        try:
            return replace(self.retry, **changes)
        except (TypeError, ValueError) as error:
            raise type(error)(f"task {self.task_name!r}: {error}") from None


_PLAIN_FIELDS = frozenset(each.name for each in fields(TaskOptions)) - {"retry", "is_batch"}
_KNOWN = _PLAIN_FIELDS | {*RETRY_FIELDS, "max_retries", "retry_config"}


def _itself(item: Hashable) -> Hashable:
    return item


def name_of(func: Callable[..., Any]) -> str:
    """
    Return a task's name unless it is given one.

    :param func: the task's function
    """
    while isinstance(func, partial):
        func = func.func
    return getattr(func, "__name__", type(func).__name__)
