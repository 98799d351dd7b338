"""Whether codes that were found without labels are compared with them rightly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ficta.api import recipe_for
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.evaluate.codes import codes_named
from ficta.evaluate.ground import EvaluateSettings, Ground, lay_ground
from ficta.models.infogan import InfoGan
from ficta.runs.run import Run


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("infogan", "digits", {}).data)


def ground(run: Run, dataset: Dataset) -> Ground:
    return lay_ground(run, dataset, EvaluateSettings(n=200, features=("pixels",)), lambda *_: None)


def test_a_code_that_is_the_label_by_other_names_is_right(
    small_runs: Callable[[str], Path], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = ground(Run(small_runs("infogan")), digits)
    label_of = {}
    for source in (laid.heldout, laid.train):
        labels = source.labels(0, len(source))
        assert labels is not None
        label_of |= {item.tobytes(): label for item, label in zip(source.read(0, len(source)), labels, strict=True)}

    def codes(self: InfoGan, x: Tensor) -> Tensor:
        items = digits.codec.decode(x)
        return torch.tensor([[9 - label_of.get(item.tobytes(), 0)] for item in items])

    monkeypatch.setattr(InfoGan, "codes", codes)
    (result,) = codes_named(laid)
    assert result.name == "code-accuracy(code 1)"
    assert result.estimate is not None
    assert result.real is not None
    assert result.shuffled is not None
    assert (result.estimate.value, result.real.value) == (1, 1)
    labels = laid.heldout.labels(0, len(laid.heldout))
    assert labels is not None
    assert result.shuffled.value == pytest.approx(np.bincount(labels).max() / len(labels))  # all are in one group


def test_without_codes_there_is_nothing_to_name(small_runs: Callable[[str], Path], digits: Dataset) -> None:
    assert list(codes_named(ground(Run(small_runs("gan")), digits))) == []
