"""What tasks and pipelines say of themselves, and what they keep to themselves."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from conveyor import (
    SKIP,
    Adaptive,
    BaseTask,
    CircuitBreaker,
    Context,
    ErrorHandler,
    Pipeline,
    Rate,
    RetryAfter,
    RetryBudget,
    RetryConfig,
    batch_task,
    single_task,
)
from conveyor.describe import one_line, task_settings
from conveyor.options import BatchTaskOptions, SingleTaskOptions
from conveyor.tasks import BatchTask, FunctionTask, SingleTask


async def work(item: Any) -> Any:
    """
    Do it.

    And more.
    """


def by_host(item: Any) -> Any:
    return item


def decide(error: Exception, item: Any) -> Any:
    return SKIP


@dataclass
class Handler(ErrorHandler):
    token: str


class Store(dict[Any, Any]):
    pass


other = SingleTask(work, task_name="other")
other_batch = BatchTask(work, max_size=2, task_name="others")

# What is given, and what is shown of it.
COMMON: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"retry_attempts": 3}, ["retry_attempts=3"]),
    ({"retry_attempts": 1}, []),
    ({"max_retries": 2}, ["retry_attempts=3"]),
    ({"on_error": "retry"}, ["retry_attempts=4"]),
    ({"retry_delay": 0.5}, ["retry_delay=0.5"]),
    ({"retry_delay": 1.0}, []),
    ({"retry_exponential_backoff": False}, ["retry_exponential_backoff=False"]),
    ({"retry_backoff": 3}, ["retry_backoff=3"]),
    ({"retry_max_delay": 5}, ["retry_max_delay=5"]),
    ({"retry_jitter": True}, ["retry_jitter=True"]),
    ({"retry_on": OSError}, ["retry_on=OSError"]),
    ({"retry_on": (OSError, ValueError)}, ["retry_on=(OSError, ValueError)"]),
    ({"retry_on": lambda error: True}, ["retry_on=<lambda>"]),
    (
        {"retry_config": RetryConfig(5, 2.0, retry_on=RetryAfter)},
        ["retry_attempts=5", "retry_delay=2.0", "retry_on=RetryAfter"],
    ),
    (
        {"retry_budget": RetryBudget(10, 0.5), "max_retries": 1},
        ["retry_budget=RetryBudget(tokens=10, per_success=0.5)", "retry_attempts=2"],
    ),
    ({"error_handler": Handler("secret")}, ["error_handler=Handler"]),
    ({"on_error": "skip_item"}, ["on_error='skip_item'"]),
    ({"on_error": "fail"}, []),
    ({"on_error": decide}, ["on_error=decide"]),
    ({"concurrency_limit": 20}, ["concurrency_limit=20"]),
    ({"concurrency_limit": None}, []),
    (
        {"concurrency_limit": Adaptive(5, 50, throttled_by=OSError)},
        ["concurrency_limit=Adaptive(initial=5, max=50, throttled_by=OSError)"],
    ),
    ({"concurrency_limit": Adaptive()}, ["concurrency_limit=Adaptive()"]),
    ({"timeout": 10}, ["timeout=10"]),
    ({"deadline": 10.5}, ["deadline=10.5"]),
    ({"hedge_after": 1.0}, ["hedge_after=1.0"]),
    (
        {"rate_limit": Rate(10, per=60, burst=5, cost=by_host)},
        ["rate_limit=Rate(limit=10, per=60, burst=5, cost=by_host)"],
    ),
    (
        {"circuit_breaker": CircuitBreaker(3, counts=(OSError, TimeoutError))},
        ["circuit_breaker=CircuitBreaker(failures=3, counts=(OSError, TimeoutError))"],
    ),
    ({"before": len, "after": decide}, ["before=len", "after=decide"]),
    ({"in_order": True}, ["in_order=True"]),
    ({"flatten": False}, ["flatten=False"]),
    ({"flatten": True}, []),
    ({"task_name": "named"}, []),
]
SINGLE: list[tuple[dict[str, Any], list[str]]] = [
    *COMMON,
    ({"fallback": other}, ["fallback=other"]),
    ({"key": by_host}, ["key=by_host"]),
    ({"key": partial(by_host, "secret")}, ["key=by_host"]),
    ({"key": by_host, "on_key_error": "halt_key"}, ["key=by_host", "on_key_error='halt_key'"]),
    ({"priority": len}, ["priority=len"]),
    ({"cache": {"secret": "secret"}}, ["cache=dict"]),
    ({"cache": Store(secret="secret")}, ["cache=Store"]),
]
BATCH: list[tuple[dict[str, Any], list[str]]] = [
    *COMMON,
    ({"on_error": "skip_batch"}, ["on_error='skip_batch'"]),
    ({"fallback": other_batch}, ["fallback=others"]),
    ({"min_size": 2}, ["min_size=2"]),
    ({"min_size": 2, "max_size": 5}, ["min_size=2", "max_size=5"]),
    ({"max_size": 5, "max_wait": 0}, ["max_size=5", "max_wait=0"]),
    (
        {"max_size": 5, "weight": len, "max_weight": 1.5},
        ["max_size=5", "weight=len", "max_weight=1.5"],
    ),
    ({"max_size": 5, "batch_by": by_host}, ["max_size=5", "batch_by=by_host"]),
    (
        {"max_size": "auto", "target_duration": 0.2},
        ["max_size='auto'", "target_duration=0.2"],
    ),
]


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [
        *((SingleTask, given, shown) for given, shown in SINGLE),
        *((BatchTask, given, shown) for given, shown in BATCH),
    ],
)
def test_settings_that_differ_from_the_defaults_are_shown(
    kind: type[FunctionTask[Any, Any]], given: dict[str, Any], shown: list[str]
) -> None:
    """In the decorators' keywords; of objects the names, and nothing of what they hold."""
    task = kind(work, **given)
    assert sorted(task_settings(task.options)) == sorted(shown)
    name = given.get("task_name", "work")
    assert repr(task).startswith(f"<{kind.__name__} {name!r}")
    assert all(each in repr(task) for each in shown)
    assert all(each in task.describe() for each in shown)
    assert ("Settings: " in task.describe()) == bool(shown)
    assert "secret" not in repr(task) + task.describe()


