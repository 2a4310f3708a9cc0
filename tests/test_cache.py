"""Results are kept by key, and what is known is not called for again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest

from conveyor import (
    RETRY,
    SKIP,
    KeyHaltedError,
    Rate,
    Replace,
    batch_task,
    single_task,
)
from helpers import current_time, ticks

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


def itself(item: Any) -> Any:
    return item


class Doubling:
    """A function that notes its calls, and takes a second for each."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Any]] = []

    async def __call__(self, item: Any) -> Any:
        self.calls.append((current_time(), item))
        await anyio.sleep(1)
        return 2 * item


class Store:
    """An async store that takes its time and notes what it is asked."""

    def __init__(self, **kept: Any) -> None:
        self.kept: dict[Any, Any] = kept
        self.log: list[tuple[Any, ...]] = []
        self.busy: Counter[Any] = Counter()

    async def get(self, key: Any, default: Any) -> Any:
        self.log.append(("get", key))
        await self.take_time(key)
        return self.kept.get(key, default)

    async def set(self, key: Any, value: Any) -> None:
        self.log.append(("set", key, value))
        await self.take_time(key)
        self.kept[key] = value

    async def take_time(self, key: Any) -> None:
        assert not self.busy[key]
        self.busy[key] += 1
        await ticks(3)
        self.busy[key] -= 1


@both_modes
@pytest.mark.parametrize("store", [dict, Store])
async def test_equal_items_in_flight_make_one_call(store: Any, mode: Any) -> None:
    """Single flight: those behind the first find its result; items of other keys overlap."""
    work = Doubling()
    task = single_task(cache=store())(work)
    items = [1, 2, 1, 1, 3, 2]
    async with task.with_execution_mode(mode)(items) as results:
        assert sorted(await results.collect()) == sorted(2 * item for item in items)
        (stage,) = results.stats().stages
    assert work.calls == [(0, 1), (0, 2), (0, 3)]
    assert current_time() == 1
    assert (stage.items_in, stage.calls, stage.cache_hits) == (6, 3, 3)


@both_modes
async def test_what_an_earlier_run_has_stored_needs_no_call(mode: Any) -> None:
    """The store belongs to whoever gave it; its results come at once, or in their places."""
    work, store = Doubling(), {2: "kept"}
    task = single_task(cache=store)(work).with_execution_mode(mode)
    received = [(result, current_time()) async for result in task([1, 2, 3])]
    if mode == "ordered":
        assert received == [(2, 1), ("kept", 1), (6, 1)]
    else:
        assert received[0] == ("kept", 0)
        assert sorted(received[1:]) == [(2, 1), (6, 1)]
    assert store == {1: 2, 2: "kept", 3: 6}
    assert await task([1, 2, 3]).collect() == [2, "kept", 6]
    assert [item for _, item in work.calls] == [1, 3]


async def test_an_empty_mapping_is_a_store() -> None:
    """Though it counts as false."""
    store: dict[int, int] = {}
    task = single_task(cache=store)(itself)
    assert task.cache is store
    assert await task([1]).collect() == [1]
    assert store == {1: 1}


async def test_the_key_is_what_results_are_kept_by() -> None:
    """The item itself need not be hashable then."""
    store: dict[int, str] = {}
    calls: list[dict[str, int]] = []

    @single_task(key=lambda row: row["id"], cache=store)
    async def work(row: dict[str, int]) -> str:
        calls.append(row)
        return f"row {row['id']}"

    rows = [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 1, "n": 3}]
    assert await work(rows).collect() == ["row 1", "row 2", "row 1"]
    assert (calls, store) == (rows[:2], {1: "row 1", 2: "row 2"})


async def test_none_is_a_result_like_any_other() -> None:
    """The item is filtered out each time, and its call made once."""
    calls: list[int] = []
    store: dict[int, Any] = {}

    @single_task(cache=store)
    async def work(item: int) -> None:
        calls.append(item)

    async with work([1, 1, 1]) as results:
        assert await results.collect() == []
        (stage,) = results.stats().stages
    assert (calls, store, stage.filtered, stage.cache_hits) == ([1], {1: None}, 3, 2)


