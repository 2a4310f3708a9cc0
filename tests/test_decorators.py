"""What the decorators make of functions and options."""

from __future__ import annotations

import abc
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, get_type_hints

import pytest

from conveyor import (
    Adaptive,
    BatchTask,
    CircuitBreaker,
    ErrorHandler,
    LoggingErrorHandler,
    RetryConfig,
    SingleTask,
    batch_task,
    options,
    single_task,
    task_options,
)

# Whatever wrong users write is Any here, or type checkers would stop it.
single: Any = single_task
batch: Any = batch_task


def function(item: int) -> int:
    """Return the item."""
    return item


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


def made(**options: Any) -> Any:
    return single(**options)(function)


def made_batch(**options: Any) -> Any:
    return batch(**options)(function)


# Spellings


@pytest.mark.parametrize(
    "task",
    [
        single(function),
        single()(function),
        single(timeout=3)(function),
        single(function, timeout=3),
    ],
    ids=["bare", "empty", "keywords", "called"],
)
def test_single_task_works_bare_and_with_keywords(task: Any) -> None:
    """All spellings make a single task of the function."""
    assert type(task) is SingleTask
    assert task.func is function


@pytest.mark.parametrize(
    ("decorator", "sizes"),
    [
        (batch(), (1, 1)),
        (batch(2), (2, 2)),
        (batch(1, 3), (1, 3)),
        (batch(1, max_size=3), (1, 3)),
        (batch(max_size=3), (1, 3)),
        (batch(min_size=2), (2, 2)),
        (batch(min_size=2, max_size=3), (2, 3)),
    ],
)
def test_batch_task_takes_sizes_by_position_and_by_name(
    decorator: Any, sizes: tuple[int, int]
) -> None:
    """The sizes are (min_size, max_size), by default 1 and min_size."""
    task = decorator(function)
    assert type(task) is BatchTask
    assert task.func is function
    assert (task.min_size, task.max_size) == sizes


def test_options_by_position_keep_their_places() -> None:
    """They are those of conveyor-streaming 1, after the function or the sizes."""
    handler = LoggingErrorHandler()
    values = ("skip_item", 4, 0.5, False, 9.0, handler, "name", 6)
    retry = RetryConfig(4, 0.5, False, 9.0)
    for task in (single(function, *values), single(None, *values)(function)):
        assert (task.on_error, task.retry_config) == ("skip_item", retry)
        assert (task.error_handler, task.task_name) == (handler, "name")
        assert task.concurrency_limit == 6
    task = batch(1, 3, *values)(function)
    assert (task.min_size, task.max_size) == (1, 3)
    assert (task.on_error, task.retry_config) == ("skip_item", retry)
    assert single(func=function, timeout=3).timeout == 3


@pytest.mark.parametrize("decorator", [partial(single, function), partial(batch, 1, 3)])
def test_options_by_position_are_checked(decorator: Any) -> None:
    """There are no more than eight, and each is given once."""
    message = "option 'on_error' is given both by position and by name"
    with pytest.raises(TypeError, match=exactly(message)):
        decorator("fail", on_error="fail")
    message = "too many options by position: (1, 2, 3, 4, 5, 6, 7, 8, 9); write them as name=value"
    with pytest.raises(TypeError, match=exactly(message)):
        decorator(*range(1, 10))


def test_batch_task_cannot_be_used_bare() -> None:
    """There is no batch without a size."""
    message = (
        "batch_task needs to know the size of a batch; write @batch_task(max_size=...) above the "
        "function, or batch_task(max_size=...)(function)"
    )
    for settings in ({}, {"max_size": 3}):
        with pytest.raises(TypeError, match=exactly(message)):
            batch(function, **settings)


@pytest.mark.parametrize("decorate", [single, single(timeout=3), batch(max_size=3)])
@pytest.mark.parametrize("value", [5, "text", [function]])
def test_only_callables_become_tasks(decorate: Any, value: Any) -> None:
    """Anything else is refused at once."""
    message = f"a task needs a function, got {value!r}; write the decorator above a 'def'"
    with pytest.raises(TypeError, match=exactly(message)):
        decorate(value)


