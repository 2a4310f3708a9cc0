"""
The guide to best practices that users of the library have read, snippet by snippet.

Its two tests carry ``@pytest.mark.asyncio`` there, a mark of another plug-in; here the suite's own
machinery runs them, on both backends.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from conveyor import Context, Pipeline, batch_task, get_current_context, single_task
from helpers import current_time


class Service:
    """A stand-in for a client: its methods answer as told and note what they were asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Any] = []
        self.asked_at: list[float] = []

    def __getattr__(self, name: str) -> Any:
        async def method(argument: Any) -> Any:
            self.asked.append(argument)
            self.asked_at.append(current_time())
            return self.answers[name](argument)

        return method


# Pipeline design


@single_task
async def validate_email(email: str) -> str:
    if "@" not in email:
        raise ValueError("Invalid email")
    return email


@single_task
async def send_email(email: str) -> dict:
    # Send email logic
    return {"email": email, "sent": True}


async def test_focused_tasks_make_a_pipeline() -> None:
    """Two small tasks in a row do the work of a large one."""
    sent = await (validate_email | send_email)(["a@x.org", "b@x.org"]).collect()
    assert sent == [{"email": "a@x.org", "sent": True}, {"email": "b@x.org", "sent": True}]


async def test_focused_task_stops_the_pipeline() -> None:
    """What validation raises reaches the caller itself."""
    with pytest.raises(ValueError, match=r"(?m)^Invalid email$"):
        await (validate_email | send_email)(["nobody"]).collect()


async def test_appropriate_task_types() -> None:
    """Single tasks ask for one thing at a time, batch tasks for fifty at once."""
    api_client = Service(get_user=lambda user_id: {"id": user_id})
    db = Service(bulk_insert=lambda records: [record["id"] for record in records])

    # Use single_task for I/O operations
    @single_task
    async def fetch_user_data(user_id: int) -> dict:
        return await api_client.get_user(user_id)

    # Use batch_task for operations that benefit from batching
    @batch_task(max_size=50)
    async def bulk_insert(records: list[dict]) -> list[int]:
        return await db.bulk_insert(records)

    assert await (fetch_user_data | bulk_insert)(range(120)).collect() == list(range(120))
    assert sorted(api_client.asked) == list(range(120))
    assert [len(records) for records in db.asked] == [50, 50, 20]


# Error handling


@single_task
async def safe_divide(a: float, b: float) -> float:
    if b == 0:
        raise ValueError("Division by zero")
    if not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        raise TypeError("Arguments must be numbers")
    return a / b


async def test_defensive_task_awaited() -> None:
    """A task called with all its arguments and awaited is the function's call."""
    assert await safe_divide(6, 3) == 2.0
    with pytest.raises(ValueError, match=r"(?m)^Division by zero$"):
        await safe_divide(6, 0)
    with pytest.raises(TypeError, match=r"(?m)^Arguments must be numbers$"):
        await safe_divide("6", 3)


async def test_defensive_task_in_a_pipeline() -> None:
    """The second argument is a side input, or given along with the data."""
    assert await safe_divide.with_inputs(2)([2, 4]).collect() == [1.0, 2.0]
    assert await safe_divide([2, 4], 2).collect() == [1.0, 2.0]
    assert await Pipeline().add(safe_divide)([2, 4], b=2).collect() == [1.0, 2.0]


async def test_skip_invalid_items() -> None:
    """Text that is no JSON is skipped."""

    # Skip invalid items
    @single_task(on_error="skip_item")
    async def parse_json(text: str) -> dict:
        return json.loads(text)

    assert await parse_json(['{"a": 1}', "{", '{"b": 2}']).collect() == [{"a": 1}, {"b": 2}]


def failing(times: int) -> Any:
    """Return a get() that fails so many times, then answers."""
    left = [times]

    def get(url: str) -> dict:
        if left[0]:
            left[0] -= 1
            raise ConnectionError(f"attempt with {left[0]} to go")
        return {"url": url}

    return get


def api_call_task(http_client: Service) -> Any:
    """Define the task of the snippet."""

    # Retry with exponential backoff
    @single_task(on_error="retry", max_retries=3, retry_delay=1.0, retry_backoff=2.0)
    async def api_call(url: str) -> dict:
        return await http_client.get(url)

    return api_call


async def test_retry_with_exponential_backoff() -> None:
    """Three retries come after 1, 2 and 4 seconds, each with up to 10 % jitter."""
    http_client = Service(get=failing(3))
    api_call = api_call_task(http_client)
    assert await api_call(["/users"]).collect() == [{"url": "/users"}]
    first, second, third, fourth = http_client.asked_at
    assert first == 0.0
    assert 1.0 <= second - first <= 1.1
    assert 2.0 <= third - second <= 2.2
    assert 4.0 <= fourth - third <= 4.4


