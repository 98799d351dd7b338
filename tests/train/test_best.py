"""Which weights are kept, and that going on keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ficta.base.errors import UsageError
from ficta.compute import tensors
from ficta.runs.folder import RunFolder
from ficta.train import loop
from ficta.train.best import Best, to_keep

WEIGHTS = {"w": torch.zeros(2)}


def consider(best: Best, *costs: float, name: str = "heldout_negative_elbo_nats") -> list[bool]:
    return [
        best.consider({"seen": n, name: cost}, {"w": torch.full((2,), float(n))}) for n, cost in enumerate(costs, 1)
    ]


@pytest.mark.parametrize(
    ("name", "costs", "better"),
    [
        ("heldout_negative_elbo_nats", (90, 80, 85, 80, 79), [True, True, False, False, True]),
        ("kernel_distance", (0.1, -0.1, 0.0), [True, True, False]),
        ("coverage_ratio", (0.1, 0.4, 0.3, 0.5), [True, True, False, True]),
    ],
)
def test_the_best_report_is_kept(name: str, costs: tuple[float, ...], better: list[bool]) -> None:
    best = Best("auto")
    assert consider(best, *costs, name=name) == better
    assert best.measure == name
    last = max(n for n, is_better in enumerate(better, 1) if is_better)
    assert best.seen == last
    assert best.weights["w"].tolist() == [last, last]


def test_the_weights_are_a_copy() -> None:
    best, mine = Best("auto"), torch.zeros(2)
    best.consider({"seen": 1, "kernel_distance": 1.0}, {"w": mine})
    mine += 1
    assert best.weights["w"].tolist() == [0, 0]


def test_what_the_reports_do_not_take_cannot_be_gone_by() -> None:
    with pytest.raises(UsageError, match=r"'heldout_negative_elbo_nats': reports .* there is kernel_distance"):
        Best("heldout_negative_elbo_nats").consider({"seen": 1, "kernel_distance": 1.0}, WEIGHTS)
    with pytest.raises(UsageError, match=r"set train\.keep=last"):
        Best("auto").consider({"seen": 1}, WEIGHTS)


def test_it_goes_on_as_if_it_had_not_stopped() -> None:
    whole, part = Best("auto"), Best("auto")
    consider(part, 5.0, 3.0)
    resumed = Best("auto")
    resumed.restore(*part.state())
    assert consider(resumed, 4.0, 2.0) == [False, True]
    consider(whole, 5.0, 3.0)
    consider(whole, 4.0, 2.0)
    assert whole.state()[1] == resumed.state()[1]


def test_without_a_report_the_last_weights_are_kept() -> None:
    assert to_keep(Best("auto"), 7, WEIGHTS) == to_keep(None, 7, WEIGHTS) == (7, WEIGHTS)


def test_a_run_makes_its_samples_from_the_best_report(
    tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {160: 3.0, 320: 1.0, 480: 2.0}
    measure = loop.heldout

    def faked(family: object, *others: object) -> dict[str, float]:
        found = measure(family, *others)  # type: ignore[arg-type]
        return found | {
            "heldout_negative_elbo_nats": costs[len(RunFolder(tmp_path / "best").lines("history")) * 160 + 160]
        }

    short = train_small("vae", tmp_path / "short", "train.samples=320", "train.reports=2")
    monkeypatch.setattr(loop, "heldout", faked)
    best = train_small("vae", tmp_path / "best", "train.samples=480", "train.reports=3", "train.keep=best")
    assert [line["kept"] for line in RunFolder(best).lines("history")] == [True, True, False]
    kept, facts = tensors.load(best / "weights.safetensors")
    expected, _ = tensors.load(short / "weights.safetensors")
    assert facts == {"seen": "320"}
    assert all(torch.equal(kept[name], expected[name]) for name in expected)


def test_a_run_that_could_not_be_gone_by_does_not_begin(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    settings = ["train.keep=best", "train.keep_by=heldout_negative_elbo_nats"]
    for family, others in (("gan", []), ("vae", ["data.validation=0"])):
        with pytest.raises(UsageError, match="do not take it"):
            train_small(family, tmp_path / family, *settings, *others)
        assert not (tmp_path / family / "recipe.toml").exists()
