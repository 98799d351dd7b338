"""The verbs in Python."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ficta as package
from ficta import api
from ficta.base.errors import UsageError
from ficta.compute import device as machine
from ficta.compute import tensors
from ficta.data.ingest import ingest
from ficta.explore import pictures
from ficta.train import session
from ficta.train.recipe import Recipe

TINY = ["train.threads=1", "train.batch=16", "train.samples=64", "train.reports=1"]


class Noted:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        self.told.append(("planned", note))

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        self.told.append(("tick", seen))

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        self.told.append(("reported", (line["seen"], target)))

    def said(self, message: str) -> None:
        self.told.append(("said", message))

    def closed(self) -> None:
        pass


def test_the_public_face() -> None:
    assert package.train is api.train
    assert package.open_run is api.open_run
    assert {name for name in package.__all__ if not hasattr(package, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = package.trian


def test_train_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, work = Noted(), []
    run = package.train(
        "vae",
        "digits",
        tmp_path / "run",
        settings={"model": {"latent_dim": 2, "encoder": {"conv": {"width": 8}}, "decoder": {"conv": {"width": 8}}}},
        assignments=TINY,
        watchers=[watcher],
        progress=lambda what, done, total: work.append(what),
    )
    assert run.path == tmp_path / "run"
    assert [line["seen"] for line in run.history] == [64]
    assert run.recipe["model"]["latent_dim"] == 2
    assert [what for what, _ in watcher.told if what != "tick"] == ["planned", "reported"]
    assert watcher.told[0][1] == f"new run in {run.path}"
    assert ("reported", (64, 64)) in watcher.told
    assert "pictures" in work
    for made in ("report.html", "card.md", "explore/latent.png", "explore/manifold.png", "samples/progress.webp"):
        assert (run.path / made).stat().st_size > 100, made
    assert [each.path for each in package.list_runs(tmp_path)] == [run.path]


def test_a_plan_trains_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = package.plan("gan", "digits", settings={"train": {"epochs": 2, "threads": 1}})
    assert plan["target_samples"] == 2 * ingest(api.recipe_for("gan", "digits", {}).data).report["splits"]["train"]
    assert plan["parameters"].keys() == {"generator", "discriminator"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("data", "folder"), [
    ("digits", "runs/digits-vae"), ("/some/where/photos.zip", "runs/photos-vae"), ("a/b/", "runs/b-vae"),
    ("train-images-idx3-ubyte.gz", "runs/train-images-idx3-ubyte-vae"), (".", "runs/data-vae"),
])  # fmt: skip
def test_where_a_run_goes_without_a_place(data: str, folder: str) -> None:
    assert api.default_folder("vae", data) == Path(folder)


@pytest.mark.parametrize(
    "name", ["vae", "gan", "stylegan2", "vae-conditional", "gan-conditional", "stylegan2-conditional"]
)
def test_samples(name: str, small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs(name))
    made = run.sample(300)
    assert (made.shape, made.dtype) == ((300, 1, 8, 8), np.uint8)
    assert np.array_equal(run.sample(300), made)
    assert not np.array_equal(run.sample(300, seed=1), made)
    # whatever goes along in one call; convolutions may round differently in another batch size
    few = run.sample(7).astype(int)
    assert np.abs(few - made[:7]).max() <= 1
    calm = run.sample(50, temperature=0)
    labels = 10 if "conditional" in name else 1
    assert np.abs(calm[: 50 - labels].astype(int) - calm[labels:]).max() <= 1


def test_samples_come_a_chunk_at_a_time(small_runs: Callable[[str], Path]) -> None:
    chunks = api.open_run(small_runs("gan")).samples(600)
    assert isinstance(chunks, types.GeneratorType)
    assert [len(chunk) for chunk in chunks] == [256, 256, 88]


def test_labels(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("vae-conditional"))
    sevens, turns = run.sample(30, "7").astype(int), run.sample(30).astype(int)
    assert np.abs(sevens[7::10] - turns[7::10]).max() <= 1  # without a label, labels take turns
    assert np.abs(sevens[8::10] - turns[8::10]).max() > 1
    with pytest.raises(UsageError, match="no label '77': did you mean '7'"):
        run.sample(1, "77")
    with pytest.raises(UsageError, match="without labels"):
        api.open_run(small_runs("vae")).sample(1, "7")


def test_truncation(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("stylegan2-conditional"))
    whole, half, none = (run.sample(30, truncation=truncation).astype(int) for truncation in (1, 0.5, 0))
    assert np.array_equal(whole, run.sample(30))
    spreads = [each.reshape(3, 10, -1).std(0).mean() for each in (whole, half, none)]  # of each label
    assert spreads[0] > spreads[1] > spreads[2]
    with pytest.raises(UsageError, match=r"a gan has no styles to truncate; .* lower the temperature"):
        api.open_run(small_runs("gan")).sample(1, truncation=0.5)
    with pytest.raises(UsageError, match="truncation"):
        run.sample(1, truncation=-0.5)


@pytest.mark.parametrize(("n", "temperature"), [(0, 1.0), (-3, 1.0), (1, -1.0), (1, float("nan"))])
def test_samples_that_cannot_be(n: int, temperature: float, small_runs: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError):
        api.open_run(small_runs("vae")).sample(n, temperature=temperature)


@pytest.mark.parametrize("name", ["vae", "vae-2d", "vae-conditional"])
def test_to_latents_and_back(name: str, small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs(name))
    labels = ["3"] * 6 if "conditional" in name else None
    size = run.recipe["model"]["latent_dim"]
    latents = run.encode(run.sample(6), labels)
    assert (latents.shape, latents.dtype) == ((6, size), np.float32)
    again = run.decode(latents, labels)
    assert (again.shape, again.dtype) == ((6, 1, 8, 8), np.uint8)
    walk = run.interpolate(latents[0], latents[1], 5, *([["3"] * 5] if labels else []))
    assert walk.shape == (5, 1, 8, 8)
    assert np.abs(walk[[0, -1]].astype(int) - again[:2]).max() <= 2


@pytest.mark.parametrize(
    ("trained", "here", "used"),
    [
        ("bf16", True, torch.bfloat16),
        ("bf16", False, torch.float32),  # many times slower than float32 without the instructions
        ("float32", True, torch.float32),
    ],
)
def test_a_run_is_used_in_the_number_format_it_was_trained_in(
    trained: str,
    here: bool,
    used: torch.dtype,
    train_small: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = api.open_run(train_small("vae", tmp_path / "run", f"train.precision={trained}", "train.samples=32"))
    monkeypatch.setattr(machine, "multiplies_in_bf16", lambda device: here)
    seen: list[torch.dtype] = []
    for network in (run.stored.family.encoder, run.stored.family.decoder):
        network.register_forward_hook(lambda module, given, out: seen.append(out.dtype))  # type: ignore[operator]
    run.decode(run.encode(run.sample(2)))
    assert seen == [used] * 3
    assert not torch.is_autocast_enabled("cpu")


def test_a_walk_keeps_the_length_and_may_stand_still() -> None:
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    walk = pictures.slerp(a, b, 3)
    torch.testing.assert_close(walk, torch.tensor([[3.0, 0.0], [4.5**0.5, 4.5**0.5], [0.0, 3.0]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(pictures.slerp(a, a, 4), a.expand(4, 2), atol=1e-4, rtol=0)
    assert pictures.slerp(a, -a, 3).isfinite().all()
    assert pictures.slerp(torch.zeros(2), b, 3).isfinite().all()


def test_latents_that_do_not_fit(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("vae"))
    with pytest.raises(UsageError, match=r"items of shape \(1, 9, 8\), but this run knows \(1, 8, 8\)"):
        run.encode(np.zeros((2, 1, 9, 8), np.uint8))
    with pytest.raises(UsageError, match=r"latents of shape \(2, 4\), but this run knows \(n, 5\)"):
        run.decode(np.zeros((2, 4)))
    with pytest.raises(UsageError, match="latents of shape"):
        run.interpolate(np.zeros(4), np.ones(4))
    with pytest.raises(UsageError, match=r"latents of shapes \(4,\) and \(5,\)"):
        run.interpolate(np.zeros(4), np.ones(5))
    with pytest.raises(UsageError, match=r"uint8 from 0 to 255, not torch\.float64"):
        run.encode(np.zeros((2, 1, 8, 8)))
    with pytest.raises(UsageError, match="a gan has no way from data to latents"):
        api.open_run(small_runs("gan")).encode(np.zeros((2, 1, 8, 8), np.uint8))
    conditional = api.open_run(small_runs("vae-conditional"))
    for labels in (None, ["3"]):
        with pytest.raises(UsageError, match="this run is conditional: give 2 labels"):
            conditional.encode(np.zeros((2, 1, 8, 8), np.uint8), labels)
    with pytest.raises(UsageError, match="without labels"):
        run.encode(np.zeros((2, 1, 8, 8), np.uint8), ["3", "4"])


def test_a_gan_decodes_and_walks(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("gan"))
    assert run.decode(np.zeros((2, 6))).shape == (2, 1, 8, 8)
    assert run.interpolate(np.ones(6), -np.ones(6), 4).shape == (4, 1, 8, 8)


def test_a_sheet(small_runs: Callable[[str], Path]) -> None:
    assert isinstance(api.open_run(small_runs("vae")).sheet(9, seed=2), Image.Image)


def test_held_out_cost(small_runs: Callable[[str], Path]) -> None:
    run = api.open_run(small_runs("vae"))
    measured = run.heldout("validation", most=1000)
    last = run.history[-1]
    assert measured == pytest.approx({name: last[name] for name in measured}, rel=1e-5)
    assert run.heldout()["heldout_negative_elbo_nats"] > 0
    assert api.open_run(small_runs("gan")).heldout() == {}
    with pytest.raises(UsageError, match="no split 'tset': did you mean 'test'"):
        run.heldout("tset")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return tensors.load(run / "weights.safetensors")[0]


def test_starting_from_another_run(
    small_runs: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = api.open_run(small_runs("vae"))
    content = {**first.recipe, "start": str(first.path)}
    dataset = ingest(Recipe.of(content).data)
    family = session.new_family(Recipe.of(content), dataset, None, str(first.path))
    assert all(torch.equal(value, weights(first.path)[name]) for name, value in family.state_dict().items())
    narrow = [f"model.{side}.conv.width=8" for side in ("encoder", "decoder")]
    settings = [*TINY, *narrow, "model.latent_dim=5", "model.optimiser.rate=1e-12"]
    run = api.train("vae", "digits", tmp_path / "fine", assignments=settings, start=first.path)
    assert run.recipe["start"] == str(first.path.resolve())
    for name, value in weights(first.path).items():
        torch.testing.assert_close(weights(run.path)[name], value, rtol=0, atol=1e-8)
    assert run.history[0]["losses"]["cost_nats"] < 0.95 * first.history[0]["losses"]["cost_nats"]


def test_a_plan_of_what_would_be_trained(small_runs: Callable[[str], Path], tmp_path: Path) -> None:
    narrow = [f"model.{side}.conv.width=8" for side in ("encoder", "decoder")]
    settings = ["train.threads=1", "train.batch=16", "train.samples=640", *narrow, "model.latent_dim=5"]
    found = api.plan("vae", "digits", assignments=settings, start=small_runs("vae"))
    assert found["target_samples"] == 640
    assert found["machine"]["processes"] == 1
    assert found["reports"] == 40  # one a step, and no more
    reporting = found["reports"] * found["report_seconds"]
    assert found["seconds"] == pytest.approx(640 / found["samples_per_second"] + reporting)
    with pytest.raises(UsageError, match="its networks differ"):
        api.plan("vae", "digits", assignments=TINY, start=small_runs("vae"))


def test_what_was_drawn_too_late_is_drawn_again(copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the last step and the report: the same command draws it, and only then says that all is done."""
    narrow = [f"model.{side}.conv.width=8" for side in ("encoder", "decoder")]
    settings = [*TINY[:2], "train.samples=256", "train.reports=2", *narrow, "model.latent_dim=5"]
    run = copied("vae")
    assert not (run / "report.html").exists()
    history = (run / "history.jsonl").read_bytes()
    api.train("vae", "digits", run, assignments=settings)
    assert (run / "report.html").stat().st_size > 10_000
    assert (run / "history.jsonl").read_bytes() == history
    with pytest.raises(UsageError, match="is finished"):
        api.train("vae", "digits", run, assignments=settings)


