"""The command line on tables: every command, every kind of file, and what is said of wrong calls and of bad files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Ficta, one_object

import ficta as package
from ficta import api
from ficta.compute import tensors
from ficta.train import loop
from stopping import StopAt, StoppedError
from table_making import CONSTRAINTS, HEAD, LEARNT, order_lines, tiny, write_orders


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_orders(folder / "orders.csv")
    return folder


@pytest.fixture(scope="module")
def trained(train_small: Callable[..., Path], place: Path) -> dict[str, Path]:
    """Runs only to be read: one to be asked, one free."""
    data = str(place / "orders.csv")
    asked = train_small("vae", place / "asked", *tiny(), CONSTRAINTS, "data.conditional=true", data=data)
    return {"asked": asked, "free": train_small("vae", place / "free", *tiny(), data=data)}


def test_train_sample_explore_evaluate_compare(
    place: Path, tmp_path: Path, ficta: Callable[..., Ficta], train_small: Callable[..., Path]
) -> None:
    data, run = place / "orders.csv", tmp_path / "one"
    options = ["--conditional", "--seed", "1", "--out", run, *sets(*tiny(), CONSTRAINTS)]
    done = ficta("train", "vae", "--data", data, *options)
    assert done.code == 0, done.err
    assert f"{run}: look at {run / 'report.html'}" in done.out
    drawn = {f"explore/{name}.png" for name in ("sheet", "associations", "latent")}
    assert {*drawn, "report.html", "card.md", "samples/progress.webp"} <= files(run)
    runs = [run, train_small("vae", tmp_path / "two", *tiny(), CONSTRAINTS, data=str(data))]
    page = (run / "report.html").read_text()
    assert all(name in page for name in ("placed", "shipped", "colour", "order_id"))
    assert api.open_run(run).recipe["preset"] == "table-vae"

    explored = one_object(ficta("explore", run, "--json"))
    assert [Path(path).stem for path in explored["pictures"]] == ["sheet", "associations", "latent"]
    assert (explored["not_defined"], explored["unread"]) == ([], "")

    for each in runs:
        found = one_object(ficta("evaluate", each, "-n", "20", "--parts", "2", "--json"))["results"]
        assert {"column-shapes", "pair-trends", "new-rows"} <= {row["name"] for row in found}
    assert "column-shapes" in ficta("compare", *runs).out
    compared = tmp_path / "compared.html"
    rows = one_object(ficta("compare", *runs, "--out", compared, "--json"))["rows"]
    assert "pair-trends" in {row["name"] for row in rows}
    assert "column-shapes" in compared.read_text()
    assert "column-shapes" in (run / "report.html").read_text()

    made = tmp_path / "made.csv"
    assert ficta("sample", run, "-n", "100", "--out", made).code == 0
    judged = ["evaluate", made, "--reference", data, "-n", "20", "--parts", "2", "--out", tmp_path / "judged"]
    assert {"column-shapes", "new-rows"} <= {row["name"] for row in one_object(ficta(*judged, "--json"))["results"]}
    assert {"closest.png", "results.jsonl"} == files(tmp_path / "judged")


def test_data(place: Path, ficta: Callable[..., Ficta]) -> None:
    report = one_object(ficta("data", place / "orders.csv", "--json", *sets(CONSTRAINTS)))
    assert (report["codec"], report["item"], report["read"], report["stored_shape"]) == ("table", "row", 600, [9])
    told = ficta("data", place / "orders.csv").out
    assert "column      order_id: identifier (whole numbers under the name of an identifier, all 600" in told
    assert "column      units: integer, " in told
    assert "column      member: boolean, 2 values (no and yes)" in told
    assert "samples of 9 columns, " in told


READ = {".csv": pd.read_csv, ".tsv": lambda path: pd.read_csv(path, sep="\t"), ".parquet": pd.read_parquet}


@pytest.mark.parametrize("ending", READ)
def test_samples_as_a_file(ending: str, trained: dict[str, Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    run, out = trained["asked"], tmp_path / "new" / f"made{ending}"
    done = one_object(ficta("sample", run, "-n", "700", "--seed", "3", "--out", out, "--json"))
    assert (done["n"], done["files"], done["sheet"]) == (700, 1, str(out.with_suffix(".png")))
    assert files(tmp_path) == {f"new/made{ending}", "new/made.png"}
    made, expected = READ[ending](out), api.open_run(run).rows(700, seed=3)
    assert list(made) == ["order_id", *LEARNT]
    assert made["order_id"].tolist() == list(range(1, 701))  # over chunks, too
    assert made["colour"].tolist() == expected["colour"].tolist()
    assert made["placed"].astype(str).tolist() == expected["placed"].astype(str).tolist()
    for name in ("units", "price", "total", "score"):
        np.testing.assert_array_equal(made[name].to_numpy(float), expected[name].to_numpy(float))
    assert 0 < made["units"].isna().sum() < 300
    np.testing.assert_allclose(made["price"] + made["tax"], made["total"])
    assert (made["placed"].astype(str) <= made["shipped"].astype(str)).all()


def test_samples_in_a_folder_and_as_an_array(
    trained: dict[str, Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    for name in ("made", "version.2"):
        for n in ("5", "3"):  # the same folder again
            assert ficta("sample", trained["free"], "-n", n, "--out", tmp_path / name).code == 0
        assert files(tmp_path / name) == {"samples.csv", "sheet.png"}
        assert len((tmp_path / name / "samples.csv").read_text().splitlines()) == 4
    assert ficta("sample", trained["free"], "-n", "5", "--out", tmp_path / "made.npz").code == 0
    with np.load(tmp_path / "made.npz") as packed:
        np.testing.assert_array_equal(packed["samples"], api.open_run(trained["free"]).sample(5))


@pytest.mark.parametrize("name", ["made.csv", "made.tsv", "made.parquet"])
def test_a_file_that_is_there_is_not_replaced(
    name: str, trained: dict[str, Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    for taken in (name, "made.png"):
        (tmp_path / taken).write_text("precious")
        done = ficta("sample", trained["free"], "-n", "3", "--out", tmp_path / name)
        assert (done.code, done.out) == (2, "")
        assert f"{taken} is there already and would be lost" in done.err
        assert files(tmp_path) == {taken}
        assert (tmp_path / taken).read_text() == "precious"
        (tmp_path / taken).unlink()


def test_samples_that_are_asked_for(trained: dict[str, Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    out = tmp_path / "made.csv"
    where = ["--where", "colour=blue", "--where", " units = 3", "--where", "placed=2020-03-01"]
    assert ficta("sample", trained["asked"], *where, "-n", "300", "--out", out).code == 0
    made = pd.read_csv(out)
    assert (set(made["colour"]), set(made["units"]), set(made["placed"])) == ({"blue"}, {3}, {"2020-03-01"})
    assert (made["shipped"] >= "2020-03-01").all()
    assert made["score"].nunique() > 100
    assert len(made) == 300


def test_a_table_is_completed(trained: dict[str, Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    lines = [line.split(",") for line in order_lines(40, seed=9)]
    for number, cells in enumerate(lines):
        cells[1 + number % 3] = ""
        cells[-1] = ""
    kept = [place for place, name in enumerate(HEAD.split(",")) if name in LEARNT]
    table = [HEAD.split(","), *lines]
    rows = [",".join(cells[place] for place in kept) for cells in table]
    (tmp_path / "gaps.csv").write_text("\n".join(rows) + "\n")
    options = ["--complete", tmp_path / "gaps.csv", "--out", tmp_path / "whole.csv"]
    assert one_object(ficta("sample", trained["asked"], *options, "--json"))["n"] == 40
    before, after = pd.read_csv(tmp_path / "gaps.csv"), pd.read_csv(tmp_path / "whole.csv")
    for name in LEARNT:
        kept = before[name].notna()
        assert after[name][kept].tolist() == before[name][kept].tolist(), name
    assert after[["placed", "shipped"]].notna().all(axis=None)
    assert (after["placed"] <= after["shipped"]).all()


WRONG = [
    ("sample {asked} --where colur=red", "no column 'colur' to ask for: did you mean 'colour'"),
    ("sample {asked} --where colour=pink", "column 'colour' has no category 'pink': there is: blue, green, red"),
    ("sample {asked} --where colour", "--where 'colour' needs the form column=value, such as age=37"),
    ("sample {asked} --where units=2.5", "is not a whole number"),
    ("sample {asked} --where units=99", "is outside of what the data hold, 1 to 8"),
    ("sample {asked} --where note=x", "column 'note' is not modelled"),
    ("sample {asked} --where total=50", "breaks 'total = price + tax'; a sum that is given needs all of its parts"),
    ("sample {asked} --where placed=2020-06-01 --where shipped=2020-05-01", "what is given breaks 'placed <= shipped'"),
    ("sample {asked} --label red", "rows have no label; ask for a value of a column: --where column=value"),
    ("sample {asked} --complete nowhere.csv", "nowhere.csv is no table to complete; name a CSV"),
    ("sample {asked} --complete {strange}", "has a column 'colur' that the run does not: did you mean 'colour'"),
    ("sample {asked} --complete {data} --where units=3", "leave label and where out"),
    ("sample {free} --where units=3", "not trained to be asked for values; train with --conditional"),
    ("sample {asked} --complete {data}", "has a column 'order_id', which is not modelled and would be lost"),
    ("sample {free} --out made.xlsx", "is a file; give a folder, or a path ending in .npz, .csv, .tsv, .parquet"),
    ("evaluate {free} --target colur -n 20 --parts 2", "no column 'colur' to be predicted: did you mean 'colour'"),
    ("data {data} --set data.table.type.units=number", "did you mean 'types'"),
    ("data {data} --set data.table.types.unit=number", "has no column 'unit': did you mean 'units'"),
    ("data {data} --set data.table.types.units=nmber", "data.table.types = 'nmber': did you mean 'number'"),
    ("data {data} --set data.table.modes=0", "data.table.modes = 0"),
    ('data {data} --set data.table.constraints=["placed<shipped"]', "write 'a <= b', 'a < b', 'total = a + b'"),
    ("data {data} --set data.table.constraints=['placed\u00a0<\u00a0shipped','shipped\u00a0<\u00a0placed']",
     "contradict each other: placed and shipped would each lie above the other"),
    ("train vae --data {data} --out {out} --set data.table.constraints=['colour\u00a0<\u00a0tax']",
     "no column 'colour' of numbers or times"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[call for call, _ in WRONG])
def test_wrong_calls(
    call: str,
    said: str,
    place: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    ficta: Callable[..., Ficta],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange.csv").write_text("colur\nred\n")
    before = {run: files(trained[run]) for run in trained}
    places = {"data": place / "orders.csv", "out": tmp_path / "out", "strange": tmp_path / "strange.csv", **trained}
    done = ficta(*(word.format(**places).replace("\u00a0", " ") for word in call.split(" ")))
    assert (done.code, done.out) == (2, ""), done.err
    assert done.err.startswith("ficta: ")
    assert len(done.err.splitlines()) == 1
    assert said in done.err
    assert {run: files(trained[run]) for run in trained} == before
    assert files(tmp_path) <= {"strange.csv", "out/lock"}


def many(line: str, n: int = 300) -> str:
    return "a,b\n" + "".join(line.format(i=i, j=i % 7) + "\n" for i in range(n))


BAD = {
    "empty": (b"", "t.csv is empty; name another file"),
    "head alone": (b"a,b\n", "has no rows after the names of its columns; name another file"),
    "one row": (b"a,b\n1,x\n", "1 row to train on; a distribution takes two at least, and many to learn"),
    "two of one name": (b"a,b,a\n1,2,3\n", "columns 1, 3 are all called 'a'; give each a name of its own"),
    "two encodings": (many("{j},é").encode() + "1,é\n".encode("latin-1"), "line 302: not in UTF-8, as the rest of the"),
    "zero bytes": (b"a,b\n1,\0\n", "line 2: zero bytes, so it is no text in UTF-8"),
    "an open quote": (many("{j},x").encode() + b'1,"x\n', "a quote that is never closed"),
    "too many ragged rows": (
        (many("{j},x") + "1\n" * 20).encode(),
        "20 of 320 rows could not be read, more than data.",
    ),
    "too many infinities": ((many("{i}.5,{j}") + "inf,1\n" * 9).encode(), "9 of 309 rows could not be read"),
    "nothing to learn": (("id\n" + "\n".join(map(str, range(1, 99)))).encode(), "has no column that can be learnt"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_line(case: str, tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    content, said = BAD[case]
    (tmp_path / "t.csv").write_bytes(content)
    for call in (["data"], ["train", "vae", "--out", tmp_path / "run", "--samples", "64", "--data"]):
        done = ficta(*call, tmp_path / "t.csv")
        assert done.code == 1, done.err
        assert said in done.err.splitlines()[-1]
        assert done.err.splitlines()[-1].startswith("ficta: ")
        assert not (tmp_path / "run").exists() or not files(tmp_path / "run") - {"lock"}


ODD = {
    "ragged rows": (many("{j},x{i}") + "1\n1,2,3\n", {"skipped": 2, "read": 300}, "1 field where the header has 2"),
    "infinities": (many("{i}.5,{j}") + "inf,1\n1e999,1\n", {"skipped": 2, "read": 300}, "column 'a' is infinite"),
    "a date out of range": (many("20{j:02d}-01-02,{j}") + "10000-01-01,1\n2001-02-30,1\n", {"skipped": 2, "read": 300},
                            "not a date from year 1 to 9999"),
    "five rows": ("a,b\n1,x\n2,y\n4,x\n5,x\n7,y\n", {"read": 5}, "only 3 rows to train on: expect copies"),
    "one column": ("a\n" + "1\n2\n3\n" * 50, {"read": 150}, "of 1 column, 3 numbers in the model"),
    "constants": (many("7,x"), {"read": 300}, "column 'a' holds the same value in every row"),
    "semicolons": (many("{j},5;x").replace("a,b", "a;b"), {"read": 300}, "fields are divided by semicolons"),
    "a name that is none": (many("{j},x{j}").replace("a,b", "a,"), {"read": 300}, "without a name are called column 2"),
    "too many categories": ("a,b\n" + "".join(f"w{i} {i % 5},{i % 7}\n" for i in range(200_000)), {"read": 200_000},
                            "column 'a' is not modelled: "),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_files_are_read_and_what_is_odd_is_said(case: str, tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    content, counts, said = ODD[case]
    (tmp_path / "t.csv").write_text(content)
    done = ficta("data", tmp_path / "t.csv")
    assert done.code == 0, done.err
    assert said in done.out
    report = one_object(ficta("data", tmp_path / "t.csv", "--json"))
    assert {"read": report["read"], "skipped": len(report["skipped"])} | counts == {
        "read": report["read"],
        "skipped": len(report["skipped"]),
    }


@pytest.mark.parametrize("case", ["five rows", "one column", "constants"])
def test_odd_files_can_be_learnt(case: str, tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    (tmp_path / "t.csv").write_text(ODD[case][0])
    run = tmp_path / "run"
    done = ficta("train", "vae", "--data", tmp_path / "t.csv", "--out", run, *sets(*tiny(samples=200)))
    assert done.code == 0, done.err
    assert (run / "report.html").exists()
    assert ficta("sample", run, "-n", "3", "--out", tmp_path / "made.csv").code == 0
    made, data = pd.read_csv(tmp_path / "made.csv"), pd.read_csv(tmp_path / "t.csv")
    assert len(made) == 3
    assert all(set(made[name]) <= set(data[name]) for name in data)


# a run that was stopped, and data frames


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_run_that_was_stopped_ends_in_the_same_bits(
    name: str, place: Path, tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0)
    conditional = [CONSTRAINTS, "data.conditional=true"] if name == "vae" else []
    settings = [*tiny(name, 1000), *conditional, "train.reports=4"]
    data, often = str(place / "orders.csv"), "train.save_every_samples=150"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_small(name, whole, *settings, data=data)
    for moment in (120, 480, 820):
        with pytest.raises(StoppedError):
            train_small(name, parts, *settings, often, data=data, watchers=[StopAt(moment)])
    train_small(name, parts, *settings, often, data=data)
    one, other = (tensors.load(run / "weights.safetensors")[0] for run in (whole, parts))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    np.testing.assert_array_equal(api.open_run(whole).sample(50), api.open_run(parts).sample(50))
    sheets = [{path.name: path.read_bytes() for path in (run / "samples").glob("*.png")} for run in (whole, parts)]
    assert sheets[0] == sheets[1]
    assert sheets[0]


def test_a_gan_learns_rows(place: Path, tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    run = tmp_path / "run"
    options = ["--out", run, "--conditional", *sets(*tiny("gan", 600), CONSTRAINTS)]
    done = ficta("train", "gan", "--data", place / "orders.csv", *options)
    assert done.code == 0, done.err
    assert {"explore/sheet.png", "explore/associations.png"} <= files(run)
    out = tmp_path / "made.csv"
    assert ficta("sample", run, "-n", "300", "--where", "colour=blue", "--out", out).code == 0
    made = pd.read_csv(out)
    assert set(made["colour"]) == {"blue"}
    assert (made["placed"] <= made["shipped"]).all()
    np.testing.assert_allclose(made["price"] + made["tax"], made["total"])


def test_data_frames_in_and_out(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": np.where(draws.random(400) < 0.2, np.nan, draws.integers(0, 9, 400)),
            "x": draws.normal(size=400),
            "c": pd.Categorical(draws.choice(["a", "b"], 400)),
            "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(draws.integers(0, 99, 400), unit="D"),
            "yes": draws.random(400) < 0.5,
        },
        index=draws.permutation(400),
    )
    assignments = tiny(samples=500)
    run = package.train(
        "vae", frame, tmp_path / "run", settings={"data": {"conditional": True}}, assignments=assignments
    )
    made = run.rows(200, where={"c": "b"})
    assert isinstance(made, pd.DataFrame)
    assert list(made) == list(frame)
    assert set(made["c"]) == {"b"}
    assert made["t"].astype(str).between("2020-01-01", "2020-04-10").all()
    assert 0 < made["n"].isna().sum() < 150
    assert set(made["yes"]) <= {"true", "false", True, False}
    again = api.open_run(tmp_path / "run")
    assert again.rows(200, where={"c": "b"}).equals(made)
    assert {row["name"] for row in again.evaluate(n=20, parts=2)} >= {"column-shapes"}
    completed = again.rows(complete=frame[["c", "n"]].head(30))
    assert completed["c"].tolist() == frame["c"].head(30).tolist()


def test_pictures_are_no_rows(small_runs: Callable[[str], Path], place: Path, ficta: Callable[..., Ficta]) -> None:
    run, data = small_runs("vae-conditional"), place / "orders.csv"
    for words, told in (
        (["--where", "a=1"], "--label"),
        (["--complete", str(data)], "a picture cannot be completed; rows of a table can"),
    ):
        done = ficta("sample", run, *words)
        assert done.code == 2, done.err
        assert told in done.err
    with pytest.raises(package.UsageError if hasattr(package, "UsageError") else Exception, match="no row; use sample"):
        api.open_run(run).rows(3)


def test_the_order_of_rows_is_that_of_the_seed(trained: dict[str, Path]) -> None:
    run = api.open_run(trained["asked"])
    whole = run.sample(600, seed=4)
    parts = list(itertools.islice(run.samples(300, seed=4), 2))
    np.testing.assert_array_equal(np.concatenate(parts)[:300], whole[:300])
    assert not np.array_equal(run.sample(5, seed=5), whole[:5], equal_nan=True)


def test_a_wish_alone_makes_a_hundred_rows(trained: dict[str, Path]) -> None:
    rows = api.open_run(trained["asked"]).rows(where={"colour": "red"})
    assert len(rows) == 100
    assert set(rows["colour"]) == {"red"}
