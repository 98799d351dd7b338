"""The commands there are. Each imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ficta.cli import judging, listing, making

app = typer.Typer(
    name="ficta",
    help="Learn the distribution of your own data, make new samples, and see what was learnt.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong call, 3 stopped by a verdict, 130/143 interrupted and saved.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    making.train,
    making.sample,
    making.explore,
    judging.evaluate,
    judging.compare,
    listing.data,
    listing.runs,
    listing.models,
    listing.presets,
    listing.cache,
):
    app.command()(command)


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
