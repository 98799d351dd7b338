"""Distances of distributions against torchmetrics, worked numbers, definitions, and what they tend to."""

import numpy as np
import pytest
import torch

from ficta.metrics import distance
from ficta.metrics.distance import Moments, frechet_distance, frechet_infinity, kernel_distance, moments


def normal(seed: int, n: int, d: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


class Itself(torch.nn.Identity):
    """What torchmetrics takes for a network: features are features already."""

    num_features = 6


def test_frechet_distance_is_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    a, b = normal(1, 300, 6, 2.0), normal(2, 200, 6, 0.7, 0.3) @ normal(3, 6, 6)  # covariances that do not commute
    reference = FrechetInceptionDistance(feature=Itself())
    reference.update(torch.from_numpy(b), real=True)
    reference.update(torch.from_numpy(a), real=False)
    found = frechet_distance(moments(a), moments(b))
    assert found == pytest.approx(reference.compute().item(), rel=1e-5)
    assert found == pytest.approx(frechet_distance(moments(b), moments(a)), rel=1e-10)


def test_frechet_distance_of_independent_features_worked_on_paper() -> None:
    # means (0, 1) and (3, 5): 9 + 16; deviations (1, 2) and (4, 2): (4 - 1)^2 + 0
    a = Moments(np.array([0.0, 1.0]), np.diag([1.0, 4.0]), 9)
    b = Moments(np.array([3.0, 5.0]), np.diag([16.0, 4.0]), 9)
    assert frechet_distance(a, b) == pytest.approx(34.0, rel=1e-12)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n", [70, 400])
def test_extrapolation_removes_most_of_the_bias_and_keeps_the_rest(n: int) -> None:
    reference = normal(0, 5000, 16)
    sets = [normal(seed, n, 16) for seed in range(1, 11)]
    plain = np.mean([frechet_distance(moments(items), moments(reference)) for items in sets])
    assert plain > 0.2
    assert abs(np.mean([frechet_infinity(items, reference) for items in sets])) < plain / 4
    assert np.mean([frechet_infinity(items + 1, reference) for items in sets]) == pytest.approx(16, rel=0.1)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all:UserWarning")
def test_kernel_distance_is_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    a, b = normal(4, 150, 6), normal(5, 150, 6, 1.3, 0.2)
    reference = KernelInceptionDistance(feature=Itself(), subsets=1, subset_size=150)
    reference.update(torch.from_numpy(b), real=True)
    reference.update(torch.from_numpy(a), real=False)
    assert kernel_distance(a, b) == pytest.approx(reference.compute()[0].item(), rel=1e-5)


@pytest.mark.parametrize("rows", [4, 1024])
def test_kernel_distance_is_its_definition(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "KERNEL_ROWS", rows)
    a, b = normal(6, 13, 3), normal(7, 9, 3, 1.5)

    def mean(x: np.ndarray, y: np.ndarray) -> float:
        pairs = [(p, q) for i, p in enumerate(x) for j, q in enumerate(y) if x is not y or i != j]
        return float(np.mean([(p @ q / 3 + 1) ** 3 for p, q in pairs]))

    assert kernel_distance(a, b) == pytest.approx(mean(a, a) + mean(b, b) - 2 * mean(a, b), rel=1e-12)


def test_kernel_distance_of_equal_distributions_is_zero_on_average() -> None:
    found = np.array([kernel_distance(normal(seed, 20, 3), normal(1000 + seed, 30, 3)) for seed in range(500)])
    error = found.std() / np.sqrt(len(found))
    assert error < 0.03  # pairs of an item with itself would add about 0.6
    assert abs(found.mean()) < 4 * error


def test_what_cannot_be_measured_is_refused() -> None:
    good, broken = normal(8, 20, 3), normal(9, 20, 3)
    broken[4, 1] = np.nan
    for measure in (moments, lambda x: kernel_distance(good, x), lambda x: frechet_infinity(x, good)):
        with pytest.raises(ValueError, match="1 of 20 items have features that are NaN"):
            measure(broken)
        with pytest.raises(ValueError, match=r"an array \(n, d\), not \(20, 3, 1\)"):
            measure(good[..., None])
    with pytest.raises(ValueError, match="2 features against 3"):
        kernel_distance(good[:, :2], good)
    with pytest.raises(ValueError, match="2 features against 3"):
        frechet_distance(moments(good[:, :2]), moments(good))
    with pytest.raises(ValueError, match="3 items for 3 features"):
        moments(good[:3])
    with pytest.raises(ValueError, match="1 items; a kernel distance needs two"):
        kernel_distance(good, good[:1])
    with pytest.raises(ValueError, match="6 items for 3 features; an extrapolation needs 12"):
        frechet_infinity(good[:6], good)
