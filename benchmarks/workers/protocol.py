"""What every worker shares: JSON lines in and out, the clock, and the start time of the process.

A worker is a process that takes one training step, says so, and then does what it is told, one JSON line a command.
Nothing but answers goes to standard output; whatever a library prints goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

LATENT_DIM = 2
CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Work:
    """What one peer can do.

    Attributes:
        parameters: trained weights, in all networks together.
        packages: whose versions are told.
        train: takes a number of samples, trains on so many, and gives (seconds, mean or last loss).
        sample: takes (n, batch) and gives n pictures from random latents.
        encode: takes (n, batch) and makes latents of the first n pictures; None where the model has no encoder.
        one: makes one picture, the way that is fastest for a single one.
        facts: whatever else is worth telling, such as the precision that was chosen.
    """

    parameters: int
    packages: tuple[str, ...]
    train: Callable[[int], tuple[float, float]]
    sample: Callable[[int, int], Any]
    encode: Callable[[int, int], object] | None
    one: Callable[[], object]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def arguments(*options: str) -> argparse.Namespace:
    """The command line that all workers understand, and switches of this one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True, help="as bench.py calls it")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--data", type=Path, required=True, help=".npy of uint8 (n, 28, 28)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    for option in options:
        parser.add_argument(option, action="store_true")
    return parser.parse_args()


def channel() -> TextIO:
    """Where answers go: the standard output that the process began with. Everything else that prints is diverted."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def tell(answers: TextIO, content: dict[str, Any]) -> None:
    """Answer with one line."""
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def serve(work: Work, answers: TextIO) -> None:
    """Say that the first step is done, then obey until told to quit or the orchestrator is gone."""
    tell(
        answers,
        {
            "ready": True,
            "first_step_seconds_since_process_start": since_start(),
            "versions": {name: _version(name) for name in work.packages} | {"python": sys.version.split()[0]},
            "parameters": work.parameters,
            **work.facts,
        },
    )
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "quit":
            return
        tell(answers, _obey(work, command))


def _obey(work: Work, command: dict[str, Any]) -> dict[str, Any]:
    match command["do"]:
        case "train":
            seconds, loss = work.train(command["samples"])
            return {"seconds": seconds, "samples": command["samples"], "loss": loss}
        case "sample":
            return _timed(work.sample, command)
        case "write":
            np.save(command["path"], np.asarray(work.sample(command["n"], CHUNK)))
            return {"samples": command["n"]}
        case "encode":
            return _timed(work.encode, command) if work.encode else {"undefined": True}
        case "latency":
            return {"milliseconds": 1000 * statistics.median(_seconds(work.one) for _ in range(command["repeats"]))}
        case other:
            raise SystemExit(f"no such command: {other}")


def _timed(action: Callable[[int, int], object], command: dict[str, Any]) -> dict[str, Any]:
    n = command["n"]
    return {"seconds": _seconds(lambda: action(n, command.get("batch", CHUNK))), "samples": n}


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def since_start() -> float:
    """Seconds since this process began, so that the time to import counts (resolution: a clock tick, 10 ms)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begun = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5), the 20th after the name
    return time.clock_gettime(time.CLOCK_BOOTTIME) - begun


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
