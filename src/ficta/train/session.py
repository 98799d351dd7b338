"""From a recipe to a finished run: data, weights, folder, plan, loop. Each process of a run calls it."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ficta.base.errors import FictaError, FinishedRun, UsageError
from ficta.base.progress import Progress, silent
from ficta.base.seeds import mix
from ficta.base.words import count
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives, joined, local_rank
from ficta.data.dataset import Dataset, Split, Store
from ficta.data.ingest import ingest
from ficta.models.family import Bounds, Family
from ficta.models.registry import build
from ficta.runs.folder import RunFolder
from ficta.runs.run import Run
from ficta.train.best import Best, to_keep
from ficta.train.loop import Loop, Watcher
from ficta.train.observe import Signs, report_seconds
from ficta.train.plan import make_plan
from ficta.train.probe import find_way
from ficta.train.recipe import Recipe
from ficta.train.stepper import Stepper

DEFAULT_MINUTES = 5.0
SPARE = 0.03  # of the minutes asked for is left for saving
REPORTING_AT_MOST = 0.5  # of the minutes asked for; where reports take longer, so does the run


def train(
    recipe: Recipe,
    out: Path,
    *,
    networks: Mapping[str, nn.Module] | None = None,
    watchers: Sequence[Watcher] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a run, or go on with it.

    Args:
        recipe: what is asked for.
        out: the run folder.
        networks: networks that the user brings, by role.
        watchers: who is told.
        progress: who is told about reading the data.

    Returns:
        The plan.

    Raises:
        UsageError: the folder holds another run, or the call is wrong in itself.
        FinishedRun: there is nothing left to do.
        DataError: the data cannot be read.
        FictaError: the run failed; what was saved before is intact.
        VerdictError: a verdict stopped it.
        InterruptedRun: a signal stopped it.
    """
    folder = RunFolder(out)
    stored = Recipe.of(folder.recipe()) if folder.exists else None
    with _together(stored if stored and recipe.train.device == "auto" else recipe) as (device, collectives):
        if not collectives.leads:
            return _run(recipe, folder, networks, device, collectives, (), progress)
        _check_place(folder, recipe)
        with folder.locked():
            _check_place(folder, recipe)  # again: somebody may have begun in between
            return _run(recipe, folder, networks, device, collectives, watchers, progress)


