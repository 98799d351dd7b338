"""What is judged, on what evidence, and what a bad verdict does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ficta import api
from ficta.base.errors import VerdictError
from ficta.compute import tensors
from ficta.models.family import Batch, Losses
from ficta.models.vae import Vae
from ficta.runs.folder import RunFolder
from ficta.train import loop
from ficta.train.verdicts import Verdict, judge

TARGET = 100_000


def line(seen: int, loss: float = 10.0, **others: Any) -> dict[str, Any]:
    return {"seen": 100 * seen, "losses": {"elbo": loss}, **others}


def judged(*lines: dict[str, Any]) -> Verdict:
    return judge(lines[-1], lines[:-1], TARGET)


def test_healthy() -> None:
    assert judged(line(100)).name == "healthy"
    falling = [line(100 * n, 200 / n, heldout_negative_elbo_nats=200 / n, spread_ratio=0.9) for n in range(1, 11)]
    assert judged(*falling) == Verdict("healthy")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_diverged_by_a_loss_that_is_no_number(loss: float) -> None:
    verdict = judged(line(100), line(200, loss))
    assert verdict.name == "diverged"
    assert "elbo is" in verdict.advice
    assert "train.clip_norm" in verdict.advice
    json.dumps(verdict.evidence, allow_nan=False)


@pytest.mark.parametrize("loss", [1001.0, -1001.0])
def test_diverged_by_a_loss_that_runs_away(loss: float) -> None:
    usual = [line(100 * n, 10) for n in range(1, 4)]
    verdict = judged(*usual, line(400, loss))
    assert verdict == Verdict("diverged", {"elbo": loss, "elbo_usual": 10.0}, verdict.advice)
    assert judged(*usual, line(400, 999)).name == "healthy"
    assert judged(*usual[1:], line(400, loss)).name == "healthy"  # two reports are no habit
    tiny = [line(100 * n, 1e-6) for n in range(1, 4)]
    assert judged(*tiny, line(400, 0.5)).name == "healthy"  # from nearly nothing to a little


def test_losses_that_are_no_numbers_in_the_history_do_not_disturb() -> None:
    assert judged(line(10, "nan"), line(20), line(30), line(40), line(50)).name == "healthy"  # type: ignore[arg-type]


def test_collapsed_after_two_reports_without_spread() -> None:
    varied = line(100, spread_ratio=0.9)
    verdict = judged(varied, line(300, spread_ratio=0.2), line(400, spread_ratio=0.1))
    assert (verdict.name, dict(verdict.evidence)) == ("collapsed", {"spread_ratio": 0.1})
    assert "10%" in verdict.advice
    assert judged(varied, line(300, spread_ratio=0.3), line(400, spread_ratio=0.1)).name == "healthy"
    assert judged(varied, line(300), line(400, spread_ratio=0.1)).name == "healthy"
    assert judged(varied, line(150, spread_ratio=0.1), line(200, spread_ratio=0.1)).name == "healthy"  # it has begun
    rising = judged(varied, line(300, spread_ratio=0.1), line(400, spread_ratio=0.11))
    assert rising.name == "healthy"  # it comes back
    short = (varied, line(130, spread_ratio=0.1), line(140, spread_ratio=0.1))
    assert judge(short[-1], short[:-1], 20_000).name == "healthy"  # 14,000 samples are too few to say
    assert judge(line(185, spread_ratio=0.1), [line(181, spread_ratio=0.1)], 20_000).name == "collapsed"


def test_a_run_whose_samples_never_resembled_the_data_has_until_the_middle() -> None:
    flat = [line(100 * n, spread_ratio=0.1, coverage_ratio=0.0) for n in range(1, 8)]
    assert judged(*flat[:5]).name == "healthy"
    assert judged(*flat[:6]).name == "collapsed"
    begun = line(100, spread_ratio=0.9, coverage_ratio=0.5)
    assert judged(begun, *flat[1:4]).name == "collapsed"


@pytest.mark.parametrize(
    ("name", "bad", "good", "verdict"),
    [
        ("coverage_ratio", 0.04, 0.2, "collapsed"),
        ("overfit_ratio", 0.7, 0.5, "discriminator overfits"),
    ],
)
def test_signs_must_show_in_two_reports_after_the_run_has_settled(
    name: str, bad: float, good: float, verdict: str
) -> None:
    def after(seen: int, *values: float) -> Verdict:
        reports = [line(seen + 100 * n, **{name: value}) for n, value in enumerate(values)]
        return judged(line(10, **{name: good}), *reports)

    found = after(300, bad, bad)
    assert (found.name, dict(found.evidence)) == (verdict, {name: bad})
    assert f"{bad:.0%}" in found.advice
    assert after(300, good, bad).name == after(300, bad, good).name == after(300, bad).name == "healthy"
    assert after(50, bad, bad).name == "healthy"


def test_samples_that_lie_close_to_everything_are_no_copies() -> None:
    def close(name: str, *values: float) -> Verdict:
        reports = enumerate(values)
        return judged(*(line(300 + n, closer_to_training_ratio=0.8, **{name: value}) for n, value in reports))

    for name, little, much in (("preference_chance", 1e-4, 0.3), ("nearness_ratio", 0.1, 0.9)):
        found = close(name, 2 * little, little)
        assert (found.name, dict(found.evidence)) == ("copying", {"closer_to_training_ratio": 0.8, name: little})
        assert close(name, much, little).name == close(name, little, much).name == "healthy"


def covering(*shares: float) -> str:
    return judged(*(line(500 + 10 * n, coverage_ratio=share) for n, share in enumerate(shares))).name


def spreading(*shares: float) -> str:
    return judged(*(line(500 + 10 * n, coverage_ratio=0.0, spread_ratio=share) for n, share in enumerate(shares))).name


def test_what_exceeds_all_before_is_learning_and_what_only_varies_is_not() -> None:
    assert covering(0.0, 0.01, 0.02, 0.03) == "healthy"
    assert covering(0.0, 0.01) == "collapsed"  # hardly anything
    assert covering(0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.03) == "collapsed"  # it was there before
    assert spreading(0.1, 0.1, 0.12) == "healthy"
    assert spreading(0.12, 0.06, 0.06, 0.06, 0.06, 0.06, 0.12) == "collapsed"
    assert spreading(0.0, 0.0, 0.0) == "collapsed"  # a dead generator does not spread


def test_a_run_that_falls_after_it_has_risen_is_called_at_once() -> None:
    rising = [0.1 * n for n in range(10)]
    assert covering(*rising, 0.0) == "healthy"  # one report may be an accident
    assert covering(*rising, 0.0, 0.0) == "collapsed"
    assert spreading(*rising, 0.02, 0.02) == "collapsed"


def held(*costs: float) -> list[dict[str, Any]]:
    return [line(100 * n, heldout_negative_elbo_nats=cost) for n, cost in enumerate(costs, 1)]


def test_plateau_when_held_out_cost_no_longer_falls() -> None:
    verdict = judged(*held(90, 80, 70, 60, 50.0, 50, 50, 50))
    assert (verdict.name, dict(verdict.evidence)) == ("plateau", {"best_before": 50, "best_lately": 50})
    assert "train.decay" in verdict.advice
    assert judged(*held(90, 80, 70, 60, 50, 49.9, 49.9, 49.9)).name == "healthy"
    assert judged(*held(90, 80, 70, 60, 50, 52, 53, 54)).name == "plateau"  # it grows
    assert judged(*held(-1, -2, -3, -4, -5, -5, -5, -5)).name == "plateau"
    assert judged(*held(50, 50, 50, 50)).name == "healthy"  # too early to say


def test_the_worst_comes_first() -> None:
    flat = held(90, 80, 70, 60, 50, 50, 50, 50)
    for name, value, verdict in (
        ("overfit_ratio", 0.9, "discriminator overfits"),
        ("closer_to_training_ratio", 0.9, "copying"),
        ("spread_ratio", 0.1, "collapsed"),
    ):
        for entry in flat:
            entry |= {name: value, "nearness_ratio": 0.0}
        assert judged(*flat).name == verdict
    flat[-1]["losses"] = {"elbo": math.nan}
    assert judged(*flat).name == "diverged"


def weights(run: Path) -> dict[str, torch.Tensor]:
    return tensors.load(run / "weights.safetensors")[0]


def spoil(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """From so many samples on the loss is NaN."""
    loss = Vae.loss

    def spoilt(self: Vae, batch: Batch) -> Losses:
        given = loss(self, batch)
        factor = torch.where(batch.seen >= after, math.nan, 1.0)
        return Losses(given.value * factor, given.terms)

    monkeypatch.setattr(Vae, "loss", spoilt)


def test_nan_stops_and_the_last_good_state_stays(
    tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["train.samples=480", "train.reports=3", "train.save_every_samples=96"]
    whole = train_small("vae", tmp_path / "whole", *settings)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        spoil(patch, 224)
        with pytest.raises(
            VerdictError, match=r"diverged at 288 samples: .*; the state at 192 samples is kept"
        ) as stop:
            train_small("vae", out, *settings)
    assert stop.value.exit_code == 3
    assert RunFolder(out).latest_seen() == 192
    assert all(value.isfinite().all() for value in weights(out).values())
    last = RunFolder(out).lines("history")[-1]
    assert (last["seen"], last["verdict"]) == (288, "diverged")
    train_small("vae", out, *settings)  # with the cause mended it goes on from there
    assert all(torch.equal(value, weights(out)[name]) for name, value in weights(whole).items())
    assert [entry["verdict"] for entry in RunFolder(out).lines("history")] == ["healthy"] * 3


def test_nan_before_any_save_leaves_a_run_that_can_begin_again(
    tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["train.samples=480", "train.reports=6"]
    with monkeypatch.context() as patch:
        spoil(patch, 64)
        with pytest.raises(VerdictError, match="the state at 0 samples is kept"):
            train_small("vae", tmp_path / "run", *settings)
    run = train_small("vae", tmp_path / "run", *settings)
    assert [entry["seen"] for entry in RunFolder(run).lines("history")] == [80, 160, 240, 320, 400, 480]


@pytest.mark.parametrize("reports", [1, 16])
def test_an_absurd_learning_rate(reports: int, tmp_path: Path, train_small: Callable[..., Path]) -> None:
    """Weights beyond all numbers are a divergence, whether the loss, a weight or a sample shows it first."""
    with pytest.raises(VerdictError, match="diverged"):
        train_small("vae", tmp_path / "run", f"train.reports={reports}", "model.optimiser.rate=1e30")
    assert RunFolder(tmp_path / "run").latest_seen() == 0  # only the first weights were saved
    assert RunFolder(tmp_path / "run").lines("history")[-1]["verdict"] == "diverged"


def test_a_state_that_is_not_finite_is_never_saved(
    tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 100)
    with pytest.raises(VerdictError, match="diverged at 128 samples: a weight is no longer a number"):
        train_small("vae", tmp_path / "run", "train.reports=1", "train.save_every_samples=64")
    assert RunFolder(tmp_path / "run").latest_seen() == 64


@pytest.mark.parametrize("on_verdict", ["stop", "warn"])
def test_a_verdict_stops_a_run_only_where_that_is_asked_for(
    on_verdict: str, tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loop,
        "judge",
        lambda line, *_: Verdict("collapsed", {"x": 1.0}, "do") if line["seen"] >= 128 else Verdict("healthy"),
    )
    run, settings = tmp_path / "run", ["train.reports=4", f"train.on_verdict={on_verdict}"]
    if on_verdict == "stop":
        with pytest.raises(VerdictError, match="collapsed at 128 samples: do; the state at 128 samples is kept"):
            train_small("vae", run, *settings)
        assert RunFolder(run).latest_seen() == 128
    else:
        train_small("vae", run, *settings)
        assert RunFolder(run).latest_seen() == 256
    assert RunFolder(run).lines("history")[-1]["verdict"] == "collapsed"
    assert RunFolder(run).lines("history")[-1]["evidence"] == {"x": 1.0}


def test_a_stopped_run_gets_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 0)
    settings = ["train.samples=64", "train.reports=1", "train.batch=16", "train.threads=1"]
    with pytest.raises(VerdictError):
        api.train("vae", "digits", tmp_path / "run", assignments=settings)
    assert "diverged" in (tmp_path / "run" / "report.html").read_text()
    assert "diverged" in (tmp_path / "run" / "card.md").read_text()


@pytest.mark.parametrize(("target", "reports", "points"), [
    (480, 4, [120, 240, 360, 480]),
    (10, 40, list(range(1, 11))),
    (100_000, 4, [1024, 2048, 4096, 8192, 16384, 25000, 50000, 75000, 100_000]),
])  # fmt: skip
def test_when_reports_are_due(target: int, reports: int, points: list[int]) -> None:
    due = loop.report_points(target, reports)
    assert due[-1] == target
    assert [point for point in due if point > 0] == due == sorted(set(due))
    assert set(due) <= set(points)
