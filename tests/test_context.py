"""The context of a run, and the context variables of its calls."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from conveyor import (
    Context,
    ContextManager,
    ErrorHandler,
    Pipeline,
    PipelineContext,
    batch_task,
    get_current_context,
    set_current_context,
    single_task,
    with_context,
)
from helpers import block, plain, three_ways, ticks

variable: ContextVar[Any] = ContextVar("variable", default="unset")


# PipelineContext and Context


def test_a_context_has_defaults() -> None:
    """Ordered, without a cap, without data."""
    context = PipelineContext()
    assert context.execution_mode == "ordered"
    assert context.max_parallelism is None
    assert context.max_in_flight is None
    assert context.pipeline_id is None
    assert context.data == {}
    assert PipelineContext().data is not context.data


def test_a_context_is_built_from_fields() -> None:
    """``PipelineContext`` takes its fields by name and by position."""
    context = PipelineContext("as_completed", 3, "id", {"key": 1}, 10)
    assert context == PipelineContext(
        execution_mode="as_completed",
        max_parallelism=3,
        pipeline_id="id",
        data={"key": 1},
        max_in_flight=10,
    )


def test_a_context_is_built_data_first() -> None:
    """``Context`` takes the data, then fields by name, and is a ``PipelineContext``."""
    data = {"key": 1}
    context = Context(data, max_parallelism=3)
    assert isinstance(context, PipelineContext)
    assert (context.data, context.max_parallelism) == (data, 3)
    assert Context().data == Context(None).data == {}
    assert Context(execution_mode="as_completed").execution_mode == "as_completed"


@pytest.mark.parametrize("kind", [Context, lambda data: PipelineContext(data=data)])
def test_reading_a_context(kind: Any) -> None:
    """``get`` has a default, ``[]`` raises, ``in`` tells."""
    context = kind({"key": 1, "none": None})
    assert (context.get("key"), context.get("other"), context.get("other", 2)) == (1, None, 2)
    assert context.get("none", 2) is None
    assert context["key"] == 1
    assert "key" in context
    assert "other" not in context
    with pytest.raises(KeyError):
        context["other"]


def test_require_names_all_that_is_missing() -> None:
    """One ``ValueError`` names every missing key; a value of ``None`` is missing too."""
    context = Context({"a": 1, "none": None, "zero": 0, "empty": ""})
    context.require()
    context.require("a", "zero", "empty")
    with pytest.raises(ValueError, match="lacks") as caught:
        context.require("b", "a", "none", "c")
    assert str(caught.value) == "the pipeline context lacks required data: 'b', 'none', 'c'"


@pytest.mark.parametrize("kind", [Context, lambda data: PipelineContext(data=data)])
def test_copy_has_data_of_its_own(kind: Any) -> None:
    """The dictionary is copied, the values in it are shared, the type is kept."""
    value: list[int] = []
    context = kind({"key": value})
    duplicate = context.copy()
    duplicate.data["other"] = 1
    duplicate.execution_mode = "as_completed"
    assert context.data == {"key": value}
    assert context.execution_mode == "ordered"
    assert duplicate["key"] is value
    assert type(duplicate) is type(context)


@pytest.mark.parametrize(
    ("field", "value", "kind", "message"),
    [
        (
            "execution_mode",
            "sorted",
            ValueError,
            "execution_mode must be 'ordered' or 'as_completed', got 'sorted'",
        ),
        (
            "max_parallelism",
            0,
            ValueError,
            "max_parallelism must be at least 1, or None, got 0",
        ),
        (
            "max_parallelism",
            "4",
            TypeError,
            "max_parallelism must be an int or None, got '4'",
        ),
        (
            "max_parallelism",
            True,
            TypeError,
            "max_parallelism must be an int or None, got True",
        ),
        (
            "max_in_flight",
            -1,
            ValueError,
            "max_in_flight must be at least 1, or None, got -1",
        ),
        (
            "max_in_flight",
            2.5,
            TypeError,
            "max_in_flight must be an int or None, got 2.5",
        ),
    ],
)
def test_bad_settings_are_refused(field: str, value: Any, kind: Any, message: str) -> None:
    """Wherever a field is set, a bad value names the field and itself."""
    task = single_task(str)
    for make in (
        PipelineContext,
        Context,
        Pipeline().with_context,
        task.with_context,
        (task | task).with_context,
    ):
        with pytest.raises(kind) as caught:
            make(**{field: value})
        assert str(caught.value) == message


def test_a_bad_execution_mode_is_refused() -> None:
    """``with_execution_mode`` checks as well."""
    with pytest.raises(ValueError, match="execution_mode must be"):
        single_task(str).with_execution_mode("sorted")  # type: ignore[arg-type]


# with_context on pipelines


def test_with_context_splits_fields_and_data() -> None:
    """Known names are fields, all others go into the data, and add up."""
    pipeline = (
        Pipeline()
        .with_context(max_parallelism=3, key="value")
        .with_context(execution_mode="as_completed", other=2)
        .with_context(key="new", max_in_flight=50)
    )
    assert pipeline.context == PipelineContext(
        execution_mode="as_completed",
        max_parallelism=3,
        max_in_flight=50,
        data={"key": "new", "other": 2},
    )


def test_with_context_can_replace_the_data() -> None:
    """``data=`` is the field itself: a copy of it takes the place of all data."""
    data = {"key": 1}
    pipeline = Pipeline().with_context(old=0).with_context(data=data)
    data["key"] = 2
    assert pipeline.context.data == {"key": 1}


@pytest.mark.parametrize("make", [PipelineContext, Context, Pipeline().with_context])
def test_data_that_is_no_dict_is_refused(make: Any) -> None:
    """Without its value, which may be a secret."""
    with pytest.raises(TypeError) as caught:
        make(data=["hush"])
    assert str(caught.value) == (
        "data must be a dict, from names to what the tasks share, got a list"
    )


# Each run has its own copy


@single_task
def current(item: Any) -> Any:
    return get_current_context()


@three_ways
async def test_each_run_has_a_copy_with_an_id_of_its_own(consume: Any) -> None:
    """All calls of a run see one context; the next run has another, with another id."""
    pipeline = current.with_context(key="value") | single_task(
        lambda context: (context, get_current_context())
    )
    runs = [await consume(pipeline(range(3))) for _ in range(2)]
    contexts = [{id(each) for pair in run for each in pair} for run in runs]
    assert [len(each) for each in contexts] == [1, 1]
    (first, _), (second, _) = runs[0][0], runs[1][0]
    assert first is not second is not pipeline.context
    assert first.data == second.data == {"key": "value"}
    assert isinstance(first.pipeline_id, str)
    assert first.pipeline_id != second.pipeline_id
    assert pipeline.context.pipeline_id is None


@three_ways
async def test_what_a_run_puts_into_its_context_stays_there(consume: Any) -> None:
    """Later calls of the run see it; neither the pipeline nor the next run does."""

    @single_task(concurrency_limit=1)
    def count(item: int) -> int:
        context = get_current_context()
        assert context is not None
        context.data["count"] = context.get("count", 0) + 1
        return context["count"]

    pipeline = count.with_context(other=1)
    for _ in range(2):
        assert await consume(pipeline(range(3))) == [1, 2, 3]
    assert pipeline.context.data == {"other": 1}


@three_ways
async def test_concurrent_runs_have_contexts_of_their_own(consume: Any) -> None:
    """Runs at the same time do not see each other's."""

    @single_task
    async def look(item: int) -> Any:
        await ticks(3)
        context = get_current_context()
        assert context is not None
        await ticks(item)
        assert get_current_context() is context
        return context["name"]

    seen: dict[str, list[str]] = {}

    async def run(name: str) -> None:
        seen[name] = await consume(look.with_context(name=name)(range(4)))

    async with anyio.create_task_group() as task_group:
        for name in "abc":
            task_group.start_soon(run, name)
    assert seen == {name: [name] * 4 for name in "abc"}


