"""Pictures of what a model has learnt. Each returns an image, or None where the family cannot answer."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from PIL import Image
from scipy.special import ndtri
from torch import Tensor

from ficta.base.seeds import mix
from ficta.data.dataset import Split
from ficta.draw.plots import matrices, scatter
from ficta.draw.sheets import stacked
from ficta.metrics.tables import correlations
from ficta.models.family import Coded, Decodes, Encodes, Family, Reconstructs, Styled, device_of, reconstruct
from ficta.runs.run import Run
from ficta.runs.sampling import sample

MAP_ITEMS = 3000
MAP_SAMPLES = 300
MOST_LABELS = 20  # columns of the sheet of a conditional run
COLLINEAR = 0.9995
BANDS = ("coarse", "middle", "fine")  # of layers, about a third of them each
Projection = Literal["pca", "tsne"]


def sheet(run: Run, seed: int) -> Image.Image:
    """Samples as the codec shows them; of a run with labels ten rows and a column for each label, up to twenty."""
    condition = run.codec.spec.condition
    if condition is None or not condition.categories:
        return run.codec.overview(np.concatenate(list(sample(run, run.codec.sheet_items, seed=seed))))
    labels, shown = len(condition.categories), min(len(condition.categories), MOST_LABELS)
    made = np.concatenate(list(sample(run, 10 * labels, seed=seed)))  # labels in turn
    kept = [row * labels + column for row in range(10) for column in range(shown)]
    names = [condition.categories[index % labels] for index in kept]
    return run.codec.preview(made[kept], columns=shown, captions=names)


def interpolations(run: Run, seed: int, rows: int = 8, steps: int = 10) -> Image.Image | None:
    """Walks between random latents along great circles, one a row (White 2016, arXiv:1609.04468)."""
    family = run.family
    if not isinstance(family, Decodes):
        return None
    with run.inference():
        ends = family.prior.sample(2 * rows, mix(seed, "walks"))
    walks = torch.cat([slerp(ends[2 * row], ends[2 * row + 1], steps) for row in range(rows)])
    condition = _one_label_a_row(family, rows, steps)
    return run.codec.preview(_decoded(run, walks, condition), columns=steps, captions=_names(run, condition))


def reconstructions(run: Run, split: Split, count: int = 12) -> Image.Image | None:
    """Held-out items (rows 1, 3, …) above what the model makes of them (rows 2, 4, …)."""
    family = run.family
    if not isinstance(family, Encodes | Reconstructs) or len(split) == 0:
        return None
    shown = min(2 * count, len(split))
    if shown > count:
        shown = 2 * (shown // 2)
        count = shown // 2
    items = split.read(0, shown)
    condition = _labels(run, split, 0, shown)
    with run.inference():
        again = run.codec.decode(reconstruct(family, _encoded(run, items), condition))
    rows = [part[start : start + count] for start in range(0, shown, count) for part in (items, again)]
    return run.codec.preview(np.concatenate(rows), columns=min(count, shown))


def codes(run: Run, seed: int, rows: int = 5) -> Image.Image | None:
    """What each code does: one below the other, a value a column and another random latent a row."""
    family = run.family
    if not isinstance(family, Coded):
        return None
    with run.inference():
        bases = family.prior.sample(rows, mix(seed, "codes"))
    parts = []
    for place, values in family.sweeps():
        z = bases.repeat_interleave(len(values), 0)
        z[:, place] = values.repeat(rows)
        condition = _one_label_a_row(family, rows, len(values))
        parts.append(
            run.codec.preview(_decoded(run, z, condition), columns=len(values), captions=_names(run, condition))
        )
    return stacked(parts)


def manifold(run: Run, side: int = 20) -> Image.Image | None:
    """What the model makes of a grid over its latent space, evenly spread over the prior; only for two latents."""
    family = run.family
    if not isinstance(family, Decodes) or family.latent_dim != 2:
        return None
    ticks = torch.from_numpy(ndtri((np.arange(side) + 0.5) / side)).float()
    across, down = torch.meshgrid(ticks, ticks.flip(0), indexing="xy")  # up is positive, as in the map
    grid = torch.stack([across, down], -1).reshape(-1, 2)
    condition = torch.zeros(len(grid), dtype=torch.int64) if family.spec.condition else None
    return run.codec.preview(_decoded(run, grid, condition), columns=side)


def mixing(run: Run, seed: int, columns: int = 6, rows: int = 2) -> Image.Image | None:
    """Styles of two samples in one (Karras et al. 2019, arXiv:1812.04948, Fig. 3).

    Each sample follows the style of the first in its column, but for a band of layers, in which it follows that of the
    first in its row; the corner follows the average style. Of a conditional run sources take labels in turn.
    """
    family = run.family
    if not isinstance(family, Styled):
        return None
    condition = run.codec.ask().condition(0, columns + rows)
    with run.inference():
        styles = family.styles(family.prior.sample(columns + rows, mix(seed, "mixing")), condition)
        above, beside = styles[:columns], styles[columns:]
        average = family.truncated(styles[:1], None if condition is None else condition[:1], 0)
        band = torch.arange(family.layers, device=styles.device) * len(BANDS) // family.layers
        sheet = [average, above]
        for number in range(len(BANDS)):
            for own in beside:
                sheet += [own[None], torch.where((band == number)[:, None], own, above)]
        made = run.codec.decode(family.synthesise(torch.cat(sheet)))
    names = _names(run, condition) or [""] * len(styles)
    captions = ["average", *names[:columns]]
    for name in BANDS:
        for label in names[columns:]:
            captions += [f"{name} {label}".strip(), *[""] * columns]
    return run.codec.preview(made, columns=1 + columns, captions=captions)


def latent_map(
    run: Run, split: Split, names: tuple[str, ...], seed: int, projection: Projection = "pca"
) -> Image.Image | None:
    """Held-out items in latent space, coloured by label, and generated samples among them."""
    family = run.family
    if not isinstance(family, Encodes) or len(split) < 3:
        return None
    count = min(MAP_ITEMS, len(split))
    points = _encode_all(run, split.read(0, count), _labels(run, split, 0, count))
    made = np.concatenate(list(sample(run, MAP_SAMPLES, seed=seed)))
    asked = run.codec.ask().condition(0, len(made))
    flat, axes = _flatten(np.concatenate([points, _encode_all(run, made, asked)]), projection, seed)
    labels = split.read_labels(0, count)
    return scatter(flat[:count], labels, names, flat[count:], title="Held-out data in latent space", axes=axes)


def associations(run: Run, split: Split, seed: int) -> Image.Image | None:
    """How strongly the columns of a table hang together: held-out rows, samples, and the difference."""
    if len(split) < 2:
        return None
    count, spec = min(MAP_ITEMS, len(split)), run.codec.spec
    categorical = np.array(spec.categorical, bool)
    made = np.concatenate(list(sample(run, count, seed=seed)))
    real, ours = (correlations(rows, categorical) for rows in (split.read(0, count), made))
    maps = {"held-out rows": real, "samples": ours, "difference": ours - real}
    return matrices(maps, [column.name for column in spec.columns])


def slerp(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Points from ``a`` to ``b`` (D,) that keep the length typical of a Gaussian: float (steps, D)."""
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp(min=1e-12)
    t = torch.linspace(0, 1, steps)[:, None]
    if abs(cosine) > COLLINEAR:  # no great circle, or any
        return torch.lerp(a[None], b[None], t)
    angle = torch.acos(cosine)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def _decoded(run: Run, z: Tensor, condition: Tensor | None) -> np.ndarray:
    """What the model makes of latents float (n, latent_dim): compact items."""
    family = run.family
    assert isinstance(family, Decodes)
    with run.inference():
        made = family.decode(z.to(device_of(family)), condition)
    return run.codec.decode(made)


