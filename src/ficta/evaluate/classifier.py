"""The classifier that reads samples: trained on the labelled training split, once for each data set, and kept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.base.progress import Progress
from ficta.base.seeds import mix
from ficta.base.spec import Spec, class_condition
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.data.codec import Codec
from ficta.data.dataset import Dataset, Split, Store
from ficta.evaluate.kept import kept
from ficta.metrics.extractors import FEATURES, Extractor, digest
from ficta.models.classifier import Classifier
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper

BATCH = 128
EPOCHS, MOST_SAMPLES = 40, 200_000  # as many passes as that many samples allow
CHUNK = 512
SCALED_BY = 4096  # training items whose features set their unit
CPU = torch.device("cpu")


class Reader(Extractor):
    """A trained classifier: the features below its last layer, with mean square 1, and its reading of the label.

    Attributes:
        accuracy: on held-out real items, [0, 1]; None without any that have a label.
        categories: names of the labels.
    """

    name = "classifier"

    def __init__(self, classifier: Classifier, codec: Codec) -> None:
        self.size = FEATURES
        self.accuracy: float | None = None
        assert classifier.spec.condition is not None
        self.categories = classifier.spec.condition.categories
        self.fingerprint = digest(self.name, dict(classifier.state_dict()))
        self._classifier, self._codec = classifier, codec

    @torch.no_grad()
    def chunk(self, items: np.ndarray) -> np.ndarray:
        """Compact items (n, *stored shape) => float32 (n, size)."""
        data = machine.lay_out_batch(self._codec.encode(torch.from_numpy(np.ascontiguousarray(items))))
        return np.asarray(self._classifier(data).numpy())

    @torch.no_grad()
    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Features float32 (n, size) => probability of each label, float32 (n, c)."""
        return np.asarray(self._classifier.logits(torch.from_numpy(features)).softmax(1).numpy())


def reader(dataset: Dataset, heldout: Split, seed: int, progress: Progress) -> Reader:
    """The classifier of a data set, trained if it is not in the cache.

    Args:
        dataset: labelled; its training split is learnt from.
        heldout: what its accuracy is measured on.
        seed: of weights and order.
        progress: told about training.

    Raises:
        UsageError: fewer than two labels.
    """
    spec, split = labelled_spec(dataset), labelled(dataset.splits["train"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, "classifier"))
        classifier = Classifier(spec, FEATURES)
        rows = hashlib.blake2b(split.rows.tobytes(), digest_size=8).hexdigest()
        shapes = [(name, tuple(value.shape)) for name, value in classifier.state_dict().items()]
        facts = [str(dataset.report["content_hash"]), rows, str(dataset.codec.facts()), shapes, seed]
        content = hashlib.blake2b(repr([*facts, BATCH, EPOCHS, MOST_SAMPLES]).encode(), digest_size=16)
        state = kept("classifier", content.hexdigest(), lambda: _trained(classifier, dataset, split, seed, progress))
    classifier.load_state_dict(state)
    classifier = machine.lay_out(classifier.eval().requires_grad_(False))
    found = Reader(classifier, dataset.codec)
    heldout = labelled(heldout)
    found.accuracy = accuracy(found, heldout) if len(heldout) else None
    return found


def labelled_spec(dataset: Dataset) -> Spec:
    """What a classifier of these data sees, its condition the label that it is to read.

    Raises:
        UsageError: fewer than two labels.
    """
    categories = tuple(dataset.report.get("categories") or ())
    if len(categories) < 2 or not len(labelled(dataset.splits["train"])):
        raise UsageError("the data have no labels, or one alone; a classifier needs two")
    return dataclasses.replace(dataset.codec.spec, condition=class_condition(categories))


def labelled(split: Split) -> Split:
    """The items of a split that have a label."""
    known = split.rows[:0] if split.labels is None else split.rows[split.labels[split.rows] >= 0]
    return dataclasses.replace(split, rows=known)


def learn(
    classifier: Classifier, codec: Codec, split: Split, batch: int, target: int, seed: int, tell: Callable[[int], None]
) -> None:
    """Train it by the steps that every run takes; the rate falls to 0 along a cosine.

    Args:
        classifier: changed in place.
        codec: of the items.
        split: labelled items.
        batch: samples a step.
        target: samples to see in all, rounded up to whole steps.
        seed: of the order.
        tell: called with the samples seen so far, after each step.
    """
    settings = TrainSettings(batch=batch, decay="cosine", ema_samples=0)
    way = machine.Way(torch.get_num_threads())
    stepper = Stepper(classifier, codec, Store(split, CPU, 0), settings, target, seed, CPU, Collectives(), way)
    while stepper.seen < target:
        stepper.advance()
        tell(min(stepper.seen, target))


def accuracy(reads: Reader, split: Split) -> float:
    """Share of labelled items, of which there is at least one, that are read as what they are, [0, 1]."""
    right = 0
    for start in range(0, len(split), CHUNK):
        labels = split.read_labels(start, start + CHUNK)
        features = reads.features(split.read(start, start + CHUNK))
        right += int((reads.probabilities(features).argmax(1) == labels).sum())
    return right / len(split)


def _trained(
    classifier: Classifier, dataset: Dataset, split: Split, seed: int, progress: Progress
) -> Mapping[str, Tensor]:
    """Its weights after training, and the unit of its features."""
    target = min(MOST_SAMPLES, EPOCHS * len(split))
    batch = min(BATCH, len(split))
    learn(classifier, dataset.codec, split, batch, target, seed, lambda seen: progress("classifier", seen, target))
    with torch.no_grad():
        parts = (split.read(start, start + CHUNK) for start in range(0, SCALED_BY, CHUNK))
        classifier.set_unit(
            torch.cat([classifier(dataset.codec.encode(torch.from_numpy(part))) for part in parts if len(part)])
        )
    return classifier.state_dict()
