"""The table of docs/results.md: families and presets on three data sets, peers and variants beside them.

    python benchmarks/table.py [SEED ...]     (default: 0 1 2)

Every model sees equally many samples of the training split, on one core; then 10,000 samples of it are judged by
`ficta evaluate` against the test split. The peers, a tutorial's Keras models and pythae's VAE, are trained on the same
split and judged in the same way, by a file of their samples. Variants of the defaults, by which these were chosen, are
trained with seed 0 and, where they came out better than the default by 5 %, with the other seeds. MNIST and CIFAR-10
are taken from $FICTA_TEST_DATA, runs go to $FICTA_EVIDENCE_RUNS (default runs/evidence), a job for each core at once;
what is measured already is not measured again. Figures go to benchmarks/results/table.json, tables to docs/results.md
and docs/defaults.md.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import table_page
from evidence import DATA, FICTA, IMAGES, RUNS, keep, train, training_facts
from yardstick import processes

import ficta
from ficta.api import recipe_for
from ficta.base.files import write_json
from ficta.data.ingest import ingest

JUDGED = 10_000
BATCH = 32  # of the peers, as in the tutorial
CHOSEN_BY = "frechet-distance(classifier)"
MARGIN = 0.05  # by which a variant must be better with the first seed to be tried with the others


class Corpus(NamedTuple):
    """A data set, how many samples each model sees of it, and its channels if a preset has others."""

    data: str
    samples: int
    channels: int | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Of the command line."""
        return ("--channels", str(self.channels)) if self.channels else ()


class Entry(NamedTuple):
    """A line of the table.

    Attributes:
        name: as it is called there.
        model: family or preset; of a peer, the preset whose networks it has.
        options: of ``ficta train``.
        peer: its script among the workers; empty for Ficta.
    """

    name: str
    model: str
    options: tuple[str, ...] = ()
    peer: str = ""


CORPORA = {
    "digits": Corpus("digits", 100_000),
    "MNIST": Corpus(str(DATA / "mnist"), 150_000),
    "CIFAR-10": Corpus(str(DATA / "cifar10-20k.zip"), 150_000, channels=3),  # the tutorial's presets are grey
}
PRESETS = [Entry(name, name) for name in ("vae", "gan", "article-vae", "article-gan", "article-gan-dense")]
PEERS = [
    Entry("article-vae in Keras", "article-vae", peer="keras_fit.py"),
    Entry("article-vae in pythae", "article-vae", peer="pythae_vae.py"),
    Entry("article-gan in Keras", "article-gan", peer="keras_fit.py"),
]


def changed(family: str, name: str, *assignments: str) -> Entry:
    """A variant of a family's default."""
    return Entry(f"{family}, {name}", family, tuple(word for text in assignments for word in ("--set", text)))


def both(setting: str) -> tuple[str, ...]:
    """A setting of the optimisers of both sides of a GAN."""
    return tuple(f"model.{side}_optimiser.{setting}" for side in ("generator", "discriminator"))


VARIANTS = [
    changed("vae", "8 latents", "model.latent_dim=8"),
    changed("vae", "32 latents", "model.latent_dim=32"),
    changed("vae", "cosine decay", "train.decay=cosine"),
    changed("vae", "discretised logistic", "model.head=discretised-logistic"),
    changed("vae", "Gaussian", "model.head=gaussian"),
    changed("gan", "R1 0.1", "model.r1_gamma=0.1"),
    changed("gan", "R1 10", "model.r1_gamma=10"),
    changed("gan", "rate 5e-4", *both("rate=5e-4")),
    changed("gan", "betas 0.9 0.999", *both("betas=[0.9, 0.999]")),
    changed("gan", "linear output", "model.output=linear"),
    changed("gan", "group norm", "model.generator.conv.norm=group"),
    changed("gan", "cosine decay", "train.decay=cosine"),
    changed("gan", "batch 32", "train.batch=32"),
]


class Job(NamedTuple):
    """One line, data set and seed."""

    entry: Entry
    corpus: str
    seed: int

    @property
    def place(self) -> Path:
        """Run folder, or that of a peer's samples."""
        words = f"{self.corpus} {self.entry.name} {self.seed}"
        return RUNS / "table" / words.replace(",", "").replace(" ", "-").lower()


