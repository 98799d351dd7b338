"""The public face: train, open a run, sample, encode, decode, look."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ficta import presets
from ficta.base.errors import FinishedRun, UsageError, VerdictError
from ficta.base.files import write_json
from ficta.base.progress import Progress, silent
from ficta.base.words import nearest
from ficta.compute.collectives import launch, leads_by_environment
from ficta.data.dataset import Dataset, Split, Store
from ficta.data.download import NAMED
from ficta.data.ingest import ingest
from ficta.data.sources import DIGITS
from ficta.models.family import Decodes, Encodes, SampleSettings
from ficta.models.registry import FAMILIES
from ficta.runs.folder import RunFolder
from ficta.runs.run import Run as StoredRun
from ficta.runs.run import find_runs
from ficta.runs.sampling import label_index, sample
from ficta.train import session
from ficta.train.loop import Watcher
from ficta.train.observe import heldout
from ficta.train.recipe import Recipe, set_by_path

if TYPE_CHECKING:
    from ficta.evaluate.compare import Row
    from ficta.evaluate.evaluate import Evaluation
    from ficta.evaluate.ground import EvaluateSettings
    from ficta.explore.explore import Explored
    from ficta.explore.pictures import Projection

CLOSEST = "explore/closest.png"  # samples beside the training items that they lie closest to
TARGETS = ("samples", "minutes", "epochs")


class Run:
    """A trained run: make samples, go to latents and back, look."""

    def __init__(self, path: Path | str, network: Mapping[str, nn.Module] | None = None) -> None:
        self.stored = StoredRun(path, network)
        self.path = self.stored.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting, nested."""
        return self.stored.recipe

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry a report."""
        return self.stored.history

    def sample(self, n: int, label: str | None = None, *, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Make samples; sample i depends on (seed, i) and its label alone, but for rounding.

        Args:
            n: how many.
            label: of every sample; without, a conditional run takes its labels in turn.
            seed: of the latents.
            temperature: spread of the latents; below 1 safer and less varied.

        Returns:
            Compact array: pictures are uint8 (n, channels, height, width).

        Raises:
            UsageError: fewer than one sample, or a label that the run lacks.
        """
        return np.concatenate(list(self.samples(n, label, seed=seed, temperature=temperature)))

    def samples(
        self, n: int, label: str | None = None, *, seed: int = 0, temperature: float = 1.0
    ) -> Iterator[np.ndarray]:
        """Like ``sample``, some at a time, so that any number fits into memory."""
        return sample(
            self.stored, n, label=label, seed=seed, options=SampleSettings.read({"temperature": temperature}, "sample")
        )

    def encode(self, items: np.ndarray, labels: Sequence[str] | None = None) -> np.ndarray:
        """Latent of each item.

        Args:
            items: compact array (n, *stored shape), as ``sample`` returns.
            labels: of each item, for a conditional run.

        Returns:
            Posterior means, float32 (n, latent_dim).

        Raises:
            UsageError: the family cannot encode, or the shape is another.
        """
        family, codec = self.stored.family, self.stored.codec
        if not isinstance(family, Encodes):
            raise UsageError(f"a {self.recipe['family']} has no way from data to latents; a 'vae' has")
        data = codec.encode(torch.from_numpy(np.ascontiguousarray(items)))
        if tuple(data.shape[1:]) != codec.spec.shape:
            raise UsageError(f"items of shape {tuple(data.shape[1:])}, but this run knows {codec.spec.shape}")
        with self.stored.inference():
            return family.encode(data, self._condition(labels, len(items))).numpy()

    def decode(self, z: np.ndarray, labels: Sequence[str] | None = None) -> np.ndarray:
        """What the model makes of latents float (n, latent_dim): compact array (n, *stored shape).

        Raises:
            UsageError: latents of another length.
        """
        family = self.stored.family
        if not isinstance(family, Decodes):
            raise UsageError(f"samples of a {self.recipe['family']} are not a function of a latent vector")
        latent = torch.as_tensor(z, dtype=torch.float32)
        if latent.ndim != 2 or latent.shape[1] != family.latent_dim:
            raise UsageError(f"latents of shape {tuple(latent.shape)}, but this run knows (n, {family.latent_dim})")
        with self.stored.inference():
            return self.stored.codec.decode(family.decode(latent, self._condition(labels, len(latent))))

    def interpolate(
        self, a: np.ndarray, b: np.ndarray, steps: int = 10, labels: Sequence[str] | None = None
    ) -> np.ndarray:
        """Walk between two latents (latent_dim,) along a great circle: compact array (steps, *stored shape).

        ``labels``, one a step, belong to a conditional run.
        """
        from ficta.explore.pictures import slerp

        if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
            raise UsageError(f"latents of shapes {np.shape(a)} and {np.shape(b)}; a walk is between two of one axis")
        walk = slerp(torch.as_tensor(a, dtype=torch.float32), torch.as_tensor(b, dtype=torch.float32), steps)
        return self.decode(walk.numpy(), labels)

    def sheet(self, n: int = 64, label: str | None = None, *, seed: int = 0) -> Image.Image:
        """Samples side by side."""
        return self.stored.codec.preview(self.sample(n, label, seed=seed))

    def heldout(self, split: str = "test", *, most: int = 1_000_000, progress: Progress = silent) -> dict[str, float]:
        """Mean negative ELBO and its terms in nats on a split; empty for a family without a bound."""
        splits = self._dataset(progress).splits
        if split not in splits:
            raise UsageError(f"no split {split!r}: {nearest(split, splits)}")
        store = Store(splits[split], torch.device("cpu"), resident_limit=0)
        return heldout(self.stored.family, self.stored.codec, store, most, int(self.recipe["seed"]))

    def evaluate(
        self, data: str | Path | None = None, *, progress: Progress = silent, **settings: Any
    ) -> list[dict[str, Any]]:
        """Measure how good, how varied and how new the samples are; results, pictures and report stay in the run.

        Args:
            data: real items to judge by; without, those of the run, of which the test split counts.
            progress: who is told.
            settings: of ``ficta.evaluate.ground.EvaluateSettings``, such as ``n=10_000, full=True``.

        Returns:
            One entry a measure, as in ``results.jsonl``: name, value, interval, unit, better, n, real, shuffled …

        Raises:
            UsageError: an unknown setting, or data of another kind.
            DataError: too few items.
        """
        from ficta.evaluate.evaluate import evaluate as judge

        dataset = self._dataset(progress) if data is None else self._other(data, progress)
        seen = self.stored.folder.latest_seen()  # before it takes long, as the run may go on meanwhile
        found = judge(self.stored, dataset, _evaluate_settings(settings), progress)
        results = [result.to_json() for result in found.results]
        self.stored.folder.write_results(results, seen)
        if found.closest is not None:
            self.stored.folder.save_picture(CLOSEST, found.closest)
        self.report()
        return results

    def explore(self, *, seed: int = 0, projection: Projection = "pca", progress: Progress = silent) -> Explored:
        """Draw everything there is to see into the run folder; see ``ficta.explore.explore``."""
        from ficta.explore import explore as pictures  # drawing is slow to import, and training can do without

        return pictures.explore(
            self.stored, lambda: self._dataset(progress), seed=seed, projection=projection, progress=progress
        )

    def report(self) -> Path:
        """Write ``report.html`` and ``card.md`` from what stands in the run."""
        from ficta.report.card import write_card
        from ficta.report.page import write_report

        write_card(self.stored)
        return write_report(self.stored)

    def _dataset(self, progress: Progress) -> Dataset:
        dataset = ingest(Recipe.of(self.recipe).data, progress)
        if dataset.report["content_hash"] != self.stored.data.get("content_hash"):
            raise UsageError(f"the data at {self.recipe['data']['path']} have changed since {self.path} was trained")
        return dataset

    def _other(self, data: str | Path, progress: Progress) -> Dataset:
        """Other data, read as this run's were."""
        settings = Recipe.of(self.recipe).data.model_copy(update={"path": _place(data), "conditional": False})
        dataset = ingest(settings, progress)
        if dataset.codec.spec.shape != self.stored.codec.spec.shape:
            raise UsageError(f"{data} gives items of shape {dataset.codec.spec.shape}; {self.path} makes others")
        return dataset

    def _condition(self, labels: Sequence[str] | None, n: int) -> torch.Tensor | None:
        if self.stored.codec.spec.condition is None:
            if labels is not None:
                raise UsageError(f"{self.path} was trained without labels; leave them out, or train with --conditional")
            return None
        if labels is None or len(labels) != n:
            raise UsageError(f"this run is conditional: give {n} labels")
        return torch.tensor([label_index(self.stored, label) for label in labels])