async def test_a_mapping_with_defaults_has_nothing_by_itself() -> None:
    """Only what was stored counts."""
    store: defaultdict[int, str] = defaultdict(lambda: "default")
    assert await single_task(cache=store)(itself)([1]).collect() == [1]


@pytest.mark.parametrize("flatten", [True, False])
async def test_lists_are_stored_as_copies(flatten: bool) -> None:
    """Neither the function nor the consumer can change what is stored."""
    store: dict[int, list[int]] = {}
    returned: list[list[int]] = []

    @single_task(cache=store, flatten=flatten)
    async def work(item: int) -> list[int]:
        returned.append([item, item])
        return returned[-1]

    results = await work([1, 1]).collect()
    assert results == ([1, 1, 1, 1] if flatten else [[1, 1], [1, 1]])
    returned[0].append(7)
    for result in results:
        if not flatten:
            result.append(8)
    assert store == {1: [1, 1]}
    assert len(returned) == 1


async def test_a_hit_takes_no_token_of_a_rate_and_no_share() -> None:
    """Nor any time."""
    work = Doubling()
    task = single_task(cache={1: "kept"}, rate_limit=Rate(1, per=10))(work)
    pipeline = task.with_context(max_parallelism=1)
    assert await pipeline([1, 1, 5, 1, 6]).collect() == ["kept", "kept", 10, "kept", 12]
    assert work.calls == [(0, 5), (10, 6)]


async def test_a_hit_gives_its_share_back() -> None:
    """Which it had before it was known."""
    work = Doubling()
    task = single_task(cache={1: "kept"})(work).with_context(max_parallelism=1)
    assert await task([1, 1, 5, 1, 6]).collect() == ["kept", "kept", 10, "kept", 12]


async def test_an_item_that_is_looked_up_waits_for_no_retry() -> None:
    """What other items of the stage have to wait for."""
    store: dict[str, str] = {"b": "kept"}

    @single_task(cache=store, max_retries=1, retry_delay=5, retry_jitter=0, concurrency_limit=2)
    async def work(item: str) -> str:
        raise ConnectionError

    received: list[str] = []
    with pytest.raises(ConnectionError):
        async for result in work.as_completed(["a", "b"]):
            received.append(f"{result} at {current_time():g}")  # noqa: PERF401 - it ends by an error
    assert received == ["kept at 0"]


async def test_a_failure_is_not_stored() -> None:
    """The next equal item is called, and its result stored."""
    calls: list[str] = []
    store: dict[str, str] = {}

    @single_task(cache=store, on_error="skip_item")
    async def work(item: str) -> str:
        calls.append(item)
        await ticks(1)
        if len(calls) == 1:
            raise ValueError
        return item.upper()

    async with work(["a", "a", "a"]) as results:
        assert await results.collect() == ["A", "A"]
        (stage,) = results.stats().stages
    assert (calls, store) == (["a", "a"], {"a": "A"})
    assert (stage.calls, stage.cache_hits, stage.skipped) == (2, 1, 1)


@pytest.mark.parametrize("retries", [0, 2])
async def test_what_takes_the_place_of_a_result_is_not_stored(retries: int) -> None:
    """Of a call that failed for good; what a retry brought is."""
    calls: list[str] = []
    store: dict[str, str] = {}

    @single_task(
        cache=store,
        max_retries=retries,
        retry_delay=0,
        on_error=lambda error, item: Replace("none"),
    )
    async def work(item: str) -> str:
        calls.append(item)
        if len(calls) < 3:
            raise ValueError
        return item.upper()

    results = await work(["a", "a", "a", "a"]).collect()
    assert results == (["A"] * 4 if retries else ["none", "none", "A", "A"])
    assert (len(calls), store) == (3, {"a": "A"})


