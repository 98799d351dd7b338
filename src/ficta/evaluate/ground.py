"""What all measures of an evaluation stand on: the samples, the real items, the feature spaces, the protocol."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress
from ficta.base.settings import Settings
from ficta.base.words import nearest
from ficta.data.dataset import Dataset
from ficta.evaluate.classifier import Reader, reader
from ficta.evaluate.sources import RunSource, Shuffled, Source, SplitSource, described
from ficta.metrics.extractors import WHITENED_FROM, Extractor
from ficta.metrics.file_extractor import FileExtractor
from ficta.metrics.spaces import BUILTIN
from ficta.runs.run import Run

LEAST = 2  # items in a part
OTHER_LABELS = "the run was trained with labels, and these real items have others, or none"


class EvaluateSettings(Settings):
    """How samples are judged."""

    n: Annotated[int, Field(ge=2, description="samples judged, in all parts together")] = 10_000
    parts: Annotated[int, Field(ge=2, le=100, description="disjoint parts that they are judged in")] = 5
    k: Annotated[int, Field(ge=1, description="which nearest neighbour bounds the reach of an item")] = 5
    seed: Annotated[int, Field(ge=0, description="of samples, orders and all that is drawn")] = 0
    full: Annotated[bool, Field(description="take every measure there is")] = False
    features: Annotated[
        tuple[str, ...],
        Field(
            description="feature spaces: random-conv, pixels, classifier, or file:PATH for a network in TorchScript or "
            "ONNX; of tables columns; none: random-conv or columns and, with labels, classifier"
        ),
    ] = ()
    priors: Annotated[
        tuple[str, ...],
        Field(description="also with latents from these: normal, mixture, flow; the last two are fitted if need be"),
    ] = ()
    target: Annotated[
        str | None,
        Field(description="column of a table that is to be predicted from the others: how useful the samples are"),
    ] = None


@dataclasses.dataclass(frozen=True)
class Ground:
    """What an evaluation stands on.

    Attributes:
        asked: how to judge.
        dataset: the real items.
        samples: what is judged.
        run: that made them; None for somebody else's.
        train: real items that were trained on.
        heldout: real items that were not.
        n: samples in a part.
        spaces: feature spaces; the first is where novelty is judged.
        missing: feature spaces that were asked for and cannot be had, and why.
        reference: of the protocol, what the held-out items are.
        progress: who is told.
    """

    asked: EvaluateSettings
    dataset: Dataset
    samples: Source
    run: Run | None
    train: SplitSource
    heldout: SplitSource
    n: int
    spaces: tuple[Extractor, ...]
    missing: dict[str, str]
    reference: dict[str, Any]
    progress: Progress

    @property
    def count(self) -> int:
        """Samples in all parts together."""
        return self.n * self.asked.parts

    @property
    def shuffled(self) -> Shuffled:
        """Held-out items without their structure."""
        return Shuffled(self.heldout, self.dataset.codec, self.asked.seed)

    @property
    def reads(self) -> Reader | None:
        """The classifier, if there is one."""
        return next((space for space in self.spaces if isinstance(space, Reader)), None)

    def with_prior(self, name: str) -> Ground:
        """The same, for samples of the run whose latents are drawn from another prior."""
        assert self.run is not None
        run = self.run.with_prior(name)
        return dataclasses.replace(self, run=run, samples=_samples_of(run, self.count, self.dataset, self.asked.seed))

    @property
    def label_shares(self) -> np.ndarray | None:
        """Share of each label in the training items, float64 (c,); None without labels."""
        return _label_shares(self.dataset)

    @property
    def has_other_labels(self) -> bool:
        """Whether the run was trained with labels, and the real items have others."""
        return self.run is not None and _has_other_labels(self.run, self.dataset)

    @property
    def learnt_elsewhere(self) -> bool:
        """Whether the run was trained on other data than it is judged by."""
        return self.run is not None and self.run.data.get("content_hash") != self.dataset.report["content_hash"]

    def protocol(self, space: Extractor | None, **others: Any) -> dict[str, Any]:
        """All that two numbers must share to be compared, JSON types."""
        found: dict[str, Any] = {"features": f"{space.name}:{space.fingerprint}"} if space else {}
        if isinstance(space, Reader):
            found["accuracy"] = space.accuracy
        return {"reference": self.reference, **found, **others}


def lay_ground(samples: Run | Source, dataset: Dataset, asked: EvaluateSettings, progress: Progress) -> Ground:
    """Divide the samples into parts, order the real items, build the feature spaces.

    Raises:
        UsageError: an unknown feature space or target, or a classifier without labels.
        DataError: too few samples or real items.
    """
    names = [column.name for column in dataset.codec.spec.columns]
    if asked.target is not None and asked.target not in names:
        raise UsageError(f"no column {asked.target!r} to be predicted: {nearest(asked.target, names)}")
    if asked.priors and not isinstance(samples, Run):
        raise UsageError("samples in a folder have no latents; priors are for runs")
    if isinstance(samples, Run):
        for prior in asked.priors:
            samples.lacks_prior(prior)  # refuses one that cannot be had, before anything is measured
    content = str(dataset.report["content_hash"])
    name = "test" if len(dataset.splits["test"]) else "validation"
    heldout, train = dataset.splits[name], dataset.splits["train"]
    if min(len(heldout), len(train)) < LEAST:
        raise DataError(
            f"{dataset.report['source']} has {len(heldout)} held-out and {len(train)} training items; samples are "
            f"judged by at least {LEAST} of each: keep some apart with --set data.test=0.1"
        )
    available = asked.n if isinstance(samples, Run) else len(samples)
    n = min(min(available, asked.n) // asked.parts, len(heldout), len(train))
    if n < LEAST:
        raise DataError(f"{available} samples for {asked.parts} parts; give at least {LEAST * asked.parts}")
    ordered = SplitSource("training items", train, content, asked.seed)
    return Ground(
        asked,
        dataset,
        _samples_of(samples, n * asked.parts, dataset, asked.seed) if isinstance(samples, Run) else samples,
        samples if isinstance(samples, Run) else None,
        ordered,
        SplitSource("held-out items", heldout, content, asked.seed),
        n,
        *_spaces(dataset, name, ordered, asked, progress),
        described(heldout, name, content),
        progress,
    )


def _samples_of(run: Run, count: int, dataset: Dataset, seed: int) -> RunSource:
    """Samples with labels as frequent as in the data, if those have the same ones."""
    return RunSource(run, count, seed, None if _has_other_labels(run, dataset) else _label_shares(dataset))


def _label_shares(dataset: Dataset) -> np.ndarray | None:
    """Share of each label in the training split, float64 (c,); None without labels."""
    categories, split = len(dataset.report.get("categories") or ()), dataset.splits["train"]
    labels = split.read_labels(0, len(split))
    if labels is None or not categories or not (labels >= 0).any():
        return None
    counts = np.bincount(labels[labels >= 0], minlength=categories)
    return np.asarray(counts / counts.sum())


def _has_other_labels(run: Run, dataset: Dataset) -> bool:
    """Whether the run was trained with labels, and some items of the data have others or none."""
    condition = run.codec.spec.condition
    if condition is None or not condition.categories:
        return False
    unlike = tuple(dataset.report.get("categories") or ()) != condition.categories
    return unlike or any(
        (split.labels[split.rows] < 0).any() for split in dataset.splits.values() if split.labels is not None
    )


def _spaces(
    dataset: Dataset, heldout: str, train: Source, asked: EvaluateSettings, progress: Progress
) -> tuple[tuple[Extractor, ...], dict[str, str]]:
    """Feature spaces, and why some that were asked for cannot be had."""
    labelled = len(dataset.report.get("categories") or ()) > 1
    spec = dataset.codec.spec

    def learnt() -> np.ndarray:
        return train.read(0, min(WHITENED_FROM, len(train)))

    makers: dict[str, Callable[[], Extractor]] = {
        **{name: functools.partial(make, spec, learnt) for name, make in BUILTIN.items()},
        Reader.name: lambda: reader(dataset, dataset.splits[heldout], 0, progress),
    }
    wanted = dict.fromkeys(asked.features or (*dataset.codec.spaces, *([Reader.name] if labelled else [])))
    files = {name: functools.partial(FileExtractor, name, spec.shape) for name in wanted if name.startswith("file:")}
    found: dict[str, Extractor] = {}
    missing: dict[str, str] = {}
    for name in wanted:
        if name not in makers and name not in files:
            raise UsageError(f"unknown feature space {name!r}: {nearest(name, [*makers, 'file:PATH'])}")
        try:
            space = (files.get(name) or makers[name])()
        except (UsageError, ValueError) as error:  # a file or training that it lacks, or items of another kind
            missing[name] = str(error)
            continue
        if space.name in found:
            raise UsageError(f"feature files are told apart by their names, and {name} is the second {space.name}")
        found[space.name] = space
    if not found:
        raise UsageError("; ".join(missing.values()))
    return tuple(found.values()), missing
