"""VAE: the bound where it is known in closed form, and what its settings do."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, ValueKind, columns_spec
from ficta.compute.noise import Noise
from ficta.models.family import Batch, Bounds, Encodes, SampleSettings
from ficta.models.registry import build
from ficta.models.vae import Vae

ROW = Spec(("column",), (5,), "continuous")
PICTURE = Spec(("channel", "height", "width"), (2, 8, 8), "continuous", levels=256)
SMALL = {"mlp": {"hidden": (16,)}, "conv": {"width": 4}}


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(data: Tensor, key: int = 0) -> Batch:
    return Batch(data, None, torch.tensor(0), Noise.whole(key, "cpu", len(data)))


def vae(settings: dict[str, Any], spec: Spec, **networks: nn.Module) -> Vae:
    torch.manual_seed(0)
    family = build("vae", {"encoder": SMALL, "decoder": SMALL, **settings}, spec, networks)
    assert isinstance(family, Vae)
    return family


class Affine(nn.Module):
    """weight x + bias, whatever the condition."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x @ self.weight.T + self.bias


def probabilistic_pca(variance: float) -> tuple[Vae, Tensor, Tensor]:
    """x = W z + mu + noise with two orthogonal columns in W, its exact posterior as encoder; W W' + s^2 I; mu.

    The posterior of z is Gaussian with covariance S = (I + W' W / s^2)^-1, diagonal as the columns are orthogonal,
    and mean S W' (x - mu) / s^2.
    """
    weight = torch.tensor([[1.0, 0.5], [2.0, -0.5], [0.0, 1.0], [-1.0, 0.5], [0.5, 2.0]])
    assert (weight[:, 0] @ weight[:, 1]).item() == 0
    mu = torch.tensor([0.3, -0.2, 0.0, 1.0, -1.0])
    covariance_z = 1 / (1 + weight.square().sum(0) / variance)
    to_mean = covariance_z[:, None] * weight.T / variance
    encoder = Affine(torch.cat([to_mean, torch.zeros(2, 5)]), torch.cat([-to_mean @ mu, covariance_z.log()]))
    settings = {"latent_dim": 2, "variance": variance, "variance_floor": 1e-6}
    family = vae(settings, ROW, encoder=encoder, decoder=Affine(weight, mu))
    return family, weight @ weight.T + variance * torch.eye(5), mu


