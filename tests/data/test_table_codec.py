"""The codec of tables: what comes back, what is learnt from which rows, what can be asked for, how it is drawn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from data_making import everything, read
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.api import open_run
from ficta.base.errors import DataError, FictaError, UsageError
from ficta.compute.noise import Noise
from ficta.data.asked import Rows
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.data.registry import codec_from_facts
from ficta.data.report import describe
from ficta.data.settings import DataSettings
from ficta.data.table.codec import TableCodec
from ficta.data.table.columns import Column, infer
from ficta.data.table.frames import open_frame
from ficta.data.table.seen import BINS, SHOWN, Seen, Thinned
from ficta.data.table.settings import TableSettings
from table_making import LEARNT, order_lines, tiny, write_orders

WHOLE: dict[str, Any] = {"validation": 0, "test": 0}


def table(folder: Path, columns: dict[str, Sequence[Any]], name: str = "t.csv") -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return folder / name


def codec_of(dataset: Dataset) -> TableCodec:
    assert isinstance(dataset.codec, TableCodec)
    return dataset.codec


def fitted(rows: np.ndarray, *columns: Column, conditional: bool = False, **given: Any) -> TableCodec:
    codec = TableCodec(TableSettings(types={}, **given))
    codec.schema = {"columns": [column.to_json() for column in columns], "notes": []}
    codec.fit([rows], conditional, ())
    return codec


def number(name: str, decimals: int | None = None, missing: int = 0) -> Column:
    return Column(name, "number", "", decimals=decimals, low=-1e9, high=1e9, missing=missing)


KINDS: dict[str, tuple[list[str], str]] = {
    "integers": ([str(7 * i % 100 - 50) for i in range(120)], "integer"),
    "large integers": ([str(2**53 - 5 * (i % 9)) for i in range(120)], "integer"),
    "decimals": ([f"{i % 50 / 100:.2f}" for i in range(120)], "number"),
    "many digits": ([repr(1 / (1 + i % 40)) for i in range(120)], "number"),
    "extremes": ([["1e308", "-1e308", "1e-300", "0", "5"][i % 5] for i in range(120)], "number"),
    "booleans": (["yes" if i % 3 else "No" for i in range(120)], "boolean"),
    "days": ([f"20{i % 30:02d}-02-{i % 28 + 1:02d}" for i in range(120)], "datetime"),
    "first and last days": (["0001-01-01" if i % 2 else "9999-12-31" for i in range(120)], "datetime"),
    "seconds": ([f"1969-12-31 23:59:{i % 60:02d}" for i in range(120)], "datetime"),
    "categories": ([["ä", "b c", 'd"e', "f,g", "日本", "h\ni"][i % 6] for i in range(120)], "category"),
    "one value": (["7"] * 120, "integer"),
}


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_every_kind_comes_back(case: str, gaps: bool, tmp_path: Path) -> None:
    words, kind = KINDS[case]
    words = ["" if gaps and place % 5 == 1 else word for place, word in enumerate(words)]
    dataset = read(table(tmp_path, {"x": words, "row": [str(place % 11) for place in range(len(words))]}), **WHOLE)
    codec, stored = codec_of(dataset), everything(dataset)
    assert codec.schema["columns"][0]["kind"] == kind
    again = codec.decode(codec.encode(torch.from_numpy(stored.copy())))
    np.testing.assert_array_equal(again, stored)
    assert int(np.isnan(again[:, 0]).sum()) == words.count("")
    codec.write([again], tmp_path / "again.csv")
    if case != "categories":  # one of these has two lines
        shown = pd.read_csv(tmp_path / "again.csv", dtype=str, keep_default_na=False)["x"].tolist()
        expected = stored[:, 0]
        assert [word == "" for word in shown] == np.isnan(expected).tolist()
    second = read(tmp_path / "again.csv", **WHOLE)
    np.testing.assert_array_equal(everything(second), stored)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.integers(1, 40), st.sampled_from([0, 2, None]))
@settings(max_examples=100, deadline=None)
def test_whatever_is_decoded_is_within_what_was_seen(values: list[float], modes: int, decimals: int | None) -> None:
    rows = np.array(values)[:, None] if decimals is None else np.round(values, decimals)[:, None]
    codec = fitted(rows, number("x", decimals), modes=modes)
    said = torch.randn(50, codec.spec.size, generator=torch.Generator().manual_seed(0)) * 3
    made = codec.decode(said)
    assert rows.min() <= made.min() <= made.max() <= rows.max()
    if decimals is not None:
        np.testing.assert_array_equal(made, np.round(made, decimals))


def test_what_is_decoded_is_rounded_as_its_column_is() -> None:
    draws = np.random.default_rng(0)
    days = draws.integers(0, 900, 300) * 86400.0
    rows = np.stack(
        [draws.normal(size=300).round(3), draws.integers(0, 900, 300), days, days + 1, draws.integers(0, 3, 300)], 1
    )
    columns = [
        number("n", 3), Column("i", "integer", ""), Column("d", "datetime", "", resolution="day"),
        Column("s", "datetime", "", resolution="second"), Column("c", "category", "", categories=("a", "b", "c")),
    ]  # fmt: skip
    codec = fitted(rows, *columns, modes=5)
    made = codec.decode(torch.rand(500, codec.spec.size, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    np.testing.assert_array_equal(made[:, 0], made[:, 0].round(3))
    np.testing.assert_array_equal(made[:, [1, 3, 4]], np.rint(made[:, [1, 3, 4]]))
    assert not (made[:, 2] % 86400).any()
    assert len(np.unique(made[:, 1])) > 60  # more than modes: places are read, too
    assert set(made[:, 4]) == {0, 1, 2}


def test_what_a_diverged_model_says_is_refused() -> None:
    codec = fitted(np.arange(9.0)[:, None], number("x"))
    for wrong in (torch.nan, torch.inf):
        with pytest.raises(FictaError, match="the model that made them diverged"):
            codec.decode(torch.full((2, codec.spec.size), wrong))
    with pytest.raises(UsageError, match=r"rows have 1 columns, not the shape \(2, 3\)"):
        codec.encode(torch.zeros(2, 3, dtype=torch.float64))


def test_modes_are_learnt_from_the_training_split_alone(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    path = table(tmp_path, {"x": draws.integers(0, 400, 600).tolist(), "y": draws.integers(0, 10**6, 600).tolist()})
    dataset = read(path, test=0.3, table={"modes": 1000})
    train, test = (dataset.splits[name].read(0, len(dataset.splits[name]))[:, 0] for name in ("train", "test"))
    assert set(test) - set(train)
    knots = codec_of(dataset).facts()["knots"][0]
    assert knots["values"] == np.unique(train).tolist()
    assert dataset.codec.spec.columns[0].modes == len(np.unique(train))
    unseen = np.array([[max(set(test) - set(train)), 5.0]])
    again = codec_of(dataset).decode(dataset.codec.encode(torch.from_numpy(unseen)))[0, 0]
    assert abs(again - unseen[0, 0]) == np.abs(np.unique(train) - unseen[0, 0]).min()  # the nearest one


def test_rare_categories_share_modes(tmp_path: Path) -> None:
    words = ["often"] * 400 + ["also"] * 300 + [f"rare {place % 100}" for place in range(300)]
    dataset = read(table(tmp_path, {"x": words, "n": list(range(5)) * 200}), **WHOLE, table={"categories": 10})
    span = dataset.codec.spec.columns[0]
    assert 4 <= span.modes <= 12
    assert not span.ordered
    knots = codec_of(dataset).facts()["knots"][0]
    modes = dict(zip(knots["values"], knots["modes"], strict=True))
    names = codec_of(dataset).schema["columns"][0]["categories"]
    alone = [modes[names.index(word)] for word in ("often", "also")]
    assert all(knots["modes"].count(mode) == 1 for mode in alone)
    stored = everything(dataset)
    np.testing.assert_array_equal(dataset.codec.decode(dataset.codec.encode(torch.from_numpy(stored.copy()))), stored)
    whole = read(tmp_path / "t.csv", **WHOLE)
    assert whole.codec.spec.columns[0].modes == 102


def test_a_column_of_ten_thousand_categories_takes_no_more_modes_than_asked_for(tmp_path: Path) -> None:
    words = [f"w{place % 10_000}" for place in range(30_000)]
    dataset = read(table(tmp_path, {"x": words}), **WHOLE, table={"types": {"x": "category"}})
    assert codec_of(dataset).schema["columns"][0]["kind"] == "category"
    assert 200 <= dataset.codec.spec.columns[0].modes <= 258
    assert dataset.codec.spec.size <= 259
    stored = everything(dataset)[:10_000].copy()
    again = dataset.codec.decode(dataset.codec.encode(torch.from_numpy(stored)))
    np.testing.assert_array_equal(again, stored)
    facts = codec_of(dataset).facts()
    assert len(json.dumps(facts["knots"])) + len(json.dumps(facts["seen"])) < 600_000


def test_constants_empty_columns_identifiers_and_text(tmp_path: Path) -> None:
    path = write_orders(tmp_path / "t.csv", 200)
    lines = [f"{line},k" for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines).replace("note,k", "note,same"))
    dataset = read(path, **WHOLE)
    codec = codec_of(dataset)
    assert [span.name for span in codec.spec.columns] == [*LEARNT, "same"]
    assert codec.spec.columns[-1].modes == 1
    assert dataset.report["stored_shape"] == [10]
    told = describe(dataset.report)
    for said in (
        "column 'order_id' is not modelled: whole numbers under the name of an identifier, all 200 values differ",
        "column 'empty' is not modelled: no values",
        "column 'note' is not modelled: phrases that rarely repeat, 200 distinct values",
    ):
        assert f"note        {said}" in told
    assert "column      empty: empty, 200 missing (no values)" in told
    assert "column      units: integer, " in told
    codec.write([everything(dataset)[:3], everything(dataset)[:4]], tmp_path / "made.csv")
    made = pd.read_csv(tmp_path / "made.csv")
    assert made["order_id"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert list(made) == ["order_id", *LEARNT, "same"]
    assert set(made["same"]) == {"k"}


@pytest.mark.parametrize("words", ["some long words {i} and others", "{i}"])
def test_a_table_without_a_column_to_learn_is_refused(words: str, tmp_path: Path) -> None:
    path = table(tmp_path, {"id": [words.format(i=i) for i in range(1, 151)]})
    with pytest.raises(DataError, match=r"t\.csv has no column that can be learnt \(column 'id': .*; set data"):
        read(path)
    assert read(path, table={"types": {"id": "category"}}, **WHOLE).codec.spec.columns[0].name == "id"


# what can be asked for


@pytest.fixture(scope="module")
def run(train_small: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("asked")
    path = write_orders(folder / "orders.csv")
    return open_run(train_small("vae", folder / "run", *tiny(), "data.conditional=true", data=str(path)))


@pytest.fixture(scope="module")
def free(train_small: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("free")
    return open_run(train_small("vae", folder / "run", *tiny(), data=str(write_orders(folder / "orders.csv"))))


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"colur": "red"}, r"no column 'colur' to ask for: did you mean 'colour'\?"),
        ({"colour": "pink"}, "column 'colour' has no category 'pink': there is: blue, green, red"),
        ({"colour": ""}, "column 'colour' has no missing values in the data; ask for a value"),
        ({"units": "3.5"}, "column 'units': '3.5' is not a whole number"),
        ({"units": "99"}, "column 'units': '99' is outside of what the data hold, 1 to 8"),
        ({"price": "cheap"}, "column 'price' is 'cheap', not a number"),
        ({"price": "inf"}, "column 'price' is infinite"),
        ({"placed": "yesterday"}, "column 'placed' is 'yesterday', not a date from year 1 to 9999"),
        ({"placed": "1999-01-01"}, "column 'placed': '1999-01-01' is outside of what the data hold, 2020-01-02 to"),
        ({"member": "maybe"}, "column 'member' has no category 'maybe': did you mean 'yes'[?] there is: no, yes"),
        ({"order_id": "3"}, "column 'order_id' is not modelled: whole numbers under the name of an identifier"),
        ({"note": "3"}, "column 'note' is not modelled: phrases that rarely repeat"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_said_by_name(run: Any, where: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run.ask(where=where)


def test_rows_have_no_label_and_a_free_run_is_asked_for_nothing(run: Any, free: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rows have no label; ask for a value of a column: --where column=value"):
        run.ask("red")
    with pytest.raises(UsageError, match="not trained to be asked for values; train with --conditional"):
        free.ask(where={"colour": "red"})
    place = table(tmp_path, {"colour": ["red"]})
    with pytest.raises(UsageError, match="not trained to be asked for values; train with --conditional"):
        free.ask(complete=place)
    with pytest.raises(UsageError, match="rows to complete say themselves what is given; leave label and where out"):
        run.ask(complete=place, where={"colour": "red"})
    assert free.ask().condition(0, 3) is None
    assert free.sample(3).shape == (3, len(LEARNT))


def test_what_is_asked_for_is_encoded_as_data_are(run: Any) -> None:
    codec = run.stored.codec
    asked = run.ask(where={"colour": "red", "units": "", "placed": "2020-02-03", "member": "yes", "price": 12.34})
    condition = asked.condition(5, 2)
    assert torch.equal(condition[0], condition[1])
    row = asked.keep(codec.decode(condition), 0)
    encoded = codec.encode(torch.from_numpy(row))
    parts = codec._owner
    for place, span in enumerate(codec.spec.columns):
        own = condition[:, parts == place]
        known = span.name in ("colour", "units", "placed", "member", "price")
        assert torch.equal(own, encoded[:, parts == place] if known else torch.zeros_like(own)), span.name
    frame = codec.frame(row)
    assert frame.loc[0, ["colour", "member"]].tolist() == ["red", "yes"]
    assert (str(frame["placed"][0]), frame["price"][0], bool(frame["units"].isna()[0])) == ("2020-02-03", 12.34, True)


def test_conditions_in_training_are_drawn(run: Any) -> None:
    codec = run.stored.codec
    count = 4000
    rows = np.tile(run.sample(40), (100, 1))
    data = codec.encode(torch.from_numpy(rows))
    condition = codec.condition(codec.spec, data, None, Noise.whole(3, "cpu", count))
    columns, parts = len(codec.spec.columns), codec._owner
    hot = len(data[0]) - len(codec._modes.placed)
    told = torch.stack([condition[:, :hot][:, parts[:hot] == place].sum(1) for place in range(columns)], 1)
    assert set(told.unique().tolist()) == {0.0, 1.0}
    which = told[:, parts] > 0
    assert torch.equal(condition, torch.where(which, data, torch.zeros(())))  # as the data are, or nothing
    nothing = float((told.sum(1) == 0).float().mean())
    assert nothing == pytest.approx(0.5 + 0.5 / (columns + 1), abs=0.03)
    amounts = torch.bincount(told.sum(1).long(), minlength=columns + 1)[1:]
    assert amounts.min() > 0.6 * amounts.max()  # of those asked for, few are as frequent as many
    assert not codec.condition(codec.spec, data, None, None).any()


def test_a_table_is_completed(run: Any, tmp_path: Path) -> None:
    cells = {
        "member": ["yes", "", "no"],
        "price": ["12.30", "", ""],
        "units": ["", "3", ""],
    }
    asked = run.ask(complete=table(tmp_path, cells))
    assert isinstance(asked, Rows)
    assert asked.count == 3
    made = run.rows(complete=tmp_path / "t.csv")
    assert len(made) == 3
    assert (made["member"][0], made["member"][2], made["price"][0], made["units"][1]) == ("yes", "no", 12.3, 3)
    assert set(made["member"]) <= {"yes", "no"}
    assert made[["placed", "price", "colour", "score"]].notna().all(axis=None)
    again = run.rows(7, complete=tmp_path / "t.csv")  # from the first row on again
    assert again["member"][[0, 2, 3, 5, 6]].tolist() == ["yes", "no", "yes", "no", "yes"]
    assert again["units"][[1, 4]].tolist() == [3, 3]
    assert again["score"].nunique() == 7
    frame = pd.DataFrame({"member": ["no", None], "units": [2, 5]})
    assert run.rows(complete=frame)["units"].tolist() == [2, 5]


@pytest.mark.parametrize(
    ("cells", "error", "told"),
    [
        ({"membr": ["yes"]}, UsageError, r"t\.csv has a column 'membr' that the run does not: did you mean 'member'"),
        ({"colour": ["red", "pink"]}, DataError, r"t\.csv, row 2: column 'colour' is 'pink', not among its categories"),
        ({"price": ["1", "x"]}, DataError, "row 2: column 'price' is 'x', not a number; mend it or leave it empty"),
        ({"price": ["inf"]}, DataError, "row 1: column 'price' is infinite"),
        ({"placed": ["2020-02-30"]}, DataError, "row 1: column 'placed' is '2020-02-30', not a date"),
        ({"member": ["yes", "no"], "units": ["2", "2.5"]}, DataError, "row 2: column 'units' is 2.5, not a whole"),
        ({"member": []}, DataError, "has no rows after the names of its columns"),
    ],
)  # fmt: skip
def test_what_cannot_be_completed(run: Any, cells: dict[str, list[str]], error: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=told):
        run.ask(complete=table(tmp_path, cells))


def test_only_a_table_can_be_completed(run: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a")
    for wrong in (tmp_path / "nowhere.csv", tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UsageError, match="is no table to complete; name a CSV, TSV, Parquet or Excel file"):
            run.ask(complete=wrong)


def test_a_run_keeps_what_was_learnt_with_constraints_and_conditions(tmp_path: Path) -> None:
    constraints = ["placed <= shipped", "total = price + tax", "unique order_id"]
    settings_ = {"conditional": True, "table": {"constraints": constraints, "modes": 7, "types": {"units": "category"}}}
    dataset = read(write_orders(tmp_path / "t.csv"), **settings_)
    codec = codec_of(dataset)
    facts = json.loads(json.dumps(codec.facts(), allow_nan=False))
    again = codec_from_facts(facts)
    assert isinstance(again, TableCodec)
    assert again.settings == codec.settings
    assert again.spec == codec.spec
    assert again.spec.condition is not None
    assert json.loads(json.dumps(again.facts())) == facts
    rows = everything(dataset)
    encoded = codec.encode(torch.from_numpy(rows.copy()))
    assert torch.equal(again.encode(torch.from_numpy(rows.copy())), encoded)
    np.testing.assert_array_equal(again.decode(encoded), codec.decode(encoded))
    where = {"placed": "2020-03-01", "units": "3"}
    assert torch.equal(again.ask(where=where).condition(0, 1), codec.ask(where=where).condition(0, 1))  # type: ignore[arg-type]
    assert again.overview(rows[:50]).tobytes() == codec.overview(rows[:50]).tobytes()


# another source, read as the first was


def by_schema(path: Path, dataset: Dataset, **given: Any) -> Dataset:
    return ingest(DataSettings.read({"path": str(path), **WHOLE, **given}, "data"), schema=dataset.codec.schema)


def test_another_source_is_read_by_the_schema_of_the_first(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, {"x": ["b", "c", "a"] * 40, "n": ["1", "2.5", "3"] * 40}), **WHOLE)
    other = table(tmp_path, {"n": ["7"] * 30, "extra": ["q"] * 30, "x": ["c"] * 30}, "other.csv")
    assert everything(by_schema(other, dataset)).tolist() == [[2.0, 7.0]] * 30
    assert everything(read(other, **WHOLE)).tolist() == [[7.0, 0.0, 0.0]] * 30  # by its own
    lacking = table(tmp_path, {"x": ["a"] * 30}, "lacking.csv")
    with pytest.raises(DataError, match=r"lacking\.csv has no column 'n', which the other rows have; add it"):
        by_schema(lacking, dataset)
    strange = table(tmp_path, {"x": ["a"] * 29 + ["z"], "n": ["1"] * 30}, "strange.csv")
    found = by_schema(strange, dataset, max_skipped=0.1)
    assert [item["name"] for item in found.report["skipped"]] == ["row 30"]
    assert found.report["skipped"][0]["reason"] == "column 'x' is 'z', not among its categories"
    with pytest.raises(DataError, match="could not be read, more than"):
        by_schema(strange, dataset)


# what is remembered of many rows


def test_few_rows_are_all_remembered_in_their_order() -> None:
    thinned = Thinned(most=100)
    rows = np.random.default_rng(0).normal(size=(100, 3))
    for start in range(0, 100, 33):
        thinned.add(rows[start : start + 33])
    np.testing.assert_array_equal(thinned.sample(), rows)


def test_of_many_rows_a_random_sample_and_both_ends_are_remembered() -> None:
    draws = np.random.default_rng(1)
    rows = np.stack([draws.permutation(10_000).astype(float), np.arange(10_000.0), np.full(10_000, np.nan)], 1)
    rows[17, 0] = np.nan
    samples = []
    for _ in range(2):
        thinned = Thinned(most=100)
        for start in range(0, 10_000, 250):
            thinned.add(rows[start : start + 250])
            assert sum(map(len, thinned._rows)) <= 2 * 100 + 250
        samples.append(thinned.sample())
    first, again = samples
    np.testing.assert_array_equal(first, again)
    assert len(first) == 102
    assert (np.nanmin(first[:, 0]), np.nanmax(first[:, 0])) == (np.nanmin(rows[:, 0]), np.nanmax(rows[:, 0]))
    assert np.isnan(first[:, 2]).all()
    assert (np.diff(first[:100, 1]) > 0).all()
    assert 3500 < first[:100, 1].mean() < 6500  # neither the first rows nor the last
    assert (first[:100, 1] < 2500).sum() > 10


def test_what_was_seen_of_a_number() -> None:
    values = np.concatenate([np.linspace(0, 10, 960), [1e9], np.full(39, np.nan)])
    seen = Seen.of(values, ordered=True)
    assert len(seen.edges) == BINS + 1
    assert seen.edges[-1] < 20  # an outlier lies in the outermost bin
    assert len(seen.shares) == BINS + 1
    assert sum(seen.shares) == pytest.approx(1)
    assert seen.shares[-1] == pytest.approx(0.039)
    assert Seen.from_json(json.loads(json.dumps(seen.to_json()))) == seen
    panel = seen.panel(number("x"), np.array([-5.0, 5.0, 500.0, np.nan]))
    assert (panel.made[0], panel.made[-1], panel.made.sum()) == (0.25, 0.25, 0.75)
    assert panel.ends == ("0.024", "9.986") or panel.ends[0].startswith("0.0")


@pytest.mark.parametrize("values", [[], [7.0], [np.nan, np.nan], [1e308, -1e308], [1e300, 1e300], [0.0, 5e-324]])
def test_any_numbers_are_seen(values: list[float]) -> None:
    seen = Seen.of(np.array(values), ordered=True)
    assert np.isfinite(seen.edges).all()
    assert (np.diff(seen.edges) >= 0).all()
    assert sum(seen.shares) == pytest.approx(1 if values else 0)


def test_what_was_seen_of_categories() -> None:
    column = Column("c", "category", "", categories=tuple("abcdefghijklmnop"))
    values = np.repeat(np.arange(16.0), np.arange(16, 0, -1))
    seen = Seen.of(values, ordered=False)
    assert seen.codes == list(range(SHOWN))
    assert sum(seen.shares) == pytest.approx(1)
    panel = seen.panel(column, np.array([0.0, 15, np.nan, np.nan]))
    assert list(panel.names) == [*"abcdefghij", "other", "missing"]
    assert panel.made.tolist() == [0.25, *[0] * 9, 0.25, 0.5]
    few = Seen.of(np.array([0.0, 1, 1]), ordered=False).panel(column, np.array([1.0]))
    assert list(few.names) == ["b", "a"]


# pictures of odd tables


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ({"x": 1}, 5),
        ({f"column {place}": 1 for place in range(100)}, 60),
        ({"a very long name that goes on and on and has no end at all " * 5: 1, "b": 1}, 3),
        ({"列名": 1, "עברית": 1, "🙂": 1, "$\\frac$": 1, "_hidden": 1, "a\nb": 1}, 4),
    ],
    ids=["one column", "100 columns", "long names", "other scripts"],
)
def test_odd_tables_can_be_looked_at(columns: dict[str, int], rows: int, tmp_path: Path) -> None:
    words = ["日本 " * 9, "", "x\ny"]
    cells = {
        name: [words[(row + place) % 3] if place % 2 else str(row % 9) for row in range(30)]
        for place, name in enumerate(columns)
    }
    dataset = read(table(tmp_path, cells), **WHOLE)
    stored = np.tile(everything(dataset), (3, 1))[:rows]
    for picture in (
        dataset.codec.preview(stored),
        dataset.codec.preview(stored, captions=[f"row {place}" for place in range(rows)]),
        dataset.codec.overview(stored),
        dataset.codec.overview(stored[:1]),
    ):
        assert picture.mode == "RGB"
        assert 20 < picture.width < 5000
        assert 40 < picture.height < 5000
        assert len(picture.getcolors(1 << 20)) > 3


def test_the_overview_shows_the_samples_beside_the_data() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 1))
    codec = fitted(rows, number("x"))
    pictures = [codec.overview(other).tobytes() for other in (rows, rows + 3, np.full((5, 1), np.nan))]
    assert len(set(pictures)) == 3


def test_a_data_frame_is_read_as_its_file_is(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, None, 3], "c": ["x", "y", None], "t": pd.to_datetime(["2020-01-01"] * 3)})
    columns, _ = infer(open_frame(frame).blocks(), {}, ("",))
    assert [column.kind for column in columns] == ["integer", "category", "datetime"]
    codec = fitted(np.array([[1.0, 0, 0], [np.nan, 1, 0], [3, np.nan, 0]]), *columns)
    assert codec.frame(np.array([[1.0, 0, 0]]))["c"].tolist() == ["x"]


def test_the_same_rows_are_the_same_content(tmp_path: Path) -> None:
    path = write_orders(tmp_path / "t.csv", 60)
    before = read(path).report["content_hash"]
    path.write_text(path.read_text().replace(order_lines(1)[0], order_lines(1, seed=5)[0]))
    assert read(path).report["content_hash"] != before
