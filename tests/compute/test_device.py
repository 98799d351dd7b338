"""Devices by name, number formats, memory layouts."""

import pytest
import torch
from torch import nn

from ficta.base.errors import UsageError
from ficta.compute import device as machine


def test_pick_the_processor() -> None:
    assert machine.pick("cpu") == torch.device("cpu")


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.pick("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.pick("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "CPU", "cpu cuda", "cuda:-1"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        machine.pick(name)
    assert f"device {name!r} cannot be used" in str(caught.value)
    assert "try --device cpu" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:99"])
def test_a_device_that_this_machine_lacks(name: str) -> None:
    if torch.cuda.is_available() and name != "cuda:99":
        pytest.skip("this machine has it")
    with pytest.raises(UsageError, match="cannot be used"):
        machine.pick(name)


def test_precision() -> None:
    layer, x = nn.Linear(4, 4), torch.ones(2, 4)
    with machine.autocast(torch.device("cpu"), "float32"):
        assert layer(x).dtype == torch.float32
    with machine.autocast(torch.device("cpu"), "bf16"):
        assert layer(x).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


def test_layout_changes_strides_and_no_value() -> None:
    torch.manual_seed(1)
    layer, x = nn.Conv2d(3, 8, 3), torch.randn(2, 3, 6, 5)
    before = layer(x)
    assert machine.lay_out(layer) is layer
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    batch = machine.lay_out_batch(x)
    assert batch.stride() == (90, 1, 15, 3)
    assert torch.equal(batch, x)
    torch.testing.assert_close(layer(batch), before)


def test_layers_on_other_axes_stay_as_they_are() -> None:
    layers = nn.Sequential(nn.Conv1d(3, 8, 3), nn.Conv3d(3, 8, 3), nn.Linear(3, 8))
    before = [weight.stride() for weight in layers.parameters()]
    assert [weight.stride() for weight in machine.lay_out(layers).parameters()] == before


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5, 6)])
def test_only_pictures_are_laid_out(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape)
    assert machine.lay_out_batch(x).stride() == x.stride()


def test_memory_is_counted_in_bytes() -> None:
    held = torch.ones(30_000_000)  # 120 MB, so that the peak cannot be less
    assert machine.peak_memory_bytes(torch.device("cpu")) > held.nbytes
    assert machine.peak_memory_bytes(torch.device("cpu")) < 2**40
