"""Priors that are fitted to the latents of a trained family, so that what it makes comes from where its data lie."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ficta.compute import device as machine
from ficta.losses.elbo import gaussian_log_density
from ficta.models.priors import Prior
from ficta.nets.autoregressive import Made

COMPONENTS = (1, 2, 5, 10, 20, 50, 100)  # that a mixture is tried with
ITEMS_A_COMPONENT = 50  # at least
BLOCKS, WIDTH = 5, 128  # of a flow; its layers are at least as wide as a latent is long
STEEPEST = 5.0  # log-scale of a flow's block at most


class Mixture(Prior):
    """Gaussians with full covariances (Ghosh et al. 2020, arXiv:1903.12436, Sec. 4.2)."""

    uniforms = 1

    def __init__(self, latent_dim: int, components: int = 1) -> None:
        super().__init__(latent_dim)
        self.log_shares: Tensor
        self.means: Tensor
        self.factors: Tensor
        self.register_buffer("log_shares", torch.zeros(components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("factors", torch.eye(latent_dim).repeat(components, 1, 1))  # lower, of the covariances

    @classmethod
    def fit(cls, z: np.ndarray, unseen: np.ndarray, seed: int) -> Mixture:
        """The mixture that finds ``unseen`` latents (m, D) likeliest, of several numbers of components fitted to ``z``.

        Args:
            z: float (n, D), n >= 2.
            unseen: float (m, D), m >= 1.
            seed: of the starts.
        """
        from sklearn.exceptions import ConvergenceWarning  # slow to import, and few runs fit a mixture
        from sklearn.mixture import GaussianMixture

        tried = []
        for components in COMPONENTS:
            if components > 1 and components * ITEMS_A_COMPONENT > len(z):
                break
            found = GaussianMixture(components, random_state=seed % 2**32, reg_covar=1e-5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the best of several is as good as it is
                tried.append(found.fit(z))
            if len(tried) > 1 and tried[-1].score(unseen) < tried[-2].score(unseen):
                break
        best = max(tried, key=lambda model: model.score(unseen))
        mixture = cls(z.shape[1], best.n_components)
        for name, values in (
            ("log_shares", np.log(best.weights_)),
            ("means", best.means_),
            ("factors", np.linalg.cholesky(best.covariances_)),
        ):
            getattr(mixture, name).copy_(torch.from_numpy(np.asarray(values)))
        return mixture

    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """Of the mixture."""
        shape, z = z.shape[:-1], z.reshape(-1, self.latent_dim).float()
        each = []
        for log_share, mean, factor in zip(self.log_shares, self.means, self.factors, strict=True):
            whitened = torch.linalg.solve_triangular(factor, (z - mean).T, upper=False).T
            zero = factor.new_zeros(())
            each.append(log_share + gaussian_log_density(whitened, zero, zero) - factor.diagonal().log().sum())
        return torch.stack(each).logsumexp(0).reshape(shape)

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """A Gaussian, and a draw from it."""
        ends = self.log_shares.exp().cumsum(0)
        which = torch.searchsorted(ends / ends[-1], uniform[:, 0].contiguous(), right=True).clamp(max=len(ends) - 1)
        return self.means[which] + (self.factors[which] * normal[:, None]).sum(2)


class Flow(Prior):
    """Masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057, Eq. 3); each block turns the order."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        hidden = (max(WIDTH, latent_dim),) * 2
        self.blocks = nn.ModuleList(Made(latent_dim, hidden) for _ in range(BLOCKS))
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def start_at(self, z: Tensor) -> None:
        """Take mean and spread of latents float (n, latent_dim), n >= 2, as what the flow starts from."""
        self.shift.copy_(z.mean(0))
        self.scale.copy_(z.std(0).clamp(min=1e-6))

    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """By way of the normal numbers that would have made the latents."""
        with machine.autocast(z.device, "float32"):
            u = (z.float() - self.shift) / self.scale
            total = -self.scale.log().sum().expand(z.shape[:-1])
            for block in self.blocks:
                mean, log_scale = self._block(block, u)
                u = ((u - mean) * torch.exp(-log_scale)).flip(-1)
                total = total - log_scale.sum(-1)
            zero = u.new_zeros(())
            return total + gaussian_log_density(u, zero, zero)

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """Each block undone, one latent after the other."""
        with machine.autocast(normal.device, "float32"):
            u = normal
            for block in reversed(self.blocks):
                u, made = u.flip(-1), torch.zeros_like(u)
                for place in range(self.latent_dim):
                    mean, log_scale = self._block(block, made)
                    made[:, place] = u[:, place] * log_scale[:, place].exp() + mean[:, place]
                u = made
            return u * self.scale + self.shift

    def _block(self, block: nn.Module, u: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = block(u)
        return mean, STEEPEST * torch.tanh(log_scale / STEEPEST)


FITTED = ("mixture", "flow")


def restored(name: str, latent_dim: int, state: Mapping[str, Tensor]) -> Prior:
    """A prior of this name in ``FITTED`` from its saved tensors."""
    prior = Mixture(latent_dim, len(state["log_shares"])) if name == "mixture" else Flow(latent_dim)
    prior.load_state_dict(state)
    return prior.eval().requires_grad_(False)
