"""Tables: how good the rows are on Adult, beside CTGAN, and what size costs.

    python benchmarks/rows.py adult | peers | balance | size

adult: `vae` and `gan` are trained on one core with three seeds on a fixed four fifths of `adult.csv`; as many samples
of each are judged against the fifth left over. peers: CTGAN of the package ctgan, from `.venv-bench`, gets the same
rows and four minutes, one seed. balance: conditional VAEs with and without `data.table.balance` on the column of
countries, three seeds; rows that are asked for a country beside all real ones of it. size: a VAE learns from Adult and
from the same rows 92 times over (2,995,612); seconds, rows a second and memory, in processes of their own.

Adult is taken from $FICTA_TEST_DATA, runs go to $FICTA_EVIDENCE_RUNS (default runs/evidence). Figures go to
benchmarks/results/rows-adult.json, rows-peers.json and so on.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence import DATA, FICTA, RUNS, keep, picture, train, training_facts
from yardstick.processes import anonymous_bytes, descendants

import ficta
from ficta.api import recipe_for
from ficta.data.ingest import ingest
from ficta.metrics import tables
from ficta.train.recipe import Recipe

ADULT = DATA / "adult.csv"
SPLIT = {"test": 0.2, "split_seed": 0}
SEEDS = (0, 1, 2)
SAMPLES = {"vae": 4_000_000, "gan": 3_000_000}
PICTURES = {"vae": "explore/sheet.png", "gan": "explore/associations.png"}  # kept for the docs
PEER_SECONDS = 240
TARGET = "income"
JUDGED = 26_000
REPEATED = 92
PEERS = ("CTGAN",)
COUNTRY = "native-country"
COUNTRIES = ("United-States", "Mexico", "Philippines", "India", "Cuba", "Japan")
PYTHON = Path(".venv-bench/bin/python").absolute()


def adult() -> None:
    """Families with three seeds."""
    options = [text for name, value in SPLIT.items() for text in ("--set", f"data.{name}={value}")]
    options += ["--set", "train.threads=1"]
    lines = []
    for family, samples in SAMPLES.items():
        for seed in SEEDS:
            told = ("--samples", str(samples), "--seed", str(seed), *options)
            run = train(family, ADULT, f"rows/adult-{family}-{seed}", *told)
            results = run.evaluate(n=JUDGED, target=TARGET)
            lines.append({"name": family, **training_facts(run), "results": by_name(results)})
            keep("rows-adult", {"rows": lines, "summary": summary(lines)})
            if seed == SEEDS[0]:
                picture(run, f"rows-adult-{family}", PICTURES[family])


def peers() -> None:
    """What others make of the same rows, one seed."""
    lines = []
    for kind in PEERS:
        lines.append(peer(kind))
        keep("rows-peers", {"rows": lines, "summary": summary(lines)})


def by_name(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is kept of results."""
    return {
        result["name"]: {
            "value": result["value"],
            "interval": result["interval"],
            "n": result["n"],
            **{which: result[which]["value"] for which in ("real", "shuffled")},
        }
        for result in results
        if result["value"] is not None
    }


