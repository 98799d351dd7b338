"""The networks of bench.py: what ficta is asked for, and the same in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch_families as plain
from torch import nn
from torch_networks import discriminator, encoder, upward
from torch_steps import gan_step, vae_step


class Network(NamedTuple):
    """A row of the table.

    Attributes:
        name: of the preset or family that ficta starts from.
        model: ficta's settings over those.
        build: the same networks by hand; with ``encoder`` and ``decoder`` where they are sampled and encoded with.
        step: an update by hand, from those networks: pictures => the loss.
        signed: whether pictures are in [-1, 1] there, or in [0, 1].
    """

    name: str
    model: Mapping[str, Any]
    build: Callable[[], Any]
    step: Callable[[Any], plain.Step]
    signed: bool = False


def article_vae() -> nn.ModuleDict:
    """Encoder and decoder."""
    return nn.ModuleDict({"encoder": encoder(), "decoder": upward()})


def article_gan() -> nn.ModuleDict:
    """Discriminator and generator, which is called a decoder here."""
    return nn.ModuleDict({"discriminator": discriminator(), "decoder": upward()})


def conv(channels: tuple[int, ...], hidden: tuple[int, ...] = ()) -> dict[str, Any]:
    """Settings of a network with convolutions like the article's."""
    return {"kind": "conv", "conv": {"channels": channels, "kernel": 3, "hidden": hidden, "activation": "relu"}}


DOWN, UP = (32, 64), (64, 64, 32)
BOTH = {"encoder": conv(DOWN, (16,)), "decoder": conv(UP)}
WIDER = {"latent_dim": plain.LATENT_DIM}

NETWORKS: dict[str, Network] = {
    "article-vae": Network("article-vae", {}, article_vae, lambda own: vae_step(own.encoder, own.decoder)),
    "article-gan": Network(
        "article-gan", {}, article_gan, lambda own: gan_step(own.decoder, own.discriminator), signed=True
    ),
    "iwae": Network("article-vae", {**WIDER, "bound": "iwae", "draws": plain.DRAWS}, plain.Vae, plain.iwae_step),
    "vamp": Network(
        "article-vae",
        {**WIDER, "prior": {"kind": "vamp", "inputs": plain.PSEUDO_INPUTS}},
        plain.VampVae,
        plain.vamp_step,
    ),
    "beta-tcvae": Network(
        "article-vae", {**WIDER, "total_correlation": plain.TOTAL_CORRELATION}, plain.Vae, plain.beta_tcvae_step
    ),
    "ladder": Network("ladder", {"encoder": conv(DOWN), "decoder": conv(UP)}, plain.Ladder, plain.ladder_step),
    "vqvae": Network("vqvae", {"encoder": conv(DOWN), "decoder": conv(UP)}, plain.VqVae, plain.vqvae_step),
    "aae": Network("aae", BOTH, plain.Aae, plain.aae_step),
    "vaegan": Network("vaegan", {**BOTH, "discriminator": conv(DOWN)}, plain.VaeGan, plain.vaegan_step, signed=True),
}
