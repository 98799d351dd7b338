"""Fitted priors against sklearn's mixtures and the change of variables; what every prior keeps is in test_priors.py."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from ficta.models.fitted import COMPONENTS, FITTED, Flow, Mixture, restored
from ficta.models.priors import Prior

# of three Gaussians
SHARES = [0.5, 0.2, 0.3]
MEANS = np.array([[-1.0, 2.0], [1.5, 0.5], [0.0, -2.0]])
FACTORS = np.array([[[1.0, 0.0], [0.8, 0.5]], [[0.4, 0.0], [-0.2, 0.6]], [[0.7, 0.0], [0.0, 1.0]]])
CENTRES = np.array([[-10.0, -10.0], [-10.0, 10.0], [10.0, -10.0], [10.0, 10.0]])


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def log_density(prior: Prior, z: Tensor) -> Tensor:
    return prior.log_density(z, z[..., :0])


def mixture() -> Mixture:
    built = Mixture(2, 3)
    built.log_shares.copy_(torch.tensor(SHARES).log())
    built.means.copy_(torch.from_numpy(MEANS))
    built.factors.copy_(torch.from_numpy(FACTORS))
    return built


def sklearns() -> GaussianMixture:
    model = GaussianMixture(3)
    model.weights_, model.means_ = np.array(SHARES), MEANS
    model.covariances_ = FACTORS @ FACTORS.transpose(0, 2, 1)
    model.precisions_cholesky_ = np.linalg.inv(FACTORS).transpose(0, 2, 1)
    return model


def flow(size: int = 3, std: float = 0.15) -> Flow:
    """With random weights, as those of a new one do nothing."""
    torch.manual_seed(0)
    built = Flow(size).requires_grad_(False)
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=std)
    built.start_at(2 * numbers(7, 50, size) + 1)
    return built


def clusters(seed: int, n: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return CENTRES[np.arange(n) % 4] + generator.normal(size=(n, 2))


def test_a_mixture_has_the_density_of_sklearns() -> None:
    z = 2 * numbers(1, 50, 2)
    expected = torch.from_numpy(sklearns().score_samples(z.double().numpy())).float()
    torch.testing.assert_close(log_density(mixture(), z), expected, rtol=1e-5, atol=1e-5)


def test_draws_from_a_mixture_have_its_moments() -> None:
    n = 20_000
    drawn, shares = mixture().sample(n, 1).double(), np.array(SHARES)
    mean = shares @ MEANS
    centred = MEANS - mean
    covariance = np.einsum("c,cij->ij", shares, FACTORS @ FACTORS.transpose(0, 2, 1))
    covariance += np.einsum("c,ci,cj->ij", shares, centred, centred)
    products = (drawn - torch.from_numpy(mean))[:, :, None] * (drawn - torch.from_numpy(mean))[:, None]
    for values, expected in ((drawn, mean), (products, covariance)):
        errors = (values - torch.from_numpy(expected)).mean(0).abs() * math.sqrt(n) / values.std(0)
        assert errors.max() < 4


def test_a_mixture_draws_each_gaussian_by_its_share() -> None:
    still = mixture().sample(10_000, 2, temperature=0.0)
    which = (still[:, None] - torch.from_numpy(MEANS).float()).norm(dim=2).argmin(1)
    # binomial: deviation at most sqrt(10_000 / 4) = 50
    assert which.bincount(minlength=3).tolist() == pytest.approx([5000, 2000, 3000], abs=200)


def test_a_single_gaussian_is_fitted_by_one_and_clusters_by_more() -> None:
    generator = np.random.default_rng(0)
    factor = np.array([[1.0, 0.0], [0.9, 0.3]])
    single, unseen = (generator.normal(size=(n, 2)) @ factor.T + 3 for n in (500, 300))
    found = Mixture.fit(single, unseen, 0)
    assert len(found.means) == 1
    torch.testing.assert_close(found.means[0].double().numpy(), single.mean(0), rtol=1e-5, atol=1e-5)
    covariance = (found.factors[0] @ found.factors[0].T).numpy()
    np.testing.assert_allclose(covariance, np.cov(single.T, bias=True), rtol=1e-3)
    several = Mixture.fit(clusters(1, 500), clusters(2, 300), 0)
    assert len(several.means) >= 4
    assert (np.linalg.norm(several.means.numpy()[:, None] - CENTRES, axis=2).min(0) < 1).all()


def test_the_mixture_that_unseen_latents_are_likeliest_under_is_taken() -> None:
    seen, unseen = clusters(1, 300), clusters(2, 300)
    scores = []
    for components in [count for count in COMPONENTS if count * 50 <= 300]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores.append(GaussianMixture(components, random_state=5, reg_covar=1e-5).fit(seen).score(unseen))
    found = log_density(Mixture.fit(seen, unseen, 5), torch.from_numpy(unseen)).mean().item()
    assert found == pytest.approx(max(scores), abs=1e-3)
    assert max(scores) > scores[0] + 1


@pytest.mark.parametrize(("n", "most"), [(2, 1), (99, 1), (100, 2), (249, 2), (250, 5)])
def test_a_component_needs_fifty_items(n: int, most: int) -> None:
    found = Mixture.fit(clusters(1, n), clusters(2, 100), 0)
    assert len(found.means) == most
    assert log_density(found, torch.zeros(1, 2)).isfinite().all()


def test_the_same_seed_fits_the_same_mixture() -> None:
    seen, unseen = clusters(1, 300), clusters(2, 100)
    one, other = (Mixture.fit(seen, unseen, 2**62 + 1).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_density_of_a_flow_is_that_of_its_numbers_by_the_change_of_variables(size: int) -> None:
    built, u = flow(size), numbers(1, 6, size)
    z = built.draw(u.clone(), u[:, :0])
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(lambda v: built.draw(v[None], v[None, :0])[0], u[i])
        assert (jacobian - jacobian.diagonal().diag()).abs().max() > 0.01 or size == 1
        expected = Normal(0, 1).log_prob(u[i]).sum() - jacobian.double().det().abs().log()
        assert log_density(built, z[i]).item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


def test_a_draw_from_a_flow_leaves_its_numbers_as_they_were() -> None:
    u = numbers(1, 6, 3)
    before = u.clone()
    flow().draw(u, u[:, :0])
    assert torch.equal(u, before)


def test_a_new_flow_is_a_gaussian_of_independent_latents() -> None:
    z = numbers(1, 40, 3) * torch.tensor([0.1, 1.0, 7.0]) + torch.tensor([5.0, 0.0, -2.0])
    built = Flow(3)
    built.start_at(z)
    gaussian = Independent(Normal(z.mean(0), z.std(0)), 1)
    torch.testing.assert_close(log_density(built, z), gaussian.log_prob(z), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        drawn = built.draw(torch.eye(3), z[:3, :0])
    whitened = (drawn - z.mean(0)) / z.std(0)  # each number moves one latent, in whatever order
    torch.testing.assert_close(whitened.sort(0).values, torch.eye(3).sort(0).values, rtol=0, atol=1e-5)
    torch.testing.assert_close(whitened @ whitened.T, torch.eye(3), rtol=0, atol=1e-5)


def test_a_latent_that_does_not_vary_starts_a_flow_all_the_same() -> None:
    built = Flow(2)
    built.start_at(torch.tensor([[1.0, 3.0], [2.0, 3.0]]))
    assert log_density(built, torch.tensor([[1.5, 3.0]])).isfinite().all()


def test_wild_weights_do_not_overflow_a_flow() -> None:
    built = flow(3, std=3.0)
    assert built.draw(numbers(1, 20, 3), torch.zeros(20, 0)).isfinite().all()
    # a block stretches by no more than e^5
    with torch.no_grad():
        log_scales = built._block(built.blocks[0], 10 * numbers(2, 20, 3))[1]
    assert 4.9 < log_scales.abs().max() <= 5


def test_a_flow_learns_what_no_gaussian_is() -> None:
    torch.manual_seed(0)
    x = numbers(1, 400, 1)
    z = torch.cat([x, x.square() + 0.3 * numbers(2, 400, 1)], 1)  # a banana
    built = Flow(2)
    built.start_at(z)
    optimiser = torch.optim.Adam(built.parameters(), 1e-2)
    before = log_density(built, z).mean().item()
    for _ in range(60):
        optimiser.zero_grad()
        (-log_density(built, z).mean()).backward()
        optimiser.step()
    # what is to be had at best: -E log N(x) - E log N(y | x)
    best = -0.5 * (1 + math.log(2 * math.pi)) * 2 - math.log(0.3)
    assert before < best - 0.9
    assert log_density(built, z).mean().item() > best - 0.3


@pytest.mark.parametrize("name", FITTED)
def test_a_prior_comes_back_from_its_tensors(name: str) -> None:
    built = mixture() if name == "mixture" else flow(2)
    again = restored(name, 2, built.state_dict())
    z = numbers(1, 10, 2)
    assert type(again) is type(built)
    assert torch.equal(log_density(again, z), log_density(built, z))
    assert torch.equal(again.sample(10, 3), built.sample(10, 3))
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
