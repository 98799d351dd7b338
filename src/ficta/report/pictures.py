"""Pictures inside the page: which ones, and as few bytes as they need."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

from PIL import Image

from ficta.base.words import count
from ficta.draw import plots
from ficta.draw.plots import LARGEST
from ficta.report import ingested, story
from ficta.report.facts import Facts
from ficta.report.words import number

MOST_SHEETS = 8
SHEET_BYTES, SMALL_BYTES, PLOT_BYTES, ANIMATION_BYTES = 500_000, 70_000, 130_000, 500_000
MOST_PLOTS = 8
QUALITIES = (90, 75, 50)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture in the page.

    Attributes:
        uri: the whole file, as a ``data:`` address.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        alt: what it shows, for those who do not see it.
        heading: its heading.
        caption: how to read it.
        chart: whether it is a chart on white ground, to be dimmed on a dark page.
    """

    uri: str
    width: int
    height: int
    alt: str
    heading: str = ""
    caption: str = ""
    chart: bool = False


# name of a file in explore/ -> heading, how to read it
KNOWN = {
    "sheet": (
        "New samples",
        "Each tile is a new sample from a latent drawn at random; look for variety and for flaws.",
    ),
    "latent": (
        "Latent map",
        "Each dot is a held-out sample where the model puts it; like should lie by like, and the hollow circles "
        "(generated samples) should cover the same ground.",
    ),
    "associations": (
        "Columns that hang together",
        "Correlation of numbers, Cramér's V of categories, the correlation ratio between the two; the right map shows "
        "what the samples have too much (red) or too little of (blue).",
    ),
    "codes": (
        "Codes",
        "Each code by itself, one below the other: left to right it takes its values, each row is another sample. What "
        "changes along a row is what the code stands for.",
    ),
    "manifold": (
        "Manifold",
        "The latent space in even steps, left to right and top to bottom; neighbours should change smoothly. Of a "
        "conditional run the first label alone.",
    ),
    "mixing": (
        "Styles mixed",
        "Each tile takes a band of layers from the first of its row and all else from the first of its column: coarse "
        "layers should decide on shapes, fine ones on shades.",
    ),
    "closest": (
        "Closest to the training data",
        "The ten samples that lie closest to a training item (above), and those items (below): are they copies? The "
        "number is the distance, in units of the usual one of held-out items.",
    ),
    "reconstructions": (
        "Reconstructions",
        "Held-out samples above what the model makes of them after encoding; what is lost is what it has not learnt.",
    ),
    "interpolations": (
        "Interpolations",
        "Each row walks from one sample to another; every step between should look like a sample too.",
    ),
}


def sheets_over_time(run: Facts) -> list[Path]:
    """At most eight of the run's sheets, oldest first: the first, the last, and evenly spaced ones between."""
    found = [path for path in sorted((run.path / "samples").glob("*.png")) if path.stem.isdigit()]
    if len(found) <= MOST_SHEETS:
        return found
    last = len(found) - 1
    return [found[round(index * last / (MOST_SHEETS - 1))] for index in range(MOST_SHEETS)]


def newest(run: Facts) -> Path | None:
    """The newest of the run's sheets."""
    found = sheets_over_time(run)
    return found[-1] if found else None


def sheet(path: Path, limit: int) -> Picture:
    """A sheet, named by the samples seen when it was made."""
    when = f"after {count(int(path.stem))} samples seen"
    return _picture(path, limit, f"Sheet of generated samples {when}", heading=when)


def animation(run: Facts) -> Picture | None:
    """The animated sheets, if there are any and they are small enough to embed."""
    path = run.path / "samples" / "progress.webp"
    if not path.is_file() or path.stat().st_size > ANIMATION_BYTES:
        return None
    with Image.open(path) as image:
        size = image.size
    uri = _uri(path.read_bytes(), "webp")
    return Picture(uri, *size, alt="Animation of the sheets of generated samples, from the first report to the last")


