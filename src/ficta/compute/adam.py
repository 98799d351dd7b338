"""Adam and AdamW on torch's fused kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980, Alg. 1), or AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, Alg. 2).

    It calls the function behind ``torch.optim.Adam``: that class imports torch's compiler, a second and 70 MB.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        *,
        decoupled: bool,
    ) -> None:
        self._parameters = list(parameters)
        self._numbers = {parameter: number for number, parameter in enumerate(self._parameters)}
        self._betas, self._epsilon, self._weight_decay, self._decoupled = betas, epsilon, weight_decay, decoupled
        self._moments: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> None:
        """Move some of the parameters.

        Args:
            parameters: among those that it was made for.
            gradients: of each, in the same shape and on the same device; any memory order.
            rate: learning rate.
        """
        moments = [self._moments_of(parameter) for parameter in parameters]
        adam(
            list(parameters),
            [_laid_out_like(*pair) for pair in zip(parameters, gradients, strict=True)],
            [held["exp_avg"] for held in moments],
            [held["exp_avg_sq"] for held in moments],
            [],
            [held["step"] for held in moments],
            fused=True,
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=rate,
            weight_decay=self._weight_decay,
            decoupled_weight_decay=self._decoupled,
            eps=self._epsilon,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """First and second moments and counts of steps, named ``{number of the parameter}/{what}``."""
        return {f"{number}/{key}": value for number, held in self._moments.items() for key, value in held.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become what ``state`` described, in the parameters' memory order, so that going on computes the same bits."""
        self._moments = {}
        for name, value in state.items():
            number, key = name.split("/")
            held = self._moments_of(self._parameters[int(number)])
            held[key].copy_(value)

    def _moments_of(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is held of a parameter; zeros until its first step."""
        number = self._numbers[parameter]
        if number not in self._moments:
            moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            self._moments[number] = {**moments, "step": torch.zeros((), device=parameter.device)}
        return self._moments[number]


def _laid_out_like(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in its parameter's memory order.

    The fused kernel walks both in memory order without a check: a gradient in another order (double backward and
    reduced ones are) would move the wrong weights.
    """
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
