"""The run folder: what is in it, who may write, and what is said of a damaged one."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ficta import api
from ficta.base.errors import FictaError, UsageError
from ficta.compute import tensors
from ficta.runs.folder import RunFolder
from ficta.runs.run import Run, find_runs
from ficta.train import loop, session
from ficta.train.recipe import Recipe


class Ficta:
    """What a call of the command line gives, for annotations."""

    code: int
    out: str
    err: str


def test_what_a_run_leaves_behind(small_runs: Callable[[str], Path]) -> None:
    run = small_runs("vae")
    assert {entry.name for entry in run.iterdir()} == {
        *("recipe.toml", "data.json", "codec.json", "plan.json", "weights.safetensors", "history.jsonl"),
        *("state", "samples", "lock"),
    }
    states = sorted(state.name for state in (run / "state").iterdir())
    assert states == ["000000000000.safetensors", "000000000256.safetensors"]
    assert [sheet.name for sheet in sorted((run / "samples").iterdir())] == ["000000000128.png", "000000000256.png"]
    assert not [path for path in run.rglob("*") if path.suffix in (".pt", ".pkl", ".partial")]
    lines = Run(run).history
    assert [line["seen"] for line in lines] == [128, 256]
    assert lines[-1].keys() >= {"step", "seconds", "samples_per_second", "memory_bytes", "losses", "verdict", "advice"}
    assert lines[-1]["heldout_negative_elbo_nats"] == pytest.approx(
        lines[-1]["heldout_distortion_nats" if "heldout_distortion_nats" in lines[-1] else "heldout_grey_bce_nats"]
        + lines[-1]["heldout_kl_nats"]
    )


def test_a_run_as_its_readers_see_it(small_runs: Callable[[str], Path]) -> None:
    run = Run(small_runs("gan-conditional"))
    assert run.finished
    assert run.recipe["family"] == "gan"
    assert run.data["splits"]["train"] > 1000
    assert run.plan["target_samples"] == 256
    assert run.results == []
    assert run.codec.spec.condition is not None
    assert not any(parameter.requires_grad for parameter in run.family.parameters())
    assert not run.family.training


def test_reading_a_run_writes_nothing(copied: Callable[[str], Path]) -> None:
    path = copied("vae")
    before = {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in path.rglob("*") if each.is_file()}
    run = api.Run(path)
    run.sample(3)
    run.encode(run.sample(2))
    assert repr(run) == f"Run({str(path)!r})"
    assert {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in path.rglob("*") if each.is_file()} == before


def test_runs_are_listed_by_name(small_runs: Callable[[str], Path], tmp_path: Path) -> None:
    assert find_runs(tmp_path / "nowhere") == []
    for name in ("b", "a"):
        shutil.copytree(small_runs("vae"), tmp_path / name)
    (tmp_path / "else").mkdir()
    (tmp_path / "file").write_text("")
    assert [path.name for path in find_runs(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("damage", ["recipe", "history", "codec"])
def test_a_damaged_run_does_not_hide_the_others(
    damage: str, small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    for name in ("a", "b"):
        shutil.copytree(small_runs("vae"), tmp_path / name)
    file = {"recipe": "recipe.toml", "history": "history.jsonl", "codec": "codec.json"}[damage]
    (tmp_path / "a" / file).write_text('{"x\n{"seen": 1}\n')
    done = ficta("runs", tmp_path, "--json")
    assert done.code == 0, done.err
    assert [Path(row["run"]).name for row in json.loads(done.out)["runs"]][-1] == "b"
    if damage == "recipe":
        assert "recipe.toml is damaged" in done.out + done.err


@pytest.mark.parametrize("call", ["train", "sample", "explore"])
def test_a_folder_that_is_something_else(call: str, tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    arguments = ["train", "vae", "--data", "digits", "--out", tmp_path] if call == "train" else [call, tmp_path]
    done = ficta(*arguments)
    assert done.code == 2
    assert done.err.startswith(f"ficta: {tmp_path} holds ")
    assert len(done.err.splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_a_folder(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    (tmp_path / "file").write_text("")
    for out, code in ((tmp_path / "file", 2), (tmp_path / "file" / "run", 1)):
        done = ficta("train", "vae", "--data", "digits", "--out", out)
        assert (done.code, len(done.err.splitlines())) == (code, 1), done.err
        assert str(tmp_path / "file") in done.err
    assert ficta("sample", tmp_path / "nowhere").err.startswith(f"ficta: {tmp_path / 'nowhere'} does not exist")


def test_a_run_without_weights_yet(tmp_path: Path, copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    (run / "weights.safetensors").unlink()
    done = ficta("sample", run)
    assert (done.code, done.err) == (1, f"ficta: {run} has no weights yet; train it first\n")


def test_two_writers(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    with RunFolder(run).locked():
        done = ficta("train", "vae", "--data", "digits", "--out", run, *set_all(run), "--samples", "512")
    assert done.code == 2
    assert done.err == f"ficta: {run} is being written by another process; wait for it, or use --out\n"
    with RunFolder(run).locked():
        pass  # the lock is free again


def test_a_reader_needs_no_lock(small_runs: Callable[[str], Path]) -> None:
    with RunFolder(small_runs("vae")).locked():
        assert len(api.Run(small_runs("vae")).sample(2)) == 2


def test_training_in_another_thread(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    """Signals belong to the main thread; elsewhere a run goes without."""
    worker = threading.Thread(target=train_small, args=("vae", tmp_path / "run"))
    worker.start()
    worker.join()
    assert RunFolder(tmp_path / "run").latest_seen() == 256


def test_leftovers_are_cleaned(copied: Callable[[str], Path], train_small: Callable[..., Path]) -> None:
    run = copied("vae")
    for place in (run, run / "state", run / "samples"):
        (place / "x.1234.partial").write_text("half")
    train_small("vae", run, "model.latent_dim=5", "train.samples=272")
    assert not list(run.rglob("*.partial"))


def set_all(run: Path) -> list[str]:
    """Options that ask for what a run holds."""
    recipe = RunFolder(run).recipe()
    given = [f"model.{key}={value}" for key, value in recipe["model"].items() if isinstance(value, int | float)]
    sides = [side for side in ("encoder", "decoder", "generator", "discriminator") if side in recipe["model"]]
    given += [f"model.{side}.conv.width=8" for side in sides]
    given += ["train.batch=16", "train.reports=2", "train.threads=1"]
    return [word for each in given for word in ("--set", each)]


@pytest.mark.parametrize("call", ["sample", "explore"])
def test_a_flipped_byte_in_the_weights(
    call: str, copied: Callable[[str], Path], ficta: Callable[..., Ficta], tmp_path: Path
) -> None:
    run = copied("vae")
    flip(run / "weights.safetensors", 5000)
    done = ficta(call, run, *(["--out", tmp_path / "samples"] if call == "sample" else []))
    assert done.code == 1
    assert done.err.startswith(f"ficta: {run / 'weights.safetensors'} is damaged")
    assert len(done.err.splitlines()) == 1


def test_a_flipped_byte_anywhere_is_noticed(copied: Callable[[str], Path], tmp_path: Path) -> None:
    source = copied("vae") / "weights.safetensors"
    content = source.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    chance = random.Random(3)
    places = [*range(9), *(chance.randrange(8, header) for _ in range(80)), len(content) - 1]
    places += [chance.randrange(header, len(content)) for _ in range(20)]
    for place in places:
        path = tmp_path / "flipped.safetensors"
        path.write_bytes(content)
        flip(path, place, 1 << chance.randrange(8))
        with pytest.raises(FictaError, match=r"flipped.safetensors is damaged"):
            tensors.load(path)
    for length in (0, 4, 8, header - 1, header, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FictaError, match=r"flipped.safetensors is damaged"):
            tensors.load(path)


def test_a_flipped_byte_in_the_state(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    state = run / "state" / "000000000256.safetensors"
    flip(state, 20_000)
    done = ficta("train", "vae", "--data", "digits", "--out", run, *set_all(run), "--samples", "512")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith(f"ficta: {state} is damaged")
    assert "Traceback" not in done.err
    assert ficta("sample", run, "-n", "2").code == 0  # sampling does not need it


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("recipe.toml", b"family = "),
        ("recipe.toml", b"\xff\xfe"),
        ("recipe.toml", b"seed = 1"),
        ("codec.json", b"{"),
        ("codec.json", b"[]"),
        ("codec.json", b'{"codec": "smell"}'),
        ("codec.json", b'{"codec": "image"}'),
    ],
)
def test_damaged_facts(file: str, content: bytes, copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    (run / file).write_bytes(content)
    done = ficta("sample", run, "-n", "2")
    assert done.code == 1, done.err
    assert file in done.err
    assert len(done.err.splitlines()) == 1


def test_a_history_cut_off_by_a_kill(copied: Callable[[str], Path]) -> None:
    run = copied("vae")
    with (run / "history.jsonl").open("a") as file:
        file.write('{"seen": 384, "los')
    assert [line["seen"] for line in Run(run).history] == [128, 256]


@pytest.mark.parametrize("content", [b'{"seen": 2}\n{"seen": 1\n', b'\xff\xfe\n{"seen": 2}\n', b"{}\n", b"3\n"])
def test_a_damaged_history_is_one_line_of_error(content: bytes, copied: Callable[[str], Path]) -> None:
    run = copied("vae")
    (run / "history.jsonl").write_bytes(content)
    with pytest.raises(FictaError, match=r"history.jsonl(, line [12])? is damaged"):
        _ = Run(run).history


def test_weights_of_other_networks(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    shutil.copy(copied("gan") / "weights.safetensors", run / "weights.safetensors")
    done = ficta("sample", run)
    assert done.code == 1
    assert "weights.safetensors does not fit the networks" in done.err
    assert len(done.err.splitlines()) == 1


def test_changed_data_are_not_trained_on_nor_shown(
    tmp_path: Path, train_small: Callable[..., Path], ficta: Callable[..., Ficta]
) -> None:
    data = tmp_path / "data.npy"
    pictures = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)
    np.save(data, pictures)
    run = train_small("vae", tmp_path / "run", data=str(data))
    pictures[0, 0, 0] ^= 1
    np.save(data, pictures)
    with pytest.raises(UsageError, match=f"the data at {data} have changed since"):
        train_small("vae", run, "train.samples=512", data=str(data))
    done = ficta("explore", run)
    assert done.code == 0
    assert f"held-out data could not be drawn: the data at {data} have changed" in done.out


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can only be mounted by root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


class FillDisk:
    """A watcher that fills a disk to the last byte as soon as so many samples were seen."""

    def __init__(self, disk: Path, seen: int) -> None:
        self.filler, self.seen = disk / "filler", seen

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        pass

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        if seen >= self.seen and not self.filler.exists():
            with self.filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    pass

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        pass

    def said(self, message: str) -> None:
        pass

    def closed(self) -> None:
        pass


def test_a_full_disk(
    tiny_disk: Path, tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0)
    settings = ["train.save_every_samples=64", "train.reports=1"]
    run, filler = tiny_disk / "run", FillDisk(tiny_disk, 140)
    with pytest.raises(FictaError) as full:
        train_small("vae", run, *settings, watchers=[filler])
    assert full.value.exit_code == 1
    assert str(full.value).startswith(f"cannot write {run}")
    for said in ("No space left on device", "what was saved before is intact", "Make room", "the same command again"):
        assert said in str(full.value)
    assert RunFolder(run).latest_seen() == 128
    assert RunFolder(run).latest_state() is not None
    assert len(api.Run(run).sample(2)) == 2
    assert not list(run.rglob("*.partial"))
    filler.filler.unlink()
    train_small("vae", run, *settings)
    whole = train_small("vae", tmp_path / "whole", *settings)
    mine, theirs = (tensors.load(each / "weights.safetensors")[0] for each in (run, whole))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_a_disk_that_is_full_from_the_start(tiny_disk: Path, ficta: Callable[..., Ficta]) -> None:
    FillDisk(tiny_disk, 0).tick(1, 1, 1)
    done = ficta("train", "vae", "--data", "digits", "--out", tiny_disk / "run", "--samples", "64")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "No space left on device" in done.err


def test_a_disk_that_fills_up_while_samples_are_written(
    tiny_disk: Path, small_runs: Callable[[str], Path], ficta: Callable[..., Ficta]
) -> None:
    for place in (tiny_disk / "folder", tiny_disk / "packed.npz"):
        done = ficta("sample", small_runs("vae"), "-n", "60000", "--out", place)
        assert done.code == 1
        assert "No space left on device" in done.err.splitlines()[-1]
        assert "Traceback" not in done.err
        assert not list(tiny_disk.rglob("*.partial"))
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("file", ["explore/sheet.png", "samples/progress.webp", "report.html", "card.md"])
def test_no_room_for_the_pictures_and_the_report(
    file: str, copied: Callable[[str], Path], ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied("vae")
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).match(file):
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    done = ficta("train", "vae", "--data", "digits", "--out", run, *set_all(run), "--samples", "272")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("ficta: ")
    assert "No space left on device" in done.err
    assert RunFolder(run).latest_seen() == 272


def test_a_read_only_folder(
    copied: Callable[[str], Path], ficta: Callable[..., Ficta], read_only: Callable[[Path], None]
) -> None:
    run = copied("vae")
    before = Run(run).history
    read_only(run)
    for call in (
        ("train", "vae", "--data", "digits", "--out", run / "new"),
        ("train", "vae", "--data", "digits", "--out", run, *set_all(run), "--samples", "512"),
        ("explore", run),
        ("sample", run, "-n", "2"),
    ):
        done = ficta(*call)
        assert done.code == 1, call
        assert re.search("Permission denied|Read-only file system", done.err)
        assert len(done.err.splitlines()) == 1
    assert Run(run).history == before
    assert api.open_run(run).sample(2).shape == (2, 1, 8, 8)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("write", range(6))  # weights and state after 0, 128 and 256 samples
def test_killed_between_weights_and_state(
    write: int,
    tmp_path: Path,
    train_small: Callable[..., Path],
    small_runs: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save, writes = tensors.save, itertools.count()

    def killed(*arguments: Any) -> None:
        if next(writes) == write:
            raise KilledError
        save(*arguments)

    def train() -> Path:
        return train_small("vae", tmp_path / "run", "model.latent_dim=5", "train.save_every_samples=128")

    with monkeypatch.context() as patch:
        patch.setattr(tensors, "save", killed)
        with pytest.raises(KilledError):
            train()
    run = Run(tmp_path / "run")
    state, weights = run.folder.latest_seen(), run.folder.weights
    assert not run.finished  # or the weights of its end would never be written
    assert state == 128 * max(write // 2 - 1, 0)
    assert weights.exists() == (write > 0)
    if weights.exists():  # never behind the state that is gone on from
        assert int(tensors.load(weights)[1]["seen"]) == 128 * ((write + 1) // 2 - 1)
    mine, whole = (tensors.load(each / "weights.safetensors") for each in (train(), small_runs("vae")))
    assert mine[1] == whole[1]
    assert all(torch.equal(value, mine[0][name]) for name, value in whole[0].items())
    assert [line["seen"] for line in run.history] == [128, 256]


def flip(path: Path, place: int, bits: int = 16) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(bytes(content))


def test_reports_without_a_state_are_kept(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for state in (run / "state").iterdir():
        state.unlink()
    recipe = Run(run).recipe
    with pytest.raises(UsageError, match=f"no state to go on from .*--from {run}"):
        session.train(Recipe.of(recipe), run)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert ficta("runs", run.parent).code == 0


def test_missing_weights_of_a_finished_run_are_written_anew(copied: Callable[[str], Path]) -> None:
    run = copied("vae")
    before = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match=r"is finished .*weights were missing and have been written anew"):
        session.train(Recipe.of(Run(run).recipe), run)
    assert (run / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["codec", "data"])
def test_going_on_needs_what_the_run_knows(name: str, copied: Callable[[str], Path]) -> None:
    run = copied("vae")
    recipe = Recipe.of(Run(run).recipe | {"train": Run(run).recipe["train"] | {"samples": 512}})
    for content in (None, "{"):
        (run / f"{name}.json").unlink() if content is None else (run / f"{name}.json").write_text(content)
        with pytest.raises(FictaError, match=rf"{name}.json is (missing|damaged)"):
            session.train(recipe, run)


def test_files_of_others_in_the_place_of_a_run(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    for number, names in enumerate((["data.json"], ["film.mkv.partial"], ["lock", "samples/1.png"])):
        place = tmp_path / str(number)
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("precious")
        with pytest.raises(UsageError, match="holds something else than a run"):
            train_small("vae", place)
        assert all((place / name).read_text() == "precious" for name in names)


def test_a_folder_that_the_user_made_stays(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="no such path"):
        train_small("vae", tmp_path, data="nowhere")
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_stray_state_is_no_state(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    run = copied("vae")
    (run / "state" / "mine.safetensors").write_text("")
    assert RunFolder(run).latest_seen() == 256
    assert ficta("runs", run.parent).code == 0


def test_more_memory_than_there_is(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    done = ficta("train", "vae", "--data", "digits", "--out", tmp_path, "--set", f"model.latent_dim={10**12}")
    assert done.code == 1
    assert "out of memory: lower train.batch" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("error", [NotImplementedError("not for this device"), RuntimeError("shapes differ")])
def test_other_errors_are_not_taken_for_a_lack_of_memory(
    error: RuntimeError, tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(session, "Loop", fail)
    with pytest.raises(type(error), match=str(error)):
        train_small("vae", tmp_path / "run")


def test_opening_a_run_leaves_the_users_random_numbers_alone(small_runs: Callable[[str], Path]) -> None:
    path = small_runs("vae")
    before = torch.get_rng_state()
    assert Run(path).family is not None
    assert torch.equal(torch.get_rng_state(), before)
