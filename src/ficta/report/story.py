"""What happened in a run, in plain words: the sentences and tables that page and card are made of."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ficta.base.words import count, duration, plural, size
from ficta.report.facts import Facts
from ficta.report.ingested import columns as columns_of
from ficta.report.ingested import source
from ficta.report.words import LOGIT, NOT_RECORDED, name_and_unit, number, quantity, rate

NOT_YET = "not yet"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One verdict as the page shows it: a sign beside the colour, for those who do not see the colour."""

    name: str
    sign: str
    tone: str  # good, fair, bad or plain: a class in report.css
    meaning: str


JUDGEMENTS = {
    "healthy": Judgement("healthy", "✓", "good", "nothing wrong was found"),
    "plateau": Judgement("plateau", "→", "fair", "it no longer gets better"),
    "collapsed": Judgement("collapsed", "!", "bad", "the samples are far less varied than the data"),
    "copying": Judgement("copying", "!", "bad", "samples are copies of training data"),
    "diverged": Judgement("diverged", "✕", "bad", "the losses ran away"),
}


def judgement(name: str | None) -> Judgement:
    """How to show a verdict of this name, a name of later days included."""
    if name is None:
        return Judgement("no verdict yet", "·", "plain", "no report has been made yet")
    return JUDGEMENTS.get(name, Judgement(name, "·", "plain", ""))


def family(run: Facts) -> str:
    """Name of the family: short ones are abbreviations."""
    name = str(run.recipe.get("family", "model"))
    return name.upper() if len(name) <= 4 else name


def seen(run: Facts) -> int:
    """Samples seen at the last report."""
    return int(run.history[-1]["seen"]) if run.history else 0


def target(run: Facts) -> int | None:
    """Samples that the run is to see, as far as that is known."""
    found = run.recipe.get("train", {}).get("samples") or run.plan.get("target_samples")
    return int(found) if found else None


def title(run: Facts) -> str:
    """``digits-vae``: the folder's name."""
    return run.path.name or str(run.path.resolve().name)


def summary(run: Facts) -> list[str]:
    """What was trained on what, how long, where it ended, what to do next: one sentence each."""
    return [_what(run), _how_long(run), _where_it_ended(run), next_step(run)]


def _what(run: Facts) -> str:
    article = "An" if family(run)[0].lower() in "aeiou" else "A"
    preset = f" (preset {run.recipe['preset']})" if run.recipe.get("preset") else ""
    was, sizes = "was" if run.history else "is to be", run.data.get("splits", {})
    how_many = f"{plural(sizes['train'], 'sample')} from " if "train" in sizes else ""
    what = "with any values it is asked for in some columns" if columns_of(run) else "of any label it is asked for"
    asked = f", {what}" if run.recipe.get("data", {}).get("conditional") else ""
    return (
        f"{article} {family(run)}{preset} {was} trained on {how_many}{source(run)} to make new ones like them{asked}."
    )


def _how_long(run: Facts) -> str:
    if not run.history:
        return "Training has not made a report yet."
    last, train_size = run.history[-1], run.data.get("splits", {}).get("train")
    passes = f" (each one about {number(float(f'{seen(run) / train_size:.2g}'))} times)" if train_size else ""
    device = str(run.plan.get("machine", {}).get("device", ""))
    where = {"": "", "cpu": " on a CPU"}.get(device, f" on a GPU ({device})")
    return f"It saw {plural(seen(run), 'sample')}{passes} in {duration(last['seconds'])}{where}."


def _where_it_ended(run: Facts) -> str:
    goal = target(run)
    if run.finished:
        state = "Training is finished"
    elif goal and run.history:
        state = f"Training is not finished: {min(0.999, seen(run) / goal):.1%} of {plural(goal, 'sample')}"
    else:
        state = "Training is not finished"
    if not run.history:
        return f"{state}."
    last = judgement(run.history[-1].get("verdict"))
    return f"{state}; the last verdict is “{last.name}”" + (f": {last.meaning}." if last.meaning else ".")


def next_step(run: Facts) -> str:
    """What to do now."""
    last = run.history[-1] if run.history else {}
    if last.get("verdict", "healthy") != "healthy":
        return f"What to do next: {last.get('advice') or 'look at the evidence below'}."
    if not run.finished:
        return "What to do next: give the same command again; it goes on from the last saved state."
    return "What to do next: look at the samples closely, make more of them, or train longer if they still improve."


