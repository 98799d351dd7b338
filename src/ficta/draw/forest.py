"""A forest plot: several values with their intervals, a row a measure, each row on an axis of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ficta.draw.plots import LARGEST
from ficta.draw.style import FAINT, GRID, INK, PALETTE, compact, plot, shown

SHAPES = "os^vPhp<>*"  # of values; a colour that comes again has another shape
GOALS = (("D", "-", INK), ("x", (0, (1.5, 1.5)), FAINT))  # shape, dashes, colour of goals
CROWDED = 8.0  # times as wide as what the values span may an axis get for the sake of a goal
BAND = "#f5f5f7"
WIDTH = 10.0  # inches: names and goals off the axis stand beside it
LEFT, RIGHT = -0.52, 1.1  # ends of a row, whose axis is from 0 to 1
NAME_LETTERS, LEGEND_LETTERS, LINE_LETTERS = 36, 60, 130  # that fit


@dataclasses.dataclass(frozen=True)
class ForestRow:
    """One row.

    Attributes:
        name: at its left.
        note: below the name.
        values: to draw, None for those that are missing; one for each name of the plot.
        intervals: low and high end of the interval of each value, None where there is none.
        goals: values to measure by; none, one or several for each goal of the plot.
    """

    name: str
    note: str
    values: Sequence[float | None]
    intervals: Sequence[tuple[float, float] | None]
    goals: Sequence[Sequence[float]] = ()


def forest(rows: Sequence[ForestRow], names: Sequence[str], goals: Sequence[str] = ()) -> Image.Image:
    """Draw values with their intervals below one another, row by row.

    Each row has an axis of its own, as wide as the values need. A goal that would squeeze them into less than an
    eighth of it stands beside the axis, with its number. What is not finite or beyond 1e100 is left out.

    Args:
        rows: from top to bottom.
        names: of the values of each row.
        goals: names of the goals of each row, two at most.
    """
    pitch = 0.14 if len(names) <= 4 else 0.115 if len(names) <= 8 else 0.09  # inches from one value to the next
    height = max(0.36, 0.14 + pitch * len(names))  # of the band that holds a row's values
    entries = [shown(name, LEGEND_LETTERS) for name in (*names, *goals)]
    widths = [len(entry) + 6 for entry in entries]
    columns = max(1, len(entries) if sum(widths) <= LINE_LETTERS else LINE_LETTERS // max(widths))
    step = height + 0.32
    down = step * max(1, len(rows))
    with plot(down + 0.2 + 0.22 * math.ceil(len(entries) / columns), WIDTH) as figure:
        axes = figure.axes
        axes.set_axis_off()
        axes.set_xlim(LEFT, RIGHT)
        axes.set_ylim(down, -0.08)
        for place, row in enumerate(rows):
            _row(axes, row, step * place, height, 5.5 if len(names) <= 8 else 5)
        handles = [_mark(place, name) for place, name in enumerate(entries[: len(names)])]
        handles += [
            Line2D([], [], ls=dashes, lw=1, color=colour, marker=shape, ms=5, mfc="white", label=name)
            for (shape, dashes, colour), name in zip(GOALS, entries[len(names) :], strict=False)
        ]
        figure.figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.4)
        return figure.render()


def _row(axes: Axes, row: ForestRow, top: float, height: float, size: float) -> None:
    """Draw one row; one inch is one unit downwards."""
    values = [_drawable(value) for value in row.values]
    intervals = [_interval(ends) for ends in row.intervals]
    goals = [[goal for goal in several if _drawable(goal) is not None] for several in row.goals]
    axes.text(LEFT, top + 0.14, shown(row.name, NAME_LETTERS), va="center", color=INK)
    axes.text(LEFT, top + 0.29, row.note and shown(row.note, NAME_LETTERS + 8), va="center", color=FAINT, fontsize=8)
    axes.fill_between([0, 1], top, top + height, color=BAND, linewidth=0)
    ticks = _ticks(
        [value for value in (*values, *(end for ends in intervals for end in ends or ())) if value is not None],
        [goal for several in goals for goal in several],
    )
    low, span = ticks[0], ticks[-1] - ticks[0]
    for tick in ticks:
        across = (tick - low) / span
        axes.plot([across, across], [top, top + height], color=GRID, lw=0.8)
        side = "left" if across == 0 else "right" if across == 1 else "center"
        text = _tick(tick, ticks[1] - ticks[0])
        axes.text(across, top + height + 0.085, text, ha=side, va="center", color=FAINT, fontsize=8)
    for place, several in enumerate(goals):
        shape, dashes, colour = GOALS[place]
        for goal in several:
            across = (goal - low) / span
            if 0 <= across <= 1:
                axes.plot([across, across], [top, top + height], ls=dashes, color=colour, lw=1)
                axes.plot(across, top - 0.025, shape, color=colour, ms=5, mfc="white", zorder=4)
        down = top + height * (0.28 + 0.44 * place)
        for beyond, across, beside, side in (
            ([goal for goal in several if goal < low], -0.018, -0.032, "right"),
            ([goal for goal in several if goal > ticks[-1]], 1.018, 1.032, "left"),
        ):
            if beyond:
                text = "–".join(dict.fromkeys([compact(min(beyond)), compact(max(beyond))]))
                axes.plot(across, down, shape, color=colour, ms=5, mfc="white")
                axes.text(beside, down, text, ha=side, va="center", fontsize=8)
    pitch = (height - 0.14) / max(1, len(values) - 1) if len(values) > 1 else 0
    for place, (value, ends) in enumerate(zip(values, intervals, strict=True)):
        if value is None:
            continue
        down = top + (0.07 + pitch * place if pitch else height / 2)
        if ends is not None:
            axes.plot([(end - low) / span for end in ends], [down, down], color=_colour(place), lw=1.7, zorder=3)
        mark = _mark(place, "")
        mark.set(xdata=[(value - low) / span], ydata=[down], markersize=size, linestyle="", zorder=5)
        axes.add_line(mark)


def _mark(place: int, name: str) -> Line2D:
    shape = SHAPES[(place + place // len(PALETTE)) % len(SHAPES)]
    return Line2D([], [], color=_colour(place), lw=1.7, marker=shape, ms=5.5, mec="white", mew=0.5, label=name)


def _colour(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _drawable(value: float | None) -> float | None:
    return None if value is None or not abs(value) <= LARGEST else float(value)


def _interval(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    low, high = map(_drawable, ends or (None, None))
    return None if low is None or high is None else (low, high)


def _ticks(values: Sequence[float], goals: Sequence[float]) -> list[float]:
    """Round numbers at even steps, around all values and those goals that lie near enough."""
    low, high = min(values or goals or (0.0,)), max(values or goals or (0.0,))
    most = CROWDED * (high - low)
    for goal in sorted(goals, key=lambda goal: max(low - goal, goal - high)):
        wider = min(low, goal), max(high, goal)
        if not most or wider[1] - wider[0] <= most:
            low, high = wider
    if low == high:
        low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
    return [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]


def _tick(value: float, step: float) -> str:
    """A round number, with as many digits as tell it from its neighbours."""
    if not (step > 1e-4 and abs(value) < 1e5):
        return compact(0.0 if abs(value) < step / 2 else value)
    text = f"{value:,.{max(0, 1 - math.floor(math.log10(step)))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
