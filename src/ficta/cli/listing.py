"""Commands that say what there is: ``data``, ``runs``, ``models``, ``presets``, ``cache``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ficta.base.errors import UsageError
from ficta.cli.options import Assignments, Channels, Debug, Fit, Json, MaxSkipped, Size, image_settings, print_json


def data(
    path: Annotated[str, typer.Argument(help="pictures, a table, or a name: what 'ficta train --data' takes")],
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
        "data": {
            "labels": labels,
            "max_skipped": max_skipped,
            "mirror": mirror,
            "image": image_settings(size, channels, fit),
        }
    }
    report = survey(recipe_for("vae", path, settings, assignments or []).data, ProgressShower()).report
    print_json(report) if as_json else typer.echo(describe(report))
    check_skipped(report)


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
        print_json({"runs": rows})
    else:
        typer.echo(table(rows) if rows else f"no runs in {folder}; 'ficta train vae --data digits' makes one")


def models(as_json: Json = False, debug: Debug = False) -> None:
    """List the families of models, with their papers and settings."""
    from ficta.cli.show import settings_lines
    from ficta.models.registry import FAMILIES

    if as_json:
        print_json(
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
        print_json({"presets": {each: store.load(each) | _origin(store.load(each)["family"]) for each in chosen}})
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
        print_json({"removed" if clear else "entries": rows, "total_bytes": total, "limit_bytes": limit})
        return
    if entries and not clear:
        lines = [{"source": e.source, "size": size(e.size_bytes), "folder": str(e.path)} for e in entries]
        typer.echo(table(lines))
    said = f"{plural(len(entries), 'entry', 'entries')}, {size(total)}"
    typer.echo(f"removed {said}" if clear else f"{said}; the limit is {size(limit)} ({store.LIMIT_VARIABLE})")
