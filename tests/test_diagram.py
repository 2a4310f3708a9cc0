"""Diagrams: what is drawn, what a report adds to it, and that no name can spoil them."""

from __future__ import annotations

import html
import inspect
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from anyio import sleep
from hypothesis import given
from hypothesis import strategies as st

from conveyor import BaseTask, Pipeline, batch_task, single_task
from conveyor.describe import one_line
from conveyor.diagram import LONGEST_NAME, Direction
from conveyor.observing import StageInfo
from conveyor.report import RunOutcome, RunReport
from conveyor.statistics import (
    Latency,
    RunStatistics,
    RunTimings,
    StageStatistics,
    StageTimings,
)
from conveyor.tasks import BatchTask, SingleTask


class Whole(BaseTask[Any, Any]):
    """Serve the stream."""

    async def process(self, items: Any) -> Any:
        return items


@single_task(concurrency_limit=20, max_retries=2)
async def fetch(url: str) -> str:
    """Download a page."""
    return url


@single_task
def parse(page: str) -> str:
    return page


@batch_task(max_size=100)
async def store(rows: list[str]) -> None:
    """Write <rows>."""


PIPELINE = fetch | parse | store


# The text


def test_tasks_are_drawn_in_a_row() -> None:
    """From the data to the results, with what bounds them, and where the order is restored."""
    assert PIPELINE.to_mermaid() == inspect.cleandoc(
        """
        flowchart LR
            source(["data"])
            task0["fetch<br/>up to 20 calls at once<br/>up to 3 attempts"]
            task1["parse"]
            task2[["store<br/>one call at a time<br/>batches of up to 100 items"]]
            results(["results"])
            source --> task0
            task0 --> task1
            task1 == "in order" ==> task2
            task2 == "in order" ==> results
        """
    )


def test_as_completed_nothing_is_put_in_order() -> None:
    """The last edge says so, and a stage that serves the stream has a shape of its own."""
    pipeline = (parse | Whole()).with_execution_mode("as_completed")
    assert pipeline.to_mermaid(direction="TB") == inspect.cleandoc(
        """
        flowchart TB
            source(["data"])
            task0["parse"]
            task1{{"Whole"}}
            results(["results"])
            source --> task0
            task0 --> task1
            task1 -- "as completed" --> results
        """
    )


def test_a_fallback_stands_beside_its_task() -> None:
    """And one of that beside it."""
    last = SingleTask(lambda item: item, task_name="last")
    second = SingleTask(lambda item: item, task_name="second", fallback=last)
    assert parse.replace(fallback=second).pipeline().to_mermaid().splitlines()[-4:] == [
        '    task0f["second"]',
        '    task0 <-. "fallback" .-> task0f',
        '    task0ff["last"]',
        '    task0f <-. "fallback" .-> task0ff',
    ]


def test_a_task_that_takes_no_item_is_the_source() -> None:
    """There is no data then."""

    @single_task
    def read() -> Any:
        yield 1

    assert (read | parse).to_mermaid() == inspect.cleandoc(
        """
        flowchart LR
            task0["read<br/>called once, without an item"]
            task1["parse"]
            results(["results"])
            task0 --> task1
            task1 == "in order" ==> results
        """
    )


def test_an_empty_pipeline_can_be_drawn() -> None:
    """It passes on what it gets."""
    assert Pipeline().to_mermaid() == inspect.cleandoc(
        """
        flowchart LR
            source(["data"])
            results(["results"])
            source == "in order" ==> results
        """
    )


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "TD", "BT"])
def test_it_flows_where_it_is_told_to(direction: Direction) -> None:
    """In one of Mermaid's directions."""
    first, *others = PIPELINE.to_mermaid(direction=direction).splitlines()
    assert first == f"flowchart {direction}"
    assert others == PIPELINE.to_mermaid().splitlines()[1:]


def test_another_direction_is_rejected() -> None:
    """With those that there are."""
    with pytest.raises(
        ValueError,
        match=r"^direction must be one of 'LR', 'RL', 'TB', 'TD', 'BT', got 'left'$",
    ):
        PIPELINE.to_mermaid(direction="left")  # type: ignore[arg-type]


# Names

LABEL = r'"(?:[^"#<>`&\\]|\#\d+;|<br/>)+"'
LINE = re.compile(
    rf"""
    \ {{4}}
    (?:
        (?:source|results)\(\[{LABEL}\]\)
        | task\d+f*\[{LABEL}\]
        | task\d+f*\[\[{LABEL}\]\]
        | task\d+f*\{{\{{{LABEL}\}}\}}
        | (?:source|task\d+)\ (?:-->|--\ {LABEL}\ -->|==\ {LABEL}\ ==>)\ (?:task\d+|results)
        | task\d+f*\ <-\.\ {LABEL}\ \.->\ task\d+f+
    )
    """,
    re.VERBOSE,
)

