"""Whether verdicts name bad runs rightly and leave healthy ones alone.

    python benchmarks/verdicts.py

Bad runs are made on the built-in digits, at most a minute each: a generator that knows three pictures, a VAE trained
on 64 pictures, a GAN without regularisation on 500 pictures, and a learning rate that leads to NaN. Healthy ones are
the families and presets as they come, on digits or MNIST ($FICTA_TEST_DATA), but for `article-gan-dense`, which has
not learnt anything after a minute. Several seeds each. The reports of runs that are there already are judged anew.
Figures go to benchmarks/results/verdicts.json.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from evidence import DATA, RUNS, keep
from torch import Tensor, nn

import ficta
from ficta.base.errors import VerdictError
from ficta.train.observe import Signs
from ficta.train.verdicts import judge

SEEDS = range(4)
MEASURE = Signs.of
SHARP = 50.0  # of the softmax that picks a picture


class ThreePictures(nn.Module):
    """Latents (B, 64) to one of three learnt pictures (B, 1, 8, 8), hardly ever to a mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = nn.Linear(64, 3, bias=False).requires_grad_(False)
        self.pictures = nn.Parameter(0.3 * torch.randn(3, 64))

    def forward(self, z: Tensor) -> Tensor:
        """Latents to pictures."""
        return ((SHARP * self.pick(z)).softmax(1) @ self.pictures).view(-1, 1, 8, 8)


Case = tuple[str, str, str | Path, Mapping[str, Any], Callable[[], Mapping[str, nn.Module]]]


def nothing() -> Mapping[str, nn.Module]:
    """No network of one's own."""
    return {}


MNIST = DATA / "mnist"
CASES: dict[str, Case] = {  # expected verdict, family or preset, data, settings, own networks
    "three pictures": ("collapsed", "gan", "digits", {"samples": 60_000}, lambda: {"generator": ThreePictures()}),
    "64 pictures": ("copying", "vae", "digits", {"samples": 300_000, "data.limit": 64}, nothing),
    "500 pictures": (
        "discriminator overfits",
        "gan",
        "digits",
        {"samples": 200_000, "data.limit": 500, "model.r1_gamma": 0.0},
        nothing,
    ),
    "NaN": ("diverged", "vae", "digits", {"samples": 60_000, "model.optimiser.rate": 1e6}, nothing),
    "vae digits": ("healthy", "vae", "digits", {"samples": 100_000}, nothing),
    "gan digits": ("healthy", "gan", "digits", {"samples": 100_000}, nothing),
    "vae": ("healthy", "vae", MNIST, {"samples": 60_000}, nothing),
    "gan": ("healthy", "gan", MNIST, {"samples": 60_000}, nothing),
    "article-vae": ("healthy", "article-vae", MNIST, {"samples": 60_000}, nothing),
    "article-gan": ("healthy", "article-gan", MNIST, {"samples": 60_000}, nothing),
}


def run(name: str, seed: int) -> dict[str, Any]:
    """Train one case unless it is there; what is said of it, when first, and the share of time of cheap measures."""
    expected, model, data, settings, own = CASES[name]
    place = RUNS / f"verdicts/{name.replace(' ', '-')}-{seed}"
    costs = place / "signs_seconds.json"
    if not costs.exists():
        spent = [0.0]

        def timed(self: Signs, *arguments: Any) -> dict[str, float]:
            begun = time.perf_counter()
            measured = MEASURE(self, *arguments)
            spent[0] += time.perf_counter() - begun
            return measured

        Signs.of = timed  # type: ignore[method-assign]
        torch.manual_seed(seed)
        shutil.rmtree(place, ignore_errors=True)
        assignments = [f"{key if '.' in key else f'train.{key}'}={value}" for key, value in settings.items()]
        common = ["train.reports=20", f"seed={seed}"]
        with contextlib.suppress(VerdictError):
            ficta.train(model, data, place, assignments=[*assignments, *common], network=own())
        costs.write_text(json.dumps(spent[0]))
    history = ficta.open_run(place).history
    for line in history:  # what is no number stands there as a word
        line["losses"] = {loss: float(value) for loss, value in line["losses"].items()}
    target = history[-1]["seen"]
    judged = [(judge(line, history[:number], target).name, line["seen"]) for number, line in enumerate(history)]
    bad = [(verdict, seen) for verdict, seen in judged if verdict not in ("healthy", "plateau")]
    last = history[-1]
    signs = ("spread_ratio", "coverage_ratio", "closer_to_training_ratio", "preference_chance", "overfit_ratio")
    return {
        "case": name,
        "seed": seed,
        "expected": expected,
        "named": bad[0][0] if bad else "healthy",
        "at": bad[0][1] if bad else None,
        "seconds": last["seconds"],
        "signs_share": json.loads(costs.read_text()) / max(last["seconds"], 1e-9),
        **{sign: last[sign] for sign in signs if sign in last},
    }


def main() -> None:
    """Every case and seed; figures after each."""
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        for name in CASES:
            rows.append(run(name, seed))
            bad = [row for row in rows if row["expected"] != "healthy"]
            healthy = [row for row in rows if row["expected"] == "healthy"]
            keep(
                "verdicts",
                {
                    "bad_runs": len(bad),
                    "named_rightly": sum(row["named"] == row["expected"] for row in bad),
                    "healthy_runs": len(healthy),
                    "false_alarms": sum(row["named"] != "healthy" for row in healthy),
                    "rows": rows,
                },
            )


if __name__ == "__main__":
    main()
