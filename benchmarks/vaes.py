"""What the VAE's variants do, each against what its paper says: figures in benchmarks/results/vaes-*.json.

    python benchmarks/vaes.py nll | weighted | priors | layers | codes | labels [seed ...]

Data and runs lie where benchmarks/evidence.py has them. Runs that are there already are continued, or left alone when
finished. One core each: several jobs can stand beside each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from evidence import DATA, judged, keep, told, train, training_facts

import ficta
from ficta.base.progress import silent
from ficta.compute.noise import Noise
from ficta.data.ingest import ingest
from ficta.evaluate.likelihood import importance_weighted
from ficta.evaluate.sources import SplitSource
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats
from ficta.metrics.latents import costly_units
from ficta.models.family import Batch, Layered
from ficta.runs.run import TRAINED
from ficta.train.recipe import Recipe

# Burda et al. 2016, arXiv:1509.00519, Table 1 and Sec. 5: 784-200-200-50, dynamic binarisation
BURDA = [
    *("data.image.binarise=dynamic", "model.optimiser.rate=3e-3"),
    *("model.encoder.kind=mlp", "model.encoder.mlp.hidden=[200,200]", "model.encoder.mlp.activation=silu"),
    *("model.decoder.kind=mlp", "model.decoder.mlp.hidden=[200,200]", "model.decoder.mlp.activation=silu"),
    *("train.batch=100", "train.decay=cosine", "train.threads=1", "train.precision=float32", "train.reports=20"),
]
# Sønderby et al. 2016, arXiv:1602.02282, Sec. 3: five layers, of 64 to 4 latents, and a weight that rises
LAYERS = (64, 32, 16, 8, 4)
LADDER = [f"model.latent_dims={[*LAYERS]}", "model.features=200", "model.between.hidden=[200]"]
STACK = [f"model.latent_dim={LAYERS[0]}", "model.prior.kind=stack", f"model.prior.above={[*LAYERS[1:]]}"]
STACK += ["model.prior.network.hidden=[200]", "model.prior.network.activation=silu"]
RISE = "model.beta_samples=200_000"
LAYERED = {"ladder": ("ladder", [*LADDER, RISE]), "stack": ("vae", [*STACK, RISE]), "stack-at-once": ("vae", STACK)}
PLAIN = ["train.threads=1", "train.precision=float32", "train.reports=10"]

LONG, SHORT, BRIEF = 50_000_000, 3_000_000, 1_000_000  # samples seen with Burda's networks
PICTURES, ASKED = 150_000, 300_000  # samples seen by the defaults, without and with labels
K, ITEMS = 5000, 1000
JUDGED = 10_000  # samples
SPACES = ("random-conv", "classifier")
MEASURES = tuple(f"{name}({space})" for space in SPACES for name in ("frechet-distance", "recall", "coverage"))
FITTED = ("mixture", "flow")


def trained(name: str, samples: int, seed: int, *changes: str) -> ficta.Run:
    """Burda's networks and latents with these settings changed."""
    return fitted("vae", name, samples, seed, *BURDA, "model.latent_dim=50", *changes)


def fitted(family: str, name: str, samples: int, seed: int, *settings: str, options: Sequence[str] = ()) -> ficta.Run:
    """A run on MNIST with these settings."""
    asked = ("--samples", str(samples), "--seed", str(seed), *options, *told(settings))
    return train(family, DATA / "mnist", f"vaes/{name}-{seed}", *asked)


def nll(run: ficta.Run, prior: str = TRAINED) -> np.ndarray:
    """Importance-weighted bound in nats of the same test items for every run, each binarised alike: (ITEMS,)."""
    stored = run.stored if prior == TRAINED else run.stored.with_prior(prior)
    return importance_weighted(stored, test_items(run), ITEMS, K, 0, silent)


def test_items(run: ficta.Run) -> SplitSource:
    """The run's test split."""
    dataset = ingest(Recipe.of(run.recipe).data, silent)
    return SplitSource("held-out items", dataset.splits["test"], str(dataset.report["content_hash"]), 0)


def likelihood(costs: np.ndarray) -> dict[str, float]:
    """Mean cost with its interval."""
    found = bootstrap_mean(costs, 0)
    return {"nll_nats": round(found.value, 3), **interval(found)}