def test_defaults_of_a_single_task() -> None:
    """A task without options never retries, fails, and spreads lists."""
    task = made()
    assert task.task_name == "function"
    assert task.on_error == "fail"
    assert task.retry_config == RetryConfig(
        max_attempts=1,
        base_delay=1.0,
        exponential_backoff=True,
        max_delay=60.0,
        backoff_multiplier=2.0,
        jitter=0.1,
        retry_on=Exception,
    )
    assert task.error_handler is None
    assert task.concurrency_limit is None
    assert task.options.limit == 100
    assert task.timeout is None
    assert task.flatten is True
    assert task.in_order is False
    assert repr(task) == "<SingleTask 'function'>"


def test_defaults_of_a_batch_task() -> None:
    """Batches run one after another and wait for nothing."""
    task = made_batch(max_size=3)
    assert task.concurrency_limit is None
    assert task.options.limit == 1
    assert task.max_wait is None
    assert task.flatten is True
    assert repr(task) == "<BatchTask 'function': max_size=3>"


def test_a_task_shows_what_it_was_given() -> None:
    """Every option is an attribute."""
    handler = LoggingErrorHandler()
    task = made_batch(
        min_size=2,
        max_size=4,
        max_wait=0.5,
        weight=len,
        max_weight=9,
        on_error="skip_batch",
        error_handler=handler,
        task_name="name",
        concurrency_limit=7,
        timeout=2,
        flatten=False,
        in_order=True,
    )
    assert (task.min_size, task.max_size, task.max_wait) == (2, 4, 0.5)
    assert (task.weight, task.max_weight) == (len, 9)
    assert task.on_error == "skip_batch"
    assert task.error_handler is handler
    assert task.task_name == "name"
    assert task.concurrency_limit == 7
    assert task.options.limit == 7
    assert task.timeout == 2
    assert task.flatten is False
    assert task.in_order is True
    assert task.stage_plan().starts_in_order is True


# Names and documentation


class Adder:
    def __call__(self, item: int) -> int:
        return item + 1


async def coroutine_function(item: int) -> int:
    return item


def generator_function(item: int) -> Iterator[int]:
    yield item


async def async_generator_function(item: int) -> AsyncIterator[int]:
    yield item


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (function, "function"),
        (coroutine_function, "coroutine_function"),
        (generator_function, "generator_function"),
        (async_generator_function, "async_generator_function"),
        (partial(function, 3), "function"),
        (partial(partial(function), 3), "function"),
        (Adder(), "Adder"),
        (Adder().__call__, "__call__"),
        (lambda item: item, "<lambda>"),
        (len, "len"),
    ],
)
def test_the_name_is_the_functions(func: Any, name: str) -> None:
    """Unless it is given one, a task is called as its function is."""
    assert single(func).task_name == name
    assert batch(max_size=2)(func).task_name == name
    assert single(func, task_name="other").task_name == "other"
    assert single(func, task_name=None).task_name == name


def test_a_task_looks_like_its_function() -> None:
    """Documentation tools see name, module and docstring of the function."""
    task = made()
    assert task.__name__ == "function"
    assert task.__doc__ == "Return the item."
    assert task.__module__ == __name__
    assert task.__wrapped__ is function


# Methods


class Client:
    def __init__(self, offset: int) -> None:
        self.offset = offset

    @single_task(timeout=3)
    def add(self, item: int) -> int:
        return item + self.offset

    @batch_task(max_size=3)
    def total(self, items: list[int]) -> int:
        return sum(items) + self.offset

    @single_task
    @staticmethod
    def double(item: int) -> int:
        return 2 * item

    @staticmethod
    @single_task
    def triple(item: int) -> int:
        return 3 * item

    outside = single_task(Adder())


def test_a_method_is_bound_to_its_instance() -> None:
    """Each instance has tasks of its own, with all options."""
    one, two = Client(1), Client(2)
    assert one.add.func(10) == 11
    assert two.add.func(10) == 12
    assert type(one.add) is SingleTask
    assert one.add.timeout == 3
    assert one.add.task_name == "add"
    assert one.total.func([10, 20]) == 31
    assert type(one.total) is BatchTask
    assert one.total.max_size == 3


def test_on_the_class_a_method_is_unbound() -> None:
    """The class has the task itself."""
    assert Client.add is Client.__dict__["add"]
    assert Client.add.func(Client(1), 10) == 11


