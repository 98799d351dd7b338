"""Several processes as one: sums over ranks, and starting them."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from ficta.base.errors import FictaError, InterruptedRun, UsageError, VerdictError

PEER_SECONDS = 5.0


class Collectives:
    """What a training step needs of the other processes; with one process every call is the identity."""

    def __init__(self) -> None:
        active = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if active else 0
        self.ranks = dist.get_world_size() if active else 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sum each tensor over all ranks, in one transfer; the dtype must be the same in all."""
        if self.ranks == 1:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank."""
        if self.ranks == 1:
            return flag
        votes = torch.tensor(float(flag))
        if dist.get_backend() == "nccl":
            votes = votes.cuda()
        dist.all_reduce(votes)
        return bool(votes.item() > 0)

    def broadcast(self, value: Any) -> Any:
        """The first rank's ``value`` on every rank (a small thing that JSON could hold)."""
        if self.ranks == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.ranks > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Collectives]:
    """Join the processes that ``torchrun`` or ``launch`` started; alone if none did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield Collectives()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=datetime.timedelta(minutes=30))
    try:
        yield Collectives()
        dist.barrier()
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Number of this process on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_processes() -> int:
    """Number of processes on this machine that share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def leads_by_environment() -> bool:
    """Whether this process speaks for all, told before they have joined."""
    return os.environ.get("RANK", "0") == "0"


def launch(work: Callable[..., None], devices: int, device: str, *arguments: Any) -> None:
    """Run ``work(*arguments)`` in so many processes on this machine, and wait for them.

    Args:
        work: a function of a module (each process imports it).
        devices: number of processes.
        device: what they run on: ``auto``, ``cpu`` or ``cuda``.
        arguments: what to call it with; must survive being sent to another process.

    Raises:
        UsageError: fewer than one, or more than the machine has CUDA devices, where it has any and they are to be used.
    """
    available = 0 if device == "cpu" else torch.cuda.device_count()
    if devices < 1:
        raise UsageError(f"--devices {devices}: at least one process is needed")
    if available and devices > available:
        raise UsageError(
            f"--devices {devices}: this machine has {available} CUDA devices; --device cpu takes processes"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as reasons, _quiet_about_ends():
        given = (devices, port, reasons, work, arguments)
        spawned = spawn(_enter, given, nprocs=devices, join=False)  # type: ignore[no-untyped-call]
        _wait(spawned, devices, Path(reasons))


def _wait(spawned: Any, devices: int, reasons: Path) -> None:
    """Wait for all processes, pass signals on to them, and raise what ended the first of them."""

    def pass_on(number: int, _frame: object) -> None:
        for process in spawned.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not spawned.join():
            pass
    except ProcessExitedException as error:
        kind = VerdictError if error.exit_code == VerdictError.exit_code else FictaError
        failure = kind(_reason(reasons, error.error_index, devices))
        failure.exit_code = error.exit_code if error.exit_code > 0 else 128 - error.exit_code
        raise failure from None
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        raise FictaError(f"process {error.error_index} of {devices} failed: {last}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(reasons: Path, first: int, devices: int) -> str:
    """What the process that ended first left behind, or another, where all end for the same reason and one says it."""
    for path in (reasons / str(first), *sorted(reasons.iterdir())):
        if path.exists():
            return path.read_text()
    return f"process {first} of {devices} was ended from outside; the same command goes on from the last saved state"


@contextlib.contextmanager
def _quiet_about_ends() -> Iterator[None]:
    """Keep torch from telling that it ends the other processes; what ended the first one is told by us."""
    logger = logging.getLogger("torch.multiprocessing.spawn")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _enter(
    rank: int, ranks: int, port: int, reasons: str, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(ranks),
        LOCAL_WORLD_SIZE=str(ranks),
    )
    try:
        work(*arguments)
    except FictaError as error:
        if rank == 0 or not isinstance(error, InterruptedRun | VerdictError):  # which all of them raise
            (Path(reasons) / str(rank)).write_text(str(error))  # of an exit the parent only learns the code
        sys.exit(error.exit_code)
    except Exception:
        time.sleep(PEER_SECONDS)  # if this is for want of a process that has just ended, that one's reason counts
        raise
