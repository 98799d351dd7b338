"""Pictures as files: whole or absent."""

import io
from pathlib import Path

from PIL import Image

from ficta.base.files import write_bytes


def png(image: Image.Image) -> bytes:
    """The picture as an optimised PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def save_png(image: Image.Image, path: Path) -> None:
    """Replace ``path`` by the picture, atomically."""
    write_bytes(path, png(image))