def test_static_methods_and_callable_objects_are_not_bound() -> None:
    """What a function would not be given, a task is not given either."""
    client = Client(1)
    assert client.double.func(10) == Client.double.func(10) == 20
    assert client.triple.func(10) == Client.triple.func(10) == 30
    assert client.outside.func(10) == 11


def test_side_inputs_survive_binding() -> None:
    """A method configured in the class body is bound with its side inputs."""

    class Configured:
        @single_task
        def method(self, item: int, other: int) -> int:
            return item + other

        configured = method.with_inputs(5)

    assert Configured().configured.inputs.args == (5,)


# Immutability


ATTRIBUTES = (
    "func task_name on_error retry_config error_handler concurrency_limit timeout deadline "
    "hedge_after rate_limit before after flatten in_order min_size max_size max_wait weight "
    "max_weight batch_by target_duration options inputs"
)


@pytest.mark.parametrize("name", ATTRIBUTES.split())
def test_options_cannot_be_assigned(name: str) -> None:
    """Whoever wants other options makes another task."""
    task = made_batch(max_size=3)
    before = getattr(task, name)
    with pytest.raises(AttributeError):
        setattr(task, name, None)
    assert getattr(task, name) is before


def test_the_options_of_a_task_are_frozen() -> None:
    """The options object refuses changes, too."""
    with pytest.raises(AttributeError):
        made().options.timeout = 3


def test_replace_returns_another_task() -> None:
    """Only what is named changes, and only in the copy."""
    task = made_batch(max_size=3, timeout=1, max_retries=2).with_inputs(5)
    other = task.replace(timeout=2, max_size=4)
    assert type(other) is BatchTask
    assert (task.timeout, task.max_size) == (1, 3)
    assert (other.timeout, other.max_size) == (2, 4)
    assert other.retry_config == task.retry_config
    assert other.func is function
    assert other.inputs.args == (5,)


def test_replace_checks_like_the_decorator() -> None:
    """A combination that the decorator refuses is refused here."""
    message = "task 'function': min_size=5 is larger than max_size=3; give max_size=5 or more"
    with pytest.raises(ValueError, match=exactly(message)):
        made_batch(max_size=3).replace(min_size=5)


def test_replace_takes_retry_options_one_by_one() -> None:
    """Flat retry keywords are laid over what the task has."""
    task = made(retry_config=RetryConfig(max_attempts=5, base_delay=3.0))
    assert task.replace(retry_delay=1.0).retry_config == RetryConfig(max_attempts=5, base_delay=1.0)


def test_with_inputs_returns_another_task() -> None:
    """The task itself stays without side inputs; a second call starts afresh."""
    task = made(timeout=3)
    other = task.with_inputs(1, name=2)
    assert not task.inputs
    assert (other.inputs.args, other.inputs.kwargs) == ((1,), {"name": 2})
    assert other.timeout == 3
    assert (other.with_inputs(3).inputs.args, other.with_inputs(3).inputs.kwargs) == ((3,), {})


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"max_attempts": True}, TypeError, "max_attempts must be an int, got True"),
        ({"max_attempts": 1.0}, TypeError, "max_attempts must be an int, got 1.0"),
        (
            {"max_attempts": 0},
            ValueError,
            "max_attempts must be at least 1 (the first call counts), got 0",
        ),
        ({"base_delay": True}, TypeError, "base_delay must be a number, got True"),
        ({"max_delay": "1"}, TypeError, "max_delay must be a number, got '1'"),
        ({"backoff_multiplier": -1}, ValueError, "backoff_multiplier must not be negative, got -1"),
        (
            {"jitter": float("inf")},
            ValueError,
            "jitter must be finite, such as 0.1, or True for the whole delay",
        ),
        (
            {"exponential_backoff": "no"},
            TypeError,
            "exponential_backoff must be True or False, got 'no'",
        ),
    ],
    ids=repr,
)
def test_a_bad_retry_config_is_refused(settings: Any, kind: type[Exception], message: str) -> None:
    """As strictly as the keywords that say the same."""
    with pytest.raises(kind, match=exactly(message)):
        RetryConfig(**settings)


def test_a_retry_config_is_copied() -> None:
    """Changing a configuration afterwards changes no task."""
    config = RetryConfig(max_attempts=3)
    task = made(retry_config=config)
    config.max_attempts = 9
    assert task.retry_config.max_attempts == 3


