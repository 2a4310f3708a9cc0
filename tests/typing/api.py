"""What type checkers must infer; nothing here is run."""

from __future__ import annotations

import random
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Any

from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider
from prometheus_client import CollectorRegistry
from typing_extensions import Never, Unpack, assert_never, assert_type

from conveyor import (
    DIVERT,
    FAIL,
    Adaptive,
    AsyncStore,
    AsyncStream,
    BaseTask,
    BatchTask,
    CircuitBreaker,
    CircuitState,
    Decision,
    Failed,
    Failure,
    FailurePolicy,
    Failures,
    Observer,
    Outcome,
    Pipeline,
    PipelineContext,
    Rate,
    Replace,
    RetryBudget,
    RetryConfig,
    SingleTask,
    Success,
    batch_task,
    from_thread,
    record_timeline,
    single_task,
)
from conveyor.calls import TaskCall
from conveyor.observers import (
    Metrics,
    Progress,
    PrometheusMetrics,
    Timeline,
    TqdmProgress,
    Tracing,
)
from conveyor.options import SingleTaskOptions
from conveyor.results import Results
from conveyor.stream import PipelineStream
from conveyor.testing import ProbeConsumer, ProbeSource, backend_options, check_task, run, shake


class Base: ...


class Derived(Base): ...


@dataclass
class Point:
    x: int


# What a function returns and what goes downstream: coroutine functions


@single_task
async def length(text: str) -> int:
    return len(text)


@single_task
async def double(number: int) -> int:
    return 2 * number


@single_task
async def even(number: int) -> int | None:
    return None if number % 2 else number


@single_task
async def pair(number: int) -> list[int]:
    return [number, number]


@single_task
async def maybe_pair(number: int) -> list[int] | None:
    return [number, number] if number else None


@single_task
async def one_or_many(number: int) -> int | list[int]:
    return number if number else []


@single_task
async def point_or_text(number: int) -> Point | str:
    return Point(number) if number else ""


@single_task
async def text_or_numbers(number: int) -> str | list[int] | None:
    return "" if number else [1]


@single_task
async def record(text: str) -> dict[str, Any]:
    return {"text": text}


@single_task
async def records(text: str) -> list[dict[str, Any]]:
    return [{"text": text}]


@single_task
async def rows(table: dict[str, Any], limit: Any = None) -> list[tuple[str, int]]:
    return [("", 1)]


@single_task
async def items(count: int) -> tuple[str, int] | None:
    return ("", count)


@single_task
async def sink(number: int) -> None: ...


@single_task
async def agenerated(count: int) -> AsyncIterator[str]:
    yield str(count)


@single_task
async def agenerated_exactly(count: int) -> AsyncGenerator[str, None]:
    yield str(count)


assert_type(length, SingleTask[str, int])
assert_type(double, SingleTask[int, int])
assert_type(even, SingleTask[int, int])
assert_type(pair, SingleTask[int, int])
assert_type(maybe_pair, SingleTask[int, int])
assert_type(one_or_many, SingleTask[int, int])
assert_type(point_or_text, SingleTask[int, Point | str])
assert_type(text_or_numbers, SingleTask[int, int | str])
assert_type(record, SingleTask[str, dict[str, Any]])
assert_type(records, SingleTask[str, dict[str, Any]])
assert_type(rows, SingleTask[dict[str, Any], tuple[str, int]])
assert_type(items, SingleTask[int, tuple[str, int]])
assert_type(sink, SingleTask[int, Never])
assert_type(agenerated, SingleTask[int, str])
assert_type(agenerated_exactly, SingleTask[int, str])


# Plain functions and generator functions


@single_task
def upper(text: str) -> str:
    return text.upper()


@single_task
def positive(number: int) -> int | None:
    return number if number > 0 else None


@single_task
def number_or_text(number: int) -> int | str:
    return number or ""


@single_task
def words(text: str) -> list[str]:
    return text.split()


@single_task
def maybe_words(text: str) -> list[str] | None:
    return text.split() or None


@single_task
def generated(count: int) -> Iterator[str]:
    yield str(count)


@single_task
def generated_exactly(count: int) -> Generator[str, None, None]:
    yield str(count)


@single_task
def characters(text: str) -> set[str]:
    return set(text)


assert_type(upper, SingleTask[str, str])
assert_type(positive, SingleTask[int, int])
assert_type(number_or_text, SingleTask[int, int | str])
assert_type(words, SingleTask[str, str])
assert_type(maybe_words, SingleTask[str, str])
assert_type(generated, SingleTask[int, str])
assert_type(generated_exactly, SingleTask[int, str])
assert_type(characters, SingleTask[str, set[str]])