async def test_retry_without_jitter_is_exact() -> None:
    """The same task without jitter calls at 0, 1, 3 and 7 seconds."""
    http_client = Service(get=failing(3))
    api_call = api_call_task(http_client).replace(retry_jitter=0)
    assert await api_call("/users") == {"url": "/users"}
    assert http_client.asked_at == [0.0, 1.0, 3.0, 7.0]


async def test_retry_gives_up_with_the_last_error() -> None:
    """After the fourth call, the error of that call is the run's."""
    http_client = Service(get=failing(9))
    with pytest.raises(ConnectionError, match=r"(?m)^attempt with 5 to go$"):
        await api_call_task(http_client)(["/users"]).collect()
    assert http_client.asked == ["/users"] * 4


# Performance optimization


async def test_large_batches_for_databases_small_ones_for_rate_limited_apis() -> None:
    """max_size decides how many calls 25 items make."""
    db = Service(bulk_insert=lambda records: [record["id"] for record in records])
    api_client = Service(batch_process=lambda items: [{"item": item} for item in items])

    # For database operations, larger batches are often better
    @batch_task(max_size=1000)
    async def bulk_database_insert(records: list[dict]) -> list[int]:
        return await db.bulk_insert(records)

    # For API calls with rate limits, smaller batches may be better
    @batch_task(max_size=10)
    async def api_batch_call(items: list[str]) -> list[dict]:
        return await api_client.batch_process(items)

    records = [{"id": number} for number in range(25)]
    assert await bulk_database_insert(records).collect() == list(range(25))
    assert [len(batch) for batch in db.asked] == [25]
    items = [str(number) for number in range(25)]
    assert await api_batch_call(items).collect() == [{"item": item} for item in items]
    assert [len(batch) for batch in api_client.asked] == [10, 10, 5]


async def test_concurrency_limit_of_an_external_api() -> None:
    """Of twenty requests, no more than five are ever made at a time."""
    in_flight = 0
    peak = 0

    async def process(item: str) -> dict:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        await anyio.sleep(1)
        in_flight -= 1
        return {"item": item}

    external_api = SimpleNamespace(process=process)

    @single_task(concurrency_limit=5)  # Max 5 concurrent requests
    async def external_api_call(item: str) -> dict:
        return await external_api.process(item)

    items = [str(number) for number in range(20)]
    assert await external_api_call(items).collect() == [{"item": item} for item in items]
    assert (peak, current_time()) == (5, 4.0)


# Memory management