def figures(run: Facts) -> list[tuple[str, str, str]]:
    """The few numbers at the top: name, number, remark."""
    if not run.history:
        return []
    last, goal = run.history[-1], target(run)
    shown = [
        ("samples seen", count(seen(run)), f"of {count(goal)}" if goal else ""),
        ("training time", duration(last["seconds"]), f"planned {duration(run.plan['seconds'])}" if run.plan else ""),
    ]
    if run.plan.get("parameters"):
        total = sum(run.plan["parameters"].values())
        shown.append(("parameters", count(total), ", ".join(run.plan["parameters"])))
    bound, first = "heldout_negative_elbo_nats", run.history[0]
    if bound in last:
        began = f"first report: {number(first[bound])}" if bound in first and first is not last else ""
        shown.append(("held-out negative ELBO", quantity(bound, last[bound]), began))
    if "spread_ratio" in last:
        shown.append(("variety of samples", f"{last['spread_ratio']:.0%}", "of that of the data"))
    return shown


SIGNS = {  # cheap measures of a report, in words
    "spread_ratio": ("variety of samples", "of that of the data"),
    "coverage_ratio": ("held-out samples that generated ones come near", "of them"),
    "closer_to_training_ratio": (
        "held-out samples that lie further from the training data than generated ones",
        "of them, 50% is as new as real",
    ),
    "nearness_ratio": (
        "distance to the nearest training item that a quarter of the samples keeps below",
        "of the distances between training items",
    ),
    "overfit_ratio": ("how far the discriminator takes held-out samples for generated ones", "of the way"),
}


def measured_lately(run: Facts) -> list[tuple[str, str]]:
    """Name and value of what the last report measured: held-out cost and variety."""
    last = run.history[-1] if run.history else {}
    names = [name for name in last if name.startswith("heldout_")]
    rows = [(name_and_unit(name)[0], quantity(name, last[name])) for name in names]
    return rows + [(said, f"{last[name]:.0%} {of}") for name, (said, of) in SIGNS.items() if name in last]


def happened(run: Facts) -> str:
    """Heading of what stands against the plan."""
    return "actual" if run.finished else "so far"


def plan_rows(run: Facts) -> list[tuple[str, str, str, str]]:
    """Plan against what happened: what, planned, actual, difference."""
    last: Mapping[str, Any] = run.history[-1] if run.history else {}
    time = last.get("seconds")
    took = {
        "target_samples": last.get("seen"),
        "seconds": time,
        "samples_per_second": _rate_of_steps(run.history),
        "memory_bytes": max((line["memory_bytes"] for line in run.history if line.get("memory_bytes")), default=None),
    }
    forms: dict[str, tuple[str, Callable[[float], str]]] = {
        "target_samples": ("samples seen", count),
        "seconds": ("time", duration),
        "samples_per_second": ("rate of the steps, on average", rate),
        "memory_bytes": ("memory, at most", size),
    }
    rows = []
    for name, (label, form) in forms.items():
        planned, actual = run.plan.get(name), took[name]
        comparable = run.finished or name not in ("target_samples", "seconds")
        rows.append(
            (
                label,
                NOT_RECORDED if planned is None else form(planned),
                NOT_YET if actual is None else form(actual),
                _difference(actual / planned) if planned and actual is not None and comparable else "",
            )
        )
    return rows


def _rate_of_steps(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Samples a second over all reports, without the time that reports took."""
    before = [0, *(line["seen"] for line in history)]
    parts = [
        (line["seen"] - start, line["samples_per_second"])
        for start, line in zip(before, history, strict=False)
        if line.get("samples_per_second")
    ]
    seconds = sum(samples / rate for samples, rate in parts)
    return sum(samples for samples, _ in parts) / seconds if seconds else None


def _difference(ratio: float) -> str:
    """1.04 => ``+4%``."""
    percent = round(100 * (ratio - 1))
    return f"{'+' if percent > 0 else '−' if percent < 0 else ''}{abs(percent)}%"


def machine(run: Facts) -> list[tuple[str, str]]:
    """The machine that the run was made on, and the size of the model."""
    rows = [(name, str(value)) for name, value in run.plan.get("machine", {}).items()]
    parameters = run.plan.get("parameters", {})
    return rows + [(f"parameters of {name}", count(n)) for name, n in parameters.items()]


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Consecutive reports with one verdict."""

    judgement: Judgement
    when: str
    reports: str
    evidence: list[tuple[str, str]]
    advice: str


def stretches(run: Facts) -> list[Stretch]:
    """The verdicts over time, consecutive equal ones as one, with the latest evidence and advice of each."""
    groups: list[list[dict[str, Any]]] = []
    for line in run.history:
        if groups and groups[-1][-1].get("verdict") == line.get("verdict"):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_stretch(group) for group in groups]


