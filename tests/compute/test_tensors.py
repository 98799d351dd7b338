"""Tensor files: what was saved comes back, or it is an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from ficta.base.errors import FictaError
from ficta.compute.tensors import load, save

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
]
SHAPES = [(), (0,), (3, 0, 2), (1,), (5, 3), (2, 3, 4, 5)]


def some() -> dict[str, Tensor]:
    """A small file's content: two dtypes, one value of no axis, one without elements."""
    return {
        "encoder.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
        "seen": torch.tensor(1797),
        "none": torch.empty(0, 4),
    }


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 50).to(dtype)
    save(tmp_path / "file", {"tensor": tensor})
    read, facts = load(tmp_path / "file")
    assert list(read) == ["tensor"]
    assert same(read["tensor"], tensor)
    assert facts == {}


def test_round_trip_of_many_with_facts(tmp_path: Path) -> None:
    facts = {"name": "größe", "": "empty", "json": '{"a": [1, "b"]}', "lines": "one\ntwo"}
    save(tmp_path / "file", some(), facts)
    read, read_facts = load(tmp_path / "file")
    assert read_facts == facts
    assert read.keys() == some().keys()
    assert all(same(read[name], tensor) for name, tensor in some().items())


def test_round_trip_of_nothing(tmp_path: Path) -> None:
    save(tmp_path / "file", {})
    assert load(tmp_path / "file") == ({}, {})


def test_round_trip_of_odd_numbers(tmp_path: Path) -> None:
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 1e-42])
    save(tmp_path / "file", {"odd": odd})
    read = load(tmp_path / "file")[0]["odd"]
    assert torch.equal(read.view(torch.int32), odd.view(torch.int32))


def test_round_trip_of_views_and_parameters(tmp_path: Path) -> None:
    base = torch.arange(48.0).reshape(2, 3, 2, 4)
    views = {
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "transposed": base.transpose(1, 3),
        "every_second": torch.arange(9.0)[::2],
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    save(tmp_path / "file", views)
    read, _ = load(tmp_path / "file")
    assert all(same(read[name], tensor.detach()) for name, tensor in views.items())
    assert not read["parameter"].requires_grad


def test_same_content_same_bytes(tmp_path: Path) -> None:
    # the order of a header's entries must not depend on chance
    facts = {name: name for name in "abcdefgh"}
    save(tmp_path / "one", some(), facts)
    save(tmp_path / "other", some(), dict(reversed(facts.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_safetensors_reads_the_file(tmp_path: Path) -> None:
    each = {str(dtype): torch.arange(5).to(dtype) for dtype in DTYPES}
    tensors = some() | each | {'größe "1"': torch.ones(2)}
    save(tmp_path / "file", tensors, {"family": "vae"})
    read = safetensors.torch.load_file(tmp_path / "file")
    assert read.keys() == tensors.keys()
    assert all(same(read[name], tensor) for name, tensor in tensors.items())
    with safetensors.safe_open(tmp_path / "file", "pt") as file:
        assert list(file.metadata()) == ["ficta"]


SAVES = """
import resource, sys, torch
from pathlib import Path
from ficta.compute.tensors import save
tensors = {str(number): torch.ones(4, 8, 128, 512).to(memory_format=torch.channels_last) for number in range(16)}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
save(Path(sys.argv[1]), tensors)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / before)
"""


def test_saving_holds_no_second_copy_of_all_tensors(tmp_path: Path) -> None:
    call = [sys.executable, "-c", SAVES, str(tmp_path / "file")]  # 128 MiB in a process of some 350 MB
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.3


def complaint(path: Path) -> str:
    """What ``load`` says against a file; empty if nothing."""
    try:
        load(path)
    except FictaError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF], ids=hex)
def test_a_flipped_byte_anywhere_is_an_error(tmp_path: Path, flip: int) -> None:
    path = tmp_path / "file"
    save(path, some(), {"family": "vae"})
    content = bytearray(path.read_bytes())
    unnoticed = []
    for position in range(len(content)):
        content[position] ^= flip
        path.write_bytes(content)
        content[position] ^= flip
        if not complaint(path).startswith(f"{path} is damaged"):
            unnoticed.append(position)
    assert unnoticed == []


def test_a_file_cut_short_anywhere_or_grown_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save(path, some(), {"family": "vae"})
    content = path.read_bytes()
    for damaged in [*(content[:length] for length in range(len(content))), content + b"\0"]:
        path.write_bytes(damaged)
        assert complaint(path).startswith(f"{path} is damaged"), len(damaged)
    path.write_bytes(content)
    assert complaint(path) == ""


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FictaError, match=r"absent\.safetensors is missing"):
        load(tmp_path / "absent.safetensors")


def test_a_file_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"PK\x03\x04 this is no tensor file")
    with pytest.raises(FictaError, match="is damaged"):
        load(tmp_path / "file")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    save(path, some())
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, {"other": torch.ones(3)})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
