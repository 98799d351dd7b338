"""Data that do not fit: what ingestion, streaming and growth cost, as ratios measured in turns.

    python benchmarks/data.py

Reads the folder `mnist` and `cifar10-20k.zip` in $FICTA_TEST_DATA. About five minutes on an idle machine and 1.5 GB of
temporary files. Figures go to benchmarks/results/data.json, the plot to docs/images/bench-data.png.

- ingestion: `ingest` of 25,000 JPEGs in a zip, first start and second, beside a bare Pillow loop over the same zip;
  each round in a process of its own;
- streaming: training steps with the data memory-mapped and in memory, one after the other;
- growth: 6,000 pictures of MNIST, repeated 10 and 100 times. Steps take turns as above. The second start, an epoch's
  batches without training, and anonymous memory (while a process ingests and trains streamed) are measured in a process
  of its own for each round and size; round 0 is the first start, which fills the cache.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence import DATA, IMAGES, keep
from PIL import Image
from yardstick.summary import ratio, spread

from ficta.api import recipe_for
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.data.dataset import Dataset, Order, Store
from ficta.data.ingest import ingest
from ficta.draw.style import PALETTE, compact, legend_above, plot
from ficta.train.session import new_family
from ficta.train.stepper import Stepper

ROUNDS = 5
STEPS_SECONDS = 1.2  # a round of steps in turns, and at least so many of each:
LEAST_STEPS = 3
SIZES = (6_000, 60_000, 600_000)
BATCH = 64
ENDLESS = 10**12
LIMITS = {"resident": ENDLESS, "streamed": 0}
JPEGS = DATA / "cifar10-20k.zip"
CPU = torch.device("cpu")
THREADS = sorted({1, torch.get_num_threads()})


def timed(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def read(path: Path | str) -> Dataset:
    """The data with their default settings."""
    return ingest(recipe_for("vae", str(path), {}).data)


def stepper(model: str, dataset: Dataset, limit: int, threads: int) -> Stepper:
    """A model with its defaults about to train; in the number format that a probe would choose here."""
    recipe = recipe_for(model, dataset.settings.path, {"train": {"batch": BATCH}})
    store = Store(dataset.splits["train"], CPU, limit)
    way = machine.Way(threads, "bf16" if machine.multiplies_in_bf16(CPU) else "float32")
    family = new_family(recipe, dataset, None, None)
    return Stepper(family, dataset.codec, store, recipe.train, ENDLESS, 0, CPU, Collectives(), way)


def step_seconds(steppers: Mapping[str, Stepper]) -> dict[str, list[float]]:
    """Seconds a sample of each, one a round: everybody takes a step in turn, so that all meet the same disturbances."""
    found: dict[str, list[float]] = {name: [] for name in steppers}
    for one in steppers.values():
        machine.use(one.way)
        one.advance()  # warm-up
    for _ in range(ROUNDS):
        sums, turns, begun = dict.fromkeys(steppers, 0.0), 0, time.perf_counter()
        while turns < LEAST_STEPS or time.perf_counter() - begun < STEPS_SECONDS:
            for name in sorted(steppers, reverse=turns % 2 == 1):
                sums[name] += timed(steppers[name].advance)
            turns += 1
        for name, seconds in sums.items():
            found[name].append(seconds / turns / BATCH)
    return found


def anonymous_bytes() -> int:
    """Memory of this process that no file backs (RssAnon)."""
    return 1024 * int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0])


@contextlib.contextmanager
def watched() -> Iterator[list[int]]:
    """Sees how much anonymous memory this process comes to hold: [bytes]."""
    peak, over = [anonymous_bytes()], threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            peak[0] = max(peak[0], anonymous_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def ingestion_worker(path: str) -> dict[str, float]:
    """Seconds of the first start, the second, and of all pictures of the zip decoded by Pillow alone."""

    def pillow() -> None:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    np.asarray(image)

    before = anonymous_bytes()
    with watched() as peak:
        first = timed(lambda: read(path))
    grown = peak[0] - before
    return {"first": first, "second": timed(lambda: read(path)), "pillow": timed(pillow), "grown_bytes": grown}


def growth_worker(path: str) -> dict[str, float]:
    """Seconds a sample of ingestion and of a whole epoch's order and batches; memory while training streamed."""

    def epoch(store: Store) -> float:
        order, begun = Order(len(store), 0), time.perf_counter()
        for seen in range(0, len(store), BATCH):
            store.gather(order.indices(seen, BATCH))
        return (time.perf_counter() - begun) / len(store)

    with watched() as peak:
        begun = time.perf_counter()
        dataset = read(path)
        start = (time.perf_counter() - begun) / dataset.report["read"]
        training = stepper("vae", dataset, 0, 1)
        for _ in range(10):
            training.advance()
        streamed = epoch(training.store)
    resident = epoch(Store(dataset.splits["train"], CPU, ENDLESS))
    return {"start": start, "streamed batches": streamed, "resident batches": resident, "peak_bytes": peak[0]}


