"""Calls of the same key one at a time, in input order; different keys concurrently."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import (
    FAIL,
    RETRY,
    SKIP,
    ConveyorError,
    ErrorHandler,
    KeyHaltedError,
    Pipeline,
    Replace,
    Success,
    batch_task,
    get_current_context,
    single_task,
)
from helpers import current_time, ticks

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


def first_letter(text: str) -> str:
    return text[0]


def itself(item: Any) -> Any:
    return item


class CallLog:
    """Records when calls began and ended, and sees that no two of a key overlap."""

    def __init__(self, key_of: Callable[[Any], Any] = first_letter) -> None:
        self.key_of = key_of
        self.begun: list[Any] = []
        self.times: dict[Any, float] = {}
        self.running: Counter[Any] = Counter()
        self.most = 0

    @contextmanager
    def call(self, item: Any) -> Iterator[None]:
        key = self.key_of(item)
        assert not self.running[key]
        self.begun.append(item)
        self.times[item] = current_time()
        self.running[key] += 1
        self.most = max(self.most, sum(self.running.values()))
        try:
            yield
        finally:
            self.running[key] -= 1

    def of_key(self, key: Any) -> list[Any]:
        return [item for item in self.begun if self.key_of(item) == key]


@both_modes
async def test_calls_of_a_key_follow_one_another_and_keys_overlap(mode: Any) -> None:
    """Each as soon as the one before it of its key has ended; results in the usual order."""
    log = CallLog()

    @single_task(key=first_letter)
    async def work(item: str) -> str:
        with log.call(item):
            await anyio.sleep(int(item[1]))
        return item

    items = ["a3", "a1", "b1", "b2", "c9", "a2"]
    results = await work.with_execution_mode(mode)(items).collect()
    assert log.times == {"a3": 0, "b1": 0, "c9": 0, "b2": 1, "a1": 3, "a2": 4}
    completed = ["b1", "b2", "a3", "a1", "a2", "c9"]
    if mode == "ordered":
        assert results == items
    else:
        assert sorted(results) == sorted(completed)
        assert [each for each in results if each[0] != "b"] == ["a3", "a1", "a2", "c9"]


def backwards_by_key(log: CallLog) -> Pipeline[str, str]:
    """Return a pipeline whose first task turns the order of its items round."""

    @single_task
    async def backwards(item: str) -> str:
        await anyio.sleep(9 - int(item[1]))
        return item

    @single_task(key=first_letter)
    async def work(item: str) -> str:
        with log.call(item):
            await ticks(3)
        return item

    return backwards | work


async def test_the_order_of_a_key_is_input_order_whatever_the_tasks_before_do() -> None:
    """In an ordered run; so the task waits for what is before an item, of its key or not."""
    log = CallLog()

    items = ["a1", "b2", "a3", "b4", "a5"]
    assert await backwards_by_key(log)(items).collect() == items
    assert (log.of_key("a"), log.of_key("b")) == (["a1", "a3", "a5"], ["b2", "b4"])


async def test_as_completed_the_order_of_a_key_is_that_of_arrival() -> None:
    """The input of the task is what the one before it has completed."""
    log = CallLog()

    results = await backwards_by_key(log).as_completed(["a1", "b2", "a3", "b4", "a5"]).collect()
    assert results == ["a5", "b4", "a3", "b2", "a1"]
    assert log.begun == results


@both_modes
async def test_waiting_for_a_key_takes_no_worker(mode: Any) -> None:
    """With two workers and many items of one busy key, the others go past."""
    log = CallLog()

    @single_task(key=first_letter, concurrency_limit=2)
    async def work(item: str) -> str:
        with log.call(item):
            await anyio.sleep(100 if item == "a0" else 1)
        return item

    items = ["a0", *(f"a{n}" for n in range(1, 9)), *"bcdefghi"]
    assert sorted(await work.with_execution_mode(mode)(items).collect()) == sorted(items)
    assert [log.times[each] for each in "bcdefghi"] == [0, 1, 2, 3, 4, 5, 6, 7]


@both_modes
async def test_waiting_for_a_key_starts_no_worker(mode: Any) -> None:
    """With one key there is one, although more calls may be in flight."""
    running: list[int] = []

    @single_task(key=first_letter, concurrency_limit=5)
    async def work(item: str) -> str:
        running.append(len(anyio.get_running_tasks()))
        await anyio.sleep(3)
        return item

    async def now_and_then() -> AsyncIterator[str]:
        for number in range(9):
            yield f"a{number}"
            await anyio.sleep(1)

    assert len(await work.with_execution_mode(mode)(now_and_then()).collect()) == 9
    assert len(running) == 9
    assert max(running) == running[0]  # later on the source is gone


@both_modes
async def test_what_waits_for_a_key_leaves_the_next_worker_to_others(mode: Any) -> None:
    """An item of another key is called at once, though one that came before it waits."""
    begun: dict[str, float] = {}

    @single_task(key=first_letter, concurrency_limit=5)
    async def work(item: str) -> str:
        begun[item] = current_time()
        await anyio.sleep(5)
        return item

    async def now_and_then() -> AsyncIterator[str]:
        for item in ("a0", "a1", "b0"):
            yield item
            await anyio.sleep(1)

    assert len(await work.with_execution_mode(mode)(now_and_then()).collect()) == 3
    assert begun == {"a0": 0, "b0": 2, "a1": 5}


@both_modes
@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("sets_variables", [False, True])
async def test_more_keys_than_workers_do_not_stop_the_run(
    limit: int, sets_variables: bool, mode: Any
) -> None:
    """All workers are used, and every item is called; also if workers retire at each call."""
    log = CallLog(lambda item: item % 37)
    variable: ContextVar[int] = ContextVar("variable")

    @single_task(key=lambda item: item % 37, concurrency_limit=limit)
    async def work(item: int) -> int:
        with log.call(item):
            if sets_variables:
                variable.set(item)
            await anyio.sleep(item % 3)
        return item

    pipeline = work.with_context(execution_mode=mode, max_in_flight=max(limit, 7))
    assert sorted(await pipeline(range(300)).collect()) == [*range(300)]
    assert log.most == limit
    assert all(log.of_key(key) == [*range(key, 300, 37)] for key in range(37))


@both_modes
@pytest.mark.parametrize("window", [1, 2, 3, 8])
async def test_generators_of_a_key_get_through_a_small_window(window: int, mode: Any) -> None:
    """One that waits for room holds its key, those behind it are later; the head goes on."""
    log = CallLog()

    @single_task(key=first_letter, concurrency_limit=min(window, 2))
    async def work(item: str) -> AsyncIterator[str]:
        with log.call(item):
            for number in range(4):
                await ticks(1)
                yield f"{item}{number}"

    items = [f"{key}{n}" for n in range(5) for key in "abc"]
    pipeline = (work | work.replace(key=lambda item: item[-1])).with_context(
        max_in_flight=window, execution_mode=mode
    )
    log.key_of = lambda item: (len(item), item[0] if len(item) == 2 else item[-1])
    results = await pipeline(items).collect()
    wanted = [f"{item}{n}{m}" for item in items for n in range(4) for m in range(4)]
    assert results == wanted if mode == "ordered" else sorted(results) == sorted(wanted)
    for key in "abc":
        assert log.of_key((2, key)) == [item for item in items if item[0] == key]


@both_modes
async def test_a_head_is_let_through_though_all_workers_hold_other_keys(mode: Any) -> None:
    """All workers' generators wait for room; the head, of a key of its own, is served."""

    @single_task
    async def delay(item: str) -> str:
        await anyio.sleep(1 if item == "a0" else 0)
        return item

    @single_task(key=first_letter, concurrency_limit=2)
    async def work(item: str) -> AsyncIterator[str]:
        for number in range(5):
            yield f"{item}{number}"

    @single_task
    async def slow(item: str) -> str:
        await anyio.sleep(1)
        return item

    items = ["a0", "b0", "c0", "b1", "a1"]
    pipeline = (delay | work | slow).with_context(max_in_flight=3, execution_mode=mode)
    results = await pipeline(items).collect()
    assert sorted(results) == sorted(f"{item}{n}" for item in items for n in range(5))


