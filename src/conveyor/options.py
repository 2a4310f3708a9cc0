"""
The keywords of the decorators, for type checkers and for decorators of one's own.

:class:`SingleTaskOptions` and :class:`BatchTaskOptions` say which keywords there are, and what each
means; :class:`.TaskOptions` is what a task keeps of them. Adding a keyword means adding it to both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from .error_handling import (
    ErrorAction,
    ErrorHandler,
    KeyErrorAction,
    OnError,
    RetryConfig,
    RetryOn,
)

if TYPE_CHECKING:
    from .adaptive import Adaptive
    from .caching import Store
    from .circuit_breaker import CircuitBreaker
    from .rate import Rate
    from .retry_budget import RetryBudget
    from .tasks import BatchTask, SingleTask

MaxSize: TypeAlias = int | Literal["auto"] | None

__all__ = [
    "BatchOptions",
    "BatchTaskOptions",
    "CommonOptions",
    "LaneOptions",
    "ReplacedOptions",
    "ReplacedTaskOptions",
    "SingleOptions",
    "SingleTaskOptions",
]


class CommonOptions(TypedDict, total=False):
    """
    Keywords of both decorators.

    ``retry_attempts`` (1), ``max_retries``
        Calls in total, or calls after the first; give one of them.
    ``retry_delay`` (1.0), ``retry_max_delay`` (60.0)
        Seconds before the first retry; upper bound of one delay.
    ``retry_exponential_backoff`` (True), ``retry_backoff`` (2.0)
        Whether, and by what, the delay is multiplied each time.
    ``retry_jitter`` (0.1), ``retry_on`` (Exception), ``retry_config``
        See :class:`~conveyor.RetryConfig`, which may be given in place of the flat keywords.
    ``retry_budget``
        A :class:`~conveyor.RetryBudget`: no retry while it is empty.
    ``error_handler``
        An :class:`~conveyor.ErrorHandler`; asked after the last attempt, wins over ``on_error``.
    ``task_name``
        Name in errors, logs and statistics; by default the function's.
    ``concurrency_limit``
        Calls in flight; by default 100 for single tasks and 1 for batch tasks. An
        :class:`~conveyor.Adaptive` to find it by trying.
    ``timeout``
        Seconds per call and attempt; then the call is cancelled and fails with ``TimeoutError``.
    ``deadline``
        Seconds for all attempts of an item, delays included; then it has failed for good.
    ``hedge_after``
        Seconds until a second attempt begins beside the first, which takes long; the first of them
        to succeed gives the result. For ``async def`` functions that may be called twice.
    ``rate_limit``
        A :class:`~conveyor.Rate`: how often calls begin, each attempt counted.
    ``circuit_breaker``
        A :class:`~conveyor.CircuitBreaker`: no call begins for a while after failures in a row.
    ``before``
        A function of the item (or the batch), ``async`` or not, called first in each attempt. What
        it returns takes the item's place for the call; ``None`` leaves the item as it is.
    ``after``
        A function of the item and the result, ``async`` or not, called last in each attempt that
        has a result. What it returns takes the result's place; ``None`` leaves it as it is.
    ``in_order`` (False)
        Start the calls in input order (in an ordered run).
    """

    retry_attempts: int
    max_retries: int
    retry_delay: float
    retry_exponential_backoff: bool
    retry_backoff: float
    retry_max_delay: float
    retry_jitter: float | bool
    retry_on: RetryOn
    retry_config: RetryConfig | None
    retry_budget: RetryBudget | None
    error_handler: ErrorHandler | None
    task_name: str | None
    concurrency_limit: int | Adaptive | None
    timeout: float | None
    deadline: float | None
    hedge_after: float | None
    rate_limit: Rate | None
    circuit_breaker: CircuitBreaker | None
    before: Callable[[Any], Any] | None
    after: Callable[[Any, Any], Any] | None
    in_order: bool


class LaneOptions(TypedDict, total=False):
    """
    Keywords of ``@single_task`` that say which item is called next, if it needs a call.

    ``key``
        A function of the item that tells its key: of each key one call at a time, in input order.
    ``on_key_error`` (default ``"continue"``)
        ``"halt_key"``: once an item has been left out because it failed, the later ones of its key
        fail with :exc:`~conveyor.KeyHaltedError` without being called. Needs ``key``.
    ``priority``
        A function of the item that tells how urgent it is, as a number of 0 or more, 0 the most
        urgent: of the items that wait, that one is called first.
    ``cache``
        A mutable mapping, or an :class:`~conveyor.AsyncStore`, in which results are kept by ``key``
        (by default the item itself): what it has is not called for again.
    """

    key: Callable[[Any], Hashable] | None
    on_key_error: KeyErrorAction
    priority: Callable[[Any], float] | None
    cache: Store | None


# The decorators' overloads name ``flatten``, ``fallback`` and the sizes, hence the layers.
class SingleOptions(CommonOptions, LaneOptions, total=False):
    """
    Keywords of ``@single_task`` but ``flatten`` and ``fallback``: those of its bases, and this one.

    ``on_error`` (default ``"fail"``)
        ``"fail"``, ``"skip_item"``, ``"divert"`` (into ``results.failures``) or ``"retry"``
        (``"fail"`` with three retries); or a function ``(error, item)``, ``async`` or not, that
        returns ``FAIL``, ``SKIP``, ``DIVERT``, ``RETRY`` or ``Replace(value)``.
    """

    on_error: Literal["fail", "skip_item", "divert", "retry"] | OnError


class SingleTaskOptions(SingleOptions, total=False):
    """
    Keywords of ``@single_task``: those of :class:`SingleOptions`, and these.

    ``flatten`` (True)
        Spread a returned ``list`` into items; ``False`` keeps it whole.
    ``fallback``
        A single task that is called with the items for which this one has failed for good.
    """

    flatten: bool
    fallback: SingleTask[Any, Any] | None


class BatchOptions(CommonOptions, total=False):
    """
    Keywords of ``@batch_task`` but ``flatten``, ``fallback`` and the sizes.

    ``on_error`` (default ``"fail"``)
        As for single tasks, the item of a function being the batch. Also ``"skip_batch"``;
        ``"skip_item"`` splits a failing batch and retries the parts until only items that fail by
        themselves are dropped.
    ``max_wait``
        Seconds from a batch's first item until it is sent although it is not full; 0 to take what
        is there and never wait.
    ``weight``, ``max_weight``
        A function that tells what an item weighs (bytes, tokens), and what the items of a batch
        weigh together at most; an item that weighs more goes alone. Needs ``max_size`` as well.
    ``batch_by``
        A function of the item that tells its key: each key has a batch of its own. Needs
        ``max_size``, and there is no ``min_size``.
    ``target_duration``
        With ``max_size="auto"``: seconds that a call should take; batches grow and shrink for it.
    """

    on_error: ErrorAction | OnError
    max_wait: float | None
    weight: Callable[[Any], float] | None
    max_weight: float | None
    batch_by: Callable[[Any], Hashable] | None
    target_duration: float | None


class BatchTaskOptions(BatchOptions, total=False):
    """
    Keywords of ``@batch_task``: those of :class:`BatchOptions`, and these.

    ``flatten`` (True)
        Spread a returned ``list`` into items; ``False`` keeps it whole.
    ``min_size`` (1), ``max_size`` (``min_size``)
        Items per batch; ``max_size="auto"`` to find out by measuring.
    ``fallback``
        A batch task that is called with the batches for which this one has failed for good.
    """

    flatten: bool
    min_size: int
    max_size: MaxSize
    fallback: BatchTask[Any, Any] | None


class ReplacedOptions(BatchOptions, LaneOptions, total=False):
    """Keywords of ``replace()`` of any task, but ``flatten`` and the sizes."""


class ReplacedTaskOptions(BatchTaskOptions, LaneOptions, total=False):
    """Keywords of ``replace()`` of any task."""
