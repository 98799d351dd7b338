"""Rejection sampling: probabilities on paper, a known ratio of densities, samples that depend on nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ficta import api
from ficta.base.errors import UsageError
from ficta.compute.noise import Place, latents
from ficta.models.family import SampleSettings
from ficta.runs.rejection import ATTEMPTS, MARGIN, Acceptance, acceptance_by, accepted

OPTIONS = SampleSettings()


class Made:
    """Samples are normal numbers, real items have a mean of 1: their log-ratio of densities at x is x - 1/2."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.drawn = 0

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return x[:, 0] - 0.5

    def sample(self, n: int, condition: Tensor | None, *, options: SampleSettings, seed: int, first: Place) -> Tensor:
        self.asked.append(seed)
        self.drawn += n
        return latents(seed, first, n, 1)


def kept(family: Any, acceptance: Acceptance, count: int, first: int = 0) -> Tensor:
    return accepted(family, acceptance, count, None, options=OPTIONS, seed=3, first=first)


def test_probabilities_are_those_of_the_equation() -> None:
    # the likelihood ratio over its highest: e^(l - M); with a gamma the odds are that much lower
    acceptance = Acceptance(1.0, 0.0, highest=2.0)
    found = acceptance.probability(torch.tensor([2 - math.log(4), 2 - math.log(2)]))
    assert found.tolist() == pytest.approx([0.25, 0.5], rel=1e-5)
    shifted = acceptance._replace(gamma=-math.log(3)).probability(torch.tensor([2 - math.log(4), 2 - math.log(2)]))
    assert shifted.tolist() == pytest.approx([0.5, 0.75], rel=1e-5)


def test_the_best_are_kept_nearly_always_and_none_gives_a_nan() -> None:
    found = Acceptance(2.0, -1.0, highest=1.0).probability(torch.tensor([1.0, 5.0, -1e4]))
    assert found.tolist() == pytest.approx([1 - MARGIN, 1 - MARGIN, 0], abs=1e-9)


def test_samples_that_are_kept_are_distributed_as_real_items() -> None:
    # up to a ratio of e^3.5, at x = 4, beyond which there is hardly anything
    found = kept(Made(), Acceptance(1.0, 0.0, highest=3.5), 3000)[:, 0]
    assert found.mean().item() == pytest.approx(1, abs=4 / math.sqrt(3000) + 0.05)
    assert found.std().item() == pytest.approx(1, abs=0.06)


def test_a_sample_does_not_depend_on_the_others() -> None:
    acceptance = Acceptance(1.0, 0.0, highest=2.0)
    whole = kept(Made(), acceptance, 90)
    parts = [kept(Made(), acceptance, count, first) for first, count in ((0, 1), (1, 70), (71, 19))]
    assert torch.equal(torch.cat(parts), whole)


def test_as_many_candidates_are_drawn_as_it_takes() -> None:
    family, acceptance = Made(), Acceptance(1.0, 0.0, highest=3.5)
    kept(family, acceptance, 3000)
    rate = acceptance.probability(latents(0, 0, 100_000, 1)[:, 0] - 0.5).mean().item()
    assert family.drawn == pytest.approx(3000 / rate, rel=0.1)


def test_candidates_come_to_an_end() -> None:
    family = Made()
    found = kept(family, Acceptance(1.0, 0.0, highest=1e6), 2)
    assert len(set(family.asked)) == ATTEMPTS
    assert torch.equal(found, latents(family.asked[-1], 0, 2, 1))


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_whatever_the_unit_of_logits_their_log_odds_are_found(unit: float) -> None:
    family, chance = Made(), torch.Generator().manual_seed(0)
    made, known = (
        unit * family.logits(mean + torch.randn(2000, 1, generator=chance), None).double() for mean in (0, 1)
    )
    found = acceptance_by(made, known)
    assert found.scale * unit == pytest.approx(1, abs=0.1)  # the log-ratio of densities at x is x - 1/2, the logit here
    assert found.shift == pytest.approx(0, abs=0.1)
    assert found.rate == pytest.approx(acceptance_by(made / unit, known / unit).rate, rel=1e-4)


def test_a_run_keeps_what_its_discriminator_takes_for_real(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("gan"))
    acceptance = run.acceptance()
    assert 0 < acceptance.rate < 1
    found, plain = run.sample(64, acceptance=acceptance), run.sample(64)
    assert found.shape == plain.shape
    assert np.array_equal(run.sample(20, acceptance=acceptance), found[:20])

    def judged(items: np.ndarray) -> float:
        family: Any = run.stored.family
        with run.stored.inference():
            return float(family.logits(run.stored.codec.encode(torch.from_numpy(items)), None).mean())

    assert acceptance.scale * judged(found) > acceptance.scale * judged(plain)


def test_a_sample_of_a_stylegan2_is_kept_whatever_is_beside_it(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("stylegan2"))  # whose discriminator looks at groups of samples in training
    acceptance = run.acceptance()
    assert np.array_equal(run.sample(19, acceptance=acceptance), run.sample(23, acceptance=acceptance)[:19])


def test_of_conditional_runs_each_sample_keeps_its_label(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("gan-conditional"))
    acceptance = run.acceptance()
    sevens = run.sample(30, "7", acceptance=acceptance)
    assert np.array_equal(run.sample(30, acceptance=acceptance)[7::10], sevens[7::10])


def test_without_a_discriminator_nothing_is_rejected(small_runs: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match=r"a vae has no discriminator .* these have one: .*gan"):
        api.open_run(small_runs("vae")).acceptance()
