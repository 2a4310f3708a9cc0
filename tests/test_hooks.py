"""``before`` and ``after``: what is called around a task's function, with what, and when."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import Adaptive, ErrorHandler, Failed, Rate, RetryAfter, batch_task, single_task
from conveyor._engine.call import Call
from helpers import collect, current_time

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Boom(Exception):
    """What functions and hooks raise."""


# Functions and hooks of every kind


def plain(item: Any) -> Any:
    return ("called", item)


async def asynchronous(item: Any) -> Any:
    return ("called", item)


async def suspended(item: Any) -> Any:
    await anyio.sleep(1)
    return ("called", item)


class Asynchronous:
    async def __call__(self, item: Any) -> Any:
        return ("called", item)


FUNCTIONS = [
    plain,
    asynchronous,
    suspended,
    functools.partial(asynchronous),
    lambda item: suspended(item),
    Asynchronous(),
]


def plain_before(item: Any) -> Any:
    return ("enriched", item)


async def async_before(item: Any) -> Any:
    await anyio.sleep(1)
    return ("enriched", item)


def plain_after(item: Any, result: Any) -> Any:
    return ("after", item, result)


async def async_after(item: Any, result: Any) -> Any:
    await anyio.sleep(1)
    return ("after", item, result)


BEFORE = [plain_before, async_before, lambda item: async_before(item)]
AFTER = [plain_after, async_after, lambda item, result: async_after(item, result)]


async def awaited(task: Any, item: Any = 7) -> list[Any]:
    """Await one call of a task."""
    return [await task(item)]


async def in_a_run(task: Any, item: Any = 7) -> list[Any]:
    """Run a task over one item."""
    return await collect(task([item]))


both_ways = pytest.mark.parametrize("use", [awaited, in_a_run])


def task_of(function: Any, **options: Any) -> Any:
    given: dict[str, Any] = {"retry_jitter": 0, "retry_backoff": 1, **options}
    return single_task(function, task_name="work", **given)


class Log:
    """Functions and hooks that leave all as it is, and note what they are called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def note(self, *call: Any) -> None:
        self.calls.append(call)

    def before(self, item: Any) -> None:
        self.note("before", item)

    def after(self, item: Any, result: Any) -> None:
        self.note("after", item, result)

    def function(self, item: Any) -> Any:
        self.note("call", item)
        return item

    def around(self, function: Any = None, **options: Any) -> Any:
        return task_of(function or self.function, before=self.before, after=self.after, **options)


# What they are called with, and what becomes of what they return


@both_ways
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", AFTER)
async def test_they_take_the_place_of_item_and_result(
    use: Callable[..., Any], function: Any, before: Any, after: Any
) -> None:
    """Of functions and hooks of any kind; ``after`` sees the item as the function does."""
    given = ("enriched", 7)
    task = task_of(function, before=before, after=after)
    assert await use(task) == [("after", given, ("called", given))]


@both_ways
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("before", BEFORE)
async def test_before_alone(use: Callable[..., Any], function: Any, before: Any) -> None:
    """The result is the function's."""
    assert await use(task_of(function, before=before)) == [("called", ("enriched", 7))]


@both_ways
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("after", AFTER)
async def test_after_alone(use: Callable[..., Any], function: Any, after: Any) -> None:
    """The item is the one that came."""
    assert await use(task_of(function, after=after)) == [("after", 7, ("called", 7))]


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_none_leaves_item_and_result_as_they_are(function: Any) -> None:
    """A hook that returns nothing only looks on, be it async or not."""
    log = Log()
    assert await log.around(function)([7]).collect() == [("called", 7)]
    assert log.calls == [("before", 7), ("after", 7, ("called", 7))]

    async def before(item: Any) -> None:
        await anyio.sleep(1)

    async def after(item: Any, result: Any) -> None:
        await anyio.sleep(1)

    task = task_of(function, before=before, after=after)
    assert await task([7]).collect() == [("called", 7)]


@pytest.mark.parametrize("value", [0, "", [], (), False])
async def test_nothing_but_none_leaves_them_as_they_are(value: Any) -> None:
    """What is false takes their place like anything else."""
    task = task_of(lambda item: item, before=lambda item: value, flatten=False)
    assert await task([7]).collect() == [value]
    task = task_of(lambda item: item, after=lambda item, result: value, flatten=False)
    assert await task([7]).collect() == [value]