def summary(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and the score after learning from samples as a share of that from real rows."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(line["name"] for line in lines):
        mine = [line["results"] for line in lines if line["name"] == name]
        means = {
            measure: statistics.mean(results[measure]["value"] for results in mine)
            for measure in mine[0]
            if all(measure in results for results in mine)
        }
        learnt = f"learnt-from-samples({TARGET}, boosting)"
        ratios = [results[learnt]["value"] / results[learnt]["real"] for results in mine]
        found[name] = {**means, "share of real": statistics.mean(ratios), "shares of real": ratios}
    return found


def peer(kind: str) -> dict[str, Any]:
    """A model of the package ctgan, on the same training rows; judged by a file of its samples."""
    folder = RUNS / "rows" / kind.lower()
    folder.mkdir(parents=True, exist_ok=True)
    dataset = ingest(recipe_for("vae", ADULT, {"data": SPLIT}).data)
    rows, samples = folder / "train.csv", folder / "samples.csv"
    split = dataset.splits["train"]
    dataset.codec.write([split.read(0, len(split))], rows)
    told = [str(PYTHON), str(Path(__file__).parent / "workers" / "ctgan_fit.py"), kind, str(rows), str(samples)]
    done = subprocess.run([*told, str(PEER_SECONDS), "0"], stdout=subprocess.PIPE, check=True, text=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    found = ficta.evaluate(samples, ADULT, data=SPLIT, n=JUDGED, target=TARGET)
    return {"name": kind, **facts, "results": by_name([result.to_json() for result in found.results])}


def balance() -> None:
    """How alike rows are that are asked for a country: column shapes and pair trends by the number of real ones."""
    found: dict[str, Any] = {}
    for balanced in (False, True):
        for seed in SEEDS:
            told = ["--conditional", "--samples", "1500000", "--seed", str(seed), "--set", "train.threads=1"]
            told += ["--set", f"data.table.balance={COUNTRY}"] if balanced else []
            run = train("vae", ADULT, f"rows/balance-{balanced}-{seed}", *told)
            codec = run.stored.codec
            real = everything(run)
            columns = [column.name for column in codec.spec.columns]
            categorical = np.array([not column.ordered for column in codec.spec.columns])
            names = {column["name"]: column["categories"] for column in codec.schema["columns"]}[COUNTRY]
            for country in COUNTRIES:
                rows = real[real[:, columns.index(COUNTRY)] == names.index(country)]
                made = run.sample(2000, where={COUNTRY: country}, seed=seed)
                pairs = tables.pair_trends(made, rows, categorical)
                line = found.setdefault(country, {"rows": len(rows)}).setdefault(str(balanced), [])
                shapes = float(tables.column_shapes(made, rows, categorical).mean())
                line.append([shapes, float(pairs[np.triu_indices(len(pairs), 1)].mean())])
            keep("rows-balance", {"column_shapes_and_pair_trends": found})


def everything(run: ficta.Run) -> np.ndarray:
    """All real rows, float64 (n, C)."""
    dataset = ingest(Recipe.of(run.recipe).data)
    return np.concatenate([split.read(0, len(split)) for split in dataset.splits.values()])


def size() -> None:
    """Training and sampling at both sizes."""
    folder = RUNS / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    large = folder / "adult-repeated.csv"
    head, _, body = ADULT.read_text().partition("\n")
    with large.open("w") as file:
        file.write(head + "\n")
        for _ in range(REPEATED):
            file.write(body)
    found: dict[str, Any] = {}
    for name, path in (("small", ADULT), ("large", large)):
        place = folder / f"size-{name}"
        shutil.rmtree(place, ignore_errors=True)
        trained = watched("train", "vae", "--data", str(path), "--out", str(place), "--samples", "5000000")
        run = ficta.open_run(place)
        rates = [line["samples_per_second"] for line in run.history[2:]]
        found[name] = {
            "rows": run.stored.data["read"],
            "train": {**trained, "rows_per_second": statistics.median(rates)},
        }
        for count in (100_000, 1_000_000):
            out = place / f"{count}.parquet"
            sampled = watched("sample", str(place), "-n", str(count), "--out", str(out))
            sampled |= {"rows_per_second": count / sampled["seconds"], "file_bytes": out.stat().st_size}
            found[name][f"sample {count}"] = sampled
        keep("rows-size", found)
    large.unlink()


def watched(*command: str) -> dict[str, float]:
    """Seconds of a command, and the most memory that it came to hold of its own; mapped files do not count."""
    begun, peak = time.perf_counter(), 0
    process = subprocess.Popen([*FICTA, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: told.append(process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    while process.poll() is None:
        peak = max(peak, sum(anonymous_bytes(pid) for pid in descendants(process.pid)))
        time.sleep(0.02)
    reader.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{told[0]}")
    return {"seconds": time.perf_counter() - begun, "peak_memory_bytes": peak}


if __name__ == "__main__":
    {"adult": adult, "peers": peers, "balance": balance, "size": size}[sys.argv[1]]()
