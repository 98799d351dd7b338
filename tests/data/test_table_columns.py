"""Columns: what values are taken for, what becomes of strays, and that rows survive the way there and back."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.base.errors import DataError, UsageError
from ficta.data.codec import Skipped
from ficta.data.table import tally
from ficta.data.table.blocks import Block
from ficta.data.table.columns import Column, Kind, convert, infer, parse_value, to_arrow

BLANKS = ("", "NA")


def block(columns: Mapping[str, Any], first: int = 1) -> Block:
    batch = pa.RecordBatch.from_pydict(dict(columns))
    return Block(batch, np.arange(first, first + batch.num_rows), [], "t.csv")


def blocks(name: str, values: Sequence[Any] | pa.Array, rows: int = 70) -> list[Block]:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return [block({name: array[start : start + rows]}, start + 1) for start in range(0, len(array), rows)]


def inferred(values: Sequence[Any] | pa.Array, name: str = "x", wanted: Kind | None = None) -> Column:
    columns, _ = infer(blocks(name, values), {name: wanted} if wanted else {}, BLANKS)
    return columns[0]


def noted(values: Sequence[Any] | pa.Array, name: str = "x") -> list[str]:
    return infer(blocks(name, values), {}, BLANKS)[1]


def converted(values: Sequence[Any] | pa.Array, wanted: Kind | None = None) -> tuple[list[float], list[Skipped]]:
    column = inferred(values, wanted=wanted)
    parts = [convert(part, [column]) for part in blocks("x", values)]
    return np.concatenate([stored[:, 0] for stored, _ in parts]).tolist(), [item for _, some in parts for item in some]


@pytest.mark.parametrize(
    ("values", "kind", "decimals", "low", "high"),
    [
        (["3", " 2", "1 ", "2"], "integer", 0, 1, 3),
        (["+3", "-2"], "integer", 0, -2, 3),
        (["0", "1", "1", "0"], "integer", 0, 0, 1),
        (["1.0", "2.00", "1e3"], "integer", 0, 1, 1000),
        (["1", "2.5"], "number", 1, 1, 2.5),
        (["0.125", "NA", "", "1e-2"], "number", 3, 0.01, 0.125),
        ([".5", "5.", "-1.5E1"], "number", 1, -15, 5),
        (["0.1234567"], "number", None, 0.1234567, 0.1234567),
        (["0.3", "0.1", "0.7"], "number", 1, 0.1, 0.7),
        (["123456789012.345"], "number", 3, 123456789012.345, 123456789012.345),
        (["9007199254740994", "1"], "number", 0, 1, 9007199254740994),
        (["1e300", "0.1"], "number", 1, 0.1, 1e300),
        ([7, 5, None], "integer", 0, 5, 7),
        ([1.0, 2.0, math.nan], "integer", 0, 1, 2),
        (pa.array([0.1, 0.5], pa.float32()), "number", 1, 0.1, 0.5),
        (pa.array([0.5, 0.25], pa.float16()), "number", 2, 0.25, 0.5),
        (pa.array([1, 2], pa.uint8()), "integer", 0, 1, 2),
        (pa.array([150, 25], pa.int32()).cast(pa.decimal128(12, 2)), "integer", 0, 25, 150),
        (pa.array([7, 9], pa.duration("s")), "integer", 0, 7, 9),
        (pa.array(["7", "7", "9"]).dictionary_encode(), "integer", 0, 7, 9),
        (pa.array(["7", "9"], pa.large_string()), "integer", 0, 7, 9),
    ],
)
def test_numbers(values, kind, decimals, low, high):
    column = inferred(values)
    assert (column.kind, column.decimals, column.low, column.high) == (kind, decimals, low, high)
    assert column.modelled


@pytest.mark.parametrize("word", ["1,000", "1_000", "0x10", "1e", "12 %", "--1", "nan", "1 2", ".", "٣"])
def test_what_is_no_number(word):
    assert inferred(["1", word, "2"]).kind == "category"


def test_digits_after_a_zero_are_codes():
    assert inferred(["01234", "90210", "01234"]).categories == ("01234", "90210")
    assert inferred(["0.5", "0", "-0.25"]).kind == "number"
    assert inferred(["01234", "90210", "01234"], wanted="integer").low == 1234


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        (["True", "False", "True"], ("False", "True")),
        (["yes", "NA", "no"], ("no", "yes")),
        (["T", "F"], ("F", "T")),
        (["y", "n"], ("n", "y")),
        (["TRUE", "true", "False"], ("False", "TRUE")),
        ([True, None, False], ("false", "true")),
    ],
)
def test_booleans(values, categories):
    column = inferred(values)
    assert (column.kind, column.categories) == ("boolean", categories)


def test_writings_of_a_boolean_are_the_same():
    assert converted(["TRUE", "true", "False", ""])[0][:3] == [1, 1, 0]
    assert noted(["TRUE", "true", "False"]) == ["column 'x': all writings of False and TRUE are taken as these"]
    assert noted(["TRUE", "False"]) == []


def test_two_words_of_different_pairs_are_categories():
    assert inferred(["yes", "false"]).kind == "category"
    assert inferred(["yes", "no", "maybe"]).kind == "category"
    assert inferred(["yes", "yes"]).kind == "category"


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970/1/2", 86_400),
        ("1969-12-31", -86_400),
        ("1970-01-01 01:02", 3720),
        ("1970-01-01 01:02:03", 3723),
        ("1970-01-01T01:02:03Z", 3723),
        ("1970-01-01T01:02:03.000+01:00", 123),
        ("1970-01-01 01:02:03-0130", 9123),
        ("1970-01-01T01:02:03 UTC", 3723),
        ("1970-01-01 01:02:03,9", 3723),
        ("2000-02-29", 951_782_400),
        ("0001-01-01", -62_135_596_800),
        ("9999-12-31", 253_402_214_400),
    ],
)
def test_times(word, seconds):
    column = inferred([word, word])
    assert (column.kind, column.low, column.high) == ("datetime", seconds, seconds)
    assert column.resolution == ("second" if ":" in word else "day")
    assert converted([word, "NA"])[0][0] == seconds


@pytest.mark.parametrize(
    "word",
    [
        *("2024-13-01", "2024-00-10", "2023-02-29", "1900-02-29", "2024-04-31", "2024-01-00", "0000-01-01"),
        *("10000-01-01", "2024-01-01 24:00", "2024-01-01 10:60", "01/02/2024", "2024-01", "0001-01-01T00:00+01:00"),
        *("2024-01-01 10", "2024-01-01 10:00:61", "9999-12-31T23:00-02:00", "2024-01-01 00:00+24:00"),
    ],
)
def test_what_is_no_time(word):
    assert inferred([word, "2024-01-01"]).kind == "category"


def test_times_that_are_finer_than_seconds_are_cut_and_counted():
    assert noted(["2024-01-01 10:00:00.5", "2024-01-01 10:00:00.0"]) == [
        "column 'x': times cut to whole seconds in 1 row"
    ]
    stored, _ = converted(["1969-12-31T23:59:59.5", "1970-01-01T00:00:00.9"])
    assert stored == [-1, 0]


def test_times_have_types_of_their_own():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=zone)
    for array in (pa.array([noon]), pa.array([noon.astimezone(datetime.UTC).replace(tzinfo=None)], pa.timestamp("ns"))):
        column = inferred(array)
        assert (column.kind, column.low, column.resolution) == ("datetime", noon.timestamp(), "second")
    for array in (pa.array([datetime.date(1970, 1, 3)]), pa.array([datetime.date(1970, 1, 3)], pa.date64())):
        assert (inferred(array).low, inferred(array).resolution) == (172_800, "day")


def test_identifiers():
    keys = [f"k{number}" for number in range(20)]
    assert inferred(keys).kind == "identifier"
    assert inferred(keys).why == "all 20 values differ"
    assert inferred(keys[:19]).kind == "category"
    assert inferred([*keys, "k3"]).kind == "category"
    assert inferred([*keys, "NA"]).kind == "identifier"
    assert inferred([f"{number:064d}" for number in range(20)]).kind == "identifier"
    assert inferred([f"{number:065d}" for number in range(20)]).kind == "text"


@pytest.mark.parametrize("first", [0, 1])
def test_whole_numbers_that_count_are_identifiers(first):
    numbers = np.arange(first, first + 100)
    assert inferred(numbers).kind == "identifier"
    assert inferred(np.random.default_rng(0).permutation(numbers)).kind == "identifier"
    assert inferred(numbers + 1000).kind == "integer"
    assert inferred(numbers / 100).kind == "number"
    assert inferred(numbers[:19]).kind == "integer"


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        *(
            (name, True)
            for name in ("id", "ID", "customer_id", "customerId", "userID", "uuid", "rowUuid", "key", "row_key")
        ),
        *((name, False) for name in ("paid", "humid", "idle", "monkey", "width", "identity", "PAID")),
    ],
)
def test_distinct_whole_numbers_are_identifiers_if_they_are_called_so(name, identifier):
    values = 7 * np.arange(100) + 1000
    assert inferred(values, name).kind == ("identifier" if identifier else "integer")
    assert inferred(values // 2 % 3, name).kind == "integer"


def test_text():
    long = [f"{'word' * 12} {number}" for number in range(30)]
    assert inferred([*long, long[0]]).kind == "text"
    assert inferred([f"{'w' * 41}", f"{'v' * 41}"]).kind == "text"
    assert inferred([f"{'w' * 40}", f"{'v' * 40}"]).kind == "category"
    phrases = [f"phrase {number}" for number in range(100)]
    assert inferred(phrases).kind == "text"
    assert inferred([*phrases, *phrases]).kind == "category"
    assert inferred([phrase.replace(" ", "") for phrase in [*phrases, "phrase1"]]).kind == "category"
    assert inferred([*phrases[:98], "phrase 1"]).kind == "category"
    for spaced, kind in ((52, "text"), (50, "category")):
        mixed = [phrase if number < spaced else f"word{number}" for number, phrase in enumerate(phrases)]
        assert inferred([*mixed, "word99"]).kind == kind


def test_categories_stand_in_natural_order():
    words = ["b", "a10", "a2", "A2", "a02", "a", "²", "2", "10", "9" * 5000]
    column = inferred([*words, *words])
    assert column.kind == "category"
    assert column.categories == ("2", "10", "9" * 5000, "a", "A2", "a02", "a2", "a10", "b", "²")
    stored, _ = converted([*words, "NA"])
    assert [column.categories[int(code)] for code in stored[:-1]] == words


def test_spaces_around_words_count_for_nothing():
    assert inferred([" a", "a", "b ", "\u00a0b", " NA ", "  "]).categories == ("a", "b")
    assert inferred([" a", "a", "b ", " NA ", "  "]).missing == 2


def test_nothing_but_missing_values_is_empty():
    for values in (["", "NA"], [None, None], [math.nan], pa.nulls(3)):
        column = inferred(values)
        assert (column.kind, column.why, column.modelled) == ("empty", "no values", False)
    assert inferred(["", "NA"], wanted="number").kind == "empty"


def test_words_for_missing_values_are_the_callers():
    columns, _ = infer(blocks("x", ["1", "?", "NA"]), {}, ("?",))
    assert (columns[0].kind, columns[0].missing, columns[0].categories) == ("category", 1, ("1", "NA"))
    assert columns[0].blanks == ("?",)


def test_strays_among_numbers_are_skipped_if_they_are_few():
    values = [str(number % 7) for number in range(300)]
    values[16] = "seven"
    values[299] = "eight"
    stored, skipped = converted(values)
    assert len(stored) == 298
    assert skipped == [
        Skipped("row 17", "column 'x' is 'seven', not a whole number"),
        Skipped("row 300", "column 'x' is 'eight', not a whole number"),
    ]
    assert noted(values) == ["column 'x': 2 of 300 rows hold no number and are skipped, row 17 is 'seven'"]
    values[100] = "nine"  # 1 %
    assert inferred(values).kind == "category"
    assert inferred(["1"] * 198 + ["one"]).kind == "category"  # too few rows
    assert inferred(["1"] * 199 + ["one"]).kind == "integer"


def test_strays_among_times_are_skipped_if_they_are_few():
    values = [f"2024-01-{1 + number % 28:02d}" for number in range(300)]
    values[1] = "2024-13-01"
    _, skipped = converted(values)
    assert skipped[0].name == "row 2"
    assert skipped[0].reason.startswith("column 'x' is '2024-13-01', not a date from year 1 to 9999")
    assert inferred([*values[:190], "soon"]).kind == "category"


@pytest.mark.parametrize("word", ["inf", "-inf", "Infinity", "1e400", "-1e999"])
def test_infinite_numbers_are_skipped(word):
    values = ["1.5", word, "2.5"]
    column = inferred(values)
    assert (column.kind, column.low, column.high, column.decimals) == ("number", 1.5, 2.5, 1)
    assert converted(values) == ([1.5, 2.5], [Skipped("row 2", "column 'x' is infinite")])
    assert converted([1.5, -math.inf])[1] == [Skipped("row 2", "column 'x' is infinite")]


def test_a_row_is_skipped_once_for_its_first_reason():
    table = block({"a": ["1", "inf", "2"], "b": ["inf", "inf", "1"]}, first=5)
    columns, _ = infer([table], {}, BLANKS)
    stored, skipped = convert(table, columns)
    assert stored.tolist() == [[2, 1]]
    assert skipped == [Skipped("row 5", "column 'b' is infinite"), Skipped("row 6", "column 'a' is infinite")]


def test_numbers_of_rows_are_those_of_the_block():
    table = block({"x": ["1", "inf"]})
    shifted = Block(table.table, np.array([3, 9]), [], "t.csv")
    assert convert(shifted, infer([shifted], {}, BLANKS)[0])[1][0].name == "row 9"


@pytest.mark.parametrize(
    ("wanted", "values", "kind"),
    [
        ("category", ["2", "10", "1.5"], "category"),
        ("boolean", ["0", "1", "0"], "boolean"),
        ("number", ["1", "2"], "number"),
        ("integer", [str(number) for number in range(30)], "integer"),
        ("text", ["a", "b"], "text"),
        ("identifier", ["a", "a"], "identifier"),
        ("datetime", ["2024-01-01"] * 3, "datetime"),
        ("category", ["2024-01-01"] * 3, "category"),
    ],
)
def test_overrides(wanted, values, kind):
    column = inferred(values, wanted=wanted)
    assert (column.kind, column.why) == (kind, "set in the recipe")
    if kind == "category" and "10" in values:
        assert column.categories == ("1.5", "2", "10")
    if kind == "boolean":
        assert column.categories == ("0", "1")


@pytest.mark.parametrize(
    ("wanted", "values", "told"),
    [
        ("number", ["1", "abc", "2"], "row 2 is 'abc', not a number; mend it"),
        ("integer", ["1", "2", "2.5"], "row 3 is '2.5', not a whole number; mend it"),
        ("integer", ["1"] * 999 + ["2.5"], "row 1000 is '2.5', not a whole number; mend it"),
        ("datetime", ["2024-01-01", "soon"], "row 2 is 'soon', not a date"),
        ("boolean", ["a", "b", "c"], "3 distinct values, not two such as yes and no; type it category"),
        ("number", ["x" * 100], f"row 1 is '{'x' * 39}…', not a number"),
    ],
)
def test_overrides_that_do_not_fit(wanted, values, told):
    with pytest.raises(DataError) as caught:
        inferred(values, wanted=wanted)
    assert str(caught.value).startswith(f"t.csv, column 'x': {told}")


def test_an_override_of_no_column():
    with pytest.raises(UsageError, match="no column 'agee': did you mean 'age'"):
        infer(blocks("age", ["1"]), {"agee": "number"}, BLANKS)


def test_what_is_no_word_is_refused():
    for array, what in (
        (pa.array([[1], [2]]), "list"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([b"\xff"]), "binary"),
    ):
        with pytest.raises(DataError, match=f"column 'x' holds values of type {what}"):
            inferred(array)


def test_too_many_words_are_not_held(monkeypatch):
    monkeypatch.setattr(tally, "MOST_CATEGORIES", 1000)
    monkeypatch.setattr(tally, "MOST_HASHES", 4096)
    keys = [f"k{number}" for number in range(20_000)]
    column = infer(blocks("x", keys, 5000), {}, BLANKS)[0][0]
    assert (column.kind, column.categories) == ("identifier", ())
    assert column.why.endswith(" distinct values")
    assert abs(int(column.why.split()[0].replace(",", "")) - 20_000) <= 1000
    again = [f"k{number % 9000}" for number in range(20_000)]
    column = infer(blocks("x", again, 5000), {}, BLANKS)[0][0]
    assert column.kind == "text"
    assert ", more than " in column.why
    with pytest.raises(
        DataError, match=r"column 'x': .* distinct values are too many for a category.*identifier or text"
    ):
        infer(blocks("x", again, 5000), {"x": "category"}, BLANKS)
    assert infer(blocks("x", np.arange(20_000) * 3 + 5, 5000), {}, BLANKS)[0][0].kind == "integer"
    assert infer(blocks("user_id", np.arange(20_000) * 3 + 5, 5000), {}, BLANKS)[0][0].kind == "identifier"
    assert infer(blocks("user_id", np.arange(20_000) % 9000, 5000), {}, BLANKS)[0][0].kind == "integer"


def test_a_million_words_take_little_memory():
    found = tally.Distinct()
    for start in range(0, 1_000_000, 50_000):
        found.add(pa.array(np.arange(start, start + 50_000)).cast(pa.string()))
    assert not found.held
    assert found.words == []
    assert abs(found.count - 1_000_000) <= 20_000
    assert len(found._hashes) <= tally.MOST_HASHES


def test_long_words_are_not_held_either():
    found = tally.Distinct()
    found.add(pa.array([f"{number}{'x' * 1_000_000}" for number in range(20)]))
    assert (found.held, found.count) == (False, 20)


def test_columns_survive_json():
    columns = [inferred(["b", "a"]), inferred(["1.5"]), inferred(["2024-01-01"]), inferred(["", "NA"])]
    assert [Column.from_json(json.loads(json.dumps(column.to_json()))) for column in columns] == columns


COLUMNS = [
    Column("n", "number", "", decimals=2),
    Column("any", "number", ""),
    Column("i", "integer", "", decimals=0),
    Column("name", "identifier", ""),
    Column("b", "boolean", "", categories=("No", "Yes")),
    Column("c", "category", "", categories=("a", 'say "b",\nc', "ü;\t|")),
    Column("nothing", "empty", ""),
    Column("d", "datetime", "", resolution="day"),
    Column("s", "datetime", "", resolution="second"),
]
NAN = st.just(math.nan)
EARLIEST, LATEST = -719_162, 2_932_896  # days since 1970 of 0001-01-01 and 9999-12-31
ROWS = st.tuples(
    st.integers(-(10**12), 10**12).map(lambda number: number / 100) | NAN,
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0) | NAN,
    st.integers(-(2**53), 2**53) | NAN,
    st.integers(0, 1) | NAN,
    st.integers(0, 2) | NAN,
    st.integers(EARLIEST, LATEST).map(lambda day: day * 86_400) | NAN,
    st.integers(EARLIEST * 86_400, LATEST * 86_400) | NAN,
)


@given(st.lists(ROWS, min_size=1, max_size=20))
@settings(max_examples=150, deadline=None)
def test_rows_survive_the_way_there_and_back(rows):
    stored = np.array(rows, np.float64)
    table = to_arrow(stored, COLUMNS)
    again, skipped = convert(Block(table.to_batches()[0], np.arange(len(rows))), COLUMNS)
    assert skipped == []
    np.testing.assert_array_equal(again, stored)
    assert not np.signbit(again[again == 0]).any()


def test_tables_are_written_as_the_source_is():
    stored = np.array([[1.236, 1e-9, 3, 1, 1, 86_400, 86_399], [math.nan] * 7])
    table = to_arrow(stored, COLUMNS, first=7)
    assert table.to_pylist() == [
        {
            "n": 1.24,
            "any": 1e-9,
            "i": 3,
            "name": 8,
            "b": "Yes",
            "c": 'say "b",\nc',
            "d": datetime.date(1970, 1, 2),
            "s": datetime.datetime(1970, 1, 1, 23, 59, 59),
        },
        {"n": None, "any": None, "i": None, "name": 9, "b": None, "c": None, "d": None, "s": None},
    ]
    types = [
        pa.float64(),
        pa.float64(),
        pa.int64(),
        pa.int64(),
        pa.string(),
        pa.string(),
        pa.date32(),
        pa.timestamp("s"),
    ]
    assert table.schema.types == types
    assert to_arrow(np.empty((0, 7)), COLUMNS).schema == table.schema


def test_numbers_too_large_to_have_decimals_stay():
    for value in (1e305, -1e300, 123456789012345680.0):
        table = to_arrow(np.array([[value]]), [Column("n", "number", "", decimals=6)])
        assert table["n"].to_pylist() == [value]


def test_minus_zero_is_zero():
    stored, _ = converted(["-0.0", "-0", "0.5"])
    assert [math.copysign(1, value) for value in stored] == [1, 1, 1]


def test_values_as_a_user_types_them():
    age = inferred(["17", "90", "NA"])
    assert parse_value(age, " 37 ") == 37
    assert math.isnan(parse_value(age, ""))
    assert math.isnan(parse_value(age, "NA"))
    assert parse_value(inferred(["yes", "no"]), "YES") == 1
    assert parse_value(inferred(["<=50K", ">50K"]), ">50K") == 1
    assert parse_value(inferred(["1970-01-01", "1970-01-03"]), "1970/01/02") == 86_400
    many = inferred([f"k{number % 30}" for number in range(90)])
    for column, text, told in [
        (age, "old", "column 'x' is 'old', not a whole number"),
        (age, "37.5", "column 'x': '37.5' is not a whole number"),
        (age, "91", "column 'x': '91' is outside of what the data hold, 17 to 90"),
        (age, "16", "column 'x': '16' is outside of what the data hold, 17 to 90"),
        (age, "inf", "column 'x' is infinite"),
        (inferred(["0.5", "1"]), "2", "column 'x': '2' is outside of what the data hold, 0.5 to 1.0"),
        (
            inferred(["1970-01-01", "1970-01-03"]),
            "1970-01-04",
            "column 'x': '1970-01-04' is outside of what the data hold, 1970-01-01 to 1970-01-03",
        ),
        (
            inferred(["<=50K", ">50K"]),
            ">50k",
            "column 'x' has no category '>50k': did you mean '>50K'? there is: <=50K, >50K",
        ),
        (many, "k31", "column 'x' has no category 'k31': did you mean 'k3'? there are 30"),
        (inferred(["", "NA"]), "1", "column 'x' is not modelled: no values"),
    ]:
        with pytest.raises(UsageError) as caught:
            parse_value(column, text)
        assert str(caught.value) == told
