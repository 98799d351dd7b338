"""What an evaluation says of runs and of folders, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ficta
from ficta.api import evaluate as evaluate_folder
from ficta.api import recipe_for
from ficta.base.errors import DataError, UsageError
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.evaluate.bank import look
from ficta.evaluate.evaluate import Evaluation
from ficta.evaluate.evaluate import evaluate as judge
from ficta.evaluate.ground import EvaluateSettings, lay_ground
from ficta.evaluate.sources import RunSource, Shuffled, Source, SplitSource
from ficta.metrics.extractors import RandomConv
from ficta.runs.run import Run

COMPARED = ("frechet-distance", "kernel-distance", "precision", "recall", "density", "coverage")
DEFAULT = {f"{name}({space})" for name in COMPARED for space in ("random-conv", "classifier")}
DEFAULT |= {"class-balance(classifier)", "closer-to-training(random-conv)", "authenticity(random-conv)"}
MAYBE = "held-out-share(random-conv)"  # not of samples that are all alike
DEFAULT |= {MAYBE}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("vae", "digits", {}).data)


def named(results: Any) -> dict[str, Any]:
    return {result.name: result for result in results}


def real(dataset: Dataset, name: str) -> SplitSource:
    return SplitSource("samples", dataset.splits[name], dataset.report["content_hash"], 7)


def judged(samples: Source, dataset: Dataset, **settings: Any) -> dict[str, Any]:
    def nothing(what: str, done: int, total: int | None) -> None: ...

    return named(judge(samples, dataset, EvaluateSettings.read(settings, ""), nothing).results)


@pytest.fixture(scope="module")
def found(small_runs: Callable[[str], Path], digits: Dataset) -> Evaluation:
    return judge(Run(small_runs("vae")), digits, EvaluateSettings())


def test_the_default_measures_are_all_there_with_their_protocol(found: Evaluation) -> None:
    results = named(found.results)
    assert set(results) >= DEFAULT
    for name in DEFAULT - {MAYBE}:
        result = results[name]
        low, high = result.estimate.low, result.estimate.high
        assert low <= result.estimate.value <= high
        assert result.n == (900 if "training" in name or "authenticity" in name else 180)
        assert result.protocol["reference"]["items"] == 180
        assert result.real is not None
        assert result.shuffled is not None
    assert {"negative-elbo(grey-bce)", "rate(grey-bce)", "distortion(grey-bce)"} <= set(results)
    assert 0.9 < found.accuracy <= 1  # type: ignore[operator]
    json.dumps([result.to_json() for result in found.results], allow_nan=False)


def test_real_items_are_better_than_shuffled_ones_by_every_measure(found: Evaluation) -> None:
    for name, result in named(found.results).items():
        if result.real and result.shuffled and result.better in ("lower", "higher") and "authenticity" not in name:
            sign = 1 if result.better == "lower" else -1
            assert sign * result.real.value < sign * result.shuffled.value, name


def test_the_same_call_gives_the_same_numbers(found: Evaluation, small_runs: Any, digits: Dataset) -> None:
    again = judge(Run(small_runs("vae")), digits, EvaluateSettings())
    for before, after in zip(found.results, again.results, strict=True):
        assert dataclasses.replace(before, seconds=0.0) == dataclasses.replace(after, seconds=0.0)


def test_training_items_as_samples_stand_where_real_items_do_but_are_no_new_ones(digits: Dataset) -> None:
    results = judged(real(digits, "train"), digits)
    frechet = results["frechet-distance(random-conv)"]
    assert frechet.estimate.value == pytest.approx(frechet.real.value, rel=0.3)
    assert results["authenticity(random-conv)"].estimate.value == 0
    assert results["closer-to-training(random-conv)"].estimate.value == 1
    share = results["held-out-share(random-conv)"]
    assert share.estimate.value == 0
    assert share.real.low < 1 < share.real.high


def test_heldout_items_as_samples_are_as_new_as_can_be(digits: Dataset) -> None:
    results = judged(real(digits, "test"), digits)
    assert results["closer-to-training(random-conv)"].estimate.value == pytest.approx(0.5, abs=1e-9)
    found = results["authenticity(random-conv)"]
    assert found.estimate.value == pytest.approx(found.real.value, abs=0.05)  # all held-out items, and half of them
    assert results[MAYBE].estimate.low > 1  # each lies nearest to itself


def test_everything_is_measured_if_asked_for(small_runs: Any, digits: Dataset) -> None:
    results = named(judge(Run(small_runs("vae")), digits, EvaluateSettings(full=True, n=900)).results)
    more = ("frechet-distance-infinite", "two-sample-accuracy", "vendi-score")
    assert {f"{name}({space})" for name in more for space in ("random-conv", "classifier")} <= set(results)
    assert results["modes-found(classifier)"].real.value == 10
    assert 1 <= results["classifier-score(classifier)"].estimate.value <= 10
    copying = results["copying-test(random-conv)"]
    assert abs(copying.real.value) < 3  # one half of the held-out items is no copy beside the other
    assert copying.shuffled.value > copying.real.value + 3
    assert copying.estimate is not None
    assert 0 <= results["active-units"].estimate.value <= 5
    assert results["ms-ssim"].estimate is None
    assert "smaller than the window" in results["ms-ssim"].reason


def test_a_likelihood_stands_beside_those_of_training_and_of_shuffled_items(small_runs: Any, digits: Dataset) -> None:
    run = Run(small_runs("vae"))
    results = named(judge(run, digits, EvaluateSettings(n=900)).results)
    found = results["negative-elbo(grey-bce)"]
    assert found.shuffled.value > found.estimate.value  # the run has seen few samples, so hardly more
    swapped = dataclasses.replace(digits, splits={**digits.splits, "test": digits.splits["train"]})
    of_train = named(judge(run, swapped, EvaluateSettings(n=900)).results)["negative-elbo(grey-bce)"]
    assert of_train.estimate.value == pytest.approx(of_train.real.value, rel=0.02)  # the same items in both places
    assert found.real.value == pytest.approx(of_train.estimate.value, rel=0.1)


def test_items_that_a_run_has_not_learnt_from_do_not_pass_for_such(small_runs: Any, digits: Dataset) -> None:
    other = dataclasses.replace(digits, report={**digits.report, "content_hash": "another"})
    results = named(judge(Run(small_runs("vae")), other, EvaluateSettings(n=900)).results)
    assert results["negative-elbo(grey-bce)"].real is None
    assert results["negative-elbo(grey-bce)"].shuffled is not None
    assert "learnt from other data" in results[MAYBE].reason


def test_a_family_without_a_likelihood_gets_none(small_runs: Any, digits: Dataset) -> None:
    results = named(judge(Run(small_runs("gan")), digits, EvaluateSettings(n=900)).results)
    assert set(results) == DEFAULT


def test_a_conditional_run_is_asked_whether_it_obeys(small_runs: Any) -> None:
    dataset = ingest(recipe_for("vae", "digits", {}, ["data.conditional=true"]).data)
    results = named(judge(Run(small_runs("vae-conditional")), dataset, EvaluateSettings(n=900)).results)
    obeyed = results["condition-obeyed(classifier)"]
    assert 0 <= obeyed.estimate.value <= 1
    assert obeyed.real.value > 0.9  # real items are read as what they are
    assert obeyed.shuffled.value < 0.5


def test_labels_are_asked_for_as_often_as_the_data_have_them(small_runs: Any) -> None:
    shares = np.array([0.5, 0.3, 0.2, *[0.0] * 7])
    source = RunSource(Run(small_runs("vae-conditional")), 2000, 0, shares)
    labels = source.labels(0, 2000)
    assert np.bincount(labels, minlength=10) / 2000 == pytest.approx(shares, abs=0.04)
    assert len(np.unique(labels[::10])) == 3  # whatever stride a measure looks at them with
    items = source.read(0, 20)
    assert np.abs(source.read(7, 13).astype(int) - items[7:13]).max() <= 1


@pytest.mark.parametrize("categories", [["cat", "dog"], []])
def test_real_items_with_other_labels_say_nothing_of_the_labels_of_a_run(
    small_runs: Any, categories: list[str]
) -> None:
    dataset = ingest(recipe_for("vae", "digits", {}).data)
    splits = {
        name: dataclasses.replace(split, labels=split.labels % 2 if categories else None)  # type: ignore[operator]
        for name, split in dataset.splits.items()
    }
    other = dataclasses.replace(dataset, splits=splits, report={**dataset.report, "categories": categories})
    results = named(judge(Run(small_runs("vae-conditional")), other, EvaluateSettings(n=100)).results)
    assert results["kernel-distance(random-conv)"].estimate is not None
    assert "have others" in results["negative-elbo(grey-bce)"].reason
    if categories:
        assert "have others" in results["condition-obeyed(classifier)"].reason


def test_parts_that_share_items_have_no_interval(found: Evaluation) -> None:
    result = named(found.results)["frechet-distance(random-conv)"]
    assert result.shuffled.low is None  # 180 items in five parts of 180
    assert result.real.low is not None


def test_more_draws_tighten_the_bound_of_a_binary_run(train_small: Any, tmp_path: Path) -> None:
    changes = ["data.image.binarise=fixed", "train.samples=2048"]
    run = Run(train_small("vae", tmp_path / "binary", *changes))
    dataset = ingest(recipe_for("vae", "digits", {}, changes[:1]).data)
    results = named(judge(run, dataset, EvaluateSettings(n=50, features=("pixels",))).results)
    values = "bernoulli, fixed binarisation"
    bound, weighted = (
        results[name].estimate.value
        for name in (f"negative-elbo({values})", f"importance-weighted-bound({values}, k=64)")
    )
    assert weighted < bound
    bits = results[f"bits-per-dimension({values}, k=64)"].estimate.value
    assert bits == pytest.approx(weighted / (64 * math.log(2)))


def test_too_few_items_for_a_measure_cost_that_measure_alone(small_runs: Any, digits: Dataset) -> None:
    results = named(judge(Run(small_runs("vae")), digits, EvaluateSettings(n=60)).results)
    assert results["frechet-distance(random-conv)"].estimate is None
    assert "12 items for 64 features" in results["frechet-distance(random-conv)"].reason
    assert results["precision(random-conv)"].estimate is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"features": ("inception",)}, "unknown feature space 'inception'"),
        ({"n": 5}, "give at least 10"),
    ],
)
def test_wrong_calls_say_what_is_wrong(small_runs: Any, digits: Dataset, settings: Any, words: str) -> None:
    with pytest.raises((UsageError, DataError), match=words):
        judge(Run(small_runs("vae")), digits, EvaluateSettings(**settings))


def test_data_without_heldout_items_judge_nobody(small_runs: Any) -> None:
    whole = ingest(recipe_for("vae", "digits", {}, ["data.test=0", "data.validation=0"]).data)
    with pytest.raises(DataError, match=r"data\.test=0\.1"):
        judge(Run(small_runs("vae")), whole, EvaluateSettings())


def test_a_feature_space_that_cannot_be_had_costs_its_measures_alone(small_runs: Any, digits: Dataset) -> None:
    run, unlabelled = Run(small_runs("vae")), dataclasses.replace(digits, report={**digits.report, "categories": []})
    results = named(judge(run, unlabelled, EvaluateSettings(n=900)).results)
    assert results["class-balance(classifier)"].reason.startswith("it reads labels")
    assert not any("classifier" in name and result.estimate for name, result in results.items())
    features = ("classifier", "file:gone.onnx", "random-conv")
    results = named(judge(run, unlabelled, EvaluateSettings(n=900, features=features)).results)
    assert "a classifier needs two" in results["frechet-distance(classifier)"].reason
    assert "cannot be read" in results["precision(file:gone.onnx)"].reason
    assert results["frechet-distance(random-conv)"].estimate is not None
    with pytest.raises(UsageError, match="a classifier needs two"):
        judge(run, unlabelled, EvaluateSettings(features=("classifier",)))


def test_samples_that_are_all_the_same_get_what_is_defined(digits: Dataset) -> None:
    first = digits.splits["test"]
    same = dataclasses.replace(first, rows=np.repeat(first.rows[:1], 900))
    results = judged(SplitSource("samples", same, "", 0), digits, full=True)
    assert results["coverage(random-conv)"].estimate.value < 0.05
    assert results["modes-found(classifier)"].estimate.value == 1
    assert results["frechet-distance(random-conv)"].estimate.value > results["frechet-distance(random-conv)"].real.value


def test_a_run_judged_by_other_data_is_not_asked_whether_it_copies_those(copied: Any, digits: Dataset) -> None:
    other = dataclasses.replace(digits, report={**digits.report, "content_hash": "another"})
    found = judge(Run(copied("vae")), other, EvaluateSettings(n=300, features=("random-conv",)))
    results = named(found.results)
    assert "leave --data out" in results["authenticity(random-conv)"].reason
    assert results["precision(random-conv)"].estimate is not None
    assert found.closest is None


def test_a_folder_of_samples_is_judged_without_a_run(small_runs: Any, tmp_path: Path, ficta: Any) -> None:
    assert ficta("sample", small_runs("vae"), "-n", "60", "--out", tmp_path / "made").code == 0  # beside their sheet
    done = ficta("evaluate", tmp_path / "made", "--reference", "digits", "--out", tmp_path / "found", "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)["results"]
    assert {result["name"] for result in results} == DEFAULT
    assert next(result for result in results if result["name"].startswith("authen"))["n"] == 60
    assert len((tmp_path / "found" / "results.jsonl").read_text().splitlines()) == len(DEFAULT)
    with Image.open(tmp_path / "found" / "closest.png") as sheet:
        assert sheet.width > 100


def test_samples_in_one_file_are_judged(small_runs: Any, tmp_path: Path, ficta: Any) -> None:
    assert ficta("sample", small_runs("vae"), "-n", "60", "--out", tmp_path / "made.npz").code == 0
    results = evaluate_folder(tmp_path / "made.npz", "digits", features=("random-conv",)).results
    assert named(results)["authenticity(random-conv)"].n == 60


def test_samples_of_another_size_are_refused(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("L", (16, 16), number).save(tmp_path / f"{number}.png")
    with pytest.raises(UsageError, match=r"shape \(1, 16, 16\), but the real ones have \(1, 8, 8\).*--size"):
        ficta.evaluate(tmp_path, "digits")
    assert ficta.evaluate(tmp_path, "digits", data={"image": {"size": 16}}, features=("random-conv",)).results


def test_results_stay_in_the_run_and_show_in_its_report(copied: Callable[[str], Path], ficta: Any) -> None:
    path = copied("vae")
    assert ficta("evaluate", path, "-n", "300").code == 0
    assert ficta("evaluate", path, "-n", "900").code == 0
    lines = [json.loads(line) for line in (path / "results.jsonl").read_text().splitlines()]
    assert len({line["name"] for line in lines}) == len(lines)  # the later call took the place of the earlier one
    assert all(line["seen"] == 256 for line in lines)
    page = (path / "report.html").read_text()
    assert "frechet-distance(random-conv)" in page
    assert "Closest to the training data" in page
    assert "not measured: grey-bce is a cost" in (path / "card.md").read_text()


def test_evaluations_that_end_at_once_lose_nothing(copied: Callable[[str], Path]) -> None:
    folder = Run(copied("vae")).folder
    names = [f"measure {number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: folder.write_results([{"name": name, "value": 1.0}], 100), names))
    assert {line["name"] for line in folder.lines("results")} == set(names)


def test_results_of_earlier_weights_are_replaced(copied: Callable[[str], Path]) -> None:
    folder = Run(copied("vae")).folder
    folder.write_results([{"name": "a", "value": 1.0}], 100)
    folder.write_results([{"name": "b", "value": 2.0}], 100)
    assert [line["name"] for line in folder.lines("results")] == ["b", "a"]
    folder.write_results([{"name": "c", "value": 3.0}], 200)
    assert [line["name"] for line in folder.lines("results")] == ["c"]


def test_features_of_real_items_are_computed_once(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = lay_ground(real(digits, "train"), digits, EvaluateSettings(n=100, features=("random-conv",)), print)  # type: ignore[arg-type]
    silent = dataclasses.replace(ground, progress=lambda *_: None)
    before = look(ground.heldout, 50, silent, 1).features["random-conv"]
    monkeypatch.setattr(RandomConv, "chunk", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(look(ground.heldout, 50, silent, 1).features["random-conv"], before)


def test_shuffling_keeps_the_values_and_is_a_function_of_the_number(digits: Dataset) -> None:
    source = real(digits, "test")
    shuffled = Shuffled(source, digits.codec, 0)
    items, mixed = source.read(0, 5), shuffled.read(0, 5)
    assert np.array_equal(np.sort(items.reshape(5, -1)), np.sort(mixed.reshape(5, -1)))
    assert not np.array_equal(items, mixed)
    assert np.array_equal(shuffled.read(3, 5), mixed[3:])
