"""Fallbacks that take or give something else than the task."""

from __future__ import annotations

from conveyor import batch_task, single_task


@single_task
async def length(text: str) -> int:
    return len(text)


@batch_task(max_size=2)
async def lengths(batch: list[str]) -> list[int]:
    return [len(text) for text in batch]


async def of_text(text: str) -> int:
    return 0


async def of_bytes(data: bytes) -> int:
    return 0


async def to_text(text: str) -> str:
    return text


async def of_texts(batch: list[str]) -> list[int]:
    return []


async def of_numbers(batch: list[int]) -> list[int]:
    return batch


single_task(fallback=length)(of_text)
single_task(fallback=length)(of_bytes)  # rejected
single_task(fallback=length)(to_text)  # rejected
single_task(fallback=length, flatten=False)(to_text)  # rejected
single_task(fallback=lengths)  # rejected
single_task(fallback=len)  # rejected
single_task(of_text, fallback=lengths)  # rejected

batch_task(max_size=2, fallback=lengths)(of_texts)
batch_task(max_size=2, fallback=lengths)(of_numbers)  # rejected
batch_task(max_size=2, fallback=length)  # rejected
