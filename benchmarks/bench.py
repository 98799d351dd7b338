"""The yardstick: ficta against Keras, pythae and a plain PyTorch loop, side by side and in turns.

    python benchmarks/bench.py [--sittings 3] [--rounds 2] [--rows TEXT ...] [--out benchmarks/results]
    python benchmarks/bench.py --quick

All peers of a row are processes with as many threads as there are cores. In each sitting all start anew, take a
warm-up turn, then counted turns A B C D A B C D ...; a ratio pairs the readings of one round, so that what slows the
machine for a while slows both. Sittings are several, as a process may be a quarter slower than the next of the same
program for long, for reasons that lie outside it. Everybody trains the same networks (the numbers of weights are
compared) with the same batch size, Adam settings and data. Rows are named like ``train article-vae 32 float32``;
--rows takes those that hold one of the texts. Results go to bench.json, bench.md and bench.png.

--quick leaves out Keras and pythae and takes one network of each kind besides (``workers/networks.py``), everybody in
one thread. Where some steps do more than others, as with a lazy penalty, a turn holds whole cycles of them. It takes
less than 7 minutes, writes nothing, and fails when ficta is slower against the plain PyTorch loop of the same run than
FLOORS allows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yardstick import data, processes, summary, tables
from yardstick.peers import BATCHES, Peer, Session, check_alike, fastest, peers_of
from yardstick.processes import Worker, WorkerError
from yardstick.turns import BUSY, Row, ratios

from ficta.compute.device import describe

# Least median ratio to the plain PyTorch loop, with float32 and as chosen by default. What is less than 1 is room for
# noise: over four runs on one machine, before the last five joined, the least median of a row lay 3.5 % below its
# middle one on average, 7 % at most (that of iwae 17 %: its plain loop meets denormal numbers now and then).
FLOORS = {
    "article-vae": 1.1,
    "article-gan": 1.1,
    "iwae": 0.95,
    "vamp": 0.95,
    "beta-tcvae": 0.95,
    "ladder": 0.95,
    "vqvae": 0.95,
    "aae": 0.95,
    "vaegan": 0.95,
    "dcgan": 0.95,
    "resnet": 0.95,
    "wgan-gp": 0.95,
    "infogan": 0.95,
    "stylegan2": 0.95,
}
NETWORKS = ("article-vae", "article-gan")  # those that all peers train
LEAST_ROUNDS = 5  # in all sittings together
FULL = {"sittings": 3, "rounds": 2, "seconds": 2.0, "pause": 0.3}  # a turn's length, and the rest that settles threads
QUICK = {"sittings": 1, "rounds": 5, "seconds": 0.5, "pause": 0.05}


def run_session(session: Session, rows: list[Row], asked: argparse.Namespace) -> None:
    """Sitting after sitting: start everybody, take a few rounds of every row, end everybody."""
    chosen: dict[str, tuple[Peer, ...]] = dict(session.peers)
    for _ in range(asked.sittings if rows else 0):
        workers: dict[str, Worker] = {}
        try:
            for peer, variants in chosen.items():
                print(f"starting {peer} for {session.network}, batch {session.batch}, {session.kind}", file=sys.stderr)
                try:
                    workers[peer], variant, tried = fastest(variants, session)
                except WorkerError as error:
                    for row in rows:
                        row.leave(peer, str(error))
                else:
                    chosen[peer] = (variant,)
                    for row in rows:
                        row.join(peer, workers[peer].ready, tried)
            check_alike(workers)
            roofline = None
            if session.kind != "quick":
                roofline = workers["roofline"] = Worker(
                    "roofline.py", "ours", (), processes.environment(session.data.parent)
                )
            for row in rows:
                print(row.name, file=sys.stderr)
                row.take(workers, asked.rounds, asked.seconds, asked.pause, roofline)
        finally:
            for worker in workers.values():
                worker.close()


def start_row(session: Session, rounds: int, pause: float) -> dict[str, Any]:
    """Seconds from process start to the end of the first step: fresh processes in turns, after an uncounted one."""
    readings: dict[str, list[float]] = {}
    absent: dict[str, str] = {}
    versions: dict[str, Any] = {}
    load = processes.foreign_load()
    for counted in range(rounds + 1):
        for peer, (how, *_) in session.peers.items():
            if peer in absent:
                continue
            time.sleep(pause)
            try:
                worker = how.start(session)
            except WorkerError as error:
                absent[peer] = str(error)
                readings.pop(peer, None)
                continue
            worker.close()
            versions[peer] = worker.ready["versions"]
            if counted:
                readings.setdefault(peer, []).append(worker.ready["first_step_seconds_since_process_start"])
    found = {peer: {"reading": summary.spread(values)} for peer, values in readings.items()}
    return {
        "name": f"start {session.network}",
        "what": "start",
        "network": session.network,
        "batch": session.batch,
        "kind": "start",
        "foreign_load": round(load, 3),
        "busy": load > BUSY,
        "peers": found,
        "not_available": absent,
        "ratios": ratios(found, larger_is_better=False),
        "void": None,
        "versions": versions,
    }


def main() -> None:
    """Measure what is asked for; write it down after every row."""
    asked = arguments()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "pictures.npy"
        content = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": describe(),
            "data": data.write(pictures),
            "foreign_load": round(processes.foreign_load(), 3),
            "sittings": asked.sittings,
            "rounds": asked.rounds,
            "turn_seconds": asked.seconds,
            "rows": [],
        }
        for row in measured(asked, pictures):
            content["rows"].append(row)
            content["seconds"] = round(time.perf_counter() - begun)
            print(tables.lines_of(row) if asked.quick else f"done: {row['name']}", file=sys.stderr, flush=True)
            if not asked.quick:
                keep(asked.out, content)
    if asked.quick:
        print(f"{content['seconds']} s; machine busy with other things: {content['foreign_load']:.0%}")
        raise SystemExit(below_floors(content["rows"]))
    print((asked.out / "bench.md").read_text())


def measured(asked: argparse.Namespace, pictures: Path) -> Iterator[dict[str, Any]]:
    """Row after row."""

    def wanted(name: str) -> bool:
        return not asked.rows or any(text in name for text in asked.rows)

    for kind in ("quick",) if asked.quick else ("float32", "best"):
        for network in FLOORS if asked.quick else NETWORKS:
            for batch in BATCHES[:1] if asked.quick else BATCHES:
                session = Session(network, batch, kind, peers_of(kind), pictures)
                rows = [Row(what, name, network, batch, kind) for what, name in session.rows() if wanted(name)]
                run_session(session, rows, asked)
                yield from (row.result() for row in rows)
    for network in NETWORKS:
        if wanted(f"start {network}") and not asked.quick:
            yield start_row(
                Session(network, BATCHES[0], "start", peers_of("best"), pictures),
                asked.sittings * asked.rounds,
                asked.pause,
            )


def keep(folder: Path, content: dict[str, Any]) -> None:
    """Write the figures, the tables and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(content, indent=2) + "\n")
    (folder / "bench.md").write_text(tables.markdown(content))
    tables.plot(content, folder / "bench.png")