# Sources


@single_task
async def answer() -> int:
    return 42


@single_task
async def ticks() -> AsyncIterator[int]:
    yield 1


@single_task
def lines() -> list[str]:
    return []


assert_type(answer, SingleTask[Never, int])
assert_type(ticks, SingleTask[Never, int])
assert_type(lines, SingleTask[Never, str])
assert_type(ticks | double, Pipeline[Never, int])
assert_type((ticks | double)(), PipelineStream[int])
assert_type((lines | upper).run(), list[str])


# Further parameters, partials, callable objects, lambdas of known type


@single_task
async def scale(number: int, factor: float, *, offset: float = 0.0) -> float:
    return number * factor + offset


@single_task
def repeat(number: int = 3) -> str:
    return number * "x"


class Shout:
    def __call__(self, text: str) -> list[str]:
        return [text.upper()]


async def fetch(url: str, timeout: float) -> list[bytes]:
    return [url.encode()]


assert_type(scale, SingleTask[int, float])
assert_type(scale.with_inputs(2.0, offset=1.0), SingleTask[int, float])
assert_type(repeat, SingleTask[int, str])
assert_type(single_task(Shout()), SingleTask[str, str])
fetched = single_task(partial(fetch, timeout=5.0))
fetch_result: PipelineStream[bytes] = fetched("...")


# With keywords


@single_task()
async def with_parentheses(number: int) -> str:
    return str(number)


@single_task(
    on_error="retry",
    max_retries=3,
    retry_delay=1,
    retry_on=(OSError, ValueError),
    timeout=2.5,
    deadline=60,
    rate_limit=Rate(100, per=60, burst=10, cost=lambda item: 2.5),
    retry_budget=RetryBudget(50, per_success=0.2),
    circuit_breaker=CircuitBreaker(3, when_open="wait", counts=(OSError, ValueError)),
    concurrency_limit=5,
    task_name="kept",
)
async def with_options(number: int) -> str | None:
    return str(number)


# A fallback says what the task takes and gives


@single_task(fallback=length, max_retries=1)
async def guarded(text: str) -> int | None:
    return len(text)


@single_task(fallback=upper)
def guarded_generator(text: str) -> Iterator[str]:
    yield text


@single_task(flatten=False, fallback=single_task(flatten=False)(str.split))
def guarded_whole(text: str) -> list[str]:
    return [text]


@batch_task(max_size=2)
async def sizes(batch: list[str]) -> list[int]:
    return [len(text) for text in batch]


@batch_task(max_size=2, fallback=sizes)
async def guarded_batch(batch: list[str]) -> int:
    return len(batch)


assert_type(guarded, SingleTask[str, int])
assert_type(guarded_generator, SingleTask[str, str])
assert_type(guarded_whole, SingleTask[str, list[str]])
assert_type(guarded_batch, BatchTask[str, int])
assert_type(single_task(len, fallback=length), SingleTask[str, int])
assert_type(length.replace(fallback=guarded), SingleTask[str, int])


@single_task(
    hedge_after=0.5,
    concurrency_limit=Adaptive(
        5,
        50,
        min=2,
        throttled_by=lambda error: isinstance(error, OSError),
        tolerance=3,
        backoff=0.5,
    ),
)
async def with_adaptive_limit(number: int) -> str:
    return str(number)


assert_type(with_adaptive_limit, SingleTask[int, str])
assert_type(with_adaptive_limit.concurrency_limit, int | Adaptive | None)
assert_type(with_adaptive_limit.hedge_after, float | None)


async def checked(number: int) -> int | None:
    return None


@single_task(before=checked, after=lambda number, text: print(text))
async def with_hooks(number: int) -> str:
    return str(number)


@batch_task(max_size=2, before=len, after=lambda numbers, text: None)
def with_batch_hooks(numbers: list[int]) -> str:
    return str(numbers)


assert_type(with_hooks, SingleTask[int, str])
assert_type(with_hooks.replace(before=None), SingleTask[int, str])
assert_type(with_hooks.before, Callable[[Any], Any] | None)
assert_type(with_hooks.after, Callable[[Any, Any], Any] | None)
assert_type(with_batch_hooks, BatchTask[int, str])


async def decide(error: Exception, item: int) -> Decision | Replace:
    return Replace("") if item else FAIL


@single_task(on_error=decide)
async def with_decision(number: int) -> str:
    return str(number)


@batch_task(max_size=2, on_error=lambda error, batch: FAIL)
async def with_batch_decision(batch: list[int]) -> str:
    return str(batch)


