"""A run that was stopped, however that came about, ends in the same bits as one that was not."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ficta.base.errors import FictaError, UsageError
from ficta.compute import tensors
from ficta.models.registry import FAMILIES
from ficta.nets.build import NetworkSettings
from ficta.runs.folder import RunFolder
from ficta.train import loop
from stopping import StopAt, StoppedError
from table_making import write_orders

SCHEDULED = ["train.samples=480", "train.reports=5", "train.warmup_samples=64", "train.decay=cosine"]
CASES = {
    "vae": ["vae", *SCHEDULED],
    "vae-accumulated": ["vae", *SCHEDULED, "train.accumulate=2", "train.clip_norm=1", "train.ema_samples=0"],
    "vae-best": ["vae", *SCHEDULED, "train.keep=best"],
    "vae-binary": ["vae", *SCHEDULED, "data.image.binarise=dynamic"],
    "gan": ["gan", *SCHEDULED, "model.penalty_every=4"],
    "gan-conditional": ["gan", *SCHEDULED, "data.conditional=true", "train.ema_samples=200", "train.clip_norm=5"],
    "gan-adaptive": [
        "gan",
        *SCHEDULED,
        "model.augment.kind=ada",
        "model.augment.samples=200",
        "model.augment.target=0.1",
    ],
}

# every family, and variants with state or schedules of their own
EVERY: dict[str, list[str]] = {
    **{name: [name] for name in FAMILIES},
    "vae-vamp": ["vae", "model.prior.kind=vamp", "model.prior.inputs=5"],
    "vae-stack": ["vae", "model.prior.kind=stack", "model.prior.above=[3, 2]", "model.prior.network.hidden=[12]"],
    "vae-total-correlation": ["vae", "model.total_correlation=4"],
    "vae-rising": ["vae", "model.beta_samples=200", "model.capacity_nats=5", "model.capacity_samples=120"],
    "gan-normalised": ["gan", "model.discriminator.spectral=true", "model.generator.conv.norm=batch"],
    "gan-penalised": ["gan", "model.one_centred=10", "model.penalty_every=1", "model.generator_every=2"],
    "vqvae-accumulated": ["vqvae", "train.accumulate=2", "train.batch=4", "train.keep=best"],
}
SERVED = [(case, data) for case in EVERY for data in ("digits", "orders") if (case, data) != ("stylegan2", "orders")]
SMALL_CODES = ["model.codes=16", "model.prior.width=8", "model.prior.layers=1", "model.prior.heads=2"]
# reports at 40, 80, 120 and 160 samples, states at 24, 48, 72 and so on
BRIEF = ["train.batch=8", "train.samples=160", "train.reports=4", "train.save_every_samples=24", "train.decay=cosine"]
BRIEF += ["data.conditional=true", "train.precision=float32", "train.layout=channels_last", "train.compile=false"]
STOPPED_AT = 100  # past the state at 96 samples, which lies between two reports


@pytest.fixture(autouse=True)
def _tick_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0)


@pytest.mark.parametrize("case", CASES)
def test_an_error_midway(
    case: str, tmp_path: Path, train_small: Callable[..., Path], same_runs: Callable[[Path, Path], None]
) -> None:
    name, *settings = CASES[case]
    whole = train_small(name, tmp_path / "whole", *settings)
    parts, often = tmp_path / "parts", "train.save_every_samples=96"
    for moment in (32, 130, 250, 400):
        with pytest.raises(StoppedError):
            train_small(name, parts, *settings, often, watchers=[StopAt(moment)])
    train_small(name, parts, *settings, often)
    same_runs(whole, parts)
    assert [line["seen"] for line in RunFolder(parts).lines("history")] == [96, 192, 288, 384, 480]


@pytest.mark.parametrize(("case", "data"), SERVED)
def test_every_family_goes_on(
    case: str,
    data: str,
    tmp_path: Path,
    train_small: Callable[..., Path],
    same_runs: Callable[[Path, Path], None],
) -> None:
    name, *settings = EVERY[case]
    fields = FAMILIES[name].family.settings_type.model_fields
    for field in (field for field, info in fields.items() if info.annotation is NetworkSettings):
        settings += [f"model.{field}.conv.width=8", f"model.{field}.mlp.hidden=[12]"]
    given = [*BRIEF, *settings, *(SMALL_CODES if name == "vqvae" else [])]
    source = "digits" if data == "digits" else str(write_orders(tmp_path / "orders.csv", 120))
    whole, parts = train_small(name, tmp_path / "whole", *given, data=source), tmp_path / "parts"
    with pytest.raises(StoppedError):
        train_small(name, parts, *given, data=source, watchers=[StopAt(STOPPED_AT)])
    assert RunFolder(parts).latest_seen() == 96
    train_small(name, parts, *given, data=source)
    same_runs(whole, parts)


def test_stopped_before_the_first_save_begins_anew(
    tmp_path: Path, train_small: Callable[..., Path], same_runs: Callable[[Path, Path], None]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_small("vae", whole, *SCHEDULED)
    with pytest.raises(StoppedError):
        train_small("vae", parts, *SCHEDULED, watchers=[StopAt(200)])
    assert len(RunFolder(parts).lines("history")) == 2
    assert RunFolder(parts).latest_seen() == 0  # only the first weights are there
    with (parts / "history.jsonl").open("a") as file:
        file.write('{"seen": 192, "lo')
    train_small("vae", parts, *SCHEDULED)
    same_runs(whole, parts)


def test_saving_and_reporting_change_nothing(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    rarely = train_small("gan", tmp_path / "rarely", "train.reports=1")
    often = train_small("gan", tmp_path / "often", "train.reports=8", "train.save_every_samples=16")
    one, other = (tensors.load(run / "weights.safetensors")[0] for run in (rarely, often))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_longer_run_goes_on_where_the_shorter_one_ended(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    whole = train_small("vae", tmp_path / "whole", "train.samples=512")
    parts = train_small("vae", tmp_path / "parts", "train.samples=256")
    train_small("vae", parts, "train.samples=512")
    one, other = (tensors.load(run / "weights.safetensors")[0] for run in (whole, parts))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_dropout_of_a_network_of_ones_own_resumes_too(
    tmp_path: Path, train_small: Callable[..., Path], same_runs: Callable[[Path, Path], None]
) -> None:
    def networks() -> dict[str, torch.nn.Module]:
        torch.manual_seed(3)
        return {"encoder": Dropping()}

    torch.manual_seed(1)
    settings = ["model.latent_dim=4", "train.save_every_samples=96", "train.samples=256"]
    whole = train_small("vae", tmp_path / "whole", *settings, networks=networks())
    parts = tmp_path / "parts"
    with pytest.raises(StoppedError):
        train_small("vae", parts, *settings, networks=networks(), watchers=[StopAt(150)])
    train_small("vae", parts, *settings, networks=networks())
    same_runs(whole, parts)


class Dropping(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 8))

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return self.layers(x)


def command(name: str, out: Path, *settings: str) -> list[str]:
    sides = ("encoder", "decoder") if name == "vae" else ("generator", "discriminator")
    given = [
        *("train.threads=1", "train.batch=16", "train.samples=640", "train.reports=5", "train.save_every_samples=64"),
        *("train.warmup_samples=64", "train.decay=cosine"),
        *(f"model.{side}.conv.width=8" for side in sides),
        *settings,
    ]
    return ["train", name, "--data", "digits", "--out", str(out), *(word for each in given for word in ("--set", each))]


def test_killed_again_and_again(
    tmp_path: Path, in_processes: Callable[..., Any], same_runs: Callable[[Path, Path], None]
) -> None:
    outcomes = iter(in_processes(*kills("vae", tmp_path), *kills("gan", tmp_path)))
    for name in ("vae", "gan"):
        first, *killed, last = (next(outcomes) for _ in kills(name, tmp_path))
        assert first["codes"] == [0], first["text"]
        assert [each["codes"] for each in killed] == [[-9]] * 8, [each["text"] for each in killed]
        assert all(0 < each["seen"] < 640 for each in killed)
        assert last["codes"] == [0], last["text"]
        assert "going on from" in last["text"]
        same_runs(tmp_path / f"{name}-whole", tmp_path / f"{name}-parts")
        assert not list((tmp_path / f"{name}-parts").rglob("*.partial"))


def kills(name: str, folder: Path) -> list[dict[str, Any]]:
    """An unbroken run; one killed at random moments and inside three kinds of save; that one to its end."""
    again = command(name, folder / f"{name}-parts")
    chance = random.Random(f"{name} 7")
    kill = {"argv": again, "signal": int(signal.SIGKILL)}
    moments = [chance.randrange(16, 64), *(chance.randrange(low, low + 70) for low in (70, 150, 230, 310))]
    return [
        {"argv": command(name, folder / f"{name}-whole")},
        *(kill | {"until": moment} for moment in moments),
        *(kill | {"in_save_of": file} for file in ("state/*.safetensors", "weights.safetensors", "samples/*.png")),
        {"argv": again},
    ]


def test_killed_while_the_folder_is_laid_out(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in ("lock", "data.json", "codec.json.123.partial", "recipe.toml.123.partial"):
        (out / name).write_text("{")
    train_small("vae", out)
    assert not list(out.rglob("*.partial"))


def test_asked_to_stop(
    tmp_path: Path, in_processes: Callable[..., Any], same_runs: Callable[[Path, Path], None]
) -> None:
    whole, asked = tmp_path / "whole", {signal.SIGTERM: 143, signal.SIGINT: 130}
    again = {number: command("gan", tmp_path / number.name, "train.save_every_samples=1000") for number in asked}
    jobs = [({"argv": each, "signal": int(number), "until": 200}, {"argv": each}) for number, each in again.items()]
    unbroken, *outcomes = in_processes({"argv": command("gan", whole)}, *(job for pair in jobs for job in pair))
    assert unbroken["codes"] == [0], unbroken["text"]
    for (number, code), stopped, finished in zip(asked.items(), outcomes[::2], outcomes[1::2], strict=True):
        assert stopped["codes"] == [code], stopped["text"]
        last = stopped["text"].splitlines()[-1]
        assert last.startswith(f"ficta: stopped by {number.name} and saved at ")
        assert last.endswith("of 640 samples; the same command goes on from here")
        assert finished["codes"] == [0], finished["text"]
        same_runs(whole, tmp_path / number.name)


def test_two_states_are_kept_and_the_one_before_serves(
    tmp_path: Path, train_small: Callable[..., Path], same_runs: Callable[[Path, Path], None]
) -> None:
    whole = train_small("vae", tmp_path / "whole", *SCHEDULED)
    parts, often = tmp_path / "parts", "train.save_every_samples=64"
    with pytest.raises(StoppedError):
        train_small("vae", parts, *SCHEDULED, often, watchers=[StopAt(300)])
    states = sorted((parts / "state").iterdir())
    assert [state.name for state in states] == ["000000000192.safetensors", "000000000256.safetensors"]
    content = bytearray(states[-1].read_bytes())
    content[len(content) // 2] ^= 4
    states[-1].write_bytes(bytes(content))
    with pytest.raises(FictaError, match=r"000000000256.safetensors is damaged .* go on from 000000000192.safetensors"):
        train_small("vae", parts, *SCHEDULED, often)
    states[-1].unlink()
    train_small("vae", parts, *SCHEDULED, often)
    same_runs(whole, parts)


def test_a_finished_run_says_how_to_go_on(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    run = train_small("vae", tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"is finished \(256 samples\); .* --samples 512"):
        train_small("vae", run)
    with pytest.raises(UsageError, match="256 samples"):  # nor can it be made shorter
        train_small("vae", run, "train.samples=128")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    train_small("vae", run, "train.samples=320")
    assert json.loads((run / "history.jsonl").read_text().splitlines()[-1])["seen"] == 320
