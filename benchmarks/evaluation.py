"""What an evaluation costs: seconds and memory of the default set of measures, on MNIST.

    python benchmarks/evaluation.py

A VAE is trained for a minute; then `ficta evaluate` judges 10,000 of its samples against 10,000 real digits, in five
parts as by default, and more of them in larger and more parts. The classifier and the features of real digits are in
the cache by then. Figures go to benchmarks/results/evaluation.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

from evidence import DATA, FICTA, keep, train

CALLS = {  # options of each call
    "10,000": ("-n", "10000"),
    "10,000, every measure": ("-n", "10000", "--full"),
    "50,000": ("-n", "50000"),
    "100,000": ("-n", "100000", "--parts", "10"),
}


def call(run: str, options: tuple[str, ...]) -> dict[str, Any]:
    """One evaluation in a process of its own."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*FICTA, "evaluate", run, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"evaluate {' '.join(options)} ended with {status}")
    results = json.loads(printed)["results"]
    return {
        "seconds": time.perf_counter() - begun,
        "peak_memory_bytes": used.ru_maxrss * 1024,
        "n": results[0]["n"],
        "measures": sum(result["value"] is not None for result in results),
    }


def main() -> None:
    """One call after the other."""
    run = str(train("vae", DATA / "mnist", "evaluation/vae", "--minutes", "1").path)
    call(run, CALLS["10,000"])  # fills the cache
    found: dict[str, Any] = {}
    for name, options in CALLS.items():
        found[name] = call(run, options)
        keep("evaluation", {"calls": found})


if __name__ == "__main__":
    main()
