"""The game: relative losses, labels that are read, what is judged together and what is seen, on paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from gan_making import LABELLED, ROW, SLOPE_5, Affine, HalfSquare, always, batch, gan
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, columns_spec
from ficta.compute.collectives import Collectives
from ficta.models.gan import Gan
from ficta.nets.augment import Augment, AugmentSettings
from ficta.nets.parts import MinibatchDeviation

LN = {number: math.log(number) for number in range(1, 10)}
PICTURE = Spec(("channel", "height", "width"), (1, 8, 8), "continuous")
LOSSES = ["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"]


class Judge(Affine):
    """Affine; notes what it is asked about."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        self.asked.append(x.detach().clone())
        return super().forward(x)


# sides


@pytest.mark.parametrize("loss", LOSSES)
def test_only_a_relativistic_generator_is_judged_beside_the_data(loss: str) -> None:
    # logits: 2 x1, of fakes 0; of the data 1 and -2, or 4 and 0
    costs = []
    for data in ([[0.5, 1, 1, 1], [-1, 1, 1, 1]], [[2.0, 0, 0, 0], [0, 0, 0, 0]]):
        family = gan({"loss": loss}, generator=always(0, 0, 0, 0), discriminator=Affine([[2, 0, 0, 0]], [0]))
        costs.append(family.generator_loss(batch(torch.tensor(data))).value.tolist())
    if loss == "relativistic":
        assert costs[0] == pytest.approx([math.log1p(math.e), math.log1p(math.exp(-2))])
        assert costs[1] == pytest.approx([math.log1p(math.exp(4)), LN[2]])
    else:
        assert costs[0] == costs[1]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_generator_is_moved_by_what_is_said_of_its_own_samples(loss: str) -> None:
    family = gan({"loss": loss, "output": "linear"}, generator=always(0, 0, 0, 0), discriminator=Affine(SLOPE_5, [0]))
    cost = family.generator_loss(batch(torch.zeros(2, 4))).value.mean()
    (gradient,) = torch.autograd.grad(cost, family.generator.bias)
    # the slope, times that of the loss where both logits are 0
    own = {"least-squares": -1.0, "hinge": -1.0, "wasserstein": -1.0}.get(loss, -0.5)
    assert gradient.tolist() == pytest.approx([own * slope for slope in SLOPE_5[0]])


# labels that are read


def test_an_auxiliary_classifier_reads_labels_of_both_halves() -> None:
    # D says 3/4 of all. Classes of fakes, which are 0: 1, 2, 5 of 8. Of real ones with x1 = 1: 2, 2, 5 of 9.
    judge = Affine([[0, 0, 0, 0], [LN[2], 0, 0, 0], [0] * 4, [0] * 4], [LN[3], 0, LN[2], LN[5]])
    family = gan({"labels": "auxiliary"}, LABELLED, generator=always(0, 0, 0, 0), discriminator=judge)
    given = batch(torch.tensor([[1.0, 0, 0, 0]] * 2), torch.tensor([0, 2]))
    losses = family.discriminator_loss(given)
    real, fake = [math.log(9 / 2), math.log(9 / 5)], [LN[8], math.log(8 / 5)]
    assert losses.terms["real_label_nats"].tolist() == pytest.approx(real)
    assert losses.terms["fake_label_nats"].tolist() == pytest.approx(fake)
    logistic = math.log(4 / 3) + LN[4]
    assert losses.value.tolist() == pytest.approx([logistic + sum(nats) for nats in zip(real, fake, strict=True)])
    made = family.generator_loss(given)
    assert made.terms["made_label_nats"].tolist() == pytest.approx(fake)
    assert made.value.tolist() == pytest.approx([math.log(4 / 3) + nats for nats in fake])


def test_evidence_beside_a_classifier_is_the_first_output_alone() -> None:
    outputs = Affine([[1, 0, 0, 0]] * 4, [1, 10, 20, 30])
    family = gan({"labels": "auxiliary"}, LABELLED, discriminator=outputs)
    assert family.logits(torch.eye(4)[:3], torch.tensor([0, 2, 1])).tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    "spec", [ROW, columns_spec((Span("a", 2),), columns_spec((Span("b", 3),)))], ids=["none", "row"]
)
def test_what_has_no_labels_cannot_be_read(spec: Spec) -> None:
    with pytest.raises(UsageError, match=r"labels = 'auxiliary'.*--conditional"):
        gan({"labels": "auxiliary"}, spec)


# judged apart or together


def test_samples_are_judged_together_where_they_do_not_mind() -> None:
    family = gan({}, generator=always(0, 0, 0, 0), discriminator=Judge(SLOPE_5, [0]))
    real = torch.ones(3, 4)
    family.discriminator_loss(batch(real))
    assert [each.tolist() for each in family.discriminator.asked] == [[[1] * 4] * 3 + [[0] * 4] * 3]


@pytest.mark.parametrize("coupling", [nn.BatchNorm1d(1), MinibatchDeviation()], ids=["batch norm", "deviation"])
def test_samples_that_mind_each_other_are_judged_apart(coupling: nn.Module) -> None:
    judge = Judge(SLOPE_5, [0])
    family = gan({"r1_gamma": 0.0}, generator=always(0, 0, 0, 0), discriminator=nn.Sequential(judge, coupling))
    family.discriminator_loss(batch(torch.ones(4, 4)))
    assert [each.tolist() for each in judge.asked] == [[[1] * 4] * 4, [[0] * 4] * 4]