state: CircuitState = CircuitBreaker(counts=lambda error: bool(error.args)).state
assert_type(with_decision, SingleTask[int, str])
assert_type(with_batch_decision, BatchTask[int, str])


@single_task(retry_on=lambda error: 2.5 if error.args else False)
async def with_delay(number: int) -> str:
    return str(number)


class Keeper:
    async def get(self, key: int, default: object) -> object:
        return default

    async def set(self, key: int, value: str) -> None:
        pass


keeper: AsyncStore = Keeper()
kept: dict[int, str] = {}


@single_task(cache=kept, key=lambda user: user)
async def with_cache(user: int) -> str:
    return str(user)


assert_type(with_cache, SingleTask[int, str])
assert_type(with_cache.replace(cache=Keeper()), SingleTask[int, str])


@single_task(
    key=lambda user: user % 7,
    priority=lambda user: user / 2,
    on_key_error="halt_key",
    on_error="skip_item",
)
async def with_key(user: int) -> str:
    return str(user)


assert_type(with_key, SingleTask[int, str])


@single_task(retry_config=RetryConfig(max_attempts=2), flatten=True)
async def spread(number: int) -> list[int]:
    return [number]


@single_task(flatten=False)
async def whole(number: int) -> list[int]:
    return [number]


@single_task(flatten=False)
def maybe_whole(number: int) -> list[int] | None:
    return [number]


@single_task(flatten=False)
async def whole_generated(number: int) -> AsyncIterator[list[int]]:
    yield [number]


@single_task(flatten=False)
async def whole_source() -> list[int]:
    return [1]


assert_type(with_parentheses, SingleTask[int, str])
assert_type(with_options, SingleTask[int, str])
assert_type(spread, SingleTask[int, int])
assert_type(whole, SingleTask[int, list[int]])
assert_type(maybe_whole, SingleTask[int, list[int]])
assert_type(whole_generated, SingleTask[int, list[int]])
assert_type(whole_source, SingleTask[Never, list[int]])
assert_type(single_task(fetch, retry_attempts=2), SingleTask[str, bytes])
assert_type(single_task(fetch, flatten=random.random() > 0.5), SingleTask[Any, Any])
assert_type(double.replace(timeout=1.0, on_error="skip_item"), SingleTask[int, int])


def make(**options: Unpack[SingleTaskOptions]) -> SingleTask[int, int]:
    """Options can be handed on."""
    return single_task(**options)(lambda number: number)


# Batch tasks


@batch_task(max_size=3)
async def total(batch: list[int]) -> int:
    return sum(batch)


@batch_task(2, 3)
def each(batch: Sequence[int]) -> list[str]:
    return [str(number) for number in batch]


@batch_task(min_size=1, max_size=10, max_wait=0.5, on_error="skip_batch", concurrency_limit=2)
async def insert(batch: list[Point], table: str) -> AsyncIterator[int]:
    for point in batch:
        yield point.x


@batch_task(max_size=2)
async def any_of(batch: Iterable[str]) -> str | None:
    return next(iter(batch), None)


@batch_task(max_size=2)
async def written(batch: list[str]) -> None: ...


@batch_task(max_size=2)
async def mixed(batch: list[str]) -> str | int:
    return batch[0] if batch else 0


@batch_task(max_size=2, flatten=False)
async def whole_batch(batch: list[int]) -> list[int]:
    return batch


assert_type(total, BatchTask[int, int])
assert_type(each, BatchTask[int, str])
assert_type(insert, BatchTask[Point, int])
assert_type(any_of, BatchTask[str, str])
assert_type(written, BatchTask[str, Never])
assert_type(mixed, BatchTask[str, str | int])
assert_type(whole_batch, BatchTask[int, list[int]])
assert_type(total.max_size, int)
assert_type(total.max_weight, float | None)
assert_type(total.replace(max_size="auto", target_duration=1), BatchTask[int, int])
assert_type(total.replace(batch_by=lambda item: (item % 2, "x")), BatchTask[int, int])
assert_type(total.replace(weight=lambda item: 2 * item, max_weight=5), BatchTask[int, int])
assert_type(total.replace(min_size=2, max_size=5), BatchTask[int, int])


# Methods


class Client:
    @single_task
    async def get(self, url: str) -> list[bytes]:
        return [url.encode()]

    @single_task(max_retries=2)
    async def poll(self) -> int | None:
        return 1

    @batch_task(max_size=10)
    async def put(self, batch: list[int], table: str = "") -> str | None:
        return table or None

    @batch_task(max_size=10, flatten=False)
    def sort(self, batch: list[int]) -> list[int]:
        return sorted(batch)


