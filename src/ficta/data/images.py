"""Pictures: how they are read, and the codec between files, uint8 arrays and tensors."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import torch
from PIL import Image
from pydantic import Field, field_validator
from torch import Tensor

from ficta.base.errors import FictaError, UsageError
from ficta.base.settings import OPEN, Settings
from ficta.base.spec import Spec, class_condition
from ficta.base.words import count, nearest
from ficta.compute.noise import Noise
from ficta.data.asked import Asked, Labels, Nothing
from ficta.data.codec import Chunk, Codec
from ficta.data.listing import Source
from ficta.data.scan import Wish, scan_pictures
from ficta.draw.sheets import sheet

LEVELS = 256


class ImageSettings(Settings):
    """How pictures are read."""

    size: Annotated[
        str | None,
        Field(
            description="side, or width x height, e.g. 64 or 64x48; "
            "not given: the pictures' own size if they share one of at most 128x128, else 64",
            json_schema_extra=OPEN,
        ),
    ] = None
    fit: Annotated[
        Literal["crop", "pad"],
        Field(description="what to do with another aspect ratio: crop to the middle, or pad with black"),
    ] = "crop"
    channels: Annotated[
        Literal[1, 3, 4] | None,
        Field(
            description="1 grey, 3 RGB, 4 RGB with transparency; not given: 1 if all pictures are grey, else 3",
            json_schema_extra=OPEN,
        ),
    ] = None
    binarise: Annotated[
        Literal["none", "dynamic", "fixed"],
        Field(
            description="none: grey levels; dynamic: black or white, drawn anew whenever a picture is seen, with its "
            "brightness as the probability of white; fixed: drawn once"
        ),
    ] = "none"

    @field_validator("size", mode="before")
    @classmethod
    def _check_size(cls, value: Any) -> Any:
        if value is None:
            return None
        text = str(value).lower()
        if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})?", text):
            raise ValueError("write a side in pixels or width x height, e.g. 64 or 64x48 (1 to 9999)")
        width, _, height = text.partition("x")
        return width if height in ("", width) else text

    def sides(self) -> tuple[int, int] | None:
        """Width and height in pixels; None if not given."""
        if self.size is None:
            return None
        width, _, height = self.size.partition("x")
        return int(width), int(height or width)


@final
class ImageCodec(Codec):
    """Pictures as uint8 (C, H, W) in the cache and float32 (C, H, W) in the model.

    Continuous: ``x / 127.5 - 1``, 256 levels, exact both ways. Binary (``binarise``): 0 and 1; ``fixed`` is exact,
    ``dynamic`` keeps the grey levels in the cache and draws from them.
    """

    settings: ImageSettings
    item = "picture"
    spaces = ("random-conv",)
    measures = ("ms-ssim", "usefulness")
    repeats = False
    by_label = True
    pictures = ("sheet", "reconstructions", "interpolations", "codes", "manifold", "mixing", "latent")
    sheet_items = 100
    endings = ()

    def __init__(self, settings: ImageSettings) -> None:
        self.settings = settings
        self.schema: dict[str, Any] = {}

    def as_they_come(self) -> ImageSettings:
        """At their own size."""
        return self.settings.model_copy(update={"size": None})

    def stored_key(self) -> dict[str, Any]:
        """Size, fit, channels, and whether pixels are drawn at ingestion."""
        kept = self.settings.model_dump(include={"size", "fit", "channels"})
        return kept | {"drawn": self.settings.binarise == "fixed"}

    def scan(self, source: Source) -> Iterator[Chunk]:
        """Read every picture: chunks of uint8 (n, C, H, W).

        Raises:
            DataError: the source itself cannot be read (a single file that cannot be is skipped and said so).
        """
        wish = Wish(self.settings.sides(), self.settings.channels, self.settings.fit)
        yield from scan_pictures(source, wish, drawn=self.settings.binarise == "fixed")

    def remarks(self, facts: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
        """How pictures of other sizes became the one that is trained on; whether they are dark."""
        size = f"{shape[2]}x{shape[1]}"
        others = sum(number for own, number in facts["tallies"]["sizes"].items() if own != size)
        how = "cropped to the middle" if self.settings.fit == "crop" else "padded with black"
        note = f"brought to {size} from other sizes, {how} where the aspect differs: {count(others)}"
        low, high = facts["stored_range"]
        warnings = [f"all values are {low:g}: there is nothing to learn"] if low == high else []
        if low < high < 32:
            warnings = [f"the brightest value is {high:g} of 255: scale the pictures to the whole range"]
        return [note] if others else [], warnings

    def fit(self, train: Iterable[np.ndarray], conditional: bool, labels: tuple[str, ...]) -> None:
        """Take the shape from the first pictures, uint8 (n, C, H, W); nothing else is learnt."""
        channels, height, width = next(iter(train)).shape[1:]
        size = str(width) if width == height else f"{width}x{height}"
        self.settings = self.settings.model_copy(update={"size": size, "channels": channels})
        self._set_spec((channels, height, width), class_condition(labels) if conditional else None)

    def weights(self, train: Iterable[np.ndarray]) -> np.ndarray | None:
        """None: pictures are seen as often as they occur."""
        return None

    def encode(self, stored: Tensor, noise: Noise | None = None) -> Tensor:
        """uint8 (B, C, H, W) to float32 (B, C, H, W) in [-1, 1], or in {0, 1} if binarised.

        Raises:
            UsageError: another dtype, whose range nobody knows.
        """
        if stored.dtype != torch.uint8:
            raise UsageError(f"pictures are uint8 from 0 to 255, not {stored.dtype}; round and convert them first")
        if self.spec.kind == "continuous":
            return stored.to(torch.float32) / 127.5 - 1
        if self.settings.binarise == "fixed" or noise is None:
            return (stored >= 128).to(torch.float32)
        return (noise.uniform(*stored.shape[1:]) < stored.to(torch.float32) / 255).to(torch.float32)

    def condition(
        self,
        spec: Spec,
        data: Tensor,
        labels: Tensor | None,
        noise: Noise | None = None,
        weighted: Tensor | None = None,
    ) -> Tensor | None:
        """The labels int64 (B,)."""
        return labels if spec.condition else None

    def ask(self, label: str | None = None, where: Mapping[str, Any] | None = None) -> Asked:
        """Pictures of this label, or of all in turn.

        Raises:
            UsageError: an unknown label, a value of a column, or a run that was trained without labels.
        """
        if where:
            raise UsageError("pictures have no columns to ask for; ask for a label: --label")
        condition = self.spec.condition
        if condition is None:
            if label is not None:
                raise UsageError("this run was trained without labels; train with --conditional to ask for one")
            return Nothing()
        if label is not None and label not in condition.categories:
            raise UsageError(f"no label {label!r}: {nearest(label, condition.categories)}")
        chosen = range(len(condition.categories)) if label is None else [condition.categories.index(label)]
        return Labels(condition.categories, np.array(chosen))

    def unstructured(self, items: np.ndarray, seed: int, first: int) -> np.ndarray:
        """The values of each picture have changed places."""
        made = np.empty_like(items)
        for place, picture in enumerate(items):
            draws = np.random.default_rng([seed, first + place])
            made[place] = draws.permutation(picture.reshape(-1)).reshape(picture.shape)
        return made

    def decode(self, tensor: Tensor) -> np.ndarray:
        """Float (B, C, H, W) to uint8 (B, C, H, W): clamped to the range and rounded to the nearest level.

        Raises:
            FictaError: values that are not finite.
        """
        values = tensor.detach().to(torch.float32)
        if not bool(torch.isfinite(values).all()):
            raise FictaError("pictures with NaN or infinite pixels cannot be shown: the model that made them diverged")
        unit = (values + 1) / 2 if self.spec.kind == "continuous" else values
        levels: np.ndarray = (unit.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return levels

    def write(self, chunks: Iterable[np.ndarray], place: Path) -> None:
        """Write uint8 (n, C, H, W) as ``000000.png`` and so on."""
        place.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(itertools.chain.from_iterable(chunks)):
            path = place / f"{index:06d}.png"
            flat = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)  # CHW => HWC
            try:
                Image.fromarray(np.ascontiguousarray(flat)).save(path)
            except BaseException:  # nothing half-written stays; thousands of files are not each flushed to disk
                path.unlink(missing_ok=True)
                raise

    def preview(
        self, stored: np.ndarray, columns: int | None = None, captions: Sequence[str] | None = None
    ) -> Image.Image:
        """The pictures side by side, enlarged."""
        return sheet(stored, columns, captions=captions)

    def overview(self, stored: np.ndarray, captions: Sequence[str] | None = None) -> Image.Image:
        """The pictures side by side, enlarged."""
        return sheet(stored, captions=captions)

    def facts(self) -> dict[str, Any]:
        """Settings, shape and condition."""
        condition = self.spec.condition
        return {
            "codec": "image",
            "settings": self.settings.model_dump(),
            "shape": list(self.spec.shape),
            "condition": condition.to_json() if condition else None,
        }

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> ImageCodec:
        """Make the codec that ``facts`` describes."""
        codec = cls(ImageSettings.read(facts["settings"], "codec.settings"))
        condition = facts["condition"]
        codec._set_spec(tuple(facts["shape"]), Spec.from_json(condition) if condition else None)
        return codec

    def _set_spec(self, shape: tuple[int, ...], condition: Spec | None) -> None:
        grey = self.settings.binarise == "none"
        self.spec = Spec(
            axes=("channel", "height", "width"),
            shape=tuple(int(side) for side in shape),
            kind="continuous" if grey else "binary",
            levels=LEVELS if grey else None,
            condition=condition,
        )
