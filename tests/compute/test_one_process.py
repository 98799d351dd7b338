"""Collectives with one process: every call is the identity, and a wrong number of processes is refused."""

import pytest
import torch

from ficta.base.errors import UsageError
from ficta.compute.collectives import Collectives, joined, launch, local_rank


def test_every_call_is_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(variable, raising=False)
    assert local_rank() == 0
    with joined(torch.device("cpu")) as alone:
        assert isinstance(alone, Collectives)
        assert (alone.rank, alone.ranks, alone.leads) == (0, 1, True)
        tensors = [torch.ones(2, 3), torch.tensor(4.0)]
        assert all(one is other for one, other in zip(alone.sum(tensors), tensors, strict=True))
        assert (alone.any(True), alone.any(False)) == (True, False)
        value = {"seen": 3}
        assert alone.broadcast(value) is value
        alone.wait()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("devices", [0, -1])
def test_fewer_than_one_process_is_refused(devices: int) -> None:
    with pytest.raises(UsageError, match=f"--devices {devices}: "):
        launch(print, devices, "auto")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="--devices 3: this machine has 2 CUDA devices"):
        launch(print, 3, "auto")