# Retry, in all its spellings


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ({}, 1),
        ({"retry_attempts": 1}, 1),
        ({"retry_attempts": 3}, 3),
        ({"max_retries": 0}, 1),
        ({"max_retries": 3}, 4),
        ({"on_error": "retry"}, 4),
        ({"on_error": "retry", "retry_attempts": 2}, 2),
        ({"on_error": "retry", "max_retries": 1}, 2),
        ({"on_error": "retry", "retry_config": RetryConfig(max_attempts=2)}, 2),
        ({"on_error": "skip_item", "retry_attempts": 5}, 5),
        ({"retry_config": RetryConfig()}, 3),
        ({"retry_config": None}, 1),
        ({"retry_config": None, "retry_attempts": 2}, 2),
    ],
)
def test_attempts(options: dict[str, Any], attempts: int) -> None:
    """Every spelling comes down to a total number of calls."""
    assert made(**options).retry_config.max_attempts == attempts


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retry_delay": 0}, RetryConfig(1, base_delay=0)),
        ({"retry_delay": 2.5}, RetryConfig(1, base_delay=2.5)),
        ({"retry_exponential_backoff": False}, RetryConfig(1, exponential_backoff=False)),
        ({"retry_backoff": 3.0}, RetryConfig(1, backoff_multiplier=3.0)),
        ({"retry_max_delay": 5}, RetryConfig(1, max_delay=5)),
        ({"retry_jitter": 0}, RetryConfig(1, jitter=0)),
        ({"retry_jitter": True}, RetryConfig(1, jitter=True)),
        ({"retry_on": OSError}, RetryConfig(1, retry_on=OSError)),
        ({"retry_on": (OSError, KeyError)}, RetryConfig(1, retry_on=(OSError, KeyError))),
        ({"retry_on": callable}, RetryConfig(1, retry_on=callable)),
    ],
)
def test_flat_retry_keywords_are_fields_of_the_config(
    options: dict[str, Any], expected: RetryConfig
) -> None:
    """Each flat keyword sets one field and leaves the others."""
    assert made(**options).retry_config == expected


def test_on_error_retry_fails_in_the_end() -> None:
    """``"retry"`` is ``"fail"`` with retries."""
    assert made(on_error="retry").on_error == "fail"
    assert made_batch(max_size=2, on_error="retry").on_error == "fail"


# Refused options

COUNT = "must be at least 1"
DEFAULT = "must be at least 1, or None for the default"


async def find_out(error: Exception) -> bool:
    return True