async def test_the_context_can_be_read_everywhere() -> None:
    """Functions, coroutines, generators of both kinds, batches, handlers and sources see it."""
    seen: list[Any] = []

    def look() -> None:
        context = get_current_context()
        assert context is not None
        seen.append(context["where"])

    async def source(item: None = None) -> AsyncIterator[int]:
        look()
        yield 0

    async def coroutine(item: int) -> int:
        await ticks(1)
        look()
        return item

    def function(item: int) -> int:
        look()
        return item

    def generator(item: int) -> Iterator[int]:
        look()
        yield item

    async def async_generator(item: int) -> AsyncIterator[int]:
        look()
        yield item
        await ticks(1)
        look()

    def batch(items: list[int]) -> list[int]:
        look()
        return items

    def fail(item: int) -> None:
        raise ValueError

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, int]:
            look()
            return True, 1

    functions = (source, coroutine, function, generator, async_generator)
    pipeline: Any = Pipeline().add(*map(single_task, functions), batch_task(max_size=2)(batch))
    pipeline.add(single_task(fail, error_handler=Handler()))
    assert await pipeline.with_context(where="here")().collect() == [1]
    assert seen == ["here"] * 8


async def test_a_task_can_ask_for_the_context() -> None:
    """``get_context()`` of a task is the current context."""
    contexts: list[Any] = []

    @single_task
    def look(item: int) -> None:
        contexts.append(look.get_context())

    assert look.get_context() is None
    await look.with_context(key=1)([0]).collect()
    assert contexts[0].data == {"key": 1}


