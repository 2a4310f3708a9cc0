"""
The guide to tasks that users of the library have read, snippet by snippet.

Where a snippet uses ``asyncio.sleep``, the test's argument *asyncio* stands for its ``import
asyncio``: once the real module, on asyncio only, and once AnyIO, on both backends.
"""

from __future__ import annotations

import asyncio as real_asyncio
import json
from collections.abc import AsyncIterable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from conveyor import ErrorHandler, batch_task, single_task
from helpers import current_time

both_ways = pytest.mark.parametrize(
    ("anyio_backend", "asyncio"),
    [
        pytest.param("asyncio", real_asyncio, id="as_written"),
        pytest.param("asyncio", anyio, id="asyncio"),
        pytest.param("trio", anyio, id="trio"),
    ],
    indirect=["anyio_backend"],
)


async def drain(stream: AsyncIterable[Any], into: list[Any]) -> None:
    """Move results over one by one, so that those before an error are kept."""
    async for result in stream:
        into.append(result)  # noqa: PERF401


class Failing:
    """A stand-in for work that fails so many times per argument before it succeeds."""

    def __init__(self, failures: int, result: Any = None) -> None:
        self.failures = failures
        self.result = result
        self.called_at: list[float] = []

    async def __call__(self, argument: Any) -> Any:
        self.called_at.append(current_time())
        if len(self.called_at) <= self.failures:
            raise ConnectionError(f"failure {len(self.called_at)}")
        return argument if self.result is None else self.result


# Single tasks


@both_ways
async def test_single_task_basic_usage(asyncio: Any) -> None:
    """The stream of a task over a list collects to ["HELLO", "WORLD"]."""

    @single_task
    async def process_item(item: str) -> str:
        # Process one item
        await asyncio.sleep(0.1)
        return item.upper()

    # Use the task
    results = await process_item(["hello", "world"]).collect()
    assert results == ["HELLO", "WORLD"]
    assert current_time() == 0.1  # both at once


def robust(process_with_retries: Failing) -> Any:
    """Define the task of the configuration example."""

    @single_task(
        on_error="skip_item",  # Error handling strategy
        retry_attempts=3,  # Retry failed items
        retry_delay=1.0,  # Initial retry delay
        retry_exponential_backoff=True,  # Use exponential backoff
        retry_max_delay=60.0,  # Maximum retry delay
        task_name="my_task",  # Custom task name for logging
    )
    async def robust_task(item: str) -> str:
        return await process_with_retries(item)

    return robust_task


async def test_single_task_configuration_retries() -> None:
    """Two failures are retried after about 1 and 2 seconds."""
    process_with_retries = Failing(2)
    robust_task = robust(process_with_retries)
    assert robust_task.task_name == "my_task"
    assert await robust_task(["item"]).collect() == ["item"]
    first, second, third = process_with_retries.called_at
    assert (1.0 <= second - first <= 1.1, 2.0 <= third - second <= 2.2) == (True, True)


async def test_single_task_configuration_skips_after_the_last_attempt() -> None:
    """The third failure skips the item."""
    process_with_retries = Failing(3)
    assert await robust(process_with_retries)(["item"]).collect() == []
    assert len(process_with_retries.called_at) == 3


# Batch tasks


