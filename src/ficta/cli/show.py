"""How things look in a terminal: a live line where there is one, plain lines elsewhere. All on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pydantic
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ficta.base.errors import FictaError
from ficta.base.words import count, duration, size
from ficta.runs.run import Run
from ficta.train.loop import Watcher

if TYPE_CHECKING:
    from ficta.evaluate.compare import Row

SHOW_AFTER_SECONDS = 1.0
PLAIN_EVERY_SECONDS = 5.0
PAUSE_SECONDS = 20.0  # without a word, after which a piece of work is another one


def describe_plan(plan: Mapping[str, Any]) -> str:
    """The plan in a few lines."""
    machine = plan["machine"]
    networks = ", ".join(f"{name} {count(number)}" for name, number in plan["parameters"].items())
    return "\n".join(
        [
            f"parameters  {count(sum(plan['parameters'].values()))} ({networks})",
            f"samples     {count(plan['target_samples'])}",
            f"rate        {count(plan['samples_per_second'])} samples/s, measured on {machine['device']}",
            f"computing   {_ways(plan)}",
            f"time        about {duration(plan['seconds'])}",
            f"memory      {size(plan['memory_bytes'])} at its peak so far",
        ]
    )


def _ways(plan: Mapping[str, Any]) -> str:
    """What the probe chose, and what else it tried."""
    way = plan["way"]
    parts = [_threads(way["threads"])] if plan["machine"]["device"] == "cpu" else []
    text = ", ".join([*parts, way["precision"], way["layout"], *(["compiled"] if way["compile"] else [])])
    rivals = [f"{_change(rival)} {rival['ratio']:.2f}x" for rival in plan["tried"]]
    before = ", the rest as was fastest before" if plan["remembered"] else ""
    return f"{text} (tried: {', '.join(rivals)}{before})" if rivals else text


def _change(rival: Mapping[str, Any]) -> str:
    (name, value), *_ = rival.items()
    if name == "threads":
        return _threads(value)
    return "compiled" if name == "compile" else str(value)


def _threads(number: int) -> str:
    return f"{number} thread" if number == 1 else f"{number} threads"


def losses_text(line: Mapping[str, Any]) -> str:
    """The numbers of a report on one line."""
    held = {name.removeprefix("heldout_"): line[name] for name in line if name.startswith("heldout_")}
    parts = [f"{name} {_number(value)}" for name, value in line["losses"].items()]
    if held:
        parts.append("held-out: " + ", ".join(f"{name} {_number(value)}" for name, value in held.items()))
    return "  ".join(parts)


def report_text(line: Mapping[str, Any], target: int) -> str:
    """One report as a line, with the advice below it if something is wrong."""
    share = min(1.0, line["seen"] / target)  # the last batch may reach beyond the target
    head = f"{share:4.0%} {count(line['seen']):>11} samples  {count(line['samples_per_second'])}/s"
    text = f"{head}  {losses_text(line)}"
    return text if line["verdict"] == "healthy" else f"{text}\n     {line['verdict']}: {line['advice']}"


class PlainWatcher:
    """Lines, for a log file or a pipe; at most one every few seconds while all is well."""

    _printed = 0.0

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        """Before the first step."""
        self.said(f"{note}\n{describe_plan(plan)}")

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        """Nothing: the reports are enough."""

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        """One line a report, unless one was printed a moment ago."""
        now = time.monotonic()
        if now - self._printed < PLAIN_EVERY_SECONDS and line["verdict"] == "healthy" and line["seen"] < target:
            return
        self._printed = now
        self.said(report_text(line, target))

    def said(self, message: str) -> None:
        """Print it."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201

    def closed(self) -> None:
        """Nothing."""


