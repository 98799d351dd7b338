"""One picture file to one uint8 array: orientation, palettes, depth, transparency, size."""

from __future__ import annotations

import dataclasses
import functools
import struct
import zipfile
import zlib
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".gif", ".bmp", ".dib")
) | frozenset((".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k", ".qoi"))
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "JPEG2000", "QOI")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
ORIENTATION = 0x0112  # EXIF tag
UPRIGHT, SIDEWAYS = 1, range(5, 9)  # its values; those of the latter swap width and height
GLANCE = (128, 128)  # a JPEG that is only asked for its colours is decoded about so large

Unreadable = (
    OSError,
    SyntaxError,  # Pillow's plugins raise it for a broken header
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What opening and decoding a damaged file raises, one kind or another for each format."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What every picture is brought to."""

    width: int
    height: int
    channels: int
    fit: Literal["crop", "pad"]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Attributes:
        pixels: uint8 (C, H, W).
        size: its own size, upright, before fitting, as ``WxH``.
        mode: its own mode, in Pillow's words.
        notes: what was converted on the way.
        kept: whether it was upright and of the target's size already.
        faded: whether it showed colours, which the target has no channels for.
    """

    pixels: np.ndarray
    size: str
    mode: str
    notes: tuple[str, ...]
    kept: bool
    faded: bool


class NotAPicture(Exception):  # noqa: N818 - the reason why an item is skipped, never shown as an error
    """A file that cannot be used, with the reason."""


def look(file: BinaryIO, colours: bool) -> tuple[tuple[int, int], bool]:
    """Read a picture's header, and its pixels only if they must tell whether it is grey.

    Args:
        file: the picture.
        colours: whether it matters if it is grey.

    Returns:
        Its upright (width, height), and whether it shows colours (False if that does not matter).

    Raises:
        NotAPicture: the header, or a pixel that was asked for, cannot be read.
    """
    try:
        with _open(file) as image:
            size = image.size[::-1] if _lies_sideways(image) else image.size
            image.draft(None, GLANCE)
            return size, colours and _shows_colours(image)
    except Unreadable as error:
        raise NotAPicture(reason(error)) from None


def decode(file: BinaryIO, target: Target) -> Picture:
    """Read a picture and bring it to ``target``.

    Raises:
        NotAPicture: the file cannot be read to its end, or has a kind of pixel that has no 8-bit form.
    """
    try:
        with _open(file) as image:
            size, mode = image.size, image.mode
            notes = _notes(image)
            sides = (2 * target.width, 2 * target.height)
            image.draft(None, sides[::-1] if _lies_sideways(image) else sides)  # large JPEGs come at a half …
            upright = ImageOps.exif_transpose(image)
            upright.load()
            orientation = _orientation(image)  # some formats say it behind the pixels
    except Unreadable as error:
        raise NotAPicture(reason(error)) from None
    upright = _to_8_bits(upright, notes)
    try:
        fitted = fit(upright, target)
        faded = target.channels == 1 and _shows_colours(upright)
    except ValueError as error:  # Pillow has no conversion from this mode
        raise NotAPicture(f"{mode}: {error}") from None
    if target.channels == 1 and not faded and not _holds_no_colours(mode):
        notes.append("stored in colour, but all grey")
    if orientation != UPRIGHT:
        notes.append("turned upright, as their orientation says")
    width, height = size[::-1] if orientation in SIDEWAYS else size
    kept = orientation == UPRIGHT and size == (target.width, target.height)
    return Picture(fitted, f"{width}x{height}", mode, tuple(notes), kept, faded)


def fit(image: Image.Image, target: Target) -> np.ndarray:
    """Bring an upright 8-bit picture to the target's channels and size: uint8 (C, H, W).

    Transparency is laid on white unless the target has an alpha channel. ``crop`` fills the size and cuts what
    stands over; ``pad`` shows all of the picture on black (on nothing, with an alpha channel).
    """
    mode = MODES[target.channels]
    image = _common(image)
    if mode != "RGBA":
        image = _on_white(image)
    if image.mode != mode:
        image = image.convert(mode)
    size = (target.width, target.height)
    if image.size != size:
        image = _pad(image, size) if target.fit == "pad" else ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)  # HWC => CHW


def _common(image: Image.Image) -> Image.Image:
    """The same picture in mode 1, L or RGB; in RGBA if some of it is transparent."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("1", "L", "RGB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """All of the picture in the middle of ``size``; a very long one keeps at least one pixel of its breadth."""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, size)
    canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return canvas


def reason(error: BaseException) -> str:
    """Why a file was not read, in one line."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels, perhaps a decompression bomb: {_first_line(error)}"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@functools.cache
def load_formats() -> list[str]:
    """The formats that this Pillow reads; those that would start other programs (EPS) are never tried."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(file: BinaryIO) -> Image.Image:
    return Image.open(file, formats=load_formats())


def _shows_colours(image: Image.Image) -> bool:
    """Whether a pixel is not grey: many grey pictures are stored as RGB."""
    if _holds_no_colours(image.mode):
        return False
    pixels = np.asarray(_on_white(_common(image)))
    if pixels.ndim == 2:
        return False
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return not (np.array_equal(red, green) and np.array_equal(green, blue))


def _holds_no_colours(mode: str) -> bool:
    """Whether pictures of this Pillow mode are grey, whatever they show."""
    return mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;16")


def _lies_sideways(image: Image.Image) -> bool:
    """Whether a header swaps width and height, in EXIF or XMP; Pillow gives the size of a TIFF upright already."""
    says = image.format != "TIFF" and not image.info.keys().isdisjoint(("exif", "xmp"))  # else a PNG would be decoded
    return says and _orientation(image) in SIDEWAYS


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where nothing is said or something else."""
    found = image.getexif().get(ORIENTATION, UPRIGHT)
    return found if found in range(1, 9) else UPRIGHT


def _notes(image: Image.Image) -> list[str]:
    """What conversion will lose, by Pillow's view of the file before decoding."""
    notes = []
    if getattr(image, "is_animated", False):
        notes.append("several frames, the first is used")
    if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) and not image.mode.startswith("I"):
        notes.append("16 bits a channel, scaled to 8")
    return notes


def _to_8_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode == "F":
        raise NotAPicture("floating-point pixels have no agreed range; save them with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image).astype(np.int64)
    if deep.min() < 0 or deep.max() > 65535:
        raise NotAPicture("pixels of 32 bits; save them with 8 or 16 bits")
    notes.append("16 bits a channel, scaled to 8")
    return Image.fromarray(np.rint(deep / 257).astype(np.uint8))
