"""Random numbers as a function of (seed, what for, samples seen), whatever the number of processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from ficta.base.seeds import mix

Place = int | Tensor  # of samples: the index of the first, or int64 (n,) of each
LATENT_BLOCK = (
    64  # latents are drawn in blocks of so many samples, so that a sample's latent depends on its index alone
)


@dataclasses.dataclass
class Noise:
    """The random numbers of one step.

    Every process draws them for the whole step's batch and keeps its own rows. So two processes with a batch of 16
    see what one process with a batch of 32 sees, and so do two accumulated micro-batches.

    Attributes:
        key: seed of this step and purpose.
        device: where the numbers are made and used.
        total: samples in the whole step.
        start: first row of this process and micro-batch.
        rows: number of rows of this process and micro-batch.
    """

    key: int
    device: torch.device
    total: int
    start: int
    rows: int

    def __post_init__(self) -> None:
        self._generator = torch.Generator(self.device).manual_seed(self.key)

    @classmethod
    def whole(cls, key: int, device: torch.device | str, rows: int) -> Noise:
        """Noise of a batch that is not shared with anybody."""
        return cls(key, torch.device(device), rows, 0, rows)

    def fork(self, name: str) -> Noise:
        """Independent numbers for another purpose in the same step."""
        return dataclasses.replace(self, key=mix(self.key, name))

    def shared(self) -> Noise:
        """The numbers of the whole step, the same for every process and micro-batch."""
        return dataclasses.replace(self, start=0, rows=self.total)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32 (rows, *shape)."""
        return self._mine(torch.randn(self.total, *shape, generator=self._generator, device=self.device))

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), float32 (rows, *shape)."""
        return self._mine(torch.rand(self.total, *shape, generator=self._generator, device=self.device))

    def _mine(self, numbers: Tensor) -> Tensor:
        return numbers[self.start : self.start + self.rows]


def latents(seed: int, start: Place, count: int, size: int) -> Tensor:
    """Standard normal latents of samples ``start`` to ``start + count``, drawn on the CPU in fixed blocks.

    Args:
        seed: the sampling seed.
        start: index of the first sample, or int64 (count,) of each.
        count: number of samples.
        size: numbers a latent.

    Returns:
        float32 (count, size). A row depends on the seed and its sample's index alone.
    """
    return _by_sample(seed, "latent", start, count, lambda noise: noise.normal(size))


def choices(seed: int, start: Place, count: int, size: int) -> Tensor:
    """Like ``latents``, but uniform in [0, 1): what a sample needs to choose among values given its latent."""
    return _by_sample(seed, "choice", start, count, lambda noise: noise.uniform(size))


def inputs(seed: int, start: Place, count: int, size: int) -> Tensor:
    """Like ``latents``, but other numbers: what a generator takes beside its latent."""
    return _by_sample(seed, "input", start, count, lambda noise: noise.normal(size))


def _by_sample(seed: int, purpose: str, start: Place, count: int, draw: Callable[[Noise], Tensor]) -> Tensor:
    """Numbers of samples ``start`` to ``start + count``, or of those named, whatever else is drawn."""
    rows = start.cpu() if isinstance(start, Tensor) else torch.arange(start, start + count)
    blocks, which = torch.unique(rows // LATENT_BLOCK, return_inverse=True)
    drawn = [draw(Noise.whole(mix(seed, purpose, block), "cpu", LATENT_BLOCK)) for block in blocks.tolist() or [0]]
    return torch.stack(drawn)[which, rows % LATENT_BLOCK]
