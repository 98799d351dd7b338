"""Who takes part in a row, and how each is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from yardstick import operations, processes
from yardstick.processes import Worker, WorkerError
from yardstick.turns import turn_samples

BATCHES = (32, 128)
VARIANTS = tuple((precision, jit) for precision in ("float32", "bf16") for jit in (False, True))
TRIAL_SECONDS = 1.0
USES = {"float32": ("sample", "encode", "latency"), "best": ("sample", "encode")}  # measured beside training, by kind


@dataclasses.dataclass(frozen=True)
class Peer:
    """How a peer is started."""

    script: str
    python: str = "peers"
    precision: str = "float32"
    jit: bool = False

    def start(self, session: Session) -> Worker:
        """Start it, and check that it trains the network of the session where that is counted layer by layer."""
        options = ["--network", session.network, "--batch", str(session.batch), "--data", str(session.data)]
        options += ["--precision", self.precision, *(["--jit"] if self.jit else [])]
        threads = 1 if session.kind == "quick" else None  # two wait for each other wherever something else runs
        worker = Worker(self.script, self.python, options, processes.environment(session.data.parent, threads))
        counted = operations.parameters(session.network)
        if counted is not None and worker.ready["parameters"] != counted:
            worker.close()
            raise SystemExit(f"{self.script} trains another network: {worker.ready['parameters']} weights")
        return worker


@dataclasses.dataclass(frozen=True)
class Session:
    """Some rows for which the same processes serve.

    Attributes:
        network: in the table of ``workers/networks.py``.
        batch: of training.
        kind: ``float32``, ``best`` or ``quick``.
        peers: by name, in the order of their turns; a tuple holds variants of which the fastest takes part.
        data: the .npy.
    """

    network: str
    batch: int
    kind: str
    peers: Mapping[str, tuple[Peer, ...]]
    data: Path

    def rows(self) -> list[tuple[str, str]]:
        """What is measured, and the row's name."""
        rows = [("train", f"train {self.network} {self.batch} {self.kind}")]
        if self.batch == BATCHES[0]:
            rows += [(what, f"{what} {self.network} {self.kind}") for what in USES.get(self.kind, ())]
        return [row for row in rows if self.network == "article-vae" or row[0] != "encode"]


def peers_of(kind: str) -> dict[str, tuple[Peer, ...]]:
    """Who takes part."""
    ours = Peer("ficta_worker.py", "ours", "float32" if kind == "float32" else "auto")
    if kind == "quick":
        exact = dataclasses.replace(ours, precision="float32")
        return {"ficta": (ours,), "ficta float32": (exact,), "PyTorch loop": (Peer("torch_loop.py", "ours"),)}
    variants = VARIANTS if kind == "best" else VARIANTS[:1]
    return {
        "ficta": (ours,),
        "Keras fit": tuple(Peer("keras_fit.py", precision=precision, jit=jit) for precision, jit in variants),
        "Keras tf.function": tuple(
            Peer("keras_function.py", precision=precision, jit=jit) for precision, jit in variants
        ),
        "pythae": (Peer("pythae_vae.py"),),
        "PyTorch loop": (Peer("torch_loop.py"),),
    }


def check_alike(workers: Mapping[str, Worker]) -> None:
    """Refuse to compare networks with different numbers of weights."""
    weights = {peer: worker.ready["parameters"] for peer, worker in workers.items()}
    if len(set(weights.values())) > 1:
        raise SystemExit(f"these train different networks, by their numbers of weights: {weights}")


def fastest(variants: tuple[Peer, ...], session: Session) -> tuple[Worker, Peer, dict[str, float | str]]:
    """Start the variants one after the other and keep the one that trains fastest; what each reached goes with it.

    Raises:
        WorkerError: none could be started; why the last one could not.
    """
    kept: tuple[Worker, Peer] | None = None
    reached: dict[str, float | str] = {}
    for variant in variants:
        name = variant.precision + (" jit" if variant.jit else "")
        try:
            worker = variant.start(session)
            if len(variants) == 1:
                return worker, variant, reached
            samples = turn_samples(worker, session.batch, TRIAL_SECONDS)
            answers = [worker.tell(do="train", samples=samples) for _ in range(2)]
        except WorkerError as error:
            reached[name], problem = str(error), error
            continue
        rate = max(answer["samples"] / answer["seconds"] for answer in answers)
        better = all(isinstance(other, str) or rate > other for other in reached.values())
        reached[name] = rate
        loser, kept = (kept, (worker, variant)) if better else ((worker, variant), kept)
        if loser:
            loser[0].close()
    if kept is None:
        raise problem
    return *kept, reached