class Corners(Noise):
    """The four points (+-1, +-1) in place of draws: their mean is 0 and their covariance 1, as a normal's.

    So the mean over them is the expectation of anything quadratic in the noise, which the cost of a linear decoder is.
    """

    def normal(self, *shape: int) -> Tensor:
        if 0 in shape:  # for a prior without latents above
            return super().normal(*shape)
        corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        return corners.repeat(self.rows // 4, 1).reshape(self.rows, *shape)


def expected_bound(family: Vae, data: Tensor) -> Tensor:
    """Expectation of the bound over the posterior, (B,), float64."""
    rows = 4 * len(data)
    corners = Corners(0, torch.device("cpu"), rows, 0, rows)
    value = family.bound(Batch(data.repeat_interleave(4, 0), None, torch.tensor(0), corners)).value
    return value.detach().double().reshape(-1, 4).mean(1)


@pytest.mark.parametrize("variance", [0.5, 0.1])
def test_with_the_exact_posterior_the_bound_is_the_likelihood(variance: float) -> None:
    family, covariance, mu = probabilistic_pca(variance)
    data = numbers(1, 64, 5)
    exact = -torch.distributions.MultivariateNormal(mu.double(), covariance.double()).log_prob(data.double())
    torch.testing.assert_close(expected_bound(family, data), exact, rtol=1e-5, atol=1e-4)
    # and so it is on average over true draws
    value = family.bound(batch(data[:1].expand(100_000, 5))).value.detach().double()
    error = value.std().item() / len(value) ** 0.5
    assert error < 0.01
    assert value.mean().item() == pytest.approx(exact[0].item(), abs=5 * error)


def test_with_another_posterior_the_bound_is_larger_by_its_divergence() -> None:
    family, covariance, mu = probabilistic_pca(0.5)
    with torch.no_grad():
        family.encoder.bias[2:] += math.log(2)  # twice the variance: KL(q || p(z|x)) = 2 * 1/2 (2 - 1 - ln 2)
    data = numbers(1, 8, 5)
    exact = -torch.distributions.MultivariateNormal(mu.double(), covariance.double()).log_prob(data.double())
    torch.testing.assert_close(
        expected_bound(family, data) - exact, torch.full_like(exact, 1 - math.log(2)), rtol=0, atol=1e-4
    )


def test_beta_weighs_the_divergence() -> None:
    data = numbers(2, 7, 5)
    for beta in (0.0, 0.5, 4.0):
        losses = vae({"beta": beta}, ROW).loss(batch(data))
        expected = losses.terms["distortion_nats"] + beta * losses.terms["kl_nats"]
        torch.testing.assert_close(losses.value.detach(), expected)


def test_the_bound_knows_neither_beta_nor_free_bits() -> None:
    data = numbers(2, 7, 5)
    plain = vae({}, ROW).bound(batch(data)).value
    assert torch.equal(vae({"beta": 4.0, "free_bits_nats": 50.0}, ROW).bound(batch(data)).value, plain)


def test_free_bits_are_paid_for_anyway() -> None:
    data = numbers(3, 7, 5)
    family = vae({"latent_dim": 3, "free_bits_nats": 50.0, "beta": 2.0}, ROW)
    losses = family.loss(batch(data))
    # all three latents lie under their floor: distortion + 2 * 3 * 50, and the KL that is reported is the true one
    torch.testing.assert_close(losses.value.detach(), losses.terms["distortion_nats"] + 300)
    torch.testing.assert_close(losses.terms["kl_nats"], family.bound(batch(data)).terms["kl_nats"])


def test_free_bits_couple_samples_and_say_so() -> None:
    (plain,), (floored,) = vae({}, ROW).phases(), vae({"free_bits_nats": 0.5}, ROW).phases()
    assert (plain.couples_samples, floored.couples_samples) == (False, True)


def constant_picture(value: float, settings: dict[str, Any]) -> tuple[Vae, Tensor, Tensor]:
    """A decoder that says ``value`` whatever it is asked, data, and their mean squared distance to it by channel."""
    family = vae({"latent_dim": 3, "head": "gaussian", **settings}, PICTURE)
    last = [layer for layer in family.decoder.modules() if isinstance(layer, nn.ConvTranspose2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(value)
    data = torch.tanh(numbers(4, 6, 2, 8, 8) * torch.tensor([0.3, 2.0])[:, None, None])
    return family, data, (data - value).square().mean((0, 2, 3))


def test_learned_variance_is_best_at_the_mean_squared_error() -> None:
    family, data, errors = constant_picture(0.2, {"variance_floor": 1e-12})
    log_variance = family.head.log_variance
    assert isinstance(log_variance, nn.Parameter)

    def cost_and_slope(offset: float) -> tuple[float, Tensor]:
        with torch.no_grad():
            log_variance.copy_(errors.log()[:, None, None] + offset)
        cost = family.loss(batch(data)).value.mean()
        return cost.item(), torch.autograd.grad(cost, log_variance)[0].flatten()

    best, slope = cost_and_slope(0.0)
    assert slope.abs().max() < 1e-4
    # d/dv 1/2 (mse / e^v + v) = 1/2 (1 - e^-offset) for each of 64 values
    for offset in (-0.5, 0.5):
        cost, slope = cost_and_slope(offset)
        assert cost > best
        torch.testing.assert_close(slope, torch.full((2,), 32 * (1 - math.exp(-offset))), rtol=1e-4, atol=0)


def test_floor_is_added_to_the_learned_variance_and_passes_a_gradient() -> None:
    family, data, errors = constant_picture(0.2, {"variance_floor": 0.5})
    with torch.no_grad():
        family.head.log_variance.fill_(math.log(1e-3))
    losses = family.loss(batch(data))
    cost = 64 * (0.5 * errors / 0.501 + 0.5 * math.log(0.501) + 0.5 * math.log(2 * math.pi)).sum()
    torch.testing.assert_close(losses.terms["distortion_nats"].mean(), cost)
    assert torch.autograd.grad(losses.value.mean(), family.head.log_variance)[0].abs().min() > 0


@pytest.mark.parametrize(
    ("head", "kind", "name", "discrete"),
    [
        ("bernoulli", "binary", "distortion_nats", True),
        ("grey-bce", "continuous", "grey_bce_nats", False),
        ("gaussian", "continuous", "distortion_nats", False),
        ("discretised-logistic", "continuous", "distortion_nats", True),
    ],
)
def test_terms_are_named_for_what_they_are(head: str, kind: ValueKind, name: str, discrete: bool) -> None:
    spec = Spec(PICTURE.axes, PICTURE.shape, kind, levels=256 if kind == "continuous" else None)
    losses = vae({"head": head}, spec).bound(batch(torch.ones(3, *spec.shape)))
    assert losses.terms.keys() == {name, "kl_nats"} | ({"bits_per_dimension"} if discrete else set())
    torch.testing.assert_close(losses.terms[name] + losses.terms["kl_nats"], losses.value.detach())
    if discrete:
        bits = losses.value.detach() / (128 * math.log(2))  # 2 x 8 x 8 values
        torch.testing.assert_close(losses.terms["bits_per_dimension"], bits)


def test_encoding_is_the_posterior_mean_and_decoding_the_expected_data() -> None:
    family, _, mu = probabilistic_pca(0.5)
    assert isinstance(family, Encodes)
    assert isinstance(family, Bounds)
    torch.testing.assert_close(family.encode(mu[None]), torch.zeros(1, 2), atol=1e-6, rtol=0)
    z = torch.tensor([[0.1, 0.2]])
    # W z + mu, held within [-1, 1]: (0.5, -0.1, 0.2, 1.0, -0.55)
    torch.testing.assert_close(family.decode(z), torch.tensor([[0.5, -0.1, 0.2, 1.0, -0.55]]))


def test_rows_are_drawn_from_what_the_decoder_says() -> None:
    # 3/4 for the value, 1/4 for the range; whatever the latent; a draw is no mean
    spec = columns_spec((Span("age", 2, (1,)),))
    says = torch.tensor([math.log(3), 0.0, 0.25, -4.0])
    family = vae({"latent_dim": 2}, spec, decoder=Affine(torch.zeros(4, 2), says))
    assert family.decode(torch.ones(1, 2)).tolist() == [[1, 0, 0]]
    drawn = family.sample(4000, options=SampleSettings(), seed=1)
    assert drawn[:, 1].mean().item() == pytest.approx(1 / 4, abs=4 * math.sqrt(3 / 16 / 4000))
    places = drawn[drawn[:, 1] == 1, 2]
    # a logistic one with scale e^-4 has a standard deviation of pi / sqrt(3) e^-4 = 0.0332
    assert places.mean().item() == pytest.approx(0.25, abs=4 * 0.0332 / math.sqrt(len(places)))
    assert places.std().item() == pytest.approx(0.0332, rel=0.1)


def test_the_bound_of_rows_is_what_they_cost() -> None:
    # 1/4 for the range, its place in the middle one of 64 cells, all of them alike for a scale of e^3; no divergence
    spec = columns_spec((Span("age", 2, (1,)),))
    decoder = Affine(torch.zeros(4, 2), torch.tensor([math.log(3), 0.0, 0.0, 9.0]))
    family = vae({"latent_dim": 2}, spec, encoder=Affine(torch.zeros(4, 3), torch.zeros(4)), decoder=decoder)
    losses = family.bound(batch(torch.tensor([[0, 1, 0.01], [1, 0, 0]])))
    assert losses.value.tolist() == pytest.approx([math.log(4 * 64), math.log(4 / 3)], abs=2e-3)
    assert losses.terms.keys() == {"distortion_nats", "kl_nats"}


def test_a_wild_posterior_stays_finite() -> None:
    encoder = Affine(torch.zeros(4, 5), torch.tensor([0.0, 0.0, 1e6, -1e6]))
    family = vae({"latent_dim": 2}, ROW, encoder=encoder)
    assert family.posterior(torch.zeros(1, 5), None)[1].tolist() == [[20, -20]]
    assert family.loss(batch(torch.zeros(1, 5))).value.isfinite().all()


def test_a_head_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="'bernoulli' does not fit continuous data"):
        vae({"head": "bernoulli"}, ROW)
