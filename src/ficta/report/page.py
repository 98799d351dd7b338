"""The report: one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ficta.base.files import write_text
from ficta.base.words import count, duration
from ficta.report import ingested, measured, pictures, story
from ficta.report.facts import Facts
from ficta.report.templates import render
from ficta.report.words import flatten, name_and_unit, number, quantity

MOST_ROWS = 20  # of the table of reports
MOST_LISTED = 50  # of skipped files and labels; all of them stand in data.json


def write_report(run: Facts) -> Path:
    """Write ``report.html`` into the run folder: everything a person wants to know, in one file without scripts.

    Args:
        run: a run in any state, one that has not made a report yet included.

    Returns:
        Where it was written.
    """
    path = run.path / "report.html"
    write_text(path, render("report.html.j2", _content(run)))
    return path


def _content(run: Facts) -> dict[str, Any]:
    """What the template shows."""
    sheets = pictures.sheets_over_time(run)
    explored, left_out = pictures.explored(run)
    last = run.history[-1] if run.history else {}
    return {
        "title": story.title(run),
        "what": " · ".join(
            str(part) for part in (story.family(run), run.recipe.get("preset"), ingested.source(run)) if part
        ),
        "verdict": story.judgement(last.get("verdict")),
        "summary": story.summary(run),
        "figures": story.figures(run),
        "latest": pictures.sheet(sheets[-1], pictures.SHEET_BYTES) if sheets else None,
        "plan": story.plan_rows(run),
        "happened": story.happened(run),
        "machine": story.machine(run),
        "curves": pictures.curves(run),
        "reports": _reports(run),
        "stretches": story.stretches(run),
        "sheets": [pictures.sheet(path, pictures.SMALL_BYTES) for path in sheets] if len(sheets) > 1 else [],
        "animation": pictures.animation(run),
        "explored": explored,
        "left_out": left_out,
        "results": measured.result_rows(run),
        "results_head": measured.RESULTS_HEAD,
        "priors": measured.prior_rows(run),
        "outdated": measured.outdated(run),
        "data": ingested.data_rows(run),
        "warnings": [str(warning) for warning in run.data.get("warnings") or []],
        "remarks": ingested.remarks(run),
        "skipped": _first(run.data.get("skipped") or []),
        "columns": _first(ingested.columns(run)),
        "balance": pictures.balance(run),
        "labels": _labels(run),
        "settings": flatten(run.recipe),
        "commands": story.commands(run),
        "going_on": story.going_on(run),
        "version": str(run.plan.get("machine", {}).get("ficta", "")),
    }


def _reports(run: Facts) -> dict[str, list[list[str]]]:
    """The numbers behind the curves: a heading and at most twenty rows, the last report always among them."""
    names: list[str] = []
    for line in run.history:
        names += [name for name in _measured(line) if name not in names]
    step = max(1, -(-len(run.history) // MOST_ROWS))
    chosen = run.history[::-1][::step][::-1]
    rows = []
    for line in chosen:
        values = _measured(line)
        cells = [quantity(name, values[name]) if name in values else "" for name in names]
        rows.append([count(line["seen"]), duration(line["seconds"]), number(line["samples_per_second"]), *cells])
    return {
        "head": [["samples seen", "time", "samples a second", *(name_and_unit(name)[0] for name in names)]],
        "rows": rows,
    }


def _measured(line: dict[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in line.items() if name.startswith("heldout_") or name in story.SIGNS}
    return {**line.get("losses", {}), **others}


def _labels(run: Facts) -> dict[str, Any]:
    """The label balance as a table: splits across, labels down; and how many labels it leaves out."""
    balance = ingested.balance(run)
    labels: list[str] = []
    for counts in balance.values():
        labels += [label for label in counts if label not in labels]
    rows = [[label, *(count(counts.get(label, 0)) for counts in balance.values())] for label in labels]
    return {"splits": list(balance), **_first(rows)}


def _first(rows: list[Any]) -> dict[str, Any]:
    return {"rows": rows[:MOST_LISTED], "more": max(0, len(rows) - MOST_LISTED), "all": len(rows)}