WORKERS: Mapping[str, Callable[[str], dict[str, float]]] = {"ingestion": ingestion_worker, "growth": growth_worker}


def in_process(worker: str, argument: Path, cache: Path) -> dict[str, float]:
    """What a worker returns, from a process of its own."""
    command = [sys.executable, __file__, worker, str(argument)]
    environment = {**os.environ, "FICTA_CACHE": str(cache)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    print(worker, argument.name, done.stdout.decode().strip(), file=sys.stderr)
    return dict(json.loads(done.stdout))


def ingestion(place: Path) -> dict[str, Any]:
    """First starts and second ones, and how they compare with Pillow alone."""
    rounds = [in_process("ingestion", JPEGS, place / f"ingestion-{number}") for number in range(ROUNDS)]
    found = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        **{name: spread(values) for name, values in found.items()},
        "first_to_pillow": ratio(found["first"], found["pillow"]),
        "second_to_first": ratio(found["second"], found["first"]),
    }


def streaming() -> list[dict[str, Any]]:
    """Rate of streamed training as a share of the resident rate."""
    rows = []
    for path in (DATA / "mnist", JPEGS):
        dataset = read(path)
        for model in ("vae", "gan"):
            for threads in THREADS:
                pair = {name: stepper(model, dataset, limit, threads) for name, limit in LIMITS.items()}
                seconds = step_seconds(pair)
                rows.append(
                    {
                        "data": path.name,
                        "model": model,
                        "threads": threads,
                        "resident_seconds_a_sample": spread(seconds["resident"]),
                        "streamed_to_resident_rate": ratio(seconds["resident"], seconds["streamed"]),
                    }
                )
                print(rows[-1], file=sys.stderr)
    return rows


def repeated(place: Path) -> list[Path]:
    """6,000 pictures once, 10 and 100 times: .npy of uint8 (n, 28, 28)."""
    few = read(DATA / "mnist").splits["train"].read(0, SIZES[0])[:, 0]
    paths = [place / f"{size}.npy" for size in SIZES]
    for path, size in zip(paths, SIZES, strict=True):
        stored = np.lib.format.open_memmap(path, "w+", np.uint8, (size, *few.shape[1:]))
        for start in range(0, size, len(few)):
            stored[start : start + len(few)] = few
        stored.flush()
    return paths


def growth(place: Path) -> dict[str, Any]:
    """Cost of a sample and memory at each size, and how many times those of the smallest."""
    paths = repeated(place)
    first, *rounds = [[in_process("growth", path, place / "cache") for path in paths] for _ in range(ROUNDS + 1)]
    found = [{name: [one[index][name] for one in rounds] for name in first[0]} for index in range(len(SIZES))]
    sizes = {f"{name} {path.stem}": (path, limit) for path in paths for name, limit in LIMITS.items()}
    steps = step_seconds({name: stepper("vae", read(path), limit, 1) for name, (path, limit) in sizes.items()})
    for row, path in zip(found, paths, strict=True):
        row.update({f"{name} step": steps[f"{name} {path.stem}"] for name in LIMITS})
    return {
        "samples": SIZES,
        "seconds_a_sample_and_bytes": [{name: spread(values) for name, values in row.items()} for row in found],
        "times_the_smallest": [{name: ratio(row[name], found[0][name]) for name in row} for row in found],
        "first_start": first,
    }


def draw(found: Mapping[str, Any]) -> None:
    """Microseconds a sample over the number of samples, both logarithmic."""
    rows = found["seconds_a_sample_and_bytes"]
    shown = {"streamed step": "streamed step", "streamed batches": "its batch alone", "start": "second start"}
    series = {label: [1e6 * row[name]["median"] for row in rows] for name, label in shown.items()}
    series["first start"] = [1e6 * one["start"] for one in found["first_start"]]
    with plot(height=3.6) as figure:
        for colour, (name, values) in zip(PALETTE, series.items(), strict=False):
            figure.axes.plot(found["samples"], values, marker="o", markersize=5, color=colour, label=name)
        figure.axes.set(xscale="log", yscale="log")
        figure.axes.set_xticks(found["samples"], [compact(size) for size in found["samples"]])
        figure.axes.yaxis.set_major_formatter("{x:g}")
        figure.axes.minorticks_off()
        figure.label("", "samples in the source", "microseconds a sample")
        legend_above(figure.axes)
        figure.render().save(IMAGES / "bench-data.png")


def main() -> None:
    """Measure everything, write it down, draw."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FICTA_CACHE"] = str(Path(folder) / "cache")
        found = {"streaming": streaming(), "ingestion": ingestion(Path(folder)), "growth": growth(Path(folder))}
    keep("data", {"rounds": ROUNDS, **found})
    draw(found["growth"])


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in WORKERS:
        print(json.dumps(WORKERS[sys.argv[1]](sys.argv[2])))
    elif len(sys.argv) == 1:
        main()
    else:
        raise SystemExit(__doc__)