async def test_after_may_give_a_result_where_there_is_none() -> None:
    """It is called with ``None``, too; if it gives none either, the item is filtered out."""
    seen: list[Any] = []

    def after(item: int, result: Any) -> str | None:
        seen.append(result)
        return "default" if item == 1 else None

    async with task_of(lambda item: None, after=after)([1, 2]) as results:
        assert await results.collect() == ["default"]
        assert results.stats().stages[0].filtered == 1
    assert seen == [None, None]


@pytest.mark.parametrize(
    ("given", "downstream"),
    [([1, 2], [1, 2]), ([], []), ((1, 2), [(1, 2)])],
)
async def test_what_after_gives_goes_on_as_a_result(given: Any, downstream: list[Any]) -> None:
    """A list is spread, as if the function had returned it."""
    task = task_of(asynchronous, after=lambda item, result: given)
    assert await task([7]).collect() == downstream
    assert await task.replace(flatten=False)([7]).collect() == [given]
    assert await task(7) == given


async def test_a_list_of_the_function_is_seen_whole() -> None:
    """It is spread once ``after`` has seen it, so ``after`` can shorten it."""
    task = task_of(lambda item: [item, -item], after=lambda item, result: result[1:])
    assert await task([1, 2]).collect() == [-1, -2]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_batch_is_one_item(is_async: bool) -> None:
    """Hooks of a batch task see the whole list, and may give another one."""
    log = Log()

    def before(batch: list[int]) -> list[int]:
        log.note("before", batch)
        return [10 * item for item in batch]

    def after(batch: list[int], result: list[int]) -> list[int]:
        log.note("after", batch, result)
        return [*result, sum(result)]

    def work(batch: list[int]) -> list[int]:
        return [item + 1 for item in batch]

    async def work_later(batch: list[int]) -> list[int]:
        await anyio.sleep(1)
        return work(batch)

    options: Any = {"before": before, "after": after}
    task = batch_task(max_size=2, **options)(work_later if is_async else work)
    assert await task([1, 2, 3]).collect() == [11, 21, 32, 31, 31]
    assert log.calls == [
        ("before", [1, 2]),
        ("after", [10, 20], [11, 21]),
        ("before", [3]),
        ("after", [30], [31]),
    ]
    assert await task([4, 5]).collect() == [41, 51, 92]
    assert await task([4, 5]) == [41, 51, 92]


async def test_side_inputs_are_for_the_function_alone() -> None:
    """It gets them behind what ``before`` gave; hooks do not get them."""
    task = task_of(
        lambda item, factor, *, plus: item * factor + plus,
        before=lambda item: item + 1,
        after=lambda item, result: (item, result),
    )
    assert await task.with_inputs(10, plus=5)([1]).collect() == [(2, 25)]
    assert await task(1, 10, plus=5) == (2, 25)


# Hooks are part of the attempt


@both_ways
async def test_each_attempt_calls_them(use: Callable[..., Any]) -> None:
    """``before`` with the item that came; ``after`` once there is a result."""
    log = Log()

    async def work(item: Any) -> Any:
        log.note("call", item)
        if len(log.calls) < 6:
            raise Boom
        return "done"

    def before(item: Any) -> Any:
        log.before(item)
        return item + 1

    task = task_of(work, before=before, after=log.after, retry_attempts=3, retry_delay=1)
    assert await use(task) == ["done"]
    assert log.calls == [*[("before", 7), ("call", 8)] * 3, ("after", 8, "done")]


def failing_before(times: int, error: BaseException) -> Any:
    """Return hooks of which ``before`` raises so many times."""
    calls: list[Any] = []

    def before(item: Any) -> None:
        calls.append(item)
        if len(calls) <= times:
            raise error

    return {"before": before}, calls


def failing_after(times: int, error: BaseException) -> Any:
    """Return hooks of which ``after`` raises so many times."""
    options, calls = failing_before(times, error)
    return {"after": lambda item, result: options["before"](item)}, calls


failing = pytest.mark.parametrize("failing", [failing_before, failing_after])


