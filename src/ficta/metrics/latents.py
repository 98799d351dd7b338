"""What single latents stand for, and what an unsupervised code tells of labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy

from ficta.metrics.arrays import checked

ACTIVE_VARIANCE = 0.01
ACTIVE_NATS = 0.01  # likewise, of what they cost
TREES = 100
LEAF_SHARE = 0.01  # of the items in a leaf at least: smaller ones fit noise, and noise makes all latents look important


class Disentanglement(NamedTuple):
    """How latents and factors belong together; each in [0, 1], higher is better.

    Attributes:
        disentanglement: 1 if each latent that counts serves one factor alone.
        completeness: 1 if each factor is read from one latent alone.
        informativeness: accuracy of the factors read from all latents, on items not learnt from, mean over factors.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def active_units(means: np.ndarray) -> int:
    """Number of latents that say anything of the data (Burda et al. 2016, arXiv:1509.00519, Sec. 5.2).

    Args:
        means: posterior means, float (n, D), n >= 2.

    Returns:
        How many of the D have a variance over the data above 0.01.

    Raises:
        ValueError: fewer than two items, or NaN.
    """
    means = checked(means)
    if len(means) < 2:
        raise ValueError(f"{len(means)} items; a variance needs two")
    return int((means.var(0, ddof=1) > ACTIVE_VARIANCE).sum())


def costly_units(nats: np.ndarray) -> int:
    """Number of latents of a layer that say anything beyond what those above it do, by what they cost.

    The spread of a posterior mean says nothing there, as a layer whose prior is learnt has no scale of its own.

    Args:
        nats: log q(z|...) / p(z|...) of a draw of each latent, float (n, D), n >= 1.

    Returns:
        How many of the D cost more than 0.01 nats on average.

    Raises:
        ValueError: no item, or NaN.
    """
    nats = checked(nats)
    if not len(nats):
        raise ValueError("no items; a mean needs one")
    return int((nats.mean(0) > ACTIVE_NATS).sum())


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> float:
    """How much more the best latent tells of a factor than the next best (Chen et al. 2018, arXiv:1802.04942, Eq. 6).

    The mutual information gap, MIG. Information is that of counts, with each latent cut into bins of equal width over
    its range (Locatello et al. 2019, arXiv:1811.12359). Counts overestimate it by about (bins - 1) (values - 1) / 2n
    nats.

    Args:
        codes: float (n, D), D >= 2, n >= 2; such as posterior means.
        factors: what is known to vary, integers (n, F), each with two values or more.
        bins: of each latent, >= 2.

    Returns:
        Mean over factors of the gap over the factor's entropy, no unit, in [0, 1]: 1 if each factor is known exactly
        from one latent, and no other latent tells of it.

    Raises:
        ValueError: unlike numbers of items, fewer than two items, latents or bins, a factor with one value or with
            other than integers, or NaN.
    """
    codes, values = _against(codes, factors)
    if bins < 2:
        raise ValueError(f"{bins} bins; a latent can tell of a factor from two on")
    low, span = codes.min(0), np.ptp(codes, 0)
    binned = (bins * (codes - low) / np.where(span > 0, span, 1)).astype(np.int64).clip(max=bins - 1)
    gaps = [_gap([_information_nats(latent, value) for latent in binned.T]) / _entropy_nats(value) for value in values]
    return float(np.mean(gaps))


