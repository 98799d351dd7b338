"""The presets of GANs on the built-in digits say what their papers say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ficta import presets
from ficta.api import recipe_for
from ficta.compute.collectives import Collectives
from ficta.compute.device import Way
from ficta.data.dataset import Dataset, Store
from ficta.data.ingest import ingest
from ficta.models.family import couples_samples
from ficta.models.gan import Gan, GanSettings
from ficta.models.registry import build
from ficta.nets.parts import Act
from ficta.nets.spectral import Spectral
from ficta.train.recipe import Recipe
from ficta.train.stepper import Stepper

NAMES = ("dcgan", "lsgan", "wgan-gp", "sngan", "r3gan", "acgan", "projection")
DCGAN_LIKE, SNGAN_LIKE, BY_LABEL = ("dcgan", "lsgan", "acgan"), ("sngan", "projection"), ("acgan", "projection")
NONE = {"r1": 0, "r2": 0, "one_centred": 0}
# loss; weights of penalties; rate and betas of both optimisers; discriminator steps a generator step; batch
PAPERS: dict[str, tuple[str, dict[str, float], tuple[float, tuple[float, float]], int, int]] = {
    "dcgan": ("non-saturating", NONE, (2e-4, (0.5, 0.999)), 1, 128),
    "lsgan": ("least-squares", NONE, (2e-4, (0.5, 0.999)), 1, 128),
    "acgan": ("non-saturating", NONE, (2e-4, (0.5, 0.999)), 1, 128),
    "wgan-gp": ("wasserstein", {**NONE, "one_centred": 10}, (1e-4, (0, 0.9)), 5, 64),
    "sngan": ("hinge", NONE, (2e-4, (0, 0.9)), 5, 64),
    "projection": ("hinge", NONE, (2e-4, (0, 0.9)), 5, 64),
    "r3gan": ("relativistic", {**NONE, "r1": 1, "r2": 1}, (2e-4, (0, 0.99)), 1, 64),
}


@pytest.fixture(scope="module")
def digits() -> dict[bool, Dataset]:
    """With labels and without."""
    return {
        by_label: ingest(recipe_for("gan", "digits", {"data": {"conditional": by_label}}).data)
        for by_label in (False, True)
    }


def made(name: str, digits: dict[bool, Dataset]) -> tuple[Gan, GanSettings, Recipe]:
    torch.manual_seed(0)
    recipe = recipe_for(name, "digits", {})
    family = build(recipe.family, recipe.model, digits[recipe.data.conditional].codec.spec)
    assert isinstance(family, Gan)
    assert isinstance(family.settings, GanSettings)
    return family, family.settings, recipe


def kinds(network: nn.Module, *wanted: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, wanted)]


def layers(network: nn.Module) -> list[nn.Module]:
    return kinds(network, nn.Linear, nn.modules.conv._ConvNd)


def normed(network: nn.Module) -> int:
    return len(kinds(network, nn.modules.batchnorm._BatchNorm, nn.GroupNorm))


def activations(network: nn.Module) -> set[str]:
    return {module.kind for module in kinds(network, Act) if isinstance(module, Act)}


def test_every_paper_has_its_row() -> None:
    assert set(NAMES) == PAPERS.keys() <= set(presets.names())


@pytest.mark.parametrize("name", NAMES)
def test_losses_penalties_and_optimisers(name: str, digits: dict[bool, Dataset]) -> None:
    _, settings, recipe = made(name, digits)
    loss, penalties, optimiser, every, batch = PAPERS[name]
    assert (settings.loss, settings.generator_every, recipe.train.batch) == (loss, every, batch)
    found = {"r1": settings.r1_gamma, "r2": settings.r2_gamma, "one_centred": settings.one_centred}
    assert found == penalties
    for each in (settings.generator_optimiser, settings.discriminator_optimiser):
        assert (each.kind, each.weight_decay, (each.rate, each.betas)) == ("adam", 0, optimiser)
    assert (settings.clip_weights, settings.augment.kind, settings.output) == (None, "none", "tanh")


@pytest.mark.parametrize("name", NAMES)
def test_penalties_are_paid_at_every_step(name: str, digits: dict[bool, Dataset]) -> None:
    family, settings, _ = made(name, digits)
    paid = max(PAPERS[name][1].values()) > 0
    assert [(phase.name, phase.second_order) for phase in family.phases()] == [
        ("discriminator", paid),
        ("generator", False),
    ]
    assert settings.one_centred_at == "between"


@pytest.mark.parametrize("name", DCGAN_LIKE)
def test_networks_of_dcgan(name: str, digits: dict[bool, Dataset]) -> None:
    family, settings, _ = made(name, digits)
    generator, discriminator = family.generator, family.discriminator
    assert settings.latent_dim == 100
    assert not kinds(generator, nn.MaxPool2d, nn.AvgPool2d, nn.Upsample)
    # of 8x8 two stages: 2x2x128 to 4x4x64 to the picture, and back
    assert [tuple(layer.weight.shape[:2]) for layer in kinds(generator, nn.ConvTranspose2d)] == [(128, 64), (64, 1)]
    assert [tuple(layer.weight.shape[:2]) for layer in kinds(discriminator, nn.Conv2d)] == [(64, 1), (128, 64)]
    assert [layer.kernel_size for layer in layers(generator)[1:] + layers(discriminator)[:-1]] == [(4, 4)] * 4
    assert [layer.stride for layer in layers(generator)[1:] + layers(discriminator)[:-1]] == [(2, 2)] * 4
    assert (activations(generator), activations(discriminator)) == ({"relu"}, {"leaky_relu"})
    # in every layer but the generator's last, the discriminator's first and its last
    assert (normed(generator), len(layers(generator))) == (2, 3)
    assert (normed(discriminator), len(layers(discriminator))) == (1, 3)
    assert all(
        isinstance(norm, nn.modules.batchnorm._BatchNorm) for norm in kinds(family, nn.modules.batchnorm._NormBase)
    )
    for layer in layers(family):
        assert isinstance(layer.weight, Tensor)
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert any(couples_samples(family, phase) for phase in family.phases())


def test_of_lsgan_and_acgan_all_but_one_thing_is_dcgan(digits: dict[bool, Dataset]) -> None:
    plain = made("dcgan", digits)[1].model_dump()
    assert made("lsgan", digits)[1].model_dump() == {**plain, "loss": "least-squares"}
    assert made("acgan", digits)[1].model_dump() == {**plain, "labels": "auxiliary"}


def test_projection_is_sngan_that_is_told_labels(digits: dict[bool, Dataset]) -> None:
    plain, told = made("sngan", digits), made("projection", digits)
    assert plain[1] == told[1]
    assert told[1].labels == "projection"
    assert (plain[2].data.conditional, told[2].data.conditional) == (False, True)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_heard_where_the_paper_is_about_them(name: str, digits: dict[bool, Dataset]) -> None:
    family, _, recipe = made(name, digits)
    assert recipe.data.conditional == (name in BY_LABEL)
    assert family.classes == (10 if name in BY_LABEL else 0)
    assert family.outputs(torch.zeros(4, 1, 8, 8)).shape == (4, 1 + family.classes)


@pytest.mark.parametrize("name", SNGAN_LIKE)
def test_networks_of_sngan(name: str, digits: dict[bool, Dataset]) -> None:
    family, settings, _ = made(name, digits)
    assert (settings.generator.kind, settings.discriminator.kind, settings.latent_dim) == ("resnet", "resnet", 128)
    assert len(kinds(family.discriminator, Spectral)) == len(layers(family.discriminator))
    assert not kinds(family.generator, Spectral)
    assert normed(family.discriminator) == 0
    assert kinds(family.generator, nn.BatchNorm2d)
    assert activations(family) == {"relu"}
    assert layers(family.discriminator)[-1].in_features == 64  # the sum over places of the last block
    assert (settings.generator.resnet.initial, settings.discriminator.resnet.initial) == ("glorot", "glorot")


def test_a_critic_of_wgan_gp_has_no_normalisation(digits: dict[bool, Dataset]) -> None:
    family, _, _ = made("wgan-gp", digits)
    assert normed(family.discriminator) == 0
    assert not kinds(family, Spectral)
    assert not any(couples_samples(family, phase) for phase in family.phases())


def test_networks_of_r3gan_have_no_normalisation_at_all(digits: dict[bool, Dataset]) -> None:
    family, settings, _ = made("r3gan", digits)
    assert (settings.generator.kind, settings.discriminator.kind) == ("resnet", "resnet")
    assert normed(family) == 0
    assert not kinds(family, Spectral)
    assert activations(family) == {"leaky_relu"}


@pytest.mark.parametrize("name", NAMES)
def test_three_steps_on_digits(name: str, digits: dict[bool, Dataset]) -> None:
    family, settings, recipe = made(name, digits)
    dataset = digits[recipe.data.conditional]
    store = Store(dataset.splits["train"], torch.device("cpu"), 2**30)
    train: Any = recipe.train.model_copy(update={"batch": 16})
    before = {label: value.detach().clone() for label, value in family.named_parameters()}
    stepper = Stepper(family, dataset.codec, store, train, 64, 0, torch.device("cpu"), Collectives(), Way(threads=1))
    for _ in range(3):
        stepper.advance()
    assert stepper.is_finite()
    means = stepper.take_means()
    penalties = {label for label, weight in PAPERS[name][1].items() if weight}
    read = {"real_label_nats", "fake_label_nats", "made_label_nats"} if settings.labels == "auxiliary" else set()
    assert means.keys() == {"discriminator", "generator", "real_logit", "fake_logit", *penalties, *read}
    moved = {label.split(".")[0] for label, value in family.named_parameters() if not torch.equal(value, before[label])}
    assert moved == {"generator", "discriminator"}
    samples = family.decode(torch.randn(2, settings.latent_dim), torch.tensor([0, 9]) if family.classes else None)
    assert samples.shape == (2, 1, 8, 8)