@failing
@both_ways
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_an_error_of_a_hook_is_one_of_the_attempt(
    failing: Any, use: Callable[..., Any], function: Any
) -> None:
    """It is retried, and comes out as it is if that does not help."""
    error = Boom()
    options, calls = failing(2, error)
    task = task_of(function, **options, retry_attempts=3, retry_delay=10)
    assert await use(task) == [("called", 7)]
    assert calls == [7, 7, 7]
    options, calls = failing(2, error)
    with pytest.raises(Boom) as caught:
        await use(task_of(function, **options, retry_attempts=2))
    assert caught.value is error
    [note] = error.__notes__  # unknown to the types of Python 3.10
    place = " for input item 0" if use is in_a_run else ""
    assert note == f"raised by task 'work'{place} after 2 attempts"


@failing
@pytest.mark.parametrize("function", [plain, suspended])
async def test_on_error_decides_on_an_error_of_a_hook(failing: Any, function: Any) -> None:
    """Validation is a hook that raises."""
    options, _ = failing(1, Boom())
    task = task_of(function, **options, on_error="skip_item", concurrency_limit=1)
    async with task([1, 2]) as results:
        assert await results.collect() == [("called", 2)]
        assert results.stats().skipped == 1


async def test_others_see_the_item_that_came() -> None:
    """The error handler, ``failures`` and the rest know nothing of what ``before`` gave."""
    asked: list[Any] = []

    class Asked(ErrorHandler):
        async def handle_error(
            self, error: Exception, item: Any, task_name: str, attempt: int
        ) -> tuple[bool, Any]:
            asked.append(item)
            return True, None

    def work(item: Any) -> Any:
        raise Boom

    task = task_of(work, before=plain_before)
    assert await task.replace(error_handler=Asked())([7]).collect() == []
    assert asked == [7]
    async with task.replace(on_error="divert")([7]) as results:
        assert await results.collect() == []
        assert [each.item for each in results.failures] == [7]


@failing
@pytest.mark.parametrize("error", [StopIteration(), StopAsyncIteration(), GeneratorExit()])
@pytest.mark.parametrize("function", [plain, asynchronous])
async def test_what_would_end_an_iteration_is_an_ordinary_error(
    failing: Any, error: BaseException, function: Any
) -> None:
    """As when the function raises it."""
    options, _ = failing(1, error)
    with pytest.raises(RuntimeError) as caught:
        await task_of(function, **options)([7]).collect()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("hook", ["before", "after"])
async def test_the_timeout_covers_them(hook: str) -> None:
    """Hook and function together have that long, in each attempt."""
    log = Log()

    async def slow(*arguments: Any) -> None:
        log.note(current_time())
        await anyio.sleep(2)

    task = task_of(suspended, timeout=2.5, retry_attempts=2, retry_delay=1, **{hook: slow})
    with pytest.raises(TimeoutError):
        await task([7]).collect()
    assert current_time() == 2.5 + 1 + 2.5
    first = 0 if hook == "before" else 1
    assert log.calls == [(first,), (first + 3.5,)]
    assert await task.replace(timeout=3.5)([7]).collect() == [("called", 7)]


async def test_what_an_attempt_waits_for_comes_before_them() -> None:
    """A token of the rate limit, say."""
    times: list[float] = []
    task = task_of(
        asynchronous, rate_limit=Rate(1, per=10), before=lambda item: times.append(current_time())
    )
    assert len(await task([1, 2, 3]).collect()) == 3
    assert times == [0, 10, 20]


async def test_a_hook_may_ask_for_a_pause() -> None:
    """``RetryAfter`` means in a hook what it means in the function."""
    options, calls = failing_before(1, RetryAfter(5))
    assert await task_of(asynchronous, **options, retry_attempts=2)([7]).collect()
    assert (calls, current_time()) == ([7, 7], 5)


async def test_calls_with_hooks_overlap() -> None:
    """Hooks of many items wait at the same time."""
    task = task_of(suspended, before=async_before, after=async_after, concurrency_limit=10)
    assert len(await task(range(10)).collect()) == 10
    assert current_time() == 3


async def test_the_limit_counts_calls_with_their_hooks() -> None:
    """So no more hooks than calls are in flight; also if the limit is found by trying."""
    task = task_of(suspended, before=async_before, after=async_after)
    for limit in (2, Adaptive(2, 2)):
        start = current_time()
        limited = task.replace(concurrency_limit=limit)
        assert len(await limited(range(4)).collect()) == 4
        assert current_time() - start == 2 * 3


