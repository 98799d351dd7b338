"""The tables of docs/choosing.md: families and presets of the VAE side on pictures and on a table, games on pictures.

    python benchmarks/choosing.py [digits | Adult | MNIST ...] [SEED ...]     (default: all of them, 0 1 2)

Each sees equally many samples of the training split, on one core, and is then judged by `ficta evaluate`; a VAE with
fitted priors, too. Adult and MNIST are taken from $FICTA_TEST_DATA, runs go to $FICTA_EVIDENCE_RUNS (default
runs/evidence); those that are there already are left alone. Figures go to benchmarks/results/choosing.json, beside
those of other data sets and seeds that are there.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evidence import DATA, RESULTS, keep, train, training_facts
from table_page import fill, spread

import ficta
from ficta.base.words import WITH_PRIOR

JUDGED = 10_000
PLAIN = ("--precision", "float32", "--set", "train.threads=1", "--set", "train.reports=10")


class Corpus(NamedTuple):
    """A data set, how many samples each model sees, the models, what they are judged by, and options of training.

    Measures are given with their headings.
    """

    data: str
    samples: int
    models: tuple[str, ...]
    measures: Mapping[str, str]
    options: tuple[str, ...] = ()


FAMILIES = ("vae", "ladder", "vqvae", "aae", "vaegan")
GAMES = ("gan", "dcgan", "lsgan", "wgan-gp", "sngan", "r3gan")
OF_PICTURES = {
    "frechet-distance(random-conv)": "Fréchet distance, random-conv",
    "frechet-distance(classifier)": "Fréchet distance, classifier",
    "precision(random-conv)": "precision",
    "recall(random-conv)": "recall",
    "coverage(random-conv)": "coverage",
}
CORPORA = {
    "digits": Corpus(
        "digits",
        100_000,
        (*FAMILIES, "beta-vae", "beta-tcvae", "iwae", "dreg", "vampprior", "wae-mmd"),
        OF_PICTURES,
    ),
    "Adult": Corpus(
        str(DATA / "adult.csv"),
        500_000,
        FAMILIES,
        {
            "frechet-distance(columns)": "Fréchet distance, columns",
            "coverage(columns)": "coverage",
            "column-shapes": "columns alike",
            "pair-trends": "pairs alike",
        },
    ),
    "MNIST": Corpus(str(DATA / "mnist"), 100_000, GAMES, OF_PICTURES, ("--size", "16")),
}
PRIORS = {"vae": ("mixture", "flow"), "aae": ("mixture",)}


def main(names: Sequence[str], seeds: Sequence[int]) -> None:
    """Train, judge, write down, one after the other."""
    path = RESULTS / "choosing.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    for seed in seeds:
        for name in names:
            corpus = CORPORA[name]
            for model in corpus.models:
                asked = ("--samples", str(corpus.samples), "--seed", str(seed), *corpus.options, *PLAIN)
                run = train(model, corpus.data, f"choosing/{name}-{model}-{seed}".lower(), *asked)
                found = judged(run, name, model, corpus)
                same = [(row["data"], row["model"], row["seed"]) for row in found]
                rows = [row for row in rows if (row["data"], row["model"], row["seed"]) not in same] + found
                keep("choosing", {"judged": JUDGED, "rows": rows})
    for name in names:
        fill("choosing.md", name, table([row for row in rows if row["data"] == name], CORPORA[name]), "choosing")


def judged(run: ficta.Run, data: str, model: str, corpus: Corpus) -> list[dict[str, Any]]:
    """A row of a model, and one of each prior that is fitted to it."""
    priors = PRIORS.get(model, ())
    found = {row["name"]: row for row in run.evaluate(n=JUDGED, priors=list(priors))}
    rows = []
    for prior in ("", *priors):
        end, name = (f"{WITH_PRIOR}{prior}", f"{model} --prior {prior}") if prior else ("", model)
        values = {measure: found[measure + end]["value"] for measure in corpus.measures if measure + end in found}
        real = {measure: found[measure]["real"]["value"] for measure in corpus.measures}
        rows.append({"data": data, "model": name, "results": values, "real": real, **training_facts(run)})
    return rows


def table(rows: Sequence[Mapping[str, Any]], corpus: Corpus) -> str:
    """Means over seeds, lowest and highest in brackets; what real items reach below."""
    heads = ["model", *corpus.measures.values(), "minutes of training"]
    lines = [heads, ["---"] * len(heads)]
    for model in dict.fromkeys(row["model"] for row in rows):
        of = [row for row in rows if row["model"] == model]
        cells = [spread([row["results"].get(measure) for row in of]) for measure in corpus.measures]
        lines.append([f"`{model}`", *cells, f"{statistics.fmean(row['seconds'] for row in of) / 60:.1f}"])
    lines.append(["real items", *(spread([rows[0]["real"][measure]]) for measure in corpus.measures), ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = [word for word in words if word in CORPORA]
    main(chosen or list(CORPORA), [int(word) for word in words if word not in CORPORA] or [0, 1, 2])
