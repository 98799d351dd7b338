"""The ingestion report: what was read, skipped, converted, and what training will see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ficta.base.spec import Spec
from ficta.base.words import count, plural
from ficta.data import cache, splits
from ficta.data.codec import Codec
from ficta.data.settings import DataSettings

FEW = 200  # training samples below which a model mostly learns copies
IMBALANCE = 10  # times that the largest label may outnumber the smallest
MOST_SIZES = 20  # kinds listed in the report, of sizes above all
SHOWN = 10  # labels and sizes shown to people


def build_report(
    settings: DataSettings, entry: cache.Entry, rows: Mapping[str, splits.Rows], origin: Mapping[str, str], codec: Codec
) -> dict[str, Any]:
    """Collect the report (data.json): JSON types, the same for the same data and settings."""
    facts, spec = entry.facts, codec.spec
    tallies = facts["tallies"]
    notes, warnings = codec.remarks(facts, entry.stored.shape[1:])
    report = {
        "source": settings.path,
        "kind": facts["kind"],
        "codec": facts["codec"],
        "item": codec.item,
        "read": facts["read"],
        "skipped": facts["skipped"],
        "ignored": facts["ignored"],
        "notes": facts["listing_notes"]
        + [f"{what}: {count(n)}" for what, n in tallies.get("notes", {}).items()]
        + notes,
        "sizes": _most(tallies.get("sizes", {})),
        "size_kinds": len(tallies.get("sizes", {})),
        "modes": tallies.get("modes", {}),
        "stored_shape": list(entry.stored.shape[1:]),
        "stored_range": facts["stored_range"],
        "schema": facts["schema"],
        "levels": spec.levels,
        "spec": json.loads(json.dumps(spec.to_json())),  # tuples => lists, as data.json gives them back
        "categories": facts["categories"],
        "labels": {name: _balance(entry.labels[rows[name]], facts["categories"]) for name in splits.NAMES},
        "unlabelled": int((entry.labels < 0).sum()),
        "duplicates": _duplicates(entry, rows),
        "splits": {name: len(rows[name]) for name in splits.NAMES},
        "split_origin": dict(origin),
        "content_hash": facts["content_hash"],
    }
    report["training_sees"] = _seen(report, spec)
    report["refused"] = _refused(report, settings.max_skipped)
    report["warnings"] = _warnings(report, codec.repeats) + warnings
    return report


def describe(report: Mapping[str, Any]) -> str:
    """The report as lines for people."""
    duplicates = report["duplicates"]
    lines = [
        f"source      {report['source']} ({report['kind']})",
        f"read        {count(report['read'])}",
        f"skipped     {count(len(report['skipped']))}",
        *(f"            {item['name']}: {item['reason']}" for item in report["skipped"]),
        f"ignored     {_listed(report['ignored']) or 'none'}",
        *([f"sizes       {_listed(report['sizes'], report['size_kinds'])}"] if report["sizes"] else []),
        *([f"modes       {_listed(report['modes'])}"] if report["modes"] else []),
        *(f"column      {_column(column)}" for column in report["schema"].get("columns", ())),
        f"labels      {_labels(report)}",
        f"duplicates  {count(duplicates['extra'])} beyond the first of {count(duplicates['groups'])} groups, "
        f"{count(duplicates['across_splits'])} across splits",
        "splits      "
        + ", ".join(f"{name} {count(n)} ({report['split_origin'][name]})" for name, n in report["splits"].items()),
        f"content     {report['content_hash'][:16]}",
        *([f"refused     training stops here: {report['refused']}"] if report["refused"] else []),
        f"training    {report['training_sees']}",
        *(f"note        {note}" for note in report["notes"]),
        *(f"warning     {warning}" for warning in report["warnings"]),
    ]
    return "\n".join(lines)


def _column(column: Mapping[str, Any]) -> str:
    """One column of a table: its name, kind and what is in it."""
    parts = [f"{column['name']}: {column['kind']}"]
    if column["categories"]:
        parts.append(plural(len(column["categories"]), "value"))
    if column["missing"]:
        parts.append(f"{count(column['missing'])} missing")
    return f"{', '.join(parts)} ({column['why']})"


def _refused(report: Mapping[str, Any], max_skipped: float) -> str | None:
    """Why training refuses the data, and the way out; None if it does not."""
    skipped, total = len(report["skipped"]), report["read"] + len(report["skipped"])
    if skipped <= max_skipped * total:
        return None
    return (
        f"{count(skipped)} of {plural(total, report['item'])} could not be read, more than data.max_skipped = "
        f"{max_skipped:g} allows; mend or remove them, or raise --max-skipped"
    )


def _most(tally: Mapping[str, int]) -> dict[str, int]:
    """The most frequent kinds; the rest under one name."""
    kinds = sorted(tally.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in kinds[MOST_SIZES:])
    return dict(kinds[:MOST_SIZES]) | ({"other": rest} if rest else {})


def _balance(labels: np.ndarray, categories: list[str]) -> dict[str, int]:
    counts = np.bincount(labels[labels >= 0], minlength=len(categories))
    return {name: int(number) for name, number in zip(categories, counts, strict=True)}


def _duplicates(entry: cache.Entry, rows: Mapping[str, splits.Rows]) -> dict[str, int]:
    number = splits.groups(entry.digests)
    pairs = np.unique(np.stack([number, entry.labels]), axis=1)[0]
    conflicts = int((np.bincount(pairs) > 1).sum())
    return splits.duplicates(entry.digests, rows) | {"groups_with_different_labels": conflicts}


def _seen(report: Mapping[str, Any], spec: Spec) -> str:
    shape = " x ".join(f"{length} {axis}" for axis, length in zip(spec.axes, spec.shape, strict=True))
    forms = {
        "continuous": f"{shape}, {spec.levels} levels in [-1, 1]",
        "binary": f"{shape}, values 0 and 1",
        "mixed": f"{plural(len(spec.columns), 'column')}, {plural(spec.size, 'number')} in the model",
    }
    condition = ""
    if spec.condition:
        labels = len(spec.condition.categories)
        condition = f", one of {labels} labels" if labels else ", some of whose columns are given"
    return f"{plural(report['splits']['train'], 'sample')} of {forms[spec.kind]}{condition}"


def _warnings(report: Mapping[str, Any], repeats: bool) -> list[str]:
    found = []
    train, duplicates, item = report["splits"]["train"], report["duplicates"], report["item"]
    if train < FEW:
        found.append(f"only {plural(train, item)} to train on: expect copies")
    found += [
        f"no {name} samples: what is measured on them will be missing"
        for name in ("validation", "test")
        if not report["splits"][name]
    ]
    if duplicates["across_splits"] and not repeats:
        found.append(
            f"{count(duplicates['across_splits'])} {item}s have exact copies in another of the source's splits: "
            "what is measured on test will look better than it is"
        )
    if duplicates["groups_with_different_labels"]:
        those = plural(duplicates["groups_with_different_labels"], f"{item} has", f"{item}s have")
        found.append(f"{those} exact copies in the source under another label")
    found += _label_warnings(report)
    return found


def _label_warnings(report: Mapping[str, Any]) -> list[str]:
    found = []
    categories, counts, item = report["categories"], report["labels"]["train"], report["item"]
    if categories and report["unlabelled"]:
        found.append(f"{count(report['unlabelled'])} of {plural(report['read'], item)} without a label")
    if len(categories) == 1:
        found.append(f"all labelled {item}s have the same label, {categories[0]!r}")
    absent = [name for name, number in counts.items() if not number]
    if absent:
        found.append(f"no training {item} has the label {', '.join(absent[:SHOWN])}")
    present = {name: number for name, number in counts.items() if number}
    if present:
        most, least = max(present, key=lambda n: present[n]), min(present, key=lambda n: present[n])
        if present[most] > IMBALANCE * present[least]:
            found.append(f"labels are unbalanced: {present[most]} of {most}, {present[least]} of {least}")
    return found


def _labels(report: Mapping[str, Any]) -> str:
    if not report["categories"]:
        return "none"
    balance = _listed(report["labels"]["train"])
    return f"{len(report['categories'])} in train: {balance}"


def _listed(tally: Mapping[str, int], kinds: int | None = None) -> str:
    """The first few of a tally; ``kinds``: how many there were before the rarest were put together."""
    left = (len(tally) if kinds is None else kinds) - SHOWN
    shown = [f"{name} {count(number)}" for name, number in list(tally.items())[:SHOWN]]
    return ", ".join(shown) + (f", and {left} more" if left > 0 else "")
