"""What an evaluation says of rows: of a run, of strangers' files, of copies; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ficta.api import evaluate as evaluate_file
from ficta.api import open_run
from ficta.base.errors import DataError, UsageError
from ficta.data.ingest import ingest
from ficta.train.recipe import Recipe
from table_making import HEAD, LEARNT, order_lines, tiny, write_orders

OWN = {"column-shapes", "pair-trends", "missing-pattern", "detection", "new-rows"}
SPACE = {"frechet-distance(columns)", "kernel-distance(columns)", "precision(columns)", "coverage(columns)"}
SMALL: dict[str, Any] = {"n": 300, "parts": 2}


def named(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {result["name"]: result for result in results}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    write_orders(folder / "orders.csv", 1200)
    return folder


@pytest.fixture(scope="module")
def run(train_small: Callable[..., Path], folder: Path) -> Any:
    settings = [*tiny(samples=6000), "data.test=0.25", "data.conditional=true"]
    return open_run(train_small("vae", folder / "run", *settings, data=str(folder / "orders.csv")))


@pytest.fixture(scope="module")
def found(run: Any) -> dict[str, dict[str, Any]]:
    return named(run.evaluate(target="colour", **SMALL))


@pytest.fixture(scope="module")
def split(run: Any, folder: Path) -> dict[str, pd.DataFrame]:
    """The rows of the run's splits as tables."""
    dataset = ingest(Recipe.of(run.recipe).data)
    return {name: dataset.codec.frame(part.read(0, len(part))) for name, part in dataset.splits.items()}  # type: ignore[attr-defined]


def judged(frame: pd.DataFrame, folder: Path, name: str, **settings: Any) -> dict[str, dict[str, Any]]:
    path = folder / f"{name}.csv"
    frame.to_csv(path, index=False)
    found = evaluate_file(path, folder / "orders.csv", data={"test": 0.25}, **{**SMALL, **settings})
    assert found.closest is not None
    return named([result.to_json() for result in found.results])


def test_what_is_measured_of_rows(found: dict[str, dict[str, Any]]) -> None:
    learnt = {f"learnt-from-samples(colour, {learner})" for learner in ("boosting", "linear")}
    assert set(found) >= OWN | SPACE | learnt
    assert not [name for name in found if "classifier" in name or "random-conv" in name or "class-balance" in name]
    for name in OWN | learnt:
        result = found[name]
        assert result["value"] is not None, name
        low, high = result["interval"]
        assert low <= result["value"] <= high
        assert result["real"] is not None, name
        assert result["shuffled"] is not None, name
        assert result["protocol"]["reference"]["split"] == "test"
    assert {found[name]["unit"] for name in learnt} == {"macro-F1"}
    assert {found[name]["better"] for name in OWN - {"detection"}} == {"higher"}
    json.dumps(found, allow_nan=False)


def test_training_rows_are_as_good_as_it_gets_and_shuffled_ones_have_columns_but_no_pairs(
    found: dict[str, dict[str, Any]],
) -> None:
    shapes, trends, told, missing = (
        found[name] for name in ("column-shapes", "pair-trends", "detection", "missing-pattern")
    )
    assert shapes["real"]["value"] > 0.9
    assert shapes["shuffled"]["value"] > 0.9
    assert trends["real"]["value"] > trends["shuffled"]["value"] + 0.02
    assert abs(told["real"]["value"] - 0.5) < 0.12
    assert told["shuffled"]["value"] > 0.9  # a total that is no sum of its parts gives it away
    assert missing["shuffled"]["value"] > 0.9
    learnt = found["learnt-from-samples(colour, boosting)"]
    assert learnt["real"]["value"] > learnt["shuffled"]["value"] + 0.1
    assert shapes["value"] <= 1


def test_results_stay_in_the_run_and_are_the_same_again(run: Any, found: dict[str, dict[str, Any]]) -> None:
    again = named(run.evaluate(**SMALL))
    kept = named([json.loads(line) for line in (run.path / "results.jsonl").read_text().splitlines()])
    assert again.keys() == {name for name in found if "learnt" not in name}
    for name in OWN:
        assert again[name]["value"] == found[name]["value"] == kept[name]["value"]
    assert set(kept) >= again.keys()
    assert (run.path / "explore" / "closest.png").exists()
    assert "column-shapes" in (run.path / "report.html").read_text()


def test_copies_are_no_new_rows(folder: Path, split: dict[str, pd.DataFrame]) -> None:
    train, test = split["train"], split["test"]
    new = judged(test, folder, "new")["new-rows"]
    copied = judged(train[:300], folder, "copied")
    half = judged(pd.concat([train[:150], test[:150]]), folder, "half")
    assert (new["value"], copied["new-rows"]["value"], half["new-rows"]["value"]) == (1, 0, 0.5)
    assert copied["new-rows"]["real"]["value"] == 1  # held-out rows in their place
    assert copied["closer-to-training(columns)"]["value"] > 0.9
    assert half["new-rows"]["interval"][0] > 0.35
    assert copied["column-shapes"]["value"] > 0.9


