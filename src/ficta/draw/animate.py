"""Moving pictures: how sheets changed over time."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ficta.base.files import replacing

FORMATS = {".gif": "GIF", ".webp": "WEBP"}
SHORTEST_MS = 20  # viewers slow down what is shorter
LAST_FRAMES = 4  # the last frame stays for as long as this many others
GIF_TICK_MS = 10


def animation(frames: Sequence[Image.Image], path: Path, seconds: float = 6) -> None:
    """Write frames as an endlessly repeated animation that rests on its last frame.

    Args:
        frames: pictures of one size, at least one.
        path: where to write; its suffix, ``.gif`` or ``.webp``, is the format. Replaced atomically.
        seconds: length of one round; longer if the frames are too many for it.

    Raises:
        ValueError: no frames, frames of different sizes, or another suffix.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path.name}: an animation ends in {' or '.join(FORMATS)}")
    if not frames:
        raise ValueError(f"{path.name}: an animation needs at least one frame")
    sizes = {frame.size for frame in frames}
    if len(sizes) != 1:
        raise ValueError(f"{path.name}: frames differ in size: {sorted(sizes)}")
    first, *others = (frame.convert("RGB") for frame in frames)
    durations = frame_durations(len(frames), seconds)
    kind = FORMATS[path.suffix.lower()]
    options = _smaller(first) if kind == "WEBP" else {}
    with replacing(path) as file:
        first.save(file, kind, save_all=True, append_images=others, duration=durations, loop=0, **options)


def _smaller(frame: Image.Image) -> dict[str, Any]:
    """WebP's mode that makes this frame smaller: enlarged pixels compress best lossless, photographs do not."""
    modes: tuple[dict[str, Any], ...] = ({"lossless": True}, {"quality": 85})

    def length(mode: dict[str, Any]) -> int:
        buffer = io.BytesIO()
        frame.save(buffer, "WEBP", **mode)
        return buffer.tell()

    return min(modes, key=length)


def frame_durations(count: int, seconds: float) -> list[int]:
    """Milliseconds that each of ``count`` frames is shown, in whole GIF ticks."""
    each = 1000 * seconds / (count - 1 + LAST_FRAMES)
    ticks = max(SHORTEST_MS, round(each / GIF_TICK_MS) * GIF_TICK_MS)
    return [ticks] * (count - 1) + [ticks * LAST_FRAMES]
