"""A run as the report sees it, without training one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ficta.draw.animate import animation
from ficta.draw.images import save_png
from ficta.draw.sheets import sheet

TARGET = 200_000


@dataclasses.dataclass
class FakeRun:
    path: Path
    recipe: dict[str, Any]
    data: dict[str, Any]
    plan: dict[str, Any]
    history: list[dict[str, Any]]
    results: list[dict[str, Any]]
    finished: bool


def line(seen: int, **others: Any) -> dict[str, Any]:
    nats = 40 + 1e6 / (seen + 1000)
    return {
        "seen": seen,
        "step": seen // 64,
        "seconds": seen / 2000,
        "samples_per_second": 2000.0,
        "memory_bytes": 612_000_000,
        "losses": {"negative_elbo_nats": nats, "distortion_nats": nats - 12, "kl_nats": 12.0},
        "heldout_negative_elbo_nats": nats + 1.5,
        "spread_ratio": 0.9,
        "verdict": "healthy",
        "evidence": {},
        "advice": "",
    } | others


def fake_run(path: Path, reports: int = 10, label: str = "seven") -> FakeRun:
    """A finished run with everything that the folder can hold, save for pictures."""
    for folder in ("samples", "explore"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    return FakeRun(
        path=path,
        recipe={
            "family": "vae",
            "preset": "article-vae",
            "seed": 3,
            "data": {"path": "digits", "conditional": True},
            "model": {"latent_dim": 2, "encoder": {"kind": "conv", "channels": [32, 64]}},
            "train": {"batch": 64, "samples": TARGET, "clip_norm": None},
        },
        data={
            "source": "digits",
            "read": 1797,
            "skipped": [{"name": "torn.png", "reason": "the file is cut off"}],
            "ignored": {"text": 2},
            "notes": ["16 levels"],
            "stored_shape": [1, 8, 8],
            "levels": 17,
            "categories": [label, "eight"],
            "labels": {"train": {label: 800, "eight": 727}, "test": {label: 180, "eight": 0}},
            "duplicates": {"extra": 4, "across_splits": 0},
            "split_origin": {"train": "rest"},
            "training_sees": "1,527 samples of 1 channel x 8 height x 8 width",
            "splits": {"train": 1527, "validation": 90, "test": 180},
            "content_hash": "sha256:3f2a",
            "warnings": ["only 1,527 pictures"],
        },
        plan={
            "parameters": {"encoder": 20_000, "decoder": 30_000},
            "memory_bytes": 580_000_000,
            "samples_per_second": 2500.0,
            "seconds": 80.0,
            "target_samples": TARGET,
            "machine": {"processor": "some CPU", "cores": 2, "torch": "2.11.0", "ficta": "0.1.0", "device": "cpu"},
        },
        history=[line(TARGET * (index + 1) // reports) for index in range(reports)],
        results=[],
        finished=True,
    )


def add_pictures(run: FakeRun, sheets: int, size: int = 8) -> None:
    """Sheets of noise, which compress worst, an animation and plots."""
    rng = np.random.default_rng(0)
    frames = []
    for index in range(sheets):
        frames.append(sheet(rng.integers(0, 256, (64, 3, size, size), np.uint8)))
        save_png(frames[-1], run.path / "samples" / f"{(index + 1) * 1000:012d}.png")
    animation(frames[-3:], run.path / "samples" / "progress.webp")
    for name in ("latent", "manifold", "reconstructions", "interpolations", "sheet", "my own"):
        save_png(frames[0], run.path / "explore" / f"{name}.png")


@pytest.fixture
def make_run() -> Callable[..., FakeRun]:
    """Makes a finished run: ``make_run(path, reports=10, label="seven")``."""
    return fake_run


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    """A finished run without pictures."""
    return fake_run(tmp_path / "digits-vae")


@pytest.fixture
def report_line() -> Callable[..., dict[str, Any]]:
    """Makes a line of the history: ``report_line(seen, **others)``."""
    return line


@pytest.fixture
def with_pictures() -> Callable[..., None]:
    """Puts sheets of noise, an animation and plots into a run: ``with_pictures(run, sheets, size=8)``."""
    return add_pictures