RETRY_ON = "retry_on must be an Exception type, a tuple of them, or a predicate taking the error"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        # counts
        ({"concurrency_limit": 0}, ValueError, f"concurrency_limit {DEFAULT}, got 0"),
        ({"concurrency_limit": -3}, ValueError, f"concurrency_limit {DEFAULT}, got -3"),
        ({"concurrency_limit": 2.0}, TypeError, "concurrency_limit must be an int, got 2.0"),
        ({"concurrency_limit": True}, TypeError, "concurrency_limit must be an int, got True"),
        ({"retry_attempts": 0}, ValueError, f"retry_attempts {COUNT}, got 0"),
        ({"retry_attempts": "3"}, TypeError, "retry_attempts must be an int, got '3'"),
        ({"retry_attempts": None}, TypeError, "retry_attempts must be an int, got None"),
        ({"max_retries": -1}, ValueError, "max_retries must be at least 0, got -1"),
        ({"max_retries": 1.5}, TypeError, "max_retries must be an int, got 1.5"),
        # seconds and factors
        (
            {"timeout": 0},
            ValueError,
            "timeout must be more than 0, got 0; leave timeout out for none",
        ),
        (
            {"timeout": -1},
            ValueError,
            "timeout must be more than 0, got -1; leave timeout out for none",
        ),
        (
            {"timeout": float("nan")},
            ValueError,
            "timeout must be more than 0, got nan; leave timeout out for none",
        ),
        (
            {"deadline": 0},
            ValueError,
            "deadline must be more than 0, got 0; leave deadline out for none",
        ),
        ({"deadline": "1"}, TypeError, "deadline must be a number, got '1'"),
        ({"timeout": "1"}, TypeError, "timeout must be a number, got '1'"),
        ({"timeout": True}, TypeError, "timeout must be a number, got True"),
        ({"retry_delay": -1}, ValueError, "retry_delay must be 0 or more, got -1"),
        ({"retry_delay": None}, TypeError, "retry_delay must be a number, got None"),
        ({"retry_max_delay": -0.5}, ValueError, "retry_max_delay must be 0 or more, got -0.5"),
        ({"retry_max_delay": "1"}, TypeError, "retry_max_delay must be a number, got '1'"),
        ({"retry_backoff": -2}, ValueError, "retry_backoff must be 0 or more, got -2"),
        ({"retry_backoff": []}, TypeError, "retry_backoff must be a number, got []"),
        ({"retry_jitter": -0.1}, ValueError, "retry_jitter must be 0 or more, got -0.1"),
        ({"retry_jitter": "full"}, TypeError, "retry_jitter must be a number, got 'full'"),
        # flags
        ({"flatten": 1}, TypeError, "flatten must be True or False, got 1"),
        ({"in_order": None}, TypeError, "in_order must be True or False, got None"),
        (
            {"retry_exponential_backoff": "no"},
            TypeError,
            "retry_exponential_backoff must be True or False, got 'no'",
        ),
        # objects
        ({"task_name": 3}, TypeError, "task_name must be a str, got 3"),
        (
            {"retry_on": "OSError"},
            TypeError,
            f"{RETRY_ON}, got 'OSError'",
        ),
        (
            {"retry_on": find_out},
            TypeError,
            "retry_on must be a plain function, got a coroutine function; write 'def'",
        ),
        (
            {"retry_on": BaseException},
            TypeError,
            f"{RETRY_ON}, got <class 'BaseException'>",
        ),
        (
            {"retry_on": (OSError, 3)},
            TypeError,
            f"{RETRY_ON}, got (<class 'OSError'>, 3)",
        ),
        ({"retry_config": 3}, TypeError, "retry_config must be a RetryConfig, got 3"),
        (
            {"error_handler": LoggingErrorHandler},
            TypeError,
            (
                "error_handler must be an instance, got the class; "
                "write error_handler=LoggingErrorHandler()"
            ),
        ),
        (
            {"error_handler": "log"},
            TypeError,
            (
                "error_handler must be an ErrorHandler (an object with a handle_error method), "
                "got 'log'"
            ),
        ),
        (
            {"rate_limit": 5},
            TypeError,
            "rate_limit must be a Rate, got 5; write rate_limit=Rate(5)",
        ),
        ({"rate_limit": "5/s"}, TypeError, "rate_limit must be a Rate, got '5/s'"),
        (
            {"on_error": LoggingErrorHandler},
            TypeError,
            (
                "on_error must be a word or a function of the error and the item, "
                "got the class LoggingErrorHandler"
            ),
        ),
        # contradictions
        (
            {"on_error": lambda error, item: None, "error_handler": LoggingErrorHandler()},
            TypeError,
            (
                "give either error_handler or a function as on_error, not both; "
                "the function can do all that a handler does"
            ),
        ),
        (
            {"timeout": 9, "deadline": 5},
            ValueError,
            (
                "timeout=9 of one attempt is longer than deadline=5 of all of them; "
                "leave timeout out"
            ),
        ),
        (
            {"retry_attempts": 3, "max_retries": 2},
            TypeError,
            (
                "give either retry_attempts (calls in total) or "
                "max_retries (calls after the first), not both"
            ),
        ),
        (
            {"retry_config": RetryConfig(), "retry_delay": 2},
            TypeError,
            (
                "give either retry_config or retry_delay, not both; "
                "put base_delay into the RetryConfig"
            ),
        ),
        (
            {"retry_config": RetryConfig(), "max_retries": 2},
            TypeError,
            (
                "give either retry_config or max_retries, not both; "
                "put max_attempts into the RetryConfig"
            ),
        ),
        # names
        ({"retries": 3}, TypeError, "unknown option 'retries'; did you mean 'max_retries'?"),
        ({"time_out": 3}, TypeError, "unknown option 'time_out'; did you mean 'timeout'?"),
        (
            {"concurrency": 3},
            TypeError,
            "unknown option 'concurrency'; did you mean 'concurrency_limit'?",
        ),
        ({"xyz": 3}, TypeError, "unknown option 'xyz'"),
    ],
)
@pytest.mark.parametrize("make", [made, made_batch])
def test_bad_options_are_refused(
    make: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The message names the task, the option, the value and what to write instead."""
    with pytest.raises(error, match=exactly(f"task 'function': {message}")):
        make(**options)


WORDS = "'fail', 'skip_item', 'skip_batch', 'divert', 'retry'"


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (
            made,
            "ignore",
            "on_error must be one of 'fail', 'skip_item', 'divert', 'retry', got 'ignore'",
        ),
        (
            made,
            "skip_batch",
            "on_error='skip_batch' is for batch tasks; write on_error='skip_item'",
        ),
        (
            made_batch,
            None,
            f"on_error must be one of {WORDS}, got None",
        ),
    ],
)
def test_unknown_on_error_is_refused(make: Any, value: Any, message: str) -> None:
    """The message lists what this kind of task knows."""
    with pytest.raises(ValueError, match=exactly(f"task 'function': {message}")):
        make(on_error=value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_size": 0}, ValueError, f"min_size {COUNT}, got 0"),
        ({"min_size": "1"}, TypeError, "min_size must be an int, got '1'"),
        ({"min_size": None}, TypeError, "min_size must be an int, got None"),
        ({"max_size": 0}, ValueError, f"max_size {DEFAULT}, got 0"),
        ({"max_size": 1.5}, TypeError, "max_size must be an int, got 1.5"),
        (
            {"min_size": 3, "max_size": 2},
            ValueError,
            "min_size=3 is larger than max_size=2; give max_size=3 or more",
        ),
        (
            {"max_wait": -1},
            ValueError,
            "max_wait must be 0 or more, got -1; leave max_wait out for none",
        ),
        ({"max_wait": "1"}, TypeError, "max_wait must be a number, got '1'"),
        (
            {"weight": 5, "max_weight": 9, "max_size": 2},
            TypeError,
            "weight must be a function of the item, got 5",
        ),
        (
            {"weight": coroutine_function, "max_weight": 9, "max_size": 2},
            TypeError,
            (
                "weight must be a plain function, got a coroutine function; find out in a "
                "task before this one what has to be waited for"
            ),
        ),
        (
            {"weight": len, "max_weight": 0, "max_size": 2},
            ValueError,
            "max_weight must be more than 0, got 0; leave max_weight out for none",
        ),
        (
            {"weight": len, "max_weight": "9", "max_size": 2},
            TypeError,
            "max_weight must be a number, got '9'",
        ),
        (
            {"weight": len, "max_size": 2},
            TypeError,
            (
                "weight needs max_weight; weight=... is a function that tells what an item weighs, "
                "max_weight=... what a batch weighs at most"
            ),
        ),
        (
            {"max_weight": 9, "max_size": 2},
            TypeError,
            (
                "max_weight needs weight; weight=... is a function that tells what an item weighs, "
                "max_weight=... what a batch weighs at most"
            ),
        ),
        (
            {"weight": len, "max_weight": 9},
            TypeError,
            (
                "weight needs max_size too, the items of a batch at most, however little they "
                "weigh; write max_size=100, for instance"
            ),
        ),
        (
            {"max_size": "auto"},
            TypeError,
            (
                "max_size='auto' needs target_duration, the seconds that a call should take; "
                "write target_duration=1.0, for instance"
            ),
        ),
        (
            {"max_size": 5, "target_duration": 1},
            TypeError,
            (
                "target_duration needs max_size='auto', since it is for batches whose size is "
                "found by measuring, got max_size=5"
            ),
        ),
        (
            {"max_size": "auto", "target_duration": 0},
            ValueError,
            "target_duration must be more than 0, got 0; leave target_duration out for none",
        ),
        ({"max_size": "large"}, TypeError, "max_size must be an int, got 'large'"),
        (
            {"min_size": 2, "max_size": "auto", "target_duration": 1},
            ValueError,
            (
                "with max_size='auto' there is no min_size, got 2: batches have to be as small as "
                "it takes; leave min_size out"
            ),
        ),
        *(
            (
                {"max_size": "auto", "target_duration": 1, **options},
                TypeError,
                (
                    "with max_size='auto' batches are measured by their number of items alone; "
                    f"give max_size a number, or leave {name} out"
                ),
            )
            for name, options in [
                ("weight", {"weight": len, "max_weight": 9}),
                ("batch_by", {"batch_by": len}),
            ]
        ),
        (
            {"max_size": "auto", "target_duration": 1, "timeout": 1},
            ValueError,
            (
                "timeout=1 is not longer than target_duration=1, so calls would time out that take "
                "as long as they should; give a longer timeout"
            ),
        ),
        (
            {"batch_by": "key", "max_size": 2},
            TypeError,
            "batch_by must be a function of the item, got 'key'",
        ),
        (
            {"batch_by": len},
            TypeError,
            "batch_by needs max_size, the items of a batch at most; write max_size=100",
        ),
        (
            {"batch_by": len, "min_size": 20},
            TypeError,
            "batch_by needs max_size, the items of a batch at most; write max_size=20",
        ),
        (
            {"batch_by": len, "min_size": 2, "max_size": 5},
            ValueError,
            (
                "with batch_by there is no min_size, got 2: with many keys batches have to leave "
                "before they hold so many; leave min_size out"
            ),
        ),
    ],
)
def test_bad_batch_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Sizes are at least 1 and in order, times are numbers."""
    with pytest.raises(error, match=exactly(f"task 'function': {message}")):
        made_batch(**options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_size", 2),
        ("max_size", 3),
        ("max_wait", 0.5),
        ("weight", len),
        ("max_weight", 5),
        ("batch_by", len),
        ("target_duration", 1),
    ],
)
def test_batch_options_are_refused_for_single_tasks(name: str, value: Any) -> None:
    """The message says which decorator takes them."""
    message = f"{name} is an option of batch tasks; write @batch_task({name}={value})"
    with pytest.raises(TypeError, match=exactly(f"task 'function': {message}")):
        made(**{name: value})


