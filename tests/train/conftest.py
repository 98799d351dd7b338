"""Whole processes, and what makes two runs the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ficta.compute import tensors
from ficta.runs.folder import RunFolder

CLOCK = ("seconds", "samples_per_second", "memory_bytes")


@pytest.fixture
def in_processes(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs jobs one after the other in processes of their own; see ``driver.py``."""

    def call(*jobs: dict[str, Any]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("driver.py"))],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return call


@pytest.fixture
def same_runs() -> Callable[[Path, Path], None]:
    """Checks that two runs ended in the same bits: weights, state, reports (apart from the clock), sheets."""

    def check(one: Path, other: Path) -> None:
        weights, state = tensors.load(one / "weights.safetensors"), RunFolder(one).latest_state()
        same_tensors(weights[0], tensors.load(other / "weights.safetensors")[0])
        other_state = RunFolder(other).latest_state()
        assert state is not None
        assert other_state is not None
        same_tensors(state[0], other_state[0])
        assert state[1]["progress"] == other_state[1]["progress"]
        assert history(one) == history(other)
        assert history(one)
        assert sheets(one) == sheets(other)

    return check


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def history(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]


def sheets(path: Path) -> dict[str, bytes]:
    return {sheet.name: sheet.read_bytes() for sheet in (path / "samples").glob("*.png")}
