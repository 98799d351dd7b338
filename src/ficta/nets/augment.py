"""Augmentation that a gradient passes through: what the discriminator sees of real and of generated pictures alike.

``diff`` is DiffAugment (Zhao et al. 2020, arXiv:2006.10738): every picture is changed, always. ``ada`` is adaptive
(Karras et al. 2020, arXiv:2006.06676): each change is made with a probability that rises while the discriminator is too
sure of real pictures, and that is part of the model's state.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.compute.collectives import Collectives

NUMBERS = {"none": 0, "diff": 7, "ada": 28}  # uniform numbers that the changes of a picture take
SHIFT = 1 / 8  # of a side: most that a picture is moved by whole pixels, standard deviation of other moves
SIZES, CONTRASTS, SATURATIONS = (share * math.log(2) for share in (0.2, 0.5, 1.0))  # spreads of logarithms
# standard deviations of warping: angle, slant, logarithms of both sides, ways as shares of a side
WARP = (0.25, 0.25, 0.15, 0.15, 0.04, 0.04)
WARPS = len(WARP)
BRIGHTNESSES = 0.2  # standard deviation


class AugmentSettings(Settings):
    """How pictures are changed before the discriminator sees them."""

    kind: Annotated[
        Literal["none", "diff", "ada"],
        Field(description="for few pictures. diff: colour, place and a hole, always; ada: as often as it takes"),
    ] = "none"
    target: Annotated[
        float, Field(gt=0, lt=1, description="ada: mean sign of the discriminator's logits on real pictures to keep to")
    ] = 0.6
    samples: Annotated[
        int,
        Field(ge=1, description="ada: samples seen in which the probability can go from 0 to 1; 500,000 in the paper"),
    ] = 100_000


class Augment(nn.Module):
    """The changes, and for ``ada`` their probability.

    Attributes:
        numbers: uniform numbers that the changes of a picture take.
    """

    probability: Tensor
    signs: Tensor

    def __init__(self, settings: AugmentSettings, shape: tuple[int, ...]) -> None:
        super().__init__()
        if settings.kind != "none" and (len(shape) != 3 or shape[0] not in (1, 3)):
            raise UsageError(
                f"model.augment.kind = '{settings.kind}' is for grey or coloured pictures, the data have shape "
                f"{shape}: use 'none'"
            )
        self.settings, self.numbers = settings, NUMBERS[settings.kind]
        if settings.kind == "ada":
            self.register_buffer("probability", torch.zeros(()))
            self.register_buffer("signs", torch.zeros(2))  # their sum since the last step, and how many

    def forward(self, x: Tensor, uniform: Tensor) -> Tensor:
        """Float32 (B, C, H, W) and numbers in [0, 1) float32 (B, ``numbers``) => float32 (B, C, H, W)."""
        if self.settings.kind == "none":
            return x
        with torch.autocast(x.device.type, enabled=False):  # places of pixels need all digits
            return (
                diff_augmented(x, uniform)
                if self.settings.kind == "diff"
                else ada_augmented(x, uniform, self.probability)
            )

    def watch(self, real_logits: Tensor) -> None:
        """Note how sure the discriminator is of real pictures, float (B,)."""
        if self.settings.kind == "ada":
            signs = real_logits.detach().float().sign()
            self.signs += torch.stack([signs.sum(), torch.ones_like(signs).sum()])

    def adapt(self, collectives: Collectives) -> None:
        """After a step: raise the probability if the mean sign is above the target, else lower it (Sec. 3.2)."""
        if self.settings.kind == "ada":
            (signs,) = collectives.sum([self.signs])
            way = torch.sign(signs[0] - self.settings.target * signs[1])
            self.probability.add_(way * signs[1] / self.settings.samples).clamp_(0, 1)
            self.signs.zero_()


class Dice:
    """Hands out uniform numbers (B, n), a column after the other."""

    def __init__(self, uniform: Tensor) -> None:
        self.columns = iter(uniform.unbind(1))

    def uniform(self, least: float = 0.0, most: float = 1.0) -> Tensor:
        """Float (B,) in [least, most)."""
        return least + (most - least) * next(self.columns)

    def whole(self, least: int, most: int) -> Tensor:
        """Whole numbers from least to most, float (B,)."""
        return self.uniform(least, most + 1).floor()

    def normal(self, deviation: float) -> Tensor:
        """Normal numbers, float (B,)."""
        numbers: Tensor = torch.special.ndtri(next(self.columns).clamp(1e-6, 1 - 1e-6))
        return deviation * numbers

    def perhaps(self, probability: Tensor, value: Tensor, otherwise: float = 0.0) -> Tensor:
        """The value with this probability, (B,)."""
        return torch.where(next(self.columns) < probability, value, otherwise)


def diff_augmented(x: Tensor, uniform: Tensor) -> Tensor:
    """DiffAugment: brightness, saturation, contrast; a shift by up to an eighth; a hole of half the sides.

    Args:
        x: float (B, C, H, W), in [-1, 1] where the data are.
        uniform: in [0, 1), float32 (B, 7).

    Returns:
        float (B, C, H, W); what comes in from beyond the edges, and the hole, are 0.
    """
    dice = Dice(uniform)
    x = x + _over(dice.uniform(-0.5, 0.5))
    x = torch.lerp(x.mean(1, keepdim=True), x, _over(dice.uniform(0, 2)))
    x = torch.lerp(x.mean((1, 2, 3), keepdim=True), x, _over(dice.uniform(0.5, 1.5)))
    for axis in (2, 3):
        most = _rounded(SHIFT * x.shape[axis])
        x = _shifted(x, axis, dice.whole(-most, most))
    hole = torch.ones((), dtype=torch.bool, device=x.device)
    for axis in (2, 3):
        length = _rounded(x.shape[axis] / 2)
        start = dice.whole(0, x.shape[axis] - length % 2) - length // 2
        place = _places(x, axis) - _over(start)
        hole = hole & (place >= 0) & (place < length)
    return x * ~hole


def ada_augmented(x: Tensor, uniform: Tensor, probability: Tensor) -> Tensor:
    """ADA's pixel blitting, geometry and colours (Appendix B), but with bilinear interpolation.

    Args:
        x: float (B, C, H, W), C 1 or 3, in [-1, 1] where the data are.
        uniform: in [0, 1), float32 (B, 28).
        probability: of each change, float ().

    Returns:
        float (B, C, H, W); beyond its edges a picture is reflected.
    """
    dice = Dice(uniform)
    x = _looked_up(x, _geometry(dice, probability, *x.shape[2:]))
    x = x + _over(dice.perhaps(probability, dice.normal(BRIGHTNESSES)))
    colours = _colours(dice, probability)
    if x.shape[1] == 1:
        return x * _over(colours.sum(2).mean(1))
    return torch.einsum("bij,bjhw->bihw", colours, x)


def warped(x: Tensor, normal: Tensor, strength: float) -> Tensor:
    """Pictures turned, slanted, stretched and moved at random.

    Args:
        x: float (B, C, H, W).
        normal: standard normal numbers, float32 (B, 6).
        strength: at 1 the standard deviations are 0.25 of the angle (radians) and the slant, 0.15 of the logarithms of
            both sides, and a twenty-fifth of a side of the way.

    Returns:
        float (B, C, H, W); beyond its edges a picture is reflected.
    """
    angle, slant, width, height, across, down = (strength * torch.tensor(WARP, device=x.device) * normal).unbind(1)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    slanted = _matrix([one, slant, zero], [zero, one, zero], [zero, zero, one])
    with torch.autocast(x.device.type, enabled=False):  # places of pixels need all digits
        moved = _translation(across * x.shape[3], down * x.shape[2])
        return _looked_up(x, moved @ _rotation(angle) @ slanted @ _scaling(width.exp(), height.exp()))


def _geometry(dice: Dice, p: Tensor, rows: int, columns: int) -> Tensor:
    """From places in the new picture to places in the old, in pixels from the middle: float (B, 3, 3)."""
    turns = 2 if rows == columns else 1  # a picture that is not square keeps its sides
    rotates = 1 - torch.sqrt(1 - p)  # before or after the stretching, so that together they have the probability

    def rotated() -> Tensor:
        return _rotation(dice.perhaps(rotates, dice.uniform(-math.pi, math.pi)))

    flip = dice.perhaps(p, 1 - 2 * dice.whole(0, 1), 1.0)
    quarters = dice.perhaps(p, dice.whole(0, 2 * turns - 1) * (math.pi / turns))
    moved = dice.perhaps(p, torch.ones_like(flip))
    across, down = (moved * torch.round(dice.uniform(-SHIFT, SHIFT) * side) for side in (columns, rows))
    size = dice.perhaps(p, torch.exp(dice.normal(SIZES)), 1.0)
    first = rotated()
    width = dice.perhaps(p, torch.exp(dice.normal(SIZES)), 1.0)
    second = rotated()
    drifts = dice.perhaps(p, torch.ones_like(flip))
    sideways, along = (drifts * dice.normal(SHIFT) * side for side in (columns, rows))
    return (
        _scaling(flip, torch.ones_like(flip))
        @ _rotation(quarters)
        @ _translation(across, down)
        @ _scaling(size, size)
        @ first
        @ _scaling(width, 1 / width)
        @ second
        @ _translation(sideways, along)
    )


def _looked_up(x: Tensor, matrix: Tensor) -> Tensor:
    """Pictures float (B, C, H, W) at the places that a matrix float (B, 3, 3) leads to, as ``_geometry`` says."""
    half = matrix.new_tensor([x.shape[3] / 2, x.shape[2] / 2, 1.0])
    grid = F.affine_grid((matrix * half / half[:, None])[:, :2], [len(x), 1, *x.shape[2:]], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _colours(dice: Dice, p: Tensor) -> Tensor:
    """Contrast, then light for dark, then hue, then saturation: float (B, 3, 3)."""
    contrast = dice.perhaps(p, torch.exp(dice.normal(CONTRASTS)), 1.0)
    light = dice.perhaps(p, 1 - 2 * dice.whole(0, 1), 1.0)
    hue = dice.perhaps(p, dice.uniform(-math.pi, math.pi))
    saturation = dice.perhaps(p, torch.exp(dice.normal(SATURATIONS)), 1.0)
    # along the grey axis, and around it
    eye = torch.eye(3, device=p.device)
    grey = torch.full_like(eye, 1 / 3)
    cross = torch.linalg.cross(eye, torch.full_like(eye, math.sqrt(1 / 3)))
    angle = hue[:, None, None]
    around = torch.cos(angle) * (eye - grey) + torch.sin(angle) * cross
    found: Tensor = light[:, None, None] * grey + saturation[:, None, None] * around
    return contrast[:, None, None] * found


def _rotation(angle: Tensor) -> Tensor:
    """Float (B,), radians => float (B, 3, 3)."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return _matrix([cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one])


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([x, zero, zero], [zero, y, zero], [zero, zero, one])


def _translation(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([one, zero, x], [zero, one, y], [zero, zero, one])


def _matrix(*rows: list[Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _shifted(x: Tensor, axis: int, by: Tensor) -> Tensor:
    """Pictures moved along an axis by whole pixels (B,); what comes in is 0."""
    source = _places(x, axis) - _over(by)
    found = x.gather(axis, source.clamp(0, x.shape[axis] - 1).long().expand_as(x))
    return found * ((source >= 0) & (source < x.shape[axis]))


def _places(x: Tensor, axis: int) -> Tensor:
    """Numbers of the pixels along an axis, to be broadcast over the others: (1, 1, H, 1) or (1, 1, 1, W)."""
    place = torch.arange(x.shape[axis], device=x.device)
    return place.view([-1 if each == axis else 1 for each in range(4)])


def _over(numbers: Tensor) -> Tensor:
    """A number a picture, (B,), to be broadcast over it: (B, 1, 1, 1)."""
    return numbers[:, None, None, None]


def _rounded(number: float) -> int:
    return int(number + 0.5)