def test_an_error_handler_as_on_error_is_refused() -> None:
    """The message names the option that takes it."""
    with pytest.raises(TypeError, match=r"got an error handler; write error_handler=<"):
        made(on_error=LoggingErrorHandler())


def test_any_object_with_handle_error_is_an_error_handler() -> None:
    """A handler need not inherit."""

    class Own:
        async def handle_error(self, *_: Any) -> tuple[bool, None]:
            return True, None

    class Inherited(ErrorHandler): ...

    for handler in (Own(), Inherited()):
        assert made(error_handler=handler).error_handler is handler


def test_type_checkers_know_the_options_that_there_are() -> None:
    """Each keyword of a decorator is in its ``TypedDict``, and no other."""
    single = frozenset(options.SingleTaskOptions.__annotations__)
    batch = frozenset(options.BatchTaskOptions.__annotations__)
    assert single | batch == task_options._KNOWN
    assert single - batch == task_options._SINGLE_ONLY
    assert batch - single == task_options._BATCH_ONLY


def test_an_abstract_method_stays_abstract() -> None:
    """A class that does not define it cannot be instantiated."""

    class Base(abc.ABC):
        @single_task
        @abc.abstractmethod
        async def load(self, item: int) -> int: ...

    class Forgetful(Base):
        pass

    class Loader(Base):
        @single_task
        async def load(self, item: int) -> int:
            return item

    with pytest.raises(TypeError, match="abstract"):
        Forgetful()  # type: ignore[abstract]
    assert Loader().load.run([1]) == [1]


def test_a_task_has_the_type_hints_of_its_function() -> None:
    """For tools that read them."""

    @single_task
    def length(text: str) -> int:
        return len(text)

    assert get_type_hints(length) == {"text": str, "return": int}


class No:
    """A predicate whose answer would have to be awaited, which does not show before."""

    async def __call__(self, error: Exception) -> bool:
        return False


async def fail(item: int) -> int:
    raise OSError


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("retry_on", {"retry_on": No(), "max_retries": 1}),
        ("CircuitBreaker: counts", {"circuit_breaker": CircuitBreaker(counts=No())}),
        (
            "Adaptive: throttled_by",
            {"concurrency_limit": Adaptive(throttled_by=No())},
        ),
    ],
)
def test_an_answer_that_is_awaitable_is_an_error(name: str, options: Any) -> None:
    """It would mean yes, whatever it is."""
    with pytest.raises(TypeError) as caught:
        single(**options)(fail).run([0])
    assert str(caught.value) == (
        f"{name} must return its value, got a coroutine, which would have to be awaited; "
        "write a plain function"
    )
