"""How plots look: colours that a colour-blind person tells apart, quiet axes, letters readable at 700 pixels."""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from PIL import Image

# The ten colours of Petroff 2021, "Accessible Color Sequences for Data Visualization" (arXiv:2107.02270), the most
# different first.
PALETTE = (
    "#3f90da",
    "#e76300",
    "#832db6",
    "#ffa90e",
    "#bd1f01",
    "#92dadd",
    "#717581",
    "#b9ac70",
    "#a96b59",
    "#94a4a2",
)
INK, FAINT, GRID = "#2b2d36", "#62666f", "#e6e7eb"
WIDTH = 7.0  # inches
DOTS_PER_INCH = 200  # 1,400 pixels across: sharp where it is shown at 700

LOG_FROM = 1e3  # ratio of largest to smallest value from which an axis is logarithmic

_FOR_OTHER_SCRIPTS = ("Noto Sans CJK JP", "Noto Sans", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")
_LOCK = threading.Lock()  # matplotlib's settings are global


class Plot:
    """One pair of axes on a light ground, and what makes a picture of it."""

    def __init__(self, height: float, width: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
        FigureCanvasAgg(self.figure)
        self.axes: Axes = self.figure.add_subplot()

    def label(self, title: str, x_label: str, y_label: str) -> None:
        """Name the plot and its axes; an empty name takes no place."""
        if title:
            self.figure.suptitle(title, x=0.02, ha="left", fontsize=11.5, fontweight="bold", color=INK)
        self.axes.set_xlabel(x_label)
        self.axes.set_ylabel(y_label)

    def note(self, text: str) -> None:
        """Say something below the axes, at the right."""
        if text:
            self.figure.supxlabel(text, x=0.99, ha="right", fontsize=8, color=FAINT)

    def render(self) -> Image.Image:
        """The picture, RGB, 200 pixels an inch."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png")
        buffer.seek(0)
        return Image.open(buffer).convert("RGB")


@contextlib.contextmanager
def plot(height: float, width: float = WIDTH) -> Iterator[Plot]:
    """Make and render a plot, of a size in inches, within this context: it holds our settings and fonts."""
    installed = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(name for name in _FOR_OTHER_SCRIPTS if name in installed)]
    with _LOCK, matplotlib.rc_context(_settings(fonts)), warnings.catch_warnings():
        # A letter that no font has shows as a box; the report's text holds every name in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        yield Plot(height, width)


def counts_axis(axes: Axes) -> None:
    """Make the x axis one of counts: ticks at whole numbers, written ``20k`` or ``1.5M``."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def legend_above(axes: Axes) -> None:
    """Name the lines or bars in a row or two above the axes, if there is more than one."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 1:
        columns = 5 if max(len(name) for name in names) <= 14 else 3
        axes.legend(handles, names, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, borderaxespad=0.2)


def wide_range(axes: Axes, values: np.ndarray) -> str:
    """Make the y axis logarithmic if its finite values, (n,), need it; return what to add to the axis's name."""
    sizes = np.abs(values[values != 0])
    if not len(sizes) or sizes.max() / LOG_FROM < sizes.min():
        return ""
    typical = float(10 ** np.round(np.log10(np.median(sizes))))
    if values.min() > 0:
        axes.set_yscale("log")
        axes.set_yticks(_powers_beyond(sizes.min() / 10, sizes.max())[0])
    elif sizes.max() / LOG_FROM >= typical:
        axes.set_yscale("symlog", linthresh=typical)
        up, down = _powers_beyond(typical, values.max(), -values.min())
        axes.set_yticks([*(-tick for tick in down), 0, *up])
    else:
        return ""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    return " (logarithmic)" if values.min() > 0 else f" (logarithmic beyond ±{compact(typical)})"


def _powers_beyond(low: float, *ends: float) -> list[list[float]]:
    """Powers of ten above ``low`` up to each end, at one distance, about seven in all."""
    first = math.ceil(math.log10(low) - 1e-9)
    lasts = [math.floor(math.log10(end)) if end > low else first for end in ends]
    step = max(1, round(sum(last - first for last in lasts) / 7))
    return [[float(f"1e{exponent}") for exponent in range(first + step, last + 1, step)] for last in lasts]


def compact(value: float) -> str:
    """A number in few letters: ``250``, ``20k``, ``1.5M``, ``1e30``, ``3e-5``."""
    for scale, letter in ((1e12, "e"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return _power(value) if letter == "e" else f"{value / scale:.4g}{letter}"
    return _power(value) if 0 < abs(value) < 1e-3 else f"{value:.4g}"


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def shown(name: str, most: int = 24) -> str:
    """A name in at most so many letters, and never hidden (matplotlib hides legend entries that start with ``_``)."""
    name = " ".join(name.split()) or "(empty)"
    name = name if len(name) <= most else f"{name[: most - 1]}…"
    return f"\u200b{name}" if name.startswith("_") else name


def _settings(fonts: list[str]) -> Any:
    return {
        "font.family": fonts,
        "font.size": 9.5,
        "text.color": INK,
        "text.parse_math": False,  # a label with dollar signs is a label
        "text.usetex": False,
        "axes.edgecolor": "#b9bcc5",
        "axes.labelcolor": FAINT,
        "axes.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "axes.xmargin": 0.02,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": "#b9bcc5",
        "ytick.color": "#b9bcc5",
        "xtick.labelcolor": FAINT,
        "ytick.labelcolor": FAINT,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.handletextpad": 0.5,
    }
