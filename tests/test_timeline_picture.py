"""Pictures of timelines: that there is one for every run, and what is in it."""

from __future__ import annotations

import builtins
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import anyio
import matplotlib
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from conveyor import batch_task, record_timeline, single_task
from conveyor.observers import draw_timeline, picture
from conveyor.observers.trace_reading import read
from conveyor.testing import run

draw: Any = draw_timeline


async def slow(x: int) -> int:
    await anyio.sleep(1)
    return x


@single_task(concurrency_limit=4, retry_attempts=2, retry_delay=0.1, on_error="skip_item")
async def fetch(x: int) -> int:
    await anyio.sleep(0.5 + x % 3 / 10)
    if x % 50 == 7:
        raise ValueError
    return x


@single_task
async def parse(x: int) -> int:
    await anyio.sleep(0.1)
    return x


@batch_task(max_size=8)
async def store(numbers: list[int]) -> list[int]:
    await anyio.sleep(0.3)
    return numbers


def record(path: Path, pipeline: Any, items: int, **options: Any) -> Path:
    """Run in virtual time; return the path."""

    async def main() -> None:
        await pipeline.with_observer(record_timeline(path, **options))(range(items)).collect()

    run(main)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    made: list[Figure] = []
    save = Figure.savefig

    def savefig(self: Figure, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return made


def blocks(figure: Figure, stage: int) -> list[list[list[float]]]:
    """Return left, right, top and bottom of each bar of a stage, sorted."""
    colour = to_rgb(picture.PALETTE[stage])
    return sorted(
        [
            [round(number, 3) for number in (outline.x0, outline.x1, outline.y0, outline.y1)]
            for collection in figure.axes[0].collections
            if isinstance(collection, PolyCollection)
            and tuple(collection.get_facecolor()[0][:3]) == colour
            for outline in (each.get_extents() for each in collection.get_paths())
        ]
    )


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_call_is_a_bar_in_the_row_of_its_item(path: Path, figures: list[Figure]) -> None:
    """And each batch a block over the rows of its items."""

    @batch_task(max_size=2)
    async def pairs(numbers: list[int]) -> None:
        await anyio.sleep(0.5)

    record(path, single_task(slow, concurrency_limit=1) | pairs, 3)
    draw_timeline(path, path.with_suffix(".svg"))
    (figure,) = figures
    assert blocks(figure, 0) == [[0, 1, -0.4, 0.4], [1, 2, 0.6, 1.4], [2, 3, 1.6, 2.4]]
    assert blocks(figure, 1) == [[2, 2.5, -0.4, 1.4], [3, 3.5, 1.6, 2.4]]
    above, below = figure.axes
    assert above.get_title(loc="left") == "3 items, completed"
    assert above.yaxis_inverted()
    assert above.get_xlim() == (0, 3.5)
    assert (above.get_ylabel(), below.get_ylabel()) == ("item", "queued")
    assert below.get_xlabel() == "time (s)"
    assert legend(figure) == ["slow", "pairs", "waiting"]


def test_waiting_is_a_line_between_the_calls(path: Path, figures: list[Figure]) -> None:
    """From the beginning of an item's first call to the end of its last one."""
    pipeline = single_task(parse.func, concurrency_limit=2) | single_task(slow, concurrency_limit=1)
    record(path, pipeline, 2)
    draw_timeline(path, path.with_suffix(".png"))
    lines = [
        segment.round(6).tolist()
        for collection in figures[0].axes[0].collections
        if not isinstance(collection, PolyCollection)
        for segment in collection.get_segments()
    ]
    assert sorted(end for (_, _), (end, _) in lines) == [1.1, 2.1]
    assert all(begin == 0 and row == same for (begin, row), (_, same) in lines)


def test_retries_and_failures_are_marked(path: Path, figures: list[Figure]) -> None:
    """Where and when they happened, if they did."""
    record(path, fetch | parse, 20)
    draw_timeline(path, path.with_suffix(".svg"))
    retries, failures = (
        line.get_xydata().round(6).tolist()  # type: ignore[union-attr]
        for line in figures[0].axes[0].lines
    )
    assert [row for _, row in retries] == [7]
    assert [row for _, row in failures] == [7]
    assert legend(figures[0]) == ["fetch", "parse", "waiting", "retry", "failure"]


def test_a_long_run_has_columns(path: Path, figures: list[Figure]) -> None:
    """One for each item, at the time of its first call, upwards with its age."""
    record(path, single_task(slow, concurrency_limit=1) | parse, 200)
    draw_timeline(path, path.with_suffix(".svg"), max_items=50)
    (figure,) = figures
    bars = blocks(figure, 0)
    assert len(bars) == 50
    assert {(low, high) for _, _, low, high in bars} == {(0, 1)}
    assert {(low, high) for _, _, low, high in blocks(figure, 1)} == {(1, 1.1)}
    middles = [(left + right) / 2 for left, right, _, _ in bars]
    assert max(after - before for before, after in pairwise(middles)) < 3 * 4
    above, _ = figure.axes
    assert above.get_ylabel() == "age (s)"
    assert above.get_title(loc="left") == "200 items (50 of them shown), completed"


@pytest.mark.parametrize("items", [0, 1, 2, 10, 300])
@pytest.mark.parametrize("pipeline", [fetch | parse | store, store, store | parse])
@pytest.mark.parametrize("interval", [0.05, None])
def test_there_is_a_picture_of_every_run(
    items: int, pipeline: Any, interval: float | None, path: Path
) -> None:
    """Of none, one and many items, with and without counters."""
    record(path, pipeline, items, interval=interval)
    image = path.with_suffix(".svg")
    draw_timeline(path, image, max_items=100)
    assert ET.parse(image).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert image.stat().st_size < 400_000


def test_what_is_too_much_for_shapes_is_drawn_as_pixels(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that became many have many bars."""

    @single_task
    async def expand(x: int) -> AsyncIterator[int]:
        for part in range(200):
            yield part

    record(path, expand | single_task(slow, concurrency_limit=50), 4)
    image = path.with_suffix(".svg")
    for most, is_pixels in ((800, False), (799, True)):
        monkeypatch.setattr(picture, "MOST_SHAPES", most)
        draw_timeline(path, image)
        assert ("<image" in image.read_text(encoding="utf-8")) == is_pixels


def test_a_failed_run_says_so(path: Path, figures: list[Figure]) -> None:
    """With the type of the error."""

    @single_task
    async def fragile(x: int) -> None:
        raise KeyError(x)

    with pytest.raises(KeyError):
        record(path, fragile, 1)
    draw_timeline(path, path.with_suffix(".svg"))
    assert figures[0].axes[0].get_title(loc="left") == "1 items, failed with KeyError"


@pytest.mark.parametrize(
    "name", ["_private", "$x$", "$\\frac$", "$", "检索", "a\nb", "x" * 500, "\\alpha", ""]
)
def test_names_may_be_anything(name: str, path: Path, figures: list[Figure]) -> None:
    """The legend has them as they are, if they are not too long."""
    record(path, single_task(slow, task_name=name or " ") | parse, 2)
    draw_timeline(path, path.with_suffix(".png"))
    shown = legend(figures[0])[0]
    assert shown == (name or " ") or shown == "x" * 31 + "…"


@pytest.mark.parametrize(("stages", "palette"), [(7, True), (8, False), (20, False)])
def test_each_stage_has_a_colour(stages: int, palette: bool, path: Path) -> None:
    """From the palette, or from dark to light."""
    pipeline = parse.pipeline()
    for _ in range(stages - 1):
        pipeline = pipeline | parse
    record(path, pipeline, 2)
    trace = read(path)
    colours = [picture._colour(trace, stage) for stage in range(stages)]
    assert len(set(colours)) == stages
    assert (colours == picture.PALETTE) == palette


# What two kinds of colour-blind people see, in linear light: protanopia and deuteranopia, after
# Viénot, Brettel and Mollon, "Digital video colourmaps for checking the legibility of displays by
# dichromats" (1999).
SEEN = {
    "protanopia": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "deuteranopia": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


@pytest.mark.parametrize("sight", SEEN)
def test_colours_can_be_told_apart(sight: str) -> None:
    """By people with the common kinds of colour blindness, too."""

    def seen(colour: str) -> tuple[float, ...]:
        linear = [channel**2.2 for channel in to_rgb(colour)]
        mixed = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in SEEN[sight]]
        return tuple(min(max(channel, 0), 1) ** (1 / 2.2) for channel in mixed)

    def distance(one: str, other: str) -> float:
        return sum((a - b) ** 2 for a, b in zip(seen(one), seen(other), strict=True)) ** 0.5

    assert min(distance(*pair) for pair in combinations(picture.PALETTE, 2)) > 0.12
    assert min(distance(*pair) for pair in pairwise(picture.PALETTE)) > 0.25


@pytest.mark.parametrize(
    ("duration", "label"),
    [
        (3e-6, "time (us)"),
        (0.5, "time (ms)"),
        (599, "time (s)"),
        (601, "time (min)"),
        (86400, "time (h)"),
    ],
)
def test_times_have_a_fitting_unit(
    duration: float, label: str, path: Path, figures: list[Figure]
) -> None:
    """So that the figures are short."""

    async def wait(x: int) -> None:
        await anyio.sleep(duration)

    record(path, single_task(wait), 1, interval=None)
    draw_timeline(path, path.with_suffix(".svg"))
    assert figures[0].axes[0].get_xlabel() == label


def test_the_suffix_says_what_is_written(path: Path) -> None:
    """SVG, PNG and whatever else matplotlib knows."""
    record(path, parse, 2)
    draw_timeline(path, path.with_suffix(".png"))
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    draw_timeline(str(path), str(path.with_suffix(".pdf")))
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="xyz"):
        draw_timeline(path, path.with_suffix(".xyz"))


def test_drawing_changes_nothing_of_the_programs_own(path: Path) -> None:
    """Neither settings of matplotlib, nor figures; pyplot is not even imported."""
    before = dict(matplotlib.rcParams)
    record(path, parse, 2)
    draw_timeline(path, path.with_suffix(".svg"))
    assert dict(matplotlib.rcParams) == before
    code = compile(Path(picture.__file__).read_text(encoding="utf-8"), "picture.py", "exec")
    assert "pyplot" not in "".join(map(str, code.co_names))


async def test_the_observer_draws_what_it_wrote_last(path: Path) -> None:
    """Once it has written something."""
    timeline = record_timeline(path)
    image = path.with_suffix(".svg")
    message = "there is no timeline to draw yet: it is written when the run has ended"
    with pytest.raises(RuntimeError, match=f"^{message}$"):
        timeline.save_picture(image)
    await parse.with_observer(timeline)(range(3)).collect()
    timeline.save_picture(image)
    assert ET.parse(image).getroot() is not None


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", "3", "{}", '{"otherData": {}}', '{"otherData": {"format": "other"}}'],
)
def test_other_files_are_refused(content: str, path: Path) -> None:
    """With a hint at what makes files that are not."""
    path.write_text(content, encoding="utf-8")
    message = f"{str(path)!r} is no timeline; record_timeline() makes files that are"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        draw_timeline(path, path.with_suffix(".svg"))


def test_a_missing_file_is_an_error_of_its_own(path: Path) -> None:
    """Not one about its content."""
    with pytest.raises(FileNotFoundError):
        draw_timeline(path, path.with_suffix(".svg"))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0, ValueError, "max_items must be at least 1, got 0"),
        (1.5, TypeError, "max_items must be an int, got 1.5"),
        (True, TypeError, "max_items must be an int, got True"),
    ],
)
def test_bad_settings_are_refused(value: object, kind: type[Exception], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        draw("missing.json", "missing.svg", max_items=value)


def test_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no matplotlib is told of the extra."""
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    message = "a picture of a timeline needs matplotlib: pip install 'conveyor-streaming[picture]'"
    with pytest.raises(ImportError, match=f"^{re.escape(message)}$") as caught:
        draw_timeline(path, path)
    assert type(caught.value) is ImportError


def test_the_file_of_another_version_is_refused(path: Path) -> None:
    """It may have another layout."""
    record(path, parse, 1)
    content = json.loads(path.read_bytes())
    content["otherData"]["format"] = "conveyor timeline 2"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="is no timeline"):
        draw_timeline(path, path.with_suffix(".svg"))
