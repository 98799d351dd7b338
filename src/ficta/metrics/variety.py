"""How varied a set of samples is."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ficta.metrics.arrays import checked

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_K = (0.01, 0.03)
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, Sec. 3.2


def vendi_score(features: np.ndarray) -> float:
    """Effective number of different samples (Friedman & Dieng 2023, arXiv:2210.02410, Def. 3.1), cosine similarity.

    The eigenvalues of the n x n similarities over n are those of the d x d second moment of the unit vectors.

    Args:
        features: float (n, d); no item may be all zeros, which has no direction.

    Returns:
        Exponential of their entropy: 1 if all samples have one direction, up to min(n, d).

    Raises:
        ValueError: no item, an item without direction, or NaN.
    """
    features = checked(features)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not len(features):
        raise ValueError("no samples; there is no variety without any")
    if (lengths == 0).any():
        raise ValueError(f"{int((lengths == 0).sum())} of {len(features)} items have features that are all zero")
    unit = features / lengths
    small = unit.T @ unit if features.shape[1] <= len(features) else unit @ unit.T
    shares = np.linalg.eigvalsh(small / len(features))
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def label_divergence_nats(labels: np.ndarray, shares: np.ndarray) -> float:
    """KL divergence of the labels of samples from the shares that the data have.

    Args:
        labels: int64 (n,), each in [0, c).
        shares: of each label in the data, float (c,), all above 0, sum 1.

    Returns:
        nats; 0 if every label is as frequent as in the data. Labels that are never made add nothing by themselves:
        the others are then too frequent.

    Raises:
        ValueError: no label, a label that the data lack, or shares that do not sum to 1.
    """
    if not len(labels) or not (shares > 0).all():
        raise ValueError("a label balance needs samples, and data that have every label")
    if abs(shares.sum() - 1) > 1e-3:
        raise ValueError(f"shares of labels sum to {shares.sum():.6g} rather than 1")
    strange = int(((labels < 0) | (labels >= len(shares))).sum())
    if strange:
        raise ValueError(f"{strange} of {len(labels)} labels are not among the {len(shares)} of the data, from 0 on")
    made = np.bincount(labels, minlength=len(shares)) / len(labels)
    present = made > 0
    return float((made[present] * np.log(made[present] / shares[present])).sum())


def modes_found(labels: np.ndarray) -> int:
    """Number of different labels among samples, as for the 1,000 of Stacked-MNIST (Lin et al. 2018, Sec. 4.2).

    Args:
        labels: int64 (n,).
    """
    return len(np.unique(labels))


def scales_that_fit(height: int, width: int) -> int:
    """Scales of MS-SSIM that pictures of this size have room for: 1 to 5; 0 if not even one."""
    room = min(height, width)
    return next((s for s in range(len(SCALE_WEIGHTS), 0, -1) if room // 2 ** (s - 1) >= SSIM_WINDOW), 0)


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity of pictures, pair by pair (Wang, Simoncelli & Bovik 2003, Eq. 7).

    As many of the five scales as fit, with their weights made to sum to 1; a Gaussian window of 11 pixels, sigma 1.5.

    Args:
        a: uint8 (n, C, H, W), H and W at least 11.
        b: likewise.

    Returns:
        float64 (n,): 1 for equal pictures. Negative contrast-structure terms count as 0.

    Raises:
        ValueError: unlike shapes, another dtype, or pictures smaller than the window.
    """
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"pictures of shape {a.shape} against {b.shape}; take pairs (n, C, H, W)")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"pictures of {a.dtype} and {b.dtype}; those of other types than uint8 have no known range")
    scales = scales_that_fit(*a.shape[2:])
    if not scales:
        raise ValueError(f"pictures of {a.shape[3]}x{a.shape[2]} are smaller than the window of {SSIM_WINDOW} pixels")
    x, y = (torch.from_numpy(np.require(items, requirements=["C", "W"])).double() / 255 for items in (a, b))
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    weights = weights / weights.sum()
    found = torch.ones(len(a), dtype=torch.float64)
    for scale in range(scales):
        luminance, contrast = _ssim_parts(x, y)
        last = scale == scales - 1
        term = (luminance * contrast if last else contrast).mean((1, 2, 3)).clamp(min=0)
        found = found * term ** weights[scale]
        x, y = (F.avg_pool2d(items, 2) for items in (x, y)) if not last else (x, y)
    return np.asarray(found.numpy())


def _ssim_parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure at each place: float64 (n, C, H - 10, W - 10) each."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    line = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    line = line / line.sum()
    channels = x.shape[1]

    def blurred(items: Tensor) -> Tensor:
        down = F.conv2d(items, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(down, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    c1, c2 = (k**2 for k in SSIM_K)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_x + variance_y + c2)
