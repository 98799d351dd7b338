"""Variety against the formulas that it abbreviates, and structural similarity against torchmetrics."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as torchmetrics_whole
from torchmetrics.functional.image import structural_similarity_index_measure as torchmetrics_scale

from ficta.metrics.variety import SCALE_WEIGHTS, label_divergence_nats, modes_found, ms_ssim, scales_that_fit
from ficta.metrics.variety import vendi_score as vendi

HALVES, BLACK = np.array([0.5, 0.5]), np.zeros((2, 1, 16, 16), np.uint8)


def pictures(noise: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two pairs of pictures of waves in two channels, the second with noise."""
    draws = np.random.default_rng(1)
    phase, grain = draws.uniform(1, 9, (2, 2, 2, 1, 1)), draws.normal(size=(2, 2, height, width))
    clean = 128 + 60 * np.sin(np.arange(height)[:, None] / 9 + phase[0]) + 50 * np.cos(np.arange(width) / 8 + phase[1])
    return clean.astype(np.uint8), (clean + noise * grain).clip(0, 255).astype(np.uint8)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9))
def test_vendi_is_the_entropy_of_all_similarities(seed: int, n: int, d: int) -> None:
    features = np.random.default_rng(seed).normal(size=(n, d))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = vendi(features)
    assert found == pytest.approx(math.exp(stats.entropy(np.linalg.eigvalsh(unit @ unit.T / n).clip(min=0))), rel=1e-9)
    assert 1 - 1e-9 <= found <= min(n, d) + 1e-9


def test_vendi_counts_directions() -> None:
    assert vendi(np.outer([1, 2, 5, 0.1], [3.0, -4.0, 1.0])) == pytest.approx(1.0, rel=1e-12)
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    assert vendi(basis) == pytest.approx(5.0, rel=1e-12)
    assert vendi(np.concatenate([basis[:3]] * 4)) == pytest.approx(3.0, rel=1e-12)  # copies change nothing
    # at 60 degrees: eigenvalues (1 +- 1/2) / 2
    pair = np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert vendi(pair) == pytest.approx(math.exp(stats.entropy([0.75, 0.25])), rel=1e-12)


def test_label_divergence() -> None:
    shares, labels = np.array([0.1, 0.2, 0.3, 0.4]), np.random.default_rng(3).integers(0, 3, 50)
    expected = stats.entropy(np.bincount(labels, minlength=4), shares)
    assert label_divergence_nats(labels, shares) == pytest.approx(expected, rel=1e-12)
    assert label_divergence_nats(np.repeat(range(4), [1, 2, 3, 4]), shares) == pytest.approx(0.0, abs=1e-12)
    assert label_divergence_nats(np.full(9, 2), np.full(4, 0.25)) == pytest.approx(math.log(4), rel=1e-12)


def test_modes_are_counted_once() -> None:
    assert modes_found(np.array([999, 3, 3, 0, 999])) == 3


@pytest.mark.parametrize(("side", "scales"), [(10, 0), (11, 1), (21, 1), (22, 2), (44, 3), (88, 4), (175, 4), (176, 5)])
def test_scales_that_fit(side: int, scales: int) -> None:
    assert scales_that_fit(side, 500) == scales_that_fit(500, side) == scales


@pytest.mark.parametrize(("height", "width", "scales"), [(11, 16, 1), (28, 28, 2), (64, 47, 3), (177, 190, 5)])
def test_similarity_is_torchmetrics(height: int, width: int, scales: int) -> None:
    pair = pictures(20, height, width)
    x, y = start = [torch.from_numpy(items).double() / 255 for items in pair]
    terms = []
    for _ in range(scales):
        (_, contrast), (_, places) = (
            torchmetrics_scale(x, y, data_range=1.0, **{f"return_{part}": True})
            for part in ("contrast_sensitivity", "full_image")
        )
        terms.append(contrast)
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    terms[-1] = places[..., 5:-5, 5:-5].mean((1, 2, 3))  # where no edge was mirrored; the mean of torchmetrics has them
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    exact = (torch.stack(terms) ** (weights / weights.sum())[:, None]).prod(0)
    assert ms_ssim(*pair).tolist() == pytest.approx(exact.tolist(), rel=1e-9)
    if scales == 5:
        whole = torchmetrics_whole(*start, data_range=1.0, betas=SCALE_WEIGHTS, reduction="none")
        assert ms_ssim(*pair).tolist() == pytest.approx(whole.tolist(), abs=2e-3)


def test_similarity_falls_with_noise_whichever_comes_first() -> None:
    clean, _ = pictures(0, 48, 48)
    noisy = [pictures(noise, 48, 48)[1] for noise in (0, 5, 15, 45, 90)]
    found = np.stack([ms_ssim(clean, one) for one in noisy])
    assert found[0].tolist() == [1.0, 1.0]
    assert (np.diff(found, axis=0) < -1e-3).all()
    np.testing.assert_allclose(ms_ssim(noisy[3], clean), found[3], rtol=1e-12)
    assert ms_ssim(clean, 255 - clean).tolist() == [0.0, 0.0]  # negative terms count as 0


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (vendi, [np.zeros((0, 3))], "no samples"),
        (vendi, [np.eye(3) * [0, 1, 1]], "1 of 3 items"),
        (vendi, [np.full((2, 2), np.nan)], "NaN"),
        (label_divergence_nats, [np.array([], np.int64), HALVES], "needs samples"),
        (label_divergence_nats, [np.array([0]), np.array([1.0, 0.0])], "every label"),
        (label_divergence_nats, [np.array([0, 2]), HALVES], "1 of 2 labels are not among the 2"),
        (label_divergence_nats, [np.array([0, -1, -1]), HALVES], "2 of 3 labels are not among the 2"),
        (label_divergence_nats, [np.array([0]), HALVES * 20], "sum to 20"),
        (ms_ssim, [BLACK, BLACK[:1]], "against"),
        (ms_ssim, [BLACK / 255, BLACK], "float64"),
        (ms_ssim, [BLACK[..., :9], BLACK[..., :9]], "9x16"),
    ],
)
def test_undefined(measure: Callable[..., object], arguments: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(*arguments)
