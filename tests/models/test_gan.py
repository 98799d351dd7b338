"""GAN: phases, and costs of a linear discriminator worked out on paper."""

import math

import pytest
import torch
from gan_making import LABELLED, ROW, Affine, batch, gan
from torch import Tensor

from ficta.base.spec import Span, Spec, columns_spec
from ficta.compute.noise import Noise
from ficta.models.family import Bounds, Decodes, Encodes, SampleSettings
from ficta.nets.parts import LOUD

ROWS = columns_spec((Span("age", 2, (0,)), Span("one", 1)))


def test_phases_in_order() -> None:
    family = gan({"penalty_every": 8, "generator_every": 5})
    turns = [(phase.name, phase.modules, phase.optimiser, phase.every) for phase in family.phases()]
    assert turns == [
        ("discriminator", ("discriminator",), "discriminator", 1),
        ("penalty", ("discriminator",), "discriminator", 8),
        ("generator", ("generator",), "generator", 5),
    ]
    assert [phase.second_order for phase in family.phases()] == [False, True, False]
    assert not any(phase.couples_samples for phase in family.phases())


def test_without_gamma_there_is_no_penalty() -> None:
    assert [phase.name for phase in gan({"r1_gamma": 0}).phases()] == ["discriminator", "generator"]


@pytest.mark.parametrize(("gamma", "every"), [(1.0, 2), (1.0, 16), (10.0, 4)])
def test_penalty_stands_for_the_steps_between(gamma: float, every: int) -> None:
    # the gradient of a linear logit is its weight: 1/2 (1 + 4 + 4 + 16) = 12.5, whatever the data
    family = gan({"r1_gamma": gamma, "penalty_every": every}, discriminator=Affine([[1, 2, -2, 4]], [0.7]))
    losses = family.penalty(batch(torch.randn(5, 4, generator=torch.Generator().manual_seed(1))))
    assert losses.value.tolist() == pytest.approx([12.5 * gamma * every] * 5)
    assert losses.terms["r1"].tolist() == pytest.approx([12.5] * 5)  # what is reported is the penalty itself


def test_penalty_moves_the_discriminator() -> None:
    family = gan({"r1_gamma": 2.0, "penalty_every": 3}, discriminator=Affine([[1, 2, -2, 4]], [0.7]))
    cost = family.penalty(batch(torch.zeros(5, 4))).value.mean()
    (gradient,) = torch.autograd.grad(cost, family.discriminator.weight)
    assert gradient.tolist() == [[6, 12, -12, 24]]  # d/dw 1/2 |w|^2 * 6


def test_penalty_takes_batches_that_need_no_gradient_and_leaves_them_so() -> None:
    data = torch.zeros(5, 4)
    gan({}).penalty(batch(data))
    assert not data.requires_grad


def test_costs_worked_on_paper() -> None:
    # the discriminator looks at nothing and says 3/4 "real": real costs -ln 3/4, fake -ln 1/4
    never_minding = Affine([[0, 0, 0, 0]], [math.log(3)])
    data = torch.zeros(2, 4)
    family = gan({}, discriminator=never_minding)
    assert family.discriminator_loss(batch(data)).value.tolist() == pytest.approx([math.log(16 / 3)] * 2)
    assert family.generator_loss(batch(data)).value.tolist() == pytest.approx([math.log(4 / 3)] * 2)
    minimax = gan({"loss": "minimax"}, discriminator=never_minding)
    assert minimax.discriminator_loss(batch(data)).value.tolist() == pytest.approx([math.log(16 / 3)] * 2)
    assert minimax.generator_loss(batch(data)).value.tolist() == pytest.approx([-math.log(4)] * 2)


def test_real_and_fake_are_not_mixed_up() -> None:
    # all fakes are (0, 0, 0, 0), as the generator's weights are: the logit is 2 x1 for real data and 0 for fakes
    generator = Affine([[0, 0, 0]] * 4, [0] * 4)
    family = gan({}, generator=generator, discriminator=Affine([[2, 0, 0, 0]], [0]))
    losses = family.discriminator_loss(batch(torch.tensor([[0.5, 1, 1, 1], [-1, 1, 1, 1]])))
    assert losses.terms["real_logit"].tolist() == [1, -2]
    assert losses.terms["fake_logit"].tolist() == [0, 0]
    expected = [math.log1p(math.exp(-1)) + math.log(2), math.log1p(math.exp(2)) + math.log(2)]
    assert losses.value.tolist() == pytest.approx(expected)


def test_logit_of_a_class_is_its_own_and_the_common_one() -> None:
    # outputs: common 1, classes 10, 20, 30
    family = gan({}, LABELLED, discriminator=Affine([[0, 0, 0, 0]] * 4, [1, 10, 20, 30]))
    assert family.logits(torch.zeros(3, 4), torch.tensor([0, 2, 1])).tolist() == [11, 31, 21]


