"""What discriminator and generator each minimise, given the logits of real and of generated samples."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Adversarial = Callable[[Tensor, Tensor], Tensor]


class Pair(NamedTuple):
    """The two sides of an adversarial loss: ``(real_logits, fake_logits) -> (B,)`` each."""

    discriminator: Adversarial
    generator: Adversarial


def logistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), with D = sigmoid(logit) (Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,). Not averaged; 2 log 2 for a discriminator that cannot tell.
    """
    return F.softplus(-real_logits) + F.softplus(fake_logits)


def non_saturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(G(z)): same fixed point as the minimax game, strong gradients early on (ibid., Sec. 3).

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,). Not averaged.
    """
    return F.softplus(-fake_logits)


def minimax_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """log(1 - D(G(z))): the game as written (ibid., Eq. 1); its gradient vanishes where the generator is bad.

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,), never positive. Not averaged.
    """
    return -F.softplus(fake_logits)


ADVERSARIAL: dict[str, Pair] = {
    "non-saturating": Pair(logistic_discriminator, non_saturating_generator),
    "minimax": Pair(logistic_discriminator, minimax_generator),
}


def gradient_penalty(logits: Tensor, inputs: Tensor) -> Tensor:
    """Squared length of the gradient of each sample's logit, halved: R1 on real inputs (Mescheder et al. 2018).

    arXiv:1801.04406, Eq. 9 without its gamma.

    Args:
        logits: float (B,), computed from ``inputs``; row i depends on row i alone.
        inputs: float (B, ...), requires grad.

    Returns:
        0.5 * |d logit / d input|^2, float (B,). Not averaged; differentiable once more.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return 0.5 * gradient.flatten(1).square().sum(1)
