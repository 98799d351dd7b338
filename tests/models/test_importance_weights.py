"""The importance-weighted bound of a linear VAE, which is probabilistic PCA, against its exact likelihood."""

import math

import pytest
import torch
from torch import Tensor, nn

from ficta.base.spec import Span, Spec, class_condition, columns_spec
from ficta.compute.noise import Noise
from ficta.models.family import Batch
from ficta.models.vae import Vae, VaeSettings
from ficta.nets.parts import condition_vector

SHAPE, VARIANCE = (1, 2, 3), 0.3
MEANS = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.5, -0.4], [1.1, -1.2, 0.8, 0.0, 2.5, -0.9]])  # by label
WEIGHT = torch.tensor([[1.0, 0.2], [-0.5, 0.1], [0.5, -0.1], [0.0, -0.3], [0.5, -0.2], [0.0, 0.1]])
AXES = ("channel", "height", "width")
LABELS = torch.tensor([0, 1, 1, 0, 1])
# the same label, as an index and as a column that is given
CONDITIONS = {"class": class_condition(("a", "b")), "column": columns_spec((Span("label", 2),))}


class Affine(nn.Module):
    """weight x + bias of the label, of the first without one, in a shape."""

    def __init__(self, weight: Tensor, biases: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(weight.shape[1], len(weight), bias=False)
        self.linear.load_state_dict({"weight": weight})
        self.biases, self.shape = biases, shape

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        bias = self.biases[0] if label is None else label @ self.biases / label.sum(1, keepdim=True)
        return (self.linear(x.flatten(1)) + bias).unflatten(1, self.shape)


def probabilistic_pca(condition: Spec | None = None, wider: float = 1.0, shift: float = 0.0) -> Vae:
    """x = W z + mean + noise with its posterior, its variance so many times as large, its mean so many deviations off.

    The columns of W are orthogonal: so the posterior covariance S = (I + W' W / s^2)^-1 is diagonal, and the mean is
    S W' (x - mean) / s^2.
    """
    assert (WEIGHT[:, 0] @ WEIGHT[:, 1]).abs() < 1e-7
    covariance = 1 / (1 + WEIGHT.square().sum(0) / VARIANCE)
    to_mean = covariance[:, None] * WEIGHT.T / VARIANCE
    biases = torch.cat([shift * covariance.sqrt() - MEANS @ to_mean.T, (covariance * wider).log().expand(2, 2)], 1)
    encoder = Affine(torch.cat([to_mean, torch.zeros(2, 6)]), biases, (4,))
    spec = Spec(AXES, SHAPE, "continuous", condition=condition)
    settings = VaeSettings(latent_dim=2, head="gaussian", variance=VARIANCE, variance_floor=1e-9)
    return Vae(settings, spec, {"encoder": encoder, "decoder": Affine(WEIGHT, MEANS, SHAPE)})


def relative_log_weights(family: Vae, data: Tensor, draws: int, labels: Tensor | None = None) -> Tensor:
    """Log weights less the exact log-likelihood, float64 (B, draws)."""
    given = labels if family.spec.condition == CONDITIONS["class"] else condition_vector(labels, 2)
    batch = Batch(data, given, torch.tensor(0), Noise.whole(draws, "cpu", len(data)))
    covariance = (WEIGHT @ WEIGHT.T + VARIANCE * torch.eye(6)).double()
    means = MEANS[torch.zeros(len(data), dtype=torch.int64) if labels is None else labels].double()
    exact = torch.distributions.MultivariateNormal(means, covariance).log_prob(data.flatten(1).double())
    with torch.no_grad():
        return family.log_weights(batch, draws).double() - exact[:, None]


def items(n: int) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("asked", [None, *CONDITIONS])
def test_with_the_exact_posterior_every_draw_weighs_the_likelihood(asked: str | None) -> None:
    condition, labels = (CONDITIONS[asked], LABELS) if asked else (None, None)
    found = relative_log_weights(probabilistic_pca(condition), items(5), 7, labels)
    torch.testing.assert_close(found, torch.zeros(5, 7, dtype=torch.float64), rtol=0, atol=2e-5)


def test_with_another_posterior_the_bound_rises_to_the_likelihood() -> None:
    # twice the variance, half a deviation off: KL(q || p) = 1/2 (2 + 1/4 - 1 - ln 2) for each of two latents
    family, data = probabilistic_pca(wider=2.0, shift=0.5), items(3).repeat_interleave(4000, 0)
    gaps, errors = [], []
    for k in (1, 4, 16, 64):  # other draws each time: with the same ones a mean of k could not but rise
        bounds = relative_log_weights(family, data, k).logsumexp(1) - math.log(k)
        gaps.append(bounds.mean().item())
        errors.append(bounds.std().item() / math.sqrt(len(bounds)))
    assert gaps[0] == pytest.approx(-(1.25 - math.log(2)), abs=4 * errors[0])
    assert all(more - less > 4 * error for less, more, error in zip(gaps[:-1], gaps[1:], errors[:-1], strict=True))
    assert -0.02 < gaps[-1] < 4 * errors[-1]
