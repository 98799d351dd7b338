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
from ficta.nets.stylegan2 import JudgeSettings, MappingSettings, SynthesisSettings
from ficta.runs.folder import RunFolder
from ficta.train import session
from table_making import write_orders

ONE_WAY = ["train.threads=1", "train.precision=float32", "train.layout=channels_last", "train.compile=false"]
WIDE = 1000  # so that weights are no small part of what a process holds
KINDS = ["pictures", "rows"]
SERVED = [(name, kind) for name in FAMILIES for kind in KINDS if (name, kind) != ("stylegan2", "rows")]
NARROW: dict[type, list[str]] = {
    NetworkSettings: ["conv.width=8", "mlp.hidden=[9]"],
    MappingSettings: ["width=12"],
    SynthesisSettings: ["width=4"],
    JudgeSettings: ["width=4"],
}
BROAD: dict[type, list[str]] = {
    NetworkSettings: ["kind=mlp", f"mlp.hidden=[{WIDE},{WIDE}]"],
    MappingSettings: [f"width={WIDE}"],
    SynthesisSettings: [],
    JudgeSettings: [],
}


def networks(name: str) -> dict[str, type]:
    """Settings of a family that hold a network, and their types."""
    fields = FAMILIES[name].family.settings_type.model_fields
    return {field: info.annotation for field, info in fields.items() if info.annotation in NARROW}


def sized(name: str, sizes: dict[type, list[str]]) -> list[str]:
    """Assignments that give all networks of a family these sizes."""
    return [f"model.{field}.{size}" for field, kind in networks(name).items() for size in sizes[kind]]


def data(kind: str, folder: Path) -> str:
    return "digits" if kind == "pictures" else str(write_orders(folder / "orders.csv", 300))


@pytest.mark.parametrize("conditional", ["false", "true"])
@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_it_names_every_weight_once(name: str, kind: str, conditional: str, tmp_path: Path) -> None:
    settings = ["train.samples=16", "train.batch=8", f"data.conditional={conditional}", *ONE_WAY]
    recipe = recipe_for(name, data(kind, tmp_path), {}, [*settings, *sized(name, NARROW)])
    family = session.new_family(recipe, ingest(recipe.data), None, None)
    named = session.forecast(recipe)["parameters"]
    assert set(networks(name)) <= set(named)
    assert all(number > 0 for number in named.values())
    assert sum(named.values()) == sum(weight.numel() for weight in family.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_as_foretold(kind: str, tmp_path: Path, in_processes: Callable[..., list[dict[str, Any]]]) -> None:
    source, jobs = data(kind, tmp_path), []
    ingest(recipe_for("vae", source, {}).data)  # reading the source takes memory of its own
    families = [name for name in FAMILIES if (name, kind) in SERVED]
    for name in families:
        settings = ["train.samples=32", "train.batch=16", "train.reports=1", "train.keep=best", *ONE_WAY]
        chosen = [word for setting in [*settings, *sized(name, BROAD)] for word in ("--set", setting)]
        jobs.append({"argv": ["train", name, "--data", source, "--out", str(tmp_path / name), "--json", *chosen]})
    dry = {"argv": [*jobs[0]["argv"], "--dry-run"]}
    *outcomes, planned = in_processes(*jobs, dry)
    assert all(each["codes"] == [0] for each in (*outcomes, planned)), [each["text"] for each in outcomes]
    for name, outcome in zip(families, outcomes, strict=True):
        foretold = RunFolder(tmp_path / name).json("plan")["memory_bytes"]
        # saving, and keeping the best weights, must not need much that the plan has not met
        assert foretold <= outcome["peak_bytes"][0] < 1.15 * foretold, name
    foretold, held = json.loads(planned["text"])["memory_bytes"], outcomes[0]["peak_bytes"][0]
    assert held / 1.25 < foretold < 1.25 * held
