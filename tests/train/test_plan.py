"""What a plan says of weights and memory holds for every family."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ficta.api import recipe_for
from ficta.data.ingest import ingest
from ficta.models.registry import FAMILIES
from ficta.nets.build import NetworkSettings
from ficta.runs.folder import RunFolder
from ficta.train import session
from table_making import write_orders

ONE_WAY = ["train.threads=1", "train.precision=float32", "train.layout=channels_last", "train.compile=false"]
WIDE = 1000  # so that weights are no small part of what a process holds
KINDS = ["pictures", "rows"]


def networks(name: str) -> list[str]:
    """Settings of a family that hold a network."""
    fields = FAMILIES[name].family.settings_type.model_fields
    return [field for field, info in fields.items() if info.annotation is NetworkSettings]


def data(kind: str, folder: Path) -> str:
    return "digits" if kind == "pictures" else str(write_orders(folder / "orders.csv", 300))


@pytest.mark.parametrize("conditional", ["false", "true"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAMILIES)
def test_it_names_every_weight_once(name: str, kind: str, conditional: str, tmp_path: Path) -> None:
    settings = ["train.samples=16", "train.batch=8", f"data.conditional={conditional}", *ONE_WAY]
    for network in networks(name):
        settings += [f"model.{network}.conv.width=8", f"model.{network}.mlp.hidden=[9]"]
    recipe = recipe_for(name, data(kind, tmp_path), {}, settings)
    family = session.new_family(recipe, ingest(recipe.data), None, None)
    named = session.forecast(recipe)["parameters"]
    assert set(networks(name)) <= set(named)
    assert all(number > 0 for number in named.values())
    assert sum(named.values()) == sum(weight.numel() for weight in family.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_as_foretold(kind: str, tmp_path: Path, in_processes: Callable[..., list[dict[str, Any]]]) -> None:
    source, jobs = data(kind, tmp_path), []
    ingest(recipe_for("vae", source, {}).data)  # reading the source takes memory of its own
    for name in FAMILIES:
        settings = ["train.samples=32", "train.batch=16", "train.reports=1", "train.keep=best", *ONE_WAY]
        settings += [f"model.{network}.kind=mlp" for network in networks(name)]
        settings += [f"model.{network}.mlp.hidden=[{WIDE},{WIDE}]" for network in networks(name)]
        chosen = [word for setting in settings for word in ("--set", setting)]
        jobs.append({"argv": ["train", name, "--data", source, "--out", str(tmp_path / name), "--json", *chosen]})
    dry = {"argv": [*jobs[0]["argv"], "--dry-run"]}
    *outcomes, planned = in_processes(*jobs, dry)
    assert all(each["codes"] == [0] for each in (*outcomes, planned)), [each["text"] for each in outcomes]
    for name, outcome in zip(FAMILIES, outcomes, strict=True):
        foretold = RunFolder(tmp_path / name).json("plan")["memory_bytes"]
        # saving, and keeping the best weights, must not need much that the plan has not met
        assert foretold <= outcome["peak_bytes"][0] < 1.15 * foretold, name
    foretold, held = json.loads(planned["text"])["memory_bytes"], outcomes[0]["peak_bytes"][0]
    assert held / 1.25 < foretold < 1.25 * held
