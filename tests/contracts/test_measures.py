"""The law of measures: as many finite numbers as they have outputs, each within its bounds, or a reason why not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from ficta.data.table.codec import TableCodec
from ficta.evaluate.compared import MEASURES, Given, Measure, Seen

LABELS, FEATURES = 4, 6
each_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.outputs[0].name)


def seen(measure: Measure, count: int, seed: int, shift: float = 0.0) -> Seen:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(LABELS), count).astype(np.float32)
    items = random.integers(0, 256, (count, 1, 16, 16), np.uint8)
    if measure.name in TableCodec.measures:
        items = np.stack([random.normal(shift, 1, count), random.integers(0, 3, count)], 1)
        items[random.random(items.shape) < 0.1] = np.nan
    return Seen(random.normal(shift, 1, (count, FEATURES)).astype(np.float32), probabilities, items)


def given() -> Given:
    return Given(5, 0, np.full(LABELS, 1 / LABELS), np.array([False, True]))


@each_measure
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_numbers_are_within_their_bounds(measure: Measure, shift: float) -> None:
    values = measure.of(seen(measure, 60, 1, shift), seen(measure, 60, 2), given())
    assert len(values) == len(measure.outputs)
    for value, output in zip(values, measure.outputs, strict=True):
        assert math.isfinite(value)
        assert output.least <= value <= output.most, output.name


@each_measure
def test_the_same_items_give_the_same_numbers(measure: Measure) -> None:
    assert list(measure.of(seen(measure, 60, 1), seen(measure, 60, 2), given())) == list(
        measure.of(seen(measure, 60, 1), seen(measure, 60, 2), given())
    )


@each_measure
@pytest.mark.parametrize("count", [1, 3])
def test_too_few_items_are_a_reason_or_a_number(measure: Measure, count: int) -> None:
    values: Sequence[float] = ()
    reason = ""
    try:
        values = measure.of(seen(measure, count, 1), seen(measure, count, 2), given())
    except ValueError as error:
        reason = str(error)
    assert len(reason) > 10 or len(values) == len(measure.outputs)
    assert all(math.isfinite(value) for value in values)


@each_measure
def test_features_that_are_no_numbers_are_a_reason(measure: Measure) -> None:
    if measure.looks_at != "features":
        return
    broken = seen(measure, 60, 1)
    broken.features[7] = np.nan
    with pytest.raises(ValueError, match="1 of 60 items have features that are NaN or infinite"):
        measure.of(broken, seen(measure, 60, 2), given())


def test_names_are_unique_and_say_which_way_is_better() -> None:
    outputs = [output for measure in MEASURES for output in measure.outputs]
    assert len({output.name for output in outputs}) == len(outputs)
    for output in outputs:
        assert output.better in ("lower", "higher") or float(output.better.removeprefix("near ")) == 0.5
