"""Settings of Sphinx; the page of settings is filled in here, from the models themselves."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
from pydantic_core import PydanticUndefined

from ficta import __version__
from ficta.models.registry import FAMILIES
from ficta.train.recipe import Recipe

if typing.TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Ficta"
author = "the authors of Ficta"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Ficta {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

PLACE = "<!-- settings -->"  # in settings.md: the tables go here
Row = tuple[str, str, str, str]


def rows(settings: pydantic.BaseModel | type[pydantic.BaseModel], path: str) -> Iterator[Row]:
    """Path, default, allowed values and description of every setting, nested ones in place."""
    fields = (settings if isinstance(settings, type) else type(settings)).model_fields
    for name, field in fields.items():
        default = field.get_default(call_default_factory=True) if isinstance(settings, type) else _get(settings, name)
        inner = default if isinstance(default, pydantic.BaseModel) else _model(field.annotation)
        if inner is not None:
            yield from rows(inner, f"{path}{name}.")
        elif path + name != "model":  # the families' own tables follow
            yield path + name, _value(default), _allowed(field), field.description or ""


def settings_tables() -> str:
    """Markdown: a table of what every run has, and one for each family."""
    parts = [_table("Every run", rows(Recipe, ""))]
    parts += [_table(f"`{name}`", rows(entry.family.settings_type, "model.")) for name, entry in FAMILIES.items()]
    return "\n\n".join(parts)


def _table(title: str, lines: Iterator[Row]) -> str:
    body = [f"| `{path}` | {default} | {allowed} | {_cell(what)} |" for path, default, allowed, what in lines]
    return "\n".join([f"## {title}", "", "| setting | default | allowed | what |", "|---|---|---|---|", *body])


def _get(settings: pydantic.BaseModel, name: str) -> Any:
    return getattr(settings, name)


def _model(annotation: Any) -> type[pydantic.BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel) else None


def _value(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    return "not given" if default is None else f"`{default!r}`"


def _allowed(field: Any) -> str:
    """The literals of a choice, or the bounds of a number."""
    choices = list(dict.fromkeys(_literals(field.annotation)))
    if choices:
        return " ".join(f"`{choice}`" for choice in choices)
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {getattr(item, key):g}" for item in field.metadata for key, sign in signs.items() if hasattr(item, key)
    ]
    return ", ".join(bounds)


def _literals(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
    else:
        for part in typing.get_args(annotation):
            yield from _literals(part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def fill_in(app: Sphinx, document: str, source: list[str]) -> None:
    """Put the tables into the page of settings, before it is parsed."""
    if document == "settings":
        source[0] = source[0].replace(PLACE, settings_tables())


def escape_stars(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep the star of a shape such as (B, *spec.shape) from being read as emphasis."""
    lines[:] = [re.sub(r"(?<=, )\*(?=\w)", r"\\*", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_stars)
    app.connect("source-read", fill_in)
