"""What an evaluation says of samples whose latents come from other priors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ficta import api
from ficta.api import recipe_for
from ficta.base.errors import UsageError
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.evaluate import likelihood
from ficta.evaluate.evaluate import evaluate as judge
from ficta.evaluate.ground import EvaluateSettings, lay_ground
from ficta.evaluate.sources import SplitSource
from ficta.runs.run import Run

SPACE = "random-conv"
BESIDES = {f"{name}({SPACE})" for name in ("frechet-distance", "precision", "recall", "coverage")}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("vae", "digits", {}).data)


def judged(run: Any, dataset: Dataset, **settings: Any) -> dict[str, Any]:
    asked = EvaluateSettings(**{"n": 500, "features": (SPACE,), **settings})
    return {result.name: result for result in judge(run, dataset, asked).results}


def priced(found: dict[str, Any]) -> dict[str, Any]:
    return {name: result for name, result in found.items() if " with prior " in name}


def test_rows_of_a_prior_stand_beside_those_of_the_run(
    copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.Run, "report", lambda self: None)
    run = api.open_run(copied("vae"))
    results = {row["name"]: row for row in run.evaluate(n=500, features=(SPACE,), priors=("mixture",))}
    assert {name for name in results if "with prior" in name} == {f"{name} with prior mixture" for name in BESIDES}
    assert (run.path / "priors" / "mixture.safetensors").exists()
    for name in BESIDES:
        plain, other = results[name], results[f"{name} with prior mixture"]
        assert [plain[key] for key in ("real", "shuffled", "unit", "better", "n")] == [
            other[key] for key in ("real", "shuffled", "unit", "better", "n")
        ]
    frechet = f"frechet-distance({SPACE})"
    assert results[frechet]["value"] != results[f"{frechet} with prior mixture"]["value"]
    assert {line["name"] for line in run.stored.results} == set(results)


def test_the_prior_that_a_run_was_trained_with_gives_the_numbers_of_the_run(
    small_runs: Callable[[str], Path], digits: Dataset
) -> None:
    found = judged(Run(small_runs("vae")), digits, priors=("trained", "normal"))
    assert len(priced(found)) == 2 * len(BESIDES)
    for name in BESIDES:
        for prior in ("trained", "normal"):
            assert found[f"{name} with prior {prior}"].estimate == found[name].estimate


def test_without_a_prior_there_are_no_further_rows(small_runs: Callable[[str], Path], digits: Dataset) -> None:
    assert not priced(judged(Run(small_runs("vae")), digits))


def test_the_samples_of_a_fitted_prior_are_those_that_the_run_makes_with_it(
    copied: Callable[[str], Path], digits: Dataset
) -> None:
    run = api.open_run(copied("vae"))
    made = run.sample(20, prior="mixture", seed=3)
    ground = lay_ground(run.stored, digits, EvaluateSettings(n=100, features=(SPACE,), seed=3), lambda *_: None)
    there = ground.with_prior("mixture")
    assert np.array_equal(there.samples.read(0, 20), made)
    assert np.array_equal(ground.samples.read(0, 20), run.sample(20, seed=3))
    assert len(there.samples) == there.count == ground.count


def test_a_prior_that_fits_the_latents_tightens_the_bound(
    train_small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "WEIGHTED", ((4, 100),))
    binary = "data.image.binarise=fixed"
    # beta = 0: latents that nothing holds to the standard normal
    path = train_small("vae", tmp_path / "run", binary, "model.beta=0", "model.latent_dim=3", "train.samples=2048")
    run, dataset = Run(path), ingest(recipe_for("vae", "digits", {}, [binary]).data)
    found = judged(run, dataset, priors=("normal", "mixture"))
    name = "importance-weighted-bound(bernoulli, fixed binarisation, k=4)"
    plain, normal, mixture = (
        found[name + which].estimate.value for which in ("", " with prior normal", " with prior mixture")
    )
    assert normal == plain
    assert mixture < plain - 1


def test_a_bound_with_a_fitted_prior_is_that_of_its_density(copied: Callable[[str], Path], digits: Dataset) -> None:
    run = api.open_run(copied("vae"))
    run.sample(1, prior="mixture")
    source = SplitSource("held-out", digits.splits["test"], "", 0)
    (batch,) = likelihood._batches(run.stored, source, 8, 8, 0)
    (same,) = likelihood._batches(run.stored, source, 8, 8, 0)
    plain, other = run.stored.family, run.stored.with_prior("mixture").family
    with torch.no_grad():
        gained = other.log_weights(batch, 5) - plain.log_weights(same, 5)
        mean, log_variance = plain.posterior(batch.data, None)
        (again,) = likelihood._batches(run.stored, source, 8, 8, 0)
        z = mean[:, None] + (log_variance / 2).exp()[:, None] * again.noise.normal(5, 5)
        expected = other.prior.log_density(z, z[..., :0]) - torch.distributions.Normal(0, 1).log_prob(z).sum(2)
    torch.testing.assert_close(gained, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "prior", "words"),
    [("vae", "mixtrue", "did you mean 'mixture'"), ("gan", "flow", "a gan draws no latents from data")],
)
def test_a_prior_that_cannot_be_had_is_refused(
    name: str, prior: str, words: str, small_runs: Callable[[str], Path], digits: Dataset
) -> None:
    with pytest.raises(UsageError, match=words):
        judged(Run(small_runs(name)), digits, priors=(prior,))


def test_samples_of_others_have_no_prior(digits: Dataset) -> None:
    source = SplitSource("samples", digits.splits["test"], "", 7)
    with pytest.raises(UsageError, match="priors are for runs"):
        judged(source, digits, n=100, priors=("mixture",))
