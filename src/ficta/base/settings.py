"""Settings: frozen, typed, every field described; a wrong one is an error that names it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import pydantic

from ficta.base.errors import UsageError
from ficta.base.words import nearest

OPEN = {"open": True}
"""``json_schema_extra`` of a field that may be left open: the run decides it, and writes down what it decided."""


class Settings(pydantic.BaseModel):
    """Base of all settings; a field's description is its help, its documentation and its form label."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, values: Any) -> Any:
        """Lay a table over the field's own default: setting one entry must not reset the others to their class's."""
        if not isinstance(values, Mapping):
            return values
        defaults = {
            name: field.default for name, field in cls.model_fields.items() if isinstance(field.default, Settings)
        }
        return {
            name: _laid_over(defaults[name], value) if name in defaults and isinstance(value, Mapping) else value
            for name, value in values.items()
        }

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check ``values`` and fill in the defaults.

        Args:
            values: field names and values, as TOML gives them.
            where: dotted path of these settings, for the error.

        Raises:
            UsageError: a name that does not exist (with the nearest that does) or a value that does not fit.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise UsageError("; ".join(_explained(cls, error.errors(), where))) from None


def open_fields(settings: type[Settings], path: str = "") -> Iterator[str]:
    """Dotted paths of the fields that are marked ``OPEN``, at every depth."""
    for name, field in settings.model_fields.items():
        if field.json_schema_extra == OPEN:
            yield path + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from open_fields(field.annotation, f"{path}{name}.")


def _laid_over(default: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """``default`` as a nested mapping, with ``values`` in place of its own at every depth."""
    merged: dict[str, Any] = {name: getattr(default, name) for name in type(default).model_fields}
    for name, value in values.items():
        inner = merged.get(name)
        merged[name] = _laid_over(inner, value) if isinstance(inner, Settings) and isinstance(value, Mapping) else value
    return merged


def _explained(settings: type[pydantic.BaseModel], items: Iterable[Any], where: str) -> Iterator[str]:
    """One line a wrong setting, whatever number of ways there were to get it right."""
    mistakes: dict[str, list[Any]] = {}
    for item in items:
        known, below = _walk(settings, item["loc"])
        mistakes.setdefault(".".join([where, *below]).strip("."), []).append((known, item))
    for path, found in mistakes.items():
        known, first = found[0]
        if first["type"] == "extra_forbidden":
            yield f"unknown setting {path}: {nearest(str(first['loc'][-1]), known.model_fields)}"
        else:
            yield f"setting {path} = {first['input']!r}: {_advice([item for _, item in found])}"


def _walk(settings: type[pydantic.BaseModel], loc: Iterable[int | str]) -> tuple[type[pydantic.BaseModel], list[str]]:
    """Follow a place in an error: the innermost settings, and the path without the names of alternatives of a union."""
    path: list[str] = []
    *above, last = loc or ("",)
    for part in above:
        field = settings.model_fields.get(str(part))
        if field or isinstance(part, int):
            path.append(str(part))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            settings = inner
    alternative = path and not isinstance(last, int) and path[-1] in settings.model_fields
    return settings, path if alternative else [*path, str(last)]


def _advice(items: list[Any]) -> str:
    """What the value may be: the choices there are, with the nearest, or the reasons why each form of it is wrong."""
    choices = [choice for item in items for choice in re.findall(r"'([^']*)'", item.get("ctx", {}).get("expected", ""))]
    reasons = dict.fromkeys(_reason(item) for item in items if item["type"] != "literal_error")
    if choices:
        reasons = {nearest(str(items[0]["input"]), choices): None, **reasons}
    return "; or ".join(reasons)


def _reason(item: Any) -> str:
    if item["type"] == "model_type":
        return "this is a table of settings, of which each is given by itself"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return str(item["msg"]).lower()
