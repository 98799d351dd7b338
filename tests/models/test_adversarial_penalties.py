"""Penalties in the game: when they are paid, where the gradient is taken, what they cost; clipped weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from gan_making import LABELLED, NO_PENALTY, SLOPE_5, Affine, HalfSquare, always, batch, gan
from torch import nn

from ficta.base.errors import UsageError
from ficta.compute.collectives import Collectives


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"penalty_every": 1}, [("discriminator", 1, True), ("generator", 1, False)]),
        ({**NO_PENALTY, "penalty_every": 1}, [("discriminator", 1, False), ("generator", 1, False)]),
        (
            {**NO_PENALTY, "r2_gamma": 0.1, "penalty_every": 4},
            [("discriminator", 1, False), ("penalty", 4, True), ("generator", 1, False)],
        ),
        (
            {**NO_PENALTY, "one_centred": 10, "penalty_every": 1, "generator_every": 5},
            [("discriminator", 1, True), ("generator", 5, False)],
        ),
    ],
)
def test_a_penalty_at_every_step_is_part_of_the_loss(settings: dict[str, Any], expected: list[object]) -> None:
    assert [(phase.name, phase.every, phase.second_order) for phase in gan(settings).phases()] == expected


@pytest.mark.parametrize("weight", ["r1_gamma", "r2_gamma", "one_centred"])
def test_penalties_are_not_taken_where_samples_are_normalised_together(weight: str) -> None:
    judge = nn.Sequential(Affine([[1, 0, 0, 0]], [0]), nn.BatchNorm1d(1))
    with pytest.raises(UsageError, match=r"batch normalisation .* set model\.r1_gamma"):
        gan({**NO_PENALTY, weight: 0.5}, discriminator=judge).phases()
    assert len(gan(NO_PENALTY, discriminator=judge).phases()) == 2


@pytest.mark.parametrize(
    ("settings", "cost", "terms"),
    [
        # the gradient is the weight, of length 5: half its square, and the square of 5 - 1
        ({"r1_gamma": 3.0}, 37.5, {"r1": 12.5}),
        ({**NO_PENALTY, "r2_gamma": 2.0}, 25, {"r2": 12.5}),
        ({**NO_PENALTY, "one_centred": 10.0}, 160, {"one_centred": 16}),
        ({**NO_PENALTY, "one_centred": 10.0, "one_centred_at": "around"}, 160, {"one_centred": 16}),
        ({"r1_gamma": 1.0, "r2_gamma": 2.0, "one_centred": 0.5}, 45.5, {"r1": 12.5, "r2": 12.5, "one_centred": 16}),
    ],
)
@pytest.mark.parametrize("every", [1, 6])
def test_penalties_of_a_slope_of_5(settings: dict[str, Any], cost: float, terms: dict[str, float], every: int) -> None:
    data = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    family, without = (
        gan({**each, "penalty_every": every}, discriminator=Affine(SLOPE_5, [0.7])) for each in (settings, NO_PENALTY)
    )
    game, bare = family.discriminator_loss(batch(data)), without.discriminator_loss(batch(data))
    found = game.value - bare.value if every == 1 else family.penalty(batch(data)).value
    assert found.tolist() == pytest.approx([cost * every] * 5, rel=1e-4)
    reported = {**game.terms, **family.penalty(batch(data)).terms}
    assert {name: reported[name].tolist() for name in terms} == {name: [term] * 5 for name, term in terms.items()}
    assert reported.keys() == {"real_logit", "fake_logit", *terms}
    assert game.terms.keys() - bare.terms.keys() == (terms.keys() if every == 1 else set())


def test_r1_is_taken_at_real_samples_and_r2_at_generated_ones() -> None:
    # half the square of what is asked about: of (3, 0, 0, 0) 4.5, of (0, 0, 0, -4) 8
    family = gan({"r2_gamma": 1.0, "output": "linear"}, generator=always(0, 0, 0, -4), discriminator=HalfSquare())
    real = torch.tensor([[3.0, 0, 0, 0]] * 2)
    for every in (1, 16):
        family.settings = family.settings.model_copy(update={"penalty_every": every})
        terms = (family.discriminator_loss if every == 1 else family.penalty)(batch(real)).terms
        assert (terms["r1"].tolist(), terms["r2"].tolist()) == ([4.5] * 2, [8] * 2)


def test_between_is_the_same_share_of_the_way_for_all_of_a_sample() -> None:
    # from (3, 0, 0, 0) to (0, 4, 0, 0): a share u of the way it is (3 (1 - u), 4 u), and so is the gradient
    settings = {**NO_PENALTY, "one_centred": 1.0, "output": "linear"}
    family = gan(settings, generator=always(0, 4, 0, 0), discriminator=HalfSquare())
    found = family.penalty(batch(torch.tensor([[3.0, 0, 0, 0]]).expand(1000, -1)))
    (asked,) = family.discriminator.asked
    share = asked[:, 1] / 4
    torch.testing.assert_close(asked[:, 0], 3 * (1 - share))
    assert (asked[:, 2:] == 0).all()
    assert 0 <= share.min() < 0.01 < 0.99 < share.max() <= 1
    assert share.mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 1000))
    lengths = (9 * (1 - share) ** 2 + 16 * share**2).sqrt()
    torch.testing.assert_close(found.terms["one_centred"], (lengths - 1) ** 2)


def test_around_is_real_samples_and_a_quarter_of_normal_noise() -> None:
    settings = {**NO_PENALTY, "one_centred": 1.0, "one_centred_at": "around"}
    family = gan(settings, discriminator=HalfSquare())
    real = torch.tensor([[3.0, -1, 0, 2]]).expand(1000, -1)
    found = family.penalty(batch(real))
    (asked,) = family.discriminator.asked
    off = asked - real
    assert off.mean(0).tolist() == pytest.approx([0] * 4, abs=4 * 0.25 / math.sqrt(1000))
    assert off.std(0).tolist() == pytest.approx([0.25] * 4, rel=4 / math.sqrt(2000))
    assert torch.corrcoef(off.T).sub(torch.eye(4)).abs().max() < 4 / math.sqrt(1000)
    torch.testing.assert_close(found.terms["one_centred"], (asked.norm(dim=1) - 1) ** 2)


@pytest.mark.parametrize(("labels", "expected"), [("projection", [4.5, 12.5]), ("auxiliary", [0.5, 0.5])])
def test_what_is_penalised_is_the_logit_that_is_judged_by(labels: str, expected: list[float]) -> None:
    # common slope (1, 0, 0, 0); that of class a (2, 0, 0, 0), of class c (3, 3, 0, 0): 9 / 2 and (16 + 9) / 2
    slopes = Affine([[1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [3, 3, 0, 0]], [0] * 4)
    family = gan({"labels": labels}, LABELLED, discriminator=slopes)
    assert family.penalty(batch(torch.ones(2, 4), torch.tensor([0, 2]))).terms["r1"].tolist() == expected


def test_weights_are_clipped_after_a_step_and_those_of_the_discriminator_alone() -> None:
    family = gan({**NO_PENALTY, "clip_weights": 0.25}, discriminator=Affine([[1, -2, 0.125, 0]], [0.7]))
    before = [parameter.clone() for parameter in family.generator.parameters()]
    family.discriminator_loss(batch(torch.zeros(2, 4)))
    assert family.discriminator.weight.tolist() == [[1, -2, 0.125, 0]]
    family.after_step(torch.tensor(2), Collectives())
    assert family.discriminator.weight.tolist() == [[0.25, -0.25, 0.125, 0]]
    assert family.discriminator.bias.tolist() == [0.25]
    assert all(torch.equal(*pair) for pair in zip(family.generator.parameters(), before, strict=True))
    free = gan({}, discriminator=Affine([[1, -2, 0.125, 0]], [0.5]))
    free.after_step(torch.tensor(2), Collectives())
    assert free.discriminator.weight.tolist() == [[1, -2, 0.125, 0]]