@three_ways
async def test_the_consumer_has_no_context(consume: Any) -> None:
    """The context is that of the calls; whoever consumes the results keeps his own."""
    assert get_current_context() is None
    stream = current([1])
    if consume is block:
        async with stream as results:
            assert get_current_context() is None
            async for _ in results:
                assert get_current_context() is None
    elif consume is plain:
        async for _ in stream:
            assert get_current_context() is None
    else:
        await stream.collect()
    assert get_current_context() is None


@three_ways
async def test_a_run_inside_a_call_has_its_own_context(consume: Any) -> None:
    """Inside, calls see the inner run's; afterwards the outer call sees the outer one again."""

    @single_task
    async def outer(item: int) -> Any:
        (inner,) = await consume(current.with_context(name="inner")([0]))
        context = get_current_context()
        assert context is not None
        return inner["name"], context["name"]

    assert await outer.with_context(name="outer")([0]).collect() == [("inner", "outer")]


async def test_an_awaited_call_sees_the_callers_context() -> None:
    """A call that is awaited inside a task belongs to that task's run."""

    @single_task
    async def outer(item: int) -> Any:
        return (await current(0))["name"]

    assert await outer.with_context(name="outer")([0]).collect() == ["outer"]
    assert await current(0) is None


# Where no variable is set but that of the run, they are only counted


def where_none_is_set(backend: str, function: Callable[[], Awaitable[None]]) -> None:
    """Run an event loop without any context variable; AnyIO's own runner sets one."""
    empty = contextvars.Context()
    if backend == "trio":
        empty.run(trio.run, function)
    else:
        empty.run(lambda: asyncio.run(function()))  # type: ignore[arg-type]


def set_one(item: int) -> None:
    variable.set(str(item))


def replace_context(item: int) -> None:
    set_current_context(Context({"item": item}))


def replace_context_until_the_end(item: int) -> None:
    ContextManager(Context({"item": item})).__enter__()


def replace_context_for_a_moment(item: int) -> None:
    with ContextManager(Context({"item": item})), ContextManager(Context({"item": -1})):
        pass


def leave_a_block_of_another_task(item: int) -> None:
    block = ContextManager(Context({"item": item}))
    contextvars.Context().run(block.__enter__)
    block.__exit__()


def nothing(item: int) -> None:
    pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("before", [nothing, set_one, replace_context])
