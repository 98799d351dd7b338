"""A causal transformer over rows of symbols (Vaswani et al. 2017; pre-normalised as in Radford et al. 2019)."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.nets.parts import drawn

SPREAD = 0.02  # of initial weights

Known = tuple[Tensor, Tensor]


class TransformerSettings(Settings):
    """A causal transformer."""

    width: Annotated[int, Field(ge=8, description="numbers a symbol; a multiple of heads")] = 64
    layers: Annotated[int, Field(ge=1, description="blocks of attention and dense layers")] = 3
    heads: Annotated[int, Field(ge=1, description="of attention")] = 4


class Block(nn.Module):
    """Attention to what came before, then two dense layers; each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: Known | None = None) -> tuple[Tensor, Known]:
        """Float (B, T, width) => the same, and keys and values of all symbols so far, (B, heads, T', width/heads) each.

        With those of a ``past``, x is what follows it: one symbol.
        """
        parts = self.project(self.before_attention(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()  # whose gradients are put together at once; those of slices are added up
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        attended = _attend(query, key, value, causal=past is None)
        x = x + self.join(attended.transpose(1, 2).flatten(2))
        return x + self.dense(self.before_dense(x)), (key, value)


class Transformer(nn.Module):
    """Logits of each of ``length`` symbols given those before it and a condition."""

    def __init__(self, settings: TransformerSettings, symbols: int, length: int, condition: int) -> None:
        super().__init__()
        width = settings.width
        self.symbols, self.length = symbols, length
        self.start = nn.Parameter(torch.zeros(width))
        self.asked = nn.Linear(condition, width) if condition else None
        self.embed = nn.Embedding(symbols, width)
        self.places = nn.Parameter(torch.randn(length, width) * SPREAD)
        self.blocks = nn.ModuleList(Block(width, settings.heads) for _ in range(settings.layers))
        self.last, self.logits = nn.LayerNorm(width), nn.Linear(width, symbols)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=SPREAD)
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)

    def forward(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        """Int64 (B, length), float (B, condition) or None => logits of each given those before, float."""
        before = self.embed(symbols[:, :-1])
        x = torch.cat([self._start(len(symbols), condition), before], 1) + self.places
        for block in self.blocks:
            x, _ = block(x)
        logits: Tensor = self.logits(self.last(x))
        return logits

    def draw(self, uniform: Tensor, condition: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Numbers in [0, 1) float (n, length) => symbols int64 (n, length), one after the other.

        Each is chosen by its number along the cumulated probabilities of logits / temperature; 0 takes the likeliest.
        """
        found: list[Tensor] = []
        past: list[Known | None] = [None] * len(self.blocks)
        x = self._start(len(uniform), condition)
        for place in range(self.length):
            x = x + self.places[place]
            for number, block in enumerate(self.blocks):
                x, past[number] = block(x, past[number])
            logits = self.logits(self.last(x))[:, 0].float()
            found.append(drawn(logits / temperature, uniform[:, place]) if temperature else logits.argmax(1))
            x = self.embed(found[-1])[:, None]
        return torch.stack(found, 1)

    def _start(self, count: int, condition: Tensor | None) -> Tensor:
        """What stands before the first symbol, float (count, 1, width)."""
        start = self.start.expand(count, 1, -1)
        return start if self.asked is None or condition is None else start + self.asked(condition)[:, None]


def _attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    """Attention; in float32 where a CPU needs its gradient, which takes it ten times as long in bf16."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not query.requires_grad:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    with torch.autocast("cpu", enabled=False):
        found = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=causal)
    return found.to(query.dtype)
