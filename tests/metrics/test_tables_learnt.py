"""What is learnt from tables: against scikit-learn on its own, and against tables of which the answer is known."""

import warnings
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from ficta.metrics.tables_learnt import TREES, Learner, detection_auc, learnt_score

NAN = np.nan
MIXED = np.array([False, True, False, True])  # the last of them follows from the others


def mixed(seed: int, n: int, missing: float = 0.05, kinds: int = 6) -> np.ndarray:
    draws = np.random.default_rng(seed)
    number, kind = draws.normal(size=n), draws.integers(0, kinds, n).astype(float)
    second = number * np.where(kind % 2, 1, -1) + 0.3 * draws.normal(size=n)
    table = np.stack([number, kind, second, np.digitize(second, [-0.5, 0.5]).astype(float)], axis=1)
    table[draws.random(table.shape) < missing] = NAN
    return table


def shuffled(table: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permuted(table, axis=0)


def test_detection_is_scikit_learns_mean_over_folds() -> None:
    samples, real = shuffled(mixed(1, 150)), mixed(2, 200)
    x, y = np.concatenate([samples, real]), np.repeat([1, 0], [150, 200])
    areas = []
    for learn, ask in StratifiedKFold(3, shuffle=True, random_state=5).split(x, y):
        model = HistGradientBoostingClassifier(categorical_features=MIXED, early_stopping=False, random_state=5)
        areas.append(roc_auc_score(y[ask], model.fit(x[learn], y[learn]).predict_proba(x[ask])[:, 1]))
    found = detection_auc(samples, real, MIXED, 5)
    assert found == pytest.approx(np.mean(areas), abs=1e-12)
    assert found == detection_auc(samples, real, MIXED, 5) != detection_auc(samples, real, MIXED, 6)


def test_detection_rises_with_the_shuffled_share() -> None:
    real, samples = mixed(1, 1500), mixed(2, 1500)
    found = []
    for share in (0, 0.25, 0.5, 1):
        count = int(share * len(samples))
        found.append(detection_auc(np.concatenate([shuffled(samples)[:count], samples[count:]]), real, MIXED))
    assert found[0] == pytest.approx(0.5, abs=0.05)
    assert (np.diff(found) > 0.05).all()
    assert found[-1] > 0.85
    moved = samples + np.array([0.0, 10.0, 0.0, 0.0])  # other categories
    assert detection_auc(moved, real, MIXED) > 0.95
    assert detection_auc(real, real, MIXED) < 0.3  # copies


def test_detection_of_many_categories_and_of_empty_columns() -> None:
    draws = np.random.default_rng(3)
    kinds = np.array([True, False, True])
    for many in (255, 256, 4000):
        a, b = (draws.integers(0, many, (600, 3)).astype(float) for _ in range(2))
        a[:, 1:] = b[:, 1:] = NAN
        assert detection_auc(a, b, kinds) == pytest.approx(0.5, abs=0.1)
        a[:, 0] = draws.integers(0, 5, 600)  # the frequent ones keep their number
        assert detection_auc(a, b, kinds) > 0.9


@pytest.mark.parametrize("kind", get_args(Learner))
def test_usefulness_of_known_tables(kind: Learner) -> None:
    train, test = mixed(1, 1200), mixed(2, 1000)
    for target in (2, 3):
        good, bad = (learnt_score(table, test, target, MIXED, kind=kind) for table in (train, shuffled(train)))
        assert good > bad + 0.25
    assert bad == pytest.approx(0.3, abs=0.1)  # macro F1 of chance among three
    again = [learnt_score(train, test, 3, MIXED, seed, kind) for seed in (4, 4)]
    assert again[0] == again[1]


def test_linear_regression_by_hand() -> None:
    draws = np.random.default_rng(6)
    x = draws.normal(size=(3000, 2))
    table = np.column_stack([x, 2 * x[:, 0] - x[:, 1] + draws.normal(size=3000)])
    numbers = np.zeros(3, bool)
    # 5 of a variance of 6 can be explained
    assert learnt_score(table[:1500], table[1500:], 2, numbers, kind="linear") == pytest.approx(5 / 6, abs=0.03)
    assert learnt_score(table[:1500], table[1500:], 2, numbers) == pytest.approx(5 / 6, abs=0.06)
    # a constant 3 off a target of variance 1/4: 1 - 9.25 / 0.25
    flat, known = np.full((20, 2), 3.5), np.array([[0, 0.0], [0, 1.0]])
    for kind in get_args(Learner):
        assert learnt_score(flat, known, 1, numbers[:2], kind=kind) == pytest.approx(-36, abs=1e-9)


def test_f1_counts_the_classes_of_the_test_rows() -> None:
    follows = np.repeat([0.0, 1.0, 7.0, 9.0], 30)  # 7 and 9 are strange to the test rows, 2 to the training rows
    train = np.stack([follows, follows], axis=1)
    test = np.array([[0, 0], [0, 0], [1, 1], [1, 2], [7, 1], [NAN, NAN]], float)
    both = np.array([True, True])
    truth, said = [0, 0, 1, 2, 1], [0, 0, 1, 1, 7]
    expected = f1_score(truth, said, labels=[0, 1, 2], average="macro", zero_division=0)
    assert expected == pytest.approx((1 + 0.5 + 0) / 3)
    for kind in get_args(Learner):
        assert learnt_score(train, test, 1, both, kind=kind) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", get_args(Learner))
def test_missing_values_rare_classes_and_strange_categories(kind: Learner) -> None:
    train, test = mixed(1, 400, 0.2), mixed(2, 300, 0.2, kinds=9)
    train[0, 3], train[:, 0] = 17, NAN  # a class of one row; a column that is missing wherever it is learnt from
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 < learnt_score(train, test, 3, MIXED, kind=kind) < 1
        assert learnt_score(train[:, [1, 3]], test[:, [1, 3]], 0, np.array([True, True]), kind=kind) < 0.6
        known = train[~np.isnan(train[:, 3])]
        assert len(known) < len(train)
        assert learnt_score(known, test, 3, MIXED, kind=kind) == learnt_score(train, test, 3, MIXED, kind=kind)


def test_many_classes_and_categories() -> None:
    draws = np.random.default_rng(7)
    kinds = draws.integers(0, 300, 4000).astype(float)
    table, both = np.stack([kinds, kinds // 2], axis=1), np.array([True, True])
    assert TREES // 100 == 10  # rounds for a hundred classes
    assert 0.1 < learnt_score(table[:3000], table[3000:], 1, both, kind="linear") < 1
    assert 0 < learnt_score(table[:3000], table[3000:], 1, both) < 1


ROWS, TWO = np.zeros((40, 2)), np.array([False, True])
VARIED = np.stack([np.arange(40.0), np.arange(40) % 2], axis=1)


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (detection_auc, [ROWS, ROWS[:29], TWO], "40 samples and 29 real rows; telling them apart needs 30"),
        (detection_auc, [ROWS[:, :1], ROWS, TWO], "1 columns against 2"),
        (detection_auc, [ROWS + np.inf, ROWS, TWO], "infinite"),
        (learnt_score, [ROWS[:0], ROWS, 1, TWO], "at least one row"),
        (learnt_score, [VARIED[:9], VARIED, 1, TWO], "9 training and 40 test rows have column 1"),
        (learnt_score, [VARIED, VARIED[:1], 1, TWO], "40 training and 1 test"),
        (learnt_score, [VARIED * NAN, VARIED, 1, TWO], "0 training"),
        (learnt_score, [ROWS, VARIED, 1, TWO], "one class of column 1"),
        (learnt_score, [VARIED, ROWS, 0, TWO], "column 0 is constant in the test rows"),
        (learnt_score, [VARIED, VARIED, 2, TWO], "column 2 of 2"),
        (learnt_score, [VARIED, VARIED, -1, TWO], "column -1 of 2"),
        (learnt_score, [VARIED[:, 1:], VARIED[:, 1:], 0, TWO[1:]], "column 0 of 1"),
        (learnt_score, [VARIED, VARIED, 1, TWO, 0, "forest"], "'forest'; take one of boosting, linear"),
    ],
)
def test_undefined(measure: Callable[..., object], arguments: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(*arguments)
