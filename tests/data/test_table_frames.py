"""Tables in files and frames: every way to write one that is read, and each that is refused, by name."""

from __future__ import annotations

import codecs
import datetime
import gzip
import sys
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import silent
from ficta.data.codec import Skipped
from ficta.data.table import delimited, frames
from ficta.data.table.blocks import BLOCK_ROWS, Block
from ficta.data.table.columns import Column, convert, infer, to_arrow
from ficta.data.table.frames import TableSource, is_table, keep_frame, open_frame, open_table

BLANKS = ("", "NA")
PLAIN = "age,name\n17,Ann\n18,Bob\n"


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> TableSource:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    return open_table(folder / name)


def rows(source: TableSource) -> list[dict[str, Any]]:
    return [row for block in source.blocks() for row in block.table.to_pylist()]


def skipped(source: TableSource) -> list[Skipped]:
    return [item for block in source.blocks() for item in block.skipped]


def numbers(source: TableSource) -> list[int]:
    return [int(number) for block in source.blocks() for number in block.numbers]


def stored(source: TableSource) -> tuple[list[Column], np.ndarray]:
    columns, _ = infer(source.blocks(), {}, BLANKS)
    return columns, np.concatenate([convert(block, columns)[0] for block in source.blocks()])


def workbook(path: Path, cells: Sequence[Sequence[Any]], *more: str) -> TableSource:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in cells:
        book.active.append(row)
    for name in more:
        book.create_sheet(name)
    book.save(path)
    return open_table(path)


def test_what_is_a_table():
    for name in ("a.csv", "a.TSV", "a.tab", "a.csv.gz", "A.Tsv.Gz", "a.parquet", "a.xlsx"):
        assert is_table(Path(name)), name
    for name in ("a.png", "a.gz", "a.parquet.gz", "csv", "a.npy", "a.idx.gz", "a.txt"):
        assert not is_table(Path(name)), name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", PLAIN),
        ("a.csv", PLAIN.strip()),
        ("a.csv", PLAIN.replace("\n", "\r\n")),
        ("a.csv", PLAIN.replace("\n", "\r")),
        ("a.csv", "\n\n" + PLAIN.replace("18", "\n\n18") + "\n\n"),
        ("a.csv", " age , name\n17,Ann\n18,Bob\n"),
        ("a.csv", PLAIN.replace(",", ";")),
        ("a.csv", PLAIN.replace(",", "|")),
        ("a.csv", '"age","name"\n"17","Ann"\n"18","Bob"'),
        ("a.tsv", PLAIN.replace(",", "\t")),
        ("a.tab", PLAIN.replace(",", "\t")),
        ("a.tsv", PLAIN),
        ("a.csv.gz", PLAIN),
        ("a.tsv.gz", PLAIN.replace(",", "\t")),
        ("a.csv", codecs.BOM_UTF8 + PLAIN.encode()),
        ("a.csv", PLAIN.encode("utf-16")),
        ("a.csv", codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be")),
    ],
)
def test_every_way_to_write_the_same_table(tmp_path, name, content):
    source = written(tmp_path, content, name)
    assert rows(source) == [{"age": "17", "name": "Ann"}, {"age": "18", "name": "Bob"}]
    assert numbers(source) == [1, 2]
    assert (source.kind, source.codec, source.place) == ("csv", "table", str(tmp_path / name))
    assert 2 <= source.listing().count <= 8


def test_quotes_protect_delimiters_lines_and_quotes(tmp_path):
    source = written(tmp_path, 'a,"b, and\nc"\n1,"x, ""y""\nz"\n2,5" disk\n')
    assert rows(source) == [{"a": "1", "b, and\nc": 'x, "y"\nz'}, {"a": "2", "b, and\nc": '5" disk'}]


def test_the_last_row_may_span_lines(tmp_path):
    source = written(tmp_path, 'a,b\n1,2\n3,"4\n5"\n')
    assert rows(source)[-1] == {"a": "3", "b": "4\n5"}


def test_long_rows_do_not_hide_the_delimiter(tmp_path):
    long = ",".join("x" * 9 for _ in range(60_000))
    source = written(tmp_path, f"a;b\n{long};1\n{long};2\n{long};3\n")
    assert [row["b"] for row in rows(source)] == ["1", "2", "3"]


