"""What GANs do, each against what its paper says: figures in benchmarks/results/gans-*.json.

    python benchmarks/gans.py codes | labels | deep | few | styles | equal | reject [seed ...]

Data and runs lie where benchmarks/evidence.py has them. Runs that are there already are continued, or left alone when
finished. One core each: several jobs can stand beside each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from evidence import DATA, IMAGES, RUNS, judged, keep, picture, told, train, training_facts

import ficta
from ficta import api
from ficta.draw.plots import curves
from ficta.metrics.intervals import repeats
from ficta.runs.run import TRAINED

PLAIN = ("train.threads=1", "train.precision=float32", "train.reports=20")
CODES, LABELS, DEEP, FEW = 400_000, 300_000, 100_000, 400_000  # samples seen
STYLES, REJECT = 100_000, 200_000
MINUTES = 15  # of training, where time is to be equal
NEARLY = 0.97  # of the longest run's seconds is as long
SIDE = 16  # pixels of pictures that are made small, so that a core sees many
SMALL = f"data.image.size={SIDE}"
PICTURES = 500  # that are trained on, where they are few
JUDGED = 10_000
SPACES = ("random-conv", "classifier")
MEASURES = tuple(f"{name}({space})" for space in SPACES for name in ("frechet-distance", "recall", "coverage"))
OVERLAP = tuple(f"{name}({space})" for space in SPACES for name in ("frechet-distance", "precision", "recall"))
TRUNCATIONS = (1.0, 0.7, 0.5, 0.3)
CODE, OBEYED = "code-accuracy(code 1)", "condition-obeyed(classifier)"
# deep networks without normalisation, of which every layer passes on what it is given a little worse
SIDES = ("generator", "discriminator")
DEPTH = [f"model.{side}.{setting}" for side in SIDES for setting in ("kind=mlp", f"mlp.hidden={[256] * 12}")]
# with the preset's weights of 1 and rates of 2e-4, or with a generator as fast as the discriminator, it swings for long
SLOW = ("generator_optimiser.rate=1e-4", "discriminator_optimiser.rate=5e-4", "r1_gamma=100", "r2_gamma=100")
GAMES = {
    "minimax": ("gan", ["model.loss=minimax", "model.r1_gamma=0"]),
    "wgan-gp": ("wgan-gp", []),
    "r3gan": ("r3gan", [f"model.{setting}" for setting in SLOW]),
}
EQUAL = ("dcgan", "stylegan2-small")
READ: dict[str, Sequence[str]] = {"codes": (), "codes-plain": ("model.warp=0",)}
# R1 of a hundredth, as Karras et al. 2020 (arXiv:2006.06676) have it for CIFAR-10, leaves the discriminator free to
# overfit; the default of 1 stands beside
WEAK = "model.r1_gamma=0.01"
AUGMENTED: dict[str, Sequence[str]] = {
    **{kind: (WEAK, f"model.augment.kind={kind}", "model.augment.samples=50_000") for kind in ("none", "diff", "ada")},
    "strong-r1": (),
}


def fitted(model: str, data: str, name: str, seed: int, *settings: str) -> ficta.Run:
    """A run with these settings, of which one says for how long."""
    return train(model, DATA / data, f"gans/{name}-{seed}", "--seed", str(seed), *told((*PLAIN, *settings)))


def samples(count: int) -> str:
    """Until so many are seen."""
    return f"train.samples={count}"


def codes(seeds: Sequence[int]) -> None:
    """How many test digits the ten-way code of an InfoGAN tells apart, which never saw a label; read warped or not."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for name, settings in READ.items():
            run = fitted("infogan", "mnist", name, seed, samples(CODES), *settings)
            found = {"read": name, **judged(run, (CODE, *MEASURES), JUDGED)[TRAINED], **training_facts(run)}
            rows.append(found)
            of = [row[CODE] for row in rows if row["read"] == name]
            keep("gans-codes", {"rows": rows})
            if name == "codes" and found[CODE] == max(of):
                picture(run, "infogan-codes", "explore/codes.png")


def labels(seeds: Sequence[int]) -> None:
    """How many samples read as they were asked to."""
    rows = []
    for seed in seeds:
        run = fitted("gan", "mnist", "labels", seed, samples(LABELS), "data.conditional=true")
        rows.append({"model": "gan", **judged(run, (OBEYED, *MEASURES), JUDGED)[TRAINED], **training_facts(run)})
        keep("gans-labels", {"judged": JUDGED, "rows": rows})


def deep(seeds: Sequence[int]) -> None:
    """Games of deep networks without normalisation: how far from held-out digits the samples are, report by report."""
    rows, lines = [], {}
    for seed in seeds:
        for name, (model, settings) in GAMES.items():
            run = fitted(model, "mnist", f"deep-{name}", seed, samples(DEEP), *settings, *DEPTH)
            line = [(report["seen"], report.get("kernel_distance")) for report in run.history]
            lines[f"{name}, seed {seed}"] = tuple(zip(*line, strict=True))
            rows.append({"model": name, **judged(run, MEASURES, JUDGED)[TRAINED], **training_facts(run), "line": line})
            keep("gans-deep", {"judged": JUDGED, "rows": rows})
            if seed == seeds[0]:
                picture(run, f"deep-{name}")
    curves(lines, "samples seen", "kernel distance").save(IMAGES / "gans-deep.png")


