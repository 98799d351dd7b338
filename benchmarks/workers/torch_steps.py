"""Training steps as a tutorial writes them: eager float32, Adam, a loss that is averaged over the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from protocol import LATENT_DIM
from torch import Tensor, nn


def vae_step(encode: nn.Module, decode: nn.Module) -> Callable[[Tensor], Tensor]:
    """One update: cross-entropy summed over pixels plus KL, averaged over the batch."""
    optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()], lr=1e-3, eps=1e-7)

    def step(x: Tensor) -> Tensor:
        mean, log_variance = encode(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        cross_entropy = F.binary_cross_entropy_with_logits(decode(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        loss = (cross_entropy + kl) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def gan_step(generate: nn.Module, judge: nn.Module, latent_dim: int = LATENT_DIM) -> Callable[[Tensor], Tensor]:
    """An update of the discriminator on real and generated pictures, then one of the generator on fresh ones."""
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-7) for network in (judge, generate)
    ]

    def step(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = torch.tanh(generate(torch.randn(len(real), latent_dim, device=real.device)))
        loss = (F.softplus(-judge(real)) + F.softplus(judge(fake))).mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        fake = torch.tanh(generate(torch.randn(len(real), latent_dim, device=real.device)))
        cheat = F.softplus(-judge(fake)).mean()
        optimizers[1].zero_grad()
        cheat.backward()
        optimizers[1].step()
        return loss

    return step
