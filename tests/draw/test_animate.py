"""Animations: frames, their times, and a file that is whole or absent."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ficta.draw.animate import animation, frame_durations
from ficta.draw.images import png, save_png


def frames(count: int, size: int = 16) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (size, size, 3), np.uint8)) for _ in range(count)]


def durations(path: Path) -> list[int]:
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()  # WebP tells a frame's time once it is decoded
            found.append(int(image.info["duration"]))
    return found


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".GIF"])
def test_the_last_frame_is_held(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    animation(frames(7), path, seconds=1)
    assert durations(path) == [100] * 6 + [400]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_durations_are_ticks_that_viewers_honour() -> None:
    assert frame_durations(3, 6) == [1000, 1000, 4000]
    assert frame_durations(1000, 6) == [20] * 999 + [80]
    assert frame_durations(1, 6) == [6000]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_one_frame_is_a_picture(tmp_path: Path, suffix: str) -> None:
    animation(frames(1), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.size == (16, 16)


def test_wrong_calls_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.gif or \.webp"):
        animation(frames(2), tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="at least one frame"):
        animation([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="differ in size"):
        animation([*frames(1), *frames(1, size=17)], tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_png_is_lossless(tmp_path: Path) -> None:
    image = frames(1)[0]
    save_png(image, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == png(image)
    with Image.open(tmp_path / "a.png") as read:
        assert (np.asarray(read) == np.asarray(image)).all()