async def test_a_halted_key_is_not_looked_up() -> None:
    """Its later items fail, whatever somebody else may have stored."""
    store: dict[str, str] = {}
    errors: list[type[Exception]] = []

    def decide(error: Exception, item: str) -> Any:
        errors.append(type(error))
        store[item] = "from elsewhere"
        return SKIP

    @single_task(key=itself, cache=store, on_error=decide, on_key_error="halt_key")
    async def work(item: str) -> str:
        raise ValueError

    async with work(["a", "a"]) as results:
        assert await results.collect() == []
        (stage,) = results.stats().stages
    assert errors == [ValueError, KeyHaltedError]
    assert (stage.calls, stage.cache_hits, stage.skipped) == (1, 0, 2)


async def test_context_variables_do_not_leak_between_items() -> None:
    """A stage whose function sets some looks items up all the same."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    store = Store()

    @single_task(cache=store)
    async def work(item: int) -> tuple[int, int]:
        before = variable.get()
        variable.set(item)
        return item, before

    assert await work([1, 2, 1, 3, 2]).collect() == [(1, 0), (2, 0), (1, 0), (3, 0), (2, 0)]
    assert [entry for entry in store.log if entry[0] == "set"] == [
        ("set", number, (number, 0)) for number in (1, 2, 3)
    ]


async def test_urgent_items_go_first_among_those_that_are_looked_up() -> None:
    """A cache has lanes as keys have, and priorities among them."""
    work = Doubling()
    task = single_task(cache={}, priority=lambda item: -item + 9, concurrency_limit=1)(work)
    assert await task([1, 2, 3, 2, 3]).collect() == [2, 4, 6, 4, 6]
    assert [item for _, item in work.calls] == [1, 3, 2]


# Errors of the store


class Broken(Store):
    """A store that fails."""

    def __init__(self, method: str, error: BaseException) -> None:
        super().__init__()
        self.method = method
        self.error = error

    async def get(self, key: Any, default: Any) -> Any:
        if self.method == "get":
            raise self.error
        return await super().get(key, default)

    async def set(self, key: Any, value: Any) -> None:
        if self.method == "set":
            raise self.error
        await super().set(key, value)


@pytest.mark.parametrize(("method", "attempts"), [("get", 0), ("set", 1)])
async def test_an_error_of_the_store_fails_the_item(method: str, attempts: int) -> None:
    """With that error itself, and notes that say where it comes from; nothing is retried."""
    calls: list[int] = []
    error = OSError("no connection")

    @single_task(cache=Broken(method, error), max_retries=3, retry_delay=0, task_name="send")
    async def work(item: int) -> int:
        calls.append(item)
        return item

    with pytest.raises(OSError, match="no connection") as caught:
        await work([5]).collect()
    assert caught.value is error
    plural = "" if attempts == 1 else "s"
    assert error.__notes__ == [
        "raised by the cache of task 'send'",
        f"raised by task 'send' for input item 0 after {attempts} attempt{plural}",
    ]
    assert calls == [5] * attempts


@pytest.mark.parametrize(("method", "calls"), [("get", 0), ("set", 2)])
async def test_on_error_decides_about_an_error_of_the_store(method: str, calls: int) -> None:
    """As about any other; to retry is to fail."""
    seen: list[tuple[type[Exception], int]] = []

    def decide(error: Exception, item: int) -> Any:
        seen.append((type(error), item))
        return [SKIP, Replace("instead"), RETRY][len(seen) - 1]

    @single_task(
        cache=Broken(method, OSError("no connection")), on_error=decide, concurrency_limit=1
    )
    async def work(item: int) -> int:
        return item

    async with work([1, 2]) as results:
        assert await results.collect() == ["instead"]
        (stage,) = results.stats().stages
    assert (stage.calls, stage.skipped, stage.cache_hits) == (calls, 1, 0)
    with pytest.raises(OSError, match="no connection"):
        await work([3]).collect()
    assert seen == [(OSError, 1), (OSError, 2), (OSError, 3)]


@pytest.mark.parametrize("method", ["get", "set"])
async def test_a_store_that_gives_up_keeps_no_share(method: str) -> None:
    """Of the parallelism: the next item has it."""
    task = single_task(cache=Broken(method, OSError()), on_error="skip_item")(itself)
    assert await task.with_context(max_parallelism=1)(range(3)).collect() == []


@pytest.mark.parametrize("method", ["get", "set"])
@pytest.mark.parametrize("steering", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_a_store_cannot_end_an_iteration(method: str, steering: type[BaseException]) -> None:
    """What would end one becomes an ordinary error."""

    class Mapping(dict[int, int]):
        def get(self, key: int, default: Any = None) -> Any:
            if method == "get":
                raise steering
            return default

        def __setitem__(self, key: int, value: int) -> None:
            raise steering

    task = single_task(cache=Mapping(), task_name="send")(itself)
    with pytest.raises(RuntimeError) as caught:
        await task([1]).collect()
    # A coroutine turns a StopIteration into a RuntimeError by itself.
    assert type(caught.value.__cause__) is steering


class Quit(BaseException):
    """The end of the program."""


async def test_what_ends_the_program_is_no_error_of_the_store() -> None:
    """on_error is not asked, and the notes say where it comes from."""
    asked: list[BaseException] = []

    def decide(error: Exception, item: int) -> Any:
        asked.append(error)
        return Replace("instead")

    task = single_task(cache=Broken("get", Quit()), on_error=decide)(itself)
    with pytest.raises(Quit) as caught:
        await task([1]).collect()
    assert asked == []
    assert caught.value.__notes__ == [
        "raised by the cache of task 'itself'",
        "raised by task 'itself' for input item 0 after 0 attempts",
    ]


async def test_a_store_is_cancelled_with_the_run() -> None:
    """It has no timeout of the task's."""
    entered = anyio.Event()

    class Slow(Store):
        async def get(self, key: Any, default: Any) -> Any:
            entered.set()
            await anyio.sleep(100)

    task = single_task(cache=Slow(), timeout=1)(itself)
    async with task([1]):
        await entered.wait()
        await anyio.sleep(5)
    assert current_time() == 5