class LargeFile:
    """A stand-in for what ``aiofiles.open()`` returns; it counts the lines read from it."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.read = 0
        self.closed = False

    async def __aenter__(self) -> LargeFile:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[str]:
        for number in range(self.lines):
            self.read += 1
            yield f"line {number}\n"


async def test_large_file_is_read_as_results_are_taken() -> None:
    """At no time are more than a window of lines held, and the file is closed at the end."""
    file = LargeFile(3000)
    aiofiles = SimpleNamespace(open=lambda name: file)
    handled: list[str] = []
    ahead = 0

    @single_task
    async def shout(line: str) -> str:
        return line.upper()

    pipeline = Pipeline().add(shout)

    def handle_result(result: str) -> None:
        nonlocal ahead
        handled.append(result)
        ahead = max(ahead, file.read - len(handled))

    async def process_large_file():
        async def read_lines():
            async with aiofiles.open("large_file.txt") as f:
                async for line in f:
                    yield line.strip()

        # Memory usage stays constant regardless of file size
        async for result in pipeline(read_lines()):
            handle_result(result)

    await process_large_file()
    assert handled == [f"LINE {number}" for number in range(3000)]
    assert ahead <= 1000
    assert file.closed


async def test_stream_results_instead_of_collecting_them() -> None:
    """Saving each result as it comes gives what collecting all of them gives."""
    saved: list[int] = []

    @single_task
    async def double(x: int) -> int:
        return x * 2

    pipeline = Pipeline().add(double)
    data = [1, 2, 3]

    async def save_result(result: int) -> None:
        saved.append(result)

    # Good: Stream results
    async for result in pipeline(data):
        await save_result(result)

    # Avoid: Collecting all results in memory
    results = await pipeline(data).collect()  # Uses lots of memory
    assert saved == results == [2, 4, 6]


# Testing


@single_task
async def add_one(x: int) -> int:
    return x + 1


async def test_add_one():
    """A task is tested by awaiting its call."""
    result = await add_one(5)
    assert result == 6


async def test_pipeline():
    """A pipeline is tested by collecting what it makes of a few items."""
    task1 = task2 = task3 = add_one
    pipeline = task1 | task2 | task3
    results = await pipeline([1, 2, 3]).collect()
    assert len(results) == 3
    assert results == [4, 5, 6]


# Monitoring and observability

logger = logging.getLogger(__name__)


async def do_processing(item: dict) -> dict:
    return {"id": item["id"], "share": 1 / item["parts"]}


@single_task
async def process_item(item: dict) -> dict:
    logger.info(f"Processing item {item.get('id')}")
    try:
        result = await do_processing(item)
        logger.info(f"Successfully processed item {item.get('id')}")
        return result
    except Exception as e:
        logger.error(f"Failed to process item {item.get('id')}: {e}")
        raise


async def test_logging_in_a_task(caplog: pytest.LogCaptureFixture) -> None:
    """Tasks log what they do, in a pipeline as anywhere."""
    caplog.set_level(logging.INFO, logger=__name__)
    assert await process_item([{"id": 7, "parts": 2}]).collect() == [{"id": 7, "share": 0.5}]
    assert caplog.messages == ["Processing item 7", "Successfully processed item 7"]


async def test_logging_and_raising_again_in_a_task(caplog: pytest.LogCaptureFixture) -> None:
    """A task may log its error and raise it again."""
    caplog.set_level(logging.INFO, logger=__name__)
    with pytest.raises(ZeroDivisionError):
        await process_item([{"id": 8, "parts": 0}]).collect()
    assert caplog.messages == ["Processing item 8", "Failed to process item 8: division by zero"]


async def test_metrics_of_a_task_that_awaits_another() -> None:
    """A task can await another task, and time it."""
    recorded: list[tuple[str, float]] = []
    metrics = SimpleNamespace(record_duration=lambda name, value: recorded.append((name, value)))

    @single_task
    async def process_item(item: str) -> str:
        return item.upper()

    @single_task
    async def timed_task(item: str) -> str:
        start_time = time.time()
        result = await process_item(item)
        duration = time.time() - start_time
        metrics.record_duration("task_duration", duration)
        return result

    assert await timed_task(["a", "b"]).collect() == ["A", "B"]
    assert [name for name, _ in recorded] == ["task_duration", "task_duration"]


# Configuration management


def create_context():
    # fmt: off
    return Context({
        "api_key": os.getenv("API_KEY"),
        "database_url": os.getenv("DATABASE_URL"),
        "max_retries": int(os.getenv("MAX_RETRIES", "3")),
    })
    # fmt: on


def validate_config(context: Context):
    required_keys = ["api_key", "database_url"]
    for key in required_keys:
        if not context.get(key):
            raise ValueError(f"Missing required configuration: {key}")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that the snippets read."""
    monkeypatch.setenv("API_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.delenv("MAX_RETRIES", raising=False)


@pytest.mark.usefixtures("environment")
def test_context_holds_configuration() -> None:
    """A context is made of a dictionary and asked by key."""
    context = create_context()
    assert context.get("api_key") == "secret"
    assert context.get("max_retries") == 3
    assert context.get("unknown", "default") == "default"
    assert context.data == {"api_key": "secret", "database_url": "sqlite://", "max_retries": 3}
    validate_config(context)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("key", ["api_key", "database_url"])
def test_missing_configuration_is_found_at_startup(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """validate_config() names the key that is not set."""
    monkeypatch.delenv(key.upper())
    with pytest.raises(ValueError, match=f"^Missing required configuration: {key}$"):
        validate_config(create_context())


@pytest.mark.usefixtures("environment")
async def test_tasks_read_the_configuration() -> None:
    """A pipeline's tasks find the context they were configured with."""

    @single_task
    async def sign(text: str) -> str:
        return f"{text}:{get_current_context().get('api_key')}"

    assert await Pipeline(create_context()).add(sign)(["a"]).collect() == ["a:secret"]


# Documentation


@single_task
async def normalize_email(email: str) -> str:
    """
    Normalize an email address to lowercase.

    Args:
        email: The email address to normalize

    Returns:
        The normalized email address

    Raises:
        ValueError: If the email format is invalid
    """
    if "@" not in email:
        raise ValueError("Invalid email format")
    return email.lower().strip()


async def test_documented_task() -> None:
    """A task keeps its function's docstring."""
    assert "Normalize an email address to lowercase." in normalize_email.__doc__
    assert await normalize_email([" A@X.org "]).collect() == ["a@x.org"]
    with pytest.raises(ValueError, match=r"(?m)^Invalid email format$"):
        await normalize_email("nobody")


async def test_documented_pipeline() -> None:
    """Four stages in parentheses are a pipeline of four."""
    steps: list[str] = []

    def step(name: str) -> Any:
        @single_task(task_name=name)
        async def do(email: str) -> str:
            steps.append(name)
            return email

        return do

    create_user, send_welcome_email = step("create"), step("welcome")
    update_analytics = step("analytics")

    # User registration pipeline
    # Validates email -> Creates user -> Sends welcome email -> Updates analytics
    # fmt: off
    user_registration_pipeline = (
        validate_email |
        create_user |
        send_welcome_email |
        update_analytics
    )
    # fmt: on

    assert await user_registration_pipeline(["a@x.org"]).collect() == ["a@x.org"]
    assert steps == ["create", "welcome", "analytics"]