def test_words_may_hold_other_delimiters(tmp_path):
    assert rows(written(tmp_path, "a;b\n1,5;x\n2,5;y\n")) == [{"a": "1,5", "b": "x"}, {"a": "2,5", "b": "y"}]
    assert rows(written(tmp_path, "text\nHello, world\nNothing\n")) == [{"text": "Hello, world"}, {"text": "Nothing"}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_noted(tmp_path, delimiter):
    what = {";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
    source = written(tmp_path, PLAIN.replace(",", delimiter))
    assert source.listing().notes == [f"fields are divided by {what}"]
    assert written(tmp_path, PLAIN).listing().notes == []


def test_other_encodings_are_noted(tmp_path):
    text = PLAIN.replace("Ann", "Zoë €")
    for encoding, note in [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("utf-16", ["read as UTF-16, since it is not UTF-8"]),
        ("cp1252", ["read as Windows-1252, since it is not UTF-8"]),
    ]:
        source = written(tmp_path, text.encode(encoding), f"{encoding}.csv")
        assert rows(source)[0]["name"] == "Zoë €"
        assert source.listing().notes == note
    source = written(tmp_path, PLAIN.encode().replace(b"Ann", b"\xeb\x81"))
    assert rows(source)[0]["name"] == "ë\x81"
    assert source.listing().notes == ["read as Latin-1, since it is not UTF-8"]


@pytest.mark.parametrize("order", [(b"\xc3\xab", b"\xeb"), (b"\xeb", b"\xc3\xab")])
def test_two_encodings_in_one_file_are_refused(tmp_path, order):
    first, second = order
    line = 3 if first == b"\xeb" else 5
    source = written(tmp_path, b"a,b\n1,x\n2," + first + b"\n3,z\n4," + second + b"\n")
    with pytest.raises(
        DataError, match=rf"t\.csv, line {line}: not in UTF-8, as the rest of the file is; save all of it"
    ):
        source.listing()
    with pytest.raises(DataError, match=f"line {line}"):
        rows(source)


def test_characters_may_lie_on_the_seams_between_pieces(tmp_path):
    body = "".join(f"{number},{'ë' * (number % 7)}\n" for number in range(200_000))
    source = written(tmp_path, "n,w\n" + body)
    words = [row["w"] for row in rows(source)]
    assert words == ["ë" * (number % 7) for number in range(200_000)]


def test_ragged_rows_are_skipped_and_named(tmp_path):
    source = written(tmp_path, "a,b\n1,2\n3\n4,5\n\n6,7,8\n9,10\n11\n")
    assert [row["a"] for row in rows(source)] == ["1", "4", "9"]
    assert numbers(source) == [1, 3, 5]
    assert skipped(source) == [
        Skipped("row 2", "1 field where the header has 2"),
        Skipped("row 4", "3 fields where the header has 2"),
        Skipped("row 6", "1 field where the header has 2"),
    ]


def test_rows_are_numbered_over_many_blocks(tmp_path):
    lines = [f"{number},{'x' * 90}" for number in range(1, 150_001)]
    for number in (1, 70_000, 149_999, 150_000):
        lines[number - 1] = str(number)
    source = written(tmp_path, "a,b\n" + "\n".join(lines))
    found = list(source.blocks())
    assert len(found) > 3
    assert max(block.table.num_rows for block in found) <= BLOCK_ROWS
    for block in found:
        assert block.table["a"].to_pylist() == [str(number) for number in block.numbers]
    assert [item.name for item in skipped(source)] == ["row 1", "row 70000", "row 149999", "row 150000"]
    assert found[0].numbers[0] == 2


def test_a_header_of_too_few_names_is_refused(tmp_path, monkeypatch):
    source = written(tmp_path, "a,b\n" + "1,2,3\n" * 10)
    assert len(skipped(source)) == 10
    monkeypatch.setattr(delimited, "MOST_RAGGED", 500)
    source = written(tmp_path, "a,b\n" + "1,2\n" * 600 + "1,2,3\n" * 600)
    assert len(skipped(source)) == 600
    source = written(tmp_path, "a,b\n" + "1,2\n" * 600 + "1,2,3\n" * 604)
    with pytest.raises(DataError, match=r"t\.csv, row 1203: 3 fields where the header has 2, as in most rows; mend"):
        list(source.blocks())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; name another file"),
        (b"\n\n\n", "holds nothing but empty lines; its first line must name the columns"),
        (b"a,b\n", "has no rows after the names of its columns"),
        (b"a,b\n\n\n", "has no rows after the names of its columns"),
        (b"a,b", "has no rows after the names of its columns"),
        (b"a,b,a\n1,2,3\n", ": columns 1, 3 are all called 'a'; give each a name of its own"),
        (b"a, a\n1,2\n", ": columns 1, 2 are all called 'a'"),
        (b"a,column 1,,column 3\n1,2,3,4\n", ": columns 3, 4 are all called 'column 3'"),
        (b"title\n1;2;3\n4;5;6\n", ": the first line has one field, 'title', but others have 3, divided by semicolons"),
        (b"a,b\n1,2\n3,x\x00y\n", ", line 3: zero bytes, so it is no text in UTF-8; save it as CSV in UTF-8"),
        (PLAIN.encode("utf-16-le"), ", line 1: zero bytes"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ", line 3: zero bytes"),
        (codecs.BOM_UTF16_LE + b"a\x00,\x00b\x00\n\x00\x00\xdcb\x00", ", line 2: not in UTF-16"),
        (codecs.BOM_UTF8 + b"a,b\n1,\xff\n", ", line 2: not in UTF-8"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', ", row 2: a quote that is never closed; close or double it"),
        (b'a,b\n1,2\n"3,4\n5,6\n', ", row 2: a quote that is never closed"),
    ],
)
def test_text_that_is_no_table(tmp_path, content, told):
    source = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        (source.listing(), list(source.blocks()))
    assert str(caught.value).startswith(f"{tmp_path}/t.csv")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"t\.csv"):
        list(source.blocks())


