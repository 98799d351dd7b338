"""What the VAE's variants do, each against what its paper says: figures in benchmarks/results/vaes-*.json.

    python benchmarks/vaes.py nll | weighted [seed ...]

Data and runs lie where benchmarks/evidence.py has them. Runs that are there already are continued, or left alone when
finished. One core each: several jobs can stand beside each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from evidence import DATA, keep, train, training_facts

import ficta
from ficta.base.progress import silent
from ficta.data.ingest import ingest
from ficta.evaluate.likelihood import importance_weighted
from ficta.evaluate.sources import SplitSource
from ficta.metrics.intervals import Estimate, bootstrap_mean
from ficta.train.recipe import Recipe

# Burda et al. 2016, arXiv:1509.00519, Table 1 and Sec. 5: 784-200-200-50, dynamic binarisation
BURDA = [
    *("data.image.binarise=dynamic", "model.latent_dim=50", "model.optimiser.rate=3e-3"),
    *("model.encoder.kind=mlp", "model.encoder.mlp.hidden=[200,200]", "model.encoder.mlp.activation=silu"),
    *("model.decoder.kind=mlp", "model.decoder.mlp.hidden=[200,200]", "model.decoder.mlp.activation=silu"),
    *("train.batch=100", "train.decay=cosine", "train.threads=1", "train.precision=float32", "train.reports=20"),
]
LONG, SHORT = 50_000_000, 3_000_000  # samples seen
K, ITEMS = 5000, 1000


def trained(name: str, samples: int, seed: int, *changes: str) -> ficta.Run:
    """Burda's networks with these settings changed."""
    settings = [part for setting in (*BURDA, *changes) for part in ("--set", setting)]
    asked = ("--samples", str(samples), "--seed", str(seed), *settings)
    return train("vae", DATA / "mnist", f"vaes/{name}-{seed}", *asked)


def nll(run: ficta.Run, k: int = K, items: int = ITEMS) -> np.ndarray:
    """Importance-weighted bound in nats of the same test items for every run, each binarised alike: (items,)."""
    dataset = ingest(Recipe.of(run.recipe).data, silent)
    test = SplitSource("held-out items", dataset.splits["test"], str(dataset.report["content_hash"]), 0)
    return importance_weighted(run.stored, test, items, k, 0, silent)


def figures(run: ficta.Run, costs: np.ndarray) -> dict[str, Any]:
    """Mean cost with its interval, and how the run was trained."""
    found = bootstrap_mean(costs, 0)
    heldout = run.heldout("test")
    return {
        "nll_nats": round(found.value, 3),
        **interval(found),
        "negative_elbo_nats": round(heldout["heldout_negative_elbo_nats"], 3),
        "kl_nats": round(heldout["heldout_kl_nats"], 3),
        **training_facts(run),
    }


def interval(found: Estimate) -> dict[str, float]:
    """Ends of the interval of a mean over many items, which is always known."""
    assert found.low is not None
    assert found.high is not None
    return {"low": round(found.low, 3), "high": round(found.high, 3)}


def paired(costs: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Mean difference of the costs of the same items, with its interval."""
    found = bootstrap_mean(costs - others, 0)
    return {"difference_nats": round(found.value, 3), **interval(found)}


def long(seeds: Sequence[int]) -> None:
    """The plain VAE, for about an hour."""
    rows = []
    for seed in seeds:
        run = trained("long", LONG, seed, "model.optimiser.rate=1e-3")
        rows.append({"model": "vae", **figures(run, nll(run))})
        keep("vaes-nll", {"k": K, "items": ITEMS, "rows": rows})


def weighted(seeds: Sequence[int]) -> None:
    """IWAE and DReG with five draws against the plain VAE, equally many samples seen, the same test items."""
    variants = {
        "vae": (),
        "iwae": ("model.bound=iwae", "model.draws=5"),
        "dreg": ("model.bound=dreg", "model.draws=5"),
    }
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        costs = {}
        for name, changes in variants.items():
            run = trained(name, SHORT, seed, *changes)
            costs[name] = nll(run)
            rows.append({"model": name, **figures(run, costs[name])})
        for name, other in (("iwae", "vae"), ("dreg", "iwae")):
            rows.append({"pair": f"{name} - {other}", "seed": seed, **paired(costs[name], costs[other])})
        keep("vaes-weighted", {"k": K, "items": ITEMS, "draws": 5, "rows": rows})


JOBS = {"nll": (long, [0]), "weighted": (weighted, [0, 1, 2])}


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        raise SystemExit(__doc__)
    job, seeds = JOBS[sys.argv[1]]
    job([int(seed) for seed in sys.argv[2:]] or seeds)
