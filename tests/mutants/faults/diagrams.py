"""Faults in what pipelines show of themselves."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a task called 'direction TB' takes its line out of the diagram",
        "diagram.py",
        r'|_(?![^\W_])|\W")',
        r'|_(?![^\W_])|[^\w ]")',
        ("test_diagram.py::test_no_name_spoils_a_diagram",),
    ),
    Fault(
        "a name is Markdown",
        "diagram.py",
        r'r"(?<![^\W_])_|_(?![^\W_])|\W")',
        r'r"\W")',
        ("test_diagram.py::test_underscores_that_could_be_markdown_are_not_in_the_text",),
    ),
    Fault(
        "a name can make a diagram too long to be drawn",
        "diagram.py",
        "    if len(text) > LONGEST_NAME:\n",
        "    if False:\n",
        ("test_diagram.py::test_no_name_spoils_a_diagram",),
    ),
    Fault(
        "names with underscores cannot be read",
        "diagram.py",
        r'r"(?<![^\W_])_|_(?![^\W_])|\W")',
        r'r"\W|_")',
        ("test_diagram.py::test_a_name_with_underscores_can_be_read_in_the_text",),
    ),
    Fault(
        "the results that a diagram shows never reached the consumer",
        "diagram.py",
        "[*within[: len(counts.stages)], counts.items_out]",
        "[*within[: len(counts.stages)], counts.stages[-1].items_in]",
        ("test_diagram.py::test_a_report_adds_its_figures",),
    ),
    Fault(
        "the report of another pipeline is drawn",
        "diagram.py",
        "    if ours != others:\n",
        "    if len(ours) > len(others):\n",
        ("test_diagram.py::test_a_report_has_to_be_of_the_same_tasks",),
    ),
    Fault(
        "the order seems to be restored in a run without one",
        "diagram.py",
        "is_ordered and place > 0 and plan.is_order_point(True)",
        "place > 0 and plan.is_order_point(True)",
        ("test_diagram.py::test_as_completed_nothing_is_put_in_order",),
    ),
    Fault(
        "a bottleneck that is no task is marked nowhere",
        "diagram.py",
        '    return ends.get(bottleneck.kind, f"task{bottleneck.position}")\n',
        '    return f"task{bottleneck.position}"\n',
        ("test_diagram.py::test_data_and_consumer_can_be_what_limits_a_run",),
    ),
    Fault(
        "a node is marked that there is not",
        "diagram.py",
        '{"source": "source" if _has_source(plans) else "task0", ',
        '{"source": "source", ',
        ("test_diagram.py::test_a_source_without_data_is_marked_in_the_place_of_the_data",),
    ),
    Fault(
        "a name is HTML in notebooks",
        "diagram.py",
        "{escape(task.name)}",
        "{task.name}",
        ("test_diagram.py::test_the_table_tells_all_and_loads_nothing",),
    ),
    Fault(
        "notebooks are given what they did not ask for",
        "diagram.py",
        " and (exclude is None or kind not in exclude)",
        "",
        ("test_diagram.py::test_notebooks_are_given_what_they_ask_for",),
    ),
    Fault(
        "a description gives away what a cache holds",
        "describe.py",
        "    name = name_of(value) if callable(value) else type(value).__name__\n",
        "    name = repr(value)\n",
        ("test_describe.py::test_settings_that_differ_from_the_defaults_are_shown",),
    ),
    Fault(
        "a description gives away side inputs",
        "describe.py",
        "    return [*positional, *inputs.kwargs]\n",
        "    return [*positional, *map(str, inputs.kwargs.values())]\n",
        ("test_describe.py::test_side_inputs_are_named_and_not_shown",),
    ),
    Fault(
        "a description gives away the shared data",
        "describe.py",
        "[one_line(str(name)) for name in context.data]",
        "[one_line(str(name)) for name in context.data.values()]",
        ("test_describe.py::test_a_pipeline_is_described_task_by_task",),
    ),
    Fault(
        "settings are shown that are the defaults",
        "describe.py",
        " or (type(value) is type(default) and bool(value == default))",
        "",
        ("test_describe.py::test_settings_that_differ_from_the_defaults_are_shown",),
    ),
    Fault(
        "the settings of retries are left out",
        "describe.py",
        "    return _spelled({**changed, **keywords})\n",
        "    return _spelled(changed)\n",
        ("test_describe.py::test_settings_that_differ_from_the_defaults_are_shown",),
    ),
    Fault(
        "a partial is described as such",
        "describe.py",
        "        if isinstance(function, partial):  # its own docstring is about partials\n",
        "        if False:\n",
        ("test_describe.py::test_without_docstring_there_is_no_summary",),
    ),
    Fault(
        "a terminal obeys a task's name",
        "describe.py",
        'each if each.isprintable() else "\\ufffd"',
        "each",
        ("test_describe.py::test_names_are_shown_in_a_line",),
    ),
]