def explored(run: Facts) -> tuple[list[Picture], list[str]]:
    """Plots of the trained model, known ones first, and the names of those that are too many to embed."""
    found = {path.stem: path for path in sorted((run.path / "explore").glob("*.png"))}
    names = [*(name for name in KNOWN if name in found), *(name for name in found if name not in KNOWN)]
    pictures = []
    for name in names[:MOST_PLOTS]:
        heading, caption = KNOWN.get(name, (found[name].name, ""))
        picture = _picture(found[name], PLOT_BYTES, f"{heading}. {caption}".strip(), heading, caption)
        pictures.append(dataclasses.replace(picture, chart=name == "latent"))
    return pictures, [found[name].name for name in names[MOST_PLOTS:]]


def curves(run: Facts) -> list[Picture]:
    """Losses, held-out cost and variety over samples seen."""
    headings = {
        "loss": ("Losses", "What training minimises, averaged since the report before."),
        "logits": ("Logits", "How real the discriminator finds real and generated samples: above 0 is rather real."),
        "held-out": ("On held-out data", "The same cost on validation samples, which the model never learns from."),
        "variety": (
            "Variety and novelty",
            "Spread: how much samples differ from one another, against the data; coverage: held-out samples that they "
            "come near; both near 100% at best, near 0 in a collapse. Closer to training: held-out samples that lie "
            "further from the training data; 50% is as new as real, more is copying. Overfit: how far the "
            "discriminator takes held-out samples for generated ones; 0 at best.",
        ),
    }
    pictures = []
    for key, series in story.curve_groups(run).items():
        kind, unit = key.split("\0")
        heading, caption = headings[kind]
        if kind == "loss" and unit:
            heading += f" in {unit}"
        label = next(iter(series)) if len(series) == 1 and kind != "variety" else kind
        image = plots.curves(series, "samples seen", f"{label}, {unit}" if unit else label)
        ends = ", ".join(f"{name} {_ends(ys)}" for name, (_, ys) in series.items())
        alt = f"{heading} over samples seen{f', in {unit}' if unit else ''}: {ends}"
        pictures.append(chart(image, alt, heading, caption))
    return pictures


def balance(run: Facts) -> Picture | None:
    """Bars of the number of samples of each label in each split, or None without labels."""
    groups = ingested.balance(run)
    if not groups:
        return None
    image = plots.bars(groups, "samples")
    alt = "Number of samples of each label; the table below holds the same numbers"
    return chart(image, alt, "Balance of the labels", "A label with few samples is learnt worse than one with many.")


def _ends(values: list[float | None]) -> str:
    present = [value for value in values if value is not None and abs(value) <= LARGEST]
    return f"from {number(present[0])} to {number(present[-1])}" if present else "not a number"


def chart(image: Image.Image, alt: str, heading: str, caption: str) -> Picture:
    """A chart on white ground."""
    return dataclasses.replace(_embedded(image, PLOT_BYTES, alt, heading, caption), chart=True)


def _picture(path: Path, limit: int, alt: str, heading: str = "", caption: str = "") -> Picture:
    with Image.open(path) as image:
        return _embedded(image.convert("RGB"), limit, alt, heading, caption)


def _embedded(image: Image.Image, limit: int, alt: str, heading: str = "", caption: str = "") -> Picture:
    return Picture(_uri(_compressed(image, limit), "webp"), image.width, image.height, alt, heading, caption)


def _compressed(image: Image.Image, limit: int) -> bytes:
    """A WebP file of at most ``limit`` bytes: lossless if it fits, else of the best quality and size that does."""
    content = _webp(image, {"lossless": True})
    while len(content) > limit:
        for quality in QUALITIES:
            content = _webp(image, {"quality": quality})
            if len(content) <= limit:
                return content
        image = image.reduce(2)
    return content


def _webp(image: Image.Image, options: dict[str, int]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
