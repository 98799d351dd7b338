"""Priors fitted to the latents of a trained run: when that is done, what is kept, and what is made with them."""

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
from ficta.compute import tensors
from ficta.data.dataset import Dataset
from ficta.data.ingest import ingest
from ficta.models.fitted import FITTED, Flow, Mixture
from ficta.models.priors import Stack, StandardNormal, VampPrior
from ficta.train import prior as fitting

VAE = "model.latent_dim=5"


@pytest.fixture(autouse=True)
def _few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "EPOCHS", 2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ingest(recipe_for("vae", "digits", {}).data)


def kept(path: Path, name: str) -> Path:
    return path / "priors" / f"{name}.safetensors"


def latents(run: api.Run, dataset: Dataset) -> torch.Tensor:
    """Of the training split."""
    family: Any = run.stored.family
    with run.stored.inference():
        return fitting._latents(family, dataset.codec, dataset.splits["train"], 10_000, 0)


def test_every_fitted_prior_can_be_fitted() -> None:
    assert fitting.FITS.keys() == set(FITTED)


def test_a_mixture_is_fitted_when_it_is_first_asked_for(copied: Callable[[str], Path]) -> None:
    path, work = copied("vae"), []
    run = api.open_run(path)
    assert not kept(path, "mixture").exists()
    made = np.concatenate(list(run.samples(4, prior="mixture", progress=lambda what, *_: work.append(what))))
    assert (made.shape, made.dtype) == ((4, 1, 8, 8), np.uint8)
    assert "latents" in work
    written = kept(path, "mixture").stat().st_mtime_ns
    work.clear()
    for again in (run, api.open_run(path)):
        other = np.concatenate(list(again.samples(4, prior="mixture", progress=lambda what, *_: work.append(what))))
        assert np.array_equal(other, made)
    assert kept(path, "mixture").stat().st_mtime_ns == written
    assert not work
    assert not np.array_equal(run.sample(4), made)


