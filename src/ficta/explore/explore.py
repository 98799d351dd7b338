"""All pictures of a run at once, kept in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ficta.base.progress import Progress, silent
from ficta.data.dataset import Dataset
from ficta.draw.animate import animation
from ficta.explore.pictures import Projection, interpolations, latent_map, manifold, reconstructions, sheet
from ficta.runs.run import Run

MOST_FRAMES = 40


def explore(
    run: Run, dataset: Dataset, *, seed: int = 0, projection: Projection = "pca", progress: Progress = silent
) -> tuple[list[Path], list[str]]:
    """Draw every picture that the family can answer for, into ``explore/`` of the run.

    Args:
        run: a trained run.
        dataset: its data; the test split is shown.
        seed: of samples and walks.
        projection: how latents of more than two dimensions are brought to two.
        progress: who is told.

    Returns:
        Files written, and names of pictures that are not defined for this family.
    """
    split = dataset.splits["test"] if len(dataset.splits["test"]) else dataset.splits["validation"]
    names = tuple(dataset.report.get("categories") or ())
    pictures: dict[str, Callable[[], Image.Image | None]] = {
        "sheet": lambda: sheet(run, seed),
        "reconstructions": lambda: reconstructions(run, split),
        "interpolations": lambda: interpolations(run, seed),
        "manifold": lambda: manifold(run),
        "latent": lambda: latent_map(run, split, names, seed, projection),
    }
    written, undefined = [], []
    for done, (name, draw) in enumerate(pictures.items()):
        progress("pictures", done, len(pictures))
        picture = draw()
        if picture is None:
            undefined.append(name)
        else:
            written.append(run.folder.save_picture(f"explore/{name}.png", picture))
    progress("pictures", len(pictures), len(pictures))
    return written, undefined


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
