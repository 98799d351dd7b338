"""A trained run in the user's hands: sample, encode, decode, look, judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ficta.api.calls import evaluate_settings, place
from ficta.base.errors import UsageError
from ficta.base.progress import Progress, silent
from ficta.base.words import nearest
from ficta.data.asked import Asked
from ficta.data.codec import Tabulates
from ficta.data.dataset import Dataset, Store
from ficta.data.ingest import ingest
from ficta.models.family import Decodes, Encodes, SampleSettings
from ficta.runs.rejection import Acceptance, calibrate
from ficta.runs.run import TRAINED
from ficta.runs.run import Run as StoredRun
from ficta.runs.sampling import sample
from ficta.train.observe import heldout
from ficta.train.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from ficta.explore.explore import Explored
    from ficta.explore.pictures import Projection

DEFAULT_SAMPLES = 100
CLOSEST = "explore/closest.png"  # samples beside the training items that they lie closest to


class Run:
    """A trained run: make samples, go to latents and back, look."""

    def __init__(self, path: Path | str, network: Mapping[str, nn.Module] | None = None) -> None:
        self.stored = StoredRun(path, network)
        self.path = self.stored.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting, nested."""
        return self.stored.recipe

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry a report."""
        return self.stored.history

    def sample(
        self,
        n: int | None = None,
        label: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        complete: Any = None,
        seed: int = 0,
        temperature: float = 1.0,
        truncation: float = 1.0,
        prior: str = TRAINED,
        acceptance: Acceptance | None = None,
    ) -> np.ndarray:
        """Make samples; sample i depends on (seed, i) and what it is asked for, but for rounding.

        Args:
            n: how many; without, a hundred, or as many as there are rows to complete.
            label: of every sample; without, a conditional run takes its labels in turn.
            where: of a conditional run on a table: values that columns are to have, such as ``{"income": ">50K"}``.
            complete: likewise: a table (path or data frame) whose missing values and columns are to be sampled.
            seed: of the latents.
            temperature: spread of the latents; below 1 safer and less varied.
            truncation: of a family with styles: how far these may be from their average; below 1 safer and less varied.
            prior: what latents are drawn from: ``trained``; ``normal``; ``mixture`` or ``flow``, which are fitted to
                the latents of the training split when they are first asked for.
            acceptance: from ``acceptance``: keep only what the discriminator takes for real; takes several times as
                long.

        Returns:
            Compact array: pictures are uint8 (n, channels, height, width), rows float64 (n, columns) as ``rows`` reads
            them.

        Raises:
            UsageError: fewer than one sample, or a label, column or value that the run lacks.
        """
        asked = self.ask(label, where=where, complete=complete)
        how: dict[str, Any] = {"temperature": temperature, "truncation": truncation, "prior": prior}
        how["acceptance"] = acceptance
        return np.concatenate(list(self.samples(n, asked, seed=seed, **how)))

    def ask(self, label: str | None = None, *, where: Mapping[str, Any] | None = None, complete: Any = None) -> Asked:
        """What samples are to be; the arguments are those of ``sample``."""
        codec = self.stored.codec
        if complete is None:
            return codec.ask(label, where)
        if label is not None or where:
            raise UsageError("rows to complete say themselves what is given; leave label and where out")
        if not isinstance(codec, Tabulates):
            raise UsageError(f"a {codec.item} cannot be completed; rows of a table can")
        return codec.complete(complete)

    def samples(
        self,
        n: int | None = None,
        asked: Asked | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        truncation: float = 1.0,
        prior: str = TRAINED,
        acceptance: Acceptance | None = None,
        progress: Progress = silent,
    ) -> Iterator[np.ndarray]:
        """Like ``sample``, some at a time, so that any number fits into memory; ``asked`` comes from ``ask``."""
        count = n if n is not None else (asked and asked.count) or DEFAULT_SAMPLES
        options = SampleSettings.read({"temperature": temperature, "truncation": truncation}, "sample")
        run = self._with_prior(prior, progress)
        return sample(run, count, asked=asked, seed=seed, options=options, acceptance=acceptance)

    def acceptance(
        self,
        *,
        temperature: float = 1.0,
        truncation: float = 1.0,
        prior: str = TRAINED,
        progress: Progress = silent,
    ) -> Acceptance:
        """How its discriminator keeps samples that are made so, and rejects others (Azadi et al. 2019).

        It is calibrated by samples and by items of the validation split.

        Returns:
            For ``sample``; ``rate`` is the share of samples that are kept.

        Raises:
            UsageError: a family without a discriminator, or no validation split.
        """
        options = SampleSettings.read({"temperature": temperature, "truncation": truncation}, "sample")
        return calibrate(self._with_prior(prior, progress), self._dataset(progress).splits["validation"], options)

    def rows(self, n: int | None = None, **how: Any) -> pd.DataFrame:
        """Like ``sample``, of a run on a table: a data frame with its columns.

        Raises:
            UsageError: a run on something else, or what ``sample`` refuses.
        """
        codec = self.stored.codec
        if not isinstance(codec, Tabulates):
            raise UsageError(f"a {codec.item} is no row; use sample")
        return codec.frame(self.sample(n, **how))

    def encode(self, items: np.ndarray, labels: Sequence[str] | None = None) -> np.ndarray:
        """Latent of each item.

        Args:
            items: compact array (n, *stored shape), as ``sample`` returns.
            labels: of each item, for a conditional run.

        Returns:
            Posterior means, float32 (n, latent_dim).

        Raises:
            UsageError: the family cannot encode, or the shape is another.
        """
        family, codec = self.stored.family, self.stored.codec
        if not isinstance(family, Encodes):
            raise UsageError(f"a {self.recipe['family']} has no way from data to latents; a 'vae' has")
        data = codec.encode(torch.from_numpy(np.ascontiguousarray(items)))
        if tuple(data.shape[1:]) != codec.spec.shape:
            raise UsageError(f"items of shape {tuple(data.shape[1:])}, but this run knows {codec.spec.shape}")
        with self.stored.inference():
            return family.encode(data, self._condition(labels, len(items))).numpy()

    def decode(self, z: np.ndarray, labels: Sequence[str] | None = None) -> np.ndarray:
        """What the model makes of latents float (n, latent_dim): compact array (n, *stored shape).

        Raises:
            UsageError: latents of another length.
        """
        family = self.stored.family
        if not isinstance(family, Decodes):
            raise UsageError(f"samples of a {self.recipe['family']} are not a function of a latent vector")
        latent = torch.as_tensor(z, dtype=torch.float32)
        if latent.ndim != 2 or latent.shape[1] != family.latent_dim:
            raise UsageError(f"latents of shape {tuple(latent.shape)}, but this run knows (n, {family.latent_dim})")
        with self.stored.inference():
            return self.stored.codec.decode(family.decode(latent, self._condition(labels, len(latent))))

    def interpolate(
        self, a: np.ndarray, b: np.ndarray, steps: int = 10, labels: Sequence[str] | None = None
    ) -> np.ndarray:
        """Walk between two latents (latent_dim,) along a great circle: compact array (steps, *stored shape).

        ``labels``, one a step, belong to a conditional run.
        """
        from ficta.explore.pictures import slerp

        if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
            raise UsageError(f"latents of shapes {np.shape(a)} and {np.shape(b)}; a walk is between two of one axis")
        walk = slerp(torch.as_tensor(a, dtype=torch.float32), torch.as_tensor(b, dtype=torch.float32), steps)
        return self.decode(walk.numpy(), labels)

    def sheet(self, n: int = 64, label: str | None = None, *, seed: int = 0) -> Image.Image:
        """Samples side by side."""
        return self.stored.codec.overview(self.sample(n, label, seed=seed))

    def heldout(self, split: str = "test", *, most: int = 1_000_000, progress: Progress = silent) -> dict[str, float]:
        """Mean negative ELBO and its terms in nats on a split; empty for a family without a bound."""
        splits = self._dataset(progress).splits
        if split not in splits:
            raise UsageError(f"no split {split!r}: {nearest(split, splits)}")
        store = Store(splits[split], torch.device("cpu"), resident_limit=0)
        return heldout(self.stored.family, self.stored.codec, store, most, int(self.recipe["seed"]))

    def evaluate(
        self, data: str | Path | None = None, *, progress: Progress = silent, **settings: Any
    ) -> list[dict[str, Any]]:
        """Measure how good, how varied and how new the samples are; results, pictures and report stay in the run.

        Args:
            data: real items to judge by; without, those of the run, of which the test split counts.
            progress: who is told.
            settings: of ``ficta.evaluate.ground.EvaluateSettings``, such as ``n=10_000, full=True``.

        Returns:
            One entry a measure, as in ``results.jsonl``: name, value, interval, unit, better, n, real, shuffled …

        Raises:
            UsageError: an unknown setting, or data of another kind.
            DataError: too few items.
        """
        from ficta.evaluate.evaluate import evaluate as judge

        dataset = self._dataset(progress) if data is None else self._other(data, progress)
        seen = self.stored.folder.latest_seen()  # before it takes long, as the run may go on meanwhile
        found = judge(self.stored, dataset, evaluate_settings(settings), progress)
        results = [result.to_json() for result in found.results]
        self.stored.folder.write_results(results, seen)
        if found.closest is not None:
            self.stored.folder.save_picture(CLOSEST, found.closest)
        self.report()
        return results

    def explore(self, *, seed: int = 0, projection: Projection = "pca", progress: Progress = silent) -> Explored:
        """Draw everything there is to see into the run folder; see ``ficta.explore.explore``."""
        from ficta.explore import explore as pictures  # drawing is slow to import, and training can do without

        return pictures.explore(
            self.stored, lambda: self._dataset(progress), seed=seed, projection=projection, progress=progress
        )

    def report(self) -> Path:
        """Write ``report.html`` and ``card.md`` from what stands in the run."""
        from ficta.report.card import write_card
        from ficta.report.page import write_report

        write_card(self.stored)
        return write_report(self.stored)

    def _with_prior(self, name: str, progress: Progress) -> StoredRun:
        """The run with another prior, which is fitted first if it must be."""
        if name == TRAINED:
            return self.stored
        if self.stored.lacks_prior(name):
            from ficta.train.prior import fit_prior  # what fits mixtures is slow to import

            fit_prior(self.stored, self._dataset(progress), name, progress)
        return self.stored.with_prior(name)

    def _dataset(self, progress: Progress) -> Dataset:
        dataset = ingest(Recipe.of(self.recipe).data, progress)
        if dataset.report["content_hash"] != self.stored.data.get("content_hash"):
            raise UsageError(f"the data at {self.recipe['data']['path']} have changed since {self.path} was trained")
        return dataset

    def _other(self, data: str | Path, progress: Progress) -> Dataset:
        """Other data, read as this run's were."""
        settings = Recipe.of(self.recipe).data.model_copy(update={"path": place(data), "conditional": False})
        dataset = ingest(settings, progress, self.stored.codec.schema)
        if dataset.report["stored_shape"] != self.stored.data["stored_shape"]:
            raise UsageError(f"{data} gives items of shape {dataset.codec.spec.shape}; {self.path} makes others")
        return dataset

    def _condition(self, labels: Sequence[str] | None, n: int) -> torch.Tensor | None:
        condition = self.stored.codec.spec.condition
        if condition is None:
            if labels is not None:
                raise UsageError(f"{self.path} was trained without labels; leave them out, or train with --conditional")
            return None
        if not condition.categories:
            if labels is not None:
                raise UsageError(f"a {self.stored.codec.item} has no label; leave labels out")
            return self.stored.codec.ask().condition(0, n)
        if labels is None or len(labels) != n:
            raise UsageError(f"this run is conditional: give {n} labels")
        unknown = [label for label in labels if label not in condition.categories]
        if unknown:
            raise UsageError(f"no label {unknown[0]!r}: {nearest(unknown[0], condition.categories)}")
        return torch.tensor([condition.categories.index(label) for label in labels])
