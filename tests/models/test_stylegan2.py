"""StyleGAN2: phases, path lengths worked out on paper, averages that a step leaves behind, truncation, mixing."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, class_condition, columns_spec
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise
from ficta.losses.penalties import path_lengths
from ficta.models.family import Batch, Decodes, Discriminates, Encodes, SampleSettings, Styled, couples_samples
from ficta.models.registry import build
from ficta.models.stylegan2 import HALF_LIFE, PATH_SHARE, StyleGan2

PICTURE = ("channel", "height", "width")
GREY = Spec(PICTURE, (1, 8, 8), "continuous")
LABELLED = Spec(PICTURE, (1, 8, 8), "continuous", condition=class_condition(("a", "b", "c")))
SMALL: dict[str, Any] = {
    "latent_dim": 3,
    "mapping": {"width": 5},
    "synthesis": {"width": 4, "widest": 8},
    "discriminator": {"width": 4, "widest": 8},
}
B = 8


def stylegan2(settings: dict[str, Any], spec: Spec = GREY) -> StyleGan2:
    torch.manual_seed(0)
    family = build("stylegan2", {**SMALL, **settings}, spec)
    assert isinstance(family, StyleGan2)
    return family


def batch(condition: Tensor | None = None, key: int = 0, count: int = B) -> Batch:
    data = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(key)) * 2 - 1
    return Batch(data, condition, torch.tensor(0), Noise.whole(key, "cpu", count))


def after(family: StyleGan2) -> None:
    family.after_step(torch.tensor(0), Collectives())


def noisy(family: StyleGan2) -> StyleGan2:
    """As if it had been trained: noise is heard."""
    for name, weight in family.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(weight, 0.3)
    return family


def test_phases_in_order() -> None:
    family = stylegan2({"penalty_every": 8, "path_every": 2})
    makers = ("mapping", "synthesis")
    assert [(phase.name, phase.modules, phase.optimiser, phase.every) for phase in family.phases()] == [
        ("discriminator", ("discriminator",), "discriminator", 1),
        ("penalty", ("discriminator",), "discriminator", 8),
        ("generator", makers, "generator", 1),
        ("path", makers, "generator", 2),
    ]
    assert [phase.second_order for phase in family.phases()] == [False, True, False, True]
    rarely = stylegan2({"generator_every": 3, "path_every": 2}).phases()
    assert [phase.every for phase in rarely if phase.optimiser == "generator"] == [3, 6]
    assert [phase.name for phase in stylegan2({"path_weight": 0, "r1_gamma": 0}).phases()] == [
        "discriminator",
        "generator",
    ]


@pytest.mark.parametrize("deviation", [True, False])
def test_a_batch_in_parts_needs_a_judge_of_single_samples(deviation: bool) -> None:
    family = stylegan2({"discriminator": {"width": 4, "deviation": deviation}})
    assert all(couples_samples(family, phase) is deviation for phase in family.phases())


def test_path_lengths_worked_on_paper() -> None:
    # x = (2 w11 + w22, 3 w12 - w21), y = (1, 1): J^T y = ((2, 3), (-1, 1)), of square 13 and 2, 7.5 on average
    styles = torch.zeros(3, 2, 2, requires_grad=True)
    made = torch.stack(
        [2 * styles[:, 0, 0] + styles[:, 1, 1], 3 * styles[:, 0, 1] - styles[:, 1, 0]],
        1,
    )
    found = path_lengths(made, styles, torch.ones(3, 2))
    assert found.tolist() == pytest.approx([math.sqrt(7.5)] * 3)


class Linear(nn.Module):
    """In place of the synthesis: pictures are a matrix times the first style, plus the last."""

    layers, numbers = 2, 0

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        flat = torch.cat([styles, styles.new_zeros(len(styles), 2, 64 - styles.shape[2])], 2)
        return (self.scale * flat[:, 0] + flat[:, 1]).view(-1, 1, 8, 8)


def test_the_penalty_of_a_linear_generator() -> None:
    # J^T y = (s y1, y1), y1 the first five of 64 numbers of deviation 1/8: its mean square is (s^2 + 1) |y1|^2 / 2
    family = stylegan2({"path_weight": 3.0, "path_every": 5})
    family.synthesis, family.layers = Linear(2.0), 2  # type: ignore[assignment]
    family.path_mean.fill_(0.25)
    given = batch()
    directions = given.noise.fork("directions").normal(1, 8, 8).flatten(1) / 8
    lengths = directions[:, :5].norm(dim=1) * math.sqrt(5 / 2)
    found = family.path_loss(given)
    torch.testing.assert_close(found.value, 3 * 5 * (lengths - 0.25) ** 2)
    torch.testing.assert_close(found.terms["path_length"], lengths)
    (gradient,) = torch.autograd.grad(found.value.sum(), family.synthesis.scale)
    slopes = 3 * 5 * 2 * (lengths - 0.25) * directions[:, :5].norm(dim=1) * 2 / math.sqrt(2 * 5)  # dl/ds = s |y1| / ...
    torch.testing.assert_close(gradient, slopes.sum())


def test_the_path_penalty_moves_the_generator_alone() -> None:
    family = stylegan2({})
    family.path_loss(batch()).value.sum().backward()
    assert all(parameter.grad is None for parameter in family.discriminator.parameters())
    moved = [name for name, weight in family.named_parameters() if weight.grad is not None and weight.grad.abs().max()]
    assert any(name.startswith("mapping") for name in moved)
    assert any(name.startswith("synthesis") for name in moved)


def test_path_lengths_join_their_mean_after_the_step() -> None:
    family = stylegan2({})
    found = [family.path_loss(batch(key=key)).terms["path_length"] for key in (1, 2)]
    assert family.path_mean == 0
    after(family)
    torch.testing.assert_close(family.path_mean, PATH_SHARE * torch.cat(found).mean())
    before = family.path_mean.clone()
    after(family)  # a step without that phase
    assert torch.equal(family.path_mean, before)


def first_styles(family: StyleGan2, given: Batch) -> Tensor:
    latent = dataclasses.replace(given.noise).normal(3)
    with torch.no_grad():
        return family.styles(latent, given.condition)[:, 0]


def test_styles_join_their_average_after_the_step() -> None:
    family, (one, two) = stylegan2({}), (batch(key=1), batch(key=2))
    styles = [first_styles(family, each) for each in (one, two)]
    for each in (one, two):
        family.fake(each)
    assert family.mean_style.abs().max() == 0
    after(family)
    torch.testing.assert_close(family.mean_style[0], torch.cat(styles).mean(0))  # of all that there were
    family.styles_seen.fill_(1e6)
    mean = family.mean_style.clone()
    family.fake(batch(key=1))
    after(family)
    torch.testing.assert_close(family.mean_style[0], torch.lerp(styles[0].mean(0), mean[0], 0.5 ** (B / HALF_LIFE)))
    assert family.met_counts.sum() == 0


def test_each_label_has_its_average() -> None:
    family, labels = stylegan2({}, LABELLED), torch.tensor([0, 2, 0, 0, 2, 0, 2, 2])
    given = batch(labels)
    styles = first_styles(family, given)
    family.fake(given)
    after(family)
    for label in (0, 2):
        torch.testing.assert_close(family.mean_style[label], styles[labels == label].mean(0))
    assert family.mean_style[1].abs().max() == 0  # of which none was seen
    assert family.styles_seen.tolist() == [4, 0, 4]


def test_out_of_training_nothing_is_noted() -> None:
    family = stylegan2({}).eval()
    family.fake(batch())
    family.path_loss(batch())
    assert family.met_counts.sum() == family.met_paths.sum() == 0


def test_two_ranks_are_one() -> None:
    class Two(Collectives):
        def sum(self, tensors: Any) -> list[Tensor]:
            return [one + other for one, other in zip(tensors, theirs, strict=True)]

    whole, half, rest = (stylegan2({"discriminator": {"width": 4, "deviation": False}}, LABELLED) for _ in range(3))
    labels = torch.tensor([0, 2, 0, 1, 2, 0, 2, 2])
    given = batch(labels)

    def share(start: int) -> Batch:
        noise = Noise(given.noise.key, torch.device("cpu"), B, start, B // 2)
        return Batch(given.data[start : start + 4], labels[start : start + 4], given.seen, noise)

    for family, part in ((whole, given), (half, share(0)), (rest, share(4))):
        family.fake(part)
        family.path_loss(part)
    theirs = [rest.met_styles, rest.met_counts, rest.met_paths]
    half.after_step(given.seen, Two())
    after(whole)
    for name in ("mean_style", "styles_seen", "path_mean"):
        torch.testing.assert_close(getattr(half, name), getattr(whole, name))


def sampled(family: StyleGan2, **options: float) -> Tensor:
    with torch.no_grad():
        condition = torch.arange(6) % 3 if family.spec.condition else None
        return family.eval().sample(6, condition, options=SampleSettings(**options), seed=1)


@pytest.mark.parametrize("spec", [GREY, LABELLED], ids=["plain", "labelled"])
def test_truncation(spec: Spec) -> None:
    family = stylegan2({}, spec)
    family.fake(batch(torch.arange(B) % 3 if spec.condition else None))
    after(family)
    whole, half, none = (sampled(family, truncation=share) for share in (1.0, 0.5, 0.0))
    assert torch.equal(whole, sampled(family))
    pairs = [(0, 3), (1, 4), (2, 5)]  # of the same label; noise is not heard yet
    assert all(torch.allclose(none[i], none[j]) for i, j in pairs)
    assert all(not torch.allclose(each[i], each[j]) for each in (whole, half) for i, j in pairs)
    assert torch.allclose(none[0], none[1]) is (spec.condition is None)
    noise = sampled(noisy(family), truncation=0.0)
    assert all(not torch.allclose(noise[i], noise[j]) for i, j in pairs)


def test_truncated_styles_lie_on_the_way_to_their_average() -> None:
    family, styles = stylegan2({}, LABELLED), torch.randn(3, 4, 5)
    family.mean_style.copy_(torch.randn(3, 5))
    labels = torch.tensor([2, 0, 1])
    found = family.truncated(styles, labels, 0.25)
    torch.testing.assert_close(found, family.mean_style[labels][:, None] * 0.75 + styles * 0.25)


def test_without_temperature_noise_is_gone_too() -> None:
    cold = sampled(noisy(stylegan2({})), temperature=0.0)
    assert torch.allclose(cold, cold[:1].expand_as(cold))
    warm, half = sampled(noisy(stylegan2({}))), sampled(noisy(stylegan2({})), temperature=0.5)
    assert not torch.allclose(warm, half)  # though latents are normalised


def test_what_is_decoded_is_always_the_same() -> None:
    family = noisy(stylegan2({})).eval()
    z = torch.randn(4, 3)
    with torch.no_grad():
        assert torch.equal(family.decode(z), family.decode(z))
        assert torch.allclose(family.decode(z), family.decode(5 * z), atol=1e-5)  # latents are normalised
        assert torch.equal(family.synthesise(family.styles(z)), family.decode(z))


@pytest.mark.parametrize("mixing", [0.0, 0.5, 1.0])
def test_finer_layers_follow_a_second_style(mixing: float) -> None:
    family, given = stylegan2({"mixing": mixing}), batch(count=400)
    own = first_styles(family, given)
    found = family._mixed(given)
    follows = (found == own[:, None]).all(2)  # (B, layers): whether a layer keeps to the first style
    cuts = follows.sum(1)
    assert all(row[:cut].all() and not row[cut:].any() for row, cut in zip(follows, cuts, strict=True))
    assert cuts.min() >= 1
    share = (cuts < family.layers).float().mean().item()
    assert share == pytest.approx(mixing, abs=0.08)
    if mixing == 1:
        assert torch.bincount(cuts)[1:].tolist() == pytest.approx([400 / 3] * 3, rel=0.25)
        others = [row[cut:] for row, cut in zip(found, cuts, strict=True)]
        assert all((rest == rest[0]).all() for rest in others)  # one second style a sample


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec(("column",), (6,), "continuous"), r"makes pictures, the data have shape \(6,\): use 'gan'"),
        (columns_spec((Span("age", 2, (0,)), Span("one", 1))), "use 'gan'"),
        (Spec(PICTURE, (1, 8, 8), "binary"), "use 'vae'"),
        (
            Spec(PICTURE, (1, 8, 8), "continuous", condition=Spec(("column",), (4,), "continuous")),
            r"labels, not for continuous values of shape \(4,\): use 'gan'",
        ),
    ],
    ids=["row", "table", "binary", "condition"],
)
def test_refusals(spec: Spec, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        stylegan2({}, spec)


def test_what_it_can_do() -> None:
    family = stylegan2({})
    assert isinstance(family, Styled)
    assert isinstance(family, Decodes)
    assert isinstance(family, Discriminates)
    assert not isinstance(family, Encodes)
    assert not isinstance(build("gan", {}, GREY), Styled)


def test_decoding_is_exported_for_any_number_of_samples() -> None:
    family = noisy(stylegan2({})).eval()

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.family = family

        def forward(self, z: Tensor) -> Tensor:
            return self.family.decode(z)

    exported = torch.export.export(Decoder(), (torch.randn(2, 3),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    z = torch.randn(5, 3)
    torch.testing.assert_close(exported.module()(z), family.decode(z))
