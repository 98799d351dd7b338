import pytest
import torch
from torch import Tensor

from ficta.nets.transformer import Transformer, TransformerSettings


def gradients(bf16: bool) -> Tensor:
    torch.manual_seed(0)
    network = Transformer(TransformerSettings(width=16, layers=2, heads=2), 5, 7, 0)
    symbols = torch.randint(5, (6, 7))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = network(symbols)
    assert logits.dtype == (torch.bfloat16 if bf16 else torch.float32)
    cost = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), symbols)
    return torch.cat([each.flatten() for each in torch.autograd.grad(cost, list(network.parameters()))])


def test_gradients_in_bf16_are_those_of_float32_but_for_rounding() -> None:
    exact, rounded = gradients(False), gradients(True)
    assert ((rounded - exact).norm() / exact.norm()).item() == pytest.approx(0, abs=0.02)
