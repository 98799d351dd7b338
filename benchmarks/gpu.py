"""One CUDA device: ficta against the plain PyTorch loop of a tutorial, in turns.

    python benchmarks/gpu.py [--device cuda] [--seconds 5] [--rounds 7]

The plain loop: TensorDataset and DataLoader, float32, eager. Ficta: as it prepares a run by itself (its probe chooses
number format, memory order and compilation), its data on the device. Same networks, batch size and Adam settings; the
numbers of weights are compared. Networks: the article's at batch 128, and a GAN of 64x64 with the widths of DCGAN at
batch 256, on random pictures, which cost what real ones do. Beside the rates stand the shares of what the device
reached in this process: its best bf16 matrix product, and its bandwidth in copying, against the least that a step must
compute and move. Figures go to benchmarks/results/gpu.json and gpu.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence import RESULTS, keep
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from yardstick.summary import ratio, spread

sys.path.insert(0, str(Path(__file__).parent / "workers"))

import torch_networks
from roofline import best
from torch_steps import gan_step, vae_step

from ficta.api import recipe_for
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.data.ingest import ingest
from ficta.train import session
from ficta.train.stepper import Stepper

ITEMS = 20_000
WIDE = {
    "latent_dim": torch_networks.WIDE_LATENT_DIM,
    "r1_gamma": 0.0,  # the plain loop has none
    "discriminator": {"conv": {"channels": torch_networks.WIDTHS}},
    "generator": {"conv": {"channels": torch_networks.WIDTHS[::-1], "last": "doubling"}},
}
CASES: dict[str, tuple[str, dict[str, Any], int, tuple[int, ...]]] = {  # preset, settings, batch, shape of a picture
    "article-vae": ("article-vae", {}, 128, (28, 28)),
    "article-gan": ("article-gan", {}, 128, (28, 28)),
    "gan 64x64": ("gan", WIDE, 256, (64, 64, 3)),
}


def plain(
    case: str, pictures: np.ndarray, batch: int, device: torch.device
) -> tuple[Callable[[], None], list[nn.Module]]:
    """A step of the tutorial's loop, and its networks."""
    data = torch.from_numpy(pictures).float().div(127.5).sub(1)
    data = data.movedim(-1, 1).contiguous() if data.ndim == 4 else data.unsqueeze(1)
    if case == "article-vae":
        networks: list[nn.Module] = [torch_networks.encoder(), torch_networks.upward()]
        data = (data + 1) / 2
    elif case == "article-gan":
        networks = [torch_networks.upward(), torch_networks.discriminator()]
    else:
        networks = [torch_networks.wide_generator(), torch_networks.wide_discriminator()]
    one, other = (network.to(device) for network in networks)
    latent_dim = torch_networks.WIDE_LATENT_DIM if case == "gan 64x64" else torch_networks.LATENT_DIM
    step = vae_step(one, other) if case == "article-vae" else gan_step(one, other, latent_dim)
    batches = endless(DataLoader(TensorDataset(data), batch, shuffle=True, drop_last=True))
    return lambda: step(next(batches).to(device)) and None, networks


def endless(loader: DataLoader[Any]) -> Iterator[Tensor]:
    """Epoch after epoch."""
    while True:
        for (batch,) in loader:
            yield batch


def ours(preset: str, settings: dict[str, Any], path: Path, batch: int, device: torch.device) -> Stepper:
    """What a new run has before its first step."""
    train = {"batch": batch, "device": str(device), "minutes": 180}  # so long a run makes trying to compile pay
    data = {"validation": 0.0, "test": 0.0}
    recipe = recipe_for(preset, str(path), {"model": settings, "train": train, "data": data})
    return session.prepare(recipe, ingest(recipe.data), None, device, Collectives(), None).stepper


def rate(step: Callable[[], None], batch: int, seconds: float, device: torch.device) -> float:
    """Samples a second."""
    machine.wait(device)
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        steps += 1
        if steps % 50 == 0:
            machine.wait(device)  # what was queued beyond the time would not be counted
    machine.wait(device)
    return batch * steps / (time.perf_counter() - begun)