def separated_attribute_predictability(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """How much better one latent tells a factor than the next best (Kumar et al. 2018, arXiv:1711.00848, Sec. 3).

    The SAP score. A linear discriminant reads the factor from one latent: it says the value whose mean is nearest. It
    learns from a random half of the items of each value and is scored on the others by its balanced accuracy, the mean
    over values of the share that it reads rightly. Other linear classifiers give somewhat other scores.

    Args:
        codes: float (n, D), D >= 2.
        factors: categories, integers (n, F), each with two values or more, and each of those at least twice.
        seed: of the halves.

    Returns:
        Mean over factors of the gap, in [0, 1]: 1 - 1 / values if one latent alone tells the factor, as a latent that
        knows nothing is still right once in so many.

    Raises:
        ValueError: unlike numbers of items, fewer than two latents, a factor with one value, with a value that occurs
            once or with other than integers, or NaN.
    """
    codes, values = _against(codes, factors)
    draws, gaps = np.random.default_rng(seed), []
    for value in values:
        learn, ask = _halves(value, draws)
        truth = value[ask]
        means = np.stack([codes[learn][value[learn] == one].mean(0) for one in range(value.max() + 1)])  # (values, D)
        read = [np.abs(codes[ask, latent, None] - means[:, latent]).argmin(1) for latent in range(codes.shape[1])]
        gaps.append(_gap([float((np.bincount(truth, one == truth) / np.bincount(truth)).mean()) for one in read]))
    return float(np.mean(gaps))


def disentanglement(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> Disentanglement:
    """Disentanglement, completeness and informativeness, DCI (Eastwood & Williams 2018, ICLR, Sec. 2).

    A random forest reads each factor from all latents; how important these are for it makes a column of R (D, F).
    Disentanglement is 1 - H of the rows of R, with entropies to the base F, averaged over latents by their shares of R;
    completeness is 1 - H of its columns, to the base D, averaged over factors.

    Each split looks at all latents, as one that must do without the best would make others look important. A leaf
    holds 1 % of what is learnt from: values that are rarer are not told apart.

    Args:
        codes: float (n, D), D >= 2.
        factors: categories, integers (n, F), F >= 2, each with two values or more, and each of those at least twice.
        seed: of the forests, and of the halves: one is learnt from, the other asked about.

    Raises:
        ValueError: unlike numbers of items, fewer than two latents or factors, a factor with one value, with a value
            that occurs once or with other than integers, one that the trees cannot read at all, or NaN.
    """
    from sklearn.ensemble import RandomForestClassifier  # slow to import

    codes, values = _against(codes, factors)
    if len(values) < 2:
        raise ValueError(f"{len(values)} factor; latents can be shared between factors from two on")
    draws, importances, hits = np.random.default_rng(seed), np.empty((codes.shape[1], len(values))), []
    for factor, value in enumerate(values):
        learn, ask = _halves(value, draws)
        forest = RandomForestClassifier(TREES, max_features=None, min_samples_leaf=LEAF_SHARE, random_state=seed)
        forest.fit(codes[learn], value[learn])
        importances[:, factor] = forest.feature_importances_
        hits.append(float((forest.predict(codes[ask]) == value[ask]).mean()))
        if not importances[:, factor].any():
            raise ValueError(f"no latent tells anything of factor {factor}, so that none is more important than others")
    shares = importances.sum(1) / importances.sum()
    used = shares > 0  # the others have neither an entropy nor a weight
    pure = 1 - entropy(importances[used], axis=1, base=len(values))
    whole = 1 - entropy(importances, axis=0, base=len(shares))
    return Disentanglement(float(shares[used] @ pure), float(whole.mean()), float(np.mean(hits)))


def matching_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of an unsupervised code under the best naming of its values (Xie et al. 2016, arXiv:1511.06335, Eq. 10).

    A name is a label, and no two values have the same; the Hungarian method finds the naming that is right most often.
    Values that are left without a name count as wrong.

    Args:
        codes: values of the code, integers (n,), n >= 1.
        labels: integers (n,).

    Returns:
        Share of items named rightly, in (0, 1]: 1 if the code is the labels by other names.

    Raises:
        ValueError: unlike numbers of items, none at all, or something other than integers.
    """
    if codes.ndim != 1 or codes.shape != labels.shape or not len(codes):
        raise ValueError(f"codes {codes.shape} against labels {labels.shape}; take arrays (n,) of one item at least")
    counts = _counts(_numbered(codes), _numbered(labels))
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(codes))


def _against(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Codes as float64 (n, D), and the values of each factor, numbered from 0, as int64 (n,)."""
    codes = checked(codes)
    if factors.ndim != 2 or not factors.shape[1] or len(factors) != len(codes):
        raise ValueError(f"factors {factors.shape} for codes {codes.shape}; a row of at least one belongs to each code")
    if min(codes.shape) < 2:
        raise ValueError(f"{codes.shape[0]} items of {codes.shape[1]} latents; a best and a next best need two of both")
    values = [_numbered(column) for column in factors.T]
    for number, value in enumerate(values):
        if not value.any():
            raise ValueError(f"factor {number} has one value only: without entropy there is nothing to know of it")
    return codes, values


def _numbered(values: np.ndarray) -> np.ndarray:
    """Integers (n,) by their rank among those that occur, int64 (n,)."""
    if values.dtype.kind not in "biu":
        raise ValueError(f"categories are integers, not {values.dtype}")
    return np.asarray(np.unique(values, return_inverse=True)[1])


def _halves(value: np.ndarray, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the items in either half; of every value half the items, or one more in the first."""
    if np.bincount(value).min() < 2:
        raise ValueError("a value of a factor occurs once; to learn it and to ask about it needs two items")
    order = draws.permutation(len(value))
    order = order[value[order].argsort(kind="stable")]
    turn = np.arange(len(order)) - np.searchsorted(value[order], value[order])  # 0, 1, 2, … within each value
    return order[turn % 2 == 0], order[turn % 2 == 1]


def _gap(scores: list[float]) -> float:
    """From the next best to the best."""
    *_, second, best = sorted(scores)
    return best - second


def _counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of values occurs, int64 (values of a, values of b)."""
    shape = int(a.max()) + 1, int(b.max()) + 1
    return np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape)


def _entropy_nats(value: np.ndarray) -> float:
    return float(entropy(np.bincount(value)))


def _information_nats(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) = H(a) + H(b) - H(a, b)."""
    return _entropy_nats(a) + _entropy_nats(b) - float(entropy(_counts(a, b).ravel()))
