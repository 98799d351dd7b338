"""How the defaults of `vae` and `gan` were chosen: variants on MNIST, judged by a small classifier's features.

    python benchmarks/defaults.py

The judge: a small convolutional classifier is trained on the training digits; the Fréchet distance is between its 64
features of 4,000 samples and of the 10,000 test digits. One seed and one data set: good for choosing between variants
that lie far apart, no more. Figures go to benchmarks/results/defaults.json.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from evidence import DATA, keep, train, training_facts
from scipy.linalg import sqrtm
from torch import Tensor, nn

import ficta
from ficta.api import recipe_for
from ficta.data.ingest import ingest

RATE = "--set model.generator_optimiser.rate={0} --set model.discriminator_optimiser.rate={0}"
NORM = "--set model.generator.conv.norm=group"
VARIANTS = {
    "vae-default": "",
    "vae-gaussian-learned": "--set model.head=gaussian",
    "vae-gaussian-0.25": "--set model.head=gaussian --set model.variance=0.25",
    "vae-discretised-logistic": "--set model.head=discretised-logistic",
    "vae-latent-32": "--set model.latent_dim=32",
    "vae-latent-10": "--set model.latent_dim=10",
    "gan-default": "",
    "gan-rate-5e-4": RATE.format("5e-4"),
    "gan-linear-rate-5e-4": f"--set model.output=linear {RATE.format('5e-4')}",
    "gan-linear-gamma-10-rate-5e-4": f"--set model.output=linear --set model.r1_gamma=10 {RATE.format('5e-4')}",
    "gan-norm-rate-5e-4": f"{NORM} {RATE.format('5e-4')}",
    "gan-norm": NORM,
}


class Judge(nn.Module):
    """A small classifier; its last hidden layer is the feature space."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(3136, 64), nn.ReLU(),
        )  # fmt: skip
        self.classes = nn.Linear(64, 10)

    def learn(self, x: Tensor, y: Tensor) -> None:
        """Four passes of Adam over (N, 1, 28, 28) in [-1, 1] and labels int64 (N,)."""
        optimiser = torch.optim.Adam(self.parameters(), 2e-3)
        for _ in range(4):
            for batch in torch.randperm(len(x)).split(256):
                optimiser.zero_grad()
                F.cross_entropy(self.classes(self.features(x[batch])), y[batch]).backward()
                optimiser.step()


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to features (n, 64) and (m, 64)."""
    shift = a.mean(0) - b.mean(0)
    one, two = np.cov(a.T), np.cov(b.T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some features are always 0
        return float(shift @ shift + np.trace(one + two - 2 * sqrtm(one @ two).real))


def main() -> None:
    """Train the judge, then every variant."""
    torch.manual_seed(0)
    dataset = ingest(recipe_for("vae", str(DATA / "mnist"), {}).data)

    def load(name: str) -> tuple[Tensor, Tensor]:
        split = dataset.splits[name]
        labels = split.read_labels(0, len(split))
        assert labels is not None
        return dataset.codec.encode(torch.from_numpy(split.read(0, len(split)))), torch.from_numpy(labels)

    judge = Judge()
    judge.learn(*load("train"))
    x, y = load("test")
    with torch.no_grad():
        reference = judge.features(x)
        accuracy = float((judge.classes(reference).argmax(1) == y).float().mean())
    rows: list[dict[str, Any]] = []
    for name, options in VARIANTS.items():
        common = ("--samples", "100000", "--precision", "bf16", "--set", "train.reports=4", "--set", "train.threads=1")
        run = train(name.split("-")[0], DATA / "mnist", f"defaults/{name}", *common, *options.split())
        rows.append({"variant": name, "options": options, "frechet": distance(run, judge, reference.numpy())})
        rows[-1] |= training_facts(run)
        keep("defaults", {"judge_accuracy": accuracy, "rows": rows})


@torch.no_grad()
def distance(run: ficta.Run, judge: Judge, reference: np.ndarray) -> float:
    """Fréchet distance of 4,000 samples of a run to the test digits."""
    samples = run.stored.codec.encode(torch.from_numpy(run.sample(4000, seed=9)))
    return frechet(judge.features(samples).numpy(), reference)


if __name__ == "__main__":
    sys.exit(main())
