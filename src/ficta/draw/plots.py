"""Plots: curves over time, points in a plane, bars of counts. Each gives an RGB picture 1,400 pixels across."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from PIL import Image

from ficta.draw.style import FAINT, INK, PALETTE, Plot, compact, counts_axis, legend_above, plot, shown, wide_range

LARGEST = 1e100  # matplotlib's own sums overflow near the largest float64
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "^")  # a class past the palette's end gets its colour again with another shape
LEGEND_CLASSES = len(PALETTE) * len(MARKERS)
UNLABELLED = "#b9bcc5"
MOST_BARS = 30
MOST_NAMES = 40  # beside a matrix


def curves(
    series: Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]],
    x_label: str,
    y_label: str,
    title: str = "",
) -> Image.Image:
    """Draw one line a series, e.g. losses over samples seen.

    Values that are None, NaN, infinite or beyond 1e100 leave a gap; a value between two gaps shows as a dot. The y
    axis becomes logarithmic (and says so) where values span more than a factor of 1,000.

    Args:
        series: name to (x values, y values), equally many.
        x_label: name and unit of the x axis, which counts something.
        y_label: name and unit of the y axis.
        title: heading within the picture; empty for none.

    Raises:
        ValueError: a series with unequally many x and y values.
    """
    lines = {name: (_numbers(x), _numbers(y)) for name, (x, y) in series.items()}
    for name, (x, y) in lines.items():
        if len(x) != len(y):
            raise ValueError(f"series {name!r}: {len(x)} x values for {len(y)} y values")
    with plot(height=3.6) as figure:
        axes = figure.axes
        for index, (name, (x, y)) in enumerate(lines.items()):
            dashes = DASHES[index // len(PALETTE) % len(DASHES)]
            axes.plot(x, y, linestyle=dashes, color=PALETTE[index % len(PALETTE)], label=shown(name), linewidth=1.8)
            alone = _alone(np.isfinite(x) & np.isfinite(y))
            axes.plot(x[alone], y[alone], "o", color=PALETTE[index % len(PALETTE)], markersize=5)
        values = np.concatenate([y[np.isfinite(x) & np.isfinite(y)] for x, y in lines.values()] or [np.empty(0)])
        figure.label(title, x_label, y_label + wide_range(axes, values))
        counts_axis(axes)
        if not len(values):
            _say(axes, "nothing to draw yet")
        legend_above(axes)
        return figure.render()


def scatter(
    points: np.ndarray,
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
    extra: np.ndarray | None = None,
    title: str = "",
    axes: tuple[str, str] = ("", ""),
) -> Image.Image:
    """Draw points in a plane, coloured by class, and generated ones as hollow circles on top.

    Up to 20 classes get a legend, up to 10 also their name at their median; more get a colour bar. Points that are
    not finite are left out and counted below the plot.

    Args:
        points: float (n, 2).
        labels: class of each point, int (n,), -1 for none; None where there are no classes.
        names: name of each class; a class past its end goes by its number.
        extra: generated points, float (m, 2).
        title: heading within the picture; empty for none.
        axes: names of the two axes.

    Raises:
        ValueError: points of another shape, or labels that are not one for each.
    """
    points, left_out = _finite(points)
    extras, extras_left_out = _finite(np.empty((0, 2)) if extra is None else extra)
    if labels is not None:
        if labels.shape != left_out.shape:
            raise ValueError(f"labels of shape {labels.shape} for {len(left_out)} points")
        labels = labels[~left_out]
    with plot(height=5.2) as figure:
        handles: list[Any] = _classes(figure, points, labels, names)
        if len(extras):
            across, up = extras.T
            figure.axes.scatter(
                across, up, s=20, facecolors="none", edgecolors=INK, linewidths=0.8, alpha=0.75, zorder=4
            )
            handles.append(_handle("generated", "none", "o", edge=INK))
        if not len(points) + len(extras):
            _say(figure.axes, "no points")
        if handles:
            figure.figure.legend(
                handles=handles, loc="outside right upper" if len(handles) > 1 else "outside upper right"
            )
        figure.axes.set_aspect("equal", adjustable="datalim")
        figure.label(title, *axes)
        lost = int(left_out.sum() + extras_left_out.sum())
        figure.note(f"not drawn because not finite: {lost:,} of {lost + len(points) + len(extras):,}" if lost else "")
        return figure.render()


def matrices(maps: Mapping[str, np.ndarray], names: Sequence[str]) -> Image.Image:
    """Draw square matrices side by side in one colour scale from -1 to 1, blue to red; rows and columns share names.

    Args:
        maps: title to values, float (C, C).
        names: of the rows and columns; more than forty are drawn without.
    """
    with plot(height=3.2, width=10.0) as figure:
        figure.figure.clear()
        panels = np.atleast_1d(figure.figure.subplots(1, len(maps), sharey=True))
        words = [shown(name, 16) for name in names] if len(names) <= MOST_NAMES else []
        for axes, (title, values) in zip(panels, maps.items(), strict=True):
            axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            axes.set_title(title, fontsize=9)
            axes.set_xticks(range(len(words)), words, rotation=90, fontsize=6)
            axes.set_yticks(range(len(words)), words, fontsize=6)
            axes.grid(visible=False)
        return figure.render()


def bars(groups: Mapping[str, Mapping[str, float]], value_label: str, title: str = "") -> Image.Image:
    """Draw one horizontal bar a label, with the groups as its segments and the total at its end.

    Past 30 labels, the 29 longest bars stay and the others become one.

    Args:
        groups: name of a group (e.g. a split) to label to value; values are at least 0.
        value_label: name and unit of what the bars count.
        title: heading within the picture; empty for none.

    Raises:
        ValueError: a value below 0 or not finite.
    """
    for name, group in groups.items():
        for label, value in group.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"bar {label!r} of {name!r}: {value} is not a length")
    groups, labels = _gathered(groups)
    with plot(height=0.95 + 0.24 * max(2, len(labels))) as figure:
        axes = figure.axes
        start = np.zeros(len(labels))
        for index, (name, group) in enumerate(groups.items()):
            lengths = np.array([group.get(label, 0.0) for label in labels])
            colour = PALETTE[index % len(PALETTE)]
            axes.barh(np.arange(len(labels)), lengths, left=start, color=colour, height=0.72, label=shown(name))
            start += lengths
        for place, total in enumerate(start):
            axes.annotate(compact(total), (total, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
        axes.set_yticks(range(len(labels)), [shown(label) for label in labels], color=INK)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(max(2, len(labels)) - 0.4, -0.6)  # the first label on top
        axes.set_xlim(0, max(start.max(initial=0) * 1.08, 1e-9))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        counts_axis(axes)
        figure.label(title, value_label, "")
        if not labels:
            _say(axes, "nothing to count")
        legend_above(axes)
        return figure.render()


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """Values as float64 (n,), with NaN for what is missing or too large to draw."""
    numbers = np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    return np.where(np.abs(numbers) <= LARGEST, numbers, math.nan)


def _alone(present: np.ndarray) -> np.ndarray:
    """Which values, bool (n,), have a gap on both sides, so that no line shows them."""
    padded = np.concatenate([[False], present, [False]])
    alone: np.ndarray = present & ~padded[:-2] & ~padded[2:]
    return alone


def _finite(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finite ones of points (n, 2) as float64, and which were left out, bool (n,)."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points are (n, 2), not {points.shape}")
    left_out = ~np.isfinite(points).all(axis=1)
    return points[~left_out].astype(np.float64), left_out


def _classes(figure: Plot, points: np.ndarray, labels: np.ndarray | None, names: Sequence[str]) -> list[Line2D]:
    """Draw the points; return the legend's entries."""
    size = float(np.clip(12_000 / max(1, len(points)), 4, 26))
    if labels is None:
        _dots(figure.axes, points, np.array([to_rgb(PALETTE[0])]), size)
        return []
    nobodys = labels < 0
    _dots(figure.axes, points[nobodys], np.array([to_rgb(UNLABELLED)]), size)
    points, labels = points[~nobodys], labels[~nobodys]
    classes = [int(label) for label in np.unique(labels)]
    if max(classes, default=0) >= LEGEND_CLASSES:
        _colour_bar(figure, _dots(figure.axes, points, labels, size), names)
        return []
    colours = np.array([to_rgb(colour) for colour in PALETTE])
    handles = []
    for index, marker in enumerate(MARKERS):
        chosen = labels // len(PALETTE) == index
        _dots(figure.axes, points[chosen], colours[labels[chosen] % len(PALETTE)], size, marker)
    for label in classes:
        marker = MARKERS[label // len(PALETTE)]
        handles.append(_handle(_name(names, label), PALETTE[label % len(PALETTE)], marker))
        if len(classes) <= len(PALETTE):
            _name_at(figure.axes, np.median(points[labels == label], axis=0), _name(names, label))
    if nobodys.any():
        handles.append(_handle("no label", UNLABELLED, "o"))
    return handles


def _name_at(axes: Axes, place: np.ndarray, name: str) -> None:
    halo = [withStroke(linewidth=3, foreground="white")]
    across, up = place
    axes.text(across, up, name, ha="center", va="center", fontweight="bold", path_effects=halo, zorder=5)


def _dots(axes: Axes, points: np.ndarray, colours: np.ndarray, size: float, marker: str = "o") -> PathCollection:
    """Draw dots, in an order that favours no class, in colours that are one RGB, one RGB each, or numbers (n,)."""
    order = np.random.default_rng(0).permutation(len(points))
    chosen = colours[order] if len(colours) == len(points) else np.repeat(colours, len(points), axis=0)
    across, up = points[order].T
    return axes.scatter(across, up, s=size, c=chosen, alpha=0.7, linewidths=0, marker=marker)


def _colour_bar(figure: Plot, dots: PathCollection, names: Sequence[str]) -> None:
    labels = np.asarray(dots.get_array())
    low, high = int(labels.min()), int(labels.max())
    dots.set_cmap("viridis")
    dots.set_norm(Normalize(low, high))
    bar = figure.figure.colorbar(dots, ax=figure.axes, shrink=0.8, aspect=30)
    ticks = sorted({round(place) for place in np.linspace(low, high, 9)})
    bar.set_ticks(ticks, labels=[_name(names, tick) for tick in ticks])
    bar.outline.set_visible(False)
    bar.set_label("class", color=FAINT)


def _handle(name: str, colour: str, marker: str, edge: str = "none") -> Line2D:
    return Line2D([], [], ls="", marker=marker, markersize=6, label=name, mfc=colour, mec=edge, mew=0.8)


def _name(names: Sequence[str], label: int) -> str:
    return shown(names[label]) if label < len(names) else str(label)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT)


def _gathered(groups: Mapping[str, Mapping[str, float]]) -> tuple[Mapping[str, Mapping[str, float]], list[str]]:
    """The groups and their labels in order, with labels past the limit gathered into one."""
    totals: dict[str, float] = {}
    for group in groups.values():
        for label, value in group.items():
            totals[label] = totals.get(label, 0.0) + value
    if len(totals) <= MOST_BARS:
        return groups, list(totals)
    longest = set(sorted(totals, key=lambda label: -totals[label])[: MOST_BARS - 1])
    kept = [label for label in totals if label in longest]
    others = f"{len(totals) - len(kept)} other labels"
    gathered = {
        name: {label: group.get(label, 0.0) for label in kept}
        | {others: sum(value for label, value in group.items() if label not in longest)}
        for name, group in groups.items()
    }
    return gathered, [*kept, others]
