"""
A picture of a timeline, drawn by matplotlib from the file that was recorded.

There are two ways to draw it. In most runs each item has a row, from top to bottom, and time goes
from left to right. In a run that is much longer than its items stay, all of that would be a thin
diagonal line. There each item is a column, at the time at which its first call began, and goes up
from there with its age; so the one is the other, with every row turned upright.
"""

# matplotlib does not say what its keywords may be.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from .trace_reading import read

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from .trace_reading import Excerpt, Trace

__all__ = ["draw_timeline"]

MOST_STAYS = 50
"""Times that a run may be longer than an item stays, and items still have rows."""

MOST_SHAPES = 5000
"""More are drawn as pixels: as shapes they would make the file large."""

MOST_POINTS = 250
"""Of one line; of more, the mean of several is drawn."""

LONGEST_NAME = 32

# Okabe and Ito's colours, which colour-blind people can tell apart, but for those too pale for thin
# bars; in an order in which neighbours differ in lightness, too.
PALETTE = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#555555"]
WAITING = "#b8b8b8"
MARKERS: dict[str, dict[str, Any]] = {
    "retry": {
        "linestyle": "",
        "marker": "o",
        "markersize": 4,
        "markerfacecolor": "white",
        "markeredgecolor": "black",
    },
    "failure": {"linestyle": "", "marker": "X", "markersize": 6, "color": "black"},
}
# Name, length in seconds, and the least duration that it is used for.
UNITS = [("h", 3600.0, 7200.0), ("min", 60.0, 600.0), ("s", 1.0, 1.0), ("ms", 1e-3, 1e-3)]


def draw_timeline(
    trace: str | os.PathLike[str], picture: str | os.PathLike[str], *, max_items: int = 200
) -> None:
    """
    Draw a timeline that :func:`~conveyor.record_timeline` has recorded.

    Each item has a row, in which its calls are bars in the colours of their stages; a batch is a
    block over the rows of its items. Where an item waits, for its turn or for the rest of a batch,
    there is a thin line only. Retries and failures are marked, and below is how many items wait for
    each stage. In a run more than 50 times as long as an item stays, the items are columns instead,
    each at the time at which its first call began, and its age goes upwards.

    Needs matplotlib: ``pip install 'conveyor-streaming[picture]'``. It is called without pyplot, so
    it changes no figure of yours, and needs no display.

    :param trace: the file that was recorded
    :param picture: the file to make, in the format of its suffix: ``.svg``, ``.png``, or another
        that matplotlib knows
    :param max_items: items to draw, at least 1; of more, evenly spread ones are drawn
    :raises ImportError: if matplotlib is not installed
    :raises OSError: if *trace* cannot be read, or *picture* cannot be written
    :raises TypeError: if *max_items* is not an int
    :raises ValueError: if *trace* is another kind of file, matplotlib does not know the suffix, or
        *max_items* is less than 1
    """
    _check(max_items)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "a picture of a timeline needs matplotlib: pip install 'conveyor-streaming[picture]'"
        ) from error
    recorded = read(trace)
    figure = Figure(facecolor="white", layout="constrained")
    _draw(figure, recorded, recorded.excerpt(max_items))
    with warnings.catch_warnings():
        # Names may be in a script that the font does not have.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(os.fspath(picture), dpi=150)


def _check(max_items: object) -> None:
    if isinstance(max_items, bool) or not isinstance(max_items, int):
        raise TypeError(f"max_items must be an int, got {max_items!r}")
    if max_items < 1:
        raise ValueError(f"max_items must be at least 1, got {max_items}")


def _draw(figure: Figure, trace: Trace, excerpt: Excerpt) -> None:
    height = 3 + min(3.5, 0.09 * len(excerpt.stays))
    if any(trace.queued):
        figure.set_size_inches(9, height + 1)
        above, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        _draw_queues(below, trace)
    else:
        figure.set_size_inches(9, height)
        above = below = figure.subplots()
    draw = _draw_columns if _has_short_stays(trace, excerpt) else _draw_rows
    draw(above, trace, excerpt)
    _show_times(below.xaxis, "time", trace.duration)
    below.set_xlim(0, trace.duration or 1)
    above.set_title(_title(trace, len(excerpt.stays)), loc="left", fontsize="medium")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    _draw_legend(figure, trace, {each.kind for each in excerpt.happenings})


