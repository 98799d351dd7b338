"""Priors: densities known in closed form, draws that have them, and laws that every one keeps."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from ficta.base.errors import UsageError
from ficta.base.spec import Spec, ValueKind, class_condition
from ficta.compute.noise import LATENT_BLOCK, Noise
from ficta.losses.elbo import gaussian_kl_nats
from ficta.models.family import Batch
from ficta.models.fitted import Flow, Mixture
from ficta.models.ladder import Ladder
from ficta.models.priors import Prior, PriorSettings, Stack, StandardNormal, VampPrior
from ficta.models.registry import build
from ficta.models.vae import Vae
from ficta.nets.mlp import MlpSettings
from ficta.nets.parts import LOUD

ROW = Spec(("column",), (3,), "continuous")
LINEAR = MlpSettings(hidden=())


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniforms(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def vae(spec: Spec = ROW) -> Vae:
    torch.manual_seed(0)
    small = {"mlp": {"hidden": (16,)}}
    settings = {"encoder": small, "decoder": small, "latent_dim": 2, "prior": {"kind": "vamp", "inputs": 5}}
    family = build("vae", settings, spec)
    assert isinstance(family, Vae)
    return family


def log_density(prior: Prior, z: Tensor, seed: int = 0) -> Tensor:
    return prior.log_density(z, numbers(seed, *z.shape[:-1], prior.auxiliary))


def set_affine(network: Any, weight: Tensor, bias: Tensor) -> None:
    (layer,) = network.layers
    layer.load_state_dict({"weight": weight, "bias": bias})


WEIGHT, VARIANCE = torch.tensor([[1.0, 0.5], [-0.5, 1.0]]), 0.4  # orthogonal columns, so that posteriors are diagonal


def linear_stack(wider: float = 1.0) -> Stack:
    """z2 ~ N(0, I), z1 | z2 ~ N(W z2 + b, v I), and the posterior of z2, its variance so many times as large."""
    stack, bias = Stack(2, (2,), LINEAR), torch.tensor([0.5, -0.3])
    covariance = 1 / (1 + WEIGHT.square().sum(0) / VARIANCE)
    to_mean = covariance[:, None] * WEIGHT.T / VARIANCE
    zeros = torch.zeros(2, 2)
    set_affine(stack.down[0], torch.cat([WEIGHT, zeros]), torch.cat([bias, torch.full((2,), math.log(VARIANCE))]))
    set_affine(stack.up[0], torch.cat([to_mean, zeros]), torch.cat([-to_mean @ bias, (wider * covariance).log()]))
    return stack


OF_STACK = MultivariateNormal(torch.tensor([0.5, -0.3]), WEIGHT @ WEIGHT.T + VARIANCE * torch.eye(2))


def chain() -> Stack:
    """z3 ~ N(0, 1), z2 | z3 ~ N(2 z3, 1), z1 | z2 ~ N(-z2, 1/2), and the posteriors going up.

    So z2 has variance 5 and z1 5 1/2; the posterior of one given the one below has mean cov / var of what is below it,
    and the variance that this leaves.
    """
    stack = Stack(1, (1, 1), LINEAR)
    for network, slope, variance in (
        (stack.down[0], -1.0, 1 / 2),
        (stack.down[1], 2.0, 1.0),
        (stack.up[0], -5 / 5.5, 5 - 25 / 5.5),
        (stack.up[1], 2 / 5, 1 - 4 / 5),
    ):
        set_affine(network, torch.tensor([[slope], [0.0]]), torch.tensor([0.0, math.log(variance)]))
    return stack


def vamp() -> VampPrior:
    torch.manual_seed(1)
    spread = torch.tensor([0.3, 0.5])

    def posterior(x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return 2 * x[:, :2], 2 * spread.log() + x[:, 2:]

    return VampPrior(2, 4, ROW, 0, posterior)


def mixture() -> Mixture:
    built = Mixture(2, 3)
    built.log_shares.copy_(torch.tensor([0.5, 0.2, 0.3]).log())
    built.means.copy_(2 * numbers(3, 3, 2))
    built.factors.copy_(torch.tensor([[[1.0, 0.0], [0.8, 0.5]], [[0.4, 0.0], [-0.2, 0.6]], [[0.7, 0.0], [0.0, 1.0]]]))
    return built


def flow() -> Flow:
    torch.manual_seed(0)
    built = Flow(2).requires_grad_(False)
    for block in built.blocks:
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.12)
    built.start_at(torch.tensor([[0.0, 1.0], [2.0, -1.0]]))
    return built


PRIORS: dict[str, Callable[[], Prior]] = {
    "normal": lambda: StandardNormal(2),
    "vamp": vamp,
    "stack": linear_stack,
    "mixture": mixture,
    "flow": flow,
}
each = pytest.mark.parametrize("name", PRIORS)


def grid() -> tuple[Tensor, float]:
    """Points that lie close enough for any density here, and what area each stands for."""
    axis = torch.arange(-9, 9, 0.15)
    return torch.cartesian_prod(axis, axis), 0.15**2


@each
def test_a_density_integrates_to_one_and_its_draws_have_its_moments(name: str) -> None:
    prior, (points, area), n = PRIORS[name](), grid(), 20_000
    with torch.no_grad():
        density = log_density(prior, points).double().exp() * area
        drawn = prior.sample(n, 5).double()
    assert density.sum().item() == pytest.approx(1, abs=2e-3)
    x, y = points.double().unbind(1)
    for of_points, of_draws in (
        (x, drawn[:, 0]),
        (y, drawn[:, 1]),
        (x * x, drawn[:, 0] ** 2),
        (y * y, drawn[:, 1] ** 2),
        (x * y, drawn[:, 0] * drawn[:, 1]),
        ((2 * x).sin() * y.cos(), (2 * drawn[:, 0]).sin() * drawn[:, 1].cos()),
    ):
        error = of_draws.std().item() / math.sqrt(n)
        assert of_draws.mean().item() == pytest.approx((density * of_points).sum().item(), abs=4.5 * error + 2e-3)


@each
def test_a_latent_depends_on_the_seed_and_its_number_alone(name: str) -> None:
    prior, first = PRIORS[name](), LATENT_BLOCK - 3
    with torch.no_grad():
        many, again, other = prior.sample(80, 3), prior.sample(7, 3, first), prior.sample(80, 4)
    assert many.shape == (80, 2)
    torch.testing.assert_close(again, many[first : first + 7])
    assert (many - other).abs().min(1).values.min() > 0
    assert len(many[:, 0].unique()) == 80


@each
def test_leading_axes_do_not_matter(name: str) -> None:
    prior, z = PRIORS[name](), numbers(1, 3, 4, 2)
    noise = numbers(2, 3, 4, prior.auxiliary)
    with torch.no_grad():
        found = prior.log_density(z, noise)
        flat = prior.log_density(z.flatten(0, 1), noise.flatten(0, 1))
    assert found.shape == (3, 4)
    torch.testing.assert_close(found.flatten(), flat)


@each
def test_without_temperature_nothing_is_left_but_the_choice(name: str) -> None:
    prior = PRIORS[name]()
    with torch.no_grad():
        still = prior.sample(300, 1, temperature=0.0)
    apart = len(still.mul(1e4).round().unique(dim=0))
    assert apart == {"vamp": 4, "mixture": 3}.get(name, 1)


@each
def test_temperature_multiplies_the_normal_numbers(name: str) -> None:
    prior = PRIORS[name]()
    with torch.no_grad():
        none, half, whole = (prior.sample(50, 1, temperature=t) for t in (0.0, 0.5, 1.0))
    if name == "flow":  # no linear function of its numbers
        assert 0 < (half - none).norm() < (whole - none).norm()
    else:
        torch.testing.assert_close(half, (none + whole) / 2)


def test_the_standard_normal_is_torchs() -> None:
    z = numbers(1, 4, 3)
    torch.testing.assert_close(StandardNormal(3).log_density(z, z[:, :0]), Normal(0, 1).log_prob(z).sum(1))
    assert StandardNormal(3).draw(z, z[:, :0]) is z
    assert StandardNormal(3).state_dict() == {}


def test_the_divergence_from_the_standard_normal_is_of_each_latent() -> None:
    mean, log_variance, zero = numbers(1, 4, 3), numbers(2, 4, 3), torch.zeros(())
    found = StandardNormal(3).kl_nats(mean, log_variance, mean[:, None], mean[:, None, :0])
    assert found.shape == (4, 3)
    torch.testing.assert_close(found, gaussian_kl_nats(mean, log_variance, zero, zero))


def test_an_estimated_divergence_is_right_on_average() -> None:
    mean, log_variance, zero, k = numbers(1, 4, 3), numbers(2, 4, 3) - 1, torch.zeros(()), 20_000
    z = mean[:, None] + (log_variance / 2).exp()[:, None] * numbers(3, 4, k, 3)
    found = Prior.kl_nats(StandardNormal(3), mean, log_variance, z, z[..., :0])
    assert found.shape == (4, 1)
    exact = gaussian_kl_nats(mean, log_variance, zero, zero).sum(1)
    own = Independent(Normal(mean[:, None], (log_variance / 2).exp()[:, None]), 1)
    error = (own.log_prob(z) - Normal(0, 1).log_prob(z).sum(2)).std(1) / math.sqrt(k)
    assert error.max() < 0.05
    assert ((found[:, 0] - exact).abs() < 4 * error).all()


def of_posteriors(family: Vae, inputs: Tensor) -> MixtureSameFamily:
    mean, log_variance = family.posterior(inputs, None)
    normals = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(inputs))), normals)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_the_vamp_prior_is_a_mixture_of_posteriors(kind: ValueKind) -> None:
    family, z = vae(Spec(("column",), (3,), kind)), numbers(1, 7, 2)
    share = torch.sigmoid(family.prior.raw)
    inputs = share if kind == "binary" else 2 * share - 1  # where data lie
    torch.testing.assert_close(log_density(family.prior, z), of_posteriors(family, inputs).log_prob(z))


def test_the_vamp_prior_draws_each_of_its_posteriors_as_often() -> None:
    family = vae()
    with torch.no_grad():
        means, _ = family.posterior(2 * torch.sigmoid(family.prior.raw) - 1, None)
        still = family.prior.sample(4000, 1, temperature=0.0)
    distances, nearest = (still[:, None] - means).norm(dim=2).min(1)
    assert distances.max() < 1e-5
    # binomial with p = 1/5: deviation sqrt(4000 * 4/25) = 25
    assert nearest.bincount(minlength=5).tolist() == pytest.approx([800] * 5, abs=100)


def test_the_edges_of_the_uniform_numbers_choose_the_first_and_the_last() -> None:
    for prior in (vamp(), mixture()):
        with torch.no_grad():
            means = prior._components()[0] if isinstance(prior, VampPrior) else prior.means
            drawn = prior.draw(torch.zeros(3, 2), torch.tensor([[0.0], [1 - 2**-24], [1.0]]))
        torch.testing.assert_close(drawn, means[[0, -1, -1]])


def test_a_copied_vamp_prior_asks_the_copied_encoder() -> None:
    family, z = vae(), numbers(1, 7, 2)
    twin = copy.deepcopy(family)
    before = log_density(family.prior, z)
    torch.testing.assert_close(log_density(twin.prior, z), before)
    with torch.no_grad():
        for parameter in twin.encoder.parameters():
            parameter.add_(0.1)
    assert torch.equal(log_density(family.prior, z), before)
    assert (log_density(twin.prior, z) - before).abs().min() > 1e-4


def test_a_vamp_prior_keeps_its_pseudo_inputs_and_no_encoder() -> None:
    family = vae()
    assert family.prior.state_dict().keys() == {"raw"}
    assert [name for name, _ in family.named_parameters() if name.startswith("prior")] == ["prior.raw"]
    other = vae()
    torch.nn.init.zeros_(other.prior.raw)
    other.load_state_dict(family.state_dict())
    assert torch.equal(other.prior.raw, family.prior.raw)


def test_pseudo_inputs_and_encoder_learn_from_the_density() -> None:
    family = vae()
    learnt = [family.prior.raw, *family.encoder.parameters()]
    gradients = torch.autograd.grad(log_density(family.prior, numbers(1, 7, 2)).sum(), learnt)
    assert gradients[0].shape == (5, 3)
    assert (gradients[0].abs().max(1).values > 0).all()
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_a_conditional_vamp_prior_learns_what_its_pseudo_inputs_are_asked_for() -> None:
    def posterior(x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return torch.cat([x[:, :1], condition], 1), torch.zeros(len(x), 4)

    prior = VampPrior(4, 2, ROW, 3, posterior)
    assert prior.state_dict().keys() == {"raw", "raw_condition"}
    with torch.no_grad():
        prior.raw.zero_()
        prior.raw_condition.copy_(torch.tensor([[1.0, 1.0, 3.0], [1.0, 1.0, 1.0]]).log())  # type: ignore[union-attr]
        still = prior.sample(20, 0, temperature=0.0)
    wanted = LOUD * torch.tensor([[0, 0.2, 0.2, 0.6], [0, 1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(still.unique(dim=0), wanted)
    (gradient,) = torch.autograd.grad(log_density(prior, numbers(1, 5, 4)).sum(), [prior.raw_condition])
    assert gradient.abs().max() > 0


def test_a_conditional_vae_with_a_vamp_prior_encodes_its_pseudo_inputs() -> None:
    family = vae(Spec(("column",), (3,), "continuous", condition=class_condition(("a", "b"))))
    assert family.prior.raw_condition.shape == (5, 2)
    assert log_density(family.prior, numbers(1, 7, 2)).isfinite().all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_stack_with_the_exact_posterior_knows_its_density_whatever_the_draw(seed: int) -> None:
    z = 2 * numbers(10, 50, 2)
    torch.testing.assert_close(log_density(linear_stack(), z, seed), OF_STACK.log_prob(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_stack_of_three_layers_with_exact_posteriors_knows_it_too(seed: int) -> None:
    z = 3 * numbers(10, 50, 1)
    exact = Normal(0, math.sqrt(5.5)).log_prob(z[:, 0])
    torch.testing.assert_close(log_density(chain(), z, seed), exact, rtol=1e-5, atol=1e-5)


def test_a_stack_with_another_posterior_finds_its_density_on_average_and_less_of_its_log() -> None:
    z, n = torch.tensor([0.8, -0.4]), 20_000
    with torch.no_grad():
        found = log_density(linear_stack(wider=1.5), z.expand(n, 2)).double() - OF_STACK.log_prob(z)
    ratio, error = found.exp().mean().item(), found.exp().std().item() / math.sqrt(n)
    assert error < 0.02
    assert ratio == pytest.approx(1, abs=4 * error)
    # less by KL(q || p(z2 | z1)) = 1/2 (3/2 - 1 - ln 3/2) for each of two latents
    less = 0.5 - math.log(1.5)
    assert found.mean().item() == pytest.approx(-less, abs=4 * found.std().item() / math.sqrt(n))


def test_draws_from_a_stack_have_its_covariance() -> None:
    n = 20_000
    with torch.no_grad():
        drawn = linear_stack().sample(n, 3)
        of_three = chain().sample(n, 3)
    covariance = OF_STACK.covariance_matrix
    variances = covariance.diagonal()
    errors = ((variances[:, None] * variances + covariance.square()) / n).sqrt()
    assert ((drawn.T.cov() - covariance).abs() < 4 * errors).all()
    assert ((drawn.mean(0) - OF_STACK.mean).abs() < 4 * (variances / n).sqrt()).all()
    assert of_three.var().item() == pytest.approx(5.5, rel=4 * math.sqrt(2 / n))


def test_a_stack_draws_its_latents_from_the_numbers_in_order() -> None:
    # lowest first: -(2 * 1 + 10) + 100 / sqrt(2)
    found = chain().draw(torch.tensor([[100.0, 10.0, 1.0]]), torch.zeros(1, 0))
    assert found.item() == pytest.approx(-12 + 100 / math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "wanted", "counts"),
    [
        ({}, StandardNormal, (3, 0, 0)),
        ({"kind": "vamp", "inputs": 7}, VampPrior, (3, 1, 0)),
        ({"kind": "stack", "above": (4, 2)}, Stack, (9, 0, 6)),
    ],
)
def test_settings_build_the_prior_that_they_name(
    settings: dict[str, Any], wanted: type[Prior], counts: tuple[int, int, int]
) -> None:
    built = PriorSettings.read(settings, "model.prior").build(3, ROW, 0, lambda x, _: (x, x))
    assert type(built) is wanted
    assert (built.normals, built.uniforms, built.auxiliary) == counts
    assert built.latent_dim == 3
    assert built.factorised == (wanted is StandardNormal)
    if isinstance(built, VampPrior):
        assert built.raw.shape == (7, 3)
    if isinstance(built, Stack):
        assert built.above == (4, 2)


@pytest.mark.parametrize("settings", [{"kind": "stack", "above": ()}, {"inputs": 0}, {"kind": "vmap"}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"model\.prior"):
        PriorSettings.read(settings, "model.prior")


def test_layers_of_a_stack_cost_together_what_all_latents_do() -> None:
    torch.manual_seed(0)
    stack = Stack(3, (2, 4), MlpSettings(hidden=(5,)))
    mean, log_variance, z, noise = (torch.randn(6, size) for size in (3, 3, 3, stack.auxiliary))
    found = stack.layer_nats(mean, log_variance, z, noise)
    assert [each.shape for each in found] == [(6, 3), (6, 2), (6, 4)]
    own = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(1)
    torch.testing.assert_close(sum(each.sum(1) for each in found), own - stack.log_density(z, noise))


def test_layers_of_a_ladder_cost_together_what_its_bound_says() -> None:
    torch.manual_seed(0)
    built = build("ladder", {"latent_dims": [3, 2]}, ROW)
    batch = Batch(torch.randn(6, *ROW.shape), None, torch.tensor(0), Noise.whole(1, "cpu", 6))
    again = Batch(batch.data, None, torch.tensor(0), Noise.whole(1, "cpu", 6))
    assert isinstance(built, Ladder)
    found = built.layer_nats(batch)
    assert [each.shape for each in found] == [(6, 3), (6, 2)]
    torch.testing.assert_close(sum(each.sum(1) for each in found).detach(), built.bound(again).terms["kl_nats"])


def test_a_stack_begins_calm() -> None:
    torch.manual_seed(0)
    stack = Stack(64, (32, 16, 8, 4), MlpSettings(hidden=(200,), activation="silu"))
    z = torch.randn(500, 64)
    with torch.no_grad():
        nats = stack.layer_nats(torch.zeros_like(z), torch.zeros_like(z), z, torch.randn(500, stack.auxiliary))
    assert sum(float(each.sum(1).mean()) for each in nats) < 200  # with the usual weights it is above 10,000
