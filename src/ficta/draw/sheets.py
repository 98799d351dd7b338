"""Sheets: many small pictures side by side, enlarged so that a person can see them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ficta.draw import lettering

GAP = 2  # pixels between tiles and around the sheet
GAP_COLOUR = (200, 200, 204)  # tells black tiles and white tiles apart, on a light page and on a dark one
CHECKER = 8  # pixels of a square of the checkerboard under transparent pictures
CHECKER_COLOURS = (255, 228)
CAPTION_HEIGHT = 18  # pixels
SHRINK_BELOW = 0.8  # tiles that have less than this share of a picture's width get it shrunk


def sheet(
    items: np.ndarray, columns: int | None = None, *, width: int = 640, captions: Sequence[str] | None = None
) -> Image.Image:
    """Lay pictures out in rows, from left to right and from top to bottom.

    Small pictures are enlarged by a whole number, so that every pixel stays a sharp square; pictures that are too
    large for their place are shrunk.

    Args:
        items: pictures, uint8 (n, C, H, W) with C = 1 (grey), 3 (RGB) or 4 (RGBA, laid on a checkerboard); n >= 1.
        columns: pictures in a row; None for as many as make the sheet about square.
        width: pixels across, kept to within about a quarter (whole enlargements do not fit any width).
        captions: a line under each picture, cut to its width; None for none.

    Returns:
        An RGB picture.

    Raises:
        ValueError: items of another type or shape, no items, or captions that are not one for each.
    """
    _check(items)
    count, _, height, across = items.shape
    if captions is not None and len(captions) != count:
        raise ValueError(f"{len(captions)} captions for {count} pictures")
    if columns is None:
        columns = _columns(count, height / across)
    if columns < 1:
        raise ValueError(f"columns = {columns}: a row needs at least one picture")
    tiles = _tiles(items, (width - GAP) / columns - GAP)
    return _lay_out(tiles, columns, captions)


def stacked(images: Sequence[Image.Image]) -> Image.Image:
    """One below the other on a page as wide as the widest."""
    page = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), GAP_COLOUR)
    top = 0
    for image in images:
        page.paste(image, (0, top))
        top += image.height
    return page


def enlarge(items: np.ndarray, factor: int) -> np.ndarray:
    """Repeat every pixel ``factor`` times along the last two axes: (…, H, W) => (…, H * factor, W * factor)."""
    if factor < 1:
        raise ValueError(f"factor = {factor}: enlargement is by a whole number from 1")
    return np.repeat(np.repeat(items, factor, axis=-2), factor, axis=-1)


def _check(items: np.ndarray) -> None:
    if items.dtype != np.uint8 or items.ndim != 4 or items.shape[1] not in (1, 3, 4):
        raise ValueError(f"pictures are uint8 (n, 1 | 3 | 4, H, W), not {items.dtype} {items.shape}")
    if 0 in items.shape:
        raise ValueError(f"no pictures to show: {items.shape}")


def _columns(count: int, aspect: float) -> int:
    """Columns of a sheet that is about square; somewhat wider where that leaves no place empty."""
    square = min(count, max(1, math.ceil(math.sqrt(count * aspect))))
    full = [columns for columns in range(square, math.floor(1.6 * square) + 1) if count % columns == 0]
    return full[0] if full else square


def _tiles(items: np.ndarray, room: float) -> np.ndarray:
    """Bring pictures (n, C, H, W) to about ``room`` pixels across and to colour: uint8 (n, h, w, 3)."""
    across = items.shape[3]
    ratio = max(1.0, room) / across
    if ratio >= SHRINK_BELOW:
        return _opaque(enlarge(items, max(1, math.floor(ratio + 0.4))))
    size = (max(1, round(across * ratio)), max(1, round(items.shape[2] * ratio)))
    shrunk = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)) for picture in _opaque(items)]
    return np.stack(shrunk)


def _opaque(items: np.ndarray) -> np.ndarray:
    """Pictures (n, C, H, W) as colours: uint8 (n, H, W, 3)."""
    pictures = items.transpose(0, 2, 3, 1)  # NCHW => NHWC
    if pictures.shape[3] == 1:
        return np.repeat(pictures, 3, axis=3)
    if pictures.shape[3] == 3:
        return pictures
    rows, columns = np.indices(pictures.shape[1:3]) // CHECKER
    board = np.where((rows + columns) % 2, CHECKER_COLOURS[1], CHECKER_COLOURS[0])[None, :, :, None]
    alpha = pictures[..., 3:].astype(np.float32) / 255
    mixed: np.ndarray = np.rint(pictures[..., :3] * alpha + board * (1 - alpha)).astype(np.uint8)
    return mixed


def _lay_out(tiles: np.ndarray, columns: int, captions: Sequence[str] | None) -> Image.Image:
    """Put tiles, uint8 (n, h, w, 3), on a canvas with thin gaps."""
    count, height, across, _ = tiles.shape
    step = height + GAP + (CAPTION_HEIGHT if captions is not None else 0)
    rows = math.ceil(count / columns)
    shape = (GAP + rows * step, GAP + columns * (across + GAP), 3)
    canvas = np.full(shape, GAP_COLOUR, dtype=np.uint8)
    corners = [(GAP + i % columns * (across + GAP), GAP + i // columns * step) for i in range(count)]
    for (left, top), tile in zip(corners, tiles, strict=True):
        canvas[top : top + height, left : left + across] = tile
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for (left, top), caption in zip(corners, captions or (), strict=False):
        middle = (left + across / 2, top + height + CAPTION_HEIGHT / 2)
        pen.text(middle, lettering.shortened(caption, across), fill=lettering.INK, font=lettering.font(), anchor="mm")
    return image