def forecast(
    recipe: Recipe, *, networks: Mapping[str, nn.Module] | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """The plan that ``train`` would make. Writes nothing but the cache of the data."""
    with _together(recipe) as (device, collectives):
        dataset = _read(recipe, collectives, progress)
        return prepare(recipe, dataset, networks, device, collectives, recipe.start).plan


@contextlib.contextmanager
def _together(recipe: Recipe) -> Iterator[tuple[torch.device, Collectives]]:
    """This process's device, and the other processes; torch's own random numbers are left as they were."""
    device = _device(recipe)
    machine.keep_freed_memory()
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, joined(device) as collectives, _memory_explained():
        yield device, collectives


@contextlib.contextmanager
def _memory_explained() -> Iterator[None]:
    """Turn a lack of memory into an error that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        told = str(error).splitlines()[0] if str(error) else "no more to be had"
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and "allocate memory" not in told:  # as torch says it for the CPU, in a plain RuntimeError
            raise
        raise FictaError(f"out of memory: lower train.batch, or take smaller networks ({told})") from None


def _run(
    recipe: Recipe,
    folder: RunFolder,
    networks: Mapping[str, nn.Module] | None,
    device: torch.device,
    collectives: Collectives,
    watchers: Sequence[Watcher],
    progress: Progress,
) -> dict[str, Any]:
    """New or continued: get everything to where the loop can go on, then let it."""
    content = collectives.broadcast(folder.recipe() if collectives.leads and folder.exists else None)
    stored = Recipe.of(content) if content else None
    asked = _continued(recipe, stored) if stored else recipe
    if stored and collectives.leads:
        folder.check()
    dataset = _read(asked, collectives, progress)
    if stored and folder.json("data").get("content_hash") != dataset.report["content_hash"]:
        raise UsageError(f"the data at {recipe.data.path} have changed since {folder.path} began; use another --out")
    start = None if stored and folder.has_state else asked.start  # whose weights only the first step needs
    stepper, validation, signs, plan, resolved = prepare(asked, dataset, networks, device, collectives, start)
    best = Best(resolved.train.keep_by) if resolved.train.keep == "best" else None
    bounded = isinstance(stepper.family, Bounds) and len(validation) > 0
    if best is not None and best.measure == "heldout_negative_elbo_nats" and not bounded:  # before a folder holds this
        raise UsageError(
            f"train.keep_by = {best.measure!r}: reports of this run do not take it, which needs a family with a bound "
            "and validation data; there is kernel_distance, coverage_ratio"
        )
    seconds = _restore(stepper, best, folder) if stored else 0.0
    if stepper.seen >= stepper.target:
        anew = "its weights were missing and have been written anew; " if _rescue(stepper, best, folder) else ""
        raise FinishedRun(
            f"{folder.path} is finished ({count(stepper.seen)} samples); {anew}to go on give a larger target, "
            f"such as --samples {2 * stepper.seen}"
        )
    if collectives.leads:
        if stored:
            folder.write_recipe(resolved.content())
        else:
            folder.create(resolved.content(), dataset.report, dataset.codec.facts())
        folder.write_plan(plan)
        folder.rewind_history(stepper.seen)
    collectives.wait()
    going_on = f"going on from {count(stepper.seen)} samples" if stepper.seen else "new run"
    for watcher in watchers:
        watcher.planned(plan, f"{going_on} in {folder.path}")
    try:
        Loop(stepper, validation, signs, folder, watchers, seconds, best).run()
    finally:
        for watcher in watchers:
            watcher.closed()
    return plan


def _read(recipe: Recipe, collectives: Collectives, progress: Progress) -> Dataset:
    """The data; the first process fills the cache and the others find it there."""
    if not collectives.leads:
        collectives.wait()
    dataset = ingest(recipe.data, progress)
    if collectives.leads:
        collectives.wait()
    return dataset


def _rescue(stepper: Stepper[Family], best: Best | None, folder: RunFolder) -> bool:
    """Write the weights of a finished run from its state, if they are missing; whether that was so."""
    missing = stepper.collectives.leads and not folder.weights.exists()
    if missing:
        folder.write_weights(*to_keep(best, stepper.seen, stepper.average.state_dict()))
    return missing


def _restore(stepper: Stepper[Family], best: Best | None, folder: RunFolder) -> float:
    """Bring them to the newest saved state, if there is one; seconds that training took until then."""
    state = folder.latest_state()
    if state is None:
        return 0.0
    stepper.restore(*state)
    if best is not None:
        best.restore(*state)
    return float(state[1]["seconds"])


class Ready(NamedTuple):
    """All that the loop needs.

    Attributes:
        stepper: with the first weights in place.
        validation: held-out data.
        signs: cheap measures of what is made.
        plan: what ``plan.json`` holds.
        recipe: with what was left open resolved.
    """

    stepper: Stepper[Family]
    validation: Store
    signs: Signs
    plan: dict[str, Any]
    recipe: Recipe


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    networks: Mapping[str, nn.Module] | None,
    device: torch.device,
    collectives: Collectives,
    start: str | None,
) -> Ready:
    """Put the first weights in place, measure the rate, resolve what was left open."""
    settings = recipe.train
    if recipe.networks and settings.layout == "auto":  # own networks may count on it: x.view(len(x), -1)
        settings = settings.model_copy(update={"layout": "contiguous"})
    family = new_family(recipe, dataset, networks, start)
    store, validation = (_store(dataset.splits[name], device, recipe) for name in ("train", "validation"))

    def stepper_for(way: machine.Way, weights: Family | None = None, target: int = 1) -> Stepper[Family]:
        mine = copy.deepcopy(family) if weights is None else weights
        return Stepper(mine, dataset.codec, store, settings, target, recipe.seed, device, collectives, way)

    def planned_seconds(rate: float) -> float:
        return _target(recipe, len(store), rate) / rate

    begun = time.perf_counter()
    networks_known_by = [recipe.family, recipe.model, recipe.networks, dataset.codec.spec.to_json(), settings.batch]
    found = collectives.broadcast(find_way(settings, stepper_for, planned_seconds, networks_known_by))
    machine.use(found.way)
    signs = Signs(dataset.codec, store, validation, recipe.seed)
    reporting = collectives.broadcast(report_seconds(stepper_for(found.way), validation, signs))
    target = _target(recipe, len(store), found.rate, reporting)
    stepper = stepper_for(found.way, family, target)
    named = device.type if settings.device == "auto" else settings.device
    decided = {"samples": target, "device": named, **dataclasses.asdict(found.way)}
    resolved = recipe.model_copy(update={"train": settings.model_copy(update=decided), "data": dataset.settings})
    plan = make_plan(stepper, found, reporting, time.perf_counter() - begun)
    return Ready(stepper, validation, signs, plan, resolved)


def new_family(recipe: Recipe, dataset: Dataset, networks: Mapping[str, nn.Module] | None, start: str | None) -> Family:
    """A family with the first weights of a run: as the seed decides, or the averaged ones of the run ``start``."""
    torch.manual_seed(mix(recipe.seed, "weights"))
    family = build(recipe.family, recipe.model, dataset.codec.spec, networks)
    if start is None:
        return family
    mine, theirs = family.state_dict(), Run(start, networks).family.state_dict()
    unlike = sorted(key for key in mine.keys() | theirs.keys() if _shape(mine, key) != _shape(theirs, key))
    if unlike:
        raise UsageError(f"--from {start}: its networks differ, in {unlike[0]} and {len(unlike) - 1} more")
    family.load_state_dict(theirs)
    return family


def _store(split: Split, device: torch.device, recipe: Recipe) -> Store:
    """Where batches come from: on a CPU the mapped cache, read once beforehand if it is not too large."""
    limit = recipe.data.resident_limit
    if device.type != "cpu":
        return Store(split, device, limit)
    if split.nbytes <= limit:
        split.read_ahead()
    return Store(split, device, 0)


def _shape(state: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def _target(recipe: Recipe, length: int, rate: float, report_seconds: float = 0.0) -> int:
    """Samples to see; where minutes are asked for, as many as the time leaves beside reports and saving."""
    if recipe.train.samples is not None:
        return recipe.train.samples
    if recipe.train.epochs is not None:
        return max(1, round(recipe.train.epochs * length))
    seconds = 60 * (recipe.train.minutes or DEFAULT_MINUTES)
    reporting = min(recipe.train.reports * report_seconds, REPORTING_AT_MOST * seconds)
    return max(recipe.train.batch, round((seconds * (1 - SPARE) - reporting) * rate))


def _device(recipe: Recipe) -> torch.device:
    device = machine.pick(recipe.train.device)
    if str(device) != "cuda":
        return device
    mine = torch.device("cuda", local_rank())
    torch.cuda.set_device(mine)
    return mine


def _check_place(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse a folder that is something else, before anything is read."""
    if folder.path.exists() and not folder.exists:
        if not folder.path.is_dir():
            raise UsageError(f"{folder.path} is a file; choose another --out")
        others = folder.strangers()
        if others:
            raise UsageError(f"{folder.path} holds something else than a run ({others[0]}); choose another --out")
    if folder.exists:
        differences = recipe.differences(Recipe.of(folder.recipe()))
        if differences:
            raise UsageError(
                f"{folder.path} holds another run ({'; '.join(differences)}); give its settings, or another --out"
            )


def _continued(recipe: Recipe, stored: Recipe) -> Recipe:
    """The stored recipe, with what may change taken from the new one."""
    asked, there = recipe.train, stored.train
    same_target = all(getattr(asked, name) in (None, getattr(there, name)) for name in ("samples", "minutes", "epochs"))
    target = {} if same_target else {name: getattr(asked, name) for name in ("samples", "minutes", "epochs")}
    if target and there.decay != "none":
        raise UsageError(
            f"the learning rate of this run falls to 0 at {count(there.samples or 0)} samples; another target would "
            "raise it again: keep the target, or start a new run with --from"
        )
    train = there.model_copy(
        update={
            **target,
            "on_verdict": asked.on_verdict,
            "save_every_minutes": asked.save_every_minutes,
            "save_every_samples": asked.save_every_samples,
        }
    )
    data = stored.data.model_copy(update={"mirror": recipe.data.mirror, "max_skipped": recipe.data.max_skipped})
    return stored.model_copy(update={"train": train, "data": data})