@pytest.mark.parametrize(
    ("change", "is_lasting"),
    [
        (set_one, True),
        (replace_context, True),
        (replace_context_until_the_end, True),
        (leave_a_block_of_another_task, True),
        (replace_context_for_a_moment, False),
        (nothing, False),
    ],
)
def test_a_call_sees_no_change_by_another_one_however_many_are_set(
    change: Callable[[int], None],
    is_lasting: bool,
    before: Callable[[int], None],
    backend: str,
) -> None:
    """Nothing was set before, or what the calls set, or something else."""
    names: set[frozenset[str]] = set()

    @single_task(concurrency_limit=1)
    async def look(item: int) -> Any:
        variables = contextvars.copy_context()
        names.add(frozenset(each.name for each in variables))
        seen = get_current_context(), variables.get(variable)
        change(item)
        return seen

    async def run() -> None:
        before(-1)
        stream = look(range(20))
        results = await stream.collect()
        assert results == [results[0]] * 20
        assert results[0][0] is not None
        assert results[0][0].data == {}
        assert results[0][1] == ("-1" if before is set_one else None)
        assert stream._run is not None
        assert stream._run.stages[0]._isolated is is_lasting

    where_none_is_set(backend, run)
    assert len(names) == 1
    assert len(names.pop()) == 2 + (before is not nothing)


# set_current_context, ContextManager, with_context


async def test_setting_the_current_context() -> None:
    """It is set for what follows, and ``None`` takes it away."""
    context = Context({"key": 1})
    set_current_context(context)
    assert get_current_context() is context
    assert await current(0) is context
    set_current_context(None)
    assert get_current_context() is None


def test_a_context_manager_sets_and_restores() -> None:
    """Inside the block the context is current; blocks nest, also of one manager."""
    outer, inner = Context({"name": "outer"}), Context({"name": "inner"})
    manager = ContextManager(outer)
    with manager as entered:
        assert get_current_context() is entered is outer
        with ContextManager(inner), manager:
            assert get_current_context() is outer
        assert get_current_context() is outer
    assert get_current_context() is None


def test_a_context_manager_restores_after_an_error() -> None:
    """An exception passes, and the context is what it was."""
    with pytest.raises(KeyError), ContextManager(Context()):
        raise KeyError
    assert get_current_context() is None


async def test_awaiting_with_a_context() -> None:
    """``with_context(context, coroutine)`` returns its result, the context current meanwhile."""
    context = Context({"key": 1})

    async def look() -> Any:
        await ticks(1)
        return get_current_context()

    async def fail() -> None:
        raise KeyError

    assert await with_context(context, look()) is context
    assert await with_context(context, current(0)) is context
    with pytest.raises(KeyError):
        await with_context(context, fail())
    assert get_current_context() is None


async def test_a_context_set_by_hand_does_not_reach_into_runs() -> None:
    """A run has its own context whatever is current where it is started."""
    with ContextManager(Context({"key": 1})) as mine:
        (seen,) = await current.with_context(other=2)([0]).collect()
        assert seen.data == {"other": 2}
        assert get_current_context() is mine


# Context variables: what calls see


def see(item: Any) -> Any:
    return variable.get()


async def see_later(item: Any) -> Any:
    await ticks(2)
    return variable.get()


def see_in_generator(item: Any) -> Iterator[Any]:
    yield variable.get()


async def see_in_async_generator(item: Any) -> AsyncIterator[Any]:
    await ticks(1)
    yield variable.get()


@three_ways
@pytest.mark.parametrize(
    "task",
    [
        single_task(see),
        single_task(see, timeout=9),
        single_task(see_later),
        single_task(see_in_generator),
        single_task(see_in_async_generator),
        batch_task(max_size=1)(see),
        batch_task(max_size=1)(see_later),
        single_task(see).with_context(max_parallelism=1),
        single_task(lambda item: item) | single_task(see_later),
    ],
)
async def test_calls_see_the_values_of_the_caller(task: Any, consume: Any) -> None:
    """What the caller has set when it starts the run is seen by every call."""
    stream = task(range(3))
    variable.set("callers")
    assert await consume(stream) == ["callers"] * 3


