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
from ficta.base.files import write_bytes

ENTRY = "ficta"  # one entry of the header holds facts and digest: the order of several would differ from save to save


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Replace ``path`` by a safetensors file, atomically.

    Args:
        path: where to.
        tensors: named tensors on any device.
        facts: strings kept in the file's header.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    facts = dict(facts or {})
    header = json.dumps({"facts": facts, "sha256": _digest(plain, facts)}, sort_keys=True)
    write_bytes(path, safetensors.torch.save(plain, {ENTRY: header}))


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


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
