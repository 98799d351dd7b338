"""Feature spaces: one fingerprint, one space; what they need of the items and what they refuse."""

import numpy as np
import pytest

from ficta.metrics import extractors
from ficta.metrics.extractors import Extractor, Pixels, RandomConv


def pictures(seed: int, n: int, channels: int = 1, height: int = 9, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, channels, height, width), dtype=np.uint8)


def test_equal_seeds_are_one_space_and_others_are_not() -> None:
    items = pictures(1, 5)
    first, again, other = RandomConv(1), RandomConv(1, 0), RandomConv(1, 1)
    assert first.fingerprint == again.fingerprint
    assert np.array_equal(first.features(items), again.features(items))
    assert len({first.fingerprint, other.fingerprint, RandomConv(3).fingerprint}) == 3
    assert not np.allclose(first.features(items), other.features(items))
    learnt = [Pixels(pictures(seed, 20)).fingerprint for seed in (1, 1, 2)]
    assert learnt[0] == learnt[1] != learnt[2]


@pytest.mark.parametrize("extractor", [RandomConv(1), Pixels(pictures(2, 150))])
def test_features_do_not_depend_on_chunks(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    items = pictures(3, 23)
    whole = extractor.features(items)
    assert whole.dtype == np.float32
    assert whole.shape == (23, extractor.size) == (23, 64)
    monkeypatch.setattr(extractors, "CHUNK", 7)
    np.testing.assert_allclose(extractor.features(items), whole, rtol=1e-4, atol=1e-5)
    assert extractor.features(items[:0]).shape == (0, 64)


def test_pixels_are_white_over_what_they_learnt_from() -> None:
    items = pictures(4, 200) // 4
    items[:, 0, 0] = items[:, 0, 1]  # correlated values
    features = Pixels(items).features(items).astype(np.float64)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(features.T), np.eye(64), atol=1e-4)


def test_rounding_makes_no_components_of_bright_items() -> None:
    draws = np.random.default_rng(6)
    patterns = draws.integers(0, 2, (4, 1, 16, 16))
    items = (250 - draws.integers(0, 3, (3000, 4)) @ patterns.reshape(4, -1)).astype(np.uint8).reshape(-1, 1, 16, 16)
    assert Pixels(items).size == 4


def test_pixels_of_many_values_are_white_and_the_components_nearly_the_largest() -> None:
    draws = np.random.default_rng(5)
    patterns = draws.normal(size=(90, 3 * 24 * 24)) * np.geomspace(8, 1, 90)[:, None]
    items = (128 + draws.normal(size=(700, 90)) @ patterns).clip(0, 255).astype(np.uint8).reshape(700, 3, 24, 24)
    space = Pixels(items)
    assert Pixels(items).fingerprint == space.fingerprint
    features = space.features(items).astype(np.float64)
    np.testing.assert_allclose(np.cov(features.T), np.eye(64), atol=0.05)
    flat = items.reshape(700, -1) / 255.0
    largest = np.linalg.eigvalsh(np.cov(flat.T))[-64:].sum()
    explained = np.linalg.lstsq(features, flat - flat.mean(0), rcond=None)[0]
    assert (explained**2).sum() == pytest.approx(largest, rel=0.02)  # white features: their loadings hold the variance


def test_pixels_have_no_more_components_than_the_items_differ_in() -> None:
    items = np.zeros((30, 4), np.uint8)
    items[:, 1] = np.arange(30)
    items[:, 2] = 2 * items[:, 1]  # the same again
    line = Pixels(items)
    assert line.size == 1
    # mean 14.5, variance of 0 to 29 is 30 * 31 / 12
    expected = (np.arange(30) - 14.5) / np.sqrt(77.5)
    np.testing.assert_allclose(np.abs(line.features(items)[:, 0]), np.abs(expected), rtol=1e-5)


def test_pictures_of_any_size_have_as_many_features() -> None:
    extractor = RandomConv(3)
    for height, width in ((8, 8), (32, 32), (50, 20)):
        assert extractor.features(pictures(5, 3, 3, height, width)).shape == (3, 64)


def test_arrays_that_torch_would_not_take_serve() -> None:
    items = pictures(6, 6)
    expected = RandomConv(1).features(items)
    items.flags.writeable = False
    np.testing.assert_allclose(RandomConv(1).features(items), expected, rtol=1e-5)
    np.testing.assert_allclose(RandomConv(1).features(items[::-1]), expected[::-1], rtol=1e-5)


def test_items_that_do_not_fit_are_refused() -> None:
    items = pictures(7, 10)
    for extractor in (RandomConv(1), Pixels(items)):
        with pytest.raises(ValueError, match="items are uint8 from 0 to 255, not float32; round"):
            extractor.features(items.astype(np.float32))
    with pytest.raises(ValueError, match=r"pictures \(n, 1, H, W\) are wanted, not \(10, 3, 9, 12\)"):
        RandomConv(1).features(pictures(8, 10, 3))
    with pytest.raises(ValueError, match=r"items of shape \(1, 9, 11\), but the others have \(1, 9, 12\)"):
        Pixels(items).features(items[..., :11])
    for same in (items[:0], items[:1], items[[0, 0, 0]]):
        with pytest.raises(ValueError, match="items without any difference"):
            Pixels(same)
