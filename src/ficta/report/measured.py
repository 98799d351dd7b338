"""What was measured of a run, as tables of page and card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ficta.base.words import WITH_PRIOR, count
from ficta.report.facts import Facts
from ficta.report.words import NOT_RECORDED, number

RESULTS_HEAD = ("measure", "samples", "95 % interval", "real items", "shuffled items", "n", "protocol")


def result_rows(run: Facts) -> list[tuple[str, ...]]:
    """Measured results under ``RESULTS_HEAD``; one that was not measured says why. Those of other priors are apart."""
    rows = []
    for result in run.results:
        if WITH_PRIOR in str(result.get("name", "")):
            continue
        unit = str(result.get("unit") or "")
        others = (_value((result.get(which) or {}).get("value"), unit) for which in ("real", "shuffled"))
        n = count(result["n"]) if result.get("n") else NOT_RECORDED
        fingerprint = str(result.get("fingerprint") or NOT_RECORDED)
        rows.append((_with_direction(result), _measured(result), _between(result) or "none", *others, n, fingerprint))
    return rows


def prior_rows(run: Facts) -> list[tuple[str, ...]]:
    """A heading, then a row a measure: samples as the run makes them, and with each other prior that was judged."""
    plain = {str(result.get("name", "")): result for result in run.results}
    priors: dict[str, dict[str, str]] = {}
    for name, result in plain.items():
        measure, found, prior = name.partition(WITH_PRIOR)
        if found:
            priors.setdefault(prior, {})[measure] = _with_interval(result)
    measures = dict.fromkeys(measure for of_prior in priors.values() for measure in of_prior)
    rows = [
        (_with_direction(plain[name]), _with_interval(plain[name]), *(found.get(name, "") for found in priors.values()))
        for name in measures
        if name in plain
    ]
    return [("measure", "as trained", *priors), *rows] if rows else []


def outdated(run: Facts) -> bool:
    """Whether training went on after the results were measured."""
    seen = run.history[-1]["seen"] if run.history else 0
    return any(result.get("seen", seen) != seen for result in run.results)


def _with_direction(result: Mapping[str, Any]) -> str:
    """Name of a result, and which way is better."""
    better = f" ({result['better']} is better)" if result.get("better") else ""
    return str(result.get("name", "")) + better


def _measured(result: Mapping[str, Any]) -> str:
    """The number, or why there is none."""
    shown = _value(result.get("value"), str(result.get("unit") or ""))
    return shown or f"not measured: {result.get('reason') or NOT_RECORDED}"


def _between(result: Mapping[str, Any]) -> str:
    """The interval; empty where there is none."""
    interval = result.get("interval")
    return f"{number(float(interval[0]))} to {number(float(interval[1]))}" if interval else ""


def _with_interval(result: Mapping[str, Any]) -> str:
    between = _between(result)
    return _measured(result) + (f" ({between})" if between else "")


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{number(float(value))} {unit}".strip()
