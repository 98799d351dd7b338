"""A plain PyTorch loop in the usual tutorial style: TensorDataset, shuffling DataLoader, eager float32, Adam."""

from __future__ import annotations

from protocol import LATENT_DIM, Work, arguments, channel, serve

answers = channel()

import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from torch_networks import count, discriminator, encoder, pictures_of, upward  # noqa: E402


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


def gan_step(generate: nn.Module, judge: nn.Module) -> Callable[[Tensor], Tensor]:
    """An update of the discriminator on real and generated pictures, then one of the generator on fresh ones."""
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-7) for network in (judge, generate)
    ]

    def step(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = torch.tanh(generate(torch.randn(len(real), LATENT_DIM)))
        loss = (F.softplus(-judge(real)) + F.softplus(judge(fake))).mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        fake = torch.tanh(generate(torch.randn(len(real), LATENT_DIM)))
        cheat = F.softplus(-judge(fake)).mean()
        optimizers[1].zero_grad()
        cheat.backward()
        optimizers[1].step()
        return loss

    return step


def endless(loader: DataLoader) -> Iterator[Tensor]:
    """Epoch after epoch."""
    while True:
        for (batch,) in loader:
            yield batch


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments()
    pictures = pictures_of(asked.data, asked.network)
    is_vae = asked.network == "article-vae"
    below, maker = (encoder() if is_vae else discriminator()), upward()
    step = vae_step(below, maker) if is_vae else gan_step(maker, below)
    batches = endless(DataLoader(TensorDataset(pictures), asked.batch, shuffle=True, drop_last=True))

    def train(samples: int) -> tuple[float, float]:
        begun = time.perf_counter()
        for _ in range(samples // asked.batch):
            loss = step(next(batches))
        value = loss.item()
        return time.perf_counter() - begun, value

    @torch.no_grad()
    def sample(n: int, batch: int) -> Tensor:
        last = torch.sigmoid if is_vae else torch.tanh
        sizes = [min(batch, n - first) for first in range(0, n, batch)]
        return torch.cat([last(maker(torch.randn(size, LATENT_DIM))) for size in sizes])

    @torch.no_grad()
    def encode(n: int, batch: int) -> Tensor:
        return torch.cat([below(part)[:, :LATENT_DIM] for part in pictures[:n].split(batch)])

    train(asked.batch)
    serve(
        Work(
            parameters=count(below, maker),
            packages=("torch", "numpy"),
            train=train,
            sample=sample,
            encode=encode if is_vae else None,
            one=lambda: sample(1, 1),
            facts={"precision": "float32", "threads": torch.get_num_threads()},
        ),
        answers,
    )


if __name__ == "__main__":
    main()