@three_ways
async def test_each_run_sees_the_values_of_its_own_caller(consume: Any) -> None:
    """Runs started under different values see those, at the same time."""
    task = single_task(see_later)
    seen: dict[str, list[str]] = {}

    async def run(value: str) -> None:
        variable.set(value)
        seen[value] = await consume(task(range(3)))

    async with anyio.create_task_group() as task_group:
        for value in "abc":
            task_group.start_soon(run, value)
    assert seen == {value: [value] * 3 for value in "abc"}


@three_ways
async def test_sources_and_side_inputs_see_the_values_of_the_caller(consume: Any) -> None:
    """Generators given as data run with the caller's values, and so do side inputs."""

    async def source() -> AsyncIterator[Any]:
        yield variable.get()

    async def load() -> Any:
        return variable.get()

    task = single_task(lambda item, loaded: (item, loaded))
    variable.set("callers")
    assert await consume(task(source(), load())) == [("callers", "callers")]


# Context variables: what calls set


class Refuses:
    """A value that cannot be compared, as an array cannot."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


class AlwaysEqual:
    """A value that says it equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def set_and_return(item: Any) -> Any:
    before = variable.get()
    variable.set(item)
    return (before,)


async def set_and_return_later(item: Any) -> Any:
    before = variable.get()
    variable.set(item)
    await ticks(2)
    assert variable.get() is item
    return (before,)


async def return_without_waiting(item: Any) -> Any:
    return set_and_return(item)


def set_and_yield(item: Any) -> Iterator[Any]:
    before = variable.get()
    variable.set(item)
    yield (before,)
    assert variable.get() is item


async def set_and_yield_later(item: Any) -> AsyncIterator[Any]:
    before = variable.get()
    await ticks(1)
    variable.set(item)
    yield (before,)
    await ticks(1)
    assert variable.get() is item


def set_in_batch(batch: list[Any]) -> Any:
    return set_and_return(batch[0])


async def set_in_batch_later(batch: list[Any]) -> Any:
    return await set_and_return_later(batch[0])


def fail_after_setting(item: Any) -> Any:
    variable.set(item)
    raise ValueError


class Report(ErrorHandler):
    """Sets the variable too, and gives what it saw in place of the result."""

    async def handle_error(self, error: Exception, item: Any, *args: Any) -> tuple[bool, Any]:
        assert variable.get() is item
        return True, ("callers",)


SETTERS: dict[str, Any] = {
    "function": single_task(set_and_return, concurrency_limit=1),
    "function_at_once": single_task(set_and_return),
    "with_options": single_task(set_and_return, concurrency_limit=1, timeout=9),
    "coroutine": single_task(set_and_return_later, concurrency_limit=1),
    "coroutines_at_once": single_task(set_and_return_later, concurrency_limit=3),
    "coroutine_with_options": single_task(set_and_return_later, concurrency_limit=1, timeout=9),
    "coroutine_that_never_waits": single_task(return_without_waiting, concurrency_limit=1),
    "generator": single_task(set_and_yield, concurrency_limit=1),
    "async_generator": single_task(set_and_yield_later, concurrency_limit=1),
    "async_generators_at_once": single_task(set_and_yield_later, concurrency_limit=3),
    "batch": batch_task(max_size=1)(set_in_batch),
    "batch_coroutine": batch_task(max_size=1)(set_in_batch_later),
    "batches_at_once": batch_task(max_size=1, concurrency_limit=3)(set_in_batch_later),
    "handled": single_task(fail_after_setting, error_handler=Report(), concurrency_limit=1),
}

setters = pytest.mark.parametrize("task", SETTERS.values(), ids=SETTERS)


@setters
@three_ways
@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_what_a_call_sets_is_seen_by_no_other_one(task: Any, consume: Any, mode: Any) -> None:
    """Each of many items finds the caller's value, and its own one as long as it runs."""
    variable.set("callers")
    stream = task.with_execution_mode(mode)(range(30))
    assert await consume(stream) == [("callers",)] * 30


