"""Whether beta-TCVAE keeps factors of variation further apart than beta-VAE does.

    python benchmarks/factors.py [seed ...]

Chen et al. 2018 (arXiv:1802.04942) say that it does, and that it pays less for that in reconstruction; Locatello et al.
2019 (arXiv:1811.12359) that seeds matter as much as methods. Pictures are made here, so that their factors are known:
shape, scale, angle, x and y, after the manner of dSprites. Every seed takes each weight with both methods, and the
plain VAE, at which both begin.

Figures go to benchmarks/results/factors.json and docs/images, pictures and runs to $FICTA_EVIDENCE_RUNS (default
runs/evidence). Runs that are there already are continued, or left alone when finished. One core each: several seeds can
stand beside each other, as figures are those of all runs that have been measured.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from evidence import IMAGES, RUNS, keep, told, train, training_facts
from PIL import Image
from scipy.special import entr

import ficta
from ficta.base.files import write_bytes
from ficta.base.progress import silent
from ficta.data.ingest import ingest
from ficta.draw.images import save_png
from ficta.draw.sheets import sheet
from ficta.draw.style import PALETTE, legend_above, plot
from ficta.metrics.intervals import repeats
from ficta.metrics.latents import active_units, disentanglement, mutual_information_gap
from ficta.train.recipe import Recipe

SIDE, POINTS = 32, 8  # pixels of a picture; points along each side of a pixel
FACTORS = {"shape": 3, "scale": 6, "angle": 16, "x": 16, "y": 16}  # 73,728 pictures
TURNS = (1 / 4, 1 / 2, 1)  # after which a square, an ellipse and a heart look as before
RADII = (3.5, 7.0)  # pixels; shapes lie within circles of these
HEART = 1.3, 0.29  # radius about the middle of its area, and how high that lies

CASES = {"VAE": (1,), "beta-VAE": (2, 4, 8), "beta-TCVAE": (2, 4, 8)}
PAIR = ("beta-TCVAE", "beta-VAE")
SEEDS = (0, 1, 2)
SAMPLES = 700_000  # seen
SETTINGS = (
    # networks, latents and batches of Locatello et al., with a stage less, as pictures have half the side
    *("model.latent_dim=10", "train.batch=64", "model.decoder.conv.last=doubling"),
    *("model.encoder.conv.channels=[32,32,64]", "model.encoder.conv.hidden=[256]"),
    *("model.decoder.conv.channels=[64,32,32]", "model.decoder.conv.hidden=[256]"),
    # grey levels are at edges alone, where they tell places and angles finer than a pixel; black and white would not
    "model.head=grey-bce",
    *("train.threads=1", "train.precision=float32", "train.reports=10"),
)
JUDGED = 10_000  # pictures
CHUNK = 500
MEASURES = ("mig", "disentanglement", "distortion_nats")  # that pairs are compared by
WALKED, STEPS = 4, 9  # weight of the runs whose latents are walked along, and pictures of each
MARKERS = {1: "s", 2: "o", 4: "^", 8: "D"}


def factors() -> np.ndarray:
    """Which value of each factor a picture has, int64 (n, 5); the last factor changes fastest."""
    return np.indices([*FACTORS.values()]).reshape(len(FACTORS), -1).T


def pictures() -> np.ndarray:
    """The whole grid in the order of ``factors``, white on black, uint8 (n, 1, 32, 32); drawn once."""
    place = RUNS / "factors.npy"
    if not place.exists():
        shapes, scales, angles, *_ = map(range, FACTORS.values())
        radii = np.linspace(*RADII, len(scales))
        turns = [[2 * np.pi * turn * angle / len(angles) for angle in angles] for turn in TURNS]
        drawn = [moved(canvas(s, radii[r], turns[s][a])) for s in shapes for r in scales for a in angles]
        RUNS.mkdir(parents=True, exist_ok=True)
        fresh = place.with_stem(f"factors-{os.getpid()}")  # jobs beside this one must not see half a file
        np.save(fresh, np.concatenate(drawn)[:, None])
        fresh.replace(place)
    return np.load(place)


def canvas(shape: int, radius: float, angle: float) -> np.ndarray:
    """A shape amid all the room that it can be moved in, uint8 (h, w): of each pixel the share that is inside."""
    sides = SIDE + FACTORS["y"] - 1, SIDE + FACTORS["x"] - 1
    down, across = (((np.arange(side * POINTS) + 0.5) / POINTS - side / 2) / radius for side in sides)
    v, u = np.meshgrid(down, across, indexing="ij")
    u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    if shape == 0:
        inside = np.maximum(abs(u), abs(v)) < 0.7
    elif shape == 1:
        inside = u**2 + (v / 0.6) ** 2 < 1
    else:
        u, v = HEART[0] * u, HEART[1] - HEART[0] * v
        inside = (u**2 + v**2 - 1) ** 3 < u**2 * v**3
    return np.rint(255 * inside.reshape(sides[0], POINTS, sides[1], POINTS).mean((1, 3))).astype(np.uint8)


def moved(shown: np.ndarray) -> np.ndarray:
    """What windows a pixel apart show of a canvas, uint8 (n, 32, 32); y changes faster than x."""
    windows = np.lib.stride_tricks.sliding_window_view(shown, (SIDE, SIDE))
    return windows[::-1, ::-1].swapaxes(0, 1).reshape(-1, SIDE, SIDE)  # what is shown moves against the window


def trained(method: str, beta: int, seed: int) -> ficta.Run:
    """A run of this method: beta-VAE weighs the whole KL, beta-TCVAE only the total correlation that is in it."""
    weights = (1, beta - 1) if method == "beta-TCVAE" else (beta, 0)
    settings = (*SETTINGS, f"model.beta={weights[0]}", f"model.total_correlation={weights[1]}")
    name = f"factors/{method}-{beta}-{seed}"
    return train("vae", RUNS / "factors.npy", name, "--samples", str(SAMPLES), "--seed", str(seed), *told(settings))


def encoded(run: ficta.Run, items: np.ndarray) -> np.ndarray:
    """Posterior means, float32 (n, latents)."""
    return np.concatenate([run.encode(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK)])


def least_nats(run: ficta.Run) -> float:
    """Cost of the run's test pictures if they were reconstructed to the letter: the entropy of their grey levels."""
    test = ingest(Recipe.of(run.recipe).data, silent).splits["test"]
    light = test.read(0, len(test)) / 255
    return float((entr(light) + entr(1 - light)).sum((1, 2, 3)).mean())


