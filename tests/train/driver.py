"""Runs the command line in processes that are killed at chosen moments; a script, called by ``in_processes``.

Reads jobs as JSON from standard input and prints their outcomes as JSON. Everything is imported once and each job is
forked from there, so that a job costs what training costs and no more.
"""

import contextlib
import functools
import json
import mmap
import os
import random
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import torch.multiprocessing

from ficta import api
from ficta.cli import app, main, show  # noqa: F401 - the same goes for these
from ficta.compute import collectives
from ficta.explore import explore
from ficta.train.stepper import Stepper

SEEN, SAVING, SENT = slice(0, 8), slice(8, 9), slice(9, 10)
PATIENCE_SECONDS = 60


def child(job: dict, board: mmap.mmap, output: Path) -> None:
    """Become the command line with this job's arguments; ``board`` tells the parent how far it is."""
    streams = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(streams, 1)
    os.dup2(streams, 2)
    advance, replace = Stepper.advance, Path.replace

    def told(self: Stepper) -> None:
        advance(self)
        if self.target > 1:  # not the probe, which is made for a target of 1
            board[SEEN] = self.seen.to_bytes(8, "little")
            while job.get("until") and self.seen >= job["until"] + 64 and board[SENT] == b"\0":
                time.sleep(0.001)  # a slow parent must not miss the moment

    def slow(self: Path, target: Path) -> Path:
        if Path(target).match("*.safetensors"):
            time.sleep(job.get("slow_save", 0))
        if job.get("in_save_of") and Path(target).match(job["in_save_of"]) and board[SEEN] != bytes(8):
            board[SAVING] = b"\1"
            time.sleep(PATIENCE_SECONDS)
        return replace(self, target)

    Stepper.advance, Path.replace = told, slow
    api.Run.explore = lambda self, **_: explore.Explored([], [], "")
    api.Run.report = lambda self: None
    explore.animate = lambda run: None
    fork = functools.partial(torch.multiprocessing.start_processes, start_method="fork")
    for module in (collectives, getattr(collectives, "mp", None)):
        if hasattr(module, "spawn"):
            module.spawn = fork
    sys.argv = ["ficta", *job["argv"]]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(job: dict, number: int) -> dict:
    """Run a job in as many processes as it asks for, and signal them all when its moment comes."""
    output = Path(f"output-{os.getpid()}-{number}")
    ranks = job.get("ranks", 1)
    boards = [mmap.mmap(-1, 16) for _ in range(ranks)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pids = []
    for rank, board in enumerate(boards):
        pid = os.fork()
        if pid == 0:
            if ranks > 1:
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            try:
                child(job, board, output)
            except BaseException:  # noqa: BLE001 - whatever it is, it is shown, and this process ends
                traceback.print_exc()
            finally:
                os._exit(99)
        pids.append(pid)
    left, codes, peaks, sent = dict(enumerate(pids)), {}, {}, False
    pause = random.Random(number).uniform(0, 0.005)
    ends = time.monotonic() + PATIENCE_SECONDS
    while left:
        for rank, pid in list(left.items()):
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                codes[rank] = os.waitstatus_to_exitcode(status)
                peaks[rank] = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                del left[rank]
        seen = int.from_bytes(boards[0][SEEN], "little")
        due = (job.get("until") and seen >= job["until"]) or boards[0][SAVING] == b"\1"
        if job.get("signal") and due and not sent:
            time.sleep(pause)
            sent = True
            for pid in left.values():
                os.kill(pid, job["signal"])
            for board in boards:
                board[SENT] = b"\1"
        if time.monotonic() > ends:
            for pid in left.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.0005)
    text = output.read_text()
    output.unlink()
    codes, peaks = ([each[rank] for rank in range(ranks)] for each in (codes, peaks))
    return {"codes": codes, "peak_bytes": peaks, "seen": seen, "text": text}


if __name__ == "__main__":
    results = [run(job, number) for number, job in enumerate(json.load(sys.stdin))]
    json.dump(results, sys.stdout)