def test_columns_without_a_name_get_one(tmp_path):
    source = written(tmp_path, ",a,\n1,2,3\n")
    assert rows(source) == [{"column 1": "1", "a": "2", "column 3": "3"}]
    assert source.listing().notes == ["columns without a name are called column 1, column 3"]


def test_a_first_line_that_looks_like_a_row_is_noted(tmp_path):
    assert written(tmp_path, "39,State-gov\n50,Private\n").listing().notes == [
        "the first line is taken as the names of the columns, though some of it are numbers"
    ]


def test_a_line_without_end_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n3,")
        file.truncate(10 + 40_000_000)
        file.seek(10)
        file.write(b"x" * 40_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"t\.csv, line 3 is longer than 16\.0 MB; is this a table of rows\?"):
        list(open_table(path).blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000
    source = written(tmp_path, b"a,b\n1,2\n3," + b"x" * 15_000_000 + b"\n5,6\n")
    assert [len(row["b"]) for row in rows(source)] == [1, 15_000_000, 1]


def test_a_quote_that_is_closed_far_away_is_refused(tmp_path):
    content = b'a,b\n1,2\n3,"' + b"4,5\n" * 3_000_000 + b'"\n'
    with pytest.raises(DataError, match=r"t\.csv, after row \d: no end of a row within .*quote that is never closed"):
        list(written(tmp_path, content).blocks())


def test_damaged_archives_are_refused(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(PLAIN.encode() * 1000)[:-20])
    for content in (gzip.compress(PLAIN.encode() * 1000)[:-20], b"no gzip", gzip.compress(PLAIN.encode())[:12] + b"xx"):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"t\.csv\.gz cannot be read: .*; fetch it again"):
            open_table(tmp_path / "t.csv.gz").listing()


def test_opening_is_cheap_and_the_manifest_tells_files_apart(tmp_path):
    source = written(tmp_path, "")
    changed = written(tmp_path, PLAIN)
    assert source.manifest != changed.manifest
    assert source.manifest[0][0] == str(tmp_path / "t.csv")


def test_progress_is_told_if_it_is_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text(PLAIN)
    told: list[tuple[str, int, int | None]] = []
    source = open_table(tmp_path / "t.csv", lambda *what: told.append(what))
    list(source.blocks())
    assert told == []
    list(source.blocks("looking"))
    assert told == [("looking", 2, 2)]


FRAME = pd.DataFrame(
    {
        "n": [0.5, None, 1.25],
        "i": [3, 2, 1],
        "b": [True, False, True],
        "c": pd.Categorical(["x", "y", None]),
        "s": ["u", None, "v"],
        "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
        "mixed": [1, "a", None],
        "p": pd.period_range("2024-01", periods=3, freq="M"),
        7: pd.array([1, None, 3], "Int64"),
    }
)
KINDS = {
    **{"n": "number", "i": "integer", "b": "boolean", "c": "category", "s": "category", "t": "datetime"},
    **{"mixed": "category", "p": "category", "7": "integer"},
}


