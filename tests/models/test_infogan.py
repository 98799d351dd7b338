"""InfoGAN: codes as part of a latent, what they cost, what is read."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise
from ficta.models.family import Batch, Coded, SampleSettings
from ficta.models.infogan import InfoGan
from ficta.models.registry import build

ROW = Spec(("column",), (4,), "continuous")
SMALL = {"mlp": {"hidden": (16,)}}
CODED = {"latent_dim": 5, "categories": (3, 2), "continuous": 1}
PICTURE = Spec(("channel", "height", "width"), (1, 8, 8), "continuous")


def batch(count: int = 6, key: int = 0) -> Batch:
    return Batch(torch.zeros(count, 4), None, torch.tensor(0), Noise.whole(key, "cpu", count))


def infogan(settings: dict[str, Any] | None = None, **networks: nn.Module) -> InfoGan:
    torch.manual_seed(0)
    values = {"generator": SMALL, "discriminator": SMALL, "features": 7, "warp": 0.0, **CODED, **(settings or {})}
    family = build("infogan", values, ROW, networks)
    assert isinstance(family, InfoGan)
    return family


def normal(*shares: float) -> list[float]:
    """Standard normal numbers below which these shares lie."""
    return torch.special.ndtri(torch.tensor(shares, dtype=torch.float64)).tolist()


def test_codes_are_shares_of_the_normal_distribution() -> None:
    # three equally likely values: 0.1 is in the first third, 0.5 in the second, 0.99 in the last
    z = torch.tensor([[7, 7, *normal(0.1, 0.7, 0.5)], [7, 7, *normal(0.5, 0.2, 0.75)], [7, 7, *normal(0.99, 0.6, 0)]])
    found = infogan().codes_of(z.float())
    assert found.categorical.tolist() == [[0, 1], [1, 0], [2, 1]]
    assert found.continuous.flatten().tolist() == pytest.approx([0, 0.5, -1], abs=1e-6)
    far = infogan().codes_of(torch.full((1, 5), 40.0))
    assert far.categorical.tolist() == [[2, 1]]  # and never a value too many


def test_what_bounds_the_discriminator_bounds_its_head_and_not_the_reader() -> None:
    family = infogan({"r1_gamma": 0.0, "clip_weights": 0.01})
    before = [parameter.clone() for parameter in family.reader.parameters()]
    family.after_step(torch.tensor(6), Collectives())
    assert max(parameter.abs().max().item() for parameter in family.judge.parameters()) <= 0.01
    assert all(torch.equal(*pair) for pair in zip(family.reader.parameters(), before, strict=True))
    spectral = infogan({"discriminator": {**SMALL, "spectral": True}})
    torch.testing.assert_close(torch.linalg.matrix_norm(spectral.judge.weight, 2).item(), 1.0, rtol=1e-3, atol=1e-3)


def test_values_are_equally_likely() -> None:
    found = infogan().codes_of(torch.randn(30_000, 5, generator=torch.Generator().manual_seed(0)))
    shares = found.categorical[:, 0].bincount() / 30_000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=4 * math.sqrt(2 / 9 / 30_000))
    assert found.continuous.var().item() == pytest.approx(1 / 3, abs=0.01)  # of a uniform one from -1 to 1


def test_the_generator_is_told_plain_numbers_and_codes() -> None:
    told: list[Tensor] = []
    family = infogan()
    family.generator.register_forward_pre_hook(lambda _, arguments: told.append(arguments[0]))
    family.decode(torch.tensor([[0.3, -2, *normal(0.5, 0.7, 0.75)]]).float())
    assert told[0][0].tolist() == pytest.approx([0.3, -2, 0, 1, 0, 0, 1, 0.5])


def test_a_reader_that_knows_nothing_pays_the_entropy() -> None:
    family = infogan({"categorical_weight": 2.0, "continuous_weight": 0.5})
    for parameter in family.reader.parameters():
        nn.init.zeros_(parameter)
    terms = family.generator_loss(batch()).terms
    assert terms["made_categorical_nats"].tolist() == pytest.approx([math.log(3) + math.log(2)] * 6, rel=1e-6)
    codes = family.codes_of(family.drawn(batch()))
    expected = 0.5 * (codes.continuous.flatten().square() + math.log(2 * math.pi))
    torch.testing.assert_close(terms["made_continuous_nats"], expected)


def test_both_sides_pay_for_reading_and_real_samples_are_not_read() -> None:
    family, free = infogan({"categorical_weight": 2.0, "continuous_weight": 0.5}), {}
    for loss, name in ((family.discriminator_loss, "fake"), (family.generator_loss, "made")):
        found = loss(batch())
        assert {term for term in found.terms if "nats" in term} == {
            f"{name}_categorical_nats",
            f"{name}_continuous_nats",
        }
        plain = infogan({"categorical_weight": 0.0, "continuous_weight": 0.0})
        free[name] = getattr(plain, loss.__name__)(batch()).value
        read = 2 * found.terms[f"{name}_categorical_nats"] + 0.5 * found.terms[f"{name}_continuous_nats"]
        torch.testing.assert_close(found.value, free[name] + read)


def test_both_sides_ask_for_the_codes_that_were_made() -> None:
    family = infogan()
    z = family.drawn(batch())
    assert torch.equal(family.fake(batch()), family.output(family.raw(z, None), torch.zeros(6, 0)))


def test_codes_are_read_off_outputs() -> None:
    family = infogan()
    numbers = torch.tensor([[9.0, 0, 5, 1, 2, 3, 0.5], [9, 7, 5, 1, 4, 3, 0.5]])  # evidence, three, two, one
    family.outputs = lambda x: numbers  # type: ignore[method-assign]
    assert family.codes(torch.zeros(2, 4)).tolist() == [[1, 1], [0, 0]]
    assert family.logits(torch.zeros(2, 4), None).tolist() == [9, 9]


def test_without_categorical_codes_none_is_read() -> None:
    family = infogan({"categories": ()})
    assert family.codes(torch.zeros(2, 4)).shape == (2, 0)
    assert [sweep.place for sweep in family.sweeps()] == [4]


def test_sweeps_pass_through_every_value() -> None:
    family = infogan()
    assert isinstance(family, Coded)
    sweeps = family.sweeps()
    assert [(sweep.place, len(sweep.values)) for sweep in sweeps] == [(2, 3), (3, 2), (4, 10)]
    for sweep, code in zip(sweeps[:2], (0, 1), strict=True):
        z = torch.zeros(len(sweep.values), 5)
        z[:, sweep.place] = sweep.values
        assert family.codes_of(z).categorical[:, code].tolist() == list(range(len(sweep.values)))


def test_samples_of_one_code_differ_where_codes_differ() -> None:
    family = infogan().eval()
    made = family.sample(50, options=SampleSettings(), seed=1)
    assert len(made.unique(dim=0)) == 50


@pytest.mark.parametrize(
    ("settings", "way_out"),
    [({"latent_dim": 2}, "latent_dim = 2 has no room for 3 codes"), ({"categories": (), "continuous": 0}, "use 'gan'")],
)
def test_latents_must_hold_the_codes(settings: dict[str, Any], way_out: str) -> None:
    with pytest.raises(UsageError, match=way_out):
        infogan(settings)


def test_categorical_codes_are_read_from_warped_samples_and_continuous_ones_from_samples() -> None:
    settings = {"generator": SMALL, "discriminator": SMALL, "features": 7, **CODED, "continuous_weight": 1.0}
    family = build("infogan", settings, PICTURE)
    assert isinstance(family, InfoGan)
    looked: list[Tensor] = []
    family.discriminator.register_forward_pre_hook(lambda _, arguments: looked.append(arguments[0].detach()))
    given = Batch(torch.zeros(6, 1, 8, 8), None, torch.tensor(0), Noise.whole(0, "cpu", 6))
    found = family.generator_loss(given)
    plain, changed = looked
    fake = family.fake(given)
    assert torch.equal(plain, fake)
    assert (changed - fake).flatten(1).abs().amax(1).min() > 0.01  # each is changed
    codes = family.codes_of(family.drawn(given))
    logits = family.outputs(changed)[:, 1:6].split([3, 2], 1)
    nats = sum(F.cross_entropy(*pair, reduction="none") for pair in zip(logits, codes.categorical.T, strict=True))
    torch.testing.assert_close(found.terms["made_categorical_nats"], nats)
    means = family.outputs(plain)[:, 6:]
    squares = (codes.continuous - means).square().sum(1)
    torch.testing.assert_close(found.terms["made_continuous_nats"], 0.5 * (squares + math.log(2 * math.pi)))


def test_temperature_leaves_categories_as_likely_as_they_are() -> None:
    family = infogan()
    warm, cold, frozen = (family.latents(200, seed=1, first=0, temperature=each) for each in (1.0, 0.3, 0.0))
    assert torch.equal(family.codes_of(cold).categorical, family.codes_of(warm).categorical)
    rest = [0, 1, 4]  # two plain numbers, and the continuous code
    torch.testing.assert_close(cold[:, rest], 0.3 * warm[:, rest])
    assert frozen[:, rest].eq(0).all()


def test_without_categories_nothing_is_warped() -> None:
    family = infogan({"warp": 1.0, "categories": ()})  # of rows, which could not be
    assert "made_continuous_nats" in family.generator_loss(batch()).terms


def test_only_pictures_are_warped() -> None:
    with pytest.raises(UsageError, match=r"set model\.warp to 0"):
        infogan({"warp": 1.0})
