"""What the settings of a VAE add to its bound or put in its place, each against its equation."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.compute.noise import Noise
from ficta.losses.divergences import maximum_mean_discrepancy, total_correlation_nats
from ficta.models.family import Batch, Losses
from ficta.models.registry import build
from ficta.models.vae import Vae

ROW = Spec(("column",), (5,), "continuous")
B, VARIANCE = 6, 0.5
SMALL = {"mlp": {"hidden": (16,)}}
VAMP = {"kind": "vamp", "inputs": 4}
STACK = {"kind": "stack", "above": (2,), "network": {"hidden": (8,)}}
# orthogonal columns, so that the posterior is diagonal
WEIGHT = torch.tensor([[1.0, 0.5], [2.0, -0.5], [0.0, 1.0], [-1.0, 0.5], [0.5, 2.0]])


def vae(**settings: Any) -> Vae:
    torch.manual_seed(0)
    built = build("vae", {"encoder": SMALL, "decoder": SMALL, "variance": VARIANCE, **settings}, ROW)
    assert isinstance(built, Vae)
    return built


def batch(seen: int = 0, key: int = 0) -> Batch:
    data = torch.randn(B, 5, generator=torch.Generator().manual_seed(1))
    return Batch(data, None, torch.tensor(seen), Noise.whole(key, "cpu", B))


class Affine(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


def with_the_exact_posterior(**settings: Any) -> Vae:
    """x = W z + noise; the posterior has covariance S = (I + W' W / s^2)^-1 and mean S W' x / s^2."""
    covariance = 1 / (1 + WEIGHT.square().sum(0) / VARIANCE)
    to_mean = torch.cat([covariance[:, None] * WEIGHT.T / VARIANCE, torch.zeros(2, 5)])
    encoder = Affine(to_mean, torch.cat([torch.zeros(2), covariance.log()]))
    built = build(
        "vae",
        {"latent_dim": 2, "variance": VARIANCE, "variance_floor": 1e-6, **settings},
        ROW,
        {"encoder": encoder, "decoder": Affine(WEIGHT, torch.zeros(5))},
    )
    assert isinstance(built, Vae)
    return built


def parts(losses: Losses) -> tuple[Tensor, Tensor]:
    return losses.terms["distortion_nats"], losses.terms["kl_nats"]


@pytest.mark.parametrize(("seen", "share"), [(0, 0.0), (250, 0.25), (1000, 1.0), (5000, 1.0)])
def test_the_weight_of_the_divergence_rises(seen: int, share: float) -> None:
    losses = vae(beta=3.0, beta_samples=1000).loss(batch(seen))
    distortion, kl = parts(losses)
    torch.testing.assert_close(losses.value.detach(), distortion + 3 * share * kl)


@pytest.mark.parametrize(("samples", "seen", "capacity"), [
    (0, 0, 4.0), (1000, 0, 0.0), (1000, 250, 1.0), (1000, 1000, 4.0), (1000, 9000, 4.0),
])  # fmt: skip
def test_the_divergence_is_drawn_to_a_capacity_that_rises(samples: int, seen: int, capacity: float) -> None:
    losses = vae(beta=2.0, capacity_nats=4.0, capacity_samples=samples).loss(batch(seen))
    distortion, kl = parts(losses)
    torch.testing.assert_close(losses.value.detach(), distortion + 2 * (kl - capacity).abs())


def test_a_divergence_on_either_side_of_the_capacity_is_drawn_to_it() -> None:
    for capacity, sign in ((0.0, 1), (1000.0, -1)):
        family = vae(capacity_nats=capacity, decoder={"mlp": {"hidden": (1,)}})
        for parameter in family.decoder.parameters():  # nothing but the divergence reaches the encoder
            parameter.data.zero_()
        loss, bound = family.loss(batch()), family.bound(batch())
        weights = list(family.encoder.parameters())
        pulled, plain = (torch.autograd.grad(each.value.mean(), weights) for each in (loss, bound))
        assert any(gradient.abs().max() > 1e-3 for gradient in plain)
        for one, other in zip(pulled, plain, strict=True):
            torch.testing.assert_close(one, sign * other)


def test_capacity_zero_is_not_no_capacity() -> None:
    # an estimated divergence may lie below 0, which costs as much as above
    distortion, kl = parts(vae(latent_dim=2, prior=VAMP).loss(batch()))
    assert kl.min() < -0.5
    held = vae(latent_dim=2, prior=VAMP, capacity_nats=0.0).loss(batch())
    torch.testing.assert_close(held.value.detach(), distortion + kl.abs())


@pytest.mark.parametrize("prior", [{}, VAMP, STACK])
def test_total_correlation_is_added_with_its_weight(prior: dict[str, Any]) -> None:
    plain, family = vae(prior=prior).loss(batch()), vae(prior=prior, total_correlation=5.0)
    losses = family.loss(batch())
    expected = total_correlation_nats(family.infer(batch()), *family.posterior(batch().data, None))
    torch.testing.assert_close(losses.value, plain.value + 5 * expected)
    torch.testing.assert_close(losses.terms["total_correlation_nats"], expected.detach())
    assert not losses.terms["total_correlation_nats"].requires_grad


@pytest.mark.parametrize("prior", [{}, VAMP, STACK])
def test_discrepancy_to_draws_from_the_prior_is_added_with_its_weight(prior: dict[str, Any]) -> None:
    plain, family = vae(prior=prior).loss(batch()), vae(prior=prior, discrepancy=7.0)
    losses = family.loss(batch())
    noise = batch().noise.fork("prior")
    drawn = family.prior.draw(noise.normal(family.prior.normals), noise.uniform(family.prior.uniforms))
    expected = maximum_mean_discrepancy(family.infer(batch()), drawn)
    torch.testing.assert_close(losses.value, plain.value + 7 * expected)
    torch.testing.assert_close(losses.terms["discrepancy"], expected.detach())


def test_a_wasserstein_autoencoder_pays_for_nothing_else() -> None:
    losses = vae(beta=0.0, discrepancy=10.0).loss(batch())
    torch.testing.assert_close(losses.value.detach(), parts(losses)[0] + 10 * losses.terms["discrepancy"])


def test_everything_adds_up() -> None:
    family = vae(beta=2.0, capacity_nats=3.0, total_correlation=5.0, discrepancy=7.0, draws=2)
    losses = family.loss(batch())
    distortion, kl = parts(losses)
    added = 5 * losses.terms["total_correlation_nats"] + 7 * losses.terms["discrepancy"]
    torch.testing.assert_close(losses.value.detach(), distortion + 2 * (kl - 3).abs() + added)


@pytest.mark.parametrize(
    ("settings", "couples"),
    [
        ({}, False),
        ({"beta": 4.0, "beta_samples": 10, "capacity_nats": 1.0, "draws": 3}, False),
        ({"bound": "iwae", "draws": 3}, False),
        ({"bound": "dreg", "draws": 3}, False),
        ({"prior": VAMP}, False),
        ({"prior": STACK}, False),
        ({"free_bits_nats": 0.1}, True),
        ({"total_correlation": 1.0}, True),
        ({"discrepancy": 1.0}, True),
    ],
)
def test_a_cost_that_couples_samples_says_so(settings: dict[str, Any], couples: bool) -> None:
    family, whole = vae(**settings), batch()
    (phase,) = family.phases()
    assert phase.couples_samples == couples
    changed = Batch(whole.data.clone(), None, whole.seen, Noise.whole(0, "cpu", B))
    changed.data[0] += 3
    before, after = phase.loss(whole).value, phase.loss(changed).value
    # free bits act through the batch mean, which lies on one side of the floor both times
    assert torch.equal(before[1:], after[1:]) != (couples and "free_bits_nats" not in settings)


@pytest.mark.parametrize("draws", [1, 3])
def test_draws_are_averaged_over(draws: int) -> None:
    family = vae(draws=draws)
    mean, log_variance = family.posterior(batch().data, None)
    z = mean[:, None] + (log_variance[:, None] / 2).exp() * batch().noise.normal(draws, 16)
    says = Normal(family.decoder(z.flatten(0, 1)).view(B, draws, 5), math.sqrt(VARIANCE))
    distortion, _ = parts(family.loss(batch()))
    torch.testing.assert_close(distortion, -says.log_prob(batch().data[:, None]).sum(2).mean(1).detach())


@pytest.mark.parametrize("draws", [1, 3])
def test_draws_of_an_estimated_divergence_are_averaged_over(draws: int) -> None:
    family = vae(draws=draws, prior=VAMP)
    torch.testing.assert_close(family.loss(batch()).value, -family.log_weights(batch(), draws).mean(1))


def test_one_draw_or_many_the_bound_is_of_one() -> None:
    assert torch.equal(vae(draws=5).bound(batch()).value, vae().bound(batch()).value)


@pytest.mark.parametrize("prior", [{}, VAMP, STACK])
def test_the_importance_weighted_cost_is_that_of_the_weights(prior: dict[str, Any]) -> None:
    family = vae(bound="iwae", draws=5, prior=prior)
    weights = family.log_weights(batch(), 5).double()
    torch.testing.assert_close(family.loss(batch()).value.double(), -weights.exp().mean(1).log())


def test_the_doubly_reparameterised_cost_has_the_same_value_and_decoder_gradients() -> None:
    doubly, plain = vae(bound="dreg", draws=5), vae(bound="iwae", draws=5)
    one, other = (family.loss(batch()).value for family in (doubly, plain))
    torch.testing.assert_close(one, other)
    for name, same in (("decoder", True), ("encoder", False)):
        gradients = [
            torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), list(weights), retain_graph=True)])
            for value, weights in (
                (one, getattr(doubly, name).parameters()),
                (other, getattr(plain, name).parameters()),
            )
        ]
        assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4) == same


def test_the_doubly_reparameterised_gradient_of_the_encoder_counts_paths_by_squared_shares() -> None:
    family, draws = vae(bound="dreg", draws=5), 5
    mean, log_variance = family.posterior(batch().data, None)
    z = mean[:, None] + (log_variance[:, None] / 2).exp() * batch().noise.normal(draws, 16)
    says = Normal(family.decoder(z.flatten(0, 1)).view(B, draws, 5), math.sqrt(VARIANCE))
    held = Normal(mean[:, None].detach(), (log_variance[:, None] / 2).exp().detach())
    weights = says.log_prob(batch().data[:, None]).sum(2) + (Normal(0, 1).log_prob(z) - held.log_prob(z)).sum(2)
    by_paths = -(weights.detach().softmax(1).square() * weights).sum()
    learnt = list(family.encoder.parameters())
    expected = torch.autograd.grad(by_paths, learnt)
    found = torch.autograd.grad(family.loss(batch()).value.sum(), learnt)
    assert max(gradient.abs().max() for gradient in found) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bound", "is_noisy"), [("iwae", True), ("dreg", False)])
def test_with_the_exact_posterior_only_one_gradient_has_noise(bound: str, is_noisy: bool) -> None:
    # every draw weighs the likelihood, so that nothing depends on the draws
    family = with_the_exact_posterior(bound=bound, draws=8)
    value = family.loss(batch()).value.sum()
    gradients = torch.autograd.grad(value, list(family.encoder.parameters()))
    largest = max(gradient.abs().max().item() for gradient in gradients)
    assert (largest > 0.1) if is_noisy else (largest < 1e-4)


@pytest.mark.parametrize("bound", ["iwae", "dreg"])
def test_with_the_exact_posterior_the_importance_weighted_cost_is_the_likelihood(bound: str) -> None:
    covariance = (WEIGHT @ WEIGHT.T + VARIANCE * torch.eye(5)).double()
    exact = -torch.distributions.MultivariateNormal(torch.zeros(5).double(), covariance).log_prob(batch().data.double())
    found = with_the_exact_posterior(bound=bound, draws=3).loss(batch()).value
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


PARTS = {
    "beta": 0.5,
    "beta_samples": 100,
    "capacity_nats": 0.0,
    "free_bits_nats": 0.1,
    "total_correlation": 1.0,
    "discrepancy": 1.0,
}


@pytest.mark.parametrize("bound", ["iwae", "dreg"])
@pytest.mark.parametrize("name", PARTS)
def test_a_bound_without_parts_refuses_to_weigh_them(bound: str, name: str) -> None:
    with pytest.raises(UsageError, match=rf"model\.{name} is for model\.bound = 'elbo'; '{bound}'"):
        vae(bound=bound, **{name: PARTS[name]})


@pytest.mark.parametrize("prior", [VAMP, STACK])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bound": "dreg"}, "model.bound = 'dreg' needs a prior"),
        ({"free_bits_nats": 0.1}, "model.free_bits_nats counts latents one by one"),
    ],
)
def test_what_needs_the_standard_normal_says_so(prior: dict[str, Any], settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words) + ".*model.prior.kind = 'normal'"):
        vae(prior=prior, **settings)


@pytest.mark.parametrize("prior", [VAMP, STACK])
@pytest.mark.parametrize("bound", ["elbo", "iwae"])
def test_every_parameter_of_the_prior_is_trained(bound: str, prior: dict[str, Any]) -> None:
    family = vae(bound=bound, prior=prior, draws=2)
    (phase,) = family.phases()
    assert "prior" in phase.modules
    gradients = torch.autograd.grad(family.loss(batch()).value.mean(), list(family.prior.parameters()))
    assert gradients
    assert all(gradient.abs().max() > 0 for gradient in gradients)