def test_frames(tmp_path):
    source = open_frame(FRAME)
    columns, found = stored(source)
    assert {column.name: column.kind for column in columns} == KINDS
    day = 86_400
    nan, start = np.nan, 19_723 * day
    expected = [[0.5, 3, 1, 0, 0, start, 0, 0, 1], [nan, 2, 0, 1, nan, nan, 1, 1, nan]]
    np.testing.assert_array_equal(found[:2], expected)
    np.testing.assert_array_equal(found[2], [1.25, 1, 1, nan, 1, start + 2 * day, nan, 2, 3])
    assert (source.kind, source.listing().count) == ("frame", 3)
    assert [column.missing for column in columns] == [1, 0, 0, 1, 1, 1, 1, 0, 1]


def test_a_frame_is_known_by_its_content():
    manifests = [
        open_frame(frame).manifest
        for frame in (
            FRAME,
            FRAME.copy(),
            FRAME.set_index("i", drop=False),
            FRAME.rename(columns={"n": "m"}),
            FRAME[::-1],
            FRAME.astype({"i": "float64"}),
        )
    ]
    assert manifests[0] == manifests[1] == manifests[2]
    assert len({str(manifest) for manifest in manifests}) == 4


def test_frames_that_are_refused():
    with pytest.raises(DataError, match="the data frame has no rows"):
        open_frame(FRAME[:0]).listing()
    with pytest.raises(DataError, match="the data frame: columns 1, 2 are all called 'a'"):
        open_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="the data frame, column 'l'"):
        open_frame(pd.DataFrame({"l": [[1], [2]]}))


def test_frames_are_read_in_blocks():
    source = open_frame(pd.DataFrame({"a": np.arange(150_000)}))
    assert [block.numbers[0] for block in source.blocks()] == [1, BLOCK_ROWS + 1, 2 * BLOCK_ROWS + 1]
    assert sum(block.table.num_rows for block in source.blocks()) == 150_000


def test_parquet_is_the_same_as_the_frame(tmp_path):
    frame = FRAME.drop(columns=["mixed", "p"]).rename(columns=str)
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=2)
    source = open_table(tmp_path / "a.parquet")
    columns, found = stored(source)
    expected_columns, expected = stored(open_frame(frame))
    assert columns == expected_columns
    np.testing.assert_array_equal(found, expected)
    assert (source.kind, source.listing().count, numbers(source)) == ("parquet", 3, [1, 2, 3])