client = Client()
assert_type(client.get, SingleTask[Any, bytes])
assert_type(client.poll, SingleTask[Any, int])
assert_type(client.put, BatchTask[Any, str])
assert_type(client.sort, BatchTask[Any, list[int]])
assert_type(Client.get, SingleTask[Client, bytes])
assert_type(upper | client.get, Pipeline[str, bytes])
assert_type(client.put.max_size, int)


# Composition

strings: Pipeline[int, str] = double | with_parentheses

assert_type(length | double, Pipeline[str, int])
assert_type(length | double | total, Pipeline[str, int])
assert_type(length | total, Pipeline[str, int])
assert_type(total | double, Pipeline[int, int])
assert_type(strings | length, Pipeline[int, int])
assert_type(length | strings, Pipeline[str, str])
assert_type(strings | (length | double), Pipeline[int, int])
assert_type(double | scale(2.0, offset=1.0), Pipeline[int, float])
assert_type(scale(2.0), TaskCall[int, float])
assert_type(repeat(3) | length, Pipeline[int, int])
assert_type(repeat(3) | (length | double), Pipeline[int, int])
assert_type(strings.with_context(max_in_flight=10, table="t"), Pipeline[int, str])
assert_type(strings.with_execution_mode("as_completed"), Pipeline[int, str])
assert_type(double.with_context(max_parallelism=2), Pipeline[int, int])
assert_type(double.with_progress(), Pipeline[int, int])
assert_type(strings.with_progress("strings", interval=0.5), Pipeline[int, str])
double.with_observer(Progress(live=False, log_interval=1), TqdmProgress(desc="double"))
assert_type(double.pipeline(), Pipeline[int, int])
assert_type(Pipeline(), Pipeline[Any, Any])
assert_type(Pipeline().add(double, strings, repeat(2)), Pipeline[Any, Any])
assert_type(sink | length, Pipeline[int, int])


# In is contravariant, Out covariant


@single_task
async def takes_base(value: Base) -> Derived:
    return Derived()


@single_task
async def takes_derived(value: Derived) -> Base:
    return value


assert_type(takes_base | takes_derived, Pipeline[Base, Base])
narrowed: SingleTask[Derived, Base] = takes_base
narrowed_pipeline: Pipeline[Derived, Base] = takes_base | takes_base
widened_stream: AsyncStream[Base] = takes_base([Base()])
general: BaseTask[Derived, Base] = takes_base


# Use


async def use(source: AsyncIterator[int], stream: AsyncStream[int]) -> None:
    """Every way in which results come out."""
    assert_type(strings([1, 2]), PipelineStream[str])
    assert_type(strings(range(3)), PipelineStream[str])
    assert_type(strings({1, 2}), PipelineStream[str])
    assert_type(strings(number for number in (1, 2)), PipelineStream[str])
    assert_type(strings(source), PipelineStream[str])
    assert_type(strings(stream), PipelineStream[str])
    assert_type(strings(1), PipelineStream[str])
    assert_type(strings(), PipelineStream[str])
    assert_type((length | double)("one item"), PipelineStream[int])
    assert_type((length | double)(upper(["a"])), PipelineStream[int])
    assert_type(strings([1]).as_completed(), PipelineStream[str])
    assert_type(strings.as_completed([1]), PipelineStream[str])
    assert_type(double.as_completed([1]), PipelineStream[int])
    assert_type(await strings([1]).collect(), list[str])
    assert_type(await strings([1]).collect(limit=3), list[str])
    assert_type(await strings([1]).first(), str | None)
    assert_type(await double([1]).collect(), list[int])
    assert_type(strings.run([1]), list[str])
    assert_type(strings.run(1, backend="trio"), list[str])
    assert_type(double.run([1], backend="trio"), list[int])
    async for text in strings([1]):
        assert_type(text, str)
    async for number in double([1]):
        assert_type(number, int)
    async with strings([1]) as results:
        assert_type(results, Results[str])
        async for text in results:
            assert_type(text, str)
        assert_type(await results.collect(), list[str])
    async with stream as iterator:
        assert_type(iterator, AsyncIterator[int])
    assert_type(await stream.collect(), list[int])
    assert_type(await (sink | double)([1]).collect(), list[int])
    plain: int = await double(5)
    print(plain)


# A task that serves the whole stream may be written either way.


class Deduplicate(BaseTask[int, int]):
    async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        seen = set[int]()
        async for item in items:
            if item not in seen:
                seen.add(item)
                yield item


class Wrapped(BaseTask[int, int]):
    async def process(self, items: AsyncIterator[int]) -> AsyncStream[int]:
        return AsyncStream(items)


