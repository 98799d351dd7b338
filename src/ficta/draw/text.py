"""Rows of words as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ficta.draw import lettering
from ficta.draw.style import FAINT, GRID, INK

LINE, GAP, WIDEST = 20, 14, 150  # pixels of a line, between two columns, and of a column
MOST_ROWS, MOST_COLUMNS = 40, 24


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], captions: Sequence[str] | None = None
) -> Image.Image:
    """Draw words in rows and columns; what is too long is cut, and what is too much is left out and counted.

    Args:
        head: name of each column.
        rows: words, as many as there are names.
        captions: of each row, drawn before it.
    """
    columns = [list(column) for column in zip(head, *rows[:MOST_ROWS], strict=True)][:MOST_COLUMNS]
    if captions is not None:
        columns.insert(0, ["", *captions[:MOST_ROWS]])
    columns = [[lettering.shortened(word, WIDEST) for word in column] for column in columns]
    widths = [max(lettering.width(word) for word in column) for column in columns]
    lost = [f"{len(rows) - MOST_ROWS} more rows"] if len(rows) > MOST_ROWS else []
    lost += [f"{len(head) - MOST_COLUMNS} more columns"] if len(head) > MOST_COLUMNS else []
    height = LINE * (len(columns[0]) + bool(lost)) + GAP
    image = Image.new("RGB", (GAP + sum(width + GAP for width in widths), height), "white")
    pen = ImageDraw.Draw(image)
    left = GAP
    for column, width in zip(columns, widths, strict=True):
        for number, word in enumerate(column):
            pen.text((left, GAP // 2 + number * LINE), word, fill=INK if number else FAINT, font=lettering.font())
        left += width + GAP
    pen.line((GAP, LINE + 2, image.width - GAP, LINE + 2), fill=GRID)
    if lost:
        pen.text((GAP, height - LINE), "not drawn: " + ", ".join(lost), fill=FAINT, font=lettering.font())
    return image