def least_work(networks: list[nn.Module], inputs: list[Tensor], case: str) -> tuple[float, float]:
    """Operations and bytes that a sample's step costs at least, counted on the plain networks.

    Operations: products with weights, forward, and twice as many backward. Bytes: every layer's input and output once
    forward and twice backward, in float32. A GAN runs the generator twice forward and once backward, the discriminator
    three times forward and three times backward, once of these without weight gradients.
    """
    passes = [(3, 3), (3, 3)] if case == "article-vae" else [(4, 4), (8, 9)]
    counted = [0.0, 0.0]
    for network, x, (products, moves) in zip(networks, inputs, passes, strict=True):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(_count(counted, products, moves))
        network(x)
    return counted[0] / len(inputs[0]), counted[1] / len(inputs[0])


def _count(counted: list[float], products: int, moves: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def count(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        places = given[0] if isinstance(layer, nn.ConvTranspose2d) else out
        channels = places.shape[1]
        counted[0] += products * 2 * layer.weight.numel() * places.numel() / channels
        counted[1] += moves * 4 * (given[0].numel() + out.numel())

    return count


def bandwidth(device: torch.device) -> float:
    """Bytes a second in copying, both ways counted; the best of several."""
    source = torch.empty(2**28, dtype=torch.uint8, device=device)
    target, found = torch.empty_like(source), 0.0
    for _ in range(20):
        machine.wait(device)
        begun = time.perf_counter()
        target.copy_(source)
        machine.wait(device)
        found = max(found, 2 * source.numel() / (time.perf_counter() - begun))
    return found


def measure(case: str, place: Path, asked: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """One row."""
    preset, settings, batch, shape = CASES[case]
    path = place / f"{preset}.npy"
    pictures = np.random.default_rng(0).integers(0, 256, (asked.items, *shape), np.uint8)
    np.save(path, pictures)
    stepper = ours(preset, settings, path, batch, device)
    step, networks = plain(case, pictures, batch, device)
    weights = [sum(p.numel() for p in stepper.family.parameters()), torch_networks.count(*networks)]
    if weights[0] != weights[1]:
        raise SystemExit(f"{case}: not the same networks: {weights}")
    steps = {"ficta": stepper.advance, "PyTorch loop": step}
    readings: dict[str, list[float]] = {name: [] for name in steps}
    for counted in range(asked.rounds + 1):
        for name, take in steps.items():
            reading = rate(take, batch, asked.seconds, device)
            if counted:
                readings[name].append(reading)
    with torch.no_grad():
        latent = torch.zeros(2, settings.get("latent_dim", torch_networks.LATENT_DIM), device=device)
        picture = torch.zeros(2, 3 if len(shape) == 3 else 1, *shape[:2], device=device)
        inputs = [picture, latent] if case == "article-vae" else [latent, picture]
        operations, moved = least_work(networks, inputs, case)
    ours_now = statistics.median(readings["ficta"])
    return {
        "case": case,
        "batch": batch,
        "way": stepper.way.__dict__,
        "samples_per_second": {name: spread(values) for name, values in readings.items()},
        "ratio": ratio(readings["ficta"], readings["PyTorch loop"]),
        "share_of_bf16_rate": ours_now * operations / (1e9 * best(torch.bfloat16, device)),
        "share_of_bandwidth": ours_now * moved / bandwidth(device),
    }


def main() -> None:
    """Measure every case; write down the figures and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="counted turns of each")
    parser.add_argument("--items", type=int, default=ITEMS, help="pictures")
    asked = parser.parse_args()
    device = machine.pick(asked.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FICTA_CACHE"] = str(Path(folder) / "cache")
        rows = [measure(case, Path(folder), asked, device) for case in CASES]
    keep("gpu", {"device": name, "rounds": asked.rounds, "turn_seconds": asked.seconds, "rows": rows})
    (RESULTS / "gpu.md").write_text(markdown(name, rows))


def markdown(device: str, rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        f"{device}, samples a second\n",
        "| networks | batch | ficta | PyTorch loop | ratio | interval | of bf16 rate | of bandwidth | computed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = [f"{row['samples_per_second'][who]['median']:,.0f}" for who in ("ficta", "PyTorch loop")]
        found, way = row["ratio"], row["way"]
        lines.append(
            f"| {row['case']} | {row['batch']} | {' | '.join(rates)} | {found['median']:.2f}x | {found['low']:.2f} to "
            f"{found['high']:.2f} ({found['confidence']:.0%}) | {row['share_of_bf16_rate']:.0%} | "
            f"{row['share_of_bandwidth']:.0%} | {way['precision']}{', compiled' if way['compile'] else ''} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
