"""The probe: what it chooses, what it leaves alone, what it costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ficta.base.spec import Spec
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.compute.device import Way
from ficta.data.dataset import Split, Store
from ficta.data.images import ImageCodec, ImageSettings
from ficta.models.registry import build
from ficta.runs.folder import RunFolder
from ficta.train import probe, session
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper

LONG = 1e6
OPEN = TrainSettings()


class Scratch:
    """Stands for a stepper: it only knows its way."""

    samples_a_step = 1
    device = torch.device("cpu")

    def __init__(self, way: Way) -> None:
        self.way = way
        self.collectives = Collectives()


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., probe.Found]:
    """What the probe finds on a machine of four threads where ``speed(way)`` is the rate."""

    def call(speed: Callable[[Way], float], settings: TrainSettings = OPEN, planned: float = LONG) -> probe.Found:
        monkeypatch.setenv("FICTA_CACHE", str(tmp_path))
        monkeypatch.setattr(probe, "measure_rate", lambda scratch, _seconds: speed(scratch.way))
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        monkeypatch.setattr(machine, "multiplies_in_bf16", lambda _: True)
        monkeypatch.setattr(machine, "compiles", lambda _: True)
        return probe.find_way(settings, Scratch, lambda _: planned, "networks")  # type: ignore[arg-type]

    return call


def test_each_thing_that_helps_is_chosen(found: Callable[..., probe.Found]) -> None:
    def speed(way: Way) -> float:
        gains = (2.0 * (way.precision == "bf16"), 1.5 * (way.layout == "contiguous"), 1.2 * (way.threads == 1))
        return 1000 * math.prod(gain or 1.0 for gain in (*gains, 1.1 * way.compile))

    best = found(speed)
    assert best.way == Way(1, "bf16", "contiguous", compile=True)
    assert best.rate == speed(best.way)
    changes = [{"threads": 2}, {"threads": 1}, {"precision": "bf16"}, {"layout": "contiguous"}, {"compile": True}]
    assert [{key: value for key, value in each.items() if key != "ratio"} for each in best.tried] == changes
    assert [each["ratio"] for each in best.tried] == pytest.approx([1.0, 1.2, 2.0, 1.5, 1.1])


def test_what_hardly_helps_is_left(found: Callable[..., probe.Found]) -> None:
    assert found(lambda way: 1000 + 20 * (way.threads < 4) + 29 * way.compile).way == Way(4)


def test_a_hopeless_way_gets_one_turn(found: Callable[..., probe.Found]) -> None:
    turns = dict.fromkeys((1, 2, 4), 0)

    def speed(way: Way) -> float:
        turns[way.threads] += 1
        return {1: 600.0, 2: 700.0, 4: 1000.0}[way.threads]

    settings = TrainSettings(precision="float32", layout="channels_last", compile=False)
    best = found(speed, settings)
    assert [each["ratio"] for each in best.tried] == pytest.approx([0.7, 0.6])
    assert (turns[2], turns[1]) == (1 + probe.TURNS, 1 + 1)  # a warm-up each


def test_what_is_named_is_taken(found: Callable[..., probe.Found]) -> None:
    named = TrainSettings(precision="float32", threads=3, layout="contiguous", compile=True)
    best = found(lambda way: 1.0 / way.threads, named)
    assert (best.way, best.tried) == (Way(3, "float32", "contiguous", compile=True), [])


def test_a_short_run_is_not_probed(found: Callable[..., probe.Found]) -> None:
    best = found(lambda way: 1000.0 / way.threads, planned=1.0)
    assert (best.way, best.tried, best.remembered) == (Way(4), [], False)


def test_compiling_must_be_cheap_beside_the_run(found: Callable[..., probe.Found]) -> None:
    compiled = functools.partial(found, lambda way: 1000.0 + 1000 * way.compile)
    for planned in (600, 1.4 * probe.COMPILE_SECONDS / probe.SHARE):
        assert all("compile" not in each for each in compiled(planned=planned).tried)


def test_the_choice_is_remembered(found: Callable[..., probe.Found]) -> None:
    first = found(lambda way: 1000.0 + 500 * (way.layout == "contiguous"))
    again = found(lambda way: 1000.0 + 500 * (way.layout != "contiguous"))  # another day it would have chosen otherwise
    assert (first.way, again.way) == (Way(4, layout="contiguous"), Way(4, layout="contiguous"))
    assert (first.remembered, again.remembered) == (False, True)
    assert all("threads" in each for each in again.tried)  # which other programs decide, too
    other = found(lambda way: 1000.0, TrainSettings(precision="bf16"))  # another question
    assert (other.way.layout, other.remembered) == ("channels_last", False)


def test_a_damaged_memory_is_made_anew(found: Callable[..., probe.Found], tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text("{")
    assert found(lambda way: 1000.0 + way.compile).way == Way(4)
    assert found(lambda way: 1000.0).remembered


def test_what_was_chosen_is_written_down(
    train_small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: Any) -> probe.Found:
        return probe.Found(Way(1, "float32", "contiguous"), 1000.0, [{"threads": 2, "ratio": 0.5}], False)

    monkeypatch.setattr(session, "find_way", find)
    run = RunFolder(train_small("vae", tmp_path / "run"))
    monkeypatch.undo()
    train = run.recipe()["train"]
    assert (train["threads"], train["precision"], train["layout"], train["compile"]) == (
        1,
        "float32",
        "contiguous",
        False,
    )
    assert run.json("plan")["tried"] == [{"threads": 2, "ratio": 0.5}]
    train_small("vae", run.path, "train.samples=512")  # the recipe is obeyed, and agrees with what is left open
    assert RunFolder(run.path).recipe()["train"]["layout"] == "contiguous"


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize("family", ["vae", "gan"])
def test_all_ways_learn_the_same(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled by a backend that only traces, so that what is compiled and what is not can be seen quickly."""
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="aot_eager"))
    ends = [weights_after(family, way) for way in (Way(1), Way(1, layout="contiguous"), Way(1, compile=True))]
    for other in ends[1:]:
        for name, value in ends[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)


def weights_after(family: str, way: Way) -> dict[str, torch.Tensor]:
    spec = Spec(("channel", "height", "width"), (1, 8, 8), "continuous", 256)
    roles = ("encoder", "decoder") if family == "vae" else ("generator", "discriminator")
    torch.manual_seed(0)
    model = build(family, {role: {"conv": {"width": 8}} for role in roles}, spec)
    pictures = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
    codec = ImageCodec(ImageSettings())
    codec.fit([pictures], conditional=False, labels=())
    store = Store(Split(pictures, np.arange(32), None), torch.device("cpu"), 2**30)
    settings = TrainSettings(batch=8, ema_samples=100)
    stepper = Stepper(model, codec, store, settings, 64, 0, torch.device("cpu"), Collectives(), way)
    for _ in range(3):
        stepper.advance()
    assert not any(
        hasattr(child, "_compiled_call_impl") and child._compiled_call_impl for child in stepper.average.children()
    )
    assert stepper.is_finite()
    return dict(stepper.average.state_dict())