def few(seeds: Sequence[int]) -> None:
    """Few pictures, with and without augmentation of what the discriminator sees."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for name, settings in AUGMENTED.items():
            asked = (samples(FEW), f"data.limit={PICTURES}", SMALL, *settings)
            run = fitted("gan", "cifar10-20k.zip", f"few-{name}", seed, *asked)
            facts = {"augment": name, **judged(run, MEASURES, JUDGED)[TRAINED], **training_facts(run)}
            line = [(report["seen"], report.get("overfit_ratio")) for report in run.history]
            rows.append({**facts, "overfit_ratio": line[-1][1], "line": line})
            pairs = gains(rows, "augment", "none", MEASURES)
            keep("gans-few", {"judged": JUDGED, "pictures": PICTURES, "pairs": pairs, "rows": rows})


def gains(rows: Sequence[dict[str, Any]], what: str, base: str, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Differences to rows of a base with the same seed; from two seeds on, with Student's intervals over them."""
    found = []
    of = {(row[what], row["seed"]): row for row in rows}
    for kind in dict.fromkeys(row[what] for row in rows if row[what] != base):
        for name in measures:
            values = np.array([row[name] - of[base, seed][name] for (one, seed), row in of.items() if one == kind])
            if len(values) > 1:
                pair = {"pair": f"{kind} - {base}", "measure": name, "differences": values.round(4).tolist()}
                found.append({**pair, **repeats(values)._asdict()})
    return found


def equal(seeds: Sequence[int]) -> None:
    """A StyleGAN2 and a DCGAN after equal time: whichever was done sooner than planned goes on."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:

        def trained(model: str, until: str, seed: int = seed) -> ficta.Run:
            return fitted(model, "cifar10-20k.zip", f"equal-{model}", seed, until, SMALL)

        runs = {model: trained(model, f"train.minutes={MINUTES}") for model in EQUAL}
        longest = max(run.history[-1]["seconds"] for run in runs.values())
        for model, run in runs.items():
            while (last := run.history[-1])["seconds"] < NEARLY * longest:
                run = trained(model, samples(round(last["seen"] * longest / last["seconds"])))
            rows.append({"model": model, **judged(run, OVERLAP, JUDGED)[TRAINED], **training_facts(run)})
            keep("gans-equal", {"judged": JUDGED, "pairs": gains(rows, "model", "dcgan", OVERLAP), "rows": rows})
            if seed == seeds[0]:
                picture(run, f"equal-{model}")


def styles(seeds: Sequence[int]) -> None:
    """What truncation does to precision and recall of a StyleGAN2, and its styles mixed."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        run = fitted("stylegan2-small", "mnist", "styles", seed, samples(STYLES), SMALL, "model.mixing=0.9")
        for truncation in TRUNCATIONS:
            of = overlap(run.sample(JUDGED, truncation=truncation), f"styles-{seed}-{truncation}")
            rows.append({"truncation": truncation, **of, **training_facts(run)})
            keep("gans-styles", {"judged": JUDGED, "rows": rows})
        if seed == seeds[0]:
            picture(run, "stylegan2-mixing", "explore/mixing.png")
            picture(run, "stylegan2-sheet")


def reject(seeds: Sequence[int]) -> None:
    """Samples of the default GAN, all of them and those that its discriminator keeps."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        run = fitted("gan", "mnist", "reject", seed, samples(REJECT), SMALL)
        keeps = run.acceptance()
        for kept, acceptance in ((1.0, None), (keeps.rate, keeps)):
            of = overlap(run.sample(JUDGED, acceptance=acceptance), f"reject-{seed}-{acceptance is not None}")
            rows.append({"samples": "kept" if acceptance else "all", "share": kept, **of, **training_facts(run)})
        keep("gans-reject", {"judged": JUDGED, "pairs": gains(rows, "samples", "all", OVERLAP), "rows": rows})


def overlap(made: np.ndarray, name: str) -> dict[str, float]:
    """Measures of samples at the small size beside test digits."""
    place = RUNS / "gans" / f"{name}.npz"
    np.savez(place, samples=made)
    told_of = api.evaluate(place, DATA / "mnist", n=JUDGED, data={"image": {"size": SIDE}})
    found = {each.name: each.estimate for each in told_of.results}
    return {measure: found[measure].value for measure in OVERLAP}


JOBS = {"codes": codes, "labels": labels, "deep": deep, "few": few, "equal": equal, "styles": styles, "reject": reject}


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        raise SystemExit(__doc__)
    JOBS[sys.argv[1]]([int(seed) for seed in sys.argv[2:]] or [0, 1, 2])
