"""Long runs that show a claim: what is claimed stands in docs/results.md, the figures in benchmarks/results/.

    python benchmarks/evidence.py article-vae | mnist-gans | gan-stability | kill | start | precision

Real data are taken from $FICTA_TEST_DATA (folders `mnist` and `cifar10-20k.zip`), runs go to $FICTA_EVIDENCE_RUNS
(default runs/evidence). Runs that are there already are continued, or left alone when finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ficta
from ficta.base.words import WITH_PRIOR
from ficta.compute.device import describe
from ficta.runs.run import TRAINED

DATA = Path(os.environ.get("FICTA_TEST_DATA", "../shared/data"))
RUNS = Path(os.environ.get("FICTA_EVIDENCE_RUNS", "runs/evidence"))
RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parent.parent / "docs" / "images"
FICTA = [sys.executable, "-c", "from ficta.cli import main; main()"]


def train(model: str, data: Path | str, name: str, *options: str) -> ficta.Run:
    """Train by the command line, or go on with what is there; a finished run is left alone."""
    command = [*FICTA, "train", model, "--data", str(data), "--out", str(RUNS / name), *options]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 3) and "is finished" not in done.stderr:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return ficta.open_run(RUNS / name)


def keep(name: str, content: dict[str, Any]) -> None:
    """Write figures down, with the machine they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": describe(), "date": time.strftime("%Y-%m-%d"), **content}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"written: {RESULTS / name}.json", flush=True)


def told(settings: Sequence[str]) -> list[str]:
    """Settings as the command line takes them."""
    return [part for setting in settings for part in ("--set", setting)]


def judged(run: ficta.Run, measures: Sequence[str], n: int, priors: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Measures of so many samples of a run, by prior."""
    found = {row["name"]: row["value"] for row in run.evaluate(n=n, priors=list(priors))}
    ends = {TRAINED: "", **{prior: f"{WITH_PRIOR}{prior}" for prior in priors}}
    return {prior: {name: round(found[name + end], 4) for name in measures} for prior, end in ends.items()}


def picture(run: ficta.Run, name: str, drawn: str = "explore/sheet.png") -> None:
    """Keep a picture of a run for the docs."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.png").write_bytes((run.path / drawn).read_bytes())


def training_facts(run: ficta.Run) -> dict[str, Any]:
    """Seconds, samples, settings that matter for reading a figure."""
    last, settings = run.history[-1], run.recipe["train"]
    return {
        "seen": last["seen"],
        "seconds": last["seconds"],
        "precision": settings["precision"],
        "threads": settings["threads"],
        "seed": run.recipe["seed"],
        "verdicts": sorted({line["verdict"] for line in run.history}),
    }


def article_vae(options: Sequence[str]) -> None:
    """Test negative ELBO of the article's VAE after 20 and 50 epochs, and after 20 with a falling learning rate."""
    rows = []
    for name, epochs, extra in (
        ("article-vae", 20, ()),
        ("article-vae", 50, ()),
        ("article-vae-decay", 20, ("--set", "train.decay=cosine")),
    ):
        run = train("article-vae", DATA / "mnist", name, "--epochs", str(epochs), *extra, *options)
        rows.append({"epochs": epochs, "change": " ".join(extra), **run.heldout("test"), **training_facts(run)})
        keep("article-vae", {"rows": rows})
        if not extra:
            picture(run, f"{name}-latent", "explore/latent.png")
            picture(run, f"{name}-manifold", "explore/manifold.png")


def mnist_gans(options: Sequence[str]) -> None:
    """Sheets of the three GANs on MNIST."""
    rows = []
    for model, target in (("gan", "200000"), ("article-gan", "300000"), ("article-gan-dense", "900000")):
        run = train(model, DATA / "mnist", f"{model}-mnist", "--samples", target, *options)
        rows.append({"model": model, **training_facts(run), "spread_ratio": run.history[-1]["spread_ratio"]})
        keep("mnist-gans", {"rows": rows})
        picture(run, f"{model}-mnist-sheet")


