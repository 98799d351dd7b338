"""A plain PyTorch loop in the usual tutorial style: TensorDataset, shuffling DataLoader, eager float32, Adam."""

from __future__ import annotations

from protocol import LATENT_DIM, Work, arguments, channel, serve

answers = channel()

import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402

import torch  # noqa: E402
from networks import NETWORKS  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from torch_networks import count, pictures_of  # noqa: E402


def endless(loader: DataLoader) -> Iterator[Tensor]:
    """Epoch after epoch."""
    while True:
        for (batch,) in loader:
            yield batch


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments()
    torch.manual_seed(asked.seed)
    is_vae = asked.network == "article-vae"
    network = NETWORKS[asked.network]
    pictures = pictures_of(asked.data, network.signed)
    model = network.build()
    step = network.step(model)
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
        return torch.cat([last(model.decoder(torch.randn(size, LATENT_DIM))) for size in sizes])

    @torch.no_grad()
    def encode(n: int, batch: int) -> Tensor:
        return torch.cat([model.encoder(part)[:, :LATENT_DIM] for part in pictures[:n].split(batch)])

    train(asked.batch)
    serve(
        Work(
            parameters=count(model),
            packages=("torch", "numpy"),
            train=train,
            sample=sample,
            encode=encode if is_vae else None,
            one=lambda: sample(1, 1),
            facts={"precision": "float32", "threads": torch.get_num_threads(), "cycle": network.cycle},
        ),
        answers,
    )


if __name__ == "__main__":
    main()
