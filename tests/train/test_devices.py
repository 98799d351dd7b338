"""Several processes train what one process with the larger batch trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ficta.compute import tensors
from ficta.runs.folder import RunFolder

SIDES = {"vae": ("encoder", "decoder"), "vqvae": ("encoder", "decoder"), "gan": ("generator", "discriminator")}
STYLES = ["model.synthesis.width=4", "model.discriminator.width=4", "model.mapping.width=12"]


def command(name: str, out: Path, *settings: str, batch: int = 16) -> list[str]:
    given = ["train.threads=1", f"train.batch={batch}", "train.samples=512", "train.reports=4"]
    given += [*(f"model.{side}.conv.width=8" for side in SIDES.get(name, ())), *settings]
    return ["train", name, "--data", "digits", "--out", str(out), *(word for each in given for word in ("--set", each))]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return tensors.load(run / "weights.safetensors")[0]


def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    # Adam divides by the size of the gradient, so where that is nearly 0 a rounding error becomes a step of full
    # length; a large epsilon keeps the comparison to what is not rounding
    sides = ("generator_optimiser", "discriminator_optimiser")
    cases = {
        "vae": ["train.clip_norm=1", "train.accumulate=2", "model.optimiser.epsilon=1e-3"],
        "gan": ["model.penalty_every=4", "data.conditional=true", "train.decay=linear"]
        + [f"model.{side}.epsilon=1e-3" for side in sides],
        "vqvae": [
            *("train.samples=128", "model.codes=12", "model.code_dim=3", "model.restart_share=0.5"),
            *("model.prior.width=8", "model.prior.heads=2"),
            *("model.optimiser.epsilon=1e-3", "model.prior_optimiser.epsilon=1e-3"),
        ],
        "stylegan2": [
            *(*STYLES, "model.discriminator.deviation=false", "data.conditional=true", "model.penalty_every=4"),
            *(f"model.{side}.epsilon=1e-3" for side in sides),
        ],
    }
    jobs = []
    for name, settings in cases.items():
        jobs += [
            {"argv": command(name, tmp_path / f"{name}-one", *settings, batch=32)},
            {"argv": command(name, tmp_path / f"{name}-two", *settings), "ranks": 2},  # as torchrun does
            {"argv": [*command(name, tmp_path / f"{name}-launched", *settings), "--devices", "2"]},
        ]
    outcomes = in_processes(*jobs)
    assert [each["codes"] for each in outcomes] == [[0], [0, 0], [0]] * len(cases), [each["text"] for each in outcomes]
    for name in cases:
        alone, together, ours = (weights(tmp_path / f"{name}-{how}") for how in ("one", "two", "launched"))
        largest = max(float(value.abs().max()) for value in alone.values())
        assert all(torch.allclose(value, together[key], rtol=0, atol=1e-4 * largest) for key, value in alone.items())
        assert all(torch.equal(value, ours[key]) for key, value in together.items())
        lines, others = (RunFolder(tmp_path / f"{name}-{how}").lines("history") for how in ("one", "two"))
        for line, other in zip(lines, others, strict=True):
            assert other["seen"] == line["seen"]
            assert other["losses"] == pytest.approx(line["losses"], rel=1e-3, abs=1e-4)


def test_two_processes_go_on_where_they_stopped(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    whole, parts, killed = tmp_path / "whole", tmp_path / "parts", tmp_path / "killed"
    settings = ["train.samples=1024", "model.penalty_every=4"]
    again = command("gan", parts, *settings)
    launched = [*command("gan", killed, *settings, "train.save_every_samples=320"), "--devices", "2"]
    stopped, finished, unbroken, alone, dead, last = in_processes(
        {"argv": again, "ranks": 2, "signal": int(signal.SIGTERM), "until": 300},
        {"argv": again, "ranks": 2},
        {"argv": command("gan", whole, *settings), "ranks": 2},
        {"argv": again},
        {"argv": launched, "signal": int(signal.SIGTERM), "until": 400, "slow_save": 2.0},
        {"argv": launched},
    )
    assert stopped["codes"] == [143, 143], stopped["text"]
    assert "stopped by SIGTERM and saved at" in stopped["text"]
    assert finished["codes"] == unbroken["codes"] == [0, 0], finished["text"] + unbroken["text"]
    assert all(torch.equal(value, weights(whole)[key]) for key, value in weights(parts).items())
    lines, others = RunFolder(whole).lines("history"), RunFolder(parts).lines("history")
    assert [line["seen"] for line in lines] == [line["seen"] for line in others]
    assert alone["codes"] == [1]
    assert "trained by 2 processes; go on with as many" in alone["text"]
    assert dead["codes"] == [143], dead["text"]
    assert dead["text"].splitlines()[-1].startswith("ficta: stopped by SIGTERM and saved at")
    assert "Terminating process" not in dead["text"]
    assert dead["text"].count("ficta: ") == 1
    assert last["codes"] == [0], last["text"]
    assert "going on from" in last["text"]
    assert all(torch.equal(value, weights(whole)[key]) for key, value in weights(killed).items())


def test_exit_codes_come_through(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    out, diverging = tmp_path / "run", tmp_path / "diverging"
    standing = ["train.on_verdict=stop", "model.optimiser.rate=1e-12", "train.reports=16"]
    first, other, wrong, broken, stopped, plan = in_processes(
        {"argv": command("vae", out)},
        {"argv": [*command("vae", out, "model.beta=2"), "--devices", "2"]},
        {"argv": [*command("vae", tmp_path / "new", "data.path=nowhere"), "--devices", "2"]},
        {"argv": [*command("vae", diverging, "model.optimiser.rate=1e30"), "--devices", "2"]},
        {"argv": [*command("vae", tmp_path / "standing", *standing), "--devices", "2"]},
        {"argv": [*command("vae", tmp_path / "new"), "--devices", "2", "--dry-run", "--json"]},
    )
    assert first["codes"] == [0], first["text"]
    for outcome, code, said in ((other, 2, "model.beta: 1.0 there, 2"), (wrong, 2, "nowhere"), (broken, 3, "diverged")):
        assert outcome["codes"] == [code], outcome["text"]
        assert said in outcome["text"]
        assert "Traceback" not in outcome["text"]
        assert outcome["text"].count("ficta: ") == 1
        assert outcome["text"].splitlines()[-1].startswith("ficta: ")
    assert stopped["codes"] == [3], stopped["text"]
    assert stopped["text"].count("ficta: plateau at") == 1
    assert 0 < RunFolder(tmp_path / "standing").latest_seen() < 512
    assert plan["codes"] == [0], plan["text"]
    assert '"processes": 2' in plan["text"]
    assert not (tmp_path / "new").exists()


def test_the_command_itself(tmp_path: Path) -> None:
    """Nothing is patched here: what is sent to fresh processes can be sent."""
    call = [sys.executable, "-m", "ficta", *command("vae", tmp_path / "run"), "--devices", "2", "--json"]
    call[1:3] = ["-c", "from ficta.cli import main; main()"]
    done = subprocess.run(
        call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "run").latest_seen() == 512
