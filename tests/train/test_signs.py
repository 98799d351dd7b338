"""The cheap measures of a report: what they are for samples whose worth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from ficta.api import recipe_for
from ficta.data.dataset import Dataset, Store
from ficta.data.ingest import ingest
from ficta.models.gan import Gan
from ficta.models.registry import build
from ficta.train.observe import Signs
from ficta.train.verdicts import judge

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("gan", "digits", {}).data)


def store(dataset: Dataset, name: str, count: int | None = None) -> Store:
    split = dataset.splits[name]
    return Store(dataclasses.replace(split, rows=split.rows[:count]), CPU, 0)


def signs(dataset: Dataset, train: int | None = None, validation: int | None = None) -> Signs:
    return Signs(dataset.codec, store(dataset, "train", train), store(dataset, "validation", validation), 0)


def gan(dataset: Dataset) -> Gan:
    torch.manual_seed(0)
    found = build("gan", {}, dataset.codec.spec).eval()
    assert isinstance(found, Gan)
    return found


def test_new_real_items_are_varied_and_as_new_as_real(digits: Dataset) -> None:
    test = digits.splits["test"]
    found = signs(digits).of(test.read(0, 180), gan(digits))
    assert found["spread_ratio"] == pytest.approx(1, abs=0.1)
    assert found["coverage_ratio"] > 0.8
    assert found["closer_to_training_ratio"] == pytest.approx(0.5, abs=0.1)
    assert found["preference_chance"] > 0.05


def test_copies_lie_closer_than_anything_held_out(digits: Dataset) -> None:
    copies = digits.splits["train"].read(0, 64)
    found = signs(digits, train=200).of(copies, gan(digits))
    assert found["closer_to_training_ratio"] == 1
    assert found["preference_chance"] < 1e-6
    assert found["nearness_ratio"] == 0
    few = signs(digits, train=64, validation=3).of(copies, gan(digits))  # with hardly anything held out
    assert few["closer_to_training_ratio"] == 1
    assert few["nearness_ratio"] == 0
    assert not few.keys() & {"overfit_ratio", "preference_chance"}


@pytest.mark.parametrize(
    ("copied", "share", "verdict"),
    [(10, 1.0, "copying"), (60, 1.0, "copying"), (10, 0.4, "copying"), (0, 0.0, "healthy")],
)
def test_copies_of_a_few_items_are_copies_too(digits: Dataset, copied: int, share: float, verdict: str) -> None:
    made = digits.splits["test"].read(0, 180)
    if copied:
        count = round(share * len(made))
        made[:count] = digits.splits["train"].read(0, copied)[np.arange(count) % copied]
    found = {"losses": {}, **signs(digits).of(made, gan(digits)), "spread_ratio": 1.0, "coverage_ratio": 1.0}
    assert judge({"seen": 90_000, **found}, [{"seen": 80_000, **found}], 100_000).name == verdict


def test_few_kinds_cover_little_though_they_differ(digits: Dataset) -> None:
    three = np.repeat(digits.splits["train"].read(0, 3), 80, axis=0)
    found = signs(digits).of(three, gan(digits))
    assert found["spread_ratio"] > 0.4
    assert found["coverage_ratio"] < 0.1


def test_a_discriminator_that_knows_its_training_items_by_heart_overfits(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {item.tobytes() for item in digits.splits["train"].read(0, 10_000)}
    family = gan(digits)

    def by_heart(self: Gan, x: Tensor, condition: Tensor | None) -> Tensor:
        return torch.tensor([5.0 if item.tobytes() in known else -1.0 for item in digits.codec.decode(x)])

    monkeypatch.setattr(Gan, "logits", by_heart)
    made = np.zeros((10, 1, 8, 8), np.uint8)
    assert signs(digits).of(made, family)["overfit_ratio"] == pytest.approx(1)
    monkeypatch.setattr(Gan, "logits", lambda self, x, condition: x.mean((1, 2, 3)))  # it sees brightness alone
    assert signs(digits).of(made, family)["overfit_ratio"] == pytest.approx(0, abs=0.1)
    like_real = digits.splits["test"].read(0, 180)  # which it cannot tell from what it learnt
    assert "overfit_ratio" not in signs(digits).of(like_real, family)


def test_without_held_out_items_what_is_left_is_measured(digits: Dataset) -> None:
    found = signs(digits, validation=0).of(digits.splits["test"].read(0, 64), gan(digits))
    assert found.keys() == {"coverage_ratio", "closer_to_training_ratio", "nearness_ratio", "kernel_distance"}
    assert signs(digits, train=3, validation=0).of(digits.splits["test"].read(0, 64), gan(digits)) == {}
