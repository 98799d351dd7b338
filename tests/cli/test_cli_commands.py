"""What each command prints and writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import Ficta, one_object
from PIL import Image

from ficta import __version__, api, presets
from ficta.models.registry import FAMILIES

TINY = ["train.threads=1", "train.batch=16", "train.reports=2"]
TINY += ["model.encoder.conv.width=8", "model.decoder.conv.width=8"]
TINY_OPTIONS = [word for setting in TINY for word in ("--set", setting)]
VAE = ["train", "vae", "--data", "digits", *TINY_OPTIONS]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_train(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    run = tmp_path / "run"
    content = one_object(ficta(*VAE, "--out", run, "--samples", "256", "--json"))
    assert (content["run"], content["seen"], content["last"]["seen"]) == (str(run), 256, 256)
    assert {"report.html", "card.md", "explore/sheet.png", "samples/progress.webp"} <= files(run)
    done = ficta(*VAE, "--out", run, "--samples", "512")
    assert f"{run}: look at {run / 'report.html'}" in done.out
    assert f"next: ficta sample {run} -n 100" in done.out
    assert "going on from 256 samples" in done.err
    again = ficta(*VAE, "--out", run, "--samples", "512")
    assert (again.code, again.out) == (2, "")
    assert (
        again.err == f"ficta: {run} is finished (512 samples); to go on give a larger target, such as --samples 1024\n"
    )


def test_the_run_folder_is_named_after_data_and_model(
    tmp_path: Path, ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert one_object(ficta(*VAE, "--samples", "64", "--json"))["run"] == "runs/digits-vae"
    assert [row["run"] for row in one_object(ficta("runs", "--json"))["runs"]] == ["runs/digits-vae"]


def test_a_dry_run_writes_nothing(tmp_path: Path, ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = one_object(ficta(*VAE, "--samples", "640", "--dry-run", "--json"))
    assert plan["target_samples"] == 640
    assert plan["samples_per_second"] > 0
    assert plan["reports"] == 2
    reporting = plan["reports"] * plan["report_seconds"]
    assert plan["seconds"] == pytest.approx(640 / plan["samples_per_second"] + reporting)
    assert set(plan["parameters"]) >= {"encoder", "decoder"}
    assert plan["machine"]["cores"] >= 1
    text = ficta(*VAE, "--minutes", "2", "--dry-run").out
    assert [line.split()[0] for line in text.splitlines()] == [
        *("parameters", "samples", "rate", "computing", "time", "memory")
    ]
    assert not list(tmp_path.iterdir())


def test_options_reach_the_recipe(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    run = tmp_path / "run"
    options = "--samples 32 --seed 5 --device cpu --precision bf16 --on-verdict stop --save-every-minutes 3"
    more = "--save-every-samples 16 --size 12x10 --fit pad --channels 3 --conditional"
    one_object(ficta(*VAE, "--out", run, *options.split(), *more.split(), "--json"))
    recipe = api.open_run(run).recipe
    assert recipe["seed"] == 5
    train, image = recipe["train"], recipe["data"]["image"]
    assert (train["device"], train["precision"], train["on_verdict"]) == ("cpu", "bf16", "stop")
    assert (train["save_every_minutes"], train["save_every_samples"]) == (3, 16)
    assert (image["size"], image["fit"], image["channels"]) == ("12x10", "pad", 3)
    assert recipe["data"]["conditional"] is True
    assert api.open_run(run).sample(2).shape == (2, 3, 10, 12)


def test_tensorboard(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    pytest.importorskip("tensorboard")
    one_object(ficta(*VAE, "--out", tmp_path / "run", "--samples", "32", "--tensorboard", "--json"))
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize("name", ["vae", "gan-conditional"])
def test_samples_as_pictures(
    name: str, small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    run, place = small_runs(name), tmp_path / "made"
    content = one_object(ficta("sample", run, "-n", "30", "--seed", "3", "--out", place, "--json"))
    sheet = place / "sheet.png"
    assert content == {"run": str(run), "n": 30, "out": str(place), "sheet": str(sheet), "files": 30}
    labels = {"labels.csv"} if "conditional" in name else set()
    assert files(place) == {"sheet.png", *labels, *(f"{number:06d}.png" for number in range(30))}
    expected = api.open_run(run).sample(30, seed=3)
    for number in (0, 29):
        with Image.open(place / f"{number:06d}.png") as picture:
            assert np.array_equal(np.asarray(picture), expected[number, 0])
    with Image.open(sheet) as picture:
        assert min(picture.size) > 40
    if labels:
        rows = (place / "labels.csv").read_text().splitlines()
        assert rows[:3] == ["file,label", "000000.png,0", "000001.png,1"]
        assert len(rows) == 31
    assert (
        ficta("sample", run, "-n", "2", "--out", place / "b").out
        == f"2 samples in {place / 'b'}; side by side in {place / 'b' / 'sheet.png'}\n"
    )


def test_samples_as_an_array(small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    run, place = small_runs("gan-conditional"), tmp_path / "new" / "made.npz"
    options = ["-n", "300", "--label", "7", "--temperature", "0.5", "--sheet", tmp_path / "look.png"]
    content = one_object(ficta("sample", run, *options, "--out", place, "--json"))
    assert (content["files"], content["sheet"]) == (1, str(tmp_path / "look.png"))
    with np.load(place, allow_pickle=False) as packed:
        assert packed.files == ["samples"]
        assert np.array_equal(packed["samples"], api.open_run(run).sample(300, "7", temperature=0.5))
    assert files(tmp_path) == {"new/made.npz", "new/made.csv", "new/made.png", "look.png"}
    assert ficta("sample", run, *options, "--out", place).code == 0  # the same again
    assert (tmp_path / "new" / "made.csv").read_text().splitlines()[:2] == ["file,label", "0,7"]


def test_files_of_others_are_not_replaced(
    small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    run = small_runs("gan-conditional")
    for name in ("made.csv", "made.png"):
        (tmp_path / name).write_text("precious")
        done = ficta("sample", run, "-n", "3", "--out", tmp_path / "made.npz")
        assert (done.code, files(tmp_path)) == (2, {name})
        assert f"{name} is there already and would be lost" in done.err
        (tmp_path / name).unlink()
    np.savez(tmp_path / "made.npz", mine=np.zeros(3))
    before = (tmp_path / "made.npz").read_bytes()
    assert ficta("sample", run, "-n", "3", "--out", tmp_path / "made.npz").code == 2
    assert (tmp_path / "made.npz").read_bytes() == before
    (tmp_path / "made.npz").unlink()
    for wrong in (["--out", tmp_path / "made.npy"], ["--sheet", tmp_path / "look.xyz"]):
        assert ficta("sample", run, "-n", "3", *wrong).code == 2
        assert files(tmp_path) == set()


def test_a_sheet_elsewhere(small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    place, sheet = tmp_path / "made", tmp_path / "look.jpg"
    for _ in range(2):
        assert ficta("sample", small_runs("vae"), "-n", "2", "--out", place, "--sheet", sheet).code == 0
    assert files(tmp_path) == {"look.jpg", "made/sheet.png", "made/000000.png", "made/000001.png"}
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"


def test_fewer_samples_than_last_time_leave_none_of_those(
    small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    for n in ("5", "3"):
        assert ficta("sample", small_runs("vae"), "-n", n, "--out", tmp_path / "made").code == 0
    assert files(tmp_path / "made") == {"sheet.png", "000000.png", "000001.png", "000002.png"}


def test_a_folder_of_other_files_is_refused(
    small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    for name in ("holiday.jpg", "000001.png"):  # a number alone does not make it ours
        (tmp_path / name).write_text("")
        done = ficta("sample", small_runs("vae"), "-n", "3", "--out", tmp_path)
        assert done.code == 2
        assert name in done.err
        assert files(tmp_path) == {name}
        (tmp_path / name).unlink()


def test_many_samples_pass_through_a_chunk_at_a_time(
    small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, most = [0], [0]

    class Counted(np.ndarray):
        def __array_finalize__(self, _: object) -> None:
            self.counted = False

        def __del__(self) -> None:
            alive[0] -= len(self) if self.counted else 0

    original = api.Run.samples

    def samples(self: api.Run, *given: Any, **named: Any) -> Iterator[np.ndarray]:
        for chunk in original(self, *given, **named):
            alive[0] += len(chunk)
            most[0] = max(most[0], alive[0])
            kept = chunk.view(Counted)
            kept.counted = True  # type: ignore[attr-defined]
            yield kept
            del kept

    monkeypatch.setattr(api.Run, "samples", samples)
    assert ficta("sample", small_runs("gan"), "-n", "5000", "--out", tmp_path / "made.npz").code == 0
    assert most[0] <= 3 * 256
    with np.load(tmp_path / "made.npz") as packed:
        assert packed["samples"].shape == (5000, 1, 8, 8)


def test_explore(copied: Callable[[str], Path], ficta: Callable[..., Ficta]) -> None:
    vae, gan = copied("vae-2d"), copied("gan")
    content = one_object(ficta("explore", vae, "--json"))
    names = ["sheet", "reconstructions", "interpolations", "manifold", "latent"]
    assert content["pictures"] == [str(vae / "explore" / f"{name}.png") for name in names]
    assert content["not_defined"] == ["codes", "mixing"]
    assert Path(content["report"]).exists()
    content = one_object(ficta("explore", gan, "--seed", "2", "--json"))
    assert [Path(path).stem for path in content["pictures"]] == ["sheet", "interpolations"]
    assert content["not_defined"] == ["reconstructions", "codes", "manifold", "mixing", "latent"]
    done = ficta("explore", gan)
    assert "not defined for a gan of this latent size: reconstructions, codes, manifold, mixing, latent" in done.out


def test_data(ficta: Callable[..., Ficta]) -> None:
    report = one_object(ficta("data", "digits", "--json"))
    assert report["read"] == 1797
    assert report["splits"].keys() == {"train", "validation", "test"}
    assert "1,797" in ficta("data", "digits").out
    wide = one_object(ficta("data", "digits", "--size", "6x4", "--set", "data.validation=0", "--json"))
    assert (wide["stored_shape"], wide["splits"]["validation"]) == ([1, 4, 6], 0)


def test_compare_prints_a_table_and_writes_a_page(
    copied: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]
) -> None:
    runs = [copied("vae"), copied("gan")]
    for run, value in zip(runs, (1.0, 2.0), strict=True):
        found = {"name": "frechet(pixels)", "value": value, "interval": [value - 0.1, value + 0.1], "error": 0.036}
        about = {
            "better": "lower",
            "unit": "",
            "n": 20,
            "fingerprint": "ab",
            "protocol": {"features": "pixels:1", "parts": 5},
        }
        (run / "results.jsonl").write_text(json.dumps(found | about) + "\n")
    page = tmp_path / "new" / "compare.html"
    plain, told = ficta("compare", *runs), ficta("compare", *runs, "--out", page)
    assert told.code == 0, told.err
    assert told.out == f"{plain.out}{page}\n"
    assert "frechet(pixels)  lower" in plain.out
    assert "✓ holds" in page.read_text()
    assert one_object(ficta("compare", *runs, "--out", page, "--json"))["page"] == str(page)  # the same again
    assert one_object(ficta("compare", *runs, "--json"))["page"] is None
    assert api.compare(runs)[0].best == (0,)
    wrong = ficta("compare", *runs, "--out", tmp_path / "compare.png")
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)
    assert "give a path ending in .html" in wrong.err
    assert not (tmp_path / "compare.png").exists()


def test_runs(small_runs: Callable[[str], Path], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    assert one_object(ficta("runs", tmp_path, "--json")) == {"runs": []}
    assert ficta("runs", tmp_path).out == f"no runs in {tmp_path}; 'ficta train vae --data digits' makes one\n"
    run = small_runs("vae")
    (row,) = one_object(ficta("runs", run.parent, "--json"))["runs"]
    verdict = row.pop("verdict")
    assert row == {
        "run": str(run), "model": "vae", "data": "digits", "saved": 256, "target": 256, "finished": True
    }  # fmt: skip
    assert ficta("runs", run.parent).out.splitlines()[1].split() == [
        str(run),
        "vae",
        "digits",
        "256",
        "256",
        "yes",
        verdict,
    ]


def test_models(ficta: Callable[..., Ficta]) -> None:
    content = one_object(ficta("models", "--json"))["models"]
    assert [entry["name"] for entry in content] == list(FAMILIES)
    assert all(entry["year"] and entry["paper"] and entry["settings"]["properties"] for entry in content)
    text = ficta("models").out
    assert "vae: Auto-Encoding Variational Bayes (Kingma & Welling), 2014, arXiv:1312.6114" in text
    assert any(
        line.startswith("  model.latent_dim = ") and line.endswith("numbers a latent") for line in text.splitlines()
    )


def test_models_name_the_choices_of_each_setting(ficta: Callable[..., Ficta]) -> None:
    assert (
        "model.head = 'auto' (bernoulli | grey-bce | gaussian | discretised-logistic | mixed | auto): "
        in ficta("models").out
    )


def test_presets(ficta: Callable[..., Ficta]) -> None:
    content = one_object(ficta("presets", "--json"))["presets"]
    assert list(content) == presets.names()
    text = ficta("presets").out
    assert [line.split(":")[0] for line in text.splitlines() if line[0] != " "] == presets.names()
    assert "gan: Generative Adversarial Nets (Goodfellow et al.), 2014, arXiv:1406.2661" in text
    assert "model.latent_dim = 100" in text
    assert (content["article-vae"]["year"], content["article-vae"]["paper"]) == (2014, "arXiv:1312.6114")
    assert ficta("presets", "article-vae").out == presets.text("article-vae")
    assert list(one_object(ficta("presets", "article-gan", "--json"))["presets"]) == ["article-gan"]


def test_cache(tmp_path: Path, ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FICTA_CACHE", str(tmp_path))
    assert one_object(ficta("cache", "--json"))["entries"] == []
    assert ficta("cache").out.strip()
    ficta("data", "digits")
    found = one_object(ficta("cache", "--json"))
    (entry,) = found["entries"]
    assert found["total_bytes"] == entry["size_bytes"] > 1797 * 64
    assert found["limit_bytes"] == 20_000_000_000
    text = ficta("cache").out
    assert "digits" in text
    assert "the limit is 20.0 GB (FICTA_CACHE_LIMIT_GB)" in text
    assert one_object(ficta("cache", "--clear", "--json"))["removed"] == [entry]
    assert ficta("cache", "--clear").out == "removed 0 entries, 0 B\n"


def test_data_that_training_would_refuse_are_reported_all_the_same(tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    for number in range(12):
        Image.new("L", (8, 8), 10 * number).save(tmp_path / f"{number}.png")
        (tmp_path / f"bad{number}.png").write_text("no picture")
    plain, told = ficta("data", tmp_path), ficta("data", tmp_path, "--json")
    assert plain.code == told.code == 1
    assert all(f"bad{number}.png: not a picture" in plain.out for number in range(12))
    report = json.loads(told.out)
    assert len(report["skipped"]) == 12
    assert "training stops here" in plain.out
    for said in (plain.out, plain.err, report["refused"], told.err):
        assert "12 of 24 pictures could not be read, more than data.max_skipped = 0.01 allows" in said
        assert "raise --max-skipped" in said
    allowed = ficta("data", tmp_path, "--max-skipped", "0.5", "--json")
    assert (allowed.code, json.loads(allowed.out)["refused"]) == (0, None)


def test_version(ficta: Callable[..., Ficta]) -> None:
    assert ficta("--version").out == f"{__version__}\n"


def test_stopped_by_a_signal_and_saved(tmp_path: Path) -> None:
    """The command as a shell calls it, from a cold start."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", "from ficta.cli import main; main()", *VAE, "--samples", "100000000"]
    command += ["--set", "train.compile=false"]  # which a long run would have time to try
    with subprocess.Popen(
        [*command, "--out", str(run)], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        ends = time.monotonic() + 90
        history = run / "history.jsonl"
        while not (history.exists() and history.stat().st_size) and time.monotonic() < ends:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "stopped by SIGTERM and saved at" in said.splitlines()[-1]
    assert api.open_run(run).stored.folder.latest_seen() >= 1024
    assert not api.open_run(run).stored.finished
