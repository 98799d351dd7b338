"""A small table of orders with columns of every kind, and settings that make models of it tiny."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np

HEAD = "order_id,placed,shipped,units,price,tax,total,colour,member,score,empty,note"
CONSTRAINTS = 'data.table.constraints=["placed <= shipped", "total = price + tax", "unique order_id"]'
LEARNT = ["placed", "shipped", "units", "price", "tax", "total", "colour", "member", "score"]
SIDES = {"vae": ("encoder", "decoder"), "gan": ("generator", "discriminator")}


def tiny(name: str = "vae", samples: int = 2000) -> list[str]:
    """Settings for a run of a second."""
    layers = [f"model.{side}.mlp.hidden=[24]" for side in SIDES[name]]
    return ["train.threads=1", "train.batch=50", f"train.samples={samples}", "train.reports=2", *layers]


def order_lines(n: int = 600, seed: int = 0) -> list[str]:
    """Rows without the head: units are missing in a tenth of them, tax goes with the price, blue comes with members."""
    draws = np.random.default_rng(seed)
    lines = []
    for number in range(1, n + 1):
        placed = datetime.date(2020, 1, 1) + datetime.timedelta(days=int(draws.integers(0, 400)))
        shipped = placed + datetime.timedelta(days=int(draws.integers(0, 20)))
        price = int(draws.lognormal(7, 1))
        tax = price // 5 + int(draws.integers(0, 9))
        units = "" if draws.random() < 0.1 else str(draws.integers(1, 9))
        member = draws.random() < 0.4
        colour = "blue" if member and draws.random() < 0.9 else str(draws.choice(["red", "green"], p=[0.8, 0.2]))
        money = ",".join(f"{cents / 100:.2f}" for cents in (price, tax, price + tax))
        note = f"packed by hand {draws.integers(0, 10**9)} and sent"
        words = f"{colour},{'yes' if member else 'no'},{draws.normal():.9f},,{note}"
        lines.append(f"{number},{placed},{shipped},{units},{money},{words}")
    return lines


def write_orders(path: Path, n: int = 600, seed: int = 0) -> Path:
    path.write_text("\n".join([HEAD, *order_lines(n, seed)]) + "\n")
    return path
