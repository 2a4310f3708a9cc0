"""
What the options of a task say, as attributes of the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .adaptive import Adaptive
    from .circuit_breaker import CircuitBreaker
    from .rate import Rate
    from .retry_budget import RetryBudget
    from .task_options import TaskOptions
    from .tasks import FunctionTask


class TaskSettings:
    """The settings that single and batch tasks have in common; they cannot be set."""

    options: TaskOptions

    @property
    def concurrency_limit(self) -> int | Adaptive | None:
        """Calls in flight at most; ``None`` for the default."""
        return self.options.concurrency_limit

    @property
    def timeout(self) -> float | None:
        """Seconds for each attempt; ``None`` for as long as it takes."""
        return self.options.timeout

    @property
    def deadline(self) -> float | None:
        """Seconds for all attempts of an item; ``None`` for as long as it takes."""
        return self.options.deadline

    @property
    def hedge_after(self) -> float | None:
        """Seconds until a second attempt begins beside the first; ``None`` for never."""
        return self.options.hedge_after

    @property
    def rate_limit(self) -> Rate | None:
        """How often calls begin; ``None`` for as often as they like."""
        return self.options.rate_limit

    @property
    def circuit_breaker(self) -> CircuitBreaker | None:
        """What lets no call begin after failures in a row; ``None`` for calls in any case."""
        return self.options.circuit_breaker

    @property
    def retry_budget(self) -> RetryBudget | None:
        """What its retries are paid from; ``None`` for retries that cost nothing."""
        return self.options.retry_budget

    @property
    def fallback(self) -> FunctionTask[Any, Any] | None:
        """The task that takes over an item for which this one has failed; ``None`` for none."""
        return self.options.fallback

    @property
    def before(self) -> Callable[[Any], Any] | None:
        """What sees each item, or batch, before the function; ``None`` for nobody."""
        return self.options.before

    @property
    def after(self) -> Callable[[Any, Any], Any] | None:
        """What sees each item, or batch, together with its result; ``None`` for nobody."""
        return self.options.after

    @property
    def flatten(self) -> bool:
        """Whether a returned list is spread into items."""
        return self.options.flatten

    @property
    def in_order(self) -> bool:
        """Whether calls start in input order."""
        return self.options.in_order
