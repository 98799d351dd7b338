"""Modes of Stacked-MNIST: of 1,000 triples of digits, how many a model makes, and how evenly.

    python benchmarks/stacked.py [--samples 200000] [--seeds 1]

As in PacGAN (Lin et al. 2018, arXiv:1712.04086, Sec. 4.2): a picture is three random training digits of MNIST
($FICTA_TEST_DATA) in red, green and blue; 26,000 generated ones are read channel by channel by a classifier of single
digits. Figures go to benchmarks/results/stacked.json, a sheet to docs/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from evidence import DATA, RUNS, keep, picture, train, training_facts

from ficta.api import recipe_for
from ficta.base.progress import silent
from ficta.data.ingest import ingest
from ficta.evaluate.classifier import Reader, reader
from ficta.metrics.variety import label_divergence_nats, modes_found

DIGITS, CHANNELS = 10, 3
MADE = 26_000
STACKED = 60_000  # pictures that are trained on


def stack(digits: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Pictures uint8 (n, 1, H, W) to random triples of them, uint8 (count, 3, H, W)."""
    chosen = np.random.default_rng(seed).integers(len(digits), size=(count, CHANNELS))
    return np.stack([digits[chosen[:, channel], 0] for channel in range(CHANNELS)], axis=1)


def modes(pictures: np.ndarray, reads: Reader) -> np.ndarray:
    """Which of the 1,000 triples each picture shows, as the classifier reads its channels: int64 (n,)."""
    channels = [reads.probabilities(reads.features(pictures[:, [channel]])).argmax(1) for channel in range(CHANNELS)]
    return sum(labels * DIGITS**place for place, labels in enumerate(channels))


def main() -> None:
    """Train the GAN of the defaults, seed by seed; count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    dataset = ingest(recipe_for("vae", DATA / "mnist", {}).data)
    reads = reader(dataset, dataset.splits["test"], 0, silent)
    digits, unseen = (dataset.splits[name].read(0, len(dataset.splits[name])) for name in ("train", "test"))
    RUNS.mkdir(parents=True, exist_ok=True)
    place = Path(RUNS) / "stacked-mnist.npz"
    if not place.exists():
        np.savez(place, images=stack(digits, STACKED, 0).transpose(0, 2, 3, 1))
    even = np.full(DIGITS**CHANNELS, DIGITS**-CHANNELS)
    real = modes(stack(unseen, MADE, 1), reads)
    rows: list[dict[str, Any]] = []
    for seed in range(asked.seeds):
        run = train("gan", place, f"stacked-{seed}", "--samples", str(asked.samples), "--seed", str(seed))
        made = np.concatenate([modes(chunk, reads) for chunk in run.samples(MADE)])
        rows.append(
            {**training_facts(run), "modes": modes_found(made), "divergence_nats": label_divergence_nats(made, even)}
        )
        keep(
            "stacked",
            {
                "samples": MADE,
                "classifier_accuracy": reads.accuracy,
                "real": {"modes": modes_found(real), "divergence_nats": label_divergence_nats(real, even)},
                "rows": rows,
            },
        )
        picture(run, "gan-stacked-mnist")


if __name__ == "__main__":
    main()