def _has_short_stays(trace: Trace, excerpt: Excerpt) -> bool:
    lengths = sorted(end - begin for begin, end in excerpt.stays.values())
    return bool(lengths) and lengths[len(lengths) // 2] * MOST_STAYS < trace.duration


def _draw_rows(axes: Axes, trace: Trace, excerpt: Excerpt) -> None:
    bars, stays = excerpt.bars, excerpt.stays
    lowest = min((bar.first for bar in bars), default=0)
    highest = max((bar.last for bar in bars), default=0)
    half = 0.4 * max(1.0, (highest - lowest + 1) / max(1, len(stays)))
    begins, ends = [begin for begin, _ in stays.values()], [end for _, end in stays.values()]
    axes.hlines(list(stays), begins, ends, colors=WAITING, linewidths=0.8, zorder=1)
    for stage in range(len(trace.stages)):
        rectangles = [
            (bar.begin, bar.first - half, bar.end, bar.last + half)
            for bar in bars
            if bar.stage == stage
        ]
        # Blocks over the rows of other items as well would hide their bars.
        has_batches = any(bar.is_batch for bar in bars if bar.stage == stage)
        _draw_rectangles(axes, trace, stage, rectangles, is_solid=not has_batches)
    for kind, marker in MARKERS.items():
        seen = [each for each in excerpt.happenings if each.kind == kind]
        axes.plot([each.at for each in seen], [each.item for each in seen], zorder=4, **marker)
    axes.set_ylim(highest + 0.5 + half, lowest - 0.5 - half)
    axes.set_ylabel("item")
    _show_counts(axes.yaxis)


def _draw_columns(axes: Axes, trace: Trace, excerpt: Excerpt) -> None:
    stays = excerpt.stays
    began = {index: begin for index, (begin, _) in stays.items()}
    ages = [end - begin for begin, end in stays.values()]
    half = 0.4 * trace.duration / len(stays)
    axes.vlines(list(began.values()), 0, ages, colors=WAITING, linewidths=0.8, zorder=1)
    for stage in range(len(trace.stages)):
        rectangles = [
            (at - half, bar.begin - at, at + half, bar.end - at)
            for bar in excerpt.bars
            if bar.stage == stage
            for at in map(began.__getitem__, bar.among(excerpt.items))
        ]
        _draw_rectangles(axes, trace, stage, rectangles)
    for kind, marker in MARKERS.items():
        seen = [(began[each.item], each.at) for each in excerpt.happenings if each.kind == kind]
        axes.plot([at for at, _ in seen], [now - at for at, now in seen], zorder=4, **marker)
    axes.set_ylim(bottom=0)
    _show_times(axes.yaxis, "age", max(ages))


def _draw_rectangles(
    axes: Axes,
    trace: Trace,
    stage: int,
    rectangles: list[tuple[float, float, float, float]],
    *,
    is_solid: bool = True,
) -> None:
    from matplotlib.collections import PolyCollection

    colour = _colour(trace, stage)
    corners = [
        [(left, top), (right, top), (right, bottom), (left, bottom)]
        for left, top, right, bottom in rectangles
    ]
    # With an edge, so that what is short can be seen.
    collection = PolyCollection(
        corners,
        facecolors=colour,
        edgecolors=colour,
        linewidths=0.5,
        alpha=1.0 if is_solid else 0.6,
        zorder=3 if is_solid else 2,
        rasterized=len(rectangles) > MOST_SHAPES,
    )
    axes.add_collection(collection)


def _draw_queues(axes: Axes, trace: Trace) -> None:
    for stage, points in enumerate(trace.queued):
        step = -(-len(points) // MOST_POINTS)
        groups = [points[start : start + step] for start in range(0, len(points), step)]
        axes.plot(
            [group[0][0] for group in groups],
            [sum(count for _, count in group) / len(group) for group in groups],
            color=_colour(trace, stage),
            linewidth=1.2,
            drawstyle="steps-post",
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("queued")
    _show_counts(axes.yaxis)


def _draw_legend(figure: Figure, trace: Trace, kinds: set[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[tuple[str, Any]] = [
        (_short(name), Patch(color=_colour(trace, stage)))
        for stage, name in enumerate(trace.stages)
    ]
    entries.append(("waiting", Line2D([], [], color=WAITING, linewidth=1.5)))
    entries += [(kind, Line2D([], [], **MARKERS[kind])) for kind in MARKERS if kind in kinds]
    legend = figure.legend(
        [handle for _, handle in entries],
        [" " * len(name) for name, _ in entries],
        loc="outside lower center",
        ncols=min(6, len(entries)),
        frameon=False,
        fontsize="small",
    )
    # Not above: names with a leading underscore would be left out.
    for text, (name, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _show_times(axis: Axis, what: str, longest: float) -> None:
    unit, size = next(
        ((unit, size) for unit, size, least in UNITS if longest >= least), ("us", 1e-6)
    )
    axis.set_label_text(f"{what} ({unit})")
    axis.set_major_formatter(lambda value, _: f"{value / size:,g}")


def _show_counts(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _colour(trace: Trace, stage: int) -> Any:
    """Return the colour of a stage; of many stages, each is lighter than the one before."""
    if len(trace.stages) <= len(PALETTE):
        return PALETTE[stage]
    from matplotlib import colormaps

    return colormaps["viridis"](0.95 * stage / (len(trace.stages) - 1))


def _title(trace: Trace, shown: int) -> str:
    about = trace.about
    count = about["items_in"]
    some = "" if shown == count else f" ({shown:,} of them shown)"
    ending = {"stopped": "ended early"}.get(about["outcome"], about["outcome"])
    error = f" with {about['error']}" if "error" in about else ""
    return f"{count:,} items{some}, {ending}{error}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
