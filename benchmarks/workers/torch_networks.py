"""The article's networks in plain PyTorch, as a tutorial writes them: contiguous tensors (B, C, H, W), eager."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from protocol import LATENT_DIM
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
WIDE_LATENT_DIM = 100


def trunk() -> nn.Sequential:
    """Two strided convolutions: (1, 28, 28) => (64 * 7 * 7,)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )


def encoder(outputs: int = 2 * LATENT_DIM) -> nn.Sequential:
    """Pictures => mean and log-variance of the latents, side by side."""
    return nn.Sequential(trunk(), nn.Linear(7 * 7 * 64, 16), nn.ReLU(), nn.Linear(16, outputs))


def upward(latent_dim: int = LATENT_DIM) -> nn.Sequential:
    """Latents => pictures before their last activation: VAE's decoder and GAN's generator alike."""
    return nn.Sequential(
        nn.Linear(latent_dim, 7 * 7 * 64),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1),
    )


def discriminator(outputs: int = 1) -> nn.Sequential:
    """Pictures => one logit, or features."""
    return nn.Sequential(trunk(), nn.Linear(7 * 7 * 64, outputs))


def wide_discriminator() -> nn.Sequential:
    """Colour pictures of 64x64 => one logit, with the widths of Radford et al. 2016, without normalisation."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise((3, *WIDTHS)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * WIDTHS[-1], 1))


def wide_generator() -> nn.Sequential:
    """Latents => colour pictures of 64x64 before the last activation, likewise."""
    layers: list[nn.Module] = [nn.Linear(WIDE_LATENT_DIM, 4 * 4 * WIDTHS[-1]), nn.LeakyReLU(0.2)]
    layers += [nn.Unflatten(1, (WIDTHS[-1], 4, 4))]
    for before, after in itertools.pairwise((*WIDTHS[::-1], 3)):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def count(*networks: nn.Module) -> int:
    """Trained weights."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def pictures_of(path: Path, signed: bool = False) -> Tensor:
    """All pictures, float32 (n, 1, 28, 28), in [0, 1], or in [-1, 1] as a GAN has them."""
    scaled = torch.from_numpy(np.load(path)).float().unsqueeze(1) / 255
    return scaled * 2 - 1 if signed else scaled
