"""Commands that judge samples: ``evaluate``, ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ficta.base.errors import UsageError
from ficta.cli.options import Channels, Debug, Fit, Json, Seed, Size, image_settings, print_json


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
    prior: Annotated[
        list[str] | None,
        typer.Option("--prior", help="also judge with latents from normal, mixture or flow; repeatable"),
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
    settings |= {"target": target, "priors": tuple(prior or ())}
    is_run = RunFolder(samples).exists
    image = image_settings(size, channels, fit)
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
        print_json({"samples": str(samples), "results": results})
        return
    typer.echo(results_text(results))
    if seen:
        typer.echo(seen)


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
        print_json({"runs": [str(run) for run in runs], "rows": shown, "page": None if out is None else str(out)})
        return
    typer.echo(comparison_text([str(run) for run in runs], rows))
    if out is not None:
        typer.echo(out)
