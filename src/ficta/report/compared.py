"""Runs side by side: what each is, whose numbers are better and whether that holds, on one self-contained page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ficta.base.files import write_text
from ficta.base.words import count, duration, plural
from ficta.draw.forest import ForestRow, forest
from ficta.report import ingested, measured, pictures, story
from ficta.report.facts import Facts
from ficta.report.pictures import Picture
from ficta.report.templates import render
from ficta.report.words import NOT_RECORDED, number

GOALS = ("real", "shuffled")
WORDS = {  # what may differ between protocols
    "reference.split": "split of the real items",
    "reference.items": "number of real items",
    "reference.content": "data of the real items (digest)",
    "reference.rows": "choice of real items (digest)",
    "train.split": "split of the training items",
    "train.items": "number of training items",
    "train.content": "data of the training items (digest)",
    "train.rows": "choice of training items (digest)",
    "features": "feature space and its weights",
    "values": "likelihood",
    "n": "samples in a part",
    "items": "items",
    "parts": "parts",
}


class Measure(Protocol):
    """One measure of several runs, as the page sees it. ``ficta.evaluate.compare.Row`` is one."""

    @property
    def name(self) -> str:
        """Of the measure, with its feature space."""

    @property
    def better(self) -> str:
        """``lower``, ``higher``, ``near 0.5``; empty where neither is."""

    @property
    def unit(self) -> str:
        """Of the values; empty for a pure number."""

    @property
    def results(self) -> Sequence[Mapping[str, Any] | None]:
        """Of each run, as in ``results.jsonl``; None where it was not measured."""

    @property
    def refused(self) -> str:
        """Why the values may not stand side by side; empty if they may."""

    @property
    def unlike(self) -> Mapping[str, Sequence[str | None]]:
        """What of their protocols differs then: by path, the value of each run; None for a run without a result."""

    @property
    def best(self) -> Sequence[int]:
        """Runs that none is better than by more than chance, by number; empty if nothing can be said."""

    @property
    def holds(self) -> bool:
        """Whether one run is better than each other by more than chance."""


def write_comparison(path: Path, runs: Sequence[Facts], rows: Sequence[Measure]) -> Path:
    """Write one page, without scripts, that shows evaluated runs side by side.

    Args:
        path: where; a page that lies there is replaced, folders above it are made.
        runs: what is compared.
        rows: each measure of these runs, in their order.

    Returns:
        ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render("compared.html.j2", _content(runs, rows)))
    return path


def _content(runs: Sequence[Facts], rows: Sequence[Measure]) -> dict[str, Any]:
    """What the template shows."""
    names = _names(runs)
    groups = _groups([row for row in rows if not row.refused])
    sheets = [pictures.newest(run) for run in runs]
    return {
        "names": names,
        "title": f"{plural(len(runs), 'run')} side by side",
        "summary": _summary(names, rows),
        "facts": _facts(runs),
        "sheets": [pictures.sheet(sheet, pictures.SMALL_BYTES) if sheet else None for sheet in sheets],
        "outdated": [name for name, run in zip(names, runs, strict=True) if measured.outdated(run)],
        "groups": {heading: [_line(row, space) for row in found] for (heading, space), found in groups.items()},
        "forests": [_forest(heading, space, names, found) for (heading, space), found in groups.items()],
        "refused": _refused(names, [row for row in rows if row.refused]),
        "missing": _missing(names, runs),
    }


