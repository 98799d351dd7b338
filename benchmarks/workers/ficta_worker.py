"""Ficta, as a user gets it: its own ingestion, its own preparation of a run, its own steps, its own run folder.

Sampling and encoding go through a saved run, from latents to uint8 pictures and from uint8 pictures to latents.
"""

from __future__ import annotations

from protocol import Work, arguments, channel, serve

answers = channel()

import functools  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from networks import NETWORKS  # noqa: E402

import ficta  # noqa: E402
from ficta.api import recipe_for  # noqa: E402
from ficta.compute import device as machine  # noqa: E402
from ficta.compute.collectives import Collectives  # noqa: E402
from ficta.data.dataset import Dataset  # noqa: E402
from ficta.data.ingest import ingest  # noqa: E402
from ficta.runs.folder import RunFolder  # noqa: E402
from ficta.runs.sampling import sample  # noqa: E402
from ficta.train import session  # noqa: E402
from ficta.train.recipe import Recipe  # noqa: E402
from ficta.train.stepper import Stepper  # noqa: E402

EPOCHS = 10  # planned; with many more, what is slow would be compiled, which takes minutes


def prepared(network: str, data: Path, batch: int, precision: str, seed: int) -> tuple[Stepper, Recipe, Dataset]:
    """What a new run has before its first step."""
    train = {"batch": batch, "device": "cpu", "epochs": EPOCHS, "ema_samples": 0}  # no average, as elsewhere
    train |= {} if precision == "auto" else {"precision": precision}
    data_settings = {"validation": 0.0, "test": 0.0}  # all samples are trained on, as elsewhere
    asked = NETWORKS[network]
    settings = {"seed": seed, "data": data_settings, "model": asked.model, "train": train}
    recipe = recipe_for(asked.name, str(data), settings)
    dataset = ingest(recipe.data)
    machine.keep_freed_memory()  # as a training does
    ready = session.prepare(recipe, dataset, None, torch.device("cpu"), Collectives(), None)
    return ready.stepper, ready.recipe, dataset


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments()
    stepper, recipe, dataset = prepared(asked.network, asked.data, asked.batch, asked.precision, asked.seed)
    place = tempfile.TemporaryDirectory()

    def train(samples: int) -> tuple[float, float]:
        begun = time.perf_counter()
        for _ in range(samples // stepper.samples_a_step):
            stepper.advance()
        loss = next(iter(stepper.take_means().values()))  # waits for the last step, as reading a loss does elsewhere
        return time.perf_counter() - begun, loss

    @functools.cache
    def run() -> ficta.Run:
        folder = RunFolder(Path(place.name) / "run")
        folder.create(recipe.content(), dataset.report, dataset.codec.facts())
        folder.save(stepper.seen, *stepper.state(), stepper.seen, stepper.average.state_dict())
        return ficta.open_run(folder.path)

    @functools.cache
    def stored() -> np.ndarray:
        return dataset.splits["train"].read(0, len(dataset.splits["train"]))

    def encode(n: int, batch: int) -> np.ndarray:
        return np.concatenate([run().encode(stored()[first : min(n, first + batch)]) for first in range(0, n, batch)])

    train(asked.batch)
    parameters = sum(parameter.numel() for parameter in stepper.family.parameters())
    settings = recipe.train.model_dump()
    serve(
        Work(
            parameters=parameters,
            packages=("ficta", "torch", "numpy"),
            train=train,
            sample=lambda n, batch: np.concatenate(list(sample(run().stored, n, chunk=batch))),
            encode=encode if asked.network == "article-vae" else None,
            one=lambda: run().sample(1),
            facts={name: settings[name] for name in ("precision", "threads", "compile") if name in settings}
            | {"cycle": NETWORKS[asked.network].cycle},
        ),
        answers,
    )
    place.cleanup()


if __name__ == "__main__":
    main()
