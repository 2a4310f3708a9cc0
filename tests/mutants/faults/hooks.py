"""Faults in calling what surrounds a task's function."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "before is not called",
        "_engine/hooks.py",
        "    if options.before is not None:\n",
        "    if False:\n",
        ("test_hooks.py::test_before_alone",),
        simulated=True,
    ),
    Fault(
        "after is not called",
        "_engine/hooks.py",
        "    if options.after is not None:\n",
        "    if False:\n",
        ("test_hooks.py::test_after_alone",),
        simulated=True,
    ),
    Fault(
        "only awaited calls have hooks",
        "_engine/call.py",
        "        self.function = with_hooks(function, options)\n",
        "        self.function = with_hooks(function, options) if run is None else function\n",
        ("test_hooks.py::test_before_alone", "test_hooks.py::test_after_alone"),
        simulated=True,
    ),
    Fault(
        "after sees the item that came",
        "_engine/hooks.py",
        """\
    if options.after is not None:
        function = _followed(function, options.after, options.task_name)
    if options.before is not None:
        function = _preceded(function, options.before)
""",
        """\
    if options.before is not None:
        function = _preceded(function, options.before)
    if options.after is not None:
        function = _followed(function, options.after, options.task_name)
""",
        ("test_hooks.py::test_they_take_the_place_of_item_and_result",),
        simulated=True,
    ),
    Fault(
        "what is false does not take the item's place",
        "_engine/hooks.py",
        "        return function(item if given is None else given)\n",
        "        return function(given or item)\n",
        ("test_hooks.py::test_nothing_but_none_leaves_them_as_they_are",),
    ),
    Fault(
        "what before gives later is dropped",
        "_engine/hooks.py",
        "        result = function(item if given is None else given)\n",
        "        result = function(item)\n",
        ("test_hooks.py::test_before_alone",),
        simulated=True,
    ),
    Fault(
        "a None of an async before takes the item's place",
        "_engine/hooks.py",
        "        result = function(item if given is None else given)\n",
        "        result = function(given)\n",
        ("test_hooks.py::test_none_leaves_item_and_result_as_they_are",),
    ),
    Fault(
        "an async before is not awaited",
        "_engine/hooks.py",
        "        if kinds[type(given)] is AWAITABLE:\n            return proceed(item, given)\n",
        "",
        ("test_hooks.py::test_before_alone",),
        simulated=True,
    ),
    Fault(
        "after an async before the function is not awaited",
        "_engine/hooks.py",
        "        return await result if kinds[type(result)] is AWAITABLE else result\n",
        "        return result\n",
        ("test_hooks.py::test_before_alone",),
        simulated=True,
    ),
    Fault(
        "a None of after takes the place of the result of a coroutine function",
        "_engine/hooks.py",
        """\
            given = await given
        return result if given is None else given
""",
        """\
            given = await given
        return given
""",
        ("test_hooks.py::test_none_leaves_item_and_result_as_they_are",),
    ),
    Fault(
        "a None of an async after takes the place of a result",
        "_engine/hooks.py",
        """\
        given = await pending
        return result if given is None else given
""",
        """\
        return await pending
""",
        ("test_hooks.py::test_none_leaves_item_and_result_as_they_are",),
    ),
    Fault(
        "nobody waits for an async after of a plain function to see whether it gives anything",
        "_engine/hooks.py",
        "        if kinds[type(given)] is AWAITABLE:\n            return replace(result, given)\n",
        "",
        ("test_hooks.py::test_none_leaves_item_and_result_as_they_are",),
    ),
    Fault(
        "an async after of a coroutine function is not awaited",
        "_engine/hooks.py",
        "        if kinds[type(given)] is AWAITABLE:\n            given = await given\n",
        "",
        ("test_hooks.py::test_after_alone",),
        simulated=True,
    ),
    Fault(
        "after is shown a coroutine",
        "_engine/hooks.py",
        "        if kinds[type(result)] is AWAITABLE:\n            return finish(item, result)\n",
        "",
        ("test_hooks.py::test_after_alone",),
        simulated=True,
    ),
    Fault(
        "what a coroutine function returns is awaited once more",
        "_engine/hooks.py",
        "        result = await pending\n        given = show(item, result)\n",
        """\
        result = await pending
        if kinds[type(result)] is AWAITABLE:
            result = await result
        given = show(item, result)
""",
        ("test_hooks.py::test_a_result_that_can_be_awaited_is_left_alone",),
    ),
    Fault(
        "after is shown a generator",
        "_engine/hooks.py",
        "        if kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):\n",
        "        if False:\n",
        ("test_hooks.py::test_a_generator_that_is_returned_is_an_error",),
    ),
    Fault(
        "a result of None is not shown",
        "_engine/hooks.py",
        "        return after(item, result)\n",
        "        return None if result is None else after(item, result)\n",
        ("test_hooks.py::test_after_may_give_a_result_where_there_is_none",),
    ),
    Fault(
        "before is called where there is no item",
        "task_options.py",
        "            return self if self.before is None else replace(self, before=None)\n",
        "            return self\n",
        ("test_hooks.py::test_a_source_has_no_item_to_show",),
        simulated=True,
    ),
    Fault(
        "before is called where there is no item, if there is a fallback",
        "task_options.py",
        "        return replace(self, before=None, fallback=self",
        "        return replace(self, fallback=self",
        ("test_hooks.py::test_a_source_may_fall_back_on_one_with_hooks",),
    ),
    Fault(
        "an awaited call passes on the item that came",
        "_engine/lone_call.py",
        "        return function(item, *args[1:], **kwargs) if args else function(**kwargs)\n",
        "        return function(*args, **kwargs)\n",
        ("test_hooks.py::test_before_alone",),
    ),
    Fault(
        "a generator function may have an after",
        "tasks.py",
        "        check_followed_function(func, options)\n",
        "",
        ("test_hooks.py::test_a_generator_function_has_no_after",),
    ),
    Fault(
        "only functions are known for generator functions",
        "_checks.py",
        'in (function, getattr(function, "__func__", None), type(function).__call__):\n',
        "in (function,):\n",
        ("test_hooks.py::test_a_generator_function_has_no_after",),
    ),
    Fault(
        "hooks are not checked",
        "task_options.py",
        "        check_hooks(self)\n",
        "",
        ("test_hooks.py::test_what_cannot_be_called_is_refused",),
    ),
    Fault(
        "a hook is judged by what it wraps",
        "_hook_checks.py",
        "signature(hook, follow_wrapped=False)",
        "signature(hook)",
        ("test_hooks.py::test_what_might_be_called_is_not_refused",),
    ),
    Fault(
        "a hook whose parameters nobody knows is refused",
        "_hook_checks.py",
        "        return  # there is no telling, as for some that are written in C\n",
        "        raise\n",
        ("test_hooks.py::test_what_might_be_called_is_not_refused",),
    ),
]
