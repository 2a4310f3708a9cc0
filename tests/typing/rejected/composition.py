"""Stages and data that do not fit."""

from __future__ import annotations

from collections.abc import AsyncIterator

from conveyor import AsyncStream, Pipeline, batch_task, single_task


class Base: ...


class Derived(Base): ...


@single_task
async def length(text: str) -> int:
    return len(text)


@single_task
async def double(number: int) -> int:
    return 2 * number


@single_task
def words(text: str) -> list[str]:
    return text.split()


@single_task(flatten=False)
def sentence(text: str) -> list[str]:
    return text.split()


@single_task
async def to_base(text: str) -> Base:
    return Base()


@single_task
async def from_derived(value: Derived) -> str:
    return ""


@single_task
async def scale(number: int, factor: int) -> int:
    return number * factor


@single_task
async def source() -> AsyncIterator[int]:
    yield 1


@batch_task(max_size=2)
async def total(batch: list[int]) -> int:
    return sum(batch)


@batch_task(max_size=2)
def join(batch: list[str]) -> str:
    return "".join(batch)


numbers = length | double

double | length  # rejected
words | double  # rejected
sentence | length  # rejected
to_base | from_derived  # rejected
double | source  # rejected
total | join  # rejected
double | join  # rejected
words | total  # rejected
numbers | length  # rejected
numbers | numbers  # rejected
double | numbers  # rejected
double | scale(2) | length  # rejected
words | scale(2)  # rejected
scale(2) | length  # rejected
double | len  # rejected
double | 3  # rejected
Pipeline().add(len)  # rejected

double("a")  # a call of a task may mean anything
double.run(["a"])  # rejected
double.as_completed(["a"])  # rejected
numbers(5)  # rejected
numbers([1, 2])  # rejected
numbers.run(range(3))  # rejected
numbers.as_completed([1.5])  # rejected
(source | double)([1])  # rejected
AsyncStream([1, 2])  # rejected

wrong_in: Pipeline[int, int] = numbers  # rejected
wrong_out: Pipeline[str, str] = numbers  # rejected
text: str = length.run(["a"])[0]  # rejected