def test_fakes_are_asked_for_the_classes_of_the_batch() -> None:
    family = gan({"output": "linear"}, LABELLED)
    labels = torch.tensor([2, 0, 1])
    fakes = family.generator(Noise.whole(0, "cpu", 3).normal(3), LOUD * torch.eye(3)[labels])
    expected = family.logits(fakes, labels)
    found = family.discriminator_loss(batch(torch.zeros(3, 4), labels)).terms["fake_logit"]
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("spec", [ROW, LABELLED], ids=["plain", "labelled"])
def test_discriminator_phases_leave_the_generator_alone(spec: Spec) -> None:
    family = gan({}, spec)
    labels = torch.tensor([0, 1, 2]) if spec.condition else None
    for loss in (family.discriminator_loss, family.penalty):
        loss(batch(torch.ones(3, 4), labels)).value.sum().backward()
    assert all(parameter.grad is None for parameter in family.generator.parameters())
    assert all(parameter.grad is not None for parameter in family.discriminator.parameters())


def test_generator_phase_does_not_see_the_data() -> None:
    family = gan({})
    one, other = (family.generator_loss(batch(data)).value for data in (torch.zeros(3, 4), torch.ones(3, 4)))
    assert torch.equal(one, other)
    assert not torch.equal(one, family.generator_loss(batch(torch.zeros(3, 4), key=1)).value)


@pytest.mark.parametrize(
    ("output", "made", "judged"),
    [
        ("linear", [-1, -0.5, 0.5, 1], [-3, -0.5, 0.5, 2]),  # samples are kept in range, what is trained is not
        ("tanh", *[[math.tanh(raw) for raw in (-3, -0.5, 0.5, 2)]] * 2),
    ],
)
def test_range_of_the_generator(output: str, made: list[float], judged: list[float]) -> None:
    seen: list[Tensor] = []
    family = gan({"output": output}, generator=Affine([[0, 0, 0]] * 4, [-3, -0.5, 0.5, 2]))
    family.discriminator.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    assert family.decode(torch.zeros(1, 3))[0].tolist() == pytest.approx(made)
    family.generator_loss(batch(torch.zeros(1, 4)))
    family.discriminator_loss(batch(torch.zeros(1, 4)))
    assert seen[0][0].tolist() == pytest.approx(judged)  # both sides of the game are about the same fakes
    assert torch.equal(seen[1][1:], seen[0])


def test_rows_are_drawn_by_choice_and_decoded_to_the_likeliest() -> None:
    # 3/4 for the range, its place tanh(ln 2) = 3/5; whatever the latent
    family = gan({}, ROWS, generator=Affine([[0, 0, 0]] * 4, [math.log(3), 0, -1, math.log(2)]))
    assert family.decode(torch.ones(1, 3))[0].tolist() == pytest.approx([1, 0, 1, 0.6])
    drawn = family.sample(4000, options=SampleSettings(), seed=1)
    assert drawn[:, 0].mean().item() == pytest.approx(3 / 4, abs=4 * math.sqrt(3 / 16 / 4000))
    assert drawn.unique(dim=0).flatten().tolist() == pytest.approx([0, 1, 1, 0, 1, 0, 1, 0.6])


def test_of_rows_the_discriminator_sees_shares_through_which_a_gradient_passes() -> None:
    seen: list[Tensor] = []
    family = gan({}, ROWS)
    family.discriminator.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    cost = family.generator_loss(batch(torch.zeros(50, 4))).value.mean()
    family.discriminator_loss(batch(torch.zeros(50, 4)))
    fakes = seen[0]
    assert torch.equal(seen[1][50:], fakes)  # both sides of the game are about the same fakes
    torch.testing.assert_close(fakes[:, :2].sum(1), torch.ones(50))
    assert 0 < fakes[:, 0].min() < 0.1 < 0.9 < fakes[:, 0].max()
    bias = list(family.generator.parameters())[-1]
    (gradient,) = torch.autograd.grad(cost, bias)
    assert gradient.tolist()[2] == 0  # of one mode nothing can be chosen
    assert (gradient[[0, 1, 3]] != 0).all()


def test_of_a_row_that_is_asked_for_the_logit_is_the_sum_of_what_is_given() -> None:
    # outputs: common 1, values of the row 10, 20, 30, 40
    spec = columns_spec(ROWS.columns, ROWS)
    family = gan({}, spec, discriminator=Affine([[0, 0, 0, 0]] * 5, [1, 10, 20, 30, 40]))
    asked = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0.5], [0, 0, 1, 0]])
    assert family.logits(torch.zeros(3, 4), asked).tolist() == [1, 31, 31]


def test_a_gan_decodes_but_has_no_encoder_and_no_bound() -> None:
    family = gan({})
    assert isinstance(family, Decodes)
    assert not isinstance(family, Encodes)
    assert not isinstance(family, Bounds)


def test_each_side_has_its_optimiser() -> None:
    family = gan({"generator_optimiser": {"rate": 0.1}, "discriminator_optimiser": {"rate": 0.2}})
    assert {name: settings.rate for name, settings in family.optimisers().items()} == {
        "generator": 0.1,
        "discriminator": 0.2,
    }