@pytest.mark.parametrize("name", ["trained", "normal", *FITTED])
def test_what_was_done_is_not_done_again(
    name: str, copied: Callable[[str], Path], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = api.open_run(copied("vae"))
    fitting.fit_prior(run.stored, digits, name)
    assert kept(run.path, name).exists() == (name in FITTED)
    monkeypatch.setattr(fitting, "FITS", {})
    fitting.fit_prior(run.stored, digits, name)
    fitting.fit_prior(api.open_run(run.path).stored, digits, name)


@pytest.mark.parametrize("name", FITTED)
def test_a_prior_is_a_function_of_the_run(name: str, copied: Callable[[str], Path], digits: Dataset) -> None:
    found = []
    for number in range(2):
        run = api.open_run(copied("vae") if not number else found[0][0])
        kept(run.path, name).unlink(missing_ok=True)
        assert run.stored.lacks_prior(name)
        torch.manual_seed(number)
        drawn_before = torch.random.get_rng_state()
        fitting.fit_prior(run.stored, digits, name)
        assert torch.equal(torch.random.get_rng_state(), drawn_before)
        found.append((run.path, tensors.load(kept(run.path, name))[0]))
    (_, one), (_, other) = found
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_mixture_fits_the_latents_of_the_run(copied: Callable[[str], Path], digits: Dataset) -> None:
    run = api.open_run(copied("vae"))
    run.sample(1, prior="mixture")
    prior, z = run.stored.with_prior("mixture").family.prior, latents(run, digits)
    assert isinstance(prior, Mixture)
    assert z.shape == (len(digits.splits["train"]), 5)
    drawn = prior.sample(20_000, 1)
    error = (z.var(0) / len(z)).sqrt()
    assert ((drawn.mean(0) - z.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(drawn.var(0), z.var(0), rtol=0.2, atol=0)


def test_a_flow_is_trained_on_the_latents_of_the_run(
    copied: Callable[[str], Path], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # latents far from any Gaussian: a ring
    run = api.open_run(copied("vae"))

    def infer(batch: Any) -> torch.Tensor:
        z = batch.noise.normal(5)
        return z / z.norm(dim=1, keepdim=True)

    monkeypatch.setattr(run.stored.family, "infer", infer)
    monkeypatch.setattr(fitting, "EPOCHS", 20)
    weights = {name: value.clone() for name, value in run.stored.family.state_dict().items()}
    fitting.fit_prior(run.stored, digits, "flow")
    z, start = latents(run, digits), Flow(5)
    start.start_at(z)
    prior = run.stored.with_prior("flow").family.prior
    assert isinstance(prior, Flow)
    with torch.no_grad():
        assert prior.log_density(z, z[:, :0]).mean() > start.log_density(z, z[:, :0]).mean() + 0.3
    assert all(torch.equal(value, weights[name]) for name, value in run.stored.family.state_dict().items())


def test_a_flow_is_drawn_from_by_the_seed(copied: Callable[[str], Path]) -> None:
    run = api.open_run(copied("vae"))
    made = run.sample(70, prior="flow")
    assert kept(run.path, "flow").exists()
    assert np.array_equal(api.open_run(run.path).sample(70, prior="flow"), made)
    assert not np.array_equal(run.sample(70, prior="flow", seed=1), made)
    assert not np.array_equal(run.sample(70), made)


def test_the_prior_that_latents_were_held_to_is_the_standard_normal(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("vae"))
    assert np.array_equal(run.sample(20, prior="normal"), run.sample(20, prior="trained"))
    assert not (run.path / "priors").exists()


@pytest.mark.parametrize(("kind", "trained"), [("vamp", VampPrior), ("stack", Stack)])
def test_a_trained_prior_gives_way_to_the_standard_normal(
    kind: str, trained: type, train_small: Callable[..., Path], tmp_path: Path
) -> None:
    settings = (VAE, f"model.prior.kind={kind}", "model.prior.inputs=20", "train.samples=32", "train.reports=1")
    run = api.open_run(train_small("vae", tmp_path / "run", *settings))
    assert isinstance(run.stored.family.prior, trained)
    assert isinstance(run.stored.with_prior("normal").family.prior, StandardNormal)
    assert not np.array_equal(run.sample(20, prior="normal"), run.sample(20))
    assert np.array_equal(run.sample(20), api.open_run(run.path).sample(20))  # as it was before
    # latents, and what is fitted to them, are the same whatever the prior
    run.sample(1, prior="mixture")
    assert not api.open_run(run.path).stored.with_prior("normal").lacks_prior("mixture")


def test_training_further_makes_the_prior_anew(copied: Callable[[str], Path], train_small: Callable[..., Path]) -> None:
    path = copied("vae")
    before = api.open_run(path)
    before.sample(1, prior="mixture")
    old = kept(path, "mixture").read_bytes()
    train_small("vae", path, VAE, "train.samples=512")
    after = api.open_run(path)
    assert after.stored.lacks_prior("mixture")
    made = after.sample(4, prior="mixture")
    assert not after.stored.lacks_prior("mixture")
    assert kept(path, "mixture").read_bytes() != old
    assert np.array_equal(api.open_run(path).sample(4, prior="mixture"), made)


def test_a_run_that_goes_on_meanwhile_does_not_mix_old_and_new(
    copied: Callable[[str], Path], train_small: Callable[..., Path]
) -> None:
    path = copied("vae")
    early, late = api.open_run(path), api.open_run(path)
    made = early.sample(4, prior="mixture")
    late.sample(1)  # its weights are those of now
    train_small("vae", path, VAE, "train.samples=512")
    for run in (early, late):
        assert np.array_equal(run.sample(4, prior="mixture"), made)
    after = api.open_run(path)
    assert after.stored.lacks_prior("mixture")
    assert not np.array_equal(after.sample(4, prior="mixture"), made)


def test_a_prior_among_the_labels_of_a_conditional_run(copied: Callable[[str], Path]) -> None:
    run = api.open_run(copied("vae-conditional"))
    sevens, turns = (run.sample(20, label, prior="mixture").astype(int) for label in ("7", None))
    assert np.abs(sevens[7::10] - turns[7::10]).max() <= 1
    assert np.abs(sevens[8::10] - turns[8::10]).max() > 1


@pytest.mark.parametrize("name", ["normal", *FITTED])
def test_a_family_without_posteriors_is_refused_by_name(name: str, small_runs: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="a gan draws no latents from data"):
        api.open_run(small_runs("gan")).sample(1, prior=name)
    assert api.open_run(small_runs("gan")).sample(1, prior="trained").shape == (1, 1, 8, 8)


def test_an_unknown_prior_names_the_nearest(small_runs: Callable[[str], Path]) -> None:
    for name in ("vae", "gan"):
        with pytest.raises(UsageError, match=r"no prior 'mixtrue': did you mean 'mixture'.*flow, mixture, normal, tr"):
            api.open_run(small_runs(name)).sample(1, prior="mixtrue")
