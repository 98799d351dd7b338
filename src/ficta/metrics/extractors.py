"""Feature spaces in which items are compared. A space is part of every number measured in it: hence fingerprints."""

from __future__ import annotations

import abc
import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FEATURES = 64  # few, so that small test splits have more items than features
CHUNK = 256  # items at a time
SIDE = 32  # pixels that pictures are brought to
CHANNELS = (32, 64, FEATURES)  # of the random network's stages, each of which halves the sides
WHITENED_FROM = 5_000  # items at most that the whitening is learnt from
WHITENED_VALUES = 100_000_000  # values at most in these together
LEAST_VARIANCE = 1e-6  # of the largest component's; smaller ones are rounding


class Extractor(abc.ABC):
    """From decoded items to features.

    Attributes:
        name: as users write it.
        size: features of an item.
        fingerprint: digest of weights and preprocessing; equal ones give equal features but for rounding.
        is_inception: whether the Fréchet distance in this space is what the literature calls FID.
    """

    name: str
    size: int
    fingerprint: str
    is_inception: bool = False

    def features(self, items: np.ndarray) -> np.ndarray:
        """Compact items (n, *stored shape) => float32 (n, size), some at a time.

        Raises:
            ValueError: items of another shape or dtype.
        """
        parts = [self.chunk(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK)]
        return np.concatenate(parts) if parts else np.empty((0, self.size), np.float32)

    @abc.abstractmethod
    def chunk(self, items: np.ndarray) -> np.ndarray:
        """The same for few items."""


class Pixels(Extractor):
    """Principal components of the values themselves, each with unit variance over the items it learnt from."""

    name = "pixels"

    def __init__(self, items: np.ndarray) -> None:
        """Learn from items uint8 (n, *shape), n >= 2; the first 5,000 of them count, fewer of very large ones.

        Of items of many values the components are found by a randomised method with a fixed seed, as all of them would
        take minutes.

        Raises:
            ValueError: fewer than two items, or all of them the same.
        """
        from sklearn.decomposition import PCA  # slow to import

        most = max(2 * FEATURES, WHITENED_VALUES // max(1, math.prod(items.shape[1:])))
        flat = as_unit(items[: min(WHITENED_FROM, most)]).flatten(1).double()
        if len(flat) < 2 or not bool(flat.std(0).any()):
            raise ValueError(f"{len(flat)} items without any difference; whitening needs some")
        self._shape = items.shape[1:]
        components = min(FEATURES, *flat.shape)
        found = PCA(components, random_state=0).fit(flat.numpy())
        values, vectors = (torch.from_numpy(part).double() for part in (found.explained_variance_, found.components_))
        self._mean = torch.from_numpy(found.mean_).double()
        kept = values > LEAST_VARIANCE * values[0]
        self._map = (vectors[kept] / values[kept].sqrt()[:, None]).T
        self.size = int(kept.sum())
        self.fingerprint = digest(self.name, {"mean": self._mean, "map": self._map})

    def chunk(self, items: np.ndarray) -> np.ndarray:
        """Compact items (n, *shape) => float32 (n, size)."""
        _check_shape(items, self._shape)
        flat = as_unit(items).flatten(1).double()
        return np.asarray(((flat - self._mean) @ self._map).float().numpy())


class RandomConv(Extractor):
    """A fixed convolutional network with random weights: no training, no download, the same for everybody.

    Naeem et al. 2020 (arXiv:2002.09797, Sec. 4) find that random embeddings judge better than ImageNet's outside
    natural pictures.
    """

    name = "random-conv"

    def __init__(self, channels: int, seed: int = 0) -> None:
        """For pictures of so many channels; ``seed`` of the weights, which others than 0 make another space."""
        self._channels = channels
        draws = np.random.default_rng([seed, channels])
        self._weights: list[Tensor] = []
        before = channels
        for after in CHANNELS:
            weight = draws.standard_normal((after, before, 3, 3)) * np.sqrt(2 / (before * 9))
            self._weights.append(torch.from_numpy(weight.astype(np.float32)))
            before = after
        self.size = before
        self.fingerprint = digest(f"{self.name} {SIDE}", {str(i): w for i, w in enumerate(self._weights)})

    @torch.no_grad()
    def chunk(self, items: np.ndarray) -> np.ndarray:
        """Pictures uint8 (n, C, H, W) => float32 (n, size)."""
        if items.ndim != 4 or items.shape[1] != self._channels:
            raise ValueError(f"pictures (n, {self._channels}, H, W) are wanted, not {items.shape}")
        x = resized(as_unit(items), SIDE) * 2 - 1
        for weight in self._weights:
            x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
        return np.asarray(x.mean((2, 3)).numpy())


def as_unit(items: np.ndarray) -> Tensor:
    """uint8 items as float32 in [0, 1].

    Raises:
        ValueError: another dtype, whose range nobody knows.
    """
    if items.dtype != np.uint8:
        raise ValueError(f"items are uint8 from 0 to 255, not {items.dtype}; round and convert them first")
    # torch warns of arrays that cannot be written to, such as mapped files, and refuses those that run backwards
    return torch.from_numpy(np.require(items, requirements=["C", "W"])).float() / 255


def resized(pictures: Tensor, side: int) -> Tensor:
    """Pictures float (n, C, H, W) brought to (n, C, side, side), by bilinear interpolation against aliasing."""
    if pictures.shape[2:] == (side, side):
        return pictures
    return F.interpolate(pictures, (side, side), mode="bilinear", align_corners=False, antialias=True)


def digest(name: str, tensors: Mapping[str, Tensor]) -> str:
    """Digest of what decides features: a description of the preprocessing and all weights."""
    found = hashlib.blake2b(name.encode(), digest_size=8)
    for key in sorted(tensors):
        found.update(repr((key, tuple(tensors[key].shape))).encode())
        found.update(tensors[key].detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def _check_shape(items: np.ndarray, shape: tuple[int, ...]) -> None:
    if items.shape[1:] != shape:
        raise ValueError(f"items of shape {items.shape[1:]}, but the others have {shape}; bring them to one size")
