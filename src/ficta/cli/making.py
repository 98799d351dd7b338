"""Commands that make something: ``train``, ``sample``, ``explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ficta.base.errors import UsageError
from ficta.cli.options import (
    Assignments,
    Channels,
    DataPath,
    Debug,
    Fit,
    Json,
    MaxSkipped,
    Seed,
    Size,
    image_settings,
    print_json,
)


def train(
    model: Annotated[str, typer.Argument(help="a family or preset: see 'ficta models' and 'ficta presets'")],
    data: DataPath,
    out: Annotated[Path | None, typer.Option(help="run folder; default runs/<data>-<model>")] = None,
    minutes: Annotated[float | None, typer.Option(help="train about so long")] = None,
    samples: Annotated[int | None, typer.Option(help="train until so many samples were seen")] = None,
    epochs: Annotated[float | None, typer.Option(help="train so many passes over the data")] = None,
    conditional: Annotated[
        bool, typer.Option("--conditional", help="learn to be asked: for a label, or for values of columns")
    ] = False,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    labels: Annotated[str | None, typer.Option(help="CSV file with columns file,label")] = None,
    max_skipped: MaxSkipped = None,
    seed: Annotated[int | None, typer.Option(min=0, help="of everything random")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1")] = None,
    devices: Annotated[int | None, typer.Option(help="processes on this machine, one a device")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bf16")] = None,
    start: Annotated[Path | None, typer.Option("--from", help="start from the weights of another run")] = None,
    assignments: Assignments = None,
    keep: Annotated[str | None, typer.Option(help="weights to keep: last, or best by the reports")] = None,
    on_verdict: Annotated[str | None, typer.Option(help="warn or stop")] = None,
    save_every_minutes: Annotated[float | None, typer.Option(help="time from one saved state to the next")] = None,
    save_every_samples: Annotated[int | None, typer.Option(help="samples from one saved state to the next")] = None,
    mirror: Annotated[str | None, typer.Option(help="address to download a named data set from")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan: parameters, memory, rate, time")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="also write TensorBoard events into the run")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a model on your data; given again, the same command goes on where it stopped."""
    from ficta import api
    from ficta.cli.show import ProgressShower, describe_plan, watcher

    settings: dict[str, Any] = {
        "seed": seed,
        "data": {
            "conditional": conditional or None,
            "labels": labels,
            "max_skipped": max_skipped,
            "mirror": mirror,
            "image": image_settings(size, channels, fit),
        },
        "train": {
            "minutes": minutes,
            "samples": samples,
            "epochs": epochs,
            "device": device,
            "devices": devices,
            "precision": precision,
            "keep": keep,
            "on_verdict": on_verdict,
            "save_every_minutes": save_every_minutes,
            "save_every_samples": save_every_samples,
        },
    }
    chosen = assignments or []
    if dry_run:
        plan = api.plan(model, data, settings=settings, assignments=chosen, start=start, progress=ProgressShower())
        if plan:  # of several processes under torchrun, the first speaks
            print_json(plan) if as_json else typer.echo(describe_plan(plan))
        return
    watchers = [watcher()]
    folder = out or api.default_folder(model, data)
    if tensorboard:
        from ficta.train.tensorboard import TensorBoard

        watchers.append(TensorBoard(folder / "tensorboard"))
    run = api.train(
        model,
        data,
        folder,
        settings=settings,
        assignments=chosen,
        start=start,
        watchers=watchers,
        progress=ProgressShower(),
    )
    from ficta.compute.collectives import leads_by_environment

    if not leads_by_environment():  # started by torchrun: the first process speaks for all
        return
    last = run.history[-1] if run.history else {}
    if as_json:
        print_json({"run": str(run.path), "seen": last.get("seen", 0), "last": last})
        return
    typer.echo(f"\n{run.path}: look at {run.path / 'report.html'}")
    typer.echo(f"next: ficta sample {run.path} -n 100    ficta explore {run.path}")


def sample(
    run: Annotated[Path, typer.Argument(help="run folder")],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="how many; default 100, or as many as there are to complete")
    ] = None,
    label: Annotated[str | None, typer.Option(help="of a conditional run: make only these")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="of a conditional run on a table: column=value that each row is to have; repeatable"),
    ] = None,
    complete: Annotated[
        Path | None,
        typer.Option(help="likewise: a table whose missing values and columns are to be sampled, the others kept"),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="folder, or a .npz file; of a table a .csv, .tsv or .parquet file; default RUN/out"),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="also draw the first samples side by side into this picture")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="spread of the latents; below 1 safer and less varied")
    ] = 1.0,
    truncation: Annotated[
        float,
        typer.Option(min=0, help="of a stylegan2: how far styles may be from their average; 0 is the average itself"),
    ] = 1.0,
    prior: Annotated[
        str, typer.Option(help="what latents are drawn from: trained, normal, mixture, flow (fitted when first asked)")
    ] = "trained",
    reject: Annotated[
        bool, typer.Option("--reject", help="keep only what the discriminator takes for real; several times the time")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make new samples."""
    from ficta import api
    from ficta.cli.export import write_samples
    from ficta.cli.show import ProgressShower

    opened = api.open_run(run)
    place = out or run / "out"
    asked = opened.ask(label, where=_pairs(where), complete=complete)
    how: dict[str, Any] = {"temperature": temperature, "truncation": truncation, "prior": prior}
    how["acceptance"] = opened.acceptance(**how, progress=ProgressShower()) if reject else None
    paths = write_samples(opened, n, asked, {"seed": seed, **how}, place, sheet, ProgressShower())
    rate = how["acceptance"].rate if reject else None
    if as_json:
        said = {"run": str(run), "n": paths.n, "out": str(place), "sheet": str(paths.sheet), "files": paths.files}
        print_json(said if rate is None else {**said, "acceptance_rate": rate})
    else:
        kept = "" if rate is None else f"; about {rate:.0%} of candidates are kept"
        typer.echo(f"{paths.n} samples in {place}; side by side in {paths.sheet}{kept}")


def _pairs(where: list[str] | None) -> dict[str, str]:
    """What ``--where`` asks for, by column."""
    pairs = [text.partition("=") for text in where or ()]
    wrong = [column for column, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"--where {wrong[0]!r} needs the form column=value, such as age=37")
    return {column.strip(): value for column, _, value in pairs}


def explore(
    run: Annotated[Path, typer.Argument(help="run folder")],
    seed: Seed = 0,
    projection: Annotated[str, typer.Option("--map", help="latents of more than two dimensions: pca or tsne")] = "pca",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw what a run has learnt: latent map, manifold, walks, codes, mixed styles, reconstructions, a 10x10 sheet."""
    from ficta import api
    from ficta.cli.show import ProgressShower

    if projection not in ("pca", "tsne"):
        raise UsageError(f"--map {projection!r}: there is pca and tsne")
    opened = api.open_run(run)
    written, undefined, unread = opened.explore(seed=seed, projection=projection, progress=ProgressShower())  # type: ignore[arg-type]
    report = opened.report()
    if as_json:
        print_json(
            {
                "run": str(run),
                "pictures": [str(path) for path in written],
                "not_defined": undefined,
                "unread": unread,
                "report": str(report),
            }
        )
        return
    for path in written:
        typer.echo(path)
    if undefined:
        typer.echo(f"not defined for a {opened.recipe['family']} of this latent size: {', '.join(undefined)}")
    if unread:
        typer.echo(f"pictures of held-out data could not be drawn: {unread}")
    typer.echo(report)
