"""Which device, which number format, which memory layout."""

import contextlib
import os
import platform
import resource
import sys
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError

Precision = Literal["float32", "bf16"]
Network = TypeVar("Network", bound=nn.Module)


def pick(name: str) -> torch.device:
    """Device by name: ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        UsageError: a name that torch does not know or a device that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used ({reason}); try --device cpu") from None
    return device


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """Context in which matrix products and convolutions run in ``precision``; weights stay float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def lay_out(network: Network) -> Network:
    """Put the weights of 2-d convolutions into channels-last order, where convolution kernels are fastest."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def lay_out_batch(batch: Tensor) -> Tensor:
    """Put a batch of pictures (B, C, H, W) into channels-last order; leave others as they are."""
    return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch


def describe() -> dict[str, Any]:
    """Processor, cores, versions: what a measured rate depends on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def seed_layers(key: int, device: torch.device) -> None:
    """Seed what layers draw for themselves, such as dropout in a user's network; ours draw from ``Noise`` alone."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Largest memory held so far: of the device under CUDA, else of this process (resident set)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
