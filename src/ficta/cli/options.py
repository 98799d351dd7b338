"""What commands share: options, and how answers are printed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[
    bool, typer.Option("--json", help="print one JSON object on standard output, all else on standard error")
]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]
DataPath = Annotated[
    str,
    typer.Option(
        "--data",
        help="pictures (folder, zip, IDX or NumPy file), a table (CSV, TSV, Parquet, Excel), a name: digits, mnist …",
    ),
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


def print_json(content: dict[str, Any]) -> None:
    """One object on standard output."""
    typer.echo(json.dumps(content, allow_nan=False))


def image_settings(size: str | None, channels: int | None, fit: str | None) -> dict[str, Any]:
    """What of the settings of pictures a call gives."""
    return {"size": size, "channels": channels, "fit": fit}
