"""The fastest matrix product of this machine, by torch, in float32 and bf16: what no network can outrun.

Commands: ``{"do": "matmul"}`` gives the best GFLOP/s of each format over sizes and repeats; ``{"do": "quit"}``.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from protocol import channel, tell

SIZES = (256, 512, 1024, 1536, 2048)
LARGE_SIZES = (2048, 4096, 8192)  # what fills a GPU
FORMATS = {"float32": torch.float32, "bf16": torch.bfloat16}
SECONDS = 0.15  # for each size
TOO_LONG = 0.2  # once a product takes so long, larger ones are left out: no faster, and the turn must stay short


def best(dtype: torch.dtype, device: torch.device | None = None) -> float:
    """Best rate in GFLOP/s; a product of n x n matrices takes 2 n^3 operations."""
    found = 0.0
    for size in SIZES if device is None or device.type == "cpu" else LARGE_SIZES:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        out = torch.empty(size, size, dtype=dtype, device=device)
        begun = time.perf_counter()
        while time.perf_counter() - begun < SECONDS:
            started = time.perf_counter()
            torch.matmul(left, right, out=out)
            if out.is_cuda:
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
            found = max(found, 2 * size**3 / seconds / 1e9)
        if seconds > TOO_LONG:
            break
    return found


def main() -> None:
    """Serve."""
    answers = channel()
    tell(answers, {"ready": True, "versions": {"torch": torch.__version__}, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        if json.loads(line)["do"] == "quit":
            return
        tell(answers, {name: best(dtype) for name, dtype in FORMATS.items()})


if __name__ == "__main__":
    main()