@both_modes
async def test_a_key_is_held_until_the_last_attempt_is_over(mode: Any) -> None:
    """Delays between attempts included: the next item of the key does not slip in."""
    log: list[tuple[float, str]] = []

    @single_task(key=first_letter, max_retries=2, retry_delay=10, retry_jitter=0)
    async def work(item: str) -> str:
        log.append((current_time(), item))
        if item == "a0" and len([each for _, each in log if each == "a0"]) < 3:
            raise ConnectionError
        return item

    await work.with_execution_mode(mode)(["a0", "a1", "b0"]).collect()
    assert log == [(0, "a0"), (0, "b0"), (10, "a0"), (30, "a0"), (30, "a1")]


async def test_a_key_is_held_until_the_end_of_a_generator() -> None:
    """And for its cleanup."""
    log: list[str] = []

    @single_task(key=first_letter)
    async def work(item: str) -> AsyncIterator[str]:
        log.append(item)
        yield item
        await anyio.sleep(1)
        yield item
        await anyio.sleep(1)
        log.append(f"{item} is over")

    await work(["a0", "a1"]).collect()
    assert log == ["a0", "a0 is over", "a1", "a1 is over"]


@both_modes
async def test_keys_are_forgotten_when_idle(mode: Any) -> None:
    """Ten thousand keys need no more memory than those of the items in flight."""

    class Key:
        pass

    alive: weakref.WeakSet[Key] = weakref.WeakSet()
    most = 0

    def new_key(item: int) -> Key:
        alive.add(key := Key())
        return key

    @single_task(key=new_key)
    async def work(item: int) -> int:
        nonlocal most
        await ticks(1)
        most = max(most, len(alive))
        return item

    pipeline = work.with_context(max_in_flight=100, execution_mode=mode)
    async for _ in pipeline(range(10_000)):
        pass
    gc.collect()
    assert 0 < most <= 101
    assert len(alive) == 0