async def test_with_in_order_it_is_before_that_starts_in_order() -> None:
    """It is where a call begins."""
    log = Log()

    async def before(item: int) -> None:
        log.note(item)
        await anyio.sleep(5 - item)

    task = task_of(asynchronous, before=before, in_order=True)
    assert len(await task(range(5)).collect()) == 5
    assert log.calls == [(0,), (1,), (2,), (3,), (4,)]


@pytest.mark.parametrize("hook", ["before", "after"])
async def test_what_a_hook_sets_no_other_item_sees(hook: str) -> None:
    """Context variables belong to the call."""
    seen: list[str] = []

    def look(*arguments: Any) -> None:
        seen.append(variable.get())
        variable.set("set")

    assert len(await task_of(asynchronous, **{hook: look})(range(20)).collect()) == 20
    assert seen == ["unset"] * 20


async def test_the_function_sees_what_before_sets() -> None:
    """They are one call, and ``after`` belongs to it."""
    seen: list[str] = []

    def before(item: Any) -> None:
        variable.set("set")

    async def work(item: Any) -> str:
        return variable.get()

    task = task_of(work, before=before, after=lambda item, result: seen.append(variable.get()))
    assert await task([7]).collect() == ["set"]
    assert seen == ["set"]


async def test_a_result_that_can_be_awaited_is_left_alone() -> None:
    """What an ``async def`` returns is its result, whatever it is."""
    pending = Asynchronous()(7)

    async def work(item: Any) -> Any:
        return pending

    seen: list[Any] = []
    task = task_of(work, after=lambda item, result: seen.append(result))
    assert await task(7) is pending
    assert seen == [pending]
    pending.close()


# Generators


def generator(item: Any) -> Iterator[Any]:
    yield item
    yield item


async def async_generator(item: Any) -> AsyncIterator[Any]:
    yield item
    yield item


class Generating:
    def method(self, item: Any) -> Iterator[Any]:
        yield item

    @classmethod
    def of_class(cls, item: Any) -> Iterator[Any]:
        yield item

    async def __call__(self, item: Any) -> AsyncIterator[Any]:
        yield item


@both_ways
@pytest.mark.parametrize("function", [generator, async_generator])
@pytest.mark.parametrize("before", BEFORE)
async def test_a_generator_gets_what_before_gives(
    use: Callable[..., Any], function: Any, before: Any
) -> None:
    """It is called once, and then the generator goes on as ever."""
    results = await use(task_of(function, before=before))
    if use is awaited:
        [stream] = results  # what an awaited call returns comes back as it is
        is_async = function is async_generator
        results = [each async for each in stream] if is_async else [*stream]
    assert results == [("enriched", 7)] * 2