def test_starting_from_unlike_networks(small_runs: Callable[[str], Path], tmp_path: Path) -> None:
    for start, unlike in (("vae", "2 more|more"), ("gan", "more")):
        with pytest.raises(UsageError, match=rf"--from .*{start}: its networks differ, in .*{unlike}"):
            api.train("vae", "digits", tmp_path / "new", assignments=TINY, start=small_runs(start))
    assert not (tmp_path / "new" / "recipe.toml").exists()
    with pytest.raises(UsageError, match="does not exist"):
        api.train("vae", "digits", tmp_path / "new", assignments=TINY, start=tmp_path / "nowhere")


def test_a_run_goes_on_without_the_one_it_started_from(
    copied: Callable[[str], Path], train_small: Callable[..., Path], tmp_path: Path
) -> None:
    first = copied("vae")
    settings = ["model.latent_dim=5", f"start={first}"]
    run = train_small("vae", tmp_path / "fine", *settings)
    first.rename(tmp_path / "moved")
    train_small("vae", run, *settings, "train.samples=512")
    assert api.open_run(run).history[-1]["seen"] == 512


def test_a_table_of_labels_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n")
    monkeypatch.chdir(tmp_path)
    recipe = api.recipe_for("vae", "digits", {"data": {"labels": "labels.csv"}})
    assert recipe.data.labels == str(tmp_path / "labels.csv")
    assert api.recipe_for("vae", "digits", {"data": {"labels": "auto"}}).data.labels == "auto"


