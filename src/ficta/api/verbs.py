"""What one can ask for without a run in hand: train, plan, evaluate, compare, open."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ficta.api.calls import data_path, evaluate_settings, full_recipe, place, recipe_for
from ficta.api.run import Run
from ficta.base.errors import FinishedRun, UsageError, VerdictError
from ficta.base.files import write_json
from ficta.base.progress import Progress, silent
from ficta.compute.collectives import launch, leads_by_environment
from ficta.data.ingest import ingest
from ficta.runs.folder import RunFolder
from ficta.runs.run import Run as StoredRun
from ficta.runs.run import find_runs
from ficta.train import session
from ficta.train.loop import Watcher
from ficta.train.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from ficta.evaluate.compare import Row
    from ficta.evaluate.evaluate import Evaluation


def train(
    name: str,
    data: str | Path | pd.DataFrame,
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
        data: folder, zip, IDX or NumPy file of pictures, a table (CSV, TSV, Parquet, Excel, a pandas data frame), or a
            name (``"digits"``, ``"mnist"``).
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
    data = data_path(data)
    recipe = full_recipe(name, data, settings, assignments, network, start)
    folder = Path(out) if out is not None else default_folder(name, data)
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
    data: str | Path | pd.DataFrame,
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
    recipe = full_recipe(name, data, settings, assignments, network, start)
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
        samples: folder, zip or NumPy file, or a table.
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
    return judge(strangers(place(samples), dataset, progress), dataset, evaluate_settings(settings), progress)


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