@pytest.mark.parametrize(
    "function",
    [
        generator,
        async_generator,
        functools.partial(generator),
        functools.partial(async_generator),
        Generating().method,
        Generating.__dict__["of_class"],
        Generating(),
    ],
)
def test_a_generator_function_has_no_after(function: Any) -> None:
    """It has no result, and the decorator says so."""
    message = (
        "task 'work': after is for calls that return a result, and the values of a generator go on "
        "before it has ended; return a list, or look at the values in a task after this one"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task_of(function, after=plain_after)
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task_of(function, before=plain_before).replace(after=plain_after)


@both_ways
@pytest.mark.parametrize("made", [generator, async_generator])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_that_is_returned_is_an_error(
    use: Callable[..., Any], made: Any, is_async: bool
) -> None:
    """Where it could not be known, the call fails, and ``after`` sees nothing."""
    log = Log()

    async def later(item: Any) -> Any:
        return made(item)

    message = (
        "task 'work' with after returned a generator, whose values are not there yet for it to "
        "see; return a list, or leave after out"
    )
    task = task_of(later if is_async else lambda item: made(item), after=log.after)
    with pytest.raises(TypeError) as caught:
        await use(task)
    assert str(caught.value) == message
    assert log.calls == []


async def test_a_function_that_wraps_a_generator_may_return_a_result() -> None:
    """Only what it returns counts."""

    @functools.wraps(generator)
    def gathered(item: Any) -> list[Any]:
        return list(generator(item))

    task = task_of(gathered, after=lambda item, result: tuple(result))
    assert await task([7]).collect() == [(7, 7)]


# Batches of which something fails


async def test_a_hook_may_be_what_isolates_the_poison() -> None:
    """A batch that ``before`` refuses is halved until only the items it refuses are left out."""
    log = Log()

    def before(batch: list[int]) -> None:
        log.before(batch)
        if 2 in batch:
            raise Boom

    task: Any = batch_task(max_size=4, on_error="skip_item", before=before, after=log.after)(
        log.function
    )
    async with task(range(4)) as results:
        assert await results.collect() == [0, 1, 3]
        assert results.stats().skipped == 1
    good = [[("before", part), ("call", part), ("after", part, part)] for part in ([0, 1], [3])]
    assert log.calls == [
        ("before", [0, 1, 2, 3]),
        *good[0],
        ("before", [2, 3]),
        ("before", [2]),
        *good[1],
    ]


async def test_items_that_are_named_failed_get_both_hooks_again() -> None:
    """``after`` sees the list with ``Failed`` in it; the smaller batch has hooks of its own."""
    log = Log()
    error = Boom()

    def work(batch: list[int]) -> list[Any]:
        first = len(log.calls) == 1
        return [Failed(error) if first and item == 1 else item for item in batch]

    task: Any = batch_task(max_size=3, max_retries=1, before=log.before, after=log.after)(work)
    assert await task(range(3)).collect() == [0, 1, 2]
    assert [each[:2] for each in log.calls] == [
        ("before", [0, 1, 2]),
        ("after", [0, 1, 2]),
        ("before", [1]),
        ("after", [1]),
    ]
    assert isinstance(log.calls[1][2][1], Failed)


async def test_after_may_name_failed_items() -> None:
    """Its list counts as the function's: such items are left out by themselves."""

    def after(batch: list[int], result: list[Any]) -> list[Any]:
        return [Failed(Boom()) if each < 0 else each for each in result]

    task: Any = batch_task(max_size=3, on_error="skip_item", after=after)(lambda batch: batch)
    assert await task([1, -2, 3]).collect() == [1, 3]


# With other options


async def test_a_fallback_has_hooks_of_its_own() -> None:
    """It gets the item that came, and those of the failed task see nothing of it."""
    log = Log()

    def work(item: Any) -> Any:
        raise Boom

    backup = single_task(
        lambda item: f"{item}?", before=lambda item: f"{item}!", after=lambda item, result: [result]
    )
    task = log.around(work, fallback=backup)
    assert await task([7]).collect() == ["7!?"]
    assert await task(7) == ["7!?"]
    assert log.calls == [("before", 7)] * 2


async def test_what_is_cached_calls_none() -> None:
    """The key is told from the item that came; what is kept is what ``after`` gave."""
    log = Log()
    cache: dict[Any, Any] = {}

    def before(item: int) -> int:
        log.before(item)
        return 10 * item

    task = task_of(lambda item: item + 1, before=before, after=plain_after, cache=cache)
    known = ("after", 70, 71)
    assert await task([7, 7]).collect() == [known] * 2
    assert await task(7) == known
    assert cache == {7: known}
    assert log.calls == [("before", 7)]


async def test_a_hedged_call_calls_them_in_both_attempts() -> None:
    """Each attempt is a call of its own; the one that is cancelled has no result to show."""
    log = Log()

    async def work(item: Any) -> Any:
        first = len(log.calls) == 1
        await anyio.sleep(9 if first else 1)
        return "slow" if first else "fast"

    assert await log.around(work, hedge_after=2)([7]).collect() == ["fast"]
    assert log.calls == [("before", 7), ("before", 7), ("after", 7, "fast")]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_source_has_no_item_to_show(is_async: bool) -> None:
    """Without an item ``before`` is not called, and ``after`` is told ``None``."""
    log = Log()

    def listing() -> list[int]:
        return [1, 2]

    async def listing_later() -> list[int]:
        return listing()

    task = log.around(listing_later if is_async else listing)
    assert await task().collect() == [1, 2]
    assert await task() == [1, 2]
    assert log.calls == [("after", None, [1, 2])] * 2


async def test_a_source_may_fall_back_on_one_with_hooks() -> None:
    """That gets no item either."""
    log = Log()

    def broken() -> Any:
        raise Boom

    backup = log.around(lambda: [1, 2])
    assert await task_of(broken, fallback=backup)().collect() == [1, 2]
    assert log.calls == [("after", None, [1, 2])]
    assert await task_of(broken, before=log.before, fallback=backup)() == [1, 2]
    assert log.calls == [("after", None, [1, 2])] * 2


async def test_an_item_given_by_its_name_is_none_of_before() -> None:
    """What is no positional argument is not known to be the item."""
    log = Log()
    assert await log.around(lambda item: item)(item=7) == 7
    assert log.calls == [("after", None, 7)]


# As options


def test_they_can_be_looked_up_replaced_and_taken_away() -> None:
    """As every option can."""
    task = task_of(plain, before=plain_before)
    assert (task.before, task.after) == (plain_before, None)
    other = task.replace(after=plain_after)
    assert (other.before, other.after) == (plain_before, plain_after)
    assert other.replace(before=None).before is None
    assert task.after is None


async def test_none_is_called_once_it_is_taken_away() -> None:
    """The function alone is left."""
    task = task_of(plain, before=plain_before, after=plain_after).replace(before=None, after=None)
    assert await task([7]).collect() == [("called", 7)]


async def test_a_method_has_hooks_without_self() -> None:
    """Those of a bound task may be bound themselves."""

    class Shop:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        @single_task(before=plain_before)
        async def price(self, name: Any) -> Any:
            return (self, name)

        def look(self, name: Any) -> None:
            self.seen.append(name)

    shop = Shop()
    assert await shop.price(["pear"]).collect() == [(shop, ("enriched", "pear"))]
    assert await shop.price("pear") == (shop, ("enriched", "pear"))
    assert await shop.price.replace(before=shop.look)(["pear"]).collect() == [(shop, "pear")]
    assert shop.seen == ["pear"]


def test_a_task_without_hooks_is_called_as_it_is() -> None:
    """Nothing is put around its function."""
    task = task_of(asynchronous)
    assert Call(task.func, task.options).function is asynchronous


def test_hooks_alone_leave_a_call_plain() -> None:
    """They need nothing of what other options put around a call."""
    task = task_of(asynchronous, before=plain_before, after=plain_after)
    assert task.options.is_plain
    assert Call(task.func, task.options).begins_plainly


# Hooks that make no sense


def two(item: Any, other: Any) -> None: ...


def generating(item: Any) -> Iterator[Any]:
    yield item


async def generating_later(item: Any, result: Any) -> AsyncIterator[Any]:
    yield item


GENERATING = "must return its value, got a generator function; write 'return' in place of 'yield'"
ALONE = "with no self and no side inputs; got a function of"

BROKEN: list[tuple[str, Any, str]] = [
    ("before", 7, "must be a function that can be called as before(item), got 7"),
    ("after", "text", "must be a function that can be called as after(item, result), got 'text'"),
    (
        "before",
        Log,
        "must be a function, got the class Log; write before=lambda item: Log(item)",
    ),
    (
        "after",
        dict,
        "must be a function, got the class dict; write after=lambda item, result: dict(result)",
    ),
    ("before", generating, GENERATING),
    ("after", generating_later, GENERATING),
    (
        "before",
        two,
        f"is called as before(item), {ALONE} (item: 'Any', other: 'Any') -> 'None'",
    ),
    ("after", len, f"is called as after(item, result), {ALONE} (obj, /)"),
]


@pytest.mark.parametrize(("option", "hook", "complaint"), BROKEN)
@pytest.mark.parametrize("decorator", [single_task, batch_task])
def test_what_cannot_be_called_is_refused(
    decorator: Any, option: str, hook: Any, complaint: str
) -> None:
    """Where the task is made, and by ``replace()``, too."""
    message = f"task 'work': {option} {complaint}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        decorator(task_name="work", **{option: hook})(plain)
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task_of(plain).replace(**{option: hook})


class Unknown:
    """Cannot be asked for its parameters."""

    __signature__ = "none"

    def __call__(self, *arguments: Any) -> Any:
        return arguments


def injecting(function: Any) -> Any:
    """Give a function one argument more than whoever calls it does."""

    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments, "injected")

    return wrapper


async def test_what_might_be_called_is_not_refused() -> None:
    """Signatures that say nothing, or nothing that counts."""
    seen: list[Any] = []
    task = task_of(plain, before=seen.append, after=Unknown())
    assert await task([7]).collect() == [(7, ("called", 7))]
    assert seen == [7]
    task = task_of(plain, before=injecting(lambda item, extra: (item, extra)))
    assert await task([7]).collect() == [("called", (7, "injected"))]
