"""Outputs: from a generator's raw output to samples through which a gradient passes, by value kind."""

from __future__ import annotations

import abc
from typing import Literal

import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.nets.spans import Spans

OutputName = Literal["linear", "tanh"]


class Output(nn.Module, abc.ABC):
    """What a generator's raw output means. Leaf classes are final.

    Attributes:
        shape: of the raw output of one sample.
        choices: uniform numbers that a sample takes, beside its latent.
    """

    shape: tuple[int, ...]
    choices: int = 0

    @abc.abstractmethod
    def forward(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Raw output float (B, *shape), numbers in [0, 1) (B, choices) => what the discriminator sees."""

    @abc.abstractmethod
    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The same => a sample in model space, float (B, *spec.shape)."""


class Values(Output):
    """Continuous values, as they come or brought into the data's range."""

    def __init__(self, spec: Spec, name: OutputName) -> None:
        super().__init__()
        self.shape, self.tanh = spec.shape, name == "tanh"

    def forward(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """tanh, or nothing."""
        return torch.tanh(raw) if self.tanh else raw

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Kept within [-1, 1]."""
        return self.forward(raw, uniform).clamp(-1, 1)


class Rows(Output):
    """Rows of mixed columns: relaxed choices among modes, and places within them."""

    def __init__(self, spec: Spec, name: OutputName) -> None:
        super().__init__()
        if name != "tanh":
            raise UsageError(f"model.output = {name!r} is for continuous data; rows are chosen, leave it out")
        self.spans = Spans(spec)
        self.shape, self.choices = spec.shape, sum(self.spans.modes)

    def forward(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Shares of the modes, nearly one-hot, and places."""
        logits, places = torch.split(raw, [self.choices, self.spans.places], 1)
        return self.spans.row(self.spans.relax(logits, uniform), torch.tanh(places))

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The mode with the largest share, which has the probability that its logit says."""
        logits, places = torch.split(raw, [self.choices, self.spans.places], 1)
        return self.spans.row(self.spans.likeliest(self.spans.relax(logits, uniform)), torch.tanh(places))


OUTPUTS: dict[str, type[Output]] = {"continuous": Values, "mixed": Rows}


def build_output(name: OutputName, spec: Spec) -> Output:
    """The output for this Spec.

    Raises:
        UsageError: no gradient passes through samples of this kind.
    """
    if spec.kind not in OUTPUTS:
        raise UsageError(
            f"a discriminator needs continuous or mixed data, these are {spec.kind}; for binary ones use 'vae', "
            "or data.image.binarise = 'none'"
        )
    return OUTPUTS[spec.kind](spec, name)