async def test_an_item_that_fails_or_is_filtered_releases_its_key() -> None:
    """By default the later items of the key go on."""

    @single_task(key=first_letter, on_error="skip_item")
    async def work(item: str) -> str | None:
        await ticks(1)
        if item == "a0":
            raise ValueError
        return None if item == "a1" else item

    async with work(["a0", "a1", "a2", "b0"]) as results:
        assert await results.collect() == ["a2", "b0"]
        (stage,) = results.stats().stages
    assert (stage.items_in, stage.calls, stage.skipped, stage.filtered) == (4, 4, 1, 1)


async def test_lists_are_spread_and_synchronous_functions_called_in_order() -> None:
    """The key matters to calls, whatever they are and return."""

    @single_task(key=itself)
    def twice(item: int) -> list[int]:
        return [item, item]

    assert await twice([1, 2, 1]).collect() == [1, 1, 2, 2, 1, 1]


@pytest.mark.parametrize("parallelism", [1, 2])
async def test_an_item_that_waits_for_its_key_holds_no_share(parallelism: int) -> None:
    """Of max_parallelism, so others can use it."""
    log = CallLog()

    @single_task(key=first_letter)
    async def work(item: str) -> str:
        with log.call(item):
            await anyio.sleep(1)
        return item

    items = ["a0", "a1", "a2", "b0", "c0"]
    pipeline = work.with_context(max_parallelism=parallelism)
    assert await pipeline(items).collect() == items
    assert log.most == parallelism
    assert max(log.times.values()) == (4 if parallelism == 1 else 2)