def test_data_that_change_meanwhile_cost_no_report(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8))
    watcher = Noted()
    grow = lambda: np.save(path, np.random.default_rng(1).integers(0, 256, (80, 8, 8), np.uint8))  # noqa: E731
    watcher.closed = grow  # type: ignore[method-assign]
    run = api.train("vae", path, tmp_path / "run", assignments=TINY, watchers=[watcher])
    assert (run.path / "report.html").exists()
    assert "held-out data could not be drawn: the data at" in dict(watcher.told)["said"]


def test_an_extended_run_gets_its_report_anew(copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = [f"model.{side}.conv.width=8" for side in ("encoder", "decoder")]
    settings = [*TINY[:2], "train.reports=2", *narrow, "model.latent_dim=5"]
    run = copied("vae")
    api.train("vae", "digits", run, assignments=[*settings, "train.samples=256"])
    with monkeypatch.context() as patch:
        patch.setattr(api.Run, "report", lambda self: 1 / 0)  # killed while drawing
        with pytest.raises(ZeroDivisionError):
            api.train("vae", "digits", run, assignments=[*settings, "train.samples=512"])
    api.train("vae", "digits", run, assignments=[*settings, "train.samples=512"])
    assert "It saw 512 samples" in (run / "card.md").read_text()
    with pytest.raises(UsageError, match="is finished"):
        api.train("vae", "digits", run, assignments=[*settings, "train.samples=512"])