def options(entry: Entry, corpus: Corpus) -> tuple[str, ...]:
    """What ``ficta train`` is told besides model, data and seed."""
    fixed = ("--precision", "bf16", "--set", "train.threads=1", "--set", "train.reports=20")
    return ("--samples", str(corpus.samples), *corpus.options, *entry.options, *fixed)


def measure(job: Job) -> dict[str, Any]:
    """Train and judge on one core; what was done by the same words before is not done again."""
    corpus = CORPORA[job.corpus]
    told = [job.entry.peer or job.entry.model, corpus.data, *options(job.entry, corpus), str(job.seed)]
    facts = kept(job, "trained", told, lambda: trained(job))
    asked = [str(JUDGED), *table_page.HEADINGS]
    results = kept(job, "judged", [*told, *asked], lambda: judged(job))
    return {"name": job.entry.name, "data": job.corpus, "seed": job.seed, **facts, "results": results}


def kept(job: Job, what: str, told: Sequence[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was made by these words, or is made now."""
    path = job.place.with_name(f"{job.place.name}.{what}.json")
    if path.exists():
        earlier = json.loads(path.read_text())
        if earlier["told"] == list(told):
            return dict(earlier["found"])
    found = make()
    write_json(path, {"told": list(told), "found": found})
    return found


def trained(job: Job) -> dict[str, Any]:
    """Train anew, from the start; facts about it."""
    shutil.rmtree(job.place, ignore_errors=True)
    job.place.mkdir(parents=True)
    entry, corpus, spent = job.entry, CORPORA[job.corpus], cpu_seconds()
    if entry.peer:
        facts = peer(job)
    else:
        name, seeded = str(job.place.relative_to(RUNS)), ("--seed", str(job.seed))
        facts = training_facts(train(entry.model, corpus.data, name, *options(entry, corpus), *seeded))
    return {**facts, "cpu_seconds": cpu_seconds() - spent}


def judged(job: Job) -> dict[str, Any]:
    """Results by name, as far as the table shows them."""
    corpus = CORPORA[job.corpus]
    place = [str(job.place)]
    if job.entry.peer:
        place = [str(job.place / "samples.npy"), "--reference", corpus.data, *corpus.options]
    command = [*FICTA, "evaluate", *place, "-n", str(JUDGED), "--json"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    return {result["name"]: brief(result) for result in told["results"] if result["name"] in table_page.HEADINGS}


def brief(result: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a result; with the accuracy of the classifier where that gives the features."""
    found = {name: result[name] for name in ("value", "interval", "n", "fingerprint")}
    found |= {which: result[which]["value"] for which in ("real", "shuffled")}
    return found | {name: result["protocol"][name] for name in ("accuracy",) if name in result["protocol"]}


def peer(job: Job) -> dict[str, Any]:
    """Train a peer on the training split, in an order of its own, and write its samples, uint8 (n, 1, 28, 28)."""
    corpus, pictures, raw = CORPORA[job.corpus], job.place / "pictures.npy", job.place / "raw.npy"
    split = ingest(recipe_for("vae", corpus.data, {}).data).splits["train"]
    np.save(pictures, np.random.default_rng(job.seed).permutation(split.read(0, len(split))[:, 0]))
    told = ["--network", job.entry.model, "--batch", str(BATCH), "--data", str(pictures), "--seed", str(job.seed)]
    worker = processes.Worker(job.entry.peer, "peers", told, processes.environment(job.place))
    try:
        seconds, left = 0.0, corpus.samples
        while left:  # one pass after the other; the last, shorter one sees the first pictures of the random order
            turn = worker.tell(do="train", samples=min(left, len(split)))
            seconds, left = seconds + turn["seconds"], left - turn["samples"]
        worker.tell(do="write", n=JUDGED, path=str(raw))
    finally:
        worker.close()
    made = np.load(raw).reshape(JUDGED, 1, 28, 28)
    unit = made if job.entry.model == "article-vae" else (made + 1) / 2
    np.save(job.place / "samples.npy", np.rint(255 * unit.clip(0, 1)).astype(np.uint8))
    pictures.unlink()
    raw.unlink()
    return {"seen": corpus.samples, "seconds": seconds, "versions": worker.ready["versions"]}


def cpu_seconds() -> float:
    """Of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def on_one_core(cores: Queue[int]) -> None:
    """Give this process, and all that it starts, a core of its own."""
    os.sched_setaffinity(0, {cores.get()})
    os.environ["OMP_NUM_THREADS"] = "1"


def wanted(seeds: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> list[Job]:
    """What belongs into the table, given what was measured: of variants more than one seed if the first was better."""
    found = [Job(entry, corpus, seed) for seed in seeds for corpus in CORPORA for entry in PRESETS]
    found += [Job(entry, "MNIST", seed) for seed in seeds for entry in PEERS]
    for entry, corpus in itertools.product(VARIANTS, ("MNIST", "CIFAR-10")):
        at = {row["name"]: distance(row) for row in rows if (row["data"], row["seed"]) == (corpus, seeds[0])}
        better = entry.name in at and at[entry.name] < (1 - MARGIN) * at[entry.model]
        found += [Job(entry, corpus, seed) for seed in (seeds if better else seeds[:1])]
    return sorted(found, key=lambda job: job.seed)


def distance(row: Mapping[str, Any]) -> float:
    """By which variants are chosen."""
    return float(row["results"][CHOSEN_BY]["value"])


def write(rows: Sequence[Mapping[str, Any]], seed: int) -> None:
    """The tables of the docs, and a sheet of one seed's samples for each data set."""
    parts = []
    entries = [*PRESETS, *PEERS]
    for name, corpus in CORPORA.items():
        found = [row for row in rows if row["data"] == name]
        accuracy = found[0]["results"][CHOSEN_BY]["accuracy"]
        picture = f"table-{name.lower()}.png"
        here = [entry.name for entry in entries if any(row["name"] == entry.name for row in found)]
        shown = [entry for entry in entries if entry.name in here]
        strips = [table_page.Strip(entry.name, samples(Job(entry, name, seed))) for entry in shown]
        strips.insert(0, table_page.Strip("real items", real(corpus)))
        table_page.montage(strips).save(IMAGES / picture, optimize=True)
        told = " ".join(["ficta train MODEL --data …", *options(Entry("", ""), corpus), "--seed SEED"])
        parts += [
            f"### {name}",
            f"The classifier reads {accuracy:.1%} of the test split rightly.",
            table_page.table(found, here),
            f"![Samples of seed {seed}](images/{picture})",
            f"`{told}`, then `ficta evaluate RUN -n {JUDGED}`.",
        ]
    table_page.fill("results.md", "the table", "\n\n".join(parts), "table")
    variants = table_page.variants(rows, ("vae", "gan"), CHOSEN_BY, seed)
    table_page.fill("defaults.md", "variants", variants, "table")


def samples(job: Job) -> np.ndarray:
    """Some samples of a line, uint8 (n, C, H, W)."""
    if job.entry.peer:
        return np.asarray(np.load(job.place / "samples.npy")[: table_page.SHOWN])
    return ficta.open_run(job.place).sample(table_page.SHOWN, seed=job.seed)


def real(corpus: Corpus) -> np.ndarray:
    """Some held-out items, uint8 (n, C, H, W)."""
    settings = {"image": {"channels": corpus.channels}}
    return ingest(recipe_for("vae", corpus.data, {"data": settings}).data).splits["test"].read(0, table_page.SHOWN)


def main() -> None:
    """Measure everything, then write the page."""
    seeds = [int(word) for word in sys.argv[1:]] or [0, 1, 2]
    context = get_context("spawn")
    cores = context.Queue()
    usable = sorted(os.sched_getaffinity(0))
    for core in usable:
        cores.put(core)
    rows: dict[Job, dict[str, Any]] = {}
    with ProcessPoolExecutor(len(usable), context, on_one_core, (cores,)) as pool:
        while left := [job for job in wanted(seeds, list(rows.values())) if job not in rows]:
            for job, row in zip(left, pool.map(measure, left), strict=True):
                print(job.place.name, row["results"][CHOSEN_BY]["value"], flush=True)
                rows[job] = row
            keep("table", {"judged": JUDGED, "rows": list(rows.values())})
            write(list(rows.values()), seeds[0])


if __name__ == "__main__":
    main()
