"""What can be learnt from a table: to tell it from real rows, and to predict one of its columns.

Tables are in the compact form of ``ficta.metrics.tables``. Nothing here is a law of the data alone: the figures belong
to the models that are fitted, with the settings that stand here.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Literal, get_args

import numpy as np

from ficta.metrics.tables import checked_tables

FOLDS = 3
LEAST_TOLD_APART = 30  # rows a side, so that a fold asks about ten
LEAST_LEARNT = 10  # training rows
BOOSTED_KINDS = 255  # categories that scikit-learn's boosting can hold
LINEAR_KINDS = 100  # categories with a weight of their own, and classes that are told apart
ROUNDS = 100  # of boosting
TREES = 1000  # at most: a round grows one for each class

Learner = Literal["boosting", "linear"]


def detection_auc(samples: np.ndarray, real: np.ndarray, categorical: np.ndarray, seed: int = 0) -> float:
    """How well boosted trees tell samples from real rows that they have not seen (cf. Lopez-Paz & Oquab 2017).

    The area under the ROC curve of scikit-learn's HistGradientBoostingClassifier, 100 rounds, mean of three folds.
    Of a column of more than 255 categories, the 254 most frequent are kept and the others are one.

    Args:
        samples: table (n, C), n >= 30.
        real: table (m, C), m >= 30.
        categorical: bool (C,).
        seed: of the folds.

    Returns:
        In [0, 1]: 0.5 if they cannot be told apart, 1 if always. Below 0.5 where samples copy the real rows: a copy
        whose twin was learnt from is taken for the other kind.

    Raises:
        ValueError: fewer than 30 rows a side, or tables that ``checked_tables`` refuses.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, as all of scikit-learn
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    samples, real = checked_tables(samples, real, categorical)
    if min(len(samples), len(real)) < LEAST_TOLD_APART:
        raise ValueError(
            f"{len(samples)} samples and {len(real)} real rows; telling them apart needs {LEAST_TOLD_APART} of each"
        )
    pooled = np.concatenate([samples, real])
    truth = np.repeat([1, 0], [len(samples), len(real)])
    areas = []
    with _one_thread():
        for learn, ask in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(pooled, truth):
            model = HistGradientBoostingClassifier(
                categorical_features=categorical, max_iter=ROUNDS, early_stopping=False, random_state=seed
            )
            known, asked = (_boostable(pooled[rows], pooled[learn], categorical) for rows in (learn, ask))
            areas.append(roc_auc_score(truth[ask], model.fit(known, truth[learn]).predict_proba(asked)[:, 1]))
    return float(np.mean(areas))


def learnt_score(
    train: np.ndarray,
    test: np.ndarray,
    target: int,
    categorical: np.ndarray,
    seed: int = 0,
    kind: Learner = "boosting",
) -> float:
    """How well a model that learns one column of ``train`` from the others predicts it in ``test``.

    With samples for ``train`` and real rows for ``test`` it is "train on synthetic, test on real" (Esteban et al.
    2017, arXiv:1706.02633, Sec. 4.2), to be held against the score of the real training rows. Rows without the target
    are left out. ``boosting`` is scikit-learn's HistGradientBoosting, 100 rounds, fewer for more than ten classes;
    ``linear`` is logistic regression, or Ridge for numbers, on standardised numbers (a missing one is the mean, and
    marked) and one column a category (a missing one is a category; beyond the 100 most frequent all are one).

    Args:
        train: table (n, C), C >= 2; at least ten rows have the target.
        test: table (m, C).
        target: which column.
        categorical: bool (C,).
        seed: of the boosting.
        kind: ``boosting`` or ``linear``.

    Returns:
        For categories the macro-averaged F1, [0, 1]: the mean over the classes that occur in ``test``; those that do
        not, and those beyond its 100 most frequent, count as one class. For numbers R squared, at most 1: 0 for
        one that knows but the mean of ``test``, without bound below.

    Raises:
        ValueError: too few rows with the target, one class in ``train``, a target that is constant in ``test``
            (numbers), no other column, a kind or target that does not exist, or tables that ``checked_tables``
            refuses.
    """
    from sklearn.metrics import f1_score, r2_score

    train, test = _with_target(*checked_tables(train, test, categorical), target)
    if kind not in get_args(Learner):
        raise ValueError(f"no kind of model is named {kind!r}; take one of {', '.join(get_args(Learner))}")
    others = np.arange(len(categorical)) != target
    truth, asked = train[:, target], test[:, target]
    classes = 0
    if categorical[target]:
        kept = _frequent(asked, LINEAR_KINDS)
        classes = len(kept) + 1
        truth, asked = (_index(items, kept, rest=len(kept)) for items in (truth, asked))
        if len(np.unique(truth)) < 2:
            raise ValueError(f"the training rows have one class of column {target}: there is nothing to tell apart")
    elif len(np.unique(asked)) < 2:
        raise ValueError(f"column {target} is constant in the test rows: no share of its variance can be explained")
    x, z, kinds = train[:, others], test[:, others], categorical[others]
    with _one_thread():
        predicted = (_boosted if kind == "boosting" else _linear)(x, truth, z, kinds, classes, seed)
    if not classes:
        return float(r2_score(asked, predicted))
    return float(f1_score(asked, predicted, labels=np.unique(asked), average="macro", zero_division=0))


