"""Text on sheets: one font that comes along with matplotlib, so that no system font is needed."""

import functools
from pathlib import Path

import matplotlib
from PIL import ImageFont

INK = (60, 62, 70)  # dark enough for a contrast of 7:1 on the light grey between tiles
SIZE = 13  # pixels


@functools.cache
def font(size: int = SIZE) -> ImageFont.FreeTypeFont:
    """DejaVu Sans (Latin, Greek, Cyrillic, Arabic and more) at ``size`` pixels."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def width(text: str) -> int:
    """Pixels that ``text`` takes in one line."""
    return round(font().getlength(text))


def shortened(text: str, limit: int) -> str:
    """One line of ``text`` that takes at most ``limit`` pixels; what is cut off shows as an ellipsis."""
    text = " ".join(text.split())
    if width(text) <= limit:
        return text
    while text and width(text + "…") > limit:
        text = text[:-1]
    return text + "…" if text else ""
