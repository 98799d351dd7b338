"""What a classifier says of samples: how sure and varied its reading is, and whether it tells them from real ones."""

from __future__ import annotations

import warnings

import numpy as np

from ficta.metrics.arrays import pair


def classifier_score(probabilities: np.ndarray) -> float:
    """Exponential of the mean KL divergence from each reading to their mean.

    Salimans et al. 2016, arXiv:1606.03498, Sec. 4; there with Inception, "Inception score".

    Args:
        probabilities: float (n, c), rows sum to 1.

    Returns:
        From 1 (all read alike) to c (each read surely, all labels equally often).

    Raises:
        ValueError: no sample, or rows that are no probabilities.
    """
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(f"probabilities are an array (n, c) of at least one sample, not {probabilities.shape}")
    p = probabilities.astype(np.float64)
    if not np.allclose(p.sum(1), 1, atol=1e-3) or (p < 0).any():
        raise ValueError("rows of probabilities must be at least 0 and sum to 1")
    mean = p.mean(0)
    logs = np.log(np.where(p > 0, p, 1)) - np.log(np.where(mean > 0, mean, 1))
    return float(np.exp((p * logs).sum(1).mean()))


def two_sample_accuracy(samples: np.ndarray, real: np.ndarray, seed: int = 0) -> float:
    """How often a linear classifier tells samples from real items that it has not seen.

    Lopez-Paz & Oquab 2017, arXiv:1610.06545, Sec. 3. It is trained on a random half of both and asked
    about the other half; both sets are cut to equal numbers.

    Args:
        samples: features float (n, d), n >= 4.
        real: features float (m, d), m >= 4.
        seed: of the halves.

    Returns:
        Accuracy in [0, 1]: a half if they cannot be told apart.

    Raises:
        ValueError: fewer than four items of a kind, unlike numbers of features, or NaN.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    samples, real = pair(samples, real)
    count = min(len(samples), len(real))
    if count < 4:
        raise ValueError(f"{count} items; telling two samples apart needs four of each")
    draws = np.random.default_rng(seed)
    kinds = [items[draws.permutation(len(items))[:count]] for items in (samples, real)]
    half = count // 2
    learn, ask = (np.concatenate([items[part] for items in kinds]) for part in (slice(half), slice(half, None)))
    truth = np.repeat([0, 1], half)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough is enough: its accuracy is what counts
        fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(learn, truth)
    return float((fitted.predict(ask) == np.repeat([0, 1], count - half)).mean())