@both_ways
async def test_batch_task_basic_usage(asyncio: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Items are batched by five, and a returned list is spread into items again."""
    batches = []

    @batch_task(max_size=5)
    async def bulk_process(items: list[str]) -> list[str]:
        # Process batch of items
        batches.append(list(items))
        await asyncio.sleep(0.2)
        return [item.upper() for item in items]

    # Items are automatically batched
    async for result in bulk_process(["a", "b", "c", "d", "e", "f"]):
        print(result)
    assert batches == [["a", "b", "c", "d", "e"], ["f"]]
    assert capsys.readouterr().out.split() == ["A", "B", "C", "D", "E", "F"]


@both_ways
async def test_batch_task_keeps_lists_whole_if_asked(asyncio: Any) -> None:
    """With flatten=False the results are the lists that the guide's comment shows."""

    @batch_task(max_size=5, flatten=False)
    async def bulk_process(items: list[str]) -> list[str]:
        await asyncio.sleep(0.2)
        return [item.upper() for item in items]

    results = await bulk_process(["a", "b", "c", "d", "e", "f"]).collect()
    assert results == [["A", "B", "C", "D", "E"], ["F"]]


def optimized(bulk_database_operation: Failing) -> Any:
    """Define the task of the batch configuration example."""

    @batch_task(
        min_size=2,  # Minimum items per batch
        max_size=100,  # Maximum items per batch
        on_error="skip_batch",  # Error handling for batches
        retry_attempts=3,  # Retry failed batches
        retry_delay=1.0,  # Initial retry delay
        task_name="bulk_processor",  # Custom task name
    )
    async def optimized_batch(items: list[dict]) -> list[dict]:
        return await bulk_database_operation(items)

    return optimized_batch


async def test_batch_configuration_retries_the_batch() -> None:
    """A batch that fails twice is called three times."""
    bulk_database_operation = Failing(2)
    optimized_batch = optimized(bulk_database_operation)
    assert (optimized_batch.min_size, optimized_batch.max_size) == (2, 100)
    assert optimized_batch.task_name == "bulk_processor"
    records = [{"id": 1}, {"id": 2}]
    assert await optimized_batch(records).collect() == records
    assert len(bulk_database_operation.called_at) == 3


async def test_batch_configuration_skips_the_batch() -> None:
    """A batch that fails three times is skipped; the next one is not."""
    bulk_database_operation = Failing(3)
    records = [{"id": number} for number in range(150)]
    assert await optimized(bulk_database_operation)(records).collect() == records[100:]


# Error handling strategies


async def test_skip_item() -> None:
    """Invalid JSON is skipped."""

    @single_task(on_error="skip_item")
    async def safe_parse(text: str) -> dict:
        return json.loads(text)  # Invalid JSON is skipped

    assert await safe_parse(['{"a": 1}', "nonsense", "{}"]).collect() == [{"a": 1}, {}]


async def test_skip_batch() -> None:
    """One item that is no string costs its whole batch of ten."""

    @batch_task(max_size=10, on_error="skip_batch")
    async def safe_batch_process(items: list[str]) -> list[str]:
        return [item.upper() for item in items]  # Entire batch skipped on error

    items: list[Any] = [*"abcdefghij", *"klmno", 0, *"qrst", *"uvw"]
    assert await safe_batch_process(items).collect() == [*"ABCDEFGHIJ", *"UVW"]


@pytest.mark.parametrize(("failures", "expected"), [(0, ["ok"]), (2, ["ok"]), (3, [])])
async def test_retry_with_backoff(failures: int, expected: list[str]) -> None:
    """A call is repeated twice; then the item is skipped."""
    http_client = SimpleNamespace(get=Failing(failures, "ok"))

    @single_task(
        retry_attempts=3,
        retry_delay=1.0,
        retry_exponential_backoff=True,
        retry_max_delay=30.0,
        on_error="skip_item",  # Skip after all retries exhausted
    )
    async def api_call(url: str) -> dict:
        return await http_client.get(url)

    assert await api_call(["/"]).collect() == expected
    assert len(http_client.get.called_at) == min(failures + 1, 3)


async def test_fail_fast() -> None:
    """The first error ends the run; results before it have been delivered."""

    @single_task  # on_error="fail" is the default
    async def critical_task(item: str) -> str:
        if not item:
            raise ValueError("Empty item not allowed")
        return item

    assert critical_task.on_error == "fail"
    results: list[str] = []
    with pytest.raises(ValueError, match=r"(?m)^Empty item not allowed$"):
        await drain(critical_task(["a", "b", "", "c"]), results)
    assert results == ["a", "b"]


class CustomErrorHandler(ErrorHandler):
    async def handle_error(
        self, error: Exception, item, task_name: str, attempt: int
    ) -> tuple[bool, any]:
        if isinstance(error, ValueError):
            print(f"Validation error in {task_name}: {error}")
            return True, None  # Continue, skip this item
        return False, None  # Re-raise other errors


@single_task(error_handler=CustomErrorHandler())
async def validated_task(item: str) -> str:
    if not item.strip():
        raise ValueError("Empty item")
    return item.upper()


async def test_custom_handler_skips_the_item(capsys: pytest.CaptureFixture[str]) -> None:
    """(True, None) skips the item whose error it was."""
    assert await validated_task(["a", " ", "b"]).collect() == ["A", "B"]
    assert capsys.readouterr().out == "Validation error in validated_task: Empty item\n"


async def test_custom_handler_raises_other_errors() -> None:
    """(False, None) raises the error itself."""
    with pytest.raises(AttributeError, match="'int' object has no attribute 'strip'"):
        await validated_task(["a", 5]).collect()


# Performance considerations


async def test_batch_sizes_of_databases_and_apis(caplog: pytest.LogCaptureFixture) -> None:
    """A batch of 10 to 1000 records, and batches of up to 10 items."""
    inserted: list[int] = []
    requested: list[int] = []

    async def insert(records: list[dict]) -> list[int]:
        inserted.append(len(records))
        return [record["id"] for record in records]

    async def batch_process(items: list[str]) -> list[dict]:
        requested.append(len(items))
        return [{"item": item} for item in items]

    db, api = SimpleNamespace(bulk_insert=insert), SimpleNamespace(batch_process=batch_process)

    # Large batches for database operations
    @batch_task(min_size=10, max_size=1000)
    async def bulk_insert(records: list[dict]) -> list[int]:
        return await db.bulk_insert(records)

    # Smaller batches for external APIs
    @batch_task(max_size=10)
    async def api_batch(items: list[str]) -> list[dict]:
        return await api.batch_process(items)

    records = [{"id": number} for number in range(1012)]
    assert await bulk_insert(records).collect() == list(range(1012))
    assert await api_batch(["x"] * 25).collect() == [{"item": "x"}] * 25
    assert (inserted, requested) == ([1000, 12], [10, 10, 5])
    assert caplog.records == []


# Advanced features


async def test_side_inputs() -> None:
    """A dictionary given by name reaches every call."""

    @single_task
    async def enrich_data(item: dict, config: dict) -> dict:
        item["enriched"] = config["enrichment_value"]
        return item

    data = [{"id": 1}, {"id": 2}]
    # Use with side inputs
    pipeline = enrich_data.with_inputs(config={"enrichment_value": "processed"})
    results = await pipeline(data).collect()
    assert results == [{"id": 1, "enriched": "processed"}, {"id": 2, "enriched": "processed"}]


async def test_custom_return_types() -> None:
    """Dictionaries stay whole between stages and as results."""

    @single_task
    async def parse_and_validate(text: str) -> dict:
        data = json.loads(text)
        return {
            "parsed": data,
            "length": len(text),
            "valid": True,
        }

    @batch_task(max_size=5)
    async def aggregate_results(items: list[dict]) -> dict:
        return {
            "count": len(items),
            "total_length": sum(item["length"] for item in items),
            "all_valid": all(item["valid"] for item in items),
        }

    assert await parse_and_validate(["[1]"]).collect() == [
        {"parsed": [1], "length": 3, "valid": True}
    ]
    pipeline = parse_and_validate | aggregate_results
    assert await pipeline(["1", "22", "333", "4444", "5", "66"]).collect() == [
        {"count": 5, "total_length": 11, "all_valid": True},
        {"count": 1, "total_length": 2, "all_valid": True},
    ]


# Best practices


async def test_chained_focused_tasks() -> None:
    """validate_email | send_notification validates, then sends."""
    sent = []

    async def send(email: str) -> bool:
        sent.append(email)
        return True

    email_service = SimpleNamespace(send=send)

    # Good: Focused tasks
    @single_task
    async def validate_email(email: str) -> str:
        if "@" not in email:
            raise ValueError("Invalid email")
        return email

    @single_task
    async def send_notification(email: str) -> bool:
        return await email_service.send(email)

    # Chain them: validate_email | send_notification
    chain = validate_email | send_notification
    assert await chain(["a@x.org"]).collect() == [True]
    with pytest.raises(ValueError, match=r"(?m)^Invalid email$"):
        await chain(["nobody"]).collect()
    assert sent == ["a@x.org"]
