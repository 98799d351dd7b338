"""One law set for every codec in the registry: what goes in comes out, within its Spec, item by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ficta.base.settings import Settings
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.images import ImageSettings
from ficta.data.ingest import ingest
from ficta.data.registry import CODECS, codec_from_facts
from ficta.data.settings import DataSettings
from ficta.data.table.columns import Column
from ficta.data.table.settings import TableSettings

LABELS = ("a", "b")
RANDOM = np.random.default_rng(0)
COLUMNS = [
    Column("size", "integer", "", decimals=0, low=0, high=9, missing=1),
    Column("price", "number", "", decimals=2, low=0, high=9.5),
    Column("kind", "category", "", categories=("x", "y", "z")),
    Column("day", "datetime", "", resolution="day", low=0, high=86400 * 9),
]
ROWS = np.array(
    [[3, 0.25, 2, 0], [np.nan, 9.5, 0, 86400], [5, 1.0, 1, 86400 * 9], [7, 0.25, 1, 0], [0, 3.75, 2, 172800]],
    np.float64,
)

# name of the case => codec, its settings, items in compact form that it stores without loss
CASES: dict[str, tuple[str, Settings, np.ndarray]] = {
    "image, grey": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 1, 6, 7), np.uint8)),
    "image, colour": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 3, 4, 4), np.uint8)),
    "image, binary": ("image", ImageSettings(binarise="fixed"), RANDOM.integers(0, 2, (5, 1, 6, 7), np.uint8) * 255),
    "image, transparent": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 4, 5, 3), np.uint8)),
    "table": ("table", TableSettings(), ROWS),
    "table, ranges": ("table", TableSettings(modes=1), ROWS),
}
SCHEMAS: dict[str, dict[str, Any]] = {"table": {"columns": [column.to_json() for column in COLUMNS], "notes": []}}
# and items that it draws anew from noise: in by levels, out by chance
DRAWN: dict[str, tuple[str, Settings, np.ndarray]] = {
    "image, by chance": ("image", ImageSettings(binarise="dynamic"), RANDOM.integers(0, 256, (5, 3, 4, 4), np.uint8)),
}


def fitted(case: str, conditional: bool = True) -> tuple[Codec, torch.Tensor]:
    name, settings, items = (CASES | DRAWN)[case]
    codec = CODECS[name](settings)
    codec.schema = SCHEMAS.get(name, {})
    codec.fit([items], conditional, LABELS)
    return codec, torch.from_numpy(items)


def test_every_codec_has_a_case() -> None:
    assert {name for name, _, _ in CASES.values()} == set(CODECS)


@pytest.mark.parametrize("case", CASES)
def test_decoding_what_was_encoded_gives_it_back(case: str) -> None:
    codec, items = fitted(case)
    np.testing.assert_array_equal(codec.decode(codec.encode(items)), items.numpy())


@pytest.mark.parametrize("case", CASES | DRAWN)
def test_what_is_encoded_is_what_the_spec_says(case: str) -> None:
    codec, items = fitted(case)
    encoded, spec = codec.encode(items), codec.spec
    assert (encoded.dtype, encoded.shape) == (torch.float32, (len(items), *spec.shape))
    low, high = {"continuous": (-1, 1), "binary": (0, 1), "mixed": (-1, 1)}[spec.kind]
    assert low <= float(encoded.min()) < float(encoded.max()) <= high
    if spec.levels:
        places = (encoded.double() + 1) / 2 * (spec.levels - 1)
        torch.testing.assert_close(places, places.round(), rtol=0, atol=1e-4)
    assert spec.condition is not None
    assert codec.by_label == (spec.condition.categories == LABELS)


@pytest.mark.parametrize("case", CASES)
def test_an_item_does_not_depend_on_the_others(case: str) -> None:
    codec, items = fitted(case)
    one_by_one = torch.cat([codec.encode(item[None]) for item in items])
    assert torch.equal(codec.encode(items), one_by_one)
    np.testing.assert_array_equal(codec.decode(one_by_one[3:]), codec.decode(one_by_one)[3:])


@pytest.mark.parametrize("case", CASES | DRAWN)
def test_what_is_drawn_is_a_function_of_the_noise(case: str) -> None:
    codec, items = fitted(case)
    count = len(items)
    whole = codec.encode(items, Noise.whole(7, "cpu", count))
    assert (whole.dtype, whole.shape) == (torch.float32, (count, *codec.spec.shape))
    # what two processes, or two accumulated micro-batches, see of one step
    parts = [codec.encode(items[i:j], Noise(7, torch.device("cpu"), count, i, j - i)) for i, j in ((0, 2), (2, count))]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(codec.encode(items, Noise.whole(8, "cpu", count)), whole) == (case not in DRAWN)


@pytest.mark.parametrize("conditional", [False, True], ids=["free", "conditional"])
@pytest.mark.parametrize("case", CASES | DRAWN)
def test_a_run_keeps_all_that_was_learnt(case: str, conditional: bool) -> None:
    codec, items = fitted(case, conditional)
    facts = json.loads(json.dumps(codec.facts(), allow_nan=False))
    again = codec_from_facts(facts)
    assert (type(again), again.settings) == (type(codec), codec.settings)
    assert (again.spec, json.loads(json.dumps(again.facts()))) == (codec.spec, facts)
    assert torch.equal(again.encode(items), codec.encode(items))


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_again(case: str, tmp_path: Path) -> None:
    codec, items = fitted(case)
    codec.write([items[:2].numpy(), items[2:].numpy()], tmp_path)
    files = sorted(tmp_path.iterdir())
    place = files[0] if codec.endings else tmp_path
    assert len(files) == (1 if codec.endings else len(items))
    settings = DataSettings(path=str(place), test=0, validation=0).model_copy(update={codec_name(case): codec.settings})
    again = ingest(settings, schema=codec.schema).splits["train"]
    np.testing.assert_array_equal(again.read(0, len(again)), items.numpy())


def codec_name(case: str) -> str:
    return (CASES | DRAWN)[case][0]


@pytest.mark.parametrize("case", CASES | DRAWN)
def test_what_is_asked_for_by_default_has_the_shape_of_the_condition(case: str) -> None:
    codec, items = fitted(case)
    assert codec.spec.condition is not None
    asked = codec.ask()
    condition = asked.condition(3, 4)
    assert condition is not None
    assert condition.shape == (4, *codec.spec.condition.shape)
    np.testing.assert_array_equal(asked.keep(items.numpy(), 0), items.numpy())
    assert fitted(case, conditional=False)[0].ask().condition(0, 4) is None


@pytest.mark.parametrize("case", CASES | DRAWN)
def test_what_training_asks_for_is_a_condition(case: str) -> None:
    codec, items = fitted(case)
    data, labels = codec.encode(items), torch.tensor([0, 1, 1, 0, 1])
    assert codec.spec.condition is not None
    for noise in (None, Noise.whole(3, "cpu", len(items))):
        condition = codec.condition(codec.spec, data, labels, noise)
        assert condition is not None
        assert condition.shape == (len(items), *codec.spec.condition.shape)
    free = fitted(case, conditional=False)[0]
    assert free.condition(free.spec, data, labels, None) is None


@pytest.mark.parametrize("case", CASES)
def test_without_structure_the_same_values_remain(case: str) -> None:
    codec, items = fitted(case)
    made = codec.unstructured(items.numpy(), 1, 0)
    assert (made.shape, made.dtype) == (items.shape, items.numpy().dtype)
    np.testing.assert_array_equal(np.sort(made, axis=None), np.sort(items.numpy(), axis=None))
    np.testing.assert_array_equal(codec.unstructured(items.numpy(), 1, 0), made)


@pytest.mark.parametrize("case", CASES)
def test_a_sheet_can_be_looked_at(case: str) -> None:
    codec, items = fitted(case)
    plain, named = codec.preview(items.numpy()), codec.preview(items.numpy(), 5, captions=list("abcde"))
    assert plain.mode == named.mode == codec.overview(items.numpy()).mode == "RGB"
    assert min(*plain.size, *named.size) > 40


@pytest.mark.parametrize("case", CASES)
def test_the_cache_is_keyed_by_plain_settings(case: str) -> None:
    codec, _ = fitted(case)
    assert json.loads(json.dumps(codec.stored_key())) == codec.stored_key()
