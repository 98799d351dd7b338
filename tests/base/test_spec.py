"""Spec: validation, and the way to JSON and back."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.base.spec import Spec, class_condition

NAMES = st.text(min_size=1, max_size=5)
SHAPES = st.lists(st.integers(1, 50), max_size=4).map(tuple)


@st.composite
def specs(draw: st.DrawFn, depth: int = 1) -> Spec:
    shape = draw(SHAPES)
    kind = draw(st.sampled_from(["continuous", "binary", "categorical"]))
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


def test_spec_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Spec((), (), "binary").kind = "continuous"  # type: ignore[misc]
