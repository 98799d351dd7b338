"""Whether the intervals of an evaluation cover what they estimate: 400 simulated evaluations.

    python benchmarks/intervals.py

A large pool of samples of the default VAE and the real digits of MNIST ($FICTA_TEST_DATA) stand for the two
distributions. Each simulation draws disjoint parts from both, takes every measure over them and asks whether its
interval holds the expected estimate at that size, for which the mean of all simulations stands. Means over items are
drawn from the pool's per-item values and must hold the pool's mean; of the share of samples nearest to held-out items,
the real items that are held out are drawn anew, too. Figures go to benchmarks/results/intervals.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from evidence import DATA, keep, train

from ficta.api import recipe_for
from ficta.base.progress import silent
from ficta.data.ingest import ingest
from ficta.evaluate.bank import look
from ficta.evaluate.compared import MEASURES, Given, Seen
from ficta.evaluate.ground import EvaluateSettings, lay_ground
from ficta.metrics.copying import closer_share, heldout_share
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats
from ficta.metrics.neighbours import authentic, nearest

SIMULATIONS, PARTS, N, K = 400, 5, 256, 5
ITEMS = 1000  # in a mean over items
POOL = 40_000
MEANS_OVER = 10_000  # of the pool, whose nearest training items are looked up
FULL = ("two-sample-accuracy", "vendi-score", "classifier-score", "frechet-distance-infinite")


def main() -> None:
    """Simulate and count."""
    run = train("vae", DATA / "mnist", "intervals/vae", "--samples", "100000", "--set", "model.head=gaussian").stored
    dataset = ingest(recipe_for("vae", DATA / "mnist", {}).data)
    ground = lay_ground(run, dataset, EvaluateSettings(n=POOL), silent)
    samples, real = look(ground.samples, ground.count, ground, 1), look(ground.train, POOL, ground, 1)
    draws = np.random.default_rng(0)
    found: dict[str, list[Estimate]] = {}
    given = Given(K, 0, ground.label_shares, np.zeros(0, bool))
    for _ in range(SIMULATIONS):
        rows = [draws.choice(POOL, PARTS * N, replace=False).reshape(PARTS, N) for _ in range(2)]
        for measure in MEASURES:
            if measure.looks_at == "items" or (measure.full and measure.outputs[0].name not in FULL):
                continue
            for space in ("random-conv", "classifier") if measure.looks_at == "features" else ("classifier",):
                sides = [
                    [Seen(bank.features[space][part], bank.probabilities[part], bank.items[:0]) for part in parts]
                    for bank, parts in zip((samples, real), rows, strict=True)
                ]
                values = zip(*(measure.of(*pair, given) for pair in zip(*sides, strict=True)), strict=True)
                for output, estimates in zip(measure.outputs, values, strict=True):
                    estimate = repeats(estimates).within(output.least, output.most)
                    found.setdefault(f"{output.name}({space})", []).append(estimate)
    rows_found = {
        name: covered(name, rows, float(np.mean([one.value for one in rows]))) for name, rows in found.items()
    }
    for name, values_of_items in per_item(samples.features["random-conv"], real.features["random-conv"]):
        drawn = [draws.choice(values_of_items, ITEMS, replace=False) for _ in range(SIMULATIONS)]
        estimates_of = [bootstrap_mean(values_drawn, seed) for seed, values_drawn in enumerate(drawn)]
        rows_found[name] = covered(name, estimates_of, float(values_of_items.mean()))
    for name, shares in heldout_shares(samples.features["random-conv"], real.features["random-conv"], draws):
        rows_found[name] = covered(name, shares, float(np.mean([one.value for one in shares])))
    settings = {"simulations": SIMULATIONS, "parts": PARTS, "n": N, "k": K, "items": ITEMS}
    keep("intervals", {**settings, "covered": rows_found})


def per_item(samples: np.ndarray, train_items: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Values of each item, for the measures that are means over items; half of the real ones count as held out."""
    half = POOL // 2
    learnt, heldout = train_items[:half].astype(np.float64), train_items[half : half + MEANS_OVER]
    near = nearest(samples[:MEANS_OVER], learnt)
    yield "closer-to-training", closer_share(near.distance, nearest(heldout, learnt).distance)
    yield "authenticity", authentic(samples[:MEANS_OVER], learnt, near).astype(np.float64)


def heldout_shares(
    samples: np.ndarray, items: np.ndarray, draws: np.random.Generator
) -> Iterator[tuple[str, list[Estimate]]]:
    """Share of samples nearest to held-out items, half of the real ones, drawn anew each time; also with copies."""
    half = POOL // 2
    which = nearest(samples[:MEANS_OVER], items.astype(np.float64)).which
    for name, copied in (("held-out-share", 0.0), ("held-out-share, a third copied", 1 / 3)):
        found = []
        for seed in range(SIMULATIONS):
            drawn = draws.permutation(POOL)[draws.choice(which, ITEMS, replace=False)]
            copies = draws.integers(half, size=ITEMS)
            drawn = np.where(draws.random(ITEMS) < copied, copies, drawn)
            found.append(heldout_share(drawn, half, POOL - half, seed))
        yield name, found


def covered(name: str, estimates: list[Estimate], target: float) -> dict[str, Any]:
    """Share of the intervals that hold the target."""
    hits = [one.low <= target <= one.high for one in estimates if one.low is not None and one.high is not None]
    assert len(hits) == SIMULATIONS, name
    return {"target": target, "covered": float(np.mean(hits))}


if __name__ == "__main__":
    main()
