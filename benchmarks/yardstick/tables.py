"""Readings as Markdown and as one plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEADINGS = {  # by (what, kind of training); a section's unit stands with it
    ("train", "float32"): "Training, float32 against float32 (samples/s)",
    ("train", "best"): "Training, best against best (samples/s)",
    ("sample", "float32"): "Sampling 10,000 latents, 256 at a time, float32 (samples/s)",
    ("encode", "float32"): "Encoding 10,000 pictures, 256 at a time, float32 (samples/s)",
    ("sample", "best"): "Sampling 10,000 latents, 256 at a time, each as it trained fastest (samples/s)",
    ("encode", "best"): "Encoding 10,000 pictures, 256 at a time, each as it trained fastest (samples/s)",
    ("latency", "float32"): "One sample at batch 1 (ms; each reading is a median of 50)",
    ("start", "start"): "Process start to the end of the first step (s)",
}
COLUMNS = (
    "| row | who | median | lowest to highest | ficta against it | interval | of roofline | peak anonymous memory |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def markdown(content: Mapping[str, Any]) -> str:
    """The tables, headed by date, machine and versions."""
    machine = content["machine"]
    parts = [
        f"Measured on {content['date']}: {machine['processor']}, {machine['cores']} cores, {machine['system']}. "
        f"Data: {content['data']}. {content['sittings']} sittings, each with processes of its own and "
        f"{content['rounds']} rounds in turns after a warm-up; training turns of about {content['turn_seconds']:g} s. "
        f"Before the first row, other processes kept {content['foreign_load']:.0%} of "
        f"the cores busy. Versions: {_versions(content)}.\n",
        'In "ficta against it", above 1 means that ficta is faster (or takes less memory): the median of the ratios '
        "within each round, with the interval of the sign test.\n",
    ]
    for (what, kind), heading in HEADINGS.items():
        rows = [row for row in content["rows"] if (row["what"], row["kind"]) == (what, kind)]
        if rows:
            parts.append(f"## {heading}\n\n{COLUMNS}" + "".join(lines_of(row) + "\n" for row in rows))
            parts += [f"{note}\n" for row in rows for note in _notes(row)]
    return "\n".join(parts)


def lines_of(row: Mapping[str, Any]) -> str:
    """A table line for each peer of a row."""
    if row["void"]:
        return f"| {row['name']} | void: {row['void']} | | | | | | |"
    lines = [_line(row, who, figures) for who, figures in row["peers"].items()]
    lines += [f"| {row['name']} | {who} | not available | | | | | |" for who in row["not_available"]]
    return "\n".join(lines)


def plot(content: Mapping[str, Any], path: Path) -> None:
    """Ratios of ficta to each peer with their intervals, one line a row and peer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    points = list(_points(content))
    if not points:
        return
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.24 * len(points)), layout="constrained")
    colours = {who: f"C{number}" for number, who in enumerate(sorted({who for _, who, _ in points}))}
    for place, (_, who, found) in enumerate(reversed(points)):
        sides = [[found["median"] - found["low"]], [found["high"] - found["median"]]]
        axes.errorbar(found["median"], place, xerr=sides, fmt="o", markersize=4, capsize=2, color=colours[who])
    axes.set_yticks(range(len(points)), [f"{name}: {who}" for name, who, _ in reversed(points)], fontsize=7)
    axes.set_ylim(-1, len(points))
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="both", labelsize=7)
    axes.set_xlabel("how many times better ficta is: median and interval of the ratios within each round")
    axes.set_title(
        f"{content['machine']['processor']}, {content['machine']['cores']} cores, {content['date']}", fontsize=9
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _points(content: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, float]]]:
    for row in content["rows"]:
        for others in row["ratios"].values() if not row["void"] else ():
            yield from ((row["name"], who, found) for who, found in others.items())


def _line(row: Mapping[str, Any], who: str, figures: Mapping[str, Any]) -> str:
    reading = figures["reading"]
    against = [found[who] for found in row["ratios"].values() if who in found]
    times = " / ".join(f"{found['median']:.2f}x" for found in against)
    interval = " / ".join(f"{found['low']:.2f} to {found['high']:.2f} ({found['confidence']:.0%})" for found in against)
    share = f"{figures['share_of_roofline']:.0%}" if "share_of_roofline" in figures else ""
    cells = [
        row["name"] + (" (busy machine)" if row["busy"] else ""),
        _called(row, who, figures),
        _figure(reading["median"]),
        f"{_figure(reading['low'])} to {_figure(reading['high'])}",
        times,
        interval,
        share,
        _memory(row, who, figures),
    ]
    return f"| {' | '.join(cells)} |"


def _called(row: Mapping[str, Any], who: str, figures: Mapping[str, Any]) -> str:
    """A peer's name, and in the rows where it may differ, what it ran with."""
    if row["kind"] not in ("best", "quick") or "precision" not in figures:
        return who
    extras = [name for name in ("jit", "compile") if figures.get(name) is True]
    return f"{who} ({', '.join([figures['precision'], *extras])})"


def _memory(row: Mapping[str, Any], who: str, figures: Mapping[str, Any]) -> str:
    if "peak_anonymous_bytes" not in figures:
        return ""
    held = figures["peak_anonymous_bytes"]
    text = f"{held / 1e6:,.0f} MB"
    ours = row["peers"].get("ficta", {}).get("peak_anonymous_bytes")
    return f"{text} (ficta {ours / held:.2f}x)" if ours and not who.startswith("ficta") else text


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _notes(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("roofline_gflops"):
        limits = ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in row["roofline_gflops"].items())
        yield f"- {row['name']}: {row['operations_per_sample'] / 1e6:.2f} MFLOP a sample; roofline {limits}"
    for who, tried in row.get("variants_tried", {}).items():
        if row["what"] == "train":
            shown = "; ".join(
                f"{name} {_figure(rate) if isinstance(rate, float) else rate}" for name, rate in tried.items()
            )
            yield f"- {row['name']}, what {who} was tried with: {shown}"
    yield from (f"- {row['name']}: {who} is not available: {why}" for who, why in row["not_available"].items())


def _versions(content: Mapping[str, Any]) -> str:
    found: dict[str, str] = {}
    for row in content["rows"]:
        for versions in row.get("versions", {}).values():
            found |= versions
    return ", ".join(f"{name} {number}" for name, number in sorted(found.items()))
