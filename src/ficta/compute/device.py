"""Which device, which number format, which memory layout."""

import contextlib
import ctypes
import dataclasses
import os
import platform
import resource
import shutil
import sys
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError

Precision = Literal["float32", "bf16"]
Layout = Literal["channels_last", "contiguous"]
Network = TypeVar("Network", bound=nn.Module)


@dataclasses.dataclass(frozen=True)
class Way:
    """How steps are computed on this machine; by their results the ways differ in rounding alone.

    Attributes:
        threads: of the CPU.
        precision: of matrix products and convolutions.
        layout: memory order of pictures (B, C, H, W).
        compile: whether networks are compiled.
    """

    threads: int
    precision: Precision = "float32"
    layout: Layout = "channels_last"
    compile: bool = False


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
KEPT_BYTES = 2**30


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
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def use(way: Way) -> None:
    """Make this process compute in so many threads."""
    torch.set_num_threads(way.threads)


def not_compiled() -> contextlib.AbstractContextManager[Any]:
    """Context in which compiled networks run as they were written."""
    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def begin_graphs(device: torch.device) -> None:
    """Tell CUDA graphs of compiled networks that what they gave back before is no longer read."""
    if device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def multiplies_in_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16; without them it is computed all the same, many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def compiles(device: torch.device) -> bool:
    """Whether torch can compile networks here: for a CPU it needs a C++ compiler."""
    return device.type == "cuda" or any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))


def lay_out(network: Network, layout: Layout = "channels_last") -> Network:
    """Put parameters on four axes, which 2-d convolutions have, into this memory order."""
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.to(memory_format=_formats()[layout])
    return network


def lay_out_batch(batch: Tensor, layout: Layout = "channels_last") -> Tensor:
    """Put a batch of pictures (B, C, H, W) into this memory order; leave others as they are."""
    return batch.contiguous(memory_format=_formats()[layout]) if batch.ndim == 4 else batch


def lay_out_like(batch: Tensor, weight: Tensor) -> Tensor:
    """A batch (B, C, *axes) that lies channels last, put into the memory order of the weight that meets it."""
    return batch if weight.is_contiguous(memory_format=torch.channels_last) else batch.contiguous()


def _formats() -> dict[Layout, torch.memory_format]:
    return {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def keep_freed_memory() -> None:
    """Let the C library (glibc; others are left alone) keep what is freed for what is allocated next.

    By default it gives large blocks back to the system, which then hands out zeroed pages for every activation of
    every step: some 2,000 page faults for a batch of 32 digits, a tenth of the time and more.
    """
    library = ctypes.CDLL(None)
    if platform.libc_ver()[0] == "glibc":
        for option in (MMAP_THRESHOLD, TRIM_THRESHOLD):
            library.mallopt(option, KEPT_BYTES)


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
