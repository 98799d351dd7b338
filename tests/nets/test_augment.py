"""Augmentation: laws of both kinds, DiffAugment on paper, the probability of the adaptive kind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.compute.collectives import Collectives
from ficta.nets.augment import NUMBERS, WARP, WARPS, Augment, AugmentSettings, ada_augmented, diff_augmented, warped

KINDS = ("diff", "ada")
NEUTRAL = 0.5  # the middle number of each: no brightness, contrast or saturation is changed, nothing is moved
LAST = 1 - 2**-24  # largest number below 1


def augment_of(kind: str, shape: tuple[int, ...] = (3, 8, 8), probability: float = 0.7, **settings: object) -> Augment:
    augment = Augment(AugmentSettings.read({"kind": kind, **settings}, "model.augment"), shape)
    if kind == "ada":
        augment.probability.fill_(probability)
    return augment


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def uniform(count: int, kind: str, seed: int = 2) -> Tensor:
    return torch.rand(count, NUMBERS[kind], generator=torch.Generator().manual_seed(seed))


def test_without_augmentation_a_picture_is_what_it_was() -> None:
    augment = augment_of("none", (5,))
    x = torch.zeros(3, 5)
    assert augment(x, torch.zeros(3, augment.numbers)) is x
    assert augment.numbers == 0
    augment.watch(torch.ones(3))
    augment.adapt(Collectives())
    assert not augment.state_dict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 7, 10), (3, 1, 9), (1, 1, 1)], ids=str)
def test_shapes_are_kept_and_numbers_stay_numbers(kind: str, shape: tuple[int, ...]) -> None:
    found = augment_of(kind, shape, 1.0)(pictures(20, *shape), uniform(20, kind))
    assert (found.shape, found.dtype) == ((20, *shape), torch.float32)
    assert found.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_and_the_largest_numbers_are_numbers(kind: str) -> None:
    for number in (0.0, LAST):
        found = augment_of(kind, probability=1.0)(pictures(2, 3, 8, 8), torch.full((2, NUMBERS[kind]), number))
        assert found.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_same_numbers_make_the_same_changes_whatever_else_is_in_the_batch(kind: str) -> None:
    augment, x, numbers = augment_of(kind), pictures(12, 3, 8, 8), uniform(12, kind)
    given, state = x.clone(), torch.get_rng_state()
    found = augment(x, numbers)
    assert torch.equal(augment(x, numbers), found)
    assert torch.equal(x, given)
    assert torch.equal(torch.get_rng_state(), state)
    for i in range(12):
        torch.testing.assert_close(augment(x[i : i + 1], numbers[i : i + 1])[0], found[i])
    others = augment(x, uniform(12, kind, seed=3))
    assert all(not torch.allclose(one, other) for one, other in zip(found, others, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_all_numbers_are_used_and_no_more(kind: str) -> None:
    x, numbers, others = pictures(300, 3, 8, 8), uniform(300, kind), uniform(300, kind, seed=3)
    augment = augment_of(kind)
    found = augment(x, numbers)
    for column in range(NUMBERS[kind]):
        changed = numbers.clone()
        changed[:, column] = others[:, column]
        assert not torch.equal(augment(x, changed), found), column
    with pytest.raises((StopIteration, RuntimeError)):
        augment(x, numbers[:, :-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_comes_back_the_way_the_picture_went(kind: str) -> None:
    # changes are linear but for a constant: r . (f(x + d) - f(x)) = d . gradient of r . f
    augment, numbers = augment_of(kind), uniform(16, kind)
    x, step, r = (torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5, 6))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((r * augment(x, numbers)).sum(), x)
    moved = (augment(x + step, numbers) - augment(x, numbers)).detach()
    torch.testing.assert_close((gradient * step).sum((1, 2, 3)), (r * moved).sum((1, 2, 3)), rtol=1e-3, atol=1e-3)
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_changes_have_full_precision_where_layers_do_not(kind: str) -> None:
    augment, x, numbers = augment_of(kind), pictures(12, 3, 8, 8), uniform(12, kind)
    with torch.autocast("cpu", torch.bfloat16):
        found = augment(x, numbers)
    assert torch.equal(found, augment(x, numbers))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4,), (1, 9), (2, 8, 8), (4, 8, 8), (1, 8, 8, 8)], ids=str)
def test_what_is_no_picture_is_refused_with_the_way_out(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="use 'none'") as caught:
        augment_of(kind, shape)
    assert str(shape) in str(caught.value)
    assert f"augment.kind = '{kind}'" in str(caught.value)


# DiffAugment


def diff(x: Tensor, **chosen: float) -> Tensor:
    """Numbers that are chosen, all others neutral; the hole lies at its first place, at the top left corner."""
    columns = ("brightness", "saturation", "contrast", "down", "right", "hole_row", "hole_column")
    numbers = {**dict.fromkeys(columns, NEUTRAL), "hole_row": 0.0, "hole_column": 0.0, **chosen}
    assert numbers.keys() == set(columns)
    return diff_augmented(x, torch.tensor([[numbers[name] for name in columns]]).expand(len(x), -1))


def with_corner_cut(x: Tensor) -> Tensor:
    """Of 8 a hole is 4 long, of 7 also: it starts at -2."""
    x = x.clone()
    x[..., :2, :2] = 0
    return x


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 8, 7)], ids=str)
def test_neutral_numbers_leave_all_but_the_hole(shape: tuple[int, ...]) -> None:
    x = pictures(*shape)
    torch.testing.assert_close(diff(x), with_corner_cut(x))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"brightness": 0.75}, (0.55, 0.25, -0.35)),  # + 1/4
        ({"brightness": 0.0}, (-0.2, -0.5, -1.1)),  # - 1/2
        ({"saturation": 0.0}, (-0.1, -0.1, -0.1)),  # the mean of the pixel
        ({"saturation": 0.75}, (0.5, 0.05, -0.85)),  # 1.5 times as far from it
        ({"contrast": 0.0}, (0.1, -0.05, -0.35)),  # half as far from the mean of the picture, which is the same
        # (0.55, 0.25, -0.35) with mean 0.15; 1.5 times as far from it (0.75, 0.3, -0.6); half as far
        ({"brightness": 0.75, "saturation": 0.75, "contrast": 0.0}, (0.45, 0.225, -0.225)),
    ],
)
def test_colours_worked_on_paper(chosen: dict[str, float], expected: tuple[float, ...]) -> None:
    x = torch.tensor([0.3, 0.0, -0.6]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    torch.testing.assert_close(diff(x, **chosen)[0, :, 5, 5], torch.tensor(expected))


def test_contrast_is_about_the_picture_and_saturation_about_the_pixel() -> None:
    # halves of a picture: -0.5 and 0.7, mean 0.1; so far from it by half: -0.2, 0.4
    x = torch.tensor([-0.5, 0.7]).repeat_interleave(4).expand(1, 1, 8, 8)
    torch.testing.assert_close(diff(x, contrast=0.0)[0, 0, 5, 3:5], torch.tensor([-0.2, 0.4]))
    assert torch.equal(diff(x, saturation=0.0)[0, 0, 5, 3:5], x[0, 0, 5, 3:5])  # grey has none


@pytest.mark.parametrize(("axis", "name", "most"), [(2, "down", 2), (3, "right", 1)])
def test_a_picture_is_moved_by_whole_pixels_and_zeros_come_in(axis: int, name: str, most: int) -> None:
    x = pictures(1, 1, 16, 8)  # moved by at most an eighth of a side
    for by in range(-most, most + 1):
        expected = x.roll(by, axis)
        expected.narrow(axis, 0 if by > 0 else x.shape[axis] + by, abs(by)).zero_()
        expected[..., :4, :2] = 0  # the hole stays where it is
        number = (by + most + 0.5) / (2 * most + 1)  # all are equally likely
        assert torch.equal(diff(x, **{name: number}), expected), by
    ends = [diff(x, **{name: number}) for number in (0.0, 0.5 / (2 * most + 1), LAST, 1 - 0.5 / (2 * most + 1))]
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[2], ends[3])


@pytest.mark.parametrize(
    ("side", "hidden"),
    [
        # half of it, a half rounded up; an even hole starts at -half to half further than an odd one would
        (4, ["0", "01", "12", "23", "3"]),
        (5, ["01", "012", "123", "234", "34"]),
        (7, ["01", "012", "0123", "1234", "2345", "3456", "456", "56"]),
        (8, ["01", "012", "0123", "1234", "2345", "3456", "4567", "567", "67"]),
        (1, ["0"]),
    ],
)
@pytest.mark.parametrize("name", ["hole_row", "hole_column"])
def test_a_hole_is_half_of_a_side_or_what_of_it_is_within(side: int, hidden: Sequence[str], name: str) -> None:
    shape = (1, 1, side, 6) if name == "hole_row" else (1, 1, 6, side)
    whole = torch.ones(shape)
    for place, digits in enumerate(hidden):
        found = diff(whole, **{name: (place + 0.5) / len(hidden)})  # all are equally likely
        expected = whole.clone()
        rows = expected if name == "hole_row" else expected.mT
        rows[0, 0, [int(digit) for digit in digits], :2] = 0  # of 6 a hole is 3 long: from -1 to 1
        assert torch.equal(found, expected), place


# the probability of the adaptive kind


class TwoRanks(Collectives):
    """As if another process had seen this."""

    def __init__(self, theirs: Tensor) -> None:
        super().__init__()
        self.theirs = theirs

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensor + self.theirs for tensor in tensors]


def logits(positive: int, negative: int) -> Tensor:
    return torch.cat([torch.full((positive,), 0.01), torch.full((negative,), -30.0)])


@pytest.mark.parametrize(
    ("positive", "negative", "after"),
    [
        (9, 1, 0.31),  # a mean sign of 0.8 is above 0.5: up by 10 of 1000
        (6, 4, 0.29),  # 0.2 is below it
        (3, 1, 0.3),  # just 0.5
        (3, 0, 0.303),
        (0, 0, 0.3),
    ],
)
def test_probability_follows_the_signs_of_logits(positive: int, negative: int, after: float) -> None:
    augment = augment_of("ada", probability=0.3, target=0.5, samples=1000)
    augment.watch(logits(positive, negative))
    assert augment.probability.item() == pytest.approx(0.3)
    augment.adapt(Collectives())
    assert augment.probability.item() == pytest.approx(after)
    augment.adapt(Collectives())  # what was seen counts once
    assert augment.probability.item() == pytest.approx(after)


def test_parts_of_a_step_count_together_and_other_processes_too() -> None:
    augment = augment_of("ada", probability=0.3, target=0.5, samples=1000)
    augment.watch(logits(4, 0))
    augment.watch(logits(2, 4))
    augment.adapt(Collectives())
    assert augment.probability.item() == pytest.approx(0.29)  # (6 - 4) / 10 is below 1/2
    augment.watch(logits(0, 10))
    augment.adapt(TwoRanks(torch.tensor([60.0, 60.0])))
    assert augment.probability.item() == pytest.approx(0.36)  # (60 - 10) / 70 is above


def test_probability_starts_at_0_and_stays_one() -> None:
    augment = Augment(AugmentSettings(kind="ada", samples=25), (1, 8, 8))
    path = []
    for positive in [0] + [10] * 4 + [0] * 4:
        augment.watch(logits(positive, 10 - positive))
        augment.adapt(Collectives())
        path.append(augment.probability.item())
    assert path == pytest.approx([0, 0.4, 0.8, 1, 1, 0.6, 0.2, 0, 0], abs=1e-6)


def test_probability_is_part_of_the_state_and_gets_no_gradient() -> None:
    augment = augment_of("ada", probability=0.3, target=0.5, samples=1000)
    scores = logits(3, 1).requires_grad_()
    augment.watch(scores * 2)
    assert set(augment.state_dict()) == {"probability", "signs"}
    assert not list(augment.parameters())
    assert not any(value.requires_grad for value in augment.state_dict().values())
    other = augment_of("ada", probability=0.9, target=0.1, samples=1000)
    other.load_state_dict(augment.state_dict())
    other.adapt(Collectives())
    assert other.probability.item() == pytest.approx(0.304)  # also what was seen since the last step


def test_what_is_seen_depends_on_the_probability() -> None:
    x, numbers = pictures(50, 3, 8, 8), uniform(50, "ada")
    shares = []
    for probability in (0.0, 0.05, 1.0):
        augment = augment_of("ada", probability=probability)
        found = augment(x, numbers)
        assert torch.equal(found, ada_augmented(x, numbers, torch.tensor(probability)))
        shares.append(((found - x).abs().amax((1, 2, 3)) > 1e-4).float().mean().item())
    assert shares[0] == 0
    assert 0 < shares[1] < 1
    assert shares[2] == 1


def warp(x: Tensor, **numbers: float) -> Tensor:
    """Each by its name, in what it means."""
    names = ("angle", "slant", "width", "height", "across", "down")
    normal = torch.tensor([numbers.get(name, 0.0) / deviation for name, deviation in zip(names, WARP, strict=True)])
    return warped(x, normal.expand(len(x), -1), 1.0)


def test_without_strength_or_by_zeros_nothing_is_warped() -> None:
    x = pictures(3, 2, 7, 9)
    torch.testing.assert_close(warped(x, torch.randn(3, WARPS), 0.0), x)
    torch.testing.assert_close(warp(x), x)


def test_what_warping_does_to_a_picture() -> None:
    x = pictures(2, 1, 8, 8)
    torch.testing.assert_close(warp(x, angle=math.pi / 2), x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    # by an eighth, which is a pixel
    torch.testing.assert_close(warp(x, across=1 / 8)[..., :7], x[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(x, down=1 / 8)[..., :7, :], x[..., 1:, :], atol=1e-5, rtol=0)
    # half as wide is looked up twice as far from the middle: means of two neighbours
    narrow = warp(x, width=math.log(2))[..., 2:6]
    torch.testing.assert_close(narrow, (x[..., ::2] + x[..., 1::2]) / 2, atol=1e-5, rtol=0)
    low = warp(x, height=math.log(2))[..., 2:6, :]
    torch.testing.assert_close(low, (x[..., ::2, :] + x[..., 1::2, :]) / 2, atol=1e-5, rtol=0)
    # the outermost rows are 3.5 pixels from the middle, so that a slant of 2 / 7 moves them by a pixel, one each way
    slanted = warp(x, slant=2 / 7)
    torch.testing.assert_close(slanted[:, :, 7, :7], x[:, :, 7, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(slanted[:, :, 0, 1:], x[:, :, 0, :7], atol=1e-5, rtol=0)


def test_a_picture_that_is_not_square_is_turned_not_bent() -> None:
    x = torch.zeros(1, 1, 12, 30)
    x[..., 4:8, 13:17] = pictures(4, 4)
    found = warp(x, angle=math.pi / 2)
    torch.testing.assert_close(found[..., 4:8, 13:17], x[..., 4:8, 13:17].rot90(1, (2, 3)), atol=1e-5, rtol=0)
    slanted = warp(x, slant=2.0)  # rows half a pixel and one and a half from the middle move by one and three
    for row, way in ((4, -3), (5, -1), (6, 1), (7, 3)):
        torch.testing.assert_close(slanted[..., row, :], x[..., row, :].roll(-way, -1), atol=1e-5, rtol=0)


def test_warping_differs_from_picture_to_picture_by_their_own_numbers() -> None:
    x, normal = pictures(6, 3, 8, 8), torch.randn(6, WARPS, generator=torch.Generator().manual_seed(3))
    found = warped(x, normal, 1.0)
    for i in range(6):
        torch.testing.assert_close(warped(x[i : i + 1], normal[i : i + 1], 1.0)[0], found[i])
    assert (found - x).flatten(1).abs().amax(1).min() > 0.01