def _encode_all(run: Run, items: np.ndarray, condition: Tensor | None) -> np.ndarray:
    """Posterior means of compact items, float32 (n, latent_dim)."""
    family = run.family
    assert isinstance(family, Encodes)
    parts = []
    for start in range(0, len(items), 256):
        given = None if condition is None else condition[start : start + 256]
        with run.inference():
            parts.append(family.encode(_encoded(run, items[start : start + 256]), given).cpu())
    return torch.cat(parts).numpy()


def _encoded(run: Run, items: np.ndarray) -> Tensor:
    return run.codec.encode(torch.from_numpy(np.ascontiguousarray(items)).to(device_of(run.family)))


def _labels(run: Run, split: Split, start: int, stop: int) -> Tensor | None:
    found = split.read_labels(start, stop)
    data = _encoded(run, split.read(start, stop))
    return run.codec.condition(run.codec.spec, data, None if found is None else torch.from_numpy(found), None)


def _names(run: Run, condition: Tensor | None) -> list[str] | None:
    """The name of each label, for captions."""
    given = run.codec.spec.condition
    return [given.categories[index] for index in condition.tolist()] if given and condition is not None else None


def _one_label_a_row(family: Family, rows: int, steps: int) -> Tensor | None:
    condition = family.spec.condition
    return torch.arange(rows).repeat_interleave(steps) % len(condition.categories) if condition else None


def _flatten(points: np.ndarray, projection: Projection, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """Bring points (n, D) to two dimensions; names of the axes."""
    if points.shape[1] == 2:
        return points, ("latent 1", "latent 2")
    if points.shape[1] == 1:
        return np.concatenate([points, np.zeros_like(points)], 1), ("latent 1", "")
    if projection == "tsne":
        from sklearn.manifold import TSNE  # slow to import, and few ask for it

        perplexity = min(30, (len(points) - 1) / 3)
        flat = TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(points)
        return np.asarray(flat), ("t-SNE 1", "t-SNE 2")
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed % 2**32)
    flat = pca.fit_transform(points)
    shares = [f"component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(pca.explained_variance_ratio_)]
    return flat, (shares[0], shares[1])
