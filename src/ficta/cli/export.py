"""Write samples to disk as they are made."""

from __future__ import annotations

import codecs
import csv
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from ficta.api import Run
from ficta.base.errors import FictaError, UsageError
from ficta.base.files import replacing, write_text
from ficta.base.progress import Progress
from ficta.runs.sampling import labels_of

if TYPE_CHECKING:
    from ficta.evaluate.evaluate import Evaluation

SHEET_ITEMS = 100
ENTRY = "samples.npy"  # of an .npz
BESIDE = ((".png", "sheet.png"), (".csv", "labels.csv"))  # of an .npz, and in a folder
FILES = (".npy", ".zip", ".png", ".jpg", ".jpeg", ".csv")  # endings that nobody gives a folder
OURS = re.compile(r"\d{6,}\.png|sheet\.png|labels\.csv")


class Written(NamedTuple):
    """What was written."""

    sheet: Path
    files: int


def write_samples(
    run: Run,
    n: int,
    label: str | None,
    seed: int,
    temperature: float,
    place: Path,
    sheet: Path | None,
    progress: Progress,
) -> Written:
    """Write ``n`` samples and a sheet of the first hundred; memory does not grow with ``n``.

    Args:
        run: a trained run.
        n: how many.
        label: of every sample, for a conditional run.
        seed: of the latents.
        temperature: spread of the latents.
        place: a folder (one file a sample) or a path ending in ``.npz`` (one array named ``samples``).
        sheet: where the sheet goes as well as beside the samples; by its ending a PNG, a JPEG …
        progress: who is told.

    Raises:
        UsageError: the folder holds files that are no samples, files beside an ``.npz`` would be lost, or the ending
            is of no kind that is written.
        FictaError: it cannot be written.
    """
    packed = place.suffix == ".npz"
    if not packed and ((place.exists() and not place.is_dir()) or place.suffix.lower() in FILES):
        raise UsageError(f"--out {place} is a file; give a folder, or a path ending in .npz")
    if sheet is not None and sheet.suffix.lower() not in Image.registered_extensions():
        raise UsageError(f"--sheet {sheet}: give a path ending in .png, .jpg or another kind of picture")
    stale = [] if packed else _earlier_samples(place)
    beside, table = (place.with_suffix(kind) if packed else place / name for kind, name in BESIDE)
    _check_neighbours(place, [beside, table] if run.stored.codec.spec.condition else [beside])

    def made(count: int) -> Iterator[tuple[int, np.ndarray]]:
        done = 0
        for chunk in run.samples(count, label, seed=seed, temperature=temperature):
            yield done, chunk
            done += len(chunk)
            progress("samples", done, count)

    shown = np.concatenate([chunk for _, chunk in made(min(n, SHEET_ITEMS))])  # a wrong call shows before any folder
    try:
        for folder in (place.parent if packed else place, (sheet or beside).parent):
            folder.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.unlink()
        picture = run.stored.codec.preview(shown, captions=labels_of(run.stored, len(shown), label))
        for path in (
            beside,
            *([sheet] if sheet else []),
        ):  # first of all: a numbered file beside it is known to be ours
            with replacing(path) as file:
                picture.save(file, format=Image.registered_extensions()[path.suffix.lower()])
        if run.stored.codec.spec.condition is not None:
            _write_labels(table, run, n, label)
        if packed:
            _write_npz(place, n, made(n))
        else:
            for done, chunk in made(n):
                run.stored.codec.write(chunk, place, done)
    except OSError as error:
        raise FictaError(f"cannot write {error.filename or place}: {error.strerror}; choose another --out") from None
    return Written(sheet or beside, 1 if packed else n)


def _check_neighbours(place: Path, neighbours: Sequence[Path]) -> None:
    """Refuse to replace an ``.npz`` and what stands beside it, unless an earlier call has made that."""
    if place.suffix != ".npz" or _is_ours(place):
        return
    taken = [path for path in (place, *neighbours) if path.exists()]
    if taken:
        raise UsageError(f"{taken[0]} is there already and would be lost; move it, or choose another --out")


def _is_ours(place: Path) -> bool:
    """Whether an ``.npz`` holds what we write into one, and nothing else."""
    try:
        with zipfile.ZipFile(place) as archive:
            return archive.namelist() == [ENTRY]
    except (OSError, zipfile.BadZipFile):
        return False


def _earlier_samples(folder: Path) -> list[Path]:
    """Files of an earlier call: named as ours, and beside a sheet. Anything else is not ours to mix with."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    ours = OURS if folder / "sheet.png" in entries else re.compile("(?!)")
    others = [entry.name for entry in entries if not ours.fullmatch(entry.name)]
    if others:
        raise UsageError(f"{folder} holds something else than samples ({others[0]}); choose another --out")
    return entries


def _write_labels(path: Path, run: Run, n: int, label: str | None) -> None:
    """Write which label each sample was asked for: columns ``file`` (its index in a .npz) and ``label``."""
    with replacing(path) as file:
        rows = csv.writer(codecs.getwriter("utf-8")(file))
        rows.writerow(("file", "label"))
        for index, given in enumerate(labels_of(run.stored, n, label) or ()):
            rows.writerow((f"{index:06d}.png" if path.name == "labels.csv" else index, given))


def _write_npz(path: Path, rows: int, chunks: Iterator[tuple[int, np.ndarray]]) -> None:
    """Write one array named ``samples`` row by row: a zip whose entry starts with the header of the whole array."""
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        archive.open(ENTRY, "w", force_zip64=True) as entry,
    ):
        for done, chunk in chunks:
            if done == 0:
                header = {"descr": np.lib.format.dtype_to_descr(chunk.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(entry, header | {"shape": (rows, *chunk.shape[1:])})
            entry.write(np.ascontiguousarray(chunk).tobytes())


def write_evaluation(found: Evaluation, folder: Path) -> Path:
    """Write results and the sheet of the closest samples; where the sheet is. Without a run there always is one."""
    assert found.closest is not None
    lines = [json.dumps(result.to_json(), allow_nan=False) for result in found.results]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "results.jsonl", "\n".join(lines) + "\n")
    sheet = folder / "closest.png"
    with replacing(sheet) as file:
        found.closest.save(file, format="PNG")
    return sheet