def measured(run: ficta.Run, codes: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """How codes (n, latents) go with factors (n, 5), what reconstructions cost, and how the run was trained."""
    gaps = {name: mutual_information_gap(codes, values[:, [place]]) for place, name in enumerate(FACTORS)}
    heldout = run.heldout("test")
    return {
        "mig": statistics.fmean(gaps.values()),
        "gaps": gaps,
        **disentanglement(codes, values)._asdict(),
        "active_latents": active_units(codes),
        "distortion_nats": heldout["heldout_grey_bce_nats"] - least_nats(run),
        "kl_nats": heldout["heldout_kl_nats"],
        **training_facts(run),
    }


def paired(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The two methods' differences at the same weight and seed, with Student's intervals over the seeds that have all.

    The last one of each measure is that of all weights: the mean of a seed's, since runs of one seed begin alike.
    """
    by_case = {(row["method"], row["beta"], row["seed"]): row for row in rows}
    one, other, betas = *PAIR, CASES[PAIR[0]]
    wanted = {(method, beta) for method in PAIR for beta in betas}
    seeds = [seed for seed in sorted({row["seed"] for row in rows}) if all((*case, seed) in by_case for case in wanted)]
    found = []
    for measure in MEASURES if seeds else ():
        of = {case: row[measure] for case, row in by_case.items()}
        gains = np.array([[of[one, beta, seed] - of[other, beta, seed] for seed in seeds] for beta in betas])
        for beta, values in zip([*betas, "all"], [*gains, gains.mean(0)], strict=True):
            facts = {"measure": measure, "pair": f"{one} - {other}", "beta": beta, "seeds": seeds}
            found.append({**facts, "differences": values.tolist(), **repeats(values)._asdict()})
    return found


def drawn(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Gap against reconstruction: a dot for each run, and a line through the means of a method's weights."""
    with plot(height=4.2) as figure:
        for colour, (method, betas) in zip(PALETTE, CASES.items(), strict=False):
            means = []
            for beta in betas:
                runs = [row for row in rows if (row["method"], row["beta"]) == (method, beta)]
                places = np.array([(row["distortion_nats"], row["mig"]) for row in runs]).reshape(-1, 2)
                name = f"{method}, {beta}".replace("beta", "β")
                figure.axes.scatter(*places.T, marker=MARKERS[beta], s=45, color=colour, alpha=0.8, lw=0, label=name)
                means += [places.mean(0)] if runs else []
            figure.axes.plot(*np.array(means).reshape(-1, 2).T, color=colour, lw=1, alpha=0.6)
        figure.label("", "reconstruction cost above the least possible, nats a picture", "mutual information gap")
        figure.note("numbers: β; lines: means over seeds")
        legend_above(figure.axes)
        return figure.render()


def walks(runs: Sequence[ficta.Run], items: np.ndarray, start: np.ndarray) -> Image.Image:
    """Walks from a picture (1, 1, 32, 32), runs beside each other; a row for each latent, the most varied one first."""
    blocks = []
    for run in runs:
        order = encoded(run, items).var(0).argsort()[::-1]
        z = np.tile(encoded(run, start), (len(order), STEPS, 1))
        z[np.arange(len(order)), :, order] = np.linspace(-2, 2, STEPS)
        blocks += [run.decode(z.reshape(-1, len(order))).reshape(len(order), STEPS, 1, SIDE, SIDE)]
        blocks += [np.full((len(order), 1, 1, SIDE, SIDE), 200, np.uint8)]  # about the colour between pictures
    columns = len(runs) * (STEPS + 1) - 1
    return sheet(np.concatenate(blocks[:-1], 1).reshape(-1, 1, SIDE, SIDE), columns, width=1300)


def main(seeds: Sequence[int]) -> None:
    """Train, measure, write down, draw; run by run."""
    grid, values = pictures(), factors()
    judged = np.random.default_rng(0).permutation(len(grid))[:JUDGED]
    for seed in seeds:
        for method, beta in ((method, beta) for method, betas in CASES.items() for beta in betas):
            run = trained(method, beta, seed)
            row = {"method": method, "beta": beta, **measured(run, encoded(run, grid[judged]), values[judged])}
            write_bytes(run.path.with_suffix(".json"), json.dumps(row).encode())
            rows = [json.loads(path.read_text()) for path in sorted((RUNS / "factors").glob("*.json"))]
            keep("factors", {"samples": SAMPLES, "judged": JUDGED, "pairs": paired(rows), "rows": rows})
            save_png(drawn(rows), IMAGES / "factors-mig.png")
        if seed == SEEDS[0]:
            start = grid[(values == [FACTORS["shape"] - 1, *(count // 2 for count in [*FACTORS.values()][1:])]).all(1)]
            shown = [trained(method, WALKED, seed) for method in reversed(PAIR)]
            save_png(walks(shown, grid[judged], start), IMAGES / "factors-walks.png")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
