"""Functions and options that the decorators do not take."""

from __future__ import annotations

from conveyor import (
    CircuitBreaker,
    Failed,
    Failure,
    LoggingErrorHandler,
    Rate,
    Success,
    batch_task,
    single_task,
)


async def text_length(text: str) -> int:
    return len(text)


async def total(batch: list[int]) -> int:
    return sum(batch)


single_task(5)  # rejected
single_task(text_length, retries=3)  # rejected
single_task(retries=3)  # rejected
single_task(max_size=3)  # rejected
single_task(weight=len)  # rejected
single_task(on_error="skip_batch")  # rejected
single_task(on_error=lambda error, item: None)  # rejected
single_task(on_error=lambda error: None)  # rejected
single_task(on_error="ignore")  # rejected
single_task(timeout="1")  # rejected
single_task(task_name=3)  # rejected
single_task(retry_on=[ValueError])  # rejected
single_task(retry_config={"max_attempts": 3})  # rejected
single_task(error_handler=LoggingErrorHandler)  # rejected
single_task(retry_on=lambda error: "1")  # rejected
single_task(deadline="1")  # rejected
single_task(rate_limit=5)  # rejected
single_task(max_retries=2, retry_budget=5)  # rejected
single_task(circuit_breaker=5)  # rejected
single_task(circuit_breaker=CircuitBreaker(when_open="skip"))  # rejected
single_task(circuit_breaker=CircuitBreaker(counts=BaseException))  # rejected
single_task(rate_limit=Rate("5"))  # rejected
single_task(flatten="no")  # rejected
single_task(key="key")  # rejected
single_task(key=len, on_key_error="halt")  # rejected
single_task(priority=1)  # rejected
single_task(cache=5)  # rejected
single_task(cache=dict)  # rejected
single_task(cache=(1, 2))  # rejected
single_task(priority=lambda item: str(item))  # rejected
single_task(on_error="skip_item")("not a function")  # rejected

batch_task(total)  # rejected
batch_task("1", 3)  # rejected
batch_task(1, 2, 3)  # rejected
batch_task(max_size=3, size=3)  # rejected
batch_task(max_size=3, max_wait="1")  # rejected
batch_task(max_size=3, weight=5, max_weight=9)  # rejected
batch_task(max_size=3, weight=lambda item: str(item), max_weight=9)  # rejected
batch_task(max_size=3, weight=len, max_weight="9")  # rejected
batch_task(max_size=3, batch_by="key")  # rejected
batch_task(max_size=3, key=len)  # rejected
batch_task(max_size="large", target_duration=1)  # rejected
batch_task(max_size="auto", target_duration="1")  # rejected
batch_task(max_size=3, on_error="skip")  # rejected
batch_task(max_size=3)(text_length)  # rejected
batch_task(max_size=3, flatten=False)(text_length)  # rejected

task = single_task(text_length)
batches = batch_task(max_size=3)(total)

task.replace(retries=3)  # rejected
task.replace(timeout="1")  # rejected
batches.replace(max_size="3")  # rejected
batches.max_size = 5  # rejected
task.timeout = 3.0  # rejected
Failed("not an error")  # rejected
Failure(ValueError(), 1, 0, "work", 1).item = 2  # rejected
Success("text", 0).value + 1  # rejected
