"""A cache of decoded data for the whole session, and tiny runs that tests share."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

SIDES = {"vae": ("encoder", "decoder"), "gan": ("generator", "discriminator")}
STYLES = ("model.synthesis.width=4", "model.discriminator.width=4", "model.mapping.width=12")


def small(name: str) -> list[str]:
    """Settings that make a family tiny: one thread, narrow networks, two reports."""
    sides = SIDES.get(name.split("-")[-1], ())
    widths = [f"model.{side}.conv.width=8" for side in sides] + list(STYLES if name == "stylegan2" else ())
    return ["train.threads=1", "train.batch=16", "train.samples=256", "train.reports=2", *widths]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a call of the command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FICTA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def train_small() -> Callable[..., Path]:
    """Trains in this process, without the pictures and the report: ``train_small(name, folder, *assignments, …)``."""
    from ficta.api import recipe_for
    from ficta.train import session

    def make(name: str, folder: Path, *assignments: str, data: str = "digits", **others: Any) -> Path:
        session.train(recipe_for(name, data, {}, [*small(name), *assignments]), folder, **others)
        return folder

    return make


@pytest.fixture(scope="session")
def small_runs(train_small: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Finished runs, trained once and only to be read: vae, vae-2d, vae-conditional, gan …"""
    extra = {
        "vae": ["model.latent_dim=5"],
        "vae-2d": ["model.latent_dim=2"],
        "vae-conditional": ["data.conditional=true"],
        "gan": ["model.latent_dim=6"],
        "gan-conditional": ["data.conditional=true"],
        "infogan": ["model.latent_dim=6", "model.categories=[4]"],
        "stylegan2": ["model.latent_dim=6"],
        "stylegan2-conditional": ["data.conditional=true"],
    }
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = train_small(name.split("-")[0], tmp_path_factory.mktemp("runs") / name, *extra[name])
        return made[name]

    return get


@pytest.fixture
def copied(small_runs: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copies of those runs, to be changed."""
    return lambda name: Path(shutil.copytree(small_runs(name), tmp_path / f"copy-of-{name}"))


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only until the test ends: for root, whom permissions do not bind, by a mount."""
    undo: list[Callable[[], object]] = []

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            folder.chmod(0o555)
            undo.append(lambda: folder.chmod(0o755))
            return
        for command in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
            done = subprocess.run(["mount", *command], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
            if command[0] == "--bind":
                undo.append(lambda: subprocess.run(["umount", "-l", folder], check=True))

    yield make
    for step in undo:
        step()


@pytest.fixture
def ficta(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], train_small: object
) -> Callable[..., Outcome]:
    """Calls the command line in this process."""
    from ficta.cli import main

    def call(*arguments: str | Path) -> Outcome:
        words: Sequence[str] = [str(word) for word in arguments]
        monkeypatch.setattr(sys, "argv", ["ficta", *words])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return Outcome(int(code or 0), printed.out, printed.err)

    return call
