"""What the tests of this folder make and read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.data.settings import DataSettings


def picture(seed: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def read(path: Path | str, **settings: Any) -> Dataset:
    return ingest(DataSettings.read({"path": str(path), **settings}, "data"))


def everything(dataset: Dataset) -> np.ndarray:
    """The whole cache, in the source's order."""
    return np.asarray(dataset.splits["train"].stored)


def packed(folder: Path, prefix: str = "", extra: dict[str, bytes] | None = None) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return path