def test_each_half_is_normalised_by_itself() -> None:
    # logits 100 and 102 of real samples, -7 of fakes: by themselves -1 and 1, and 0; together they would be far apart
    judge = nn.Sequential(Affine([[1, 0, 0, 0]], [0]), nn.BatchNorm1d(1, eps=1e-12))
    family = gan({"output": "linear", "r1_gamma": 0.0}, generator=always(-7, 0, 0, 0), discriminator=judge)
    terms = family.discriminator_loss(batch(torch.tensor([[100.0, 0, 0, 0], [102, 0, 0, 0]]))).terms
    assert terms["real_logit"].tolist() == pytest.approx([-1, 1])
    assert terms["fake_logit"].tolist() == pytest.approx([0, 0])


# what the discriminator sees


class Add(nn.Module):
    """In place of augmentation: adds a number to a sample, and notes which."""

    numbers = 1

    def __init__(self) -> None:
        super().__init__()
        self.added: list[Tensor] = []

    def forward(self, x: Tensor, uniform: Tensor) -> Tensor:
        self.added.append(uniform)
        return x + 10 * uniform

    def watch(self, real_logits: Tensor) -> None:
        pass


def changing(settings: dict[str, Any]) -> tuple[Gan, Add]:
    family = gan({"output": "linear", **settings}, generator=always(0, 0, 0, 0), discriminator=HalfSquare())
    add = Add()
    family.augment = add  # type: ignore[assignment]
    return family, add


REAL = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]])


def test_both_sides_are_changed_and_differently() -> None:
    family, add = changing({})
    family.discriminator_loss(batch(REAL))
    real, fake = add.added
    assert real.shape == fake.shape == (3, 1)
    assert not torch.isclose(torch.cat([real, fake]), torch.cat([fake, real])).any()
    (asked,) = family.discriminator.asked
    torch.testing.assert_close(asked, torch.cat([REAL + 10 * real, (10 * fake).expand(-1, 4)]))


def test_a_generator_is_judged_by_changed_samples_and_the_gradient_comes_back_through_the_change() -> None:
    family, add = changing({"loss": "relativistic"})
    cost = family.generator_loss(batch(REAL)).value.sum()
    fake, real = add.added
    of_fakes, of_real = family.discriminator.asked
    torch.testing.assert_close(of_fakes, (10 * fake).expand(-1, 4))
    torch.testing.assert_close(of_real, REAL + 10 * real)
    (gradient,) = torch.autograd.grad(cost, family.generator.bias)
    distance = (of_real.square().sum(1) - of_fakes.square().sum(1)) / 2
    torch.testing.assert_close(gradient, (-distance.sigmoid()[:, None] * of_fakes).sum(0))


@pytest.mark.parametrize("every", [1, 16])
def test_the_penalty_is_taken_at_what_is_seen(every: int) -> None:
    family, add = changing({"r2_gamma": 1.0, "one_centred": 1.0, "penalty_every": every})
    terms = (family.discriminator_loss if every == 1 else family.penalty)(batch(REAL)).terms
    assert len(add.added) == 2  # what is penalised has been changed once
    *_, between = family.discriminator.asked
    real, fake = add.added
    seen = {"r1": REAL + 10 * real, "r2": (10 * fake).expand(-1, 4)}
    for name, x in seen.items():
        torch.testing.assert_close(terms[name], x.square().sum(1) / 2)
    share = (between - seen["r1"]) / (seen["r2"] - seen["r1"])
    torch.testing.assert_close(share, share[:, :1].expand(-1, 4), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(terms["one_centred"], (between.norm(dim=1) - 1) ** 2)


@pytest.mark.parametrize(
    ("loss", "real", "after"),
    # the logit of fakes is -9: -1 by itself says "generated", beside a fake "real"
    [
        ("non-saturating", -1.0, 0.46),
        ("relativistic", -1.0, 0.54),
        ("non-saturating", 0.25, 0.54),
        # targets are 1 and 0
        ("least-squares", 0.25, 0.46),
        ("least-squares", 0.75, 0.54),
    ],
)
def test_adaptive_augmentation_watches_real_samples_or_pairs(loss: str, real: float, after: float) -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * x.mean((1, 2, 3))[:, None]

    settings = {"kind": "ada", "target": 0.5, "samples": 100}
    generator = nn.Sequential(always(*[-9] * 64), nn.Unflatten(1, (1, 8, 8)))
    family = gan({"loss": loss, "output": "linear"}, PICTURE, generator=generator, discriminator=Mean())
    family.augment = Augment(AugmentSettings.read(settings, "model.augment"), PICTURE.shape)
    assert "augment.probability" in family.state_dict()
    family.discriminator_loss(batch(torch.full((4, 1, 8, 8), real)))
    family.generator_loss(batch(torch.full((4, 1, 8, 8), 1.0)))
    family.augment.probability.fill_(0.5)
    family.after_step(torch.tensor(4), Collectives())
    assert family.augment.probability.item() == pytest.approx(after)


@pytest.mark.parametrize("kind", ["none", "diff", "ada"])
def test_augmentation_is_of_what_is_judged_and_not_of_what_is_made(kind: str) -> None:
    conv = {"conv": {"width": 2}}
    made = {}
    for each in ("none", kind):
        family = gan({"augment": {"kind": each}, "generator": conv, "discriminator": conv}, PICTURE)
        made[each] = family.decode(torch.ones(2, 3))
    assert torch.equal(made["none"], made[kind])
