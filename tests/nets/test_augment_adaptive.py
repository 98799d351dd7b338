"""Changes of adaptive augmentation, each by itself against an exact reference, and how often they are made."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.special import ndtr
from torch import Tensor

from ficta.nets.augment import NUMBERS, ada_augmented

# In the order of the paper: of each change the numbers that say how, and the one that says whether, which comes last;
# but for the moves along two axes, which are made together or not at all.
COLUMNS = (
    *("flip", "flip?", "quarters", "quarters?", "moved?", "across", "down", "size", "size?"),
    *("first", "first?", "width", "width?", "second", "second?", "drift?", "sideways", "along"),
    *("brightness", "brightness?", "contrast", "contrast?", "light", "light?", "hue", "hue?"),
    *("saturation", "saturation?"),
)
CHANGES = [name.removesuffix("?") for name in COLUMNS if name.endswith("?")]
ROTATIONS = ("first", "second")
P = torch.tensor(0.75)  # two rotations, each with probability 1 - sqrt(1 - 0.75) = 1/2
NEVER = 0.999  # a number that is below no probability used here


def numbers(count: int = 1, **chosen: float | Tensor) -> Tensor:
    """Numbers for the changes named, which are made in every picture; no other is."""
    assert chosen.keys() <= set(COLUMNS)
    found = torch.full((count, len(COLUMNS)), NEVER)
    for name, number in chosen.items():
        found[:, COLUMNS.index(name)] = number
    return found


def changed(x: Tensor, *made: str, **chosen: float) -> Tensor:
    uniform = numbers(len(x), **{f"{name}?": 0.0 for name in made}, **chosen)
    return ada_augmented(x, uniform, P)


def at(deviations: float) -> float:
    """The uniform number of which a normal one is made."""
    return float(ndtr(deviations))


def turned(radians: float) -> float:
    """The uniform number of which an angle is made."""
    return (radians / math.pi + 1) / 2


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def close(found: Tensor, expected: Tensor | np.ndarray) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float32), rtol=0, atol=2e-5)


def test_there_are_as_many_numbers_as_columns() -> None:
    assert len(COLUMNS) == NUMBERS["ada"] == 28


@pytest.mark.parametrize("shape", [(40, 1, 8, 8), (40, 3, 7, 12), (40, 3, 33, 1)], ids=str)
def test_with_probability_0_nothing_is_changed(shape: tuple[int, ...]) -> None:
    x = pictures(*shape)
    for uniform in (torch.rand(40, 28, generator=torch.Generator().manual_seed(2)), torch.zeros(40, 28)):
        torch.testing.assert_close(ada_augmented(x, uniform, torch.tensor(0.0)), x, rtol=0, atol=1e-5)


# places


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 5, 9)], ids=str)
def test_half_of_those_chosen_are_flipped(shape: tuple[int, ...]) -> None:
    x = pictures(*shape)
    close(changed(x, "flip", flip=0.49), x)
    close(changed(x, "flip", flip=0.51), x.flip(3))


@pytest.mark.parametrize("side", [8, 9])
def test_a_square_is_turned_by_quarters(side: int) -> None:
    x = pictures(2, 3, side, side)
    for turns in range(4):
        for number in (turns / 4 + 0.01, turns / 4 + 0.24):
            close(changed(x, "quarters", quarters=number), torch.rot90(x, turns, (2, 3)))


def test_what_is_not_square_is_turned_by_halves_alone() -> None:
    x = pictures(2, 3, 6, 11)
    close(changed(x, "quarters", quarters=0.49), x)
    close(changed(x, "quarters", quarters=0.51), x.flip(2, 3))


@pytest.mark.parametrize(("name", "axis"), [("across", 3), ("down", 2)])
def test_a_picture_is_moved_by_whole_pixels_and_reflected(name: str, axis: int) -> None:
    x = pictures(1, 3, 16, 24)
    most = x.shape[axis] // 8
    for by in range(-most, most + 1):
        pads = [(0, 0)] * 4
        pads[axis] = (most, most)
        mirrored = torch.from_numpy(np.pad(x.numpy(), pads, mode="symmetric"))
        expected = mirrored.narrow(axis, most + by, x.shape[axis])
        for nearly in (by - 0.4, by + 0.4):  # rounded
            share = nearly / most
            if abs(share) <= 1:
                chosen = {"across": 0.5, "down": 0.5, name: (share + 1) / 2}
                close(changed(x, "moved", **chosen), expected)


def resampled(x: Tensor, inverse: np.ndarray) -> Tensor:
    """Each channel at ``inverse`` (columns, rows, 1) of every place from the middle, in float64 by another library."""
    rows, columns = x.shape[2:]
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
    swap = np.array([[0, 1], [1, 0]])  # which counts rows first
    matrix = swap @ inverse[:2, :2] @ swap
    offset = swap @ (inverse[:2, 2] + middle - inverse[:2, :2] @ middle)
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=1, mode="reflect")
        for plane in x.double().flatten(0, 1).numpy()
    ]
    return torch.from_numpy(np.stack(planes)).view(x.shape).float()


def matrix(xx: float, xy: float, yx: float, yy: float, x: float = 0, y: float = 0) -> np.ndarray:
    return np.array([[xx, xy, x], [yx, yy, y], [0, 0, 1]])


def rotation(radians: float) -> np.ndarray:
    return matrix(math.cos(radians), -math.sin(radians), math.sin(radians), math.cos(radians))


ALONE = {
    # exp of a normal number of deviation 0.2 ln 2: two deviations up is 2^0.4, three down 2^-0.6
    "size": (("size",), {"size": at(2)}, matrix(2**0.4, 0, 0, 2**0.4)),
    "smaller size": (("size",), {"size": at(-3)}, matrix(2**-0.6, 0, 0, 2**-0.6)),
    "width": (("width",), {"width": at(2)}, matrix(2**0.4, 0, 0, 2**-0.4)),
    "first rotation": (("first",), {"first": turned(0.7)}, rotation(0.7)),
    "second rotation": (("second",), {"second": turned(-2.5)}, rotation(-2.5)),
    # an eighth of a side a deviation: of 12 columns 1.5, of 8 rows 1
    "drift across": (("drift",), {"sideways": at(1), "along": 0.5}, matrix(1, 0, 0, 1, 1.5, 0)),
    "drift along": (("drift",), {"sideways": 0.5, "along": at(-1.3)}, matrix(1, 0, 0, 1, 0, -1.3)),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_change_of_places_by_itself(name: str) -> None:
    made, chosen, inverse = ALONE[name]
    x = pictures(1, 3, 8, 12)
    found = changed(x, *made, **chosen)
    assert (found - x).abs().max() > 0.1
    close(found, resampled(x, inverse))


def test_changes_of_places_are_made_in_the_order_of_the_paper() -> None:
    # from old places to new ones: flip first, drift last (Appendix B); what is looked up goes the other way
    x = pictures(1, 3, 16, 16)
    made = ("flip", "quarters", "moved", "size", "first", "width", "second", "drift")
    chosen = {"flip": 0.9, "quarters": 0.3, "across": 0.99, "down": 0.01, "size": at(1), "first": turned(0.5)}
    chosen |= {"width": at(-2), "second": turned(1.2), "sideways": at(0.6), "along": at(-0.2)}
    onwards = np.eye(3)
    for inverse in (
        matrix(-1, 0, 0, 1),
        rotation(math.pi / 2),
        matrix(1, 0, 0, 1, 2, -2),
        matrix(2**0.2, 0, 0, 2**0.2),
        rotation(0.5),
        matrix(2**-0.4, 0, 0, 2**0.4),
        rotation(1.2),
        matrix(1, 0, 0, 1, 1.2, -0.4),
    ):
        onwards = np.linalg.inv(inverse) @ onwards
    close(changed(x, *made, **chosen), resampled(x, np.linalg.inv(onwards)))


def test_exact_changes_together_are_the_same_one_after_the_other() -> None:
    x = pictures(2, 1, 8, 8)
    expected = torch.rot90(x.flip(3), 1, (2, 3)).numpy()
    expected = np.pad(expected, [(0, 0), (0, 0), (1, 1), (0, 0)], mode="symmetric")[:, :, 2:]
    close(changed(x, "flip", "quarters", "moved", flip=0.9, quarters=0.3, across=0.5, down=0.99), expected)


# colours


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_and_contrast_on_paper(channels: int) -> None:
    x = pictures(2, channels, 8, 8)
    close(changed(x, "brightness", brightness=at(1)), x + 0.2)
    close(changed(x, "brightness", brightness=at(-2)), x - 0.4)
    close(changed(x, "contrast", contrast=at(2)), 2 * x)  # a deviation is the root of 2
    close(changed(x, "contrast", contrast=at(-4)), x / 4)
    close(changed(x, "brightness", "contrast", brightness=at(1), contrast=at(2)), 2 * (x + 0.2))


@pytest.mark.parametrize("channels", [1, 3])
def test_light_for_dark_negates_the_mean_of_channels_and_keeps_what_differs_from_it(channels: int) -> None:
    x = pictures(2, channels, 8, 8)
    close(changed(x, "light", light=0.49), x)
    close(changed(x, "light", light=0.51), x - 2 * x.mean(1, keepdim=True))


def test_saturation_is_the_distance_from_grey() -> None:
    x = pictures(2, 3, 8, 8)
    grey = x.mean(1, keepdim=True)
    close(changed(x, "saturation", saturation=at(1)), grey + 2 * (x - grey))  # a deviation is 2
    close(changed(x, "saturation", saturation=at(-2)), grey + (x - grey) / 4)


def test_a_third_of_the_circle_of_hues_exchanges_channels() -> None:
    x = pictures(2, 3, 8, 8)
    close(changed(x, "hue", hue=turned(2 * math.pi / 3)), x.roll(1, 1))
    close(changed(x, "hue", hue=turned(-2 * math.pi / 3)), x.roll(-1, 1))


@pytest.mark.parametrize("angle", [-3.0, -0.4, 1.0])
def test_hues_are_turned_about_the_grey_axis(angle: float) -> None:
    x = pictures(2, 3, 8, 8)
    rotation = Rotation.from_rotvec(np.full(3, angle / math.sqrt(3))).as_matrix()
    close(changed(x, "hue", hue=turned(angle)), np.einsum("ij,bjhw->bihw", rotation, x.numpy()))


@pytest.mark.parametrize("name", ["hue", "saturation"])
def test_grey_stays_grey(name: str) -> None:
    grey = pictures(2, 1, 8, 8).expand(-1, 3, -1, -1)
    close(changed(grey, name, **{name: 0.8}), grey)


def test_a_grey_picture_is_a_coloured_one_of_three_equal_channels() -> None:
    x, uniform = pictures(200, 1, 8, 8), torch.rand(200, 28, generator=torch.Generator().manual_seed(3))
    coloured = ada_augmented(x.expand(-1, 3, -1, -1), uniform, P)
    close(coloured, ada_augmented(x, uniform, P).expand(-1, 3, -1, -1))


# how often

NOT_NOTHING = {
    **{"flip": 0.9, "quarters": 0.3, "across": 0.9, "down": 0.9, "size": 0.9, "first": 0.8, "width": 0.9},
    **{"second": 0.8, "sideways": 0.9, "along": 0.9, "brightness": 0.9, "contrast": 0.9, "light": 0.9},
    **{"hue": 0.9, "saturation": 0.9},
}


def share_of_changed(uniform: Tensor, probability: float) -> float:
    x = pictures(1, 3, 8, 8).expand(len(uniform), -1, -1, -1)
    found = ada_augmented(x, uniform, torch.tensor(probability))
    return ((found - x).abs().amax((1, 2, 3)) > 1e-3).float().mean().item()


@pytest.mark.parametrize("probability", [0.19, 0.64])
@pytest.mark.parametrize("name", CHANGES)
def test_the_share_of_pictures_that_are_changed(name: str, probability: float) -> None:
    # of numbers a hundredth apart as many are below the probability as it has hundredths
    evenly = (torch.arange(100) + 0.5) / 100
    share = 1 - math.sqrt(1 - probability) if name in ROTATIONS else probability  # 1/10 of 0.19, 4/10 of 0.64
    found = share_of_changed(numbers(100, **NOT_NOTHING, **{f"{name}?": evenly}), probability)
    assert found == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("probability", [0.19, 0.64])
def test_rotated_at_least_once_is_the_share_of_the_others(probability: float) -> None:
    one, other = torch.cartesian_prod(*[(torch.arange(20) + 0.5) / 20] * 2).unbind(1)
    uniform = numbers(400, **NOT_NOTHING, **{"first?": one, "second?": other})
    assert share_of_changed(uniform, probability) == pytest.approx(probability, abs=1e-6)


def test_by_chance_about_so_many_are_changed() -> None:
    uniform = torch.rand(2000, 28, generator=torch.Generator().manual_seed(5))
    # of those chosen half are not flipped, half keep light and dark, a quarter are turned by nothing, and of 8 pixels a
    # quarter are moved by none; the two rotations count once, and 7 changes as they are
    untouched = 0.95**2 * 0.925**2 * 0.9**8
    bound = 4 * math.sqrt(untouched * (1 - untouched) / 2000)
    assert share_of_changed(uniform, 0.1) == pytest.approx(1 - untouched, abs=bound)