def test_strangers_rows_are_judged_like_a_runs(folder: Path, split: dict[str, pd.DataFrame]) -> None:
    frame = split["test"].sample(frac=1, random_state=0)[[*LEARNT[::-1]]]  # columns in another order, none made anew
    results = judged(frame, folder, "good", target="price")
    assert set(results) >= OWN | SPACE
    assert {results[f"learnt-from-samples(price, {each})"]["unit"] for each in ("boosting", "linear")} == {"R²"}
    for name in ("column-shapes", "pair-trends", "missing-pattern"):
        assert results[name]["value"] == pytest.approx(results[name]["real"]["value"], abs=0.1)
    shifted = frame.assign(price=frame["price"] * 3, colour="red")
    worse = judged(shifted, folder, "worse")
    for name in ("column-shapes", "pair-trends"):
        assert worse[name]["value"] < results[name]["value"] - 0.02
    assert worse["detection"]["value"] > 0.9
    gaps = judged(frame.assign(units=np.nan), folder, "gaps")
    assert gaps["missing-pattern"]["value"] < 0.5


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda frame: frame.drop(columns="tax"), DataError, r"strange\.csv has no column 'tax'"),
        (lambda frame: frame.assign(colour="pink"), DataError, "column 'colour' is 'pink', not among its categories"),
        (lambda frame: frame[:3], DataError, "3 samples for 2 parts; give at least 4"),
    ],
)
def test_strange_rows_are_refused(
    change: Any, error: type[Exception], told: str, folder: Path, split: dict[str, pd.DataFrame]
) -> None:
    with pytest.raises(error, match=told):
        judged(change(split["test"]), folder, "strange")


def test_an_unknown_target_is_refused(run: Any, folder: Path, split: dict[str, pd.DataFrame]) -> None:
    told = r"no column 'colur' to be predicted: did you mean 'colour'\?"
    with pytest.raises(UsageError, match=told):
        run.evaluate(target="colur", n=20, parts=2)
    with pytest.raises(UsageError, match="no column 'order_id' to be predicted"):
        judged(split["test"], folder, "good", target="order_id", n=20)


def test_pictures_features_are_none_of_rows(run: Any) -> None:
    with pytest.raises(UsageError, match="classifier"):
        run.evaluate(features=("classifier",), **SMALL)
    with pytest.raises(UsageError, match="unknown feature space 'colums': did you mean 'columns'"):
        run.evaluate(features=("colums",), **SMALL)


def test_a_run_can_be_judged_by_other_rows(run: Any, folder: Path) -> None:
    other = folder / "other.csv"
    other.write_text("\n".join([HEAD, *order_lines(600, seed=1)]) + "\n")
    results = named(run.evaluate(other, n=100, parts=2))
    assert results["column-shapes"]["value"] is not None
    assert results["new-rows"]["value"] is None
    assert "learnt from other data" in results["new-rows"]["reason"]


def test_feature_spaces_of_another_kind_are_a_wrong_call(run: Any) -> None:
    with pytest.raises(UsageError, match="uint8"):
        run.evaluate(features=("pixels",), **SMALL)


def test_a_balanced_run_is_judged_by_other_data(train_small: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    settings = [*tiny(samples=1000), "data.conditional=true", "data.table.balance=colour"]
    balanced = open_run(train_small("vae", tmp_path / "run", *settings, data=str(folder / "orders.csv")))
    write_orders(tmp_path / "other.csv", 400)
    found = named(balanced.evaluate(str(tmp_path / "other.csv"), n=40, parts=2))
    assert found["column-shapes"]["value"] is not None


def test_balance_belongs_to_a_conditional_run(train_small: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a conditional run; add --conditional"):
        train_small(
            "vae", tmp_path / "run", *tiny(samples=1000), "data.table.balance=colour", data=str(folder / "orders.csv")
        )


def test_broken_constraints_are_counted(folder: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(folder / "orders.csv").head(300)
    frame.loc[:59, ["placed", "shipped"]] = ["2020-12-30", "2020-01-01"]
    frame.to_csv(tmp_path / "made.csv", index=False)
    data = {"test": 0.25, "table": {"constraints": ["placed <= shipped"]}}
    found = evaluate_file(tmp_path / "made.csv", folder / "orders.csv", data=data, **SMALL).results
    (broken,) = [result.to_json() for result in found if result.name == "constraint-violations"]
    assert broken["value"] == pytest.approx(0.2, abs=0.01)
    assert broken["real"]["value"] == 0
