"""The presets are the article's networks, layer by layer, with its mistakes mended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ficta import presets
from ficta.api import recipe_for
from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.device import Way
from ficta.data.dataset import Split, Store
from ficta.models.family import Family
from ficta.models.registry import build
from ficta.nets.parts import Act
from ficta.train.recipe import Recipe
from ficta.train.stepper import Stepper

SPEC = Spec(("channel", "height", "width"), (1, 28, 28), "continuous", 256)
GREY = 28 * 28

CONV_32 = ("conv", 1, 32, 3, 2, 1 * 32 * 9 + 32)
CONV_64 = ("conv", 32, 64, 3, 2, 32 * 64 * 9 + 64)
FLAT = 64 * 7 * 7
UP_64 = ("up", 64, 64, 3, 2, 64 * 64 * 9 + 64)
UP_32 = ("up", 64, 32, 3, 2, 64 * 32 * 9 + 32)
LAST_1 = ("up", 32, 1, 3, 1, 32 * 1 * 9 + 1)


def dense(inputs: int, outputs: int) -> tuple[object, ...]:
    return ("dense", inputs, outputs, inputs * outputs + outputs)


ARTICLE = {
    ("article-vae", "encoder"): [CONV_32, "relu", CONV_64, "relu", dense(FLAT, 16), "relu", dense(16, 2 * 2)],
    ("article-vae", "decoder"): [dense(2, FLAT), "relu", UP_64, "relu", UP_32, "relu", LAST_1],
    ("article-gan", "discriminator"): [CONV_32, "relu", CONV_64, "relu", dense(FLAT, 1)],
    ("article-gan", "generator"): [dense(2, FLAT), "relu", UP_64, "relu", UP_32, "relu", LAST_1],
    ("article-gan-dense", "discriminator"): [dense(GREY, 128), "relu", dense(128, 1)],
    ("article-gan-dense", "generator"): [
        *(dense(100, 128 * 7 * 7), "relu", ("up", 128, 64, 5, 2, 128 * 64 * 25 + 64), "relu"),
        ("up", 64, 1, 5, 2, 64 * 1 * 25 + 1),
    ],
}
PARAMETERS = {  # by hand, as the tutorial's model.summary() would say with its mistakes mended
    ("article-vae", "encoder"): 320 + 18_496 + 50_192 + 68,
    ("article-vae", "decoder"): 9_408 + 36_928 + 18_464 + 289,
    ("article-gan", "discriminator"): 320 + 18_496 + 3_137,
    ("article-gan", "generator"): 9_408 + 36_928 + 18_464 + 289,
    ("article-gan-dense", "discriminator"): 100_480 + 129,
    ("article-gan-dense", "generator"): 633_472 + 204_864 + 1_601,
}


def family_of(name: str) -> tuple[Family, Recipe]:
    recipe = recipe_for(name, "mnist", {})
    return build(recipe.family, recipe.model, SPEC), recipe


def layers(network: nn.Module) -> list[object]:
    found: list[object] = []
    for layer in network.modules():
        size = sum(p.numel() for p in layer.parameters())
        match layer:
            case nn.Linear():
                found.append(("dense", layer.in_features, layer.out_features, size))
            case nn.Conv2d() | nn.ConvTranspose2d():
                assert layer.kernel_size[0] == layer.kernel_size[1]
                kind = "conv" if isinstance(layer, nn.Conv2d) else "up"
                shape = (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
                found.append((kind, *shape, size))
            case Act():
                found.append(layer.kind)
            case _:
                assert not list(layer.parameters(recurse=False)), layer
    return found


def test_there_are_these_presets() -> None:
    assert {"article-vae", "article-gan", "article-gan-dense"} <= set(presets.names())
    assert all(presets.load(name)["about"] for name in presets.names())


@pytest.mark.parametrize(("name", "role"), ARTICLE)
def test_layers_and_parameters(name: str, role: str) -> None:
    family, _ = family_of(name)
    network = getattr(family, role)
    found = layers(network)
    if role in ("decoder", "generator"):  # modules are listed as they were made: dense first, as they run
        assert found[0] == ARTICLE[name, role][0]
    assert found == ARTICLE[name, role]
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name, role]


@pytest.mark.parametrize(("name", "role"), ARTICLE)
def test_shapes_on_the_way(name: str, role: str) -> None:
    family, recipe = family_of(name)
    network = getattr(family, role)
    passed: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _layer, _given, out: passed.append(tuple(out.shape[1:])))
    latent = recipe.model["latent_dim"]
    decoding = role in ("decoder", "generator")
    network(torch.zeros(2, latent) if decoding else torch.zeros(2, 1, 28, 28))
    expected = {
        ("article-vae", "encoder"): [(32, 14, 14), (64, 7, 7), (16,), (4,)],
        ("article-vae", "decoder"): [(3136,), (64, 14, 14), (32, 28, 28), (1, 28, 28)],
        ("article-gan", "discriminator"): [(32, 14, 14), (64, 7, 7), (1,)],
        ("article-gan", "generator"): [(3136,), (64, 14, 14), (32, 28, 28), (1, 28, 28)],
        ("article-gan-dense", "discriminator"): [(128,), (1,)],
        ("article-gan-dense", "generator"): [(6272,), (64, 14, 14), (1, 28, 28)],
    }
    assert passed == expected[name, role]


@pytest.mark.parametrize("name", ["article-vae", "article-gan", "article-gan-dense"])
def test_the_rest_of_the_article(name: str) -> None:
    _, recipe = family_of(name)
    train, model = recipe.train, recipe.model
    assert (train.batch, train.epochs, train.ema_samples, train.decay, train.warmup_samples) == (32, 50, 0, "none", 0)
    assert recipe.data.image.channels == 1
    optimisers = [value for key, value in model.items() if key.endswith("optimiser")]
    rate, betas = {  # Keras' defaults; the article's own rate; mended, as the preset says
        "article-vae": (1e-3, [0.9, 0.999]),
        "article-gan-dense": (1e-4, [0.9, 0.999]),
        "article-gan": (2e-4, [0.5, 0.999]),
    }[name]
    assert optimisers
    for optimiser in optimisers:
        assert (optimiser["kind"], optimiser["rate"], optimiser["weight_decay"]) == ("adam", rate, 0)
        assert (list(optimiser["betas"]), optimiser["epsilon"]) == (betas, 1e-7)
    assert model["latent_dim"] == (100 if name == "article-gan-dense" else 2)
    if name == "article-vae":
        assert (model["head"], model["beta"], model["free_bits_nats"]) == ("grey-bce", 1, 0)
    else:
        assert (model["loss"], model["r1_gamma"], model["generator_every"]) == ("non-saturating", 0, 1)


@pytest.mark.parametrize("name", [name for name in presets.names() if name.startswith("article")])
def test_three_steps(name: str) -> None:
    family, recipe = family_of(name)
    pictures = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), np.uint8)

    class Pixels:
        def encode(self, stored: torch.Tensor, noise: object = None) -> torch.Tensor:
            return stored.to(torch.float32) / 127.5 - 1

        def condition(self, *_: object) -> None:
            return None

    store = Store(Split(pictures, np.arange(64), None), torch.device("cpu"), 2**30)
    before = [value.detach().clone() for value in family.parameters()]
    stepper = Stepper(
        family,
        Pixels(),  # type: ignore[arg-type]
        store,
        recipe.train,
        64,
        0,
        torch.device("cpu"),
        Collectives(),
        Way(threads=1),
    )
    for _ in range(3):
        stepper.advance()
    assert stepper.seen == 96
    assert stepper.is_finite()
    assert all(np.isfinite(value) for value in stepper.take_means().values())
    assert any(not torch.equal(value, old) for value, old in zip(family.parameters(), before, strict=True))