def _names(runs: Sequence[Facts]) -> list[str]:
    """The folder of each run, with those above it if two have one name."""
    names = [story.title(run) for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _summary(names: Sequence[str], rows: Sequence[Measure]) -> str:
    """How many differences hold, and in whose favour."""
    judged, refused = [row for row in rows if row.best], [row for row in rows if row.refused]
    left_out = f" {plural(len(refused), 'measure')} may not be compared; why stands below." if refused else ""
    if not judged:
        return f"No measure says which of these runs is better.{left_out}"
    wins = [sum(row.holds and row.best[0] == place for row in judged) for place in range(len(names))]
    most = sorted(range(len(names)), key=lambda place: -wins[place])
    of_each = _listed(f"{names[place]} in {wins[place]}" for place in most if wins[place])
    rest = len(judged) - sum(wins)
    held = f"in {sum(wins)} of them one run is better than every other by more than chance ({of_each})"
    none = f"in {rest} the best may differ by chance alone"
    said = "; ".join(part for part in (held if of_each else "", none if rest else "") if part)
    return f"{plural(len(judged), 'measure')} can be compared: {said}.{left_out}"


def _facts(runs: Sequence[Facts]) -> list[tuple[str, list[Any]]]:
    """What each run is: a heading and a cell a run."""

    def model(run: Facts) -> str:
        preset = run.recipe.get("preset")
        return f"{story.family(run)} ({preset})" if preset else story.family(run)

    def seen(run: Facts) -> str:
        goal = story.target(run)
        return count(story.seen(run)) + (f" of {count(goal)}" if goal and not run.finished else "")

    def time(run: Facts) -> str:
        return duration(run.history[-1]["seconds"]) if run.history else story.NOT_YET

    def parameters(run: Facts) -> str:
        return count(sum(run.plan["parameters"].values())) if run.plan.get("parameters") else NOT_RECORDED

    shown = {"model": model, "data": ingested.source, "samples seen": seen, "training time": time}
    shown |= {"parameters": parameters, "folder": lambda run: str(run.path)}
    return [(heading, [cell(run) for run in runs]) for heading, cell in shown.items()]


def _groups(rows: Sequence[Measure]) -> dict[tuple[str, str], list[Measure]]:
    """The measures of each feature space: by heading and by the space's name, the space that is met first on top."""
    groups: dict[tuple[str, str], list[Measure]] = {}
    for row in rows:
        features = str(_first(row).get("protocol", {}).get("features", ""))
        space = features.rpartition(":")[0] or features
        heading = f"Feature space {space}" if space else "Without a feature space"
        groups.setdefault((heading, space), []).append(row)
    return groups


def _line(row: Measure, space: str) -> dict[str, Any]:
    """One measure in the table."""
    cells = []
    for place, result in enumerate(row.results):
        told = place in row.best and len(row.best) < sum(other is not None for other in row.results)
        cells.append(
            {
                "value": number(float(result["value"])) if result else "",
                "interval": _between(_interval(result) or ()),
                "mark": ("best" if row.holds else "tied best") if told else "",
            }
        )
    return {
        "name": _short(row, space),
        "note": _note(row),
        "cells": cells,
        "goals": [_between(_goals(row, which)) for which in GOALS],
        "holds": row.holds,
        "said": _said(row),
    }


def _said(row: Measure) -> str:
    """Whether the difference holds, and if not, why not."""
    there = [result for result in row.results if result]
    if row.holds:
        return "holds"
    if len(there) < 2:
        return "one run alone"
    if not row.better:
        return "neither way is better"
    if not all(result.get("interval") for result in there):
        return "not known, for want of intervals"
    return "may be chance" if len(row.best) == len(there) else "best not told apart"


def _forest(heading: str, space: str, names: Sequence[str], rows: Sequence[Measure]) -> Picture:
    lines = [
        ForestRow(
            _short(row, space),
            _note(row),
            [None if result is None else float(result["value"]) for result in row.results],
            [_interval(result) for result in row.results],
            [_goals(row, which) for which in GOALS],
        )
        for row in rows
    ]
    image = forest(lines, names, [f"{which} items" for which in GOALS])
    alt = (
        f"{heading}: values and 95 % intervals of {_listed(names)} by {_listed(line.name for line in lines)}, beside "
        "what real and shuffled items reach; the table above holds the same numbers"
    )
    return pictures.chart(image, alt, heading, "")


def _refused(names: Sequence[str], rows: Sequence[Measure]) -> list[dict[str, Any]]:
    """The measures that may not be compared, by reason: what differs between whom."""
    groups: dict[str, list[Measure]] = {}
    for row in rows:
        groups.setdefault(row.refused, []).append(row)
    return [
        {"measures": [row.name for row in found], "unlike": _unlike(names, found[0]) or [reason]}
        for reason, found in groups.items()
    ]


def _unlike(names: Sequence[str], row: Measure) -> list[str]:
    """What of the protocols differs: ``parts: 5 (a and b), 4 (c)``."""
    lines = []
    for key, values in row.unlike.items():
        owners: dict[str, list[str]] = {}
        for name, value in zip(names, values, strict=True):
            if value is not None:
                owners.setdefault(value, []).append(name)
        shown = ", ".join(f"{value or 'none'} ({_listed(whose)})" for value, whose in owners.items())
        lines.append(f"{WORDS.get(key, key)}: {shown}")
    return lines


def _missing(names: Sequence[str], runs: Sequence[Facts]) -> list[tuple[str, str, str]]:
    """What could not be measured: measures, of whom, why; those of one reason together."""
    whose: dict[tuple[str, str], list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for result in run.results:
            if result.get("value") is None:
                reason = str(result.get("reason") or NOT_RECORDED)
                whose.setdefault((str(result.get("name", "")), reason), []).append(name)
    groups: dict[tuple[str, str], list[str]] = {}
    for (measure, reason), lacking in whose.items():
        groups.setdefault((_listed(lacking), reason), []).append(measure)
    return [(", ".join(measures), lacking, reason) for (lacking, reason), measures in groups.items()]


def _first(row: Measure) -> Mapping[str, Any]:
    return next((result for result in row.results if result), {})


def _interval(result: Mapping[str, Any] | None) -> tuple[float, float] | None:
    if not result or not result.get("interval"):
        return None
    low, high = result["interval"]
    return float(low), float(high)


def _goals(row: Measure, which: str) -> list[float]:
    """What real or shuffled items reach, ascending: several values if that depends on the run, as likelihood does."""
    values = ((result.get(which) or {}).get("value") for result in row.results if result)
    return sorted({float(value) for value in values if value is not None})


def _between(values: Sequence[float]) -> str:
    """``1 to 3`` for values that ascend from 1 to 3, ``2`` for one or several of 2, empty for none."""
    return " to ".join(dict.fromkeys(map(number, [*values[:1], *values[-1:]])))


def _short(row: Measure, space: str) -> str:
    """The measure's name without its feature space, which stands above."""
    return row.name.removesuffix(f"({space})") if space else row.name


def _note(row: Measure) -> str:
    return ", ".join(part for part in (row.unit, f"{row.better} is better" if row.better else "") if part)


def _listed(names: Iterable[str]) -> str:
    """``a, b and c``."""
    *others, last = list(names) or [""]
    return f"{', '.join(others)} and {last}" if others else last
