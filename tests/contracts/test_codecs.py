"""One law set for every codec in the registry: what goes in comes out, within its Spec, item by item."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ficta.base.settings import Settings
from ficta.base.spec import Spec, class_condition
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.images import ImageSettings
from ficta.data.registry import CODECS, codec_from_facts

CLASSES = class_condition(("a", "b"))
RANDOM = np.random.default_rng(0)

# name of the case => codec, its settings, items in compact form that it stores without loss
CASES: dict[str, tuple[str, Settings, np.ndarray]] = {
    "image, grey": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 1, 6, 7), np.uint8)),
    "image, colour": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 3, 4, 4), np.uint8)),
    "image, binary": ("image", ImageSettings(binarise="fixed"), RANDOM.integers(0, 2, (5, 1, 6, 7), np.uint8) * 255),
    "image, transparent": ("image", ImageSettings(), RANDOM.integers(0, 256, (5, 4, 5, 3), np.uint8)),
}
# and items that it draws anew from noise: in by levels, out by chance
DRAWN: dict[str, tuple[str, Settings, np.ndarray]] = {
    "image, by chance": ("image", ImageSettings(binarise="dynamic"), RANDOM.integers(0, 256, (5, 3, 4, 4), np.uint8)),
}


def fitted(case: str, condition: Spec | None = CLASSES) -> tuple[Codec, torch.Tensor]:
    name, settings, items = (CASES | DRAWN)[case]
    codec = CODECS[name](settings)
    codec.fit([items], condition)
    return codec, torch.from_numpy(items)


def test_every_codec_has_a_case() -> None:
    assert {name for name, _, _ in CASES.values()} == set(CODECS)


@pytest.mark.parametrize("case", CASES)
def test_decoding_what_was_encoded_gives_it_back(case: str) -> None:
    codec, items = fitted(case)
    assert np.array_equal(codec.decode(codec.encode(items)), items.numpy())


@pytest.mark.parametrize("case", CASES | DRAWN)
def test_what_is_encoded_is_what_the_spec_says(case: str) -> None:
    codec, items = fitted(case)
    encoded, spec = codec.encode(items), codec.spec
    assert (encoded.dtype, encoded.shape) == (torch.float32, (len(items), *spec.shape))
    low, high = {"continuous": (-1, 1), "binary": (0, 1)}[spec.kind]
    assert low <= float(encoded.min()) < float(encoded.max()) <= high
    if spec.levels:
        places = (encoded.double() + 1) / 2 * (spec.levels - 1)
        torch.testing.assert_close(places, places.round(), rtol=0, atol=1e-4)
    assert spec.condition == CLASSES


@pytest.mark.parametrize("case", CASES)
def test_an_item_does_not_depend_on_the_others(case: str) -> None:
    codec, items = fitted(case)
    one_by_one = torch.cat([codec.encode(item[None]) for item in items])
    assert torch.equal(codec.encode(items), one_by_one)
    assert np.array_equal(codec.decode(one_by_one[3:]), codec.decode(one_by_one)[3:])


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


@pytest.mark.parametrize("condition", [None, CLASSES], ids=["free", "by class"])
@pytest.mark.parametrize("case", CASES | DRAWN)
def test_a_run_keeps_all_that_was_learnt(case: str, condition: Spec | None) -> None:
    codec, items = fitted(case, condition)
    facts = json.loads(json.dumps(codec.facts(), allow_nan=False))
    again = codec_from_facts(facts)
    assert (type(again), again.settings) == (type(codec), codec.settings)
    assert (again.spec, again.facts()) == (codec.spec, codec.facts())
    assert torch.equal(again.encode(items), codec.encode(items))


@pytest.mark.parametrize("case", CASES)
def test_a_file_an_item_numbered_from_the_first(case: str, tmp_path: Path) -> None:
    codec, items = fitted(case)
    paths = codec.write(items.numpy(), tmp_path / "out", first=7)
    assert [int(path.stem) for path in paths] == list(range(7, 7 + len(items)))
    assert set((tmp_path / "out").iterdir()) == set(paths)
    contents = [path.read_bytes() for path in paths]
    assert len(set(contents)) == len(items)
    (alone,) = codec.write(items.numpy()[3:4], tmp_path / "alone", first=10)
    assert (alone.name, alone.read_bytes()) == (paths[3].name, contents[3])


@pytest.mark.parametrize("case", CASES)
def test_a_sheet_can_be_looked_at(case: str) -> None:
    codec, items = fitted(case)
    plain, named = codec.preview(items.numpy()), codec.preview(items.numpy(), 5, captions=list("abcde"))
    assert plain.mode == named.mode == "RGB"
    assert min(*plain.size, *named.size) > 40


@pytest.mark.parametrize("case", CASES)
def test_the_cache_is_keyed_by_plain_settings(case: str) -> None:
    codec, _ = fitted(case)
    assert json.loads(json.dumps(codec.stored_key())) == codec.stored_key()
