"""What a plan foretells against what then happens: time, memory, and what finding it out costs.

    python benchmarks/forecast.py [--minutes 0.75] [--rounds 3]

For every family and preset a new run by the command line, on MNIST in $FICTA_TEST_DATA. Its `plan.json` was written
before the first step; its `history.jsonl` says what happened on the same machine right after. Every round has a cache
of its own, so that each probe has to choose anew. Figures go to benchmarks/results/forecast.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from typing import Any

from evidence import DATA, keep, train
from yardstick.summary import spread

from ficta import presets
from ficta.models.registry import FAMILIES


def forecast(model: str, name: str, minutes: float) -> dict[str, float]:
    """Planned and actual figures of one run."""
    run = train(model, DATA / "mnist", name, "--minutes", str(minutes))
    plan, last = run.stored.plan, run.history[-1]
    held = max(line["memory_bytes"] for line in run.history)
    return {
        "planned_seconds": plan["seconds"],
        "seconds": last["seconds"],
        "seconds_to_planned": last["seconds"] / plan["seconds"],
        "planned_memory_bytes": plan["memory_bytes"],
        "memory_bytes": held,
        "memory_to_planned": held / plan["memory_bytes"],
        "probe_seconds": plan["probe_seconds"],
        "probe_share": plan["probe_seconds"] / last["seconds"],
    }


def main() -> None:
    """Measure each model in turns, round after round; write it down after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.75)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["FICTA_CACHE"] = cache
            train("article-vae", DATA / "mnist", f"forecast/{os.getpid()}-{number}/warm-up", "--samples", "64")
            for model in (*FAMILIES, *presets.names()):
                name = f"forecast/{os.getpid()}-{number}/{model}"
                found.setdefault(model, []).append(forecast(model, name, asked.minutes))
        keep("forecast", {"minutes": asked.minutes, **summary(found)})


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Every figure of every model, and how far the forecasts of all of them were off."""
    models = {model: {name: spread([one[name] for one in runs]) for name in runs[0]} for model, runs in found.items()}
    off = {
        name: {model: abs(figures[f"{name}_to_planned"]["median"] - 1) for model, figures in models.items()}
        for name in ("seconds", "memory")
    }
    return {
        "time_off_by": {"median": statistics.median(off["seconds"].values()), "largest": max(off["seconds"].values())},
        "memory_off_by": {"median": statistics.median(off["memory"].values()), "largest": max(off["memory"].values())},
        "largest_probe_share": max(figures["probe_share"]["high"] for figures in models.values()),
        "models": models,
    }


if __name__ == "__main__":
    main()