def _stretch(lines: list[dict[str, Any]]) -> Stretch:
    first, last = lines[0], lines[-1]
    when = f"{count(first['seen'])} to {count(last['seen'])}" if len(lines) > 1 else count(first["seen"])
    evidence = [(name_and_unit(name)[0], quantity(name, value)) for name, value in last.get("evidence", {}).items()]
    shown = judgement(last.get("verdict"))
    return Stretch(shown, f"{when} samples", plural(len(lines), "report"), evidence, str(last.get("advice", "")))


def commands(run: Facts) -> list[tuple[str, str]]:
    """How to go on: command, what it does."""
    path = shlex.quote(str(run.path))
    shown = [(f"ficta sample {path} -n 100", "make 100 new samples")]
    categories = run.data.get("categories")
    if categories and run.recipe.get("data", {}).get("conditional"):
        label = shlex.quote(str(categories[0]))
        shown.append((f"ficta sample {path} -n 100 --label {label}", "make 100 samples of one label"))
    columns = [row[0] for row in columns_of(run)]
    if columns and run.recipe.get("data", {}).get("conditional"):
        wish = shlex.quote(f"{columns[-1]}=VALUE")
        shown.append((f"ficta sample {path} -n 100 --where {wish}", "make rows with a given value in a column"))
        shown.append((f"ficta sample {path} --complete ROWS.csv", "fill in what rows lack"))
    shown.append((f"ficta explore {path}", "draw the latent map, interpolations and reconstructions"))
    shown.append((f"ficta evaluate {path}", "measure how good, how varied and how new its samples are"))
    if columns:
        target = shlex.quote(columns[-1])
        shown.append(
            (f"ficta evaluate {path} --target {target}", "also: how well a column is predicted after learning")
        )
    return shown


def going_on(run: Facts) -> str:
    """How to train on."""
    goal = target(run)
    if run.finished and goal:
        return f"To train longer, give the same train command with a larger target, such as --samples {2 * goal}."
    return "To go on with training, give the same train command again: it resumes from the last saved state."


def curve_groups(run: Facts) -> dict[str, dict[str, tuple[list[float], list[float | None]]]]:
    """Series to draw: ``loss``, ``logits``, ``held-out``, ``variety``, split by unit, each name to (seen, values)."""
    groups: dict[str, dict[str, tuple[list[float], list[float | None]]]] = {}
    for line in run.history:
        losses = {f"loss\0{name}": value for name, value in line.get("losses", {}).items()}
        heldout = {f"held-out\0{name}": value for name, value in line.items() if name.startswith("heldout_")}
        variety = {f"variety\0{name}": line[name] for name in SIGNS if name in line}
        for key, value in {**losses, **heldout, **variety}.items():
            kind, name = key.split("\0")
            readable, unit = name_and_unit(name.removeprefix("heldout_"))
            if unit == LOGIT:
                kind, unit = "logits", ""
            xs, ys = groups.setdefault(f"{kind}\0{unit}", {}).setdefault(readable, ([], []))
            xs.append(line["seen"])
            ys.append(_drawable(value, 100 if unit == "%" else 1))
    order = [name for key, series in groups.items() if key.startswith("loss") for name in series]
    ranks = {name: rank for rank, name in enumerate(order)}  # what is drawn twice gets the same colour twice
    return {
        key: dict(sorted(series.items(), key=lambda item: ranks.get(item[0], len(ranks))))
        for key, series in groups.items()
    }


def _drawable(value: Any, scale: float) -> float | None:
    """A number; None for NaN and infinity, which stand in the history as words."""
    if isinstance(value, str) or value is None or not math.isfinite(value):
        return None
    return scale * float(value)