def recipe_for(name: str, data: str | Path, settings: Mapping[str, Any], assignments: Sequence[str] = ()) -> Recipe:
    """The recipe that a call asks for.

    Args:
        name: a preset, or a family with its defaults.
        data: a path or the name of a data set.
        settings: nested settings over those of the preset; None leaves one as it is.
        assignments: ``model.latent_dim=16`` and the like, over everything else.

    Raises:
        UsageError: an unknown name or setting, or data that are neither a path nor a name.
    """
    if not isinstance(data, str | os.PathLike):
        raise UsageError(
            f"data is a {type(data).__name__}; give a path or a name ({', '.join([DIGITS, *NAMED])}); "
            "an array is saved with np.save('pictures.npy', array) and given by that path"
        )
    data = str(data)
    known = presets.names()
    if name not in known and name not in FAMILIES:
        raise UsageError(f"no family or preset {name!r}: {nearest(name, [*known, *FAMILIES])}")
    values: dict[str, Any] = presets.load(name) | {"preset": name} if name in known else {"family": name}
    values.pop("about", None)
    values.setdefault("data", {})["path"] = _place(data)
    table = settings.get("data", {}).get("labels")
    if table not in (None, "auto"):
        settings = {**settings, "data": {**settings["data"], "labels": str(Path(table).expanduser().resolve())}}
    asked = {key for key in TARGETS if settings.get("train", {}).get(key) is not None}
    asked |= {key for key in TARGETS if any(text.startswith(f"train.{key}=") for text in assignments)}
    if len(asked) > 1:
        raise UsageError(f"give one of {' and '.join(sorted(asked))}")
    if asked:  # a target that is asked for takes the place of the preset's
        values["train"] = {key: value for key, value in values.get("train", {}).items() if key not in TARGETS}
    _merge(values, settings)
    for assignment in assignments:
        if assignment.split("=")[0].split(".")[0].strip() in ("preset", "networks"):
            raise UsageError(f"--set {assignment!r}: that is no setting; see 'ficta train --help'")
        set_by_path(values, assignment)
    return Recipe.of(values)


