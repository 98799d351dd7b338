"""What a run learnt from: the ingestion report in rows and remarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ficta.base.words import count, plural
from ficta.report.facts import Facts
from ficta.report.words import NOT_RECORDED, listed


def source(run: Facts) -> str:
    """Where the data came from, as the user named it."""
    return str(run.recipe.get("data", {}).get("path") or run.data.get("source") or "unnamed data")


def data_rows(run: Facts) -> list[tuple[str, str]]:
    """The ingestion report's facts, one a row."""
    data = run.data
    shape, levels, origin = data.get("stored_shape"), data.get("levels"), data.get("split_origin", {})
    kinds = Counter(row[1] for row in columns(run))
    splits = [
        f"{name} {count(n)}" + (f" ({origin[name]})" if name in origin else "")
        for name, n in data.get("splits", {}).items()
    ]
    rows = [
        ("source", source(run)),
        ("samples read", count(data["read"]) if "read" in data else NOT_RECORDED),
        ("unreadable, skipped", count(len(data["skipped"])) if "skipped" in data else NOT_RECORDED),
        ("sizes in the source", _tally(data.get("sizes"))),
        ("columns", _tally(kinds)),
        ("shape of a sample", " × ".join(map(str, shape)) if shape else NOT_RECORDED),
        ("levels a value can take", count(levels) if levels else "any"),
        ("labels", plural(len(data["categories"]), "label") if data.get("categories") else "none"),
        ("duplicates", _tally(data.get("duplicates"))),
        ("splits", ", ".join(splits) or NOT_RECORDED),
        ("what training sees", str(data.get("training_sees", NOT_RECORDED))),
        ("content hash", str(data.get("content_hash", NOT_RECORDED))),
    ]
    unsaid = {"sizes in the source", "shape of a sample", "levels a value can take", "labels"} if kinds else {"columns"}
    return [row for row in rows if row != ("sizes in the source", NOT_RECORDED) and row[0] not in unsaid]


def columns(run: Facts) -> list[tuple[str, str, str, str, str]]:
    """Of each column of a table name, kind, number of values, missing ones and why it was taken so; else nothing."""
    return [
        (
            str(column["name"]),
            str(column["kind"]),
            count(len(column["categories"])) if column["categories"] else "",
            count(column["missing"]) if column["missing"] else "",
            str(column["why"]),
        )
        for column in (run.data.get("schema") or {}).get("columns", ())
    ]


def _tally(found: Any) -> str:
    """``{"8x8": 3, "across_splits": 1}`` => ``8x8: 3, across splits: 1``; a tally of nothing is none."""
    if found is None:
        return NOT_RECORDED
    if not isinstance(found, Mapping):
        return str(found)
    if not any(found.values()):
        return "none"
    return ", ".join(f"{name.replace('_', ' ')}: {count(n)}" for name, n in found.items())


def balance(run: Facts) -> dict[str, dict[str, int]]:
    """Number of samples of each label in each split; empty without labels."""
    found: dict[str, dict[str, int]] = run.data.get("labels") or run.data.get("balance") or {}
    return found if any(sum(counts.values()) for counts in found.values()) else {}


def remarks(run: Facts) -> list[str]:
    """What was noted about the data that is no warning."""
    return listed(run.data.get("notes")) + [f"ignored: {line}" for line in listed(run.data.get("ignored"))]