def gan_stability(options: Sequence[str]) -> None:
    """Verdicts of the default GAN on five data sets and three seeds, short runs."""
    colour = DATA / "cifar10-20k.zip"
    cases: dict[str, tuple[Path | str, tuple[str, ...]]] = {
        "digits": ("digits", ()),
        "mnist": (DATA / "mnist", ()),
        "mnist-2000": (DATA / "mnist", ("--set", "data.limit=2000")),
        "cifar-grey": (colour, ("--channels", "1")),
        "cifar-colour": (colour, ()),
    }
    rows = []
    for case, (data, extra) in cases.items():
        for seed in range(3):
            seeded = ("--seed", str(seed), "--samples", "25000", *extra, *options)
            run = train("gan", data, f"stability/{case}-{seed}", *seeded)
            facts = training_facts(run)
            rows.append({"data": case, **facts, "spread_ratio": run.history[-1]["spread_ratio"]})
            keep("gan-stability", {"rows": rows})
        picture(run, f"gan-{case}-short")


def kill(options: Sequence[str]) -> None:
    """``kill -9`` at random moments on MNIST; the resumed run's weights against those of an unbroken one."""
    rows = []
    for model in ("vae", "gan"):
        settings = ("--samples", "20000", "--save-every-samples", "2000", *options)
        whole = train(model, DATA / "mnist", f"kill/{model}-whole", *settings)
        broken = RUNS / f"kill/{model}-broken"
        command = [*FICTA, "train", model, "--data", str(DATA / "mnist"), "--out", str(broken), *settings]
        moments = random.Random(0)
        killed_at = []
        while len(killed_at) < 5:
            before = _seen(broken)
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wanted = before + moments.randint(500, 3500)
            while _progress(broken) < wanted and process.poll() is None:
                time.sleep(0.05)
            time.sleep(moments.random())
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed_at.append({"reported": _progress(broken), "saved": _seen(broken)})
        resumed = train(model, DATA / "mnist", f"kill/{model}-broken", *settings)
        digests = [
            hashlib.sha256((run.path / "weights.safetensors").read_bytes()).hexdigest() for run in (whole, resumed)
        ]
        rows.append({"model": model, "killed_at": killed_at, "sha256": digests, "identical": digests[0] == digests[1]})
        keep("kill", {"rows": rows})


def start(options: Sequence[str]) -> None:
    """Seconds of ``ficta --help``, and from the command to the first step on MNIST from the cache."""
    help_seconds = [_timed([*FICTA, "--help"]) for _ in range(11)]
    command = [*FICTA, "train", "article-vae", "--data", str(DATA / "mnist"), "--samples", "1024", *options]
    train("article-vae", DATA / "mnist", "start/warm-up", "--samples", "1024")  # fills the cache
    first = []
    for turn in range(5):
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", str(RUNS / f"start/{turn}-{os.getpid()}")], stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"new run"):  # printed right before the first step
                first.append(time.perf_counter() - begun)
                break
        process.communicate()
    keep(
        "start",
        {
            "help_seconds": {"median": statistics.median(help_seconds), "all": help_seconds},
            "first_step_seconds": {"median": statistics.median(first), "all": first},
        },
    )


def precision(options: Sequence[str]) -> None:
    """Test negative ELBO of the article's VAE trained in bf16 and in float32, seed by seed."""
    rows: list[dict[str, Any]] = []
    for seed in range(3):
        for number in ("float32", "bf16"):
            settings = ("--epochs", "5", "--seed", str(seed), "--precision", number, "--set", "train.reports=4")
            run = train("article-vae", DATA / "mnist", f"precision/{number}-{seed}", *settings, *options)
            rows.append({**run.heldout("test"), **training_facts(run)})
        pairs = zip(rows[::2], rows[1::2], strict=True)
        costs = [pair[1]["heldout_negative_elbo_nats"] - pair[0]["heldout_negative_elbo_nats"] for pair in pairs]
        keep("precision", {"bf16_minus_float32_nats": costs, "mean_nats": statistics.mean(costs), "rows": rows})


def _timed(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def _seen(run: Path) -> int:
    states = sorted((run / "state").glob("*.safetensors"))
    return int(states[-1].stem) if states else 0


def _progress(run: Path) -> int:
    path = run / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])["seen"] if lines else 0


JOBS: dict[str, Callable[[Sequence[str]], None]] = {
    "article-vae": article_vae,
    "mnist-gans": mnist_gans,
    "gan-stability": gan_stability,
    "kill": kill,
    "start": start,
    "precision": precision,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        raise SystemExit(__doc__)
    JOBS[sys.argv[1]](sys.argv[2:])
