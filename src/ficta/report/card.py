"""The card: what a model was trained on, how good it is, its limits. Only what stands in the run."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from ficta.base.files import write_text
from ficta.report import ingested, measured, story
from ficta.report.facts import Facts

LIMITS = (
    "It makes samples like its training data, their flaws, gaps and imbalances included.",
    "A good-looking sample is no evidence that rare kinds of sample are made at all.",
)

READING = (
    "Real items are training data in place of samples: what a perfect model would reach. Shuffled ones are real items "
    "whose values changed places: what no structure at all reaches."
)


def write_card(run: Facts) -> Path:
    """Write ``card.md`` into the run folder.

    Args:
        run: a run in any state.

    Returns:
        Where it was written.
    """
    parts = [
        f"# {plain(story.title(run))}",
        plain(" ".join(story.summary(run)[:3])),
        "## What it was trained on",
        _table(("", ""), ingested.data_rows(run)),
        _items(ingested.remarks(run)),
        "## How it was trained",
        _table(("", "planned", story.happened(run), "difference"), story.plan_rows(run)),
        _table(("machine and model", ""), story.machine(run)),
        "Every setting stands in `recipe.toml`.",
        "## How good it is",
        _quality(run),
        "## Limits and warnings",
        _items([*_warnings(run), *LIMITS, *_unmeasured(run)]),
        "## How to use it",
        "\n".join(f"    {command}" for command, _ in story.commands(run)),
    ]
    path = run.path / "card.md"
    write_text(path, "\n\n".join(part for part in parts if part) + "\n")
    return path


def plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is: what a user named cannot become markup."""
    escaped = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", escaped)


def _quality(run: Facts) -> str:
    rows = measured.result_rows(run)
    if rows:
        earlier = "Training went on after this was measured." if measured.outdated(run) else ""
        priors = measured.prior_rows(run)
        parts = [earlier, READING, _table(measured.RESULTS_HEAD, rows)]
        if priors:
            parts += ["With latents from other priors (`ficta sample --prior`):", _table(priors[0], priors[1:])]
        return "\n\n".join(part for part in parts if part)
    lately = story.measured_lately(run)
    if not lately:
        return "Not measured."
    return "\n\n".join(
        [
            "Not evaluated. The last report of the training itself, by the averaged weights, on validation samples:",
            _table(("measure", "value"), lately),
        ]
    )


def _warnings(run: Facts) -> list[str]:
    judged = story.stretches(run)
    found = [f"Data: {warning}" for warning in run.data.get("warnings") or []]
    if not run.finished:
        found.append("Training is not finished.")
    if judged and judged[-1].judgement.name != "healthy":
        found.append(f"The last verdict is “{judged[-1].judgement.name}”: {judged[-1].advice}")
    skipped = len(run.data.get("skipped") or [])
    if skipped:
        found.append(f"{skipped:,} of the source's samples could not be read and are not part of it (see data.json).")
    return found


def _unmeasured(run: Facts) -> list[str]:
    return [] if run.results else ["Whether it copies training samples, and what of the data it misses: not measured."]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)
