"""Workers as long-lived processes: start, command, answer, and how much anonymous memory they hold meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
WORKERS = HERE / "workers"
PYTHONS = {"ours": HERE.parent / ".venv/bin/python", "peers": HERE.parent / ".venv-bench/bin/python"}
POLL_SECONDS = 0.02
FAMILY_POLLS = 25  # polls from one look for child processes to the next, which costs more than the poll itself
READY_SECONDS = 240.0  # XLA compiles for half a minute
ANSWER_SECONDS = 240.0


class WorkerError(Exception):
    """A worker that could not be started, or that died or hung; the text says why."""


class Worker:
    """One peer, ready to be told what to do."""

    def __init__(self, script: str, python: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        interpreter = PYTHONS[python]
        if not interpreter.exists():
            raise WorkerError(f"{interpreter.parent.parent.name} is not there")
        self._answered = b""
        self._errors = open(os.memfd_create("errors"), "w+b", buffering=0)  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(interpreter), str(WORKERS / script), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
        )
        try:
            self.ready = self._answer(READY_SECONDS)
        except WorkerError:
            self.close()
            raise

    def tell(self, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer.

        Raises:
            WorkerError: the worker died or hung.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer's absence says more
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(ANSWER_SECONDS)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Poll anonymous memory meanwhile; the list's only number is the peak in bytes."""
        peak, over = [0], threading.Event()

        def poll() -> None:
            family, polls = [self._process.pid], 0
            while not over.is_set():
                if polls % FAMILY_POLLS == 0:
                    family = descendants(self._process.pid)
                peak[0] = max(peak[0], sum(map(anonymous_bytes, family)))
                polls += 1
                over.wait(POLL_SECONDS)

        thread = threading.Thread(target=poll)
        thread.start()
        try:
            yield peak
        finally:
            over.set()
            thread.join()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._answered:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise WorkerError(f"no answer within {seconds:.0f} s")
            some = os.read(self._process.stdout.fileno(), 65536)
            if not some:
                raise WorkerError(self._last_words())
            self._answered += some
        line, self._answered = self._answered.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with {self._process.wait()}"


def anonymous_bytes(pid: int) -> int:
    """RssAnon of a process; mapped files, such as a cache of data, do not count. 0 if it is gone."""
    with contextlib.suppress(OSError):
        held = Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2].split(maxsplit=1)
        return 1024 * int(held[0]) if held else 0  # one that has just ended has none
    return 0


def descendants(pid: int) -> list[int]:
    """A process and its children and theirs."""
    found = [pid]
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found += descendants(int(child))
    return found


def environment(scratch: Path, threads: int | None = None) -> dict[str, str]:
    """What every worker gets: threads, without a number as many as there are cores, and a cache of data of its own."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, str(threads or cores_here())) | {
        "FICTA_CACHE": str(scratch / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
    }


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def foreign_load(seconds: float = 1.0) -> float:
    """Share of all cores that is busy while the workers are idle: what else runs on this machine."""
    busy_before, all_before = _processor_ticks()
    time.sleep(seconds)
    busy, everything = _processor_ticks()
    return (busy - busy_before) / max(1, everything - all_before)


def _processor_ticks() -> tuple[int, int]:
    ticks = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # all but idle and waiting for disks
