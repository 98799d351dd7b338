"""Whether samples help to learn labels: copies of real items do nothing, wrong labels are found out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ficta.api import recipe_for
from ficta.base.progress import silent
from ficta.base.spec import Spec
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.evaluate import likelihood as bounds
from ficta.evaluate import usefulness as module
from ficta.evaluate.evaluate import evaluate
from ficta.evaluate.ground import EvaluateSettings, lay_ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import Source, SplitSource
from ficta.evaluate.usefulness import AUGMENTED, BOTH, GAIN, GAINS, REAL, REGIMES, SAMPLES, shifted, usefulness
from ficta.runs.run import Run

NAMES = {*REGIMES, *GAINS}
QUICK = {"n": 900, "features": ("pixels",)}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("vae", "digits", {}).data)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BUDGET", 2_000)
        patch.setattr(module, "MOST_REAL", 500)
        yield


def real(dataset: Dataset) -> SplitSource:
    return SplitSource("samples", dataset.splits["train"], dataset.report["content_hash"], 7)


def found(samples: Run | Source, dataset: Dataset) -> dict[str, Result]:
    ground = lay_ground(samples, dataset, EvaluateSettings.read(QUICK, ""), silent)
    return {result.name: result for result in usefulness(ground)}


@pytest.fixture(scope="module")
def with_real(_small: None, digits: Dataset) -> dict[str, Result]:
    return found(real(digits), digits)


def value(results: dict[str, Result], name: str) -> float:
    estimate = results[name].estimate
    assert estimate is not None
    return estimate.value


def test_real_items_as_samples_teach_what_real_items_do(with_real: dict[str, Result]) -> None:
    assert set(with_real) == NAMES
    assert value(with_real, REAL) > 0.8
    assert value(with_real, SAMPLES) == pytest.approx(value(with_real, REAL), abs=0.06)
    for name, regime in GAINS.items():
        assert value(with_real, name) == pytest.approx(value(with_real, regime) - value(with_real, REAL))
    for name, result in with_real.items():
        assert result.estimate is not None
        low, high = result.estimate.low, result.estimate.high
        assert low is not None
        assert high is not None
        assert (-1 if name in GAINS else 0) <= low <= result.estimate.value <= high <= 1
        assert (result.n, result.better, result.unit) == (180, "higher", "")
        told = {"budget": 2_000, "real_items": 500, "samples": 900, "seeds": 3, "seed": 0}
        assert result.protocol.items() >= told.items()
        json.dumps(result.to_json(), allow_nan=False)


def test_beside_samples_stands_what_real_and_shuffled_items_teach(with_real: dict[str, Result]) -> None:
    for name in (SAMPLES, BOTH, GAIN):
        result = with_real[name]
        assert result.estimate is not None
        assert result.real is not None
        assert result.shuffled is not None
        assert result.real.value == pytest.approx(result.estimate.value, abs=0.06)  # the samples are real items, too
    alone = with_real[SAMPLES].shuffled
    assert alone is not None
    assert alone.value < value(with_real, SAMPLES) - 0.2  # how much is black is all that is left to learn from
    for name in (REAL, AUGMENTED, "usefulness(augmentation)"):  # no samples take part
        assert (with_real[name].real, with_real[name].shuffled) == (None, None)


def test_the_same_call_gives_the_same_numbers(with_real: dict[str, Result], digits: Dataset) -> None:
    for name, again in found(real(digits), digits).items():
        assert dataclasses.replace(again, seconds=0.0) == dataclasses.replace(with_real[name], seconds=0.0)


class WrongLabels(SplitSource):
    """Real items whose labels have changed places."""

    def labels(self, start: int, stop: int) -> np.ndarray | None:
        labels = super().labels(0, len(self))
        assert labels is not None
        return np.random.default_rng(0).permutation(labels)[start:stop]


def test_wrong_labels_teach_nothing_and_do_harm_beside_real_items(digits: Dataset) -> None:
    wrong = WrongLabels("samples", digits.splits["train"], digits.report["content_hash"], 7)
    results = found(wrong, digits)
    assert value(results, SAMPLES) < 0.3  # one of ten is chance
    assert value(results, BOTH) < value(results, REAL)
    assert value(results, GAIN) < 0


def test_an_unconditional_run_is_told_what_is_missing(small_runs: Callable[[str], Path], digits: Dataset) -> None:
    (result,) = found(Run(small_runs("vae")), digits).values()
    assert (result.name, result.estimate) == (GAIN, None)
    assert result.reason == "needs a conditional run: train with --conditional"


def test_data_without_labels_are_told_so(digits: Dataset) -> None:
    unlabelled = dataclasses.replace(digits, report={**digits.report, "categories": []})
    (result,) = found(real(digits), unlabelled).values()
    assert result.estimate is None
    assert "a classifier needs two" in result.reason


def test_labels_of_other_names_are_not_mixed_up(small_runs: Callable[[str], Path], digits: Dataset) -> None:
    renamed = dataclasses.replace(digits, report={**digits.report, "categories": list("abcdefghij")})
    (result,) = found(Run(small_runs("vae-conditional")), renamed).values()
    assert "other labels" in result.reason


def test_it_is_part_of_the_full_evaluation_and_of_no_other(
    small_runs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET", 256)
    monkeypatch.setattr(bounds, "WEIGHTED_FULL", ((1, 20),))
    run = Run(small_runs("vae-conditional"))
    dataset = ingest(recipe_for("vae", "digits", {}, ["data.conditional=true"]).data)
    asked = {full: EvaluateSettings.read({**QUICK, "full": full}, "") for full in (False, True)}
    names = {full: {result.name for result in evaluate(run, dataset, asked[full]).results} for full in asked}
    assert names[True] >= NAMES
    assert not names[False] & NAMES


def test_only_pictures_are_shifted(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGET", 256)
    spec = digits.codec.spec
    other = Spec(("channel", "row", "column"), spec.shape, spec.kind, spec.levels)
    monkeypatch.setattr(digits.codec, "spec", other)
    results = found(real(digits), digits)
    assert results[BOTH].estimate is not None
    for name in (AUGMENTED, "usefulness(augmentation)"):
        assert results[name].estimate is None
        assert "shifts pictures" in results[name].reason


def test_a_shift_moves_by_an_eighth_at_most_and_repeats_the_edge() -> None:
    picture = np.arange(2 * 8 * 16, dtype=np.uint8).reshape(1, 2, 8, 16)
    moved = shifted(np.repeat(picture, 200, 0), np.random.default_rng(0))
    assert moved.dtype == np.uint8
    seen = set()
    for one in moved:
        ways = [
            (down, across)
            for down in (-1, 0, 1)
            for across in (-2, -1, 0, 1, 2)
            if np.array_equal(
                one,
                picture[0][:, np.clip(np.arange(8) + down, 0, 7)][:, :, np.clip(np.arange(16) + across, 0, 15)],
            )
        ]
        assert len(ways) == 1
        seen.update(ways)
    assert len(seen) == 15
