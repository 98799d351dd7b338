"""Rows of mixed columns in model space: one-hot modes of all columns, then places within those that are ranges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.nets.parts import drawn

HARDNESS = 0.2  # temperature of relaxed choices, as in CTGAN (Xu et al. 2019, arXiv:1907.00503, Sec. 4.3)
LEAST = 1e-6  # of a uniform number, so that its logarithm is one


class Spans(nn.Module):
    """Where each column stands in a row, and how a row is chosen from logits.

    Attributes:
        modes: how many each column has.
        places: columns that have ranges.
        ranges: 1 where a mode is a range of the column that has the place, float32 (M, P).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.modes = [column.modes for column in spec.columns]
        placed = [column for column in spec.columns if column.placed]
        self.places = len(placed)
        ranges = torch.zeros(sum(self.modes), self.places)
        first, place = 0, 0
        for column in spec.columns:
            for mode in column.placed:
                ranges[first + mode, place] = 1
            first, place = first + column.modes, place + bool(column.placed)
        self.ranges: Tensor
        self.register_buffer("ranges", ranges, persistent=False)

    def row(self, hot: Tensor, places: Tensor) -> Tensor:
        """Modes float (n, M) and places float (n, P) => a row each; a place counts only where the mode is a range."""
        return torch.cat([hot, places * (hot @ self.ranges)], 1)

    def likeliest(self, logits: Tensor) -> Tensor:
        """Logits float (n, M) => the likeliest mode of each column, one-hot float (n, M)."""
        return self._hot([part.argmax(1) for part in torch.split(logits, self.modes, 1)], logits)

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Logits float (n, M) and a uniform number a column (n, C) => modes with their probability, one-hot (n, M)."""
        pairs = zip(torch.split(logits, self.modes, 1), uniform.unbind(1), strict=True)
        return self._hot([drawn(part, number) for part, number in pairs], logits)

    def relax(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """The same with a gradient: each column's modes as shares, nearly one-hot, float (n, M).

        Gumbel softmax (Jang et al. 2017, arXiv:1611.01144, Eq. 2); ``uniform`` has a number a mode, (n, M).
        """
        gumbel = -(-uniform.clamp(LEAST, 1 - LEAST).log()).log()
        parts = torch.split(logits + gumbel, self.modes, 1)
        return torch.cat([(part / HARDNESS).softmax(1) for part in parts], 1)

    def _hot(self, chosen: list[Tensor], logits: Tensor) -> Tensor:
        parts = [F.one_hot(index, count) for index, count in zip(chosen, self.modes, strict=True)]
        return torch.cat(parts, 1).to(logits.dtype)