def _with_target(train: np.ndarray, test: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of both that have the target, if it can be learnt at all."""
    columns = train.shape[1]
    if columns < 2 or not 0 <= target < columns:
        raise ValueError(f"column {target} of {columns}; a target is one of at least two, counted from 0")
    train, test = (table[~np.isnan(table[:, target])] for table in (train, test))
    if len(train) < LEAST_LEARNT or len(test) < 2:
        raise ValueError(
            f"{len(train)} training and {len(test)} test rows have column {target}; "
            f"learning it needs {LEAST_LEARNT}, and testing 2"
        )
    return train, test


def _boosted(
    x: np.ndarray, truth: np.ndarray, asked: np.ndarray, categorical: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """What boosted trees fitted to ``x``, (n, C), and ``truth``, (n,), say of the rows ``asked``."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    model = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(
        categorical_features=categorical,
        max_iter=min(ROUNDS, TREES // max(classes - 1, 1)),
        early_stopping=False,  # its split fails for a class of one row
        random_state=seed,
    )
    model.fit(_boostable(x, x, categorical), truth)
    return np.asarray(model.predict(_boostable(asked, x, categorical)))


def _linear(
    x: np.ndarray, truth: np.ndarray, asked: np.ndarray, categorical: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """What a linear model fitted to ``x``, (n, C), and ``truth``, (n,), says of the rows ``asked``."""
    from sklearn.compose import make_column_transformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
    kinds = OneHotEncoder(max_categories=LINEAR_KINDS + 1, handle_unknown="infrequent_if_exist")
    columns = make_column_transformer((numbers, ~categorical), (kinds, categorical), sparse_threshold=1.0)
    last = LogisticRegression(random_state=seed) if classes else Ridge(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough is enough: its predictions are what counts
        fitted = make_pipeline(columns, last).fit(x, truth)
    return np.asarray(fitted.predict(asked))


def _one_thread() -> AbstractContextManager[object]:
    """More would be little faster for such tables, fifty times slower where cores are shared, and add up otherwise."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def _boostable(table: np.ndarray, known: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """A table (n, C) as boosting can take it that learns from the rows ``known``, (m, C).

    Categories are numbered anew, 255 at most: where there are more, all but the most frequent are one; where there
    are not, strange ones are missing. A column of which nothing is known says nothing: it is 0.
    """
    found = np.where(np.isnan(known).all(0), 0.0, table)
    known = np.where(np.isnan(known).all(0), 0.0, known)
    for column in np.flatnonzero(categorical):
        kept, rest = _frequent(known[:, column], BOOSTED_KINDS + 1), np.nan
        if len(kept) > BOOSTED_KINDS:
            kept, rest = _frequent(known[:, column], BOOSTED_KINDS - 1), BOOSTED_KINDS - 1.0
        found[:, column] = _index(table[:, column], kept, rest)
    return found


def _frequent(items: np.ndarray, limit: int) -> np.ndarray:
    """The most frequent categories of a column (n,), in order of their index."""
    kinds, counts = np.unique(items[~np.isnan(items)], return_counts=True)
    return np.asarray(np.sort(kinds[np.argsort(-counts, kind="stable")[:limit]]))


def _index(items: np.ndarray, kept: np.ndarray, rest: float) -> np.ndarray:
    """Position of each of a column (n,) among the categories kept; ``rest`` for others, NaN stays."""
    if not len(kept):
        return np.where(np.isnan(items), np.nan, rest)
    at = np.searchsorted(kept, items).clip(max=len(kept) - 1)
    return np.where(np.isnan(items), np.nan, np.where(kept[at] == items, at, rest))
