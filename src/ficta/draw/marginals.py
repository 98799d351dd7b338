"""Columns of a table side by side, generated rows beside real ones: one small plot a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ficta.draw import lettering
from ficta.draw.style import FAINT, GRID, INK, PALETTE, shown

WIDTH, HEIGHT, GAP = 216, 132, 14  # pixels of a plot, and between two
HEAD, FOOT, TOP = 18, 16, 26  # pixels above and below the bars, and above all plots
NAME = 86  # pixels for the name of a category
MOST = 60  # columns that are drawn
MADE, REAL = PALETTE[0], INK


class Column(NamedTuple):
    """One column.

    Attributes:
        name: its heading.
        made: share of generated rows in each bar, float (b,).
        real: the same of real rows.
        names: of the bars, where they are categories; else none.
        ends: what the axis of numbers goes from and to, as text.
    """

    name: str
    made: np.ndarray
    real: np.ndarray
    names: Sequence[str]
    ends: tuple[str, str]


def marginals(columns: Sequence[Column], title: str) -> Image.Image:
    """Draw shares of generated rows as filled bars and those of real rows as a line over them.

    Args:
        columns: what to draw, at least one; of more than sixty the first ones.
        title: heading.
    """
    drawn = columns[:MOST]
    across = min(4, len(drawn))
    down = math.ceil(len(drawn) / across)
    size = (GAP + across * (WIDTH + GAP), TOP + down * (HEIGHT + GAP))
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    left_out = f"; {len(columns) - MOST} more columns are not drawn" if len(columns) > MOST else ""
    pen.text((GAP, 7), title + left_out, fill=FAINT, font=lettering.font(12))
    for number, column in enumerate(drawn):
        row, place = divmod(number, across)
        _panel(pen, GAP + place * (WIDTH + GAP), TOP + row * (HEIGHT + GAP), column)
    return image


def _panel(pen: ImageDraw.ImageDraw, left: int, top: int, column: Column) -> None:
    pen.text((left, top), shown(column.name, 30), fill=INK, font=lettering.font(12))
    most = max(float(column.made.max()), float(column.real.max()), 1e-9)
    draw = _categories if column.names else _numbers
    draw(pen, left, top + HEAD, most, column)


def _numbers(pen: ImageDraw.ImageDraw, left: int, top: int, most: float, column: Column) -> None:
    """Bars beside each other, and the line of the real ones over them."""
    height, step = HEIGHT - HEAD - FOOT, WIDTH / len(column.made)
    base, line = top + height, []
    for bar, (made, real) in enumerate(zip(column.made, column.real, strict=True)):
        x, level = left + bar * step, base - height * real / most
        if made > 0:
            pen.rectangle((x, base - height * made / most, x + step - 1, base), fill=MADE)
        line += [(x, level), (x + step, level)]
    pen.line((left, base, left + WIDTH, base), fill=GRID, width=1)
    pen.line(line, fill=REAL, width=2)
    low, high = column.ends
    pen.text((left, base + 2), low, fill=FAINT, font=lettering.font(10))
    pen.text((left + WIDTH, base + 2), high, fill=FAINT, font=lettering.font(10), anchor="ra")


def _categories(pen: ImageDraw.ImageDraw, left: int, top: int, most: float, column: Column) -> None:
    """Bars below each other, their names before them, and a stroke where the real one ends."""
    step, room = (HEIGHT - HEAD) / max(len(column.names), 4), WIDTH - NAME
    for bar, (name, made, real) in enumerate(zip(column.names, column.made, column.real, strict=True)):
        y, start = top + bar * step, left + NAME
        pen.text((left, y), shown(name, 15), fill=FAINT, font=lettering.font(min(10, int(step))))
        if made > 0:
            pen.rectangle((start, y + 1, start + room * made / most, y + step - 2), fill=MADE)
        end = start + room * real / most
        pen.line((end, y, end, y + step - 1), fill=REAL, width=2)