def train(
    name: str,
    data: str | Path,
    out: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    network: Mapping[str, nn.Module] | None = None,
    start: str | Path | None = None,
    watchers: Sequence[Watcher] = (),
    progress: Progress = silent,
) -> Run:
    """Train a run, or go on with it; then draw its pictures and its report.

    Args:
        name: a preset or a family: ``"vae"``, ``"gan"``, ``"article-vae"`` …
        data: folder, zip, IDX or NumPy file, or a name (``"digits"``, ``"mnist"``).
        out: run folder; without, ``runs/<data>-<name>``.
        settings: nested settings, such as ``{"model": {"latent_dim": 16}, "train": {"minutes": 5}}``.
        assignments: settings as text, such as ``"model.latent_dim=16"``.
        network: own networks by role, such as ``{"encoder": module, "decoder": module}``.
        start: run whose weights to start from.
        watchers: who is told how it goes.
        progress: who is told about reading data and drawing.

    Returns:
        The trained run.

    Raises:
        UsageError: a wrong call; DataError: unreadable data; VerdictError: stopped by a verdict;
        InterruptedRun: stopped by a signal and saved; FictaError: anything else that went wrong.
    """
    recipe = _asked(name, data, settings, assignments, network, start)
    folder = Path(out) if out is not None else default_folder(name, str(data))
    leads = leads_by_environment()
    arguments = {"networks": network, "watchers": watchers, "progress": progress}
    try:
        _in_processes(recipe, _train_process, recipe.content(), str(folder), arguments)
    except VerdictError:
        if (folder / "recipe.toml").exists() and leads:
            Run(folder, network).report()
        raise
    except FinishedRun:
        if RunFolder(folder).is_reported:
            raise  # else it was killed after its last step, and what follows is still to be drawn
    run = Run(folder, network)
    if leads:
        from ficta.explore.explore import animate

        unread = run.explore(progress=progress).unread
        if unread:
            for watcher in watchers:
                watcher.said(f"pictures of held-out data could not be drawn: {unread}")
        animate(run.stored)
        run.report()
    return run


