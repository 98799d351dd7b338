"""The feature space of tables: no unit, skew or outlier decides which rows are near."""

import numpy as np
import pytest

from ficta.base.spec import Span
from ficta.metrics import extractors
from ficta.metrics.columns import CATEGORIES, Columns

NUMBER, WORD = Span("n", 9, ordered=True), Span("w", 9)


def numbers(seed: int = 0, n: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 2, (n, 1))


def apart(space: Columns, one: list[float], other: list[float]) -> float:
    features = space.features(np.array([one, other], float))
    return float(np.linalg.norm(features[0] - features[1]))


@pytest.mark.parametrize("change", [lambda x: 1000 * x, lambda x: x - 5e6, np.log, lambda x: x**3], ids=range(4))
def test_no_unit_and_no_skew_changes_anything(change) -> None:
    rows, others = numbers(), numbers(1)[:, :1]
    plain, changed = Columns([NUMBER], rows), Columns([NUMBER], change(rows))
    np.testing.assert_allclose(changed.features(change(others)), plain.features(others), atol=0.01)
    if change(1.0) == 1000:
        np.testing.assert_allclose(changed.features(change(others)), plain.features(others), atol=1e-5)


def test_numbers_have_variance_one() -> None:
    features = Columns([NUMBER], numbers()).features(numbers(1))
    assert (features.dtype, features.shape) == (np.float32, (2000, 1))
    assert float(features.mean()) == pytest.approx(0, abs=0.06)
    assert float(features.std()) == pytest.approx(1, abs=0.03)


def test_an_outlier_is_no_further_than_the_largest() -> None:
    rows = np.arange(101.0)[:, None]
    space = Columns([NUMBER], rows)
    np.testing.assert_allclose(space.features(np.array([[100.0], [1e300]])), np.sqrt(3), rtol=1e-6)
    np.testing.assert_allclose(space.features(np.array([[50.0], [0], [-9]]))[:, 0], [0, -np.sqrt(3), -np.sqrt(3)],
                               atol=1e-6)  # fmt: skip


def test_the_same_value_has_the_same_mean_rank() -> None:
    rows = np.array([0.0] * 100 + list(range(1, 101)))[:, None]  # half of them are 0
    found = Columns([NUMBER], rows).features(np.array([[0.0], [100.0]]))[:, 0] / np.sqrt(3)
    np.testing.assert_allclose(found, [-0.5, 1], atol=0.01)  # the middle of the lower half


def test_missing_values_lie_apart() -> None:
    rows = numbers()
    rows[:50] = np.nan
    space = Columns([NUMBER], rows)
    assert space.size == 2
    np.testing.assert_array_equal(space.features(np.array([[np.nan], [3.0]]))[:, 1], [1, 0])
    assert space.features(np.array([[np.nan]]))[0, 0] == 0  # the middle rank
    middle = float(np.median(rows[50:]))
    assert apart(space, [np.nan], [middle]) == pytest.approx(1, abs=0.02)
    assert Columns([NUMBER], numbers()).size == 1
    assert np.isfinite(Columns([NUMBER], np.full((4, 1), np.nan)).features(np.array([[np.nan], [1.0]]))).all()


def test_categories_lie_equally_far_apart() -> None:
    rows = np.random.default_rng(0).integers(0, 4, (500, 1)).astype(float)
    space = Columns([WORD], rows)
    assert space.size == 4
    for one in range(4):
        for other in range(4):
            assert apart(space, [one], [other]) == pytest.approx(np.sqrt(2) if one != other else 0)
    for unknown in ([7.0], [np.nan]):
        assert not space.features(np.array([unknown])).any()


def test_a_category_counts_about_as_much_as_a_number() -> None:
    draws = np.random.default_rng(0)
    rows = np.stack([draws.normal(size=3000), draws.integers(0, 5, 3000)], 1)
    features = Columns([NUMBER, WORD], rows).features(rows).astype(float)
    one, other = draws.permutation(3000), draws.permutation(3000)
    squared = (features[one] - features[other]) ** 2
    number, word = float(squared[:, 0].mean()), float(squared[:, 1:].sum(1)[rows[one, 1] != rows[other, 1]].mean())
    assert number == pytest.approx(2, rel=0.06)
    assert word == pytest.approx(2)


def test_the_most_frequent_categories_have_a_feature_each() -> None:
    rows = np.repeat(np.arange(50.0), np.arange(50, 0, -1))[:, None]
    space = Columns([WORD], rows)
    assert space.size == CATEGORIES
    shown = space.features(np.arange(50.0)[:, None])
    np.testing.assert_array_equal(shown.sum(1), [1] * CATEGORIES + [0] * (50 - CATEGORIES))


def test_a_fingerprint_says_what_was_learnt() -> None:
    rows = numbers()
    gaps = np.concatenate([rows, [[np.nan]]])
    words = np.round(rows) % 7
    spaces = [
        Columns([NUMBER], rows),
        Columns([NUMBER], numbers(1)),
        Columns([NUMBER], 2 * rows),
        Columns([NUMBER], gaps),
        Columns([WORD], words),
        Columns([WORD], words[:700]),
        Columns([NUMBER, NUMBER], np.tile(rows, 2)),
    ]
    assert len({space.fingerprint for space in spaces[:5]} | {spaces[-1].fingerprint}) == 6
    assert Columns([NUMBER], rows.copy()).fingerprint == spaces[0].fingerprint
    assert all(len(space.fingerprint) == 16 for space in spaces)


def test_the_first_five_thousand_rows_count() -> None:
    rows = numbers(0, 6000)
    changed = np.concatenate([rows[:5000], rows[5000:] + 1e9])
    assert Columns([NUMBER], changed).fingerprint == Columns([NUMBER], rows).fingerprint


def test_features_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    space, rows = Columns([NUMBER], numbers()), numbers(2, 23)
    whole = space.features(rows)
    monkeypatch.setattr(extractors, "CHUNK", 7)
    np.testing.assert_array_equal(space.features(rows), whole)
    assert space.features(rows[:0]).shape == (0, 1)


@pytest.mark.parametrize("shape", [(0, 1), (5, 2), (5,), (5, 1, 1)])
def test_too_few_rows_and_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"rows of 1 columns are wanted, one at least, not \("):
        Columns([NUMBER], np.zeros(shape))


def test_one_row_is_enough_and_other_columns_are_refused() -> None:
    space = Columns([NUMBER, WORD], np.array([[3.0, 1]]))
    np.testing.assert_array_equal(space.features(np.array([[3.0, 1], [3, 0]])), [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), but the others have \(2,\)"):
        space.features(np.zeros((4, 3)))
