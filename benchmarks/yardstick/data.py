"""The pictures that every worker trains on: one .npy of uint8 (60000, 28, 28)."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
from PIL import Image

COUNT = 60_000


def write(path: Path) -> str:
    """Write the pictures to ``path``: MNIST where it lies at hand, else the built-in digits, enlarged and repeated.

    Returns:
        Which of them, for the tables.
    """
    for folder in (os.environ.get("FICTA_TEST_DATA"), "../shared/data"):
        packed = Path(folder or "") / "mnist" / "train-images-idx3-ubyte.gz"
        if folder and packed.exists():
            with gzip.open(packed) as file:
                np.save(path, np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28))  # 16 bytes of header
            return "MNIST, 60,000 training pictures"
    from sklearn.datasets import load_digits  # slow to import, and seldom needed

    small = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    large = np.stack([np.asarray(Image.fromarray(item).resize((28, 28), Image.Resampling.BILINEAR)) for item in small])
    np.save(path, large[np.arange(COUNT) % len(large)])
    return "built-in digits, enlarged to 28x28 and repeated to 60,000"