class LiveWatcher:
    """A bar with rate and time left, and a line above it for each report."""

    _bar: Progress
    _task: TaskID

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        """Before the first step."""
        columns = TextColumn("training"), BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.fields[left]}")
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("training", total=None, left="")
        self.said(f"{note}\n{describe_plan(plan)}")
        self._bar.start()

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        """Move the bar."""
        rate = f"{count((target - seen) / seconds_left)} samples/s, " if seconds_left > 0 else ""
        self._bar.update(self._task, completed=seen, total=target, left=f"{rate}{duration(seconds_left)} left")

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        """One line a report."""
        self.said(report_text(line, target))
        self.tick(line["seen"], target, 0)

    def said(self, message: str) -> None:
        """Print it above the bar."""
        self._bar.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def closed(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


def watcher() -> Watcher:
    """A live one in a terminal, else a plain one."""
    return LiveWatcher() if sys.stderr.isatty() else PlainWatcher()


class ProgressShower:
    """Shows work that takes longer than a second, with rate and time left."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._shown: dict[str, float] = {}
        self._done: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say so, unless it was said a moment ago."""
        now = time.monotonic()
        paused = now - self._told.get(what, now) > PAUSE_SECONDS
        self._told[what] = now
        if paused or done < self._done.get(what, 0) or done == 0:  # another piece of the same kind of work
            self._started.pop(what, None)
        self._done[what] = 0 if done == total else done
        begun = self._started.setdefault(what, now)
        if done == total:
            del self._started[what]
        live = sys.stderr.isatty()
        if now - begun < SHOW_AFTER_SECONDS or now - self._shown.get(what, 0) < (0.2 if live else PLAIN_EVERY_SECONDS):
            return
        self._shown[what] = now
        rate = done / (now - begun)
        left = f", {duration((total - done) / rate)} left" if total and rate else ""
        text = f"{what}: {count(done)}{f' of {count(total)}' if total else ''} ({count(rate)}/s{left})"
        print(f"{text:<78}", end="\r" if live and done != total else "\n", file=sys.stderr, flush=True)  # noqa: T201


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as aligned columns."""
    names = list(rows[0])
    cells = [names, *[[_cell(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def results_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Measured results as a table, and below it how good the classifier is, and why other results are missing."""
    rows = [
        {
            "measure": result["name"],
            "samples": _number(result["value"]),
            "95 % interval": _between(result["interval"]),
            "unit": result["unit"],
            "better": result["better"],
            "real items": _or_none(result["real"]["value"]),
            "shuffled": _or_none(result["shuffled"]["value"]),
            "n": result["n"],
        }
        for result in results
        if result["value"] is not None
    ]
    missing = [f"{result['name']}: not measured, {result['reason']}" for result in results if result["value"] is None]
    accuracies = {result["protocol"]["accuracy"] for result in results if result["protocol"].get("accuracy")}
    reads = [f"the classifier reads {accuracy:.1%} of the held-out items as what they are" for accuracy in accuracies]
    return "\n".join([*([table(rows)] if rows else []), *reads, *missing])


def comparison_text(names: Sequence[str], rows: Sequence[Row]) -> str:
    """Measures down, runs across; the best are starred, and below stands what may not be compared, and why."""
    lines = []
    refused: dict[str, list[str]] = {}
    for row in rows:
        if row.refused:
            refused.setdefault(row.refused, []).append(row.name)
            continue
        cells = {name: _cell_of(result) for name, result in zip(names, row.results, strict=True)}
        for number in row.best:
            cells[names[number]] += " *"
        lines.append({"measure": row.name, "better": row.better, **cells, "difference": "holds" if row.holds else ""})
    legend = "* the best, or not told from it; a difference holds if the best differs from every other (Welch, 5 %)"
    reasons = [f"not compared, {reason}: {', '.join(measures)}" for reason, measures in refused.items()]
    return "\n".join([*([table(lines), legend] if lines else []), *reasons])


def _cell_of(result: Mapping[str, Any] | None) -> str:
    return "-" if result is None else f"{_number(result['value'])} {_between(result['interval'])}".strip()


def _between(interval: Sequence[float] | None) -> str:
    return f"[{_number(interval[0])}, {_number(interval[1])}]" if interval else ""


def _or_none(value: float | None) -> str:
    return "" if value is None else _number(value)


def run_row(path: Path) -> dict[str, Any]:
    """What ``ficta runs`` says of a run; of one that cannot be read, why."""
    try:
        run = Run(path)
        return {
            "run": str(path),
            "model": run.recipe.get("preset") or run.recipe["family"],
            "data": str(run.recipe["data"]["path"]),
            "saved": run.folder.latest_seen(),
            "target": run.recipe["train"].get("samples", 0),
            "finished": run.finished,
            "verdict": run.history[-1]["verdict"] if run.history else "-",
        }
    except (FictaError, KeyError, TypeError, ValueError) as error:  # whatever stands in a damaged recipe
        unknown = dict.fromkeys(("model", "data", "saved", "target", "finished"), "?")
        return {"run": str(path), **unknown, "verdict": f"cannot be read: {error}"}


def settings_lines(settings: pydantic.BaseModel, path: str) -> Iterator[str]:
    """Every setting with its value here and its description, dotted."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, pydantic.BaseModel):
            yield from settings_lines(value, f"{path}.{name}")
        else:
            choices = list(_choices(field.annotation))
            among = f" ({' | '.join(choices)})" if choices else ""
            yield f"{path}.{name} = {value!r}{among}: {field.description}"


def _choices(annotation: Any) -> Iterator[str]:
    """The words that a setting may be, in whatever union they stand."""
    for part in get_args(annotation):
        yield from [part] if isinstance(part, str) else _choices(part)


def _cell(value: Any) -> str:
    return (
        ("yes" if value else "no")
        if isinstance(value, bool)
        else count(value)
        if isinstance(value, int)
        else str(value)
    )


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 1e4 else count(value)
