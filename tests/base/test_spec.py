"""Spec: validation, and the way to JSON and back."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.base.spec import Span, Spec, class_condition, columns_spec

NAMES = st.text(min_size=1, max_size=5)
SHAPES = st.lists(st.integers(1, 50), max_size=4).map(tuple)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    modes = draw(st.integers(1, 9))
    placed = draw(st.sets(st.integers(0, modes - 1)).map(sorted).map(tuple))
    return Span(draw(NAMES), modes, placed, draw(st.booleans()))


@st.composite
def specs(draw: st.DrawFn, depth: int = 1) -> Spec:
    shape = draw(SHAPES)
    kind = draw(st.sampled_from(["continuous", "binary", "categorical", "mixed"]))
    if kind == "mixed":
        columns = draw(st.lists(spans(), min_size=1, max_size=4).map(tuple))
        return columns_spec(columns, draw(st.none() | specs(depth - 1)) if depth else None)
    categories = draw(st.lists(NAMES, min_size=1, max_size=4).map(tuple)) if kind == "categorical" else ()
    return Spec(
        axes=tuple(draw(NAMES) for _ in shape),
        shape=shape,
        kind=kind,
        levels=draw(st.none() | st.integers(2, 65536)),
        categories=categories,
        unit=draw(st.text(max_size=4)),
        condition=draw(st.none() | specs(depth - 1)) if depth else None,
    )


@settings(deadline=None, derandomize=True)
@given(specs())
def test_json_and_back_is_the_same(spec: Spec) -> None:
    read = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    assert read == spec
    assert hash(read) == hash(spec)


def test_size_is_the_product_of_lengths() -> None:
    assert Spec(("channel", "height", "width"), (3, 7, 10), "continuous").size == 210
    assert class_condition(("cat", "dog")).size == 1


def test_class_condition() -> None:
    spec = class_condition(("cat", "dog"))
    assert (spec.axes, spec.shape, spec.kind, spec.categories) == ((), (), "categorical", ("cat", "dog"))


def test_each_axis_has_a_length() -> None:
    with pytest.raises(ValueError, match="2 axes but 1 lengths"):
        Spec(("height", "width"), (7,), "continuous")


@pytest.mark.parametrize("shape", [(0,), (-3,)])
def test_no_axis_is_empty(shape: tuple[int]) -> None:
    with pytest.raises(ValueError, match="at least one element"):
        Spec(("column",), shape, "continuous")


def test_categories_belong_to_categorical_alone() -> None:
    with pytest.raises(ValueError, match="categories belong"):
        Spec((), (), "categorical")
    with pytest.raises(ValueError, match="categories belong"):
        Spec((), (), "continuous", categories=("cat",))


def test_a_row_has_a_value_for_each_mode_and_one_for_each_place() -> None:
    age, sex, pay = Span("age", 2, (0, 1), ordered=True), Span("sex", 3), Span("pay", 4, (2,), ordered=True)
    label = class_condition(("yes", "no"))
    spec = columns_spec((age, sex, pay), label)
    assert (spec.axes, spec.shape, spec.kind, spec.condition) == (("value",), (2 + 3 + 4 + 2,), "mixed", label)
    assert spec.columns == (age, sex, pay)
    assert spec.size == 11
    assert columns_spec((sex,)).shape == (3,)
    assert columns_spec((sex,)).condition is None


def test_rows_asked_for_rows_to_json_and_back() -> None:
    columns = (Span("age", 2, (0, 1), ordered=True), Span("sex", 3))
    spec = columns_spec(columns, columns_spec(columns[:1]))
    written = json.loads(json.dumps(spec.to_json()))
    assert written["columns"][0] == {"name": "age", "modes": 2, "placed": [0, 1], "ordered": True}
    read = Spec.from_json(written)
    assert read == spec
    assert isinstance(read.columns[0].placed, tuple)
    assert read.condition == columns_spec(columns[:1])


def test_what_was_written_before_there_were_columns_is_read() -> None:
    spec = Spec(("channel", "height"), (3, 7), "continuous", 256, condition=class_condition(("cat", "dog")))
    written = spec.to_json()
    del written["columns"], written["condition"]["columns"]
    assert Spec.from_json(json.loads(json.dumps(written))) == spec


def test_columns_belong_to_mixed_alone() -> None:
    with pytest.raises(ValueError, match="columns belong to a mixed Spec"):
        Spec(("value",), (2,), "mixed")
    with pytest.raises(ValueError, match="columns belong to a mixed Spec"):
        Spec(("value",), (2,), "continuous", columns=(Span("sex", 2),))


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1)])
def test_the_columns_say_how_wide_a_row_is(shape: tuple[int, ...]) -> None:
    axes = ("value", "more")[: len(shape)]
    with pytest.raises(ValueError, match="take one axis of 3 values, not"):
        Spec(axes, shape, "mixed", columns=(Span("age", 2, (0, 1)),))


@pytest.mark.parametrize(("modes", "placed"), [(0, ()), (-1, ()), (2, (2,)), (2, (0, 5)), (2, (-1,))])
def test_ranges_are_among_the_modes(modes: int, placed: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"column 'age': ranges .* among {modes} modes"):
        Span("age", modes, placed)


def test_spec_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Spec((), (), "binary").kind = "continuous"  # type: ignore[misc]
