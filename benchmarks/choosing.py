"""The tables of docs/choosing.md: the families and presets on the VAE side, on pictures and on a table.

    python benchmarks/choosing.py [SEED ...]     (default: 0 1 2)

Each sees equally many samples of the training split, on one core, and is then judged by `ficta evaluate`; a VAE with
fitted priors, too. Adult is taken from $FICTA_TEST_DATA, runs go to $FICTA_EVIDENCE_RUNS (default runs/evidence); those
that are there already are left alone. Figures go to benchmarks/results/choosing.json.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evidence import DATA, keep, train, training_facts
from table_page import fill, spread

import ficta
from ficta.base.words import WITH_PRIOR

JUDGED = 10_000
PLAIN = ("--precision", "float32", "--set", "train.threads=1", "--set", "train.reports=10")


class Corpus(NamedTuple):
    """A data set, how many samples each model sees, the models, and what they are judged by: measures and headings."""

    data: str
    samples: int
    models: tuple[str, ...]
    measures: Mapping[str, str]


FAMILIES = ("vae", "ladder", "vqvae", "aae", "vaegan")
CORPORA = {
    "digits": Corpus(
        "digits",
        100_000,
        (*FAMILIES, "beta-vae", "beta-tcvae", "iwae", "dreg", "vampprior", "wae-mmd"),
        {
            "frechet-distance(random-conv)": "Fréchet distance, random-conv",
            "frechet-distance(classifier)": "Fréchet distance, classifier",
            "precision(random-conv)": "precision",
            "recall(random-conv)": "recall",
            "coverage(random-conv)": "coverage",
        },
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
}
PRIORS = {"vae": ("mixture", "flow"), "aae": ("mixture",)}


def main(seeds: Sequence[int]) -> None:
    """Train, judge, write down, one after the other."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for name, corpus in CORPORA.items():
            for model in corpus.models:
                asked = ("--samples", str(corpus.samples), "--seed", str(seed), *PLAIN)
                run = train(model, corpus.data, f"choosing/{name}-{model}-{seed}".lower(), *asked)
                rows += judged(run, name, model, corpus)
                keep("choosing", {"judged": JUDGED, "rows": rows})
    for name, corpus in CORPORA.items():
        fill("choosing.md", name, table([row for row in rows if row["data"] == name], corpus), "choosing")


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
    main([int(word) for word in sys.argv[1:]] or [0, 1, 2])
