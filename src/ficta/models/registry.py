"""The families there are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.base.words import nearest
from ficta.compute.noise import Noise
from ficta.models.aae import Aae
from ficta.models.family import Batch, Family, Phase
from ficta.models.gan import Gan
from ficta.models.infogan import InfoGan
from ficta.models.ladder import Ladder
from ficta.models.stylegan2 import StyleGan2
from ficta.models.vae import Vae
from ficta.models.vaegan import VaeGan
from ficta.models.vqvae import VqVae
from ficta.nets.parts import blank_condition


class Entry(NamedTuple):
    """A family and where it comes from."""

    family: type[Family]
    title: str
    year: int
    paper: str


FAMILIES: dict[str, Entry] = {
    "vae": Entry(Vae, "Auto-Encoding Variational Bayes (Kingma & Welling)", 2014, "arXiv:1312.6114"),
    "ladder": Entry(Ladder, "Ladder Variational Autoencoders (Sønderby et al.)", 2016, "arXiv:1602.02282"),
    "vqvae": Entry(VqVae, "Neural Discrete Representation Learning (van den Oord et al.)", 2017, "arXiv:1711.00937"),
    "aae": Entry(Aae, "Adversarial Autoencoders (Makhzani et al.)", 2016, "arXiv:1511.05644"),
    "vaegan": Entry(
        VaeGan, "Autoencoding beyond Pixels Using a Learned Similarity Metric (Larsen et al.)", 2016, "arXiv:1512.09300"
    ),
    "infogan": Entry(InfoGan, "InfoGAN: Interpretable Representation Learning (Chen et al.)", 2016, "arXiv:1606.03657"),
    "gan": Entry(Gan, "Generative Adversarial Nets (Goodfellow et al.)", 2014, "arXiv:1406.2661"),
    "stylegan2": Entry(
        StyleGan2, "Analyzing and Improving the Image Quality of StyleGAN (Karras et al.)", 2020, "arXiv:1912.04958"
    ),
}


def find(name: str) -> type[Family]:
    """The family of this name.

    Raises:
        UsageError: there is none; the error names the nearest.
    """
    if name not in FAMILIES:
        raise UsageError(f"unknown family {name!r}: {nearest(name, FAMILIES)}")
    return FAMILIES[name].family


def build(
    name: str, settings: Mapping[str, Any], spec: Spec, networks: Mapping[str, nn.Module] | None = None
) -> Family:
    """A family with fresh weights.

    Args:
        name: in ``FAMILIES``.
        settings: its settings, as TOML gives them.
        spec: what the data are.
        networks: networks that take the place of built ones, by role.

    Raises:
        UsageError: unknown family, setting or role, or a Spec that the family cannot serve.
    """
    family = find(name)
    for role in networks or {}:
        if role not in family.roles:
            raise UsageError(f"a {name} has no network {role!r}: {nearest(role, family.roles)}")
    own = {role: module.cpu() for role, module in (networks or {}).items()}
    built = family(family.settings_type.read(settings, "model"), spec, own)
    if own:
        _try_out(copy.deepcopy(built), own)
    return built


def _check_reached(family: Family, phase: Phase, cost: Tensor) -> None:
    """Refuse a network with parameters that its phase's cost does not depend on."""
    named = [
        (f"{name}.{key}", parameter)
        for name in phase.modules
        for key, parameter in getattr(family, name).named_parameters()
        if parameter.requires_grad
    ]
    gradients = torch.autograd.grad(cost.sum(), [p for _, p in named], allow_unused=True)
    unused = [name for (name, _), gradient in zip(named, gradients, strict=True) if gradient is None]
    alone = sum(other.optimiser == phase.optimiser for other in family.phases()) == 1
    if unused and (alone or not phase.second_order):  # what a penalty does not depend on, a phase beside it may
        raise ValueError(f"parameter {unused[0]} has no part in the cost of {phase.name}; remove it or freeze it")


def _try_out(family: Family, networks: Mapping[str, nn.Module]) -> None:
    """Let two blank samples through, so that a network that does not fit is refused here and by name."""
    batch = Batch(
        torch.zeros(2, *family.spec.shape),
        blank_condition(family.spec, 2),
        torch.zeros((), dtype=torch.int64),
        Noise.whole(0, "cpu", 2),
    )
    try:
        with torch.enable_grad():
            for phase in family.phases():
                _check_reached(family, phase, phase.loss(batch).value)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        own = ", ".join(f"{role} ({type(module).__name__})" for role, module in networks.items())
        raise UsageError(
            f"own networks do not fit samples of shape {family.spec.shape}: {own}: {str(error).splitlines()[0]}; "
            "docs/api.md has the shapes that each takes and gives"
        ) from None
