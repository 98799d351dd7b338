"""Settings: frozen, typed, every field described; a wrong one is an error that names it."""

from collections.abc import Iterator, Mapping
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
            raise UsageError("; ".join(_explain(cls, item, where) for item in error.errors())) from None


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


def _explain(settings: type[pydantic.BaseModel], item: Any, where: str) -> str:
    path = ".".join([where, *(str(part) for part in item["loc"])]).strip(".")
    if item["type"] != "extra_forbidden":
        return f"setting {path} = {item['input']!r}: {item['msg'].lower()}"
    names = _names(settings, item["loc"][:-1])
    return f"unknown setting {path}: {nearest(str(item['loc'][-1]), names)}"


def _names(settings: type[pydantic.BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Field names of the settings found by walking ``path``."""
    for part in path:
        field = settings.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, pydantic.BaseModel)):
            return []
        settings = inner
    return list(settings.model_fields)