@pytest.mark.parametrize(
    ("cases", "options"), [(SINGLE, SingleTaskOptions), (BATCH, BatchTaskOptions)]
)
def test_no_option_is_forgotten(cases: Any, options: Any) -> None:
    """Each keyword of a decorator is among those that are tested to be shown."""
    tested = {name for given, _ in cases for name in given}
    assert sorted(set(options.__annotations__) - tested) == []


def test_a_task_without_settings_shows_its_kind_and_name() -> None:
    """As short as it can be."""
    assert repr(SingleTask(work)) == "<SingleTask 'work'>"
    settings = "concurrency_limit=2, retry_attempts=3"
    task = SingleTask(work, max_retries=2, concurrency_limit=2)
    assert repr(task) == f"<SingleTask 'work': {settings}>"


def test_a_pipeline_shows_tasks_and_settings_of_its_runs() -> None:
    """But not the data that its tasks share."""
    pipeline = (single_task(work) | other).with_context(max_parallelism=8, token="secret")
    assert repr(pipeline) == "<Pipeline work | other: max_parallelism=8>"
    assert repr(Pipeline()) == "<Pipeline empty>"
    as_completed = Pipeline().add(other).with_execution_mode("as_completed")
    assert repr(as_completed) == "<Pipeline other: execution_mode='as_completed'>"


# Descriptions of tasks


async def generate(item: Any) -> AsyncIterator[Any]:
    yield item


def spread(item: Any) -> Any:
    yield item


class Callable_:
    async def __call__(self, item: Any) -> Any:
        """Be called."""


class Whole(BaseTask[Any, Any]):
    """
    Take the whole stream.

    And more.
    """

    async def process(self, items: Any) -> Any:
        return items


class Silent(BaseTask[Any, Any]):
    async def process(self, items: Any) -> Any:
        return items


class Unmade(BaseTask[Any, Any]):
    def __init__(self) -> None:
        self.func = partial(len)  # of its own


def test_of_a_docstring_the_first_line_is_shown() -> None:
    """Whatever its indentation."""
    assert SingleTask(work).describe() == (
        "work: single task, async, up to 100 calls at once\nDo it."
    )


@pytest.mark.parametrize(
    ("task", "described"),
    [
        (SingleTask(by_host), "by_host: single task, sync"),
        (
            SingleTask(generate),
            "generate: single task, async generator, up to 100 calls at once",
        ),
        (SingleTask(spread), "spread: single task, generator"),
        (SingleTask(spread, concurrency_limit=3), "spread: single task, generator, up to 3 calls"),
        (
            SingleTask(Callable_()),
            "Callable_: single task, async, up to 100 calls at once",
        ),
        (SingleTask(partial(partial(by_host))), "by_host: single task, sync"),
        (
            SingleTask(partial(work), concurrency_limit=1),
            "work: single task, async, one call at a time\nDo it.",
        ),
        (
            SingleTask(work, concurrency_limit=Adaptive(min=2, max=1000)),
            "work: single task, async, 2 to 1,000 calls at once, found by trying\n",
        ),
        (
            SingleTask(work, max_retries=1, concurrency_limit=1),
            "work: single task, async, one call at a time, up to 2 attempts\n",
        ),
        (
            SingleTask(by_host, key=by_host),
            "by_host: single task, sync, one at a time for each key, takes items in order\n",
        ),
        (
            SingleTask(by_host, in_order=True),
            "by_host: single task, sync, takes items in order\n",
        ),
        (
            BatchTask(by_host, max_size=1000),
            "by_host: batch task, sync, batches of up to 1,000 items, takes items in order\n",
        ),
        (
            BatchTask(work, min_size=10, max_size=20),
            "work: batch task, async, one call at a time, batches of 10 to 20 items, takes",
        ),
        (BatchTask(by_host, 5), "by_host: batch task, sync, batches of 5 items, "),
        (BatchTask(by_host), "by_host: batch task, sync, batches of 1 item, "),
        (
            BatchTask(by_host, max_size="auto", target_duration=1),
            "by_host: batch task, sync, batches of up to 1,000 items, found by measuring, ",
        ),
        (
            Whole(),
            "Whole: task of the whole stream, takes items in order\nTake the whole stream.",
        ),
        (Silent(task_name="silent"), "silent: task of the whole stream, "),
        (Unmade(), "Unmade: task of the whole stream, "),
    ],
)
def test_what_a_task_is(task: BaseTask[Any, Any], described: str) -> None:
    """Its kind, its function's, how much at a time, and whether it restores the order."""
    text = task.describe()
    assert text.startswith(described)
    assert len(text.splitlines()) <= 3


