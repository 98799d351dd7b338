"""Penalties on gradients: of a discriminator's logit, of a generator's samples."""

import math

import torch
from torch import Tensor


def zero_centred(logits: Tensor, inputs: Tensor) -> Tensor:
    """Squared length of the gradient of each sample's logit, halved (Mescheder et al. 2018, arXiv:1801.04406).

    On real samples it is R1 (Eq. 9 without its gamma), on generated ones R2 (Eq. 10).

    Args:
        logits: float (B,), computed from ``inputs``; row i depends on row i, and on others no more than by how much a
            batch varies.
        inputs: float (B, ...), requires grad.

    Returns:
        0.5 * |d logit / d input|^2, float (B,). Not averaged; differentiable once more.
    """
    return 0.5 * _gradient(logits, inputs).square().sum(1)


def one_centred(logits: Tensor, inputs: Tensor) -> Tensor:
    """Squared difference of the gradient's length to 1 (Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3, no lambda).

    Between real and generated samples it is theirs, around real ones DRAGAN's (Kodali et al. 2017, arXiv:1705.07215).

    Args:
        logits: as of ``zero_centred``.
        inputs: float (B, ...), requires grad.

    Returns:
        (|d logit / d input| - 1)^2, float (B,). Not averaged; differentiable once more.
    """
    lengths: Tensor = torch.linalg.vector_norm(_gradient(logits, inputs), dim=1)
    return (lengths - 1).square()


def path_lengths(made: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
    """How far samples move with their styles: |J^T y| of Karras et al. 2020 (arXiv:1912.04958, Eq. 4).

    As in its authors' code, squares are summed over a style and averaged over layers. The penalty is the squared
    difference to a running mean of these lengths.

    Args:
        made: samples float (B, ...), computed from ``styles``; row i depends on row i alone.
        styles: float (B, layers, D), part of a graph.
        directions: y, normal numbers, shaped like ``made``.

    Returns:
        Lengths, float (B,). Not averaged; differentiable once more.
    """
    (gradient,) = torch.autograd.grad((made * directions).sum(), styles, create_graph=True)
    lengths: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(styles.shape[1])
    return lengths


def _gradient(logits: Tensor, inputs: Tensor) -> Tensor:
    """Of each sample's logit, float (B, D)."""
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient.flatten(1)
