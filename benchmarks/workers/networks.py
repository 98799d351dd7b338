"""The networks of bench.py: what ficta is asked for, and the same in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch_families as plain
import torch_games as games
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
        cycle: steps after which all that happens but now and then, such as a lazy penalty, has had its turn.
    """

    name: str
    model: Mapping[str, Any]
    build: Callable[[], Any]
    step: Callable[[Any], plain.Step]
    signed: bool = False
    cycle: int = 1


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
GAME = {"generator": conv(UP), "discriminator": conv(DOWN)}
PLAIN = {"norm": "none", "last": "plain", "initial": "he"}  # in place of the family's own
CODED = {side: {**network, "conv": {**network["conv"], **PLAIN}} for side, network in GAME.items()}
DCGAN = {"conv": {"width": games.DCGAN_WIDTH}}  # kinds and all else are the preset's
RESNET = {"kind": "resnet", "resnet": {"width": games.RESNET_WIDTH}}
STYLED = {"width": games.WIDTHS[0], "widest": games.WIDTHS[-1]}
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
    "dcgan": Network("dcgan", {"generator": DCGAN, "discriminator": DCGAN}, games.dcgan, games.dcgan_step, signed=True),
    "resnet": Network(
        "gan",
        {"generator": RESNET, "discriminator": RESNET},
        games.resnet,
        games.resnet_step,
        signed=True,
        cycle=games.R1_EVERY,
    ),
    "wgan-gp": Network("wgan-gp", GAME, games.wgan_gp, games.wgan_gp_step, signed=True, cycle=games.GENERATOR_EVERY),
    "infogan": Network("infogan", CODED, games.InfoGan, games.infogan_step, signed=True),
    "stylegan2": Network(
        "stylegan2",
        {"synthesis": STYLED, "discriminator": STYLED},
        games.StyleGan2,
        games.stylegan2_step,
        signed=True,
        cycle=math.lcm(games.R1_EVERY, games.PATH_EVERY),
    ),
}
