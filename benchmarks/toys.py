"""What each family makes of a toy whose density can be looked at: eight Gaussians on a ring.

    python benchmarks/toys.py [case ...]

A CSV of two columns, x and y, is trained on by the ordinary command line; each case takes about a minute of one core,
one seed. Samples, and a histogram of many of them, are drawn beside the data; counted is how many centres are hit, and
which share of the samples lies near one.

How the table is read decides what can be seen. By `data.table.modes` a column is cut into ranges that hold equally many
points, 32 as it comes; a model chooses a range, and a place in it. So of each column alone it knows from the start
where points lie, and what it has to learn is which x goes with which y; what it has not learnt shows as spots where the
x of one Gaussian meets the y of another. Decoders with a likelihood do well with 32. Generators, which have none to
learn the choice of a range by, make rounder spots of 8. Faint bands between spots are ranges that lie across a gap;
with one range a column they hide what a model does.

Figures go to benchmarks/results/toys.json, the picture to docs/images, points and runs to $FICTA_EVIDENCE_RUNS (default
runs/evidence). Runs that are there already are continued, or left alone when finished. Cases that are named are trained
and counted, but neither written down nor drawn.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from evidence import IMAGES, RUNS, keep, told, train, training_facts
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from PIL import Image

import ficta
from ficta.draw.images import save_png
from ficta.draw.style import FAINT, PALETTE, plot
from ficta.models.registry import find

Draw = Callable[[int, int], np.ndarray]  # how many and a seed => points, float64 (n, 2)


class Mixture(NamedTuple):
    """Gaussians that count the same.

    Attributes:
        centres: float64 (k, 2).
        spread: standard deviation of each, along both axes.
        reach: pictures go from -reach to reach along both axes.
    """

    centres: np.ndarray
    spread: float
    reach: float


class Case(NamedTuple):
    """A family, and its settings beside those of all."""

    family: str
    settings: Sequence[str]


def ring(count: int, radius: float) -> np.ndarray:
    """Points at equal distances on a circle, the first at the right: float64 (count, 2)."""
    angles = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def grid(side: int, step: float) -> np.ndarray:
    """Points of a square grid around the middle, float64 (side * side, 2)."""
    places = step * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(places, places), 2).reshape(-1, 2)


SETS = {
    "ring": Mixture(ring(8, 2.0), spread=0.1, reach=2.7),
    "grid": Mixture(grid(5, 1.0), spread=0.05, reach=2.7),
}
POINTS = 20_000

COMMON = ("train.batch=250", "train.ema_samples=50_000", "train.decay=cosine", "train.samples=2_000_000")
COMMON += ("train.threads=1", "train.precision=float32", "train.reports=10")
NETWORK = ("hidden=[128,128]", "activation=silu")  # each of each family
# what "vae" means for tables weighs the KL term by a half; here it is the true bound, as of the others
VAE = ("model.latent_dim=2", "model.beta=1", "model.optimiser.rate=3e-3")
STACK = ("model.prior.kind=stack", "model.prior.above=[2]", *(f"model.prior.network.{setting}" for setting in NETWORK))
MMD = ("model.beta=0", "model.discrepancy=10", "model.optimiser.rate=1e-3")
LADDER = ("model.latent_dims=[2,2]", "model.features=128", "model.between.hidden=[128]")
CODES = ("model.length=2", "model.codes=8", "model.prior.width=32", "model.prior.layers=2")
GENERATOR = ("data.table.modes=8", "model.latent_dim=8", "train.samples=1_000_000")

CASES = {
    "VAE": Case("vae", VAE),
    "IWAE": Case("vae", (*VAE, "model.bound=iwae", "model.draws=5", "train.samples=1_000_000")),
    "beta-TCVAE": Case("vae", (*VAE, "model.total_correlation=3", "train.samples=1_000_000")),
    # of ten times the weight latents are noise from the start, and columns know nothing of each other
    "WAE-MMD": Case("vae", (*VAE, *MMD, "train.batch=100", "train.samples=1_000_000")),
    "VAE, VampPrior": Case("vae", (*VAE, "model.prior.kind=vamp", "model.prior.inputs=50")),
    # what layers say of each other at first is far off: the cost of the first steps must not lead astray
    "VAE, two layers": Case("vae", (*VAE, *STACK, "train.clip_norm=10")),
    "Ladder": Case("ladder", (*LADDER, "model.optimiser.rate=3e-3")),
    "VQ-VAE": Case("vqvae", (*CODES, "train.batch=500", "train.samples=1_000_000")),
    "AAE": Case("aae", ("model.latent_dim=2",)),
    # with 256 features, beta 1 and one rate for all, as it comes, two of the centres were lost
    "VAE-GAN": Case(
        "vaegan", (*GENERATOR, "model.discriminator_optimiser.rate=2e-4", "model.features=32", "model.beta=0.1")
    ),
    "GAN": Case("gan", (*GENERATOR, "model.r1_gamma=0.1")),
}
APART = "independent columns"  # what no model at all knows

JUDGED = 10_000  # samples
NEAR = 3  # standard deviations from a centre
LEAST = 0.1  # of its fair share that lies near a centre that counts as hit
SHOWN, DENSE = 2_000, 200_000  # samples drawn one by one, and counted in bins
BINS = 108  # along each axis
PANELS = ("data", "samples", "density")
ACROSS = 2  # cases beside each other
WIDTH, CELL = 7.6, 1.2  # inches of the picture and of a row
COLOURS = 128
SHADES = LinearSegmentedColormap.from_list("shades", ("white", "#9ec8ee", PALETTE[0], "#14406e", "#081a2e"))


def points(mixture: Mixture, count: int, seed: int) -> np.ndarray:
    """Draws from a mixture, float64 (count, 2)."""
    random = np.random.default_rng(seed)
    chosen = random.integers(len(mixture.centres), size=count)
    return mixture.centres[chosen] + mixture.spread * random.standard_normal((count, 2))


def apart(mixture: Mixture, count: int, seed: int) -> np.ndarray:
    """The same with each y at the x of another, float64 (count, 2)."""
    x, y = points(mixture, count, seed).T
    return np.stack([x, np.random.default_rng(seed).permutation(y)], 1)


def written(name: str) -> Path:
    """A CSV of the points that are trained on."""
    place = RUNS / "toys" / f"{name}.csv"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(points(SETS[name], POINTS, 0), columns=["x", "y"]).to_csv(place, index=False, float_format="%.4f")
    return place


def trained(data: str, name: str, case: Case) -> ficta.Run:
    """A run of a case, by this name."""
    networks = [f"model.{role}.mlp.{setting}" for role in find(case.family).roles for setting in NETWORK]
    place = f"toys/{data}-{name.lower().replace(',', '').replace(' ', '-')}"
    return train(case.family, written(data), place, *told((*COMMON, *networks, *case.settings)))


def made(run: ficta.Run, count: int, seed: int) -> np.ndarray:
    """Samples, float64 (count, 2)."""
    return run.rows(count, seed=seed)[["x", "y"]].to_numpy()


def counted(mixture: Mixture, samples: np.ndarray) -> dict[str, Any]:
    """Centres hit by samples (n, 2), the share of samples near one, and near each."""
    distances = np.linalg.norm(samples[:, None] - mixture.centres, axis=2)
    near = distances.min(1) < NEAR * mixture.spread
    shares = np.bincount(distances.argmin(1)[near], minlength=len(mixture.centres)) / len(samples)
    hit = shares >= LEAST / len(shares)
    return {"hit": int(hit.sum()), "near": round(float(near.mean()), 4), "shares": shares.round(4).tolist()}


def drawn(mixture: Mixture, draws: Mapping[str, Draw]) -> Image.Image:
    """Of each: the data, samples, and how densely samples lie. From the top down, then from the left to the right."""
    down = math.ceil(len(draws) / ACROSS)
    ratios = [*(1,) * len(PANELS), 0.12] * ACROSS
    with plot(height=CELL * down + 0.15, width=WIDTH) as figure:
        figure.figure.clear()
        figure.figure.get_layout_engine().set(w_pad=0.02, h_pad=0.035, wspace=0.02, hspace=0.02)
        cells = figure.figure.subplots(down, len(ratios) - 1, width_ratios=ratios[:-1], squeeze=False)
        for axes in cells.flat:
            axes.set_axis_off()
        for place, (name, draw) in enumerate(draws.items()):
            block, row = divmod(place, down)
            first = block * (len(PANELS) + 1)
            panels = cells[row, first : first + len(PANELS)]
            show(panels, mixture, draw)
            panels[0].set_title(name.replace("beta", "β"), loc="left", fontsize=8.5, fontweight="bold", pad=3)
            for axes, word in zip(panels, PANELS if row == 0 else (), strict=False):
                axes.set_title(word, loc="right", fontsize=7.5, color=FAINT, pad=3)
        return figure.render().quantize(COLOURS)


def show(panels: Sequence[Axes], mixture: Mixture, draw: Draw) -> None:
    """Draw the data, samples and their density."""
    reach = mixture.reach
    for axes in panels:
        axes.set_axis_on()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set(visible=True, color="#d5d7de", linewidth=0.6)
    data, samples, density = panels
    for axes, shown, colour in ((data, points(mixture, SHOWN, 1), FAINT), (samples, draw(SHOWN, 1), PALETTE[0])):
        axes.scatter(*shown.T, s=1.2, lw=0, color=colour, alpha=0.6)
    counts, *_ = np.histogram2d(*draw(DENSE, 2).T, BINS, [(-reach, reach)] * 2)
    # a square root, so that what is rare is seen; darkest where samples are as dense as the data are at a centre
    most = DENSE * (2 * reach / BINS) ** 2 / (len(mixture.centres) * 2 * math.pi * mixture.spread**2)
    scale = PowerNorm(0.5, 0, most)
    density.imshow(counts.T, SHADES, scale, origin="lower", extent=(-reach, reach, -reach, reach), interpolation="none")


def main(names: Sequence[str]) -> None:
    """Train, count, write down, draw."""
    for data, mixture in (("ring", SETS["ring"]),):
        none: dict[str, Draw] = {
            "data": functools.partial(points, mixture),
            APART: functools.partial(apart, mixture),
        }
        rows = [{"set": data, "case": name, **counted(mixture, draw(JUDGED, 3))} for name, draw in none.items()]
        draws: dict[str, Draw] = {}
        for name in names or CASES:
            run = trained(data, name, CASES[name])
            draws[name] = functools.partial(made, run)
            found = counted(mixture, draws[name](JUDGED, 0))
            rows.append({"set": data, "case": name, "family": CASES[name].family, **found, **training_facts(run)})
            print(name, found, flush=True)
        if not names:
            keep("toys", {"judged": JUDGED, "near": NEAR, "rows": rows})
            save_png(drawn(mixture, {**draws, APART: none[APART]}), IMAGES / "toys.png")


if __name__ == "__main__":
    main(sys.argv[1:])
