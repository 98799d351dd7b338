"""Settings: what a wrong name or value is answered with."""

import math
from typing import Annotated, Literal

import pydantic
import pytest
from pydantic import Field

from ficta.base.errors import UsageError
from ficta.base.settings import Settings


class Inner(Settings):
    rate: Annotated[float, Field(gt=0)] = 0.5
    kind: Literal["slow", "fast"] = "slow"


class Outer(Settings):
    mode: Literal["auto"] | Literal["low", "high"] | None = None
    steps: Annotated[int, Field(ge=1, le=9)] = 3
    widths: tuple[int, ...] = (4, 2)
    inner: Inner = Inner()


def error(values: dict[str, object], where: str = "model") -> str:
    with pytest.raises(UsageError) as caught:
        Outer.read(values, where)
    return str(caught.value)


def test_defaults_fill_in() -> None:
    assert Outer.read({}, "model") == Outer()
    read = Outer.read({"steps": 5, "inner": {"kind": "fast"}, "widths": [1, 2, 3]}, "model")
    assert (read.steps, read.widths, read.inner.kind, read.inner.rate) == (5, (1, 2, 3), "fast", 0.5)


def test_unknown_key_names_the_nearest() -> None:
    assert (
        error({"step": 5}) == "unknown setting model.step: did you mean 'steps'? there is: inner, mode, steps, widths"
    )


def test_unknown_key_that_is_near_nothing_lists_all() -> None:
    assert error({"zzz": 5}) == "unknown setting model.zzz: there is: inner, mode, steps, widths"


def test_unknown_nested_key_has_its_dotted_path_and_its_own_neighbours() -> None:
    found = error({"inner": {"rates": 1.0}}, "train.optimiser")
    assert found == "unknown setting train.optimiser.inner.rates: did you mean 'rate'? there is: kind, rate"


def test_without_a_place_the_path_has_no_leading_dot() -> None:
    assert error({"inner": {"rates": 1.0}}, "").startswith("unknown setting inner.rates: ")


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"steps": 10}, ["model.steps = 10", "less than or equal to 9"]),
        ({"steps": 0}, ["model.steps = 0", "greater than or equal to 1"]),
        ({"steps": "many"}, ["model.steps = 'many'", "valid integer"]),
        ({"steps": 1.5}, ["model.steps = 1.5", "valid integer"]),
        ({"inner": {"rate": -1.0}}, ["model.inner.rate = -1.0", "greater than 0"]),
        ({"inner": {"rate": math.nan}}, ["model.inner.rate = nan"]),
        ({"inner": {"kind": "quick"}}, ["model.inner.kind = 'quick'", "there is: fast, slow"]),
        ({"inner": 3}, ["model.inner = 3", "a table of settings"]),
        ({"mode": "hihg"}, ["model.mode = 'hihg': did you mean 'high'? there is: auto, high, low"]),
        ({"widths": [1, "x"]}, ["model.widths.1 = 'x'", "valid integer"]),
    ],
)
def test_value_that_does_not_fit_is_named_with_its_bounds(values: dict[str, object], parts: list[str]) -> None:
    found = error(values)
    assert all(part in found for part in parts), found
    assert found.count("setting ") == 1
    assert "\n" not in found


def test_all_mistakes_are_told_at_once() -> None:
    found = error({"steps": 0, "inner": {"rates": 1.0}})
    assert "model.steps = 0" in found
    assert "model.inner.rates" in found


def test_a_wrong_call_has_exit_code_2() -> None:
    with pytest.raises(UsageError) as caught:
        Outer.read({"zzz": 1}, "model")
    assert caught.value.exit_code == 2


def test_settings_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Outer().steps = 4  # type: ignore[misc]


class Optimiser(Settings):
    rate: float = 1.0
    momentum: float = 0.9


class Network(Settings):
    optimiser: Optimiser = Optimiser(momentum=0.5)
    depth: int = 1


class Family(Settings):
    network: Network = Network(optimiser=Optimiser(rate=2.0, momentum=0.25), depth=3)


def test_setting_one_entry_of_a_table_keeps_the_defaults_of_the_field_not_of_the_class() -> None:
    family = Family.read({"network": {"optimiser": {"rate": 7}}}, "family")
    assert family.network == Network(optimiser=Optimiser(rate=7.0, momentum=0.25), depth=3)
    assert Network.read({"optimiser": {"rate": 7}}, "").optimiser.momentum == 0.5
    assert Family.read(family.model_dump(), "") == family