def test_parquet_that_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": [1], "l": [[1, 2]]}), path)
    for act in (TableSource.listing, lambda source: list(source.blocks())):
        with pytest.raises(
            DataError, match=r"a\.parquet, column 'l' holds list<.*, not one value a row; leave the column"
        ):
            act(open_table(path))
    parquet.write_table(pa.table({"a": pa.array([], "int64")}), path)
    with pytest.raises(DataError, match=r"a\.parquet has no rows"):
        open_table(path).listing()
    parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(DataError, match=r"a\.parquet: columns 1, 2 are all called 'a'"):
        open_table(path).listing()
    parquet.write_table(pa.table({"a": [b"\xff"]}), path)
    with pytest.raises(DataError, match=r"a\.parquet, column 'a' holds values of type binary"):
        stored(open_table(path))
    parquet.write_table(pa.table({"a": np.random.default_rng(0).random(10_000)}), path)
    whole = path.read_bytes()
    for content in (b"", b"no parquet", whole[: len(whole) // 2], whole[:-4] + b"XXXX"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.parquet cannot be read as a Parquet file: .*; fetch it again"):
            open_table(path).listing()
    parquet.write_table(pa.table({"a": np.arange(10_000.0)}), path, write_page_checksum=True, use_dictionary=False)
    checked = path.read_bytes()
    for content in (whole[:4] + bytes(100) + whole[104:], checked[:5000] + b"?" + checked[5001:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.parquet, after row \d+: .*; fetch it again"):
            list(open_table(path).blocks())


def test_excel(tmp_path):
    noon = datetime.datetime(2024, 1, 1, 12)
    cells = [
        [],
        ["age", "name", None, "born"],
        [17, "Ann", True, noon],
        [],
        [None, "#N/A", False, datetime.date(2024, 1, 2)],
        [18.5, " Bob ", None, None],
        [19, "Cid", True, noon, "beyond"],
        [20, "Bob", True, noon],
    ]
    source = workbook(tmp_path / "a.xlsx", cells, "other")
    columns, found = stored(source)
    assert {column.name: column.kind for column in columns} == {
        "age": "number",
        "name": "category",
        "column 3": "boolean",
        "born": "datetime",
    }
    day = 19_723 * 86_400
    expected = [[17, 0, 1, day + 43_200], [np.nan, np.nan, 0, day + 86_400], [18.5, 1, np.nan, np.nan]]
    np.testing.assert_array_equal(found[:3], expected)
    assert numbers(source) == [1, 2, 3, 5]
    assert skipped(source) == [Skipped("row 4", "cells beyond the 4 columns that the first row names")]
    assert source.kind == "excel"
    assert source.listing().notes == [
        "columns without a name are called column 3",
        "of 2 sheets the first is read, 'Sheet'",
    ]


def test_workbooks_that_are_refused(tmp_path):
    for cells, told in [
        ([], r"a\.xlsx is empty"),
        ([["a", "b"]], r"a\.xlsx has no rows after the names of its columns"),
        ([["a", "a"], [1, 2]], r"a\.xlsx: columns 1, 2 are all called 'a'"),
    ]:
        with pytest.raises(DataError, match=told):
            list(workbook(tmp_path / "a.xlsx", cells).blocks())
    for content in (b"", b"no zip", (tmp_path / "a.xlsx").read_bytes()[:-100]):
        (tmp_path / "a.xlsx").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.xlsx cannot be read as an Excel workbook: .*; save it again"):
            open_table(tmp_path / "a.xlsx").listing()


@pytest.mark.parametrize("package", ["pyarrow", "openpyxl", "pandas.util"])
def test_packages_that_are_not_installed_are_named(tmp_path, monkeypatch, package):
    content = "a\n" + "\n".join(f"k{number}" for number in range(100_001))
    (tmp_path / "a.csv").write_text(content)
    workbook(tmp_path / "a.xlsx", [["a"], [1]])
    monkeypatch.setitem(sys.modules, package, None)
    name, extra = ("a.xlsx", "excel") if package == "openpyxl" else ("a.csv", "table")
    with pytest.raises(UsageError, match=rf"pip install 'ficta\[{extra}\]'"):
        infer(open_table(tmp_path / name).blocks(), {}, BLANKS)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_written_is_read_as_the_same(tmp_path, ending):
    columns, found = stored(open_frame(pd.concat([FRAME] * 10, ignore_index=True)))
    table = to_arrow(found, columns)
    path = tmp_path / f"t.{ending}"
    csv.write_csv(table, path) if ending == "csv" else parquet.write_table(table, path)
    again, read = stored(open_table(path))
    np.testing.assert_array_equal(read, found)
    same = [(column.name, column.kind, column.categories, column.resolution, column.decimals) for column in columns]
    assert [(c.name, c.kind, c.categories, c.resolution, c.decimals) for c in again] == same


def test_the_adult_table(shared):
    source = open_table(shared("adult.csv"), silent)
    columns, notes = infer(source.blocks(), {}, (*BLANKS, "?"))
    numbers = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    assert [column.kind == "integer" for column in columns] == [column.name in numbers for column in columns]
    assert {column.kind for column in columns} == {"integer", "category"}
    assert (columns[-1].categories, columns[1].missing, notes) == (("<=50K", ">50K"), 1836, [])
    parts = [convert(block, columns) for block in source.blocks()]
    assert sum(len(part) for part, _ in parts) == 32_561
    assert parts[0][0][0].tolist() == [39, 6, 77516, 9, 13, 4, 0, 1, 4, 1, 2174, 0, 40, 38, 0]
    assert isinstance(next(source.blocks()), Block)


def test_a_column_of_a_frame_has_one_type_in_all_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(frames, "BLOCK_ROWS", 3)
    odd = pd.DataFrame({"a": [None, None, None, 1.5, "x", 2], "b": [1, 2, 3, "6.7", 4, 5]}, dtype=object)
    source = open_table(keep_frame(odd, tmp_path))
    blocks = [block.table.to_pydict() for block in source.blocks()]
    found = {name: [str(value) for block in blocks for value in block[name]] for name in ("a", "b")}
    assert found == {"a": ["None", "None", "None", "1.5", "x", "2"], "b": ["1", "2", "3", "6.7", "4", "5"]}


def test_a_workbook_that_is_damaged_further_on_is_an_error(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.xlsx", tmp_path / "cut.xlsx"
    book = openpyxl.Workbook()
    for row in [["a", "b"], *([number, number] for number in range(50))]:
        book.active.append(row)
    book.save(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(cut, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: len(content) * 2 // 3] if "sheet1" in name else content)
    with pytest.raises(DataError, match=r"cut\.xlsx"):
        list(open_table(cut).blocks())