async def test_a_call_by_itself_knows_no_keys() -> None:
    """It takes part in no run."""
    log: list[float] = []

    @single_task(key=itself)
    async def work(item: int) -> int:
        log.append(current_time())
        await anyio.sleep(1)
        return item

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(lambda: _awaited(work(1)))
    assert log == [0, 0]


async def _awaited(call: Any) -> None:
    await call


# The key function


@both_modes
async def test_the_key_function_is_called_once_per_item(mode: Any) -> None:
    """In the order of the task's input, whatever becomes of the calls."""
    asked: list[int] = []

    def key_of(item: int) -> int:
        asked.append(item)
        return item % 3

    @single_task(key=key_of, max_retries=1, retry_delay=0)
    async def work(item: int) -> int:
        if asked.count(item) == 1 and item == 4:
            raise RuntimeError
        return item

    with pytest.raises(RuntimeError):
        await work.with_execution_mode(mode)(range(9)).collect()
    assert asked[:5] == [0, 1, 2, 3, 4]
    assert len(asked) == len(set(asked))


class Touchy:
    """A key that can be hashed but not compared."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError


@both_modes
@pytest.mark.parametrize("fails", ["function", "comparison"])
async def test_a_key_function_that_fails_ends_the_run(fails: str, mode: Any) -> None:
    """With that error itself, whatever on_error says, and a note that names task and item."""

    def key_of(item: int) -> Any:
        if fails == "function" and item == 1:
            raise ArithmeticError
        return Touchy()

    @single_task(key=key_of, on_error="skip_item", task_name="send")
    async def work(item: int) -> int:
        await anyio.sleep(1)
        return item

    with pytest.raises(ArithmeticError) as caught:
        await (single_task(itself) | work).with_execution_mode(mode)(range(5)).collect()
    assert caught.value.__notes__ == ["raised by key of task 'send' for input item 1"]


async def test_a_key_that_fails_when_it_is_released_ends_the_run() -> None:
    """Keys are compared then, too."""
    broken = False

    class Key:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            if broken:
                raise ArithmeticError
            return self.number

    @single_task(key=Key, on_error="skip_item", task_name="send")
    async def work(item: int) -> int:
        nonlocal broken
        broken = True
        return item

    with pytest.raises(ArithmeticError) as caught:
        await work([7]).collect()
    assert caught.value.__notes__ == ["raised by key of task 'send' for input item 0"]


async def test_a_key_that_cannot_be_one_fails_the_run() -> None:
    """The message names the type, not the key, which may be the item."""

    @single_task(key=lambda item: [item], on_error="skip_item")
    async def work(item: str) -> str:
        return item

    with pytest.raises(TypeError) as caught:
        await work(["secret"]).collect()
    assert str(caught.value) == "key must return something hashable, got a list"


@pytest.mark.parametrize("steering", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_a_key_function_cannot_end_an_iteration(steering: type[BaseException]) -> None:
    """What would end one becomes an ordinary error."""

    def key_of(item: int) -> int:
        raise steering

    @single_task(key=key_of, task_name="send")
    async def work(item: int) -> int:
        return item

    with pytest.raises(RuntimeError, match=r"^key of task 'send' raised ") as caught:
        await work(range(3)).collect()
    assert type(caught.value.__cause__) is steering


async def test_the_key_function_runs_in_the_context_of_the_run() -> None:
    """It sees the run and the caller's variables, and none that an item's call has set."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("caller's")
    seen: list[tuple[str, str]] = []

    @single_task
    async def sets(item: int) -> int:
        variable.set("item's")
        await ticks(item)
        return item

    def key_of(item: int) -> int:
        context = get_current_context()
        assert context is not None
        seen.append((variable.get(), context["name"]))
        variable.set("key's")
        return item

    @single_task(key=key_of)
    async def work(item: int) -> int:
        seen.append((variable.get(), "call"))
        return item

    await (sets | work).with_context(name="n")([1, 2]).collect()
    assert Counter(seen) == {("caller's", "n"): 2, ("caller's", "call"): 2}