async def test_a_store_that_is_not_async_is_refused() -> None:
    """When it is asked; the message says what it should be."""

    class Sync:
        def get(self, key: int, default: Any) -> Any:
            return 5

        def set(self, key: int, value: Any) -> None:
            pass

    store: Any = Sync()
    with pytest.raises(TypeError) as caught:
        await single_task(cache=store)(itself)([1]).collect()
    assert str(caught.value) == (
        "get(key, default) of a store as cache must be async, and returned a int; a store that is "
        "not async has to be a MutableMapping"
    )


# Generators


def generator(item: int) -> Iterator[int]:
    yield item


async def async_generator(item: int) -> AsyncIterator[int]:
    yield item


GENERATOR_MESSAGE = (
    "task 'send': cache cannot keep what a generator gives; return a list, or leave cache out"
)


@pytest.mark.parametrize("function", [generator, async_generator, partial(generator)])
def test_a_generator_function_is_refused(function: Any) -> None:
    """At decoration, and when it gets a cache."""
    with pytest.raises(TypeError) as caught:
        single_task(cache={}, task_name="send")(function)
    assert str(caught.value) == GENERATOR_MESSAGE
    with pytest.raises(TypeError):
        single_task(function).replace(cache={})


@pytest.mark.parametrize("function", [generator, async_generator])
async def test_a_generator_that_is_returned_ends_the_run(function: Any) -> None:
    """Whatever on_error says, since the mistake is in the settings; nothing is stored."""
    store: dict[int, Any] = {}
    made: list[Any] = []

    def make(item: int) -> Any:
        made.append(function(item))
        return made[-1]

    task = single_task(cache=store, task_name="send", on_error="skip_item")(make)
    with pytest.raises(TypeError) as caught:
        await task([1]).collect()
    assert str(caught.value) == GENERATOR_MESSAGE
    with pytest.raises(TypeError):
        await task(1)
    assert store == {}
    assert len(made) == 2


# Calls by themselves


