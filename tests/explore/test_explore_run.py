"""Pictures of what a model has learnt: which there are, how large, and that they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ficta.api import recipe_for
from ficta.base.errors import UsageError
from ficta.data.dataset import Dataset, Split
from ficta.data.images import ImageCodec
from ficta.data.ingest import ingest
from ficta.explore import explore as everything
from ficta.explore import pictures
from ficta.runs.run import Run
from ficta.runs.sampling import sample

WITH_LATENTS = ["sheet", "reconstructions", "interpolations", "latent"]
CELL = 8  # side of a digit


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return ingest(recipe_for("vae", "digits", {}, ["data.conditional=true"]).data)


def first(split: Split, count: int) -> Split:
    return Split(split.stored, split.rows[:count], split.labels)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("vae", WITH_LATENTS),
        ("vae-2d", [*WITH_LATENTS[:3], "manifold", "latent"]),
        ("vae-conditional", WITH_LATENTS),
        ("gan", ["sheet", "interpolations"]),
        ("infogan", ["sheet", "interpolations", "codes"]),
        ("gan-conditional", ["sheet", "interpolations"]),
        ("stylegan2", ["sheet", "interpolations", "mixing"]),
        ("stylegan2-conditional", ["sheet", "interpolations", "mixing"]),
    ],
)
def test_what_is_drawn_and_what_is_not_defined(
    name: str, drawn: list[str], copied: Callable[[str], Path], dataset: Dataset
) -> None:
    told: list[tuple[int, int | None]] = []
    run = Run(copied(name))
    written, undefined, _ = everything.explore(
        run, lambda: dataset, progress=lambda what, done, of: told.append((done, of))
    )
    assert [path.stem for path in written] == drawn
    assert set(undefined) == {*WITH_LATENTS, "codes", "manifold", "mixing"} - set(drawn)
    assert {path.name for path in (run.path / "explore").iterdir()} == {path.name for path in written}
    assert told == [(done, 7) for done in range(8)]
    for path in written:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            low, high = picture.convert("L").getextrema()
            assert high - low > 20  # not a blank page


@pytest.mark.parametrize("name", ["vae-2d", "gan-conditional"])
def test_the_same_seed_draws_the_same(name: str, copied: Callable[[str], Path], dataset: Dataset) -> None:
    run = Run(copied(name))
    once = [path.read_bytes() for path in everything.explore(run, lambda: dataset, seed=1)[0]]
    assert [path.read_bytes() for path in everything.explore(run, lambda: dataset, seed=1)[0]] == once
    other = everything.explore(run, lambda: dataset, seed=2)[0]
    changed = {path.stem for path, before in zip(other, once, strict=True) if path.read_bytes() != before}
    assert changed == {"sheet", "interpolations", *(["latent"] if name == "vae-2d" else [])}


def test_the_sheet_is_ten_by_ten(small_runs: Callable[[str], Path]) -> None:
    picture = pictures.sheet(Run(small_runs("vae")), 0)
    assert picture.width == picture.height >= 10 * CELL


@pytest.mark.parametrize(("most", "columns"), [(20, 10), (3, 3)])
def test_the_sheet_of_a_conditional_run_has_a_column_for_each_label(
    small_runs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, most: int, columns: int
) -> None:
    shown: dict[str, Any] = {}
    monkeypatch.setattr(pictures, "MOST_LABELS", most)
    monkeypatch.setattr(ImageCodec, "preview", lambda self, stored, **named: shown.update(stored=stored, **named))
    run = Run(small_runs("gan-conditional"))
    pictures.sheet(run, 0)
    assert shown["columns"] == columns
    assert shown["captions"] == 10 * [str(label) for label in range(columns)]
    sevens = np.concatenate(list(sample(run, 100, seed=0)))[2::10]
    assert np.array_equal(shown["stored"][2::columns], sevens)


def test_the_manifold_covers_the_prior(small_runs: Callable[[str], Path]) -> None:
    run = Run(small_runs("vae-2d"))
    picture = pictures.manifold(run, side=5)
    assert picture is not None
    assert picture.width == picture.height
    assert pictures.manifold(Run(small_runs("vae"))) is None
    assert pictures.manifold(Run(small_runs("gan"))) is None


def test_codes_are_swept_one_below_the_other(
    small_runs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[np.ndarray, int]] = []
    monkeypatch.setattr(pictures, "stacked", len)
    monkeypatch.setattr(ImageCodec, "preview", lambda self, stored, columns, captions: shown.append((stored, columns)))
    run = Run(small_runs("infogan"))
    assert pictures.codes(run, 0, rows=2) == 3  # a code of four values and two from -1 to 1
    assert [(len(items), columns) for items, columns in shown] == [(8, 4), (20, 10), (20, 10)]
    for items, columns in shown:  # along a row one code changes, from row to row all the others
        rows = items.reshape(2, columns, -1)
        assert len(np.unique(rows[0], axis=0)) == columns
        assert not np.array_equal(rows[0], rows[1])
    assert pictures.codes(Run(small_runs("gan")), 0) is None


def test_reconstructions_stand_below_their_originals(
    small_runs: Callable[[str], Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(small_runs("vae"))
    shown: list[np.ndarray] = []
    monkeypatch.setattr(type(run.codec), "preview", lambda self, stored, columns=None: shown.append(stored) or stored)
    test = dataset.splits["test"]
    pictures.reconstructions(run, test, count=4)
    (items,) = shown
    assert items.shape == (16, 1, 8, 8)
    assert np.array_equal(items[:4], test.read(0, 4))
    assert np.array_equal(items[8:12], test.read(4, 8))
    assert not np.array_equal(items[4:8], test.read(0, 4))


@pytest.mark.parametrize("count", [1, 3, 13])
def test_reconstructions_of_few(count: int, small_runs: Callable[[str], Path], dataset: Dataset) -> None:
    run = Run(small_runs("vae-conditional"))
    assert pictures.reconstructions(run, first(dataset.splits["test"], count)) is not None
    assert pictures.reconstructions(run, first(dataset.splits["test"], 0)) is None


@pytest.mark.parametrize("projection", ["pca", "tsne"])
@pytest.mark.parametrize("name", ["vae", "vae-conditional", "vae-2d"])
def test_a_map_of_few(
    name: str,
    projection: pictures.Projection,
    small_runs: Callable[[str], Path],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "MAP_SAMPLES", 12)
    seen: dict[str, object] = {}
    original = pictures.scatter

    def noted(
        points: np.ndarray, labels: np.ndarray | None, names: object, made: np.ndarray, **words: object
    ) -> object:
        seen.update(points=points, labels=labels, made=made, axes=words["axes"])
        return original(points, labels, names, made, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "scatter", noted)
    names = tuple(dataset.report["categories"])
    split = first(dataset.splits["test"], 20)
    assert pictures.latent_map(Run(small_runs(name)), split, names, 0, projection) is not None
    assert (seen["points"].shape, seen["made"].shape) == ((20, 2), (12, 2))  # type: ignore[attr-defined]
    assert np.array_equal(seen["labels"], split.read_labels(0, 20))  # type: ignore[arg-type]
    expected = {"vae-2d": "latent 1", "pca": "component 1", "tsne": "t-SNE 1"}[name if name == "vae-2d" else projection]
    assert str(seen["axes"][0]).startswith(expected)  # type: ignore[index]


@pytest.mark.parametrize("projection", ["pca", "tsne"])
def test_a_map_of_three_and_of_fewer(
    projection: pictures.Projection, small_runs: Callable[[str], Path], dataset: Dataset
) -> None:
    run, test = Run(small_runs("vae")), dataset.splits["test"]
    assert pictures.latent_map(run, first(test, 3), (), 0, projection) is not None
    assert pictures.latent_map(run, first(test, 2), (), 0, projection) is None


def test_data_without_labels(train_small: Callable[..., Path], tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.random.default_rng(0).integers(0, 256, (300, 9, 7), np.uint8))
    run = train_small("vae", tmp_path / "run", data=str(tmp_path / "data.npy"))
    found = ingest(recipe_for("vae", str(tmp_path / "data.npy"), {}).data)
    written, undefined, _ = everything.explore(Run(run), lambda: found)
    assert [path.stem for path in written] == WITH_LATENTS
    assert undefined == ["codes", "manifold", "mixing"]


def test_a_one_dimensional_latent(train_small: Callable[..., Path], tmp_path: Path, dataset: Dataset) -> None:
    run = train_small("vae", tmp_path / "run", "model.latent_dim=1")
    assert everything.explore(Run(run), lambda: dataset)[1] == ["codes", "manifold", "mixing"]


def test_progress_as_an_animation(copied: Callable[[str], Path]) -> None:
    run = Run(copied("vae"))
    sheets = sorted(run.folder.samples.glob("*.png"))
    path = everything.animate(run)
    assert path == run.path / "samples" / "progress.webp"
    with Image.open(path) as film, Image.open(sheets[-1]) as last:
        assert (film.n_frames, film.size) == (2, last.size)  # type: ignore[attr-defined]
        film.seek(1)
        assert np.abs(np.asarray(film.convert("L"), int) - np.asarray(last.convert("L"), int)).mean() < 2
    for sheet in sheets:
        sheet.unlink()
    assert everything.animate(run) is None


def test_a_long_run_has_a_short_film(copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(copied("gan"))
    sheet = next(run.folder.samples.glob("*.png")).read_bytes()
    for number in range(1000, 1100):
        (run.folder.samples / f"{number:012d}.png").write_bytes(sheet)
    frames: list[int] = []
    monkeypatch.setattr(everything, "animation", lambda given, path: frames.append(len(given)))
    everything.animate(run)
    assert frames
    assert frames[0] <= everything.MOST_FRAMES


def test_data_that_are_gone_cost_their_pictures_alone(copied: Callable[[str], Path]) -> None:
    def gone() -> Dataset:
        raise UsageError("no such path: pictures")

    written, undefined, unread = everything.explore(Run(copied("vae")), gone)
    assert [path.stem for path in written] == ["sheet", "interpolations"]
    assert (undefined, unread) == (["codes", "manifold", "mixing"], "no such path: pictures")
    assert everything.explore(Run(copied("gan")), gone).unread == ""  # no picture of a GAN shows data