def plan(
    name: str,
    data: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    network: Mapping[str, nn.Module] | None = None,
    start: str | Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """What ``train`` would take, with the same arguments: parameters, samples, rate, seconds, memory.

    Trains nothing, and writes nothing but the cache of the data.
    """
    recipe = _asked(name, data, settings, assignments, network, start)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        _in_processes(recipe, _plan_process, recipe.content(), str(path), {"networks": network, "progress": progress})
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content


def evaluate(
    samples: str | Path,
    reference: str | Path,
    *,
    data: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    **settings: Any,
) -> Evaluation:
    """Judge anybody's samples, without a run.

    Args:
        samples: folder, zip or NumPy file.
        reference: the real items: data as ``train`` takes them.
        data: settings of how these are read, such as ``{"image": {"size": 64}}``.
        progress: who is told.
        settings: of ``ficta.evaluate.ground.EvaluateSettings``.

    Raises:
        UsageError: samples of another shape than the reference's, or an unknown setting.
        DataError: too few items.
    """
    from ficta.evaluate.evaluate import evaluate as judge
    from ficta.evaluate.sources import strangers

    dataset = ingest(recipe_for("vae", reference, {"data": data or {}}).data, progress)
    return judge(strangers(_place(samples), dataset, progress), dataset, _evaluate_settings(settings), progress)


def compare(runs: Sequence[str | Path], page: str | Path | None = None) -> list[Row]:
    """Put the results of evaluated runs side by side; each row says whose difference holds.

    Args:
        runs: evaluated runs.
        page: also write a page that shows them, to a path ending in ``.html``.

    Raises:
        UsageError: no run, one that was not evaluated or was named twice, or a page of another ending.
    """
    from ficta.evaluate.compare import compare as side_by_side

    if page is not None and Path(page).suffix.lower() != ".html":
        raise UsageError(f"{page} is no place for a page; give a path ending in .html")
    if len({Path(path).resolve() for path in runs}) < len(runs):
        raise UsageError("a run was named twice; give each one once")
    opened = [StoredRun(path) for path in runs]
    for run in opened:
        if not run.results:
            raise UsageError(f"{run.path} was not evaluated; give 'ficta evaluate {run.path}' first")
    rows = side_by_side([run.results for run in opened])
    if page is not None:
        from ficta.report.compared import write_comparison

        write_comparison(Path(page), opened, rows)
    return rows


def open_run(path: str | Path, network: Mapping[str, nn.Module] | None = None) -> Run:
    """Open a run folder.

    Args:
        path: the folder.
        network: the networks it was trained with, by role, if they were the user's own.

    Raises:
        UsageError: no run lives there.
    """
    return Run(path, network)


def list_runs(folder: str | Path = "runs") -> list[Run]:
    """The runs directly below a folder."""
    return [Run(path) for path in find_runs(Path(folder))]


def default_folder(name: str, data: str) -> Path:
    """Where a run goes that was given no place: ``runs/<data>-<name>``."""
    stem = Path(data).name.split(".")[0] or "data"
    return Path("runs") / f"{stem}-{name}"


def _asked(
    name: str,
    data: str | Path,
    settings: Mapping[str, Any] | None,
    assignments: Sequence[str],
    network: Mapping[str, nn.Module] | None,
    start: str | Path | None,
) -> Recipe:
    recipe = recipe_for(name, data, settings or {}, assignments)
    if start is not None:
        recipe = recipe.model_copy(update={"start": str(StoredRun(start, network).path.resolve())})
    if isinstance(network, nn.Module):
        raise UsageError("give networks by role, such as network={'encoder': module}")
    if network:
        names = {role: _signature(module) for role, module in network.items()}
        recipe = recipe.model_copy(update={"networks": names})
    return recipe


def _in_processes(recipe: Recipe, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work`` here, or in as many processes as the recipe asks for, unless this is one of them already."""
    if recipe.train.devices > 1 and "RANK" not in os.environ:
        launch(work, recipe.train.devices, recipe.train.device, *arguments)
    else:
        work(*arguments)


def _train_process(content: Mapping[str, Any], folder: str, arguments: Mapping[str, Any]) -> None:
    session.train(Recipe.of(content), Path(folder), **arguments)


def _plan_process(content: Mapping[str, Any], path: str, arguments: Mapping[str, Any]) -> None:
    found = session.forecast(Recipe.of(content), **arguments)
    if leads_by_environment():
        write_json(Path(path), found)


def _place(data: str | Path) -> str:
    """The name of a data set as it is, or an absolute path: a name goes before a folder, ``./digits`` is the folder."""
    named = data == DIGITS or data in NAMED
    return str(data) if named else _writable(str(Path(data).expanduser().resolve()))


def _evaluate_settings(settings: Mapping[str, Any]) -> EvaluateSettings:
    from ficta.evaluate.ground import EvaluateSettings

    return EvaluateSettings.read({name: value for name, value in settings.items() if value is not None}, "evaluate")


def _writable(path: str) -> str:
    """The path, if a recipe can hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"data {path!a}: this name is not in UTF-8 and no recipe can hold it; rename it") from None
    return path


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _merge(values.setdefault(key, {}), value)
        elif value is not None:
            values[key] = value


def _signature(module: nn.Module) -> str:
    """A network's name and the shapes of its weights, for a recipe that cannot hold the network itself."""
    shapes = ", ".join(f"{name} {tuple(p.shape)}" for name, p in module.named_parameters())
    return f"{type(module).__name__}: {shapes}"


__all__ = [
    "Dataset",
    "Run",
    "Split",
    "compare",
    "default_folder",
    "evaluate",
    "list_runs",
    "open_run",
    "plan",
    "recipe_for",
    "train",
]