ODD_NAMES = [
    "end",
    "style",
    "class x y",
    "click here href",
    "direction TB",
    'a"b',
    "`md`",
    "[x]",
    "{{a}}",
    "<script>alert(1)</script>",
    "a#35;b",
    "#quot;",
    "&amp;",
    "a\nb\r\nc",
    "%%{init: {}}%%",
    "-->",
    "|pipe|",
    ";",
    "style a:#b; classDef x:#y;",
    "x" * 500,
    "1. one",
    "- item",
    "**bold** _it_",
    "__init__",
    "load_page",
    "ü中文 \U0001f600",
    "\ud800",
    "\x00\x1b[31m",
    "",
    "\n",
]


def names_in(diagram: str) -> list[str]:
    """Return the names of the tasks as Mermaid shows them, having checked each line."""
    first, *lines = diagram.splitlines()
    assert first == "flowchart LR"
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    labels = re.findall(r'^    task\d+f*\W+?"(.*)"\W+$', diagram, re.MULTILINE)
    return [
        re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label.split("<br/>")[0])
        for label in labels
    ]


def check_name(name: str) -> None:
    single = SingleTask(fetch.func, task_name="fallback").replace(task_name=name)
    tasks = [
        single.replace(fallback=single),
        BatchTask(store.func, 2, task_name=name),
        Whole(task_name=name or "Whole"),
    ]
    diagram = Pipeline().add(*tasks).to_mermaid()
    shown = one_line(name) or "''"
    if len(shown) > LONGEST_NAME:
        shown = f"{shown[: LONGEST_NAME - 1]}…"
    assert names_in(diagram) == [shown, shown, shown if name else "Whole", shown]
    # The lexer of Mermaid looks for these anywhere in a line.
    assert not re.search(r"direction\s+(TB|BT|RL|LR)|%%|:::", diagram)
    diagram.encode("utf-8")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_no_name_spoils_a_diagram(name: str) -> None:
    """Every line is one of few forms, and what is shown is the name, shortened if it is long."""
    check_name(name)


@given(st.text(max_size=80) | st.text("\"'`#;<>[](){}|&%-=_*:.\\/ \n1adeinr", max_size=80))
def test_no_other_name_spoils_a_diagram(name: str) -> None:
    """Whatever it is made of."""
    check_name(name)


def test_a_name_with_underscores_can_be_read_in_the_text() -> None:
    """Most names are such, and the text is for people, too."""
    task = SingleTask(fetch.func, task_name="load_the_page2")
    assert 'task0["load_the_page2<br/>' in task.pipeline().to_mermaid()


def test_underscores_that_could_be_markdown_are_not_in_the_text() -> None:
    """Those around a word would make it bold."""
    task = SingleTask(fetch.func, task_name="__init__")
    assert 'task0["#95;#95;init#95;#95;<br/>' in task.pipeline().to_mermaid()


# Reports


def where_time_went(saturated: float = 0.0, latency: Latency | None = None) -> StageTimings:
    return StageTimings(
        busy=0.0,
        saturated=saturated,
        held=0.0,
        blocking=0.0,
        blocked=0.0,
        starved=0.0,
        latency=latency,
    )


STAGES = (
    StageStatistics(
        task_name="fetch",
        items_in=1200,
        calls=1200,
        filtered=0,
        skipped=3,
        dropped=0,
        retried=40,
        limit=20,
        items_out=1197,
        timings=where_time_went(saturated=9.5, latency=Latency(0.15, 0.2, 0.25, 0.3)),
    ),
    StageStatistics(
        task_name="parse",
        items_in=1197,
        calls=1197,
        filtered=7,
        skipped=0,
        dropped=0,
        retried=0,
        limit=100,
        items_out=1190,
        cache_hits=2,
        timings=where_time_went(),
    ),
    StageStatistics(
        task_name="store",
        items_in=1190,
        calls=12,
        filtered=0,
        skipped=0,
        dropped=0,
        retried=0,
        triggers={"size": 11, "end": 1},
        batch_size=100,
        limit=1,
        items_out=12,
        batch_items=1190,
        timings=where_time_went(saturated=0.2, latency=Latency(0.02, 0.02, 0.021, 0.03)),
    ),
)
INFOS = tuple(
    StageInfo(position, task.stage_plan().name, task.stage_plan().kind)
    for position, task in enumerate(PIPELINE.stages)
)
TIMINGS = RunTimings(0.2, 0.0, 9.9, 1.0, None)