# Halted keys


@both_modes
async def test_by_default_a_key_goes_on_after_a_failure(mode: Any) -> None:
    """on_key_error="continue"."""

    @single_task(key=first_letter, on_error="skip_item")
    async def work(item: str) -> str:
        if item == "a0":
            raise ValueError
        return item

    assert work.on_key_error == "continue"
    assert await work.with_execution_mode(mode)(["a0", "a1", "b0"]).collect() == ["a1", "b0"]


@both_modes
async def test_a_halted_key_fails_its_later_items_without_calling_them(mode: Any) -> None:
    """Also those that come when it has been idle; other keys go on; they are counted as skipped."""
    log = CallLog()

    @single_task(key=first_letter, on_error="skip_item", on_key_error="halt_key")
    async def work(item: str) -> str:
        with log.call(item):
            if item == "a1":
                raise ValueError
        return item

    async def source() -> AsyncIterator[str]:
        for item in ["a0", "a1", "a2", "b0"]:
            yield item
        await anyio.sleep(1)
        for item in ["a3", "b1"]:
            yield item

    async with work.with_execution_mode(mode)(source()) as results:
        assert sorted(await results.collect()) == ["a0", "b0", "b1"]
        (stage,) = results.stats().stages
    assert sorted(log.begun) == ["a0", "a1", "b0", "b1"]
    assert (stage.items_in, stage.calls, stage.skipped) == (6, 4, 3)


async def test_on_error_decides_what_becomes_of_an_item_of_a_halted_key() -> None:
    """A function is shown the error, which names the task and no value, and may replace it."""
    errors: list[Exception] = []

    def decide(error: Exception, item: str) -> Any:
        errors.append(error)
        return Replace("instead") if item == "a2" else SKIP

    @single_task(key=first_letter, on_error=decide, on_key_error="halt_key", task_name="send")
    async def work(item: str) -> str:
        raise ValueError(item)

    assert await work(["a0", "a1", "a2", "a3"]).collect() == ["instead"]
    assert [type(each) for each in errors] == [ValueError, *[KeyHaltedError] * 3]
    assert str(errors[1]) == "task 'send': an earlier item of the same key failed"
    assert isinstance(errors[1], ConveyorError)


async def test_the_error_handler_decides_what_becomes_of_an_item_of_a_halted_key() -> None:
    """It is told that no attempt was made."""
    seen: list[tuple[type[Exception], str, str, int]] = []

    class Handler(ErrorHandler):
        async def handle_error(
            self, error: Exception, item: Any, task_name: str, attempt: int
        ) -> tuple[bool, Any]:
            seen.append((type(error), item, task_name, attempt))
            return True, None

    @single_task(
        key=first_letter, error_handler=Handler(), on_key_error="halt_key", task_name="send"
    )
    async def work(item: str) -> str:
        raise ValueError

    assert await work(["a0", "a1"]).collect() == []
    assert seen == [(ValueError, "a0", "send", 1), (KeyHaltedError, "a1", "send", 0)]


async def test_diverted_failures_halt_keys() -> None:
    """The later items of the key go the same way."""

    @single_task(key=first_letter, on_error="divert", on_key_error="halt_key")
    async def work(item: str) -> str:
        if item == "a1":
            raise ValueError
        return item

    async with work(["a0", "a1", "a2", "b0"]) as results:
        assert await results.collect() == ["a0", "b0"]
        failures = [(type(each.error), each.item, each.attempts) for each in results.failures]
    assert failures == [(ValueError, "a1", 1), (KeyHaltedError, "a2", 0)]


