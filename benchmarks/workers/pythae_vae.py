"""Pythae: its VAE with the article's networks, under its own trainer and sampler.

What is timed is an epoch as its trainer runs it. Left out, in its favour: its progress bar, its checkpoints, and the
decoder and the loss that its ``embed`` computes besides the latents.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"

from protocol import LATENT_DIM, Work, arguments, channel, serve

answers = channel()

import tempfile  # noqa: E402
import time  # noqa: E402

import torch  # noqa: E402
from pythae.data.datasets import BaseDataset  # noqa: E402
from pythae.models import VAE, VAEConfig  # noqa: E402
from pythae.models.base.base_utils import ModelOutput  # noqa: E402
from pythae.models.nn import BaseDecoder, BaseEncoder  # noqa: E402
from pythae.samplers import NormalSampler  # noqa: E402
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # noqa: E402
from torch import Tensor  # noqa: E402
from torch_networks import count, encoder, pictures_of, upward  # noqa: E402


class Encoder(BaseEncoder):
    """The article's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.network = encoder()

    def forward(self, x: Tensor) -> ModelOutput:
        """Pictures => mean and log-variance."""
        mean, log_variance = self.network(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """The article's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.network = upward()

    def forward(self, z: Tensor) -> ModelOutput:
        """Latents => pictures in [0, 1], as pythae's cross-entropy wants them."""
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments()
    if asked.network != "article-vae":
        raise SystemExit("pythae has no plain GAN")
    torch.manual_seed(asked.seed)
    pictures = pictures_of(asked.data)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    folder = tempfile.TemporaryDirectory()
    training = BaseTrainerConfig(
        output_dir=folder.name,
        learning_rate=1e-3,
        per_device_train_batch_size=asked.batch,
        optimizer_cls="Adam",
        optimizer_params={"eps": 1e-7},
        no_cuda=True,
        seed=asked.seed,
    )
    whole = BaseDataset(pictures, torch.zeros(len(pictures)))
    trainer = BaseTrainer(model, whole, training_config=training)
    trainer.prepare_training()
    sampler = NormalSampler(model)
    epochs = 0

    def train(samples: int) -> tuple[float, float]:
        nonlocal epochs
        epochs += 1
        trainer.train_loader = trainer.get_train_dataloader(BaseDataset(whole.data[:samples], whole.labels[:samples]))
        begun = time.perf_counter()
        loss = trainer.train_step(epochs)
        return time.perf_counter() - begun, float(loss)

    @torch.no_grad()
    def encode(n: int, batch: int) -> Tensor:
        return torch.cat([model.encoder(part).embedding for part in pictures[:n].split(batch)])

    train(asked.batch)
    serve(
        Work(
            parameters=count(model),
            packages=("pythae", "torch", "numpy"),
            train=train,
            sample=lambda n, batch: sampler.sample(num_samples=n, batch_size=batch),
            encode=encode,
            one=lambda: sampler.sample(num_samples=1, batch_size=1),
            facts={"precision": "float32", "threads": torch.get_num_threads()},
        ),
        answers,
    )
    folder.cleanup()


if __name__ == "__main__":
    main()
