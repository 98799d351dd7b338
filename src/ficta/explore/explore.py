"""All pictures of a run at once, kept in its folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress, silent
from ficta.data.dataset import Dataset, Split
from ficta.draw.animate import animation
from ficta.explore.pictures import (
    Projection,
    associations,
    codes,
    interpolations,
    latent_map,
    manifold,
    mixing,
    reconstructions,
    sheet,
)
from ficta.models.family import Encodes, Reconstructs
from ficta.runs.run import Run

MOST_FRAMES = 40


class Explored(NamedTuple):
    """What was drawn, and what was not.

    Attributes:
        written: files.
        undefined: names of pictures that are not defined for this family.
        unread: why those that show held-out data could not be drawn; empty if they could, or are not defined.
    """

    written: list[Path]
    undefined: list[str]
    unread: str


def explore(
    run: Run, read: Callable[[], Dataset], *, seed: int = 0, projection: Projection = "pca", progress: Progress = silent
) -> Explored:
    """Draw every picture that the family can answer for, into ``explore/`` of the run.

    Args:
        run: a trained run.
        read: reads its data, of which the test split is shown; called if a picture needs them. Data that are gone or
            have changed cost those pictures alone.
        seed: of samples and walks.
        projection: how latents of more than two dimensions are brought to two.
        progress: who is told.
    """
    encodes = isinstance(run.family, Encodes)
    returns = encodes or isinstance(run.family, Reconstructs)
    names = tuple(run.data.get("categories") or ())

    @functools.cache
    def heldout() -> Split:
        splits = read().splits
        return splits["test"] if len(splits["test"]) else splits["validation"]

    pictures: dict[str, Callable[[], Image.Image | None]] = {
        "sheet": lambda: sheet(run, seed),
        "reconstructions": lambda: reconstructions(run, heldout()) if returns else None,
        "interpolations": lambda: interpolations(run, seed),
        "codes": lambda: codes(run, seed),
        "manifold": lambda: manifold(run),
        "mixing": lambda: mixing(run, seed),
        "associations": lambda: associations(run, heldout(), seed),
        "latent": lambda: latent_map(run, heldout(), names, seed, projection) if encodes else None,
    }
    written, undefined, unread = [], [], ""
    for done, name in enumerate(run.codec.pictures):
        progress("pictures", done, len(run.codec.pictures))
        try:
            picture = pictures[name]()
        except (UsageError, DataError) as error:
            unread = str(error)
            continue
        if picture is None:
            undefined.append(name)
        else:
            written.append(run.folder.save_picture(f"explore/{name}.png", picture))
    progress("pictures", len(run.codec.pictures), len(run.codec.pictures))
    return Explored(written, undefined, unread)


def animate(run: Run) -> Path | None:
    """Turn the sheets of a run into an animated picture of its progress; None without any sheet."""
    sheets = sorted(run.folder.samples.glob("*.png"))
    if not sheets:
        return None
    step = max(1, -(-len(sheets) // MOST_FRAMES))
    chosen = sheets[::-1][::step][::-1]  # the last sheet is always among them
    path = run.folder.samples / "progress.webp"
    frames = [Image.open(sheet).convert("RGB") for sheet in chosen]
    animation(frames, path)
    return path