def figures(run: ficta.Run, costs: np.ndarray) -> dict[str, Any]:
    """Mean cost with its interval, and how the run was trained."""
    heldout = run.heldout("test")
    return {
        **likelihood(costs),
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


def priors(seeds: Sequence[int]) -> None:
    """A VampPrior, and what is fitted afterwards to the latents of the plain VAE, against the normal prior."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        plain = trained("normal", BRIEF, seed)
        vamp = trained("vamp", BRIEF, seed, "model.prior.kind=vamp")
        measured = judged(plain, MEASURES, JUDGED, FITTED)  # which fits them
        measured = {"normal": measured.pop(TRAINED), **measured, "vamp": judged(vamp, MEASURES, JUDGED)[TRAINED]}
        costs = {"normal": nll(plain), **{prior: nll(plain, prior) for prior in FITTED}, "vamp": nll(vamp)}
        for name, found in measured.items():
            run = vamp if name == "vamp" else plain
            facts = {"prior": name, **likelihood(costs[name]), **found, **training_facts(run)}
            gain = {} if name == "normal" else {"less_than_normal": paired(costs[name], costs["normal"])}
            rows.append({**facts, **gain})
        keep("vaes-priors", {"k": K, "items": ITEMS, "judged": JUDGED, "pairs": gains(rows), "rows": rows})


def gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Differences to the normal prior with the same seed, with Student's intervals over seeds where there are more."""
    found = []
    for prior in ("mixture", "flow", "vamp"):
        for name in ("nll_nats", *MEASURES):
            of = {(row["prior"], row["seed"]): row[name] for row in rows}
            values = np.array([of[prior, seed] - of["normal", seed] for kind, seed in of if kind == prior])
            if len(values) > 1:
                pair = {"pair": f"{prior} - normal", "measure": name, "differences": values.round(4).tolist()}
                found.append({**pair, **repeats(values)._asdict()})
    return found


def layers(seeds: Sequence[int]) -> None:
    """Which layers of latents are in use: of a ladder, and of as many layers inferred from the bottom up."""
    rows = []
    for seed in seeds:
        for name, (family, changes) in LAYERED.items():
            run = fitted(family, f"layers-{name}", BRIEF, seed, *BURDA, "model.optimiser.rate=1e-3", *changes)
            rows.append({"model": name, **active(run), **figures(run, nll(run))})
            keep("vaes-layers", {"k": K, "items": ITEMS, "latents": LAYERS, "rows": rows})


def active(run: ficta.Run) -> dict[str, list[float]]:
    """Latents of each layer, lowest first, that say anything of the test items, and what each layer costs."""
    family, test = run.stored.family, test_items(run)
    assert isinstance(family, Layered)
    noise = Noise.whole(0, "cpu", len(test))
    data = run.stored.codec.encode(torch.from_numpy(test.read(0, len(test))), noise.fork("data"))
    with run.stored.inference():
        found = family.layer_nats(Batch(data, None, torch.zeros((), dtype=torch.int64), noise))
    nats = [each.numpy() for each in found]
    return {
        "active": [costly_units(each) for each in nats],
        "nats": [round(float(each.sum(1).mean()), 2) for each in nats],
    }


def codes(seeds: Sequence[int]) -> None:
    """Codes in use of a VQ-VAE, and its samples beside a VAE's of equally many samples seen."""
    rows = []
    for seed in seeds:
        for family in ("vae", "vqvae"):
            run = fitted(family, f"codes-{family}", PICTURES, seed, *PLAIN)
            facts = {"model": family, **judged(run, MEASURES, JUDGED)[TRAINED], **training_facts(run)}
            used = run.history[-1]["losses"].get("perplexity")
            of = {} if used is None else {"perplexity": round(used, 1), "codes": run.recipe["model"]["codes"]}
            rows.append({**facts, **of})
            keep("vaes-codes", {"judged": JUDGED, "rows": rows})


def labels(seeds: Sequence[int]) -> None:
    """How many samples of conditional defaults read as they were asked to."""
    obeyed = "condition-obeyed(classifier)"
    rows = []
    for seed in seeds:
        run = fitted("vae", "labels-vae", ASKED, seed, *PLAIN, options=("--conditional",))
        rows.append({"model": "vae", **judged(run, (obeyed, *MEASURES), JUDGED)[TRAINED], **training_facts(run)})
        keep("vaes-labels", {"judged": JUDGED, "rows": rows})


JOBS = {
    "nll": (long, [0]),
    "weighted": (weighted, [0, 1, 2]),
    "priors": (priors, [0, 1, 2]),
    "layers": (layers, [0, 1, 2]),
    "codes": (codes, [0, 1, 2]),
    "labels": (labels, [0, 1, 2]),
}


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        raise SystemExit(__doc__)
    job, seeds = JOBS[sys.argv[1]]
    job([int(seed) for seed in sys.argv[2:]] or seeds)