def report_of(
    timings: RunTimings | None = TIMINGS,
    stages: tuple[StageStatistics, ...] = STAGES,
    outcome: RunOutcome = "completed",
) -> RunReport:
    if timings is None:
        stages = tuple(replace(stage, timings=None) for stage in stages)
    statistics = RunStatistics(1200, stages, 12, duration=10.0, timings=timings)
    return RunReport("id", outcome, INFOS, statistics)


def test_a_report_adds_its_figures() -> None:
    """Items on the edges, calls, what became of items, and times in the nodes."""
    assert PIPELINE.to_mermaid(report_of()) == inspect.cleandoc(
        """
        flowchart LR
            source(["data<br/>the run waited 200 ms"])
            task0["fetch<br/>1,200 calls, limit 20<br/>3 skipped, 40 retried<br/>p50 150 ms, p99 250 ms<br/>limits this run"]
            task1["parse<br/>1,197 calls, limit 100<br/>7 filtered, 2 cache hits"]
            task2[["store<br/>12 calls, limit 1<br/>99.2 of 100 items in a batch<br/>p50 20 ms, p99 21 ms"]]
            results(["results<br/>completed after 10 s<br/>the consumer waited 9.9 s"])
            source -- "1,200 items" --> task0
            task0 -- "1,197 items" --> task1
            task1 == "1,190 items, in order" ==> task2
            task2 == "12 items, in order" ==> results
            classDef bottleneck fill:#ffdd99,stroke:#b34700,stroke-width:4px,color:#000000
            class task0 bottleneck
        """  # noqa: E501
    )


def test_a_report_without_timings_adds_what_there_is() -> None:
    """Counts, and nothing that nobody has measured."""
    diagram = PIPELINE.to_mermaid(report_of(None))
    assert "bottleneck" not in diagram
    assert "limits this run" not in diagram
    assert 'source(["data"])' in diagram
    assert 'task0["fetch<br/>1,200 calls, limit 20<br/>3 skipped, 40 retried"]' in diagram
    assert 'results(["results<br/>completed after 10 s"])' in diagram


IDLE = tuple(replace(stage, timings=where_time_went()) for stage in STAGES)


@pytest.mark.parametrize(
    ("timings", "node"),
    [
        (RunTimings(9.0, 0.0, 9.9, 1.0, None), "source"),
        (RunTimings(0.0, 0.0, 0.5, 1.0, None), "results"),
        (RunTimings(1.0, 0.0, 9.9, 1.0, None), None),
    ],
)
def test_data_and_consumer_can_be_what_limits_a_run(timings: RunTimings, node: str | None) -> None:
    """They are marked as a task would be, by a style and in words."""
    diagram = PIPELINE.to_mermaid(report_of(timings, IDLE))
    marked = re.findall(r"^    (\w+)\W.*limits this run", diagram, re.MULTILINE)
    assert marked == ([node] if node else [])
    assert re.findall(r"^    class (\w+) bottleneck$", diagram, re.MULTILINE) == marked
    assert diagram.count("classDef") == len(marked)


def test_a_source_without_data_is_marked_in_the_place_of_the_data() -> None:
    """If the run has waited for it, there is no other node."""

    @single_task
    def fetch() -> Any:
        yield 1

    pipeline = fetch | parse | store
    diagram = pipeline.to_mermaid(report_of(RunTimings(9.0, 0.0, 9.9, 1.0, None), IDLE))
    assert "class task0 bottleneck" in diagram
    assert "source" not in diagram


def test_what_a_fallback_did_stands_at_its_edge() -> None:
    """As often as it took over."""
    pipeline = fetch.replace(fallback=parse) | parse | store
    stages = (replace(STAGES[0], fallbacks=1234), *STAGES[1:])
    diagram = pipeline.to_mermaid(report_of(stages=stages))
    assert '    task0 <-. "fallback, 1,234 times" .-> task0f' in diagram.splitlines()


def test_one_item_is_no_items() -> None:
    """Grammar."""
    statistics = RunStatistics(1, (), 1, duration=1.0)
    diagram = Pipeline().to_mermaid(RunReport("id", "stopped", (), statistics))
    assert diagram.splitlines()[-1] == '    source == "1 item, in order" ==> results'


def test_one_call_is_no_calls() -> None:
    """Nor is none at all a single one."""
    for calls, words in ((0, "0 calls"), (1, "1 call"), (2, "2 calls")):
        stages = (replace(STAGES[0], calls=calls), *STAGES[1:])
        diagram = (fetch | parse | store).to_mermaid(report_of(stages=stages))
        assert f"<br/>{words}, limit 20<br/>" in diagram.splitlines()[2]


def test_a_report_has_to_be_of_the_same_tasks() -> None:
    """The figures of others would be wrong."""
    with pytest.raises(
        ValueError,
        match=r"^the report is of a run of another pipeline: of fetch \| parse \| store, "
        "not of an empty one$",
    ):
        Pipeline().to_mermaid(report_of())


