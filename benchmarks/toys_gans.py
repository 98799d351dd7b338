"""What games make of two toys whose density can be looked at, and what their discriminators say of every place.

    python benchmarks/toys_gans.py [seed]

Eight Gaussians on a ring and 25 on a grid, as benchmarks/toys.py has them: tables of two columns. Figures go to
benchmarks/results/toys-gans.json, the picture to docs/images, points and runs to $FICTA_EVIDENCE_RUNS. Runs that are
there already are continued, or left alone when finished.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from evidence import IMAGES, keep, training_facts
from matplotlib.axes import Axes
from PIL import Image
from toys import CELL, COLOURS, GENERATOR, JUDGED, NEAR, SETS, SHOWN, Case, Mixture, counted, made, points, trained

import ficta
from ficta.draw.images import save_png
from ficta.draw.style import FAINT, PALETTE, plot
from ficta.models.family import Discriminates

PLAIN = (*GENERATOR, "model.r1_gamma=0")
GAMES = {
    "minimax": Case("gan", (*PLAIN, "model.loss=minimax")),
    "non-saturating": Case("gan", PLAIN),
    "non-saturating, R1": Case("gan", (*GENERATOR, "model.r1_gamma=0.1")),
    "least squares, R1": Case("gan", (*GENERATOR, "model.r1_gamma=0.1", "model.loss=least-squares")),
    "hinge, spectral norm": Case("gan", (*PLAIN, "model.loss=hinge", "model.discriminator.spectral=true")),
    "Wasserstein, clipped": Case("gan", (*PLAIN, "model.loss=wasserstein", "model.clip_weights=0.1")),
    "WGAN-GP": Case("gan", (*PLAIN, "model.loss=wasserstein", "model.one_centred=10", "model.penalty_every=1")),
    "DRAGAN": Case("gan", (*PLAIN, "model.one_centred=10", "model.one_centred_at=around", "model.penalty_every=1")),
    "relativistic, R1 and R2": Case(
        "gan",
        (*GENERATOR, "model.loss=relativistic", "model.r1_gamma=0.1", "model.r2_gamma=0.1", "model.penalty_every=1"),
    ),
    "InfoGAN": Case("infogan", (*GENERATOR, "model.r1_gamma=0.1", "model.categories=[8]", "model.continuous=0")),
}
PANELS = ("data", "samples", "discriminator")
PLACES = 108  # along each axis, at which the discriminator is asked
WIDTH = 7.6  # inches


class Seen(NamedTuple):
    """What is drawn of a game on a toy: samples float64 (n, 2), and logits float (PLACES, PLACES), y by x."""

    samples: np.ndarray
    logits: np.ndarray


def surface(run: ficta.Run, reach: float) -> np.ndarray:
    """Logits at the places of a square, float64 (PLACES, PLACES), y by x."""
    places = np.linspace(-reach, reach, PLACES)
    rows = np.stack(np.meshgrid(places, places), 2).reshape(-1, 2)
    family, codec = run.stored.family, run.stored.codec
    assert isinstance(family, Discriminates)
    with run.stored.inference():
        return family.logits(codec.encode(torch.from_numpy(rows)), None).double().numpy().reshape(PLACES, PLACES)


def drawn(found: Mapping[str, Mapping[str, Seen]]) -> Image.Image:
    """A row a game, for each toy the data, samples and what the discriminator says: the redder, the more real."""
    ratios = [*[1] * len(PANELS), 0.12] * len(SETS)
    with plot(height=CELL * len(found) + 0.15, width=WIDTH) as figure:
        figure.figure.clear()
        figure.figure.get_layout_engine().set(w_pad=0.02, h_pad=0.035, wspace=0.02, hspace=0.02)
        cells = figure.figure.subplots(len(found), len(ratios) - 1, width_ratios=ratios[:-1], squeeze=False)
        for axes in cells.flat:
            axes.set_axis_off()
        for number, (row, (name, of)) in enumerate(zip(cells, found.items(), strict=True)):
            for place, (data, seen) in enumerate(of.items()):
                panels = row[place * (len(PANELS) + 1) :][: len(PANELS)]
                show(panels, SETS[data], seen)
                for axes, word in zip(panels, () if number else PANELS, strict=False):
                    axes.set_title(word, loc="right", fontsize=7.5, color=FAINT, pad=3)
            row[0].set_title(name, loc="left", fontsize=8.5, fontweight="bold", pad=3)
        return figure.render().quantize(COLOURS)


def show(panels: np.ndarray, mixture: Mixture, seen: Seen) -> None:
    """Draw the data, samples and the surface."""
    reach = mixture.reach
    axes: Axes
    for axes in panels:
        axes.set_axis_on()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set(visible=True, color="#d5d7de", linewidth=0.6)
    data, samples, judge = panels
    for axes, shown, colour in ((data, points(mixture, SHOWN, 1), FAINT), (samples, seen.samples, PALETTE[0])):
        axes.scatter(*shown.T, s=1.2, lw=0, color=colour, alpha=0.6)
    middle = np.median(seen.logits)
    most = np.quantile(np.abs(seen.logits - middle), 0.98) or 1.0
    extent = (-reach, reach, -reach, reach)
    judge.imshow(seen.logits - middle, "RdBu_r", vmin=-most, vmax=most, origin="lower", extent=extent)


def main(seed: int) -> None:
    """Train, count, write down, draw."""
    rows, found = [], {}
    for name, case in GAMES.items():
        found[name] = {}
        for data, mixture in SETS.items():
            settings = (*case.settings, f"seed={seed}")
            run = trained(data, f"{name}-{seed}", Case(case.family, settings))
            facts = counted(mixture, made(run, JUDGED, 0))
            rows.append({"set": data, "case": name, "family": case.family, **facts, **training_facts(run)})
            found[name][data] = Seen(made(run, SHOWN, 1), surface(run, mixture.reach))
            print(name, data, facts["hit"], facts["near"], flush=True)
        keep("toys-gans", {"judged": JUDGED, "near": NEAR, "rows": rows})
    save_png(drawn(found), IMAGES / "toys-gans.png")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 0)
