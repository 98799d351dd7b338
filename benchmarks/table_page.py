"""Writes what a benchmark measured into the docs: tables between two comments, and a sheet a data set."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ficta.draw import lettering
from ficta.draw.sheets import sheet

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- {} begins, written by benchmarks/{}.py -->", "<!-- {} ends -->"
SHOWN = 32  # pictures of each model
COLUMNS = 16
WIDTH = 560  # pixels of a strip
MARGIN = 170  # for the names
PAPER = (255, 255, 255)
HEADINGS = {
    "frechet-distance(random-conv)": "Fréchet distance, random-conv",
    "frechet-distance(classifier)": "Fréchet distance, classifier",
    "precision(random-conv)": "precision",
    "recall(random-conv)": "recall",
    "coverage(random-conv)": "coverage",
    "class-balance(classifier)": "class balance, nats",
    "held-out-share(random-conv)": "held-out share",
}

Row = Mapping[str, Any]


class Strip(NamedTuple):
    """What stands in a row of a sheet: a name, and pictures uint8 (n, C, H, W)."""

    name: str
    pictures: np.ndarray


def fill(page: str, name: str, text: str, script: str) -> None:
    """Put text between the comments of that name and script on a page of the docs.

    Raises:
        ValueError: the page has no such place.
    """
    path, begin, end = DOCS / page, BEGIN.format(name, script), END.format(name)
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} has no place for {name}: {begin} … {end}")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Models of one data set, over seeds: mean (lowest to highest); what real and shuffled items reach below."""
    for measure in HEADINGS:
        if len({row["results"][measure]["fingerprint"] for row in rows}) != 1:
            raise ValueError(f"{measure} was measured by unlike protocols; they may not stand in one table")
    heads = ["model", "seeds", *HEADINGS.values(), "CPU minutes", "verdicts"]
    lines = [heads, ["---"] * len(heads)]
    for name in names:
        found = [row for row in rows if row["name"] == name]
        if found:
            measured = [spread([row["results"][measure]["value"] for row in found]) for measure in HEADINGS]
            minutes = spread([row["cpu_seconds"] / 60 for row in found])
            verdicts = _verdicts(found)
            lines.append([f"`{name}`", str(len(found)), *measured, minutes, verdicts])
    for which, said in (("real", "real items"), ("shuffled", "shuffled items")):
        reached = [spread([rows[0]["results"][measure][which]]) for measure in HEADINGS]
        lines.append([said, "", *reached, "", ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def variants(rows: Sequence[Row], defaults: Sequence[str], chosen_by: str, first: int) -> str:
    """Variants of the defaults: what each changes in the distance, by the same seed, on each data set.

    Where more seeds than the first were taken, since that one looked good, it is left out.
    """
    heads = ["variant", "data", "seeds", f"`{chosen_by}`", "of the default, same seeds", "better with"]
    lines = [heads, ["---"] * len(heads)]
    at = {(row["name"], row["data"], row["seed"]): row["results"][chosen_by]["value"] for row in rows}
    for name, data in sorted({(name, data) for name, data, _ in at}, key=lambda pair: (pair[0].lower(), pair[1])):
        default = name.split(",")[0]
        if default not in defaults or name == default:
            continue
        seeds = [seed for other, place, seed in at if (other, place) == (name, data)]
        seeds = [seed for seed in seeds if seed != first] or seeds
        pairs = [(at[name, data, seed], at[default, data, seed]) for seed in seeds]
        better = sum(mine < theirs for mine, theirs in pairs)
        mine, theirs = (spread(list(values)) for values in zip(*pairs, strict=True))
        lines.append([name, data, ", ".join(map(str, seeds)), mine, theirs, f"{better} of {len(seeds)}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def montage(strips: Sequence[Strip]) -> Image.Image:
    """Samples of several models, one strip below the other, its name on the left."""
    drawn = [(strip.name, sheet(strip.pictures[:SHOWN], COLUMNS, width=WIDTH)) for strip in strips]
    height = sum(image.height for _, image in drawn)
    canvas = Image.new("RGB", (MARGIN + max(image.width for _, image in drawn), height), PAPER)
    pen, top = ImageDraw.Draw(canvas), 0
    for name, image in drawn:
        canvas.paste(image, (MARGIN, top))
        pen.text((4, top + image.height // 2), name, lettering.INK, lettering.font(), anchor="lm")
        top += image.height
    return canvas


def spread(values: Sequence[float | None]) -> str:
    """Mean, lowest and highest; of what was not measured for every seed, nothing."""
    if None in values:
        return "–"
    middle = _figure(statistics.fmean(values))
    return middle if len(values) == 1 else f"{middle} ({_figure(min(values))} to {_figure(max(values))})"


def _figure(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 0.095 else f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}"


def _verdicts(rows: Sequence[Row]) -> str:
    """Those that a run got at any report, and with how many seeds; a peer has none."""
    found = [verdict for row in rows for verdict in row.get("verdicts", ())]
    return ", ".join(f"{verdict} ({found.count(verdict)})" for verdict in sorted(set(found), key=found.index))