def below_floors(rows: list[dict[str, Any]]) -> str | None:
    """What fell below its floor, or None."""
    fallen = []
    for row in rows:
        floor = FLOORS[row["network"]]
        for mine in ("ficta float32", "ficta"):
            found = row["ratios"].get(mine, {}).get("PyTorch loop")
            if found is None:
                fallen.append(f"{row['name']}: {mine} has no ratio ({row['not_available']})")
            elif found["median"] < floor:
                fallen.append(f"{row['name']}: {mine} is {found['median']:.2f}x the PyTorch loop, floor {floor:.2f}x")
    return "\n".join(fallen) or None


def arguments() -> argparse.Namespace:
    """The command line; --quick brings turns of its own length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sittings", type=int, help="how many times everybody starts")
    parser.add_argument("--rounds", type=int, help=f"counted turns in a sitting; at least {LEAST_ROUNDS} in all")
    parser.add_argument("--seconds", type=float, help="length of a training turn")
    parser.add_argument("--rows", nargs="+", default=[], help="only rows whose name holds one of these texts")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    for name, value in (QUICK if asked.quick else FULL).items():
        setattr(asked, name, value if getattr(asked, name, None) is None else getattr(asked, name))
    if asked.sittings * asked.rounds < LEAST_ROUNDS:
        parser.error(f"{asked.sittings} sittings of {asked.rounds} rounds: an interval needs {LEAST_ROUNDS} rounds")
    return asked


if __name__ == "__main__":
    main()
