"""Write samples to disk as they are made."""

from __future__ import annotations

import codecs
import csv
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ficta.api import Run
from ficta.base.errors import FictaError, UsageError
from ficta.base.files import replacing
from ficta.base.progress import Progress

SHEET_ITEMS = 100
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
        sheet: where the sheet goes; without, beside the samples.
        progress: who is told.

    Raises:
        UsageError: the folder holds files that are no samples.
        FictaError: it cannot be written.
    """
    packed = place.suffix == ".npz"
    if not packed and place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file; give a folder, or a path ending in .npz")
    stale = [] if packed else _earlier_samples(place)
    target = sheet or (place.with_suffix(".png") if packed else place / "sheet.png")

    def made(count: int) -> Iterator[tuple[int, np.ndarray]]:
        done = 0
        for chunk in run.samples(count, label, seed=seed, temperature=temperature):
            yield done, chunk
            done += len(chunk)
            progress("samples", done, count)

    shown = np.concatenate([chunk for _, chunk in made(min(n, SHEET_ITEMS))])  # a wrong call shows before any folder
    try:
        for folder in (place.parent if packed else place, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.unlink()
        with replacing(target) as file:  # first of all: a numbered file beside it is known to be ours
            run.stored.codec.preview(shown).save(file, format="PNG")
        if run.stored.codec.spec.condition is not None:
            _write_labels(place.with_suffix(".csv") if packed else place / "labels.csv", run, n, label)
        if packed:
            _write_npz(place, n, made(n))
        else:
            for done, chunk in made(n):
                run.stored.codec.write(chunk, place, done)
    except OSError as error:
        raise FictaError(f"cannot write {error.filename or place}: {error.strerror}; choose another --out") from None
    return Written(target, 1 if packed else n)


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
    condition = run.stored.codec.spec.condition
    assert condition is not None
    with replacing(path) as file:
        rows = csv.writer(codecs.getwriter("utf-8")(file))
        rows.writerow(("file", "label"))
        for index in range(n):
            given = label if label is not None else condition.categories[index % len(condition.categories)]
            rows.writerow((f"{index:06d}.png" if path.name == "labels.csv" else index, given))


def _write_npz(path: Path, rows: int, chunks: Iterator[tuple[int, np.ndarray]]) -> None:
    """Write one array named ``samples`` row by row: a zip whose entry starts with the header of the whole array."""
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        archive.open("samples.npy", "w", force_zip64=True) as entry,
    ):
        for done, chunk in chunks:
            if done == 0:
                header = {"descr": np.lib.format.dtype_to_descr(chunk.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(entry, header | {"shape": (rows, *chunk.shape[1:])})
            entry.write(np.ascontiguousarray(chunk).tobytes())
