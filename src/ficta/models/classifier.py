"""A classifier of labelled samples: a feature space, and a reader of labels, for judging samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.models.family import Batch, Losses, Objective, OptimiserSettings, Phase
from ficta.nets.build import NetworkSettings, build_encoder


@final
class Classifier(Objective):
    """Convolutions or dense layers to features, and one linear layer to the labels' logits."""

    def __init__(self, spec: Spec, features: int) -> None:
        """For samples of ``spec``, whose condition is the label."""
        super().__init__()
        assert spec.condition is not None
        self.spec = spec
        self.network = build_encoder(NetworkSettings(), spec.shape, features, 0)
        self.top = nn.Linear(features, len(spec.condition.categories))
        self.unit: Tensor
        self.register_buffer("unit", torch.ones(()))

    def phases(self) -> Sequence[Phase]:
        """One: cross-entropy."""
        return [Phase("cross_entropy_nats", ("network", "top"), self.loss, "main")]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for everything."""
        return {"main": OptimiserSettings(weight_decay=1e-2, kind="adamw")}

    def loss(self, batch: Batch) -> Losses:
        """Cross-entropy of the label, in nats (B,)."""
        assert batch.condition is not None
        logits = self.logits(self(batch.data))
        return Losses(F.cross_entropy(logits, batch.condition, reduction="none"), {})

    def forward(self, x: Tensor) -> Tensor:
        """Model space float (B, *spec.shape) => features float32 (B, features), at least 0, in their unit."""
        return F.relu(self.network(x).float()) / self.unit

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, features) => logit of each label, float32 (B, c)."""
        logits: Tensor = self.top(features * self.unit).float()
        return logits

    def set_unit(self, features: Tensor) -> None:
        """Take the root mean square of these features as their unit; logits stay what they are."""
        self.unit.mul_(features.square().mean().sqrt().clamp(min=1e-12))