async def test_failures_among_the_outcomes_halt_keys() -> None:
    """The run goes on after them, also with on_error="fail"; the later items are failures too."""

    @single_task(key=first_letter, on_key_error="halt_key")
    async def work(item: str) -> str:
        if item == "a1":
            raise ValueError
        return item

    outcomes = await work.pipeline().outcomes(["a0", "a1", "a2", "b0"]).collect()
    shown = [
        each.value if isinstance(each, Success) else (type(each.error), each.item)
        for each in outcomes
    ]
    assert shown == ["a0", (ValueError, "a1"), (KeyHaltedError, "a2"), "b0"]


async def test_a_failure_that_is_replaced_halts_no_key() -> None:
    """The item has a result."""

    def replace(error: Exception, item: str) -> Any:
        return Replace(item.upper())

    @single_task(key=first_letter, on_error=replace, on_key_error="halt_key")
    async def work(item: str) -> str:
        raise ValueError

    async with work(["a0", "a1"]) as results:
        assert await results.collect() == ["A0", "A1"]
        assert results.stats().stages[0].calls == 2


async def test_a_retry_that_helps_halts_no_key() -> None:
    """Only an item that has failed for good does."""
    failed: set[str] = set()

    @single_task(
        key=first_letter,
        on_error="skip_item",
        on_key_error="halt_key",
        max_retries=1,
        retry_delay=0,
    )
    async def work(item: str) -> str:
        if item not in failed:
            failed.add(item)
            raise ValueError
        return item

    assert await work(["a0", "a1"]).collect() == ["a0", "a1"]


@pytest.mark.parametrize("answer", [RETRY, FAIL])
async def test_an_item_of_a_halted_key_cannot_be_retried(answer: Any) -> None:
    """To retry it is to fail: the run ends with the error, after no attempt at this item."""
    calls: list[str] = []

    def decide(error: Exception, item: str) -> Any:
        return answer if isinstance(error, KeyHaltedError) else SKIP

    @single_task(key=first_letter, on_error=decide, on_key_error="halt_key", task_name="send")
    async def work(item: str) -> str:
        calls.append(item)
        raise ValueError

    with pytest.raises(KeyHaltedError) as caught:
        await work(["a0", "a1"]).collect()
    assert caught.value.__notes__ == [
        "raised by task 'send' for input item 1 after 0 attempts",
    ]
    assert calls == ["a0"]


async def test_a_generator_that_fails_halts_its_key() -> None:
    """What it gave before stays."""

    @single_task(key=first_letter, on_error="skip_item", on_key_error="halt_key")
    async def work(item: str) -> AsyncIterator[str]:
        yield item
        raise ValueError

    assert await work(["a0", "a1", "b0"]).collect() == ["a0", "b0"]


async def test_keys_are_halted_for_one_run() -> None:
    """The next one begins anew."""
    calls: list[str] = []

    @single_task(key=first_letter, on_error="skip_item", on_key_error="halt_key")
    async def work(item: str) -> str:
        calls.append(item)
        raise ValueError

    for _ in range(2):
        assert await work(["a0", "a1"]).collect() == []
    assert calls == ["a0", "a0"]


async def test_an_item_of_a_halted_key_takes_no_share_and_no_time() -> None:
    """Its share of max_parallelism, taken before it was, is given back."""

    @single_task(key=first_letter, on_error="skip_item", on_key_error="halt_key")
    async def work(item: str) -> str:
        await anyio.sleep(1)
        if item[0] == "a":
            raise ValueError
        return item

    items = [*(f"a{n}" for n in range(9)), "b0"]
    assert await work.with_context(max_parallelism=1)(items).collect() == ["b0"]
    assert current_time() == 2


# Settings


def test_a_task_shows_its_key_function() -> None:
    """As all other options; ``None`` takes it away."""
    task = single_task(key=first_letter, on_error="skip_item", on_key_error="halt_key")(itself)
    assert (task.key, task.on_key_error) == (first_letter, "halt_key")
    assert task.replace(key=None, on_key_error="continue").key is None
    assert (single_task(itself).key, single_task(itself).on_key_error) == (None, "continue")


