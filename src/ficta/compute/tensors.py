"""Tensor files: safetensors with a digest of their own, so that a flipped byte is an error and not a bad picture."""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ficta.base.errors import FictaError
from ficta.base.files import replacing

ENTRY = "ficta"  # one entry of the header holds facts and digest: the order of several would differ from save to save
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Replace ``path`` by a safetensors file, atomically.

    It is written tensor by tensor: safetensors' own ``save`` holds the whole file in memory, twice.

    Args:
        path: where to.
        tensors: named tensors on any device.
        facts: strings kept in the file's header.
    """
    facts = dict(facts or {})
    header = json.dumps({"facts": facts, "sha256": _digest(tensors, facts)}, sort_keys=True)
    entries: dict[str, Any] = {"__metadata__": {ENTRY: header}}
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so that each lies aligned
    end = 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.nbytes
        entries[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name in names:
            file.write(_bytes(tensors[name]))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file written by ``save``.

    Returns:
        The tensors (on the CPU) and the strings of the header.

    Raises:
        FictaError: the file is missing, cut short, or not what was written.
    """
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        header = _header(content)
        facts, digest = dict(header["facts"]), header["sha256"]
    except FileNotFoundError:
        raise FictaError(f"{path} is missing") from None
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, struct.error, RuntimeError) as error:
        raise FictaError(f"{path} is damaged ({error}); restore it, or train the run again") from None
    if digest != _digest(tensors, facts):
        raise FictaError(f"{path} is damaged (its digest does not match); restore it, or train the run again")
    return tensors, facts


def _header(content: bytes) -> dict[str, Any]:
    """Our entry in a safetensors header, which is 8 bytes of length, then JSON."""
    (length,) = struct.unpack("<Q", content[:8])
    entry: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][ENTRY])
    return entry


def _bytes(tensor: Tensor) -> memoryview:
    """Elements in the order of the axes."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else memoryview(b"")


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()