def test_a_report_has_to_be_one() -> None:
    """The method itself is a mistake that is easily made."""
    with pytest.raises(
        TypeError,
        match=r"^report must be a RunReport, got a function; write "
        r"pipeline\.to_mermaid\(results\.report\(\)\)$",
    ):
        PIPELINE.to_mermaid(report_of)  # type: ignore[arg-type]


async def test_the_figures_are_those_of_the_run() -> None:
    """Of a real one, whose second task needs all the time."""

    @single_task(concurrency_limit=10)
    async def fetch(item: int) -> int:
        await sleep(0.1)
        return item

    @single_task(concurrency_limit=2, on_error="skip_item")
    async def parse(item: int) -> int:
        await sleep(1)
        if item == 7:
            raise ValueError("secret")
        return item

    @batch_task(max_size=4)
    async def store(items: list[int]) -> int:
        await sleep(0.1)
        return len(items)

    pipeline = (fetch | parse | store).with_context(timings=True)
    async with pipeline(range(20)) as results:
        assert sum(await results.collect()) == 19
        diagram = pipeline.to_mermaid(results.report())
    assert re.findall(r"(\w+) (?:--|==) \"(.*?)\"", diagram) == [
        ("source", "20 items"),
        ("task0", "20 items"),
        ("task1", "19 items, in order"),
        ("task2", "5 items, in order"),
    ]
    assert 'task0["fetch<br/>20 calls, limit 10<br/>p50 ' in diagram
    assert 'task1["parse<br/>20 calls, limit 2<br/>1 skipped<br/>p50 ' in diagram
    assert 'task2[["store<br/>5 calls, limit 1<br/>3.8 of 4 items in a batch<br/>' in diagram
    assert 'results(["results<br/>completed after 10.' in diagram
    assert "class task1 bottleneck" in diagram
    assert "secret" not in diagram


async def test_a_run_can_be_drawn_while_it_goes_on() -> None:
    """With what is in it at that moment."""

    @single_task(concurrency_limit=3)
    async def wait(item: int) -> int:
        await sleep(item)
        return item

    pipeline = wait.pipeline()
    async with pipeline([1, 5, 5, 5, 5]) as results:
        assert await results.__anext__() == 1
        diagram = pipeline.to_mermaid(results.report())
    assert "3 in flight" in diagram
    assert "running after 1 s" in diagram


# Notebooks


class Reader(HTMLParser):
    """Checks that what is opened is closed, and collects the rest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag != "br":
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_notebooks_are_given_three_forms() -> None:
    """Words, a diagram, and a table."""
    shown = PIPELINE._repr_mimebundle_()
    assert list(shown) == ["text/plain", "text/vnd.mermaid", "text/html"]
    assert shown["text/plain"] == PIPELINE.describe()
    assert shown["text/vnd.mermaid"] == PIPELINE.to_mermaid()


@pytest.mark.parametrize(
    ("include", "exclude", "kinds"),
    [
        (["text/html"], None, ["text/html"]),
        (None, {"text/html"}, ["text/plain", "text/vnd.mermaid"]),
        (["text/html", "text/plain"], ["text/html"], ["text/plain"]),
        (["image/png"], None, []),
    ],
)
def test_notebooks_are_given_what_they_ask_for(include: Any, exclude: Any, kinds: Any) -> None:
    """As ``display(pipeline, include=..., exclude=...)`` passes it on."""
    assert list(PIPELINE._repr_mimebundle_(include=include, exclude=exclude)) == kinds


def test_the_table_tells_all_and_loads_nothing() -> None:
    """It is shown without a network, and names cannot spoil it either."""
    odd = SingleTask(fetch.func, task_name="<script>&\"'")
    pipeline = (PIPELINE | odd.with_inputs(token="secret")).with_context(user="secret")
    table = Reader(pipeline._repr_mimebundle_()["text/html"])
    assert table.tags == {
        *("p", "table", "tr", "th", "td", "strong", "code", "br", "details", "summary", "pre")
    }
    assert table.attributes == {"style"}
    for text in (
        "Pipeline of 4 tasks, results in input order",
        "Write <rows>.",
        "<script>&\"'",
        "batch task, async, one call at a time, batches of up to 100 items, takes items in order",
        "max_size=100",
        "side inputs: token",
        "Shared data: user",
        pipeline.to_mermaid(),
    ):
        assert text in table.text
    assert "secret" not in table.text


def test_an_empty_pipeline_is_shown_too() -> None:
    """As a table without tasks."""
    shown = Pipeline()._repr_mimebundle_()["text/html"]
    assert "Empty pipeline" in Reader(shown).text
    assert html.escape(Pipeline().to_mermaid()) in shown