async def coroutine_function(item: Any) -> Any:
    return item


def generator_function(item: Any) -> Iterator[Any]:
    yield item


async def async_generator_function(item: Any) -> AsyncIterator[Any]:
    yield item


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "id"}, TypeError, "key must be a function of the item, got 'id'"),
        (
            {"key": coroutine_function},
            TypeError,
            (
                "key must be a plain function, got a coroutine function; find out in a task before "
                "this one what has to be waited for"
            ),
        ),
        (
            {"key": generator_function},
            TypeError,
            (
                "key must return its value, got a generator function; write 'return' in place of "
                "'yield'"
            ),
        ),
        (
            {"key": async_generator_function},
            TypeError,
            (
                "key must return its value, got a generator function; write 'return' in place of "
                "'yield'"
            ),
        ),
        (
            {"key": itself, "on_key_error": "stop"},
            ValueError,
            "on_key_error must be one of 'continue', 'halt_key', got 'stop'",
        ),
        (
            {"on_key_error": "halt_key"},
            TypeError,
            (
                "on_key_error='halt_key' needs key; key=... is a function of the item that tells "
                "which items belong together"
            ),
        ),
        (
            {"key": itself, "in_order": True},
            TypeError,
            (
                "with key items go before others that wait, and in_order=True starts calls in "
                "input order; leave one of them out"
            ),
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """At decoration, saying what was wrong and what to write instead."""
    with pytest.raises(error) as caught:
        single_task(task_name="send", **options)(itself)
    assert str(caught.value) == f"task 'send': {message}"


def test_batch_tasks_have_keys_of_their_own() -> None:
    """The message says which option that is."""
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=2, key=itself)(itself)
    assert str(caught.value) == (
        "task 'itself': key is an option of single tasks; write batch_by=..., which gives each key "
        "batches of its own"
    )
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=2, on_key_error="halt_key")(itself)
    assert str(caught.value) == (
        "task 'itself': on_key_error is an option of single tasks; give it to the task before or "
        "after"
    )


async def test_a_shared_stream_cannot_go_with_keys() -> None:
    """Calls that share it start in input order; refused when it is bound, in either way."""
    message = (
        "task 'send': with key items go before others that wait, and a stream as a side input "
        "makes calls start in input order; leave key out, or take from the stream in a task before "
        "this one"
    )
    task = single_task(key=itself, task_name="send")(lambda item, side: item)
    side = async_generator_function(1)
    with pytest.raises(TypeError) as caught:
        task.with_inputs(side)
    assert str(caught.value) == message
    with pytest.raises(TypeError) as caught:
        single_task(itself) | task(side)
    assert str(caught.value) == message
    pipeline: Any = task.pipeline()
    with pytest.raises(TypeError) as caught:
        await pipeline([1], side).collect()
    assert str(caught.value) == message
    assert await task.with_inputs("value")([1]).collect() == [1]


async def test_a_source_has_no_key() -> None:
    """It is called without an item."""
    task = single_task(key=itself, task_name="read")(lambda: [1, 2])
    with pytest.raises(TypeError) as caught:
        await task().collect()
    assert str(caught.value) == (
        "task 'read' begins a pipeline without data, so it is called once and without an item, and "
        "key has nothing to look at; leave key out"
    )


async def test_a_key_that_would_have_to_be_awaited_fails_the_run() -> None:
    """Each one would be a key of its own."""

    @single_task
    async def key_of(item: int) -> int:
        return item % 2

    @single_task(key=key_of)
    async def work(item: int) -> int:
        return item

    with pytest.raises(TypeError) as caught:
        await work([1, 2]).collect()
    assert str(caught.value) == (
        "key must return its value, got a TaskCall, which would have to be awaited; "
        "find out in a task before this one what has to be waited for"
    )