@setters
@pytest.mark.parametrize("kind", [Refuses, AlwaysEqual, list], ids=lambda kind: kind.__name__)
async def test_values_need_not_be_comparable(task: Any, kind: Any) -> None:
    """Values that refuse to be compared, or that equal the caller's, are kept apart as well."""
    callers = kind()
    variable.set(callers)
    # None of the items is data to be iterated or spread.
    results = await task([kind() for _ in range(10)]).collect()
    expected = ("callers",) if task is SETTERS["handled"] else (callers,)
    assert len(results) == 10
    assert all(before is expected[0] for (before,) in results)


@pytest.mark.parametrize("options", [{}, {"timeout": 9}], ids=["plain", "general"])
@pytest.mark.parametrize("value", ["other", []], ids=["different", "equal"])
async def test_any_call_may_be_the_first_to_set_a_variable(
    value: Any, options: dict[str, Any]
) -> None:
    """Calls that set nothing do not lull the worker: what a later one sets is not seen either."""
    callers: list[int] = []
    variable.set(callers)

    @single_task(concurrency_limit=1, **options)
    def work(item: int) -> bool:
        before = variable.get()
        if item >= 5:
            variable.set(value)
        return before is callers

    assert await work(range(10)).collect() == [True] * 10


@three_ways
async def test_what_a_stage_sets_is_not_seen_by_the_next_one(consume: Any) -> None:
    """Neither does the next stage see it, for the same item or for others."""
    variable.set("callers")
    pipeline = (
        single_task(set_and_return)
        | batch_task(max_size=2)(lambda batch: batch)
        | single_task(set_and_return_later)
    )
    assert await consume(pipeline(range(9))) == [("callers",)] * 9


@setters
@three_ways
async def test_what_a_call_sets_is_not_seen_by_the_caller(task: Any, consume: Any) -> None:
    """The caller keeps its values, during the iteration and afterwards."""
    variable.set("callers")
    stream = task(range(3))
    if consume is plain:
        async for _ in stream:
            assert variable.get() == "callers"
    elif consume is block:
        async with stream as results:
            async for _ in results:
                assert variable.get() == "callers"
    else:
        await stream.collect()
    assert variable.get() == "callers"


async def test_what_a_source_sets_is_not_seen_by_calls() -> None:
    """A generator given as data keeps its values to itself."""

    async def source() -> AsyncIterator[int]:
        for number in range(5):
            variable.set(number)
            yield number
            assert variable.get() == number

    variable.set("callers")
    assert await single_task(see_later)(source()).collect() == ["callers"] * 5
    assert variable.get() == "callers"


@pytest.mark.parametrize("options", [{}, {"timeout": 99}], ids=["plain", "with_options"])
async def test_calls_that_set_variables_may_do_everything(options: dict[str, Any]) -> None:
    """Scopes, task groups, threads and exceptions work in calls that are kept apart."""

    async def child(seen: list[Any]) -> None:
        await anyio.sleep(1)
        seen.append(variable.get())

    @single_task(concurrency_limit=1, **options)
    async def work(item: int) -> Any:
        variable.set(item)
        seen: list[Any] = []
        with anyio.move_on_after(0.5) as scope:
            await anyio.sleep(9)
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(child, seen)
        seen.append(await anyio.to_thread.run_sync(variable.get))
        try:
            with anyio.fail_after(0.5):
                await anyio.sleep(9)
        except TimeoutError:
            seen.append(variable.get())
        return (scope.cancelled_caught, *seen)

    assert await work(range(4)).collect() == [(True, n, n, n) for n in range(4)]


async def test_calls_that_set_variables_can_be_cancelled() -> None:
    """Cancelling the run ends them, their cleanup in their own context."""
    cleaned: list[Any] = []

    @single_task(concurrency_limit=1)
    async def work(item: int) -> None:
        variable.set(item)
        try:
            await anyio.sleep(item)
        finally:
            cleaned.append((item, variable.get()))

    with anyio.move_on_after(3.5):
        await work([1, 2, 3]).collect()
    assert cleaned == [(1, 1), (2, 2), (3, 3)]