@pytest.mark.parametrize("task", [Silent(), SingleTask(by_host), SingleTask(partial(by_host))])
def test_without_docstring_there_is_no_summary(task: BaseTask[Any, Any]) -> None:
    """Nor is it taken from somebody else's."""
    assert len(task.describe().splitlines()) == 1


def no_item() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (SingleTask(no_item), True),
        (SingleTask(by_host), False),
        (SingleTask(by_host).with_inputs("path"), True),
        (SingleTask(by_host).with_inputs(item="path"), True),
        (SingleTask(print), False),
        (SingleTask(min), False),
        (SingleTask(int), False),
        (BatchTask(by_host, 2), False),
        (Whole(), False),
    ],
)
def test_a_function_without_room_for_an_item_is_a_source(
    task: BaseTask[Any, Any], expected: bool
) -> None:
    """Who has no parameter left is called once."""
    assert ("called once, without an item" in task.describe()) == expected


def test_side_inputs_are_named_and_not_shown() -> None:
    """Their values may be anything, also secret."""
    task = SingleTask(lambda item, *args, **kwargs: item).with_inputs("secret", 2, token="secret")
    assert task.describe().splitlines()[1:] == ["Side inputs: 2 by position, token"]


def test_a_shared_stream_lets_calls_start_in_order() -> None:
    """As ``in_order`` does."""
    task = SingleTask(by_host).with_inputs(generate(1))
    assert "takes items in order" in task.describe()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        (" a\r\n\tb ", "a b"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("\ud800", "\ufffd"),
        ("ü中 \U0001f600", "ü中 \U0001f600"),
    ],
)
def test_names_are_shown_in_a_line(text: str, shown: str) -> None:
    """Nothing that a terminal would obey, or a file could not hold, gets through."""
    assert one_line(text) == shown
    assert SingleTask(work, task_name=text).describe().startswith(f"{shown}: ")


# Descriptions of pipelines


def test_a_pipeline_is_described_task_by_task() -> None:
    """With what its runs are like."""

    @single_task(concurrency_limit=20, max_retries=2)
    async def fetch(url: str, session: Any) -> str:
        """Download a page."""
        return url

    @single_task
    def parse(page: str) -> str:
        return page

    @batch_task(max_size=100, max_wait=1.0)
    def store(rows: list[str]) -> None:
        """Write rows."""

    pipeline = (fetch(session="secret") | parse | store).with_context(
        max_parallelism=8, token="secret", user="secret"
    )
    assert pipeline.describe() == inspect.cleandoc(
        """
        Pipeline of 3 tasks, results in input order

        1. fetch: single task, async, up to 20 calls at once, up to 3 attempts
           Download a page.
           Settings: concurrency_limit=20, retry_attempts=3
           Side inputs: session

        2. parse: single task, sync

        3. store: batch task, sync, batches of up to 100 items, takes items in order
           Write rows.
           Settings: max_size=100, max_wait=1.0

        Settings of its runs: max_parallelism=8
        Shared data: token, user
        """
    )


def test_as_completed_no_order_is_restored() -> None:
    """So nothing is said about it."""
    pipeline = Pipeline().add(BatchTask(by_host, 5)).with_execution_mode("as_completed")
    assert pipeline.describe() == inspect.cleandoc(
        """
        Pipeline of 1 task, results as completed

        1. by_host: batch task, sync, batches of 5 items
           Settings: min_size=5

        Settings of its runs: execution_mode='as_completed'
        """
    )


def test_an_empty_pipeline_says_so() -> None:
    """With the settings that it has already."""
    assert Pipeline().describe() == "Empty pipeline"
    pipeline = Pipeline(context=Context(max_in_flight=5))
    assert pipeline.describe() == "Empty pipeline\n\nSettings of its runs: max_in_flight=5"
