"""Write samples to disk as they are made."""

from __future__ import annotations

import codecs
import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ficta.api import Run
from ficta.api.run import DEFAULT_SAMPLES
from ficta.base.errors import FictaError, UsageError
from ficta.base.files import replacing, write_text
from ficta.base.progress import Progress
from ficta.data.asked import Asked

if TYPE_CHECKING:
    from ficta.evaluate.evaluate import Evaluation

NPZ = ".npz"
ENTRY = "samples.npy"  # of an .npz
BESIDE = ((".png", "sheet.png"), (".csv", "labels.csv"))  # of an .npz, and in a folder
# endings that nobody gives a folder
FILES = (".npy", ".zip", ".png", ".jpg", ".jpeg", ".csv", ".tsv", ".parquet", ".xlsx")
OURS = re.compile(r"\d{6,}\.png|sheet\.png|labels\.csv|samples\.csv")


class Written(NamedTuple):
    """What was written."""

    sheet: Path
    files: int
    n: int


def write_samples(
    run: Run,
    n: int | None,
    asked: Asked,
    how: Mapping[str, Any],
    place: Path,
    sheet: Path | None,
    progress: Progress,
) -> Written:
    """Write ``n`` samples and an overview of the first ones; memory does not grow with ``n``.

    Args:
        run: a trained run.
        n: how many; None for as many as are asked for, or a hundred.
        asked: what they are to be.
        how: further arguments of ``Run.samples``: seed, temperature, truncation, prior, acceptance.
        place: a folder, a path ending in ``.npz`` (one array named ``samples``), or of a table another kind of file.
        sheet: where the sheet goes as well as beside the samples; by its ending a PNG, a JPEG …
        progress: who is told.

    Raises:
        UsageError: the folder holds files that are no samples, files beside would be lost, or the ending is of no kind
            that is written.
        FictaError: it cannot be written.
    """
    codec = run.stored.codec
    single = place.suffix.lower() in (NPZ, *codec.endings)
    if not single and ((place.exists() and not place.is_dir()) or place.suffix.lower() in FILES):
        kinds = ", ".join((NPZ, *codec.endings))
        raise UsageError(f"--out {place} is a file; give a folder, or a path ending in {kinds}")
    if sheet is not None and sheet.suffix.lower() not in Image.registered_extensions():
        raise UsageError(f"--sheet {sheet}: give a path ending in .png, .jpg or another kind of picture")
    stale = [] if single else _earlier_samples(place)
    beside, table = (place.with_suffix(kind) if single else place / name for kind, name in BESIDE)
    n = n or asked.count or DEFAULT_SAMPLES
    names = asked.names(0, 1) is not None
    if single:
        _check_neighbours(place, [beside, table] if names else [beside])

    def made(count: int) -> Iterator[np.ndarray]:
        done = 0
        for chunk in run.samples(count, asked, progress=progress, **how):
            yield chunk
            done += len(chunk)
            progress("samples", done, count)

    shown = np.concatenate(list(made(min(n, codec.sheet_items))))  # a wrong call shows before any folder
    try:
        for folder in (place.parent if single else place, (sheet or beside).parent):
            folder.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.unlink()
        picture = codec.overview(shown, captions=asked.names(0, len(shown)))
        for path in (
            beside,
            *([sheet] if sheet else []),
        ):  # first of all: a numbered file beside it is known to be ours
            with replacing(path) as file:
                picture.save(file, format=Image.registered_extensions()[path.suffix.lower()])
        if names:
            _write_labels(table, asked, n)
        if place.suffix.lower() == NPZ:
            _write_npz(place, n, made(n))
        else:
            codec.write(made(n), place)
    except OSError as error:
        raise FictaError(f"cannot write {error.filename or place}: {error.strerror}; choose another --out") from None
    return Written(sheet or beside, 1 if single or codec.endings else n, n)


def _check_neighbours(place: Path, neighbours: Sequence[Path]) -> None:
    """Refuse to replace a file and what stands beside it, unless it is an ``.npz`` that an earlier call has made."""
    if place.suffix.lower() == NPZ and _is_ours(place):
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


def _write_labels(path: Path, asked: Asked, n: int) -> None:
    """Write which label each sample was asked for: columns ``file`` (its index in a .npz) and ``label``."""
    with replacing(path) as file:
        rows = csv.writer(codecs.getwriter("utf-8")(file))
        rows.writerow(("file", "label"))
        for index, given in enumerate(asked.names(0, n) or ()):
            rows.writerow((f"{index:06d}.png" if path.name == "labels.csv" else index, given))


def _write_npz(path: Path, rows: int, chunks: Iterator[np.ndarray]) -> None:
    """Write one array named ``samples`` row by row: a zip whose entry starts with the header of the whole array."""
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        archive.open(ENTRY, "w", force_zip64=True) as entry,
    ):
        for number, chunk in enumerate(chunks):
            if number == 0:
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
