"""Where items to be judged or compared with come from; every one of them can be asked for again by its number."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from typing import Any

import numpy as np

from ficta.base.errors import UsageError
from ficta.base.progress import Progress
from ficta.base.seeds import mix
from ficta.data.asked import Labels
from ficta.data.codec import Codec
from ficta.data.dataset import Dataset, Split
from ficta.data.ingest import ingest
from ficta.data.settings import DataSettings
from ficta.runs.run import Run
from ficta.runs.sampling import sample

BLOCK = 256  # items that are shuffled together


class Source(abc.ABC):
    """A numbered row of items in compact form.

    Attributes:
        name: for people.
        identity: digest of what the items are, by which their features may be kept; empty for those made anew.
    """

    name: str
    identity: str = ""

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Items ``start`` to ``stop``, (stop - start, *stored shape)."""

    def labels(self, start: int, stop: int) -> np.ndarray | None:
        """Labels that they have or were asked for, int64; -1 for none. None for a source without labels."""
        return None


class SplitSource(Source):
    """Real items, or those of a folder of samples, in a random order: folders are sorted by label."""

    def __init__(self, name: str, split: Split, content_hash: str, seed: int) -> None:
        rows = np.random.default_rng(mix(seed, name)).permutation(split.rows)
        self.name = name
        self.identity = hashlib.blake2b(content_hash.encode() + rows.tobytes(), digest_size=16).hexdigest()
        self._split = dataclasses.replace(split, rows=rows)

    def __len__(self) -> int:
        return len(self._split)

    def read(self, start: int, stop: int) -> np.ndarray:
        """See ``Source``."""
        return self._split.read(start, stop)

    def labels(self, start: int, stop: int) -> np.ndarray | None:
        """See ``Source``."""
        return self._split.read_labels(start, stop)


class RunSource(Source):
    """Samples of a trained run, made when they are asked for."""

    name = "samples"

    def __init__(self, run: Run, n: int, seed: int, shares: np.ndarray | None) -> None:
        """Of a conditional run, draw the labels to be asked for.

        In turn, they would follow the samples' numbers, and other frequencies than the data's would count against it.

        Args:
            run: a trained run.
            n: samples.
            seed: of latents and labels.
            shares: of each of its labels in the data, float (c,); without, all are equally frequent.
        """
        self._run, self._n, self._seed = run, n, seed
        self._asked, self._labels = run.codec.ask(), None
        condition = run.codec.spec.condition
        if condition and condition.categories:
            draws = np.random.default_rng(mix(seed, "labels"))
            self._labels = draws.choice(len(condition.categories), n, p=shares).astype(np.int64)
            self._asked = Labels(condition.categories, self._labels)

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int) -> np.ndarray:
        """See ``Source``."""
        made = sample(self._run, stop - start, asked=self._asked, seed=self._seed, start=start)
        return np.concatenate(list(made))

    def labels(self, start: int, stop: int) -> np.ndarray | None:
        """Drawn as often as the data have them."""
        return None if self._labels is None else self._labels[start:stop]


class Shuffled(Source):
    """Items of another source whose values have changed places: what they consist of, without structure."""

    def __init__(self, source: Source, codec: Codec, seed: int) -> None:
        self.name = f"shuffled {source.name}"
        self.identity = f"{source.identity}-shuffled-{seed}"
        self._source, self._codec, self._seed = source, codec, seed

    def __len__(self) -> int:
        return len(self._source)

    def read(self, start: int, stop: int) -> np.ndarray:
        """See ``Source``; always the same blocks are shuffled, so that an item is a function of its number."""
        blocks = []
        for first in range(start - start % BLOCK, stop, BLOCK):
            block = self._source.read(first, min(first + BLOCK, len(self)))
            made = self._codec.unstructured(block, self._seed, first)
            blocks.append(made[max(start - first, 0) : stop - first])
        return np.concatenate(blocks)

    def labels(self, start: int, stop: int) -> np.ndarray | None:
        """Those of the items before."""
        return self._source.labels(start, stop)


def strangers(path: str, dataset: Dataset, progress: Progress) -> SplitSource:
    """Samples that somebody else has made, read as the real items of ``dataset`` were.

    Raises:
        UsageError: they have another shape.
        DataError: they cannot be read.
    """
    settings = DataSettings(path=path, validation=0, test=0, max_skipped=0).model_copy(
        update={dataset.report["codec"]: dataset.codec.as_they_come()}
    )
    made = ingest(settings, progress, dataset.codec.schema)
    if made.report["stored_shape"] != dataset.report["stored_shape"]:
        raise UsageError(
            f"{path} holds items of shape {_shape(made)}, but the real ones have {_shape(dataset)}: read those at the "
            "samples' size, e.g. with --size"
        )
    rows = np.concatenate([split.rows for split in made.splits.values()])
    split = dataclasses.replace(made.splits["train"], rows=rows, labels=None)
    return SplitSource("samples", split, str(made.report["content_hash"]), 0)


def _shape(dataset: Dataset) -> tuple[int, ...]:
    return tuple(dataset.report["stored_shape"])


def described(split: Split, name: str, content_hash: str) -> dict[str, Any]:
    """What of a protocol a set of real items is, JSON types."""
    rows = hashlib.blake2b(np.sort(split.rows).tobytes(), digest_size=8).hexdigest()
    return {"split": name, "items": len(split), "content": content_hash[:16], "rows": rows}