assert_type(double | Deduplicate() | Wrapped(), Pipeline[int, int])


# The kit for tests


async def count_up(start: int, word: str) -> list[int]:
    return [start, len(word)]


assert_type(run(count_up, 1, "x", backend="trio", seed=1), list[int])
assert_type(backend_options("trio", 1), tuple[str, dict[str, Any]])
shake(count_up, 1, "x", seeds=range(3))


async def probes() -> None:
    source: ProbeSource[int] = ProbeSource()
    await source.send(1)
    async with ProbeConsumer(double(source)) as consumer:
        assert_type(consumer, ProbeConsumer[int])
        assert_type(await consumer.next(), int)
        assert_type(consumer.received, list[int])
    await check_task(length, ["a"], [1])


# Draining


async def drain() -> None:
    stream = double([1])
    assert_type(stream.drain(), None)
    async with stream as results:
        assert_type(results.drain(timeout=1.5), None)


# Outcomes, and failures by the side


async def outcomes(stream: AsyncStream[int]) -> None:
    assert_type(strings.outcomes([1]), PipelineStream[Outcome[str]])
    assert_type(double.outcomes(stream), PipelineStream[Outcome[int]])
    assert_type(Deduplicate().outcomes([1]), PipelineStream[Outcome[int]])
    async for outcome in double.outcomes([1]):
        assert_type(outcome, Success[int] | Failure)
        match outcome:
            case Success(value, index):
                assert_type(outcome, Success[int])
                assert_type(value, int)
                assert_type(index, int)
            case Failure(error, _, index, task_name, attempts):
                assert_type(outcome, Failure)
                assert_type(error, Exception)
                assert_type(task_name, str)
                assert_type(attempts, int)
            case _:
                assert_never(outcome)
        if isinstance(outcome, Success):
            assert_type(outcome.value, int)
        else:
            assert_type(outcome.error, Exception)
    async with double([1]) as results:
        assert_type(results.failures, Failures)
        assert_type(results.failures[0], Failure)
        assert_type(results.failures[1:], list[Failure])
        assert_type(results.failures.total, int)


successes: Success[Base] = Success(Derived(), 0)
assert_type(double([1]).failures, Failures)


async def tell(failure: Failure) -> None:
    print(failure)


double.with_context(on_failure=tell, max_errors=3, max_error_rate=0.1, min_error_sample=10)


@single_task(on_error="divert")
async def diverting(number: int) -> int:
    return number


@batch_task(max_size=2, on_error=lambda error, batch: DIVERT)
async def store(batch: list[int]) -> list[str | Failed]:
    return [Failed(ValueError()) if number else str(number) for number in batch]


@batch_task(max_size=2)
def store_plainly(batch: list[int]) -> list[Derived | Failed]:
    return [Failed(ValueError()) if number else Derived() for number in batch]


class Store:
    @batch_task(max_size=2)
    async def store(self, batch: list[int]) -> list[str | Failed]:
        return [Failed(ValueError()) if number else str(number) for number in batch]


assert_type(diverting, SingleTask[int, int])
assert_type(store, BatchTask[int, str])
assert_type(store_plainly, BatchTask[int, Derived])
assert_type(Store().store | length, Pipeline[Any, int])
assert_type(store | length, Pipeline[int, int])


# Blocking data

assert_type(from_thread([1]), AsyncStream[int])
double(from_thread(range(3), read_ahead=0, abandon_on_cancel=True))


# Failures in order

policy: FailurePolicy = "in_order"
assert_type(double.with_context(failure=policy), Pipeline[int, int])
PipelineContext(failure="fast")


# For people

assert_type(strings.describe(), str)
assert_type(double.describe(), str)
assert_type(strings.to_mermaid(), str)


async def drawn(data: list[int]) -> None:
    async with strings(data) as results:
        assert_type(strings.to_mermaid(results.report(), direction="TB"), str)


# Timelines

timeline = record_timeline("traces/{run_id}.json", max_events=1000, interval=None)
assert_type(timeline, Timeline)
assert_type((length | double).with_observer(timeline), Pipeline[str, int])
assert_type(length.with_observer(timeline), Pipeline[str, int])


# Traces and metrics

telemetry: list[Observer] = [
    Tracing(),
    Tracing(get_tracer_provider(), name="double", sample_calls=0.1),
    Metrics(),
    Metrics(get_meter_provider()),
    PrometheusMetrics(),
    PrometheusMetrics(CollectorRegistry()),
]
assert_type(double.with_observer(*telemetry), Pipeline[int, int])
