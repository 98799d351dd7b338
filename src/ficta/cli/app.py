"""The commands. Each imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ficta.base.errors import UsageError

app = typer.Typer(
    name="ficta",
    help="Learn the distribution of your own data, make new samples, and see what was learnt.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong call, 3 stopped by a verdict, 130/143 interrupted and saved.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[
    bool, typer.Option("--json", help="print one JSON object on standard output, all else on standard error")
]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]
DataPath = Annotated[
    str, typer.Option("--data", help="folder, zip, IDX or NumPy file, or a name: digits, mnist, fashion-mnist")
]
Size = Annotated[str | None, typer.Option(help="pictures: 64 or 64x48 (width x height)")]
Channels = Annotated[int | None, typer.Option(help="pictures: 1 grey, 3 RGB, 4 RGBA")]
Fit = Annotated[str | None, typer.Option(help="pictures of another shape: crop or pad")]
MaxSkipped = Annotated[
    float | None, typer.Option(help="largest share of unreadable files put up with; 0.01 if not given")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="any setting, such as model.latent_dim=16; repeatable")
]
Seed = Annotated[int, typer.Option(min=0, help="of everything random")]


def _out(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, allow_nan=False))


def _pairs(where: list[str] | None) -> dict[str, str]:
    """What ``--where`` asks for, by column."""
    pairs = [text.partition("=") for text in where or ()]
    wrong = [column for column, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"--where {wrong[0]!r} needs the form column=value, such as age=37")
    return {column.strip(): value for column, _, value in pairs}


def _image(size: str | None, channels: int | None, fit: str | None) -> dict[str, Any]:
    return {"size": size, "channels": channels, "fit": fit}


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="a family or preset: see 'ficta models' and 'ficta presets'")],
    data: DataPath,
    out: Annotated[Path | None, typer.Option(help="run folder; default runs/<data>-<model>")] = None,
    minutes: Annotated[float | None, typer.Option(help="train about so long")] = None,
    samples: Annotated[int | None, typer.Option(help="train until so many samples were seen")] = None,
    epochs: Annotated[float | None, typer.Option(help="train so many passes over the data")] = None,
    conditional: Annotated[bool, typer.Option("--conditional", help="learn to make samples of a given label")] = False,
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
            "image": _image(size, channels, fit),
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
            _out(plan) if as_json else typer.echo(describe_plan(plan))
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
        _out({"run": str(run.path), "seen": last.get("seen", 0), "last": last})
        return
    typer.echo(f"\n{run.path}: look at {run.path / 'report.html'}")
    typer.echo(f"next: ficta sample {run.path} -n 100    ficta explore {run.path}")


@app.command()
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
    paths = write_samples(opened, n, asked, seed, temperature, place, sheet, ProgressShower())
    if as_json:
        _out({"run": str(run), "n": paths.n, "out": str(place), "sheet": str(paths.sheet), "files": paths.files})
    else:
        typer.echo(f"{paths.n} samples in {place}; side by side in {paths.sheet}")


@app.command()
def explore(
    run: Annotated[Path, typer.Argument(help="run folder")],
    seed: Seed = 0,
    projection: Annotated[str, typer.Option("--map", help="latents of more than two dimensions: pca or tsne")] = "pca",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw what a run has learnt: latent map, manifold, walks, reconstructions, a 10x10 sheet."""
    from ficta import api
    from ficta.cli.show import ProgressShower

    if projection not in ("pca", "tsne"):
        raise UsageError(f"--map {projection!r}: there is pca and tsne")
    opened = api.open_run(run)
    written, undefined, unread = opened.explore(seed=seed, projection=projection, progress=ProgressShower())  # type: ignore[arg-type]
    report = opened.report()
    if as_json:
        _out(
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


@app.command()
def evaluate(
    samples: Annotated[Path, typer.Argument(help="run folder; or, with --reference, a folder of anybody's samples")],
    data: Annotated[str | None, typer.Option("--data", help="judge a run by these real items, not by its own")] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="real items to judge a folder by")] = None,
    n: Annotated[int | None, typer.Option("-n", min=10, help="samples judged; default 10000")] = None,
    parts: Annotated[int | None, typer.Option(min=2, help="disjoint parts they are judged in; default 5")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--features", help="random-conv, pixels, classifier, columns, file:PATH; repeatable"),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="column of a table: how well it is predicted after learning from samples")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="take every measure there is")] = False,
    seed: Seed = 0,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    out: Annotated[Path | None, typer.Option(help="of a folder's samples: write results and pictures there")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how good, how varied and how new samples are, with intervals; results stay in the run."""
    from ficta import api
    from ficta.cli.show import ProgressShower, results_text
    from ficta.runs.folder import RunFolder

    settings: dict[str, Any] = {"n": n, "parts": parts, "features": tuple(features or ()), "full": full, "seed": seed}
    settings["target"] = target
    is_run = RunFolder(samples).exists
    image = _image(size, channels, fit)
    if is_run and (reference or out or any(image.values())):
        raise UsageError(f"{samples} is a run; it is judged by its own data, or by --data, as it was trained")
    if not is_run and (reference is None or data):
        raise UsageError(f"{samples} is no run; to judge samples in a folder name the real items: --reference DATA")
    if is_run:
        results = api.open_run(samples).evaluate(data, progress=ProgressShower(), **settings)
        seen = f"{samples / 'report.html'}; next: ficta compare {samples} OTHER"
    else:
        shower = ProgressShower()
        found = api.evaluate(samples, str(reference), data={"image": image}, progress=shower, **settings)
        results, seen = [result.to_json() for result in found.results], ""
        if out:
            from ficta.cli.export import write_evaluation

            seen = str(write_evaluation(found, out))
    if as_json:
        _out({"samples": str(samples), "results": results})
        return
    typer.echo(results_text(results))
    if seen:
        typer.echo(seen)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="two or more evaluated runs")],
    out: Annotated[Path | None, typer.Option(help="also write a page with pictures and plots, such as x.html")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Put the results of runs side by side, and say which differences hold."""
    from ficta import api
    from ficta.cli.show import comparison_text

    if len(runs) < 2:
        raise UsageError("compare needs two runs or more")
    rows = api.compare(runs, out)
    if as_json:
        shown = [
            {
                "name": row.name,
                "better": row.better,
                "unit": row.unit,
                "refused": row.refused,
                "best": [str(runs[number]) for number in row.best],
                "holds": row.holds,
                "results": list(row.results),
            }
            for row in rows
        ]
        _out({"runs": [str(run) for run in runs], "rows": shown, "page": None if out is None else str(out)})
        return
    typer.echo(comparison_text([str(run) for run in runs], rows))
    if out is not None:
        typer.echo(out)


@app.command()
def data(
    path: Annotated[
        str, typer.Argument(help="folder, zip, IDX or NumPy file, or a name: digits, mnist, fashion-mnist")
    ],
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    labels: Annotated[str | None, typer.Option(help="CSV file with columns file,label")] = None,
    max_skipped: MaxSkipped = None,
    mirror: Annotated[str | None, typer.Option(help="address to download a named data set from")] = None,
    assignments: Assignments = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read data as training would, and say what is in them; exit code 1 if training would refuse them."""
    from ficta.api import recipe_for
    from ficta.cli.show import ProgressShower
    from ficta.data.ingest import check_skipped, survey
    from ficta.data.report import describe

    settings = {
        "data": {"labels": labels, "max_skipped": max_skipped, "mirror": mirror, "image": _image(size, channels, fit)}
    }
    report = survey(recipe_for("vae", path, settings, assignments or []).data, ProgressShower()).report
    _out(report) if as_json else typer.echo(describe(report))
    check_skipped(report)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="folder that holds runs")] = Path("runs"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List runs, how far they are and how they are doing."""
    from ficta.cli.show import run_row, table
    from ficta.runs.run import find_runs

    rows = [run_row(path) for path in find_runs(folder)]
    if as_json:
        _out({"runs": rows})
    else:
        typer.echo(table(rows) if rows else f"no runs in {folder}; 'ficta train vae --data digits' makes one")


@app.command()
def models(as_json: Json = False, debug: Debug = False) -> None:
    """List the families of models, with their papers and settings."""
    from ficta.cli.show import settings_lines
    from ficta.models.registry import FAMILIES

    if as_json:
        _out(
            {
                "models": [
                    {
                        "name": name,
                        "title": entry.title,
                        "year": entry.year,
                        "paper": entry.paper,
                        "settings": entry.family.settings_type.model_json_schema(),
                    }
                    for name, entry in FAMILIES.items()
                ]
            }
        )
        return
    for name, entry in FAMILIES.items():
        typer.echo(f"{name}: {entry.title}, {entry.year}, {entry.paper}")
        for line in settings_lines(entry.family.settings_type(), "model"):
            typer.echo(f"  {line}")


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="show this preset whole")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List presets: named settings, each line with its reason."""
    from ficta import presets as store
    from ficta.base.words import nearest
    from ficta.train.recipe import flatten

    known = store.names()
    if name is not None and name not in known:
        raise UsageError(f"no preset {name!r}: {nearest(name, known)}")
    chosen = known if name is None else [name]
    if as_json:
        _out({"presets": {each: store.load(each) | _origin(store.load(each)["family"]) for each in chosen}})
    elif name:
        typer.echo(store.text(name), nl=False)
    else:
        for each in chosen:
            content = store.load(each)
            origin = _origin(content["family"])
            typer.echo(f"{each}: {content.pop('about')}")
            typer.echo(f"  {content.pop('family')}: {origin['title']}, {origin['year']}, {origin['paper']}")
            for path, value in flatten(content).items():
                typer.echo(f"  {path} = {value}")


def _origin(family: str) -> dict[str, Any]:
    from ficta.models.registry import FAMILIES

    return {name: getattr(FAMILIES[family], name) for name in ("title", "year", "paper")}


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="remove every entry")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show or clear the decoded data that is kept for the next start."""
    from ficta.base.words import plural, size
    from ficta.cli.show import table
    from ficta.data import cache as store

    entries, limit = store.entries(), store.limit_bytes()
    total = sum(entry.size_bytes for entry in entries)
    if clear:
        store.clear()
    if as_json:
        rows = [
            {"source": entry.source, "size_bytes": entry.size_bytes, "folder": str(entry.path)} for entry in entries
        ]
        _out({"removed" if clear else "entries": rows, "total_bytes": total, "limit_bytes": limit})
        return
    if entries and not clear:
        lines = [{"source": e.source, "size": size(e.size_bytes), "folder": str(e.path)} for e in entries]
        typer.echo(table(lines))
    said = f"{plural(len(entries), 'entry', 'entries')}, {size(total)}"
    typer.echo(f"removed {said}" if clear else f"{said}; the limit is {size(limit)} ({store.LIMIT_VARIABLE})")


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    if version:
        from ficta import __version__

        typer.echo(__version__)
        sys.exit(0)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