async def test_a_call_by_itself_uses_the_cache() -> None:
    """What the function returned comes back as it is, also what a run has stored."""
    work, store = Doubling(), Store()
    task = single_task(cache=store, key=itself)(work)
    assert await task(1) == 2
    assert await task(1) == 2
    assert await task([1, 5]).collect() == [2, 10]
    assert await task(5) == 10
    assert [item for _, item in work.calls] == [1, 5]


async def test_a_call_by_itself_gets_copies_of_lists_and_knows_none() -> None:
    """As in a run; a list is returned whole."""
    store: dict[int, Any] = {}
    calls: list[int] = []

    @single_task(cache=store)
    async def work(item: int) -> list[int] | None:
        calls.append(item)
        return [item] if item else None

    for _ in range(2):
        result: Any = await work(1)
        assert result == [1]
        result.append(2)
        assert await work(0) is None
    assert (calls, store) == ([1, 0], {1: [1], 0: None})


@pytest.mark.parametrize("method", ["get", "set"])
async def test_a_call_by_itself_fails_with_the_store(method: str) -> None:
    """The notes are those of a run, without a place in it."""
    error = OSError("no connection")
    task = single_task(cache=Broken(method, error), task_name="send")(itself)
    with pytest.raises(OSError, match="no connection") as caught:
        await task(1)
    attempts = "0 attempts" if method == "get" else "1 attempt"
    assert caught.value.__notes__ == [
        "raised by the cache of task 'send'",
        f"raised by task 'send' after {attempts}",
    ]


async def test_a_call_by_itself_asks_for_its_key() -> None:
    """And fails with the key function."""

    def key_of(item: int) -> int:
        raise ArithmeticError

    task = single_task(cache={}, key=key_of, on_error="skip_item", task_name="send")(itself)
    with pytest.raises(ArithmeticError) as caught:
        await task(1)
    assert caught.value.__notes__ == ["raised by task 'send' after 0 attempts"]


# Settings


@both_modes
async def test_an_item_that_cannot_be_looked_up_ends_the_run(mode: Any) -> None:
    """Whatever on_error says; the message says what to write, and not what the item is."""
    task = single_task(cache={}, on_error="skip_item", task_name="send")(itself)
    message = (
        "cache looks items up by themselves, so they must be hashable, got a dict; write key=..., "
        "a function of the item that returns something hashable"
    )
    with pytest.raises(TypeError) as caught:
        await task.with_execution_mode(mode)([{"secret": 1}]).collect()
    assert str(caught.value) == message
    assert caught.value.__notes__ == ["raised by cache of task 'send' for input item 0"]
    with pytest.raises(TypeError) as caught:
        await task({"secret": 1})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"cache": 5},
            (
                "cache must be a mutable mapping, such as a dict, or have async methods "
                "get(key, default) and set(key, value), got a int"
            ),
        ),
        ({"cache": dict}, "cache must be an instance, got the class; write cache=dict()"),
        ({"cache": Store}, "cache must be an instance, got the class; write cache=Store()"),
        (
            {"cache": {}, "in_order": True},
            (
                "with cache items go before others that wait, and in_order=True starts calls in "
                "input order; leave one of them out"
            ),
        ),
        (
            {"cache": {}, "on_error": "skip_item", "on_key_error": "halt_key"},
            (
                "on_key_error='halt_key' needs key; key=... is a function of the item that tells "
                "which items belong together"
            ),
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    """At decoration, saying what was wrong and what to write instead."""
    with pytest.raises(TypeError) as caught:
        single_task(task_name="send", **options)(itself)
    assert str(caught.value) == f"task 'send': {message}"


def test_batch_tasks_have_no_cache() -> None:
    """An option of single tasks."""
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=2, cache={})(itself)
    assert str(caught.value) == (
        "task 'itself': cache is an option of single tasks; give it to the task before or after"
    )


async def test_a_source_has_no_cache() -> None:
    """It is called without an item."""
    with pytest.raises(TypeError, match=r"and cache has nothing to look at; leave cache out$"):
        await single_task(cache={})(lambda: [1])().collect()
